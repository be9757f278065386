//! What a program left in its output folder, before anybody reads it.

use std::fs;
use std::path::Path;

use ablate_proto::failure::Failure;

use crate::runner::context::METRICS;
use crate::runner::failure::OrFail as _;

/// Refuses what is not a folder of plain files: a link could lead anywhere.
/// (Names are checked where files are uploaded, and links there again.)
/// Whether there are any.
pub(super) fn check(out: &Path) -> Result<bool, Failure> {
    let doing = "looking at the output folder";
    let refuse = |what: String| {
        Err(Failure::bug(format!(
            "the program left {what} as its output, but ABLATE_OUTPUT is a folder of plain \
             files; pack folders into one file"
        )))
    };
    let folder = fs::symlink_metadata(out);
    if !folder.is_ok_and(|meta| meta.is_dir()) {
        return refuse("something that is not a folder".to_owned());
    }
    let mut any = false;
    for entry in fs::read_dir(out).or_transient(doing)? {
        any = true;
        let entry = entry.or_transient(doing)?;
        let name = entry.file_name();
        let kind = entry.file_type().or_transient(doing)?;
        if kind.is_symlink() {
            return refuse(format!("{name:?}, a link"));
        }
        if !kind.is_file() {
            return refuse(format!("{name:?}, which is not a file"));
        }
        if name == METRICS {
            return refuse(format!("{name:?}, which ABLATE_METRICS becomes"));
        }
    }
    Ok(any)
}
