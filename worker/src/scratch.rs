//! The folder of an attempt on the scratch disk, emptied for the next one:
//! making and removing the folders of a short program costs as much as
//! starting it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What may stay, if it is empty and was not changed.
const KEPT: [&str; 4] = ["work", "out", "checkpoint", "tmp"];

/// Leaves nothing but empty folders as they were made; whether all that may
/// stay are there.
///
/// # Errors
/// When something cannot be removed.
pub(crate) fn tidy(root: &Path) -> io::Result<bool> {
    let mode = fs::symlink_metadata(root)?.permissions().mode();
    let mut kept = 0;
    for entry in fs::read_dir(root)? {
        let (entry, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        // Of the entry itself: links are not followed.
        let meta = fs::symlink_metadata(&path)?;
        if !meta.is_dir() {
            fs::remove_file(&path)?;
            continue;
        }
        let ours = KEPT.iter().any(|name| entry == *name) && meta.permissions().mode() == mode;
        if ours && fs::read_dir(&path)?.next().is_none() {
            kept += 1;
        } else {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(kept == KEPT.len())
}
