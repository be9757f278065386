//! A safetensors file of any types, of which the header alone is loaded.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::FileExt as _;

use safetensors::tensor::Metadata;

use super::TensorInfo;

/// What the format allows.
const MAX_HEADER: u64 = 100_000_000;

#[derive(Debug)]
pub(crate) struct SafeFile {
    file: File,
    /// Beside the tensors.
    pub(crate) metadata: HashMap<String, String>,
    /// Start and length of each tensor in the file.
    places: Vec<(u64, usize)>,
}

impl SafeFile {
    /// # Errors
    /// When the file is not exactly what its header says.
    pub(crate) fn open(mut file: File, length: u64) -> Result<(Self, Vec<TensorInfo>), String> {
        let mut size = [0; 8];
        file.rewind().map_err(|e| e.to_string())?;
        file.read_exact(&mut size).map_err(|e| e.to_string())?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER || size > length.saturating_sub(8) {
            return Err(format!(
                "it claims a header of {size} bytes, and the file has {length}"
            ));
        }
        let mut header = Vec::new();
        let mut start = (&mut file).take(size);
        start.read_to_end(&mut header).map_err(|e| e.to_string())?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|e| format!("its header: {e}"))?;
        let (claimed, held) = (header.data_len() as u64, length - 8 - size);
        if claimed != held {
            return Err(format!(
                "its tensors take {claimed} bytes, and it holds {held}: it was cut short or \
                 damaged, fetch it again"
            ));
        }
        let mut found: Vec<_> = header.tensors().into_iter().collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let place = |info: &safetensors::tensor::TensorInfo| {
            let (from, to) = info.data_offsets;
            (8 + size + from as u64, to - from)
        };
        let places = found.iter().map(|(_, info)| place(info)).collect();
        let tensors = found.into_iter().map(|(name, info)| TensorInfo {
            name,
            dtype: info.dtype,
            shape: info.shape.clone(),
        });
        let tensors = tensors.collect();
        let metadata = header.metadata().clone().unwrap_or_default();
        let file = Self {
            file,
            metadata,
            places,
        };
        Ok((file, tensors))
    }

    pub(super) fn bytes(&self, index: usize) -> Result<Vec<u8>, String> {
        let (_, length) = self.places[index];
        let read = self.part(index, 0, length);
        read.map_err(|e| e.to_string())
    }

    /// So many bytes of a tensor, from one of them on.
    ///
    /// # Errors
    /// When the tensor has no such bytes, or they cannot be read.
    pub(crate) fn part(&self, index: usize, from: usize, length: usize) -> io::Result<Vec<u8>> {
        let (start, all) = self.places[index];
        if from.checked_add(length).is_none_or(|end| end > all) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start + from as u64)?;
        Ok(bytes)
    }
}
