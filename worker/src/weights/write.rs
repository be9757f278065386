//! Safetensors files, a tensor at a time, whole or not at all.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo as Placed};

use super::{Error, TensorInfo};

/// What happens to a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    Refuse,
    Replace,
}

/// Writes `tensors` with the bytes that `bytes` gives for each place.
pub(super) fn write(
    out: &Path,
    overwrite: Overwrite,
    metadata: BTreeMap<String, String>,
    tensors: &[TensorInfo],
    bytes: impl FnMut(usize) -> Result<Vec<u8>, Error>,
) -> Result<(), Error> {
    if overwrite == Overwrite::Refuse && out.exists() {
        return Err(Error::Exists(out.to_owned()));
    }
    let failed = || Error::io("writing", out);
    let folder = match out.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Removed again unless it gets its name.
    let part = tempfile::Builder::new()
        .prefix(".ablate-")
        .suffix(".part")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed())?;
    let mut to = BufWriter::new(part.as_file());
    write_to(&mut to, metadata, tensors, bytes).map_err(|e| match e {
        Error::Io { doing, path, error } if path.as_os_str().is_empty() => {
            Error::io(doing, out)(error)
        }
        Error::Format { path, why } if path.as_os_str().is_empty() => Error::format(out, why),
        other => other,
    })?;
    to.flush().map_err(failed())?;
    drop(to);
    part.as_file().sync_all().map_err(failed())?;
    match overwrite {
        Overwrite::Replace => part.persist(out).map_err(|e| failed()(e.error))?,
        Overwrite::Refuse => part.persist_noclobber(out).map_err(|e| {
            if e.error.kind() == io::ErrorKind::AlreadyExists {
                Error::Exists(out.to_owned())
            } else {
                failed()(e.error)
            }
        })?,
    };
    let folder = File::open(folder).and_then(|folder| folder.sync_all());
    folder.map_err(failed())
}

/// Writes them one after the other; errors name no file.
pub(super) fn write_to(
    to: &mut impl Write,
    metadata: BTreeMap<String, String>,
    tensors: &[TensorInfo],
    mut bytes: impl FnMut(usize) -> Result<Vec<u8>, Error>,
) -> Result<(), Error> {
    let memory = Path::new("");
    let header = header(metadata, tensors).map_err(|why| Error::format(memory, why))?;
    let failed = || Error::io("writing", memory);
    begin(to, &header).map_err(failed())?;
    for (index, _) in order(tensors) {
        to.write_all(&bytes(index)?).map_err(failed())?;
    }
    Ok(())
}

/// Largest elements first, so that all are aligned; then by name.
fn order(tensors: &[TensorInfo]) -> Vec<(usize, &TensorInfo)> {
    let mut all: Vec<_> = tensors.iter().enumerate().collect();
    all.sort_by(|(_, a), (_, b)| (b.dtype, &a.name).cmp(&(a.dtype, &b.name)));
    all
}

/// The header of a file of these tensors, in their [order], without its length.
///
/// # Errors
/// When they would take more bytes than there are.
pub(crate) fn header(
    metadata: BTreeMap<String, String>,
    tensors: &[TensorInfo],
) -> Result<Vec<u8>, String> {
    let mut end = 0;
    let place = |(_, tensor): (usize, &TensorInfo)| {
        let start = end;
        end += tensor.bytes();
        let placed = Placed {
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            data_offsets: (start, end),
        };
        (tensor.name.clone(), placed)
    };
    let placed = order(tensors).into_iter().map(place).collect();
    let metadata = Metadata::new(Some(metadata.into_iter().collect()), placed);
    let metadata = metadata.map_err(|e| e.to_string())?;
    // By way of a value, whose keys are sorted: equal contents, equal bytes.
    let header = serde_json::to_value(metadata).map_err(|e| e.to_string())?;
    let mut header = serde_json::to_vec(&header).map_err(|e| e.to_string())?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn begin(to: &mut impl Write, header: &[u8]) -> io::Result<()> {
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    to.write_all(header)
}
