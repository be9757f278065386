//! Halves of writes in a folder. A write goes to `name#N` first and is moved
//! when it is whole; one that was killed stays there for ever, where no
//! listing of the store shows it. On S3 they are unfinished uploads, which a
//! lifecycle rule of the bucket removes.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ablate_coordinator::gc::Amount;
use anyhow::Context;

use super::local_folder;

/// Removes those older than `grace`; says how many there were. Links are not
/// followed.
pub(crate) fn remove(url: &str, grace: Duration, dry_run: bool) -> anyhow::Result<Amount> {
    let mut amount = Amount::default();
    let Some(root) = local_folder(url) else {
        return Ok(amount);
    };
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder)
            .with_context(|| format!("looking for halves of writes in {}", folder.display()))?;
        for entry in entries.flatten() {
            // What goes away meanwhile is a write that became whole.
            let Ok(meta) = entry.metadata() else { continue };
            let path = entry.path();
            if meta.is_dir() {
                folders.push(path);
            } else if meta.is_file() && is_partial(&path) && is_old(&meta, grace) {
                if !dry_run && fs::remove_file(&path).is_err() {
                    continue;
                }
                amount.objects += 1;
                amount.bytes += meta.len();
            }
        }
    }
    Ok(amount)
}

fn is_partial(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| Some(name.rsplit_once('#')?.1));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn is_old(meta: &fs::Metadata, grace: Duration) -> bool {
    let modified = meta.modified().ok();
    let age = modified.and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_some_and(|age| age >= grace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_halves_of_writes_that_are_old_go() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("tasks/a/1");
        fs::create_dir_all(&folder).unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("x#1"), "mine").unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("link")).unwrap();
        for name in ["whole", "whole#", "a#b", "half#1", "half#23"] {
            fs::write(folder.join(name), "123").unwrap();
        }
        let url = root.path().to_str().unwrap();
        let expected = Amount {
            objects: 2,
            bytes: 6,
        };
        let hour = Duration::from_secs(3600);
        assert_eq!(remove(url, hour, false).unwrap(), Amount::default());
        assert_eq!(remove(url, Duration::ZERO, true).unwrap(), expected);
        assert_eq!(remove(url, Duration::ZERO, false).unwrap(), expected);
        assert_eq!(
            remove(url, Duration::ZERO, false).unwrap(),
            Amount::default()
        );
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
        assert!(outside.path().join("x#1").exists());
        assert_eq!(remove("s3://b/x", hour, false).unwrap(), Amount::default());
    }
}
