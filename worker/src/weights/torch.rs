//! PyTorch's files (`torch.save` since 1.6): a zip archive of a pickle and
//! one uncompressed entry for each storage.
//!
//! candle has a reader of these as well. This one refuses what that one leaves
//! out silently (other types, strided views, dicts under a key) and what it
//! panics or runs out of memory on.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::TensorInfo;
use super::pickle::{self, Pickle};
use super::state::{Others, State};
use super::view::View;

/// Begins files of `torch.save` before 1.6.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
/// Tensors may share storages, but not without end.
const MAX_SHARING: u64 = 16;

#[derive(Debug)]
pub(super) struct TorchFile {
    zip: ZipArchive<BufReader<File>>,
    length: u64,
    /// Folder of all entries, with its slash.
    folder: String,
    views: Vec<View>,
    /// The storage that was read last.
    last: Option<(String, Vec<u8>)>,
}

/// Why a file that is no zip archive is none.
pub(super) fn not_a_zip(start: &[u8], path: &Path) -> Option<String> {
    let path = path.display();
    start.starts_with(LEGACY).then(|| {
        format!(
            "it is in the format of PyTorch before 1.6; load and save it in Python:\n    \
             state = torch.load({:?}, map_location=\"cpu\", weights_only=True)\n    \
             torch.save(state, \"new.pt\")",
            path.to_string()
        )
    })
}

impl TorchFile {
    /// Opens the state dict at the top, or under a key.
    ///
    /// # Errors
    /// When there is none, or a tensor's bytes are not in the file.
    pub(super) fn open(
        file: File,
        length: u64,
        key: Option<&str>,
    ) -> Result<(Self, Vec<TensorInfo>, Others), String> {
        let zip = ZipArchive::new(BufReader::new(file));
        let mut zip = zip.map_err(|e| {
            format!("it begins like a zip archive, but is none ({e}): fetch it again")
        })?;
        let folder = folder(&zip)?;
        let byteorder = format!("{folder}byteorder");
        if zip.index_for_name(&byteorder).is_some()
            && entry(&mut zip, length, &byteorder, 16)? != b"little"
        {
            return Err("its numbers are big-endian: save it again on another machine".to_owned());
        }
        let bytes = entry(
            &mut zip,
            length,
            &format!("{folder}data.pkl"),
            pickle::MAX_BYTES,
        )?;
        let pickle = Pickle::parse(bytes)?;
        let (named, others) = State::new(&pickle).dict(key)?;
        let mut tensors = Vec::with_capacity(named.len());
        let mut views = Vec::with_capacity(named.len());
        let mut total = 0u64;
        for (name, view) in named {
            let info = TensorInfo {
                name,
                dtype: view.dtype,
                shape: view.shape.clone(),
            };
            let wrong = |why: String| format!("{}: {why}", info.name);
            let bytes = view.check().map_err(wrong)?;
            let storage = format!("{folder}data/{}", view.storage);
            let there = size(&mut zip, length, &storage).map_err(wrong)?;
            let needed = view.held.checked_mul(view.width());
            if needed.is_none_or(|needed| needed > there) {
                let why = format!(
                    "its storage is said to hold {} values, and {storage} has {there} bytes",
                    view.held
                );
                return Err(wrong(why));
            }
            total = total.saturating_add(bytes);
            tensors.push(info);
            views.push(View { storage, ..view });
        }
        if total > length.saturating_mul(MAX_SHARING) {
            return Err(format!(
                "its tensors take {total} bytes in a file of {length}: too many share a storage"
            ));
        }
        let file = Self {
            zip,
            length,
            folder,
            views,
            last: None,
        };
        Ok((file, tensors, others))
    }

    /// Row-major bytes of a tensor.
    pub(super) fn bytes(&mut self, index: usize) -> Result<Vec<u8>, String> {
        let view = &self.views[index];
        let storage = match self.last.take() {
            Some((name, bytes)) if name == view.storage => bytes,
            _ => entry(&mut self.zip, self.length, &view.storage, self.length)?,
        };
        let bytes = view.gather(&storage);
        let name = view.storage.clone();
        self.last = Some((name, storage));
        bytes.ok_or_else(|| {
            let folder = &self.folder;
            format!("a storage in {folder} is shorter than when the file was opened")
        })
    }
}

/// The folder of the one pickle.
fn folder(zip: &ZipArchive<BufReader<File>>) -> Result<String, String> {
    let mut found = None;
    for name in zip.file_names() {
        let name = name.map_err(|e| format!("a name in the archive: {e}"))?;
        if name == "constants.pkl" || name.ends_with("/constants.pkl") {
            let why = "it is a TorchScript program; save its weights in Python: \
                       torch.save(torch.jit.load(FILE).state_dict(), \"new.pt\")";
            return Err(why.to_owned());
        }
        if let Some(folder) = name.strip_suffix("data.pkl")
            && (folder.is_empty() || folder.ends_with('/'))
        {
            if found.is_some() {
                return Err("it has more than one data.pkl".to_owned());
            }
            found = Some(folder.to_owned());
        }
    }
    found.ok_or_else(|| "it is a zip archive, but not one of PyTorch: no data.pkl".to_owned())
}

/// Size of an uncompressed entry that lies in the file as a whole.
fn size(zip: &mut ZipArchive<BufReader<File>>, length: u64, name: &str) -> Result<u64, String> {
    let entry = zip.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    let stored = entry.compression() == CompressionMethod::Stored && !entry.encrypted();
    if !stored || entry.size() != entry.compressed_size() {
        return Err(format!(
            "{name} is compressed or encrypted, which torch.save does not do"
        ));
    }
    let start = entry.data_start().unwrap_or(length);
    match start.checked_add(entry.size()) {
        Some(end) if end <= length => Ok(entry.size()),
        _ => Err(format!("{name} is cut short: fetch the file again")),
    }
}

/// An entry's bytes, checked against its checksum.
fn entry(
    zip: &mut ZipArchive<BufReader<File>>,
    length: u64,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, String> {
    let size = size(zip, length, name)?;
    if size > limit {
        return Err(format!("{name} has {size} bytes, at most {limit} are read"));
    }
    let mut bytes = Vec::new();
    let mut entry = zip.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    let read = entry.read_to_end(&mut bytes);
    read.map_err(|e| format!("{name}: {e}"))?;
    Ok(bytes)
}
