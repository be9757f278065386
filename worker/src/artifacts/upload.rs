//! Uploads what a stage left in its `out` folder.

use std::path::{Path, PathBuf};

use ablate_proto::artifact::FileEntry;
use ablate_proto::id::AttemptId;
use ablate_proto::layout;
use futures::{StreamExt, TryStreamExt, stream};

use super::name::check_file_name;
use super::{ArtifactError, Store, checkpoint};

/// Files of one attempt in flight.
const FILES_IN_FLIGHT: usize = 4;

/// Uploads every file of `folder` to `tasks/<key>/<attempt>/`; the entries are
/// sorted by name. Folders, links and odd names are refused.
pub(crate) async fn upload_folder(
    store: &Store,
    attempt: &AttemptId,
    folder: &Path,
) -> Result<Vec<FileEntry>, ArtifactError> {
    let files = scan(folder).await?;
    let upload = async |(name, path): (String, PathBuf)| {
        let key = layout::attempt_file(attempt, &name);
        let digest = store.upload(&key, &path).await?;
        Ok::<_, ArtifactError>(FileEntry {
            name,
            bytes: digest.bytes,
            blake3: digest.blake3.to_hex().to_string(),
        })
    };
    let uploads = files.into_iter().map(upload);
    let uploads = stream::iter(uploads).buffer_unordered(FILES_IN_FLIGHT);
    let mut entries: Vec<FileEntry> = uploads.try_collect().await?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Deletes the files of an attempt whose result nobody will refer to.
pub(crate) async fn delete_files(store: &Store, attempt: &AttemptId, files: &[FileEntry]) {
    for file in files {
        store
            .delete(&layout::attempt_file(attempt, &file.name))
            .await;
    }
}

async fn scan(folder: &Path) -> Result<Vec<(String, PathBuf)>, ArtifactError> {
    let folder = folder.to_owned();
    let doing = format!("listing {}", folder.display());
    let scanned = crate::files::blocking(move || scan_now(&folder)).await;
    scanned.map_err(|e| ArtifactError::local(doing)(std::io::Error::other(e)))?
}

fn scan_now(folder: &Path) -> Result<Vec<(String, PathBuf)>, ArtifactError> {
    let local = || ArtifactError::local(format!("listing {}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(local())? {
        let entry = entry.map_err(local())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Of the entry itself: a link is not followed.
        let kind = entry.file_type().map_err(local())?;
        if !kind.is_file() {
            return Err(ArtifactError::Output(format!(
                "{name:?}, which is not a file"
            )));
        }
        if check_file_name(&name).is_err() || checkpoint::parse(&name).is_some() {
            return Err(ArtifactError::Output(format!(
                "a file with the name {name:?}"
            )));
        }
        files.push((name, entry.path()));
    }
    Ok(files)
}
