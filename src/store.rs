//! Opens the object store that a URL or a path names.

mod cloud;
mod folder;
pub(crate) mod leftovers;
mod redact;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use object_store::ObjectStore;

/// The folder behind a store on this machine: `file:///…`, `file:…` or a
/// plain path. `None` for other URLs.
pub(crate) fn local_folder(url: &str) -> Option<PathBuf> {
    if let Some(rest) = url.strip_prefix("file://") {
        return Some(PathBuf::from(rest));
    }
    if let Some(rest) = url.strip_prefix("file:") {
        return Some(PathBuf::from(rest));
    }
    (!url.contains("://")).then(|| PathBuf::from(url))
}

/// The URL with a relative path made absolute, as other processes need it.
pub(crate) fn absolute(url: &str) -> anyhow::Result<String> {
    let Some(folder) = local_folder(url) else {
        return Ok(url.to_owned());
    };
    let folder = std::path::absolute(&folder)
        .with_context(|| format!("finding the folder of store {url}"))?;
    Ok(format!("file://{}", folder.display()))
}

/// Opens a store. A local folder is made if it is missing, and writes to it
/// are synced, since the coordinator's state depends on them.
pub(crate) fn open(url: &str) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let Some(folder) = local_folder(url) else {
        let scheme = url.split("://").next().unwrap_or_default();
        if cloud::SCHEMES.contains(&scheme) {
            return cloud::open(url);
        }
        bail!(
            "this build has no stores behind `{scheme}://`: use s3://bucket/prefix, or a folder \
             that all machines share, as file:///path (gs:// and az:// take a build with \
             --features gcs or azure)"
        );
    };
    open_folder(&folder)
}

/// Opens a store that must be there already: a folder is not made.
pub(crate) fn open_existing(url: &str) -> anyhow::Result<Arc<dyn ObjectStore>> {
    if let Some(folder) = local_folder(url) {
        ensure!(
            folder.is_dir(),
            "there is no store in {}: no such folder",
            folder.display()
        );
    }
    open(url)
}

fn open_folder(folder: &Path) -> anyhow::Result<Arc<dyn ObjectStore>> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("making the store's folder {}", folder.display()))?;
    let store = folder::Folder::open(folder)
        .with_context(|| format!("opening the store in {}", folder.display()))?;
    Ok(Arc::new(store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_file_urls_are_local_and_others_are_refused_by_name() {
        for (url, folder) in [
            ("runs", "runs"),
            ("/data/x", "/data/x"),
            ("file:///data/x", "/data/x"),
            ("file:x", "x"),
        ] {
            assert_eq!(local_folder(url), Some(PathBuf::from(folder)), "{url}");
        }
        assert_eq!(local_folder("s3://bucket/x"), None);
        let refused = open("ftp://box/x").map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("ftp://"), "{refused}");
    }
}
