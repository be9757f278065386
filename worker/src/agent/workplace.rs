//! The folders of attempts on the scratch disk. One that an attempt has left
//! in good order is emptied and used again: making and removing the folders of
//! a short program costs as much as starting it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What may stay, if it is empty and was not changed.
const KEPT: [&str; 4] = ["work", "out", "checkpoint", "tmp"];
/// Folders that wait to be used again.
const MOST: usize = 256;

/// The folder of one attempt; made by whoever uses it first.
#[derive(Debug)]
pub(super) struct Workplace {
    root: PathBuf,
    /// Nothing that the attempt started can still be at work in it.
    pub(super) quiet: bool,
}

impl Workplace {
    /// Where a user's program runs.
    pub(super) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    pub(super) fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    /// An imported data set, for the stage that draws from it.
    pub(super) fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    /// Checkpoints on their way to the store.
    pub(super) fn outgoing(&self) -> PathBuf {
        self.root.join("outgoing")
    }

    /// The checkpoint to resume from.
    pub(super) fn resume(&self) -> PathBuf {
        self.root.join("resume")
    }
}

#[derive(Debug)]
pub(super) struct Workplaces {
    root: PathBuf,
    pool: Mutex<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    made: u64,
    empty: Vec<PathBuf>,
}

impl Workplaces {
    pub(super) fn new(root: PathBuf) -> Self {
        let pool = Mutex::default();
        Self { root, pool }
    }

    pub(super) fn take(&self) -> Workplace {
        let mut pool = self.pool();
        let root = pool.empty.pop().unwrap_or_else(|| {
            pool.made += 1;
            self.root.join(pool.made.to_string())
        });
        let quiet = false;
        Workplace { root, quiet }
    }

    /// Empties a folder that is no longer needed, or removes it. Waits for the
    /// disk.
    pub(super) fn give_back(&self, place: &Workplace) {
        let root = &place.root;
        if place.quiet && self.pool().empty.len() < MOST && tidy(root).is_ok() {
            self.pool().empty.push(root.clone());
        } else if let Err(error) = fs::remove_dir_all(root)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %root.display(), %error, "scratch files stay");
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves nothing but empty folders as they were made.
fn tidy(root: &Path) -> io::Result<()> {
    let mode = fs::symlink_metadata(root)?.permissions().mode();
    for entry in fs::read_dir(root)? {
        let (entry, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        // Of the entry itself: links are not followed.
        let meta = fs::symlink_metadata(&path)?;
        if !meta.is_dir() {
            fs::remove_file(&path)?;
            continue;
        }
        let ours = KEPT.iter().any(|name| entry == *name) && meta.permissions().mode() == mode;
        if !ours || fs::read_dir(&path)?.next().is_some() {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_quiet_folder_comes_back_empty_and_another_is_removed() {
        let site = tempfile::tempdir().unwrap();
        let outside = site.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "kept").unwrap();
        let places = Workplaces::new(site.path().join("attempts"));
        let mut place = places.take();
        for name in ["work/deep", "checkpoint", "tmp", "resume"] {
            fs::create_dir_all(place.root.join(name)).unwrap();
        }
        symlink(&outside, place.out()).unwrap();
        symlink(&outside, place.root.join("checkpoint/link")).unwrap();
        fs::write(place.root.join("params.json"), "{}").unwrap();
        place.quiet = true;
        places.give_back(&place);
        let again = places.take();
        assert_eq!(again.root, place.root);
        let left = fs::read_dir(&again.root).unwrap();
        let left: Vec<_> = left.map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["tmp"]);
        assert!(outside.join("file").exists());
        // Something may still write into it.
        places.give_back(&again);
        assert!(!again.root.exists());
        assert_ne!(places.take().root, again.root);
    }

    #[test]
    fn a_folder_with_other_permissions_is_made_anew() {
        let site = tempfile::tempdir().unwrap();
        let places = Workplaces::new(site.path().to_owned());
        let mut place = places.take();
        fs::create_dir_all(place.work()).unwrap();
        fs::set_permissions(place.work(), fs::Permissions::from_mode(0o700)).unwrap();
        place.quiet = true;
        places.give_back(&place);
        assert!(!place.work().exists());
    }
}
