//! The folder of an attempt on the scratch disk, emptied for the next one:
//! making and removing the folders and files of a short program costs as much
//! as starting it, and where many were removed lately far more.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::libc::O_NOFOLLOW;

/// What a program's parameters are handed over in.
pub(crate) const PARAMETERS: &str = "params.json";
/// What a program writes its measurements to.
pub(crate) const METRICS: &str = "metrics.jsonl";

/// Folders that may stay, if they are empty and were not changed.
const FOLDERS: [&str; 4] = ["work", "out", "checkpoint", "tmp"];
/// Files that may stay, to be written over ([`file`]).
const FILES: [&str; 2] = [PARAMETERS, METRICS];

/// Leaves nothing but empty folders as they were made, and files that are
/// written over; whether all folders that may stay are there.
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
        let is = |names: &[&str]| names.iter().any(|name| entry == *name);
        if meta.is_dir() {
            let ours = is(&FOLDERS) && meta.permissions().mode() == mode;
            if ours && fs::read_dir(&path)?.next().is_none() {
                kept += 1;
            } else {
                fs::remove_dir_all(&path)?;
            }
        } else if !(is(&FILES) && may_be_written_over(&meta)) {
            fs::remove_file(&path)?;
        }
    }
    Ok(kept == FOLDERS.len())
}

/// Under another name its content may be wanted.
fn may_be_written_over(meta: &fs::Metadata) -> bool {
    meta.is_file() && meta.nlink() == 1
}

/// A file to read and write: the one that an earlier attempt left, whatever is
/// in it, or a new one in the place of whatever else is there.
///
/// # Errors
/// When there can be none.
pub(crate) fn file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(O_NOFOLLOW);
    if let Ok(file) = options.open(path)
        && may_be_written_over(&file.metadata()?)
    {
        return Ok(file);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => options.create_new(true).open(path),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_used_again_unless_it_is_or_was_another() {
        let site = tempfile::tempdir().unwrap();
        let (path, other) = (site.path().join(METRICS), site.path().join("other"));
        let number = |file: File| file.metadata().unwrap().ino();
        let first = number(file(&path).unwrap());
        assert_eq!(number(file(&path).unwrap()), first);
        // Somebody keeps it under another name.
        fs::hard_link(&path, &other).unwrap();
        assert_ne!(number(file(&path).unwrap()), first);
        fs::remove_file(&path).unwrap();
        symlink(&other, &path).unwrap();
        assert_ne!(number(file(&path).unwrap()), first);
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }
}
