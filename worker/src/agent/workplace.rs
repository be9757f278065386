//! The folders of attempts on the scratch disk. One that an attempt has left
//! in good order is emptied and used again.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::scratch;

/// Folders that wait to be used again.
const MOST: usize = 256;

/// The folder of one attempt; made by whoever uses it first.
#[derive(Debug)]
pub(super) struct Workplace {
    root: PathBuf,
    /// All of its folders are there, and empty.
    made: bool,
    /// Nothing that the attempt started can still be at work in it.
    pub(super) quiet: bool,
    /// And it left no file, and its runner has tidied up.
    pub(super) emptied: bool,
}

impl Workplace {
    /// Whether its folders need not be made.
    pub(super) fn is_made(&self) -> bool {
        self.made
    }

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

    /// Of inputs that left nothing.
    pub(super) fn nothing(&self) -> PathBuf {
        self.root.join("nothing")
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
    /// And whether all of its folders are there.
    empty: Vec<(PathBuf, bool)>,
}

impl Workplaces {
    pub(super) fn new(root: PathBuf) -> Self {
        let pool = Mutex::default();
        Self { root, pool }
    }

    pub(super) fn take(&self) -> Workplace {
        let mut pool = self.pool();
        let (root, made) = pool.empty.pop().unwrap_or_else(|| {
            pool.made += 1;
            (self.root.join(pool.made.to_string()), false)
        });
        Workplace {
            root,
            made,
            quiet: false,
            emptied: false,
        }
    }

    /// Takes back a folder that its runner has emptied, unless there are
    /// enough. Does not touch the disk.
    pub(super) fn put(&self, place: &Workplace) -> bool {
        let mut pool = self.pool();
        let kept = place.emptied && pool.empty.len() < MOST;
        if kept {
            pool.empty.push((place.root.clone(), true));
        }
        kept
    }

    /// Empties a folder that is no longer needed, or removes it. Waits for the
    /// disk.
    pub(super) fn give_back(&self, place: &Workplace) {
        let root = &place.root;
        let room = place.quiet && self.pool().empty.len() < MOST;
        if room && let Ok(made) = scratch::tidy(root) {
            self.pool().empty.push((root.clone(), made));
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

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
        symlink(outside.join("file"), place.root.join("params.json")).unwrap();
        place.quiet = true;
        places.give_back(&place);
        let again = places.take();
        assert_eq!(again.root, place.root);
        let left = fs::read_dir(&again.root).unwrap();
        let left: Vec<_> = left.map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["tmp"]);
        fs::write(again.root.join("params.json"), "{}").unwrap();
        assert!(!scratch::tidy(&again.root).unwrap());
        assert!(again.root.join("params.json").exists());
        assert!(!again.is_made());
        assert!(outside.join("file").exists());
        // Something may still write into it.
        places.give_back(&again);
        assert!(!again.root.exists());
        assert_ne!(places.take().root, again.root);
    }

    #[test]
    fn a_folder_whose_parts_are_all_there_need_not_be_made() {
        let site = tempfile::tempdir().unwrap();
        let places = Workplaces::new(site.path().to_owned());
        let mut place = places.take();
        assert!(!place.is_made());
        for name in ["work", "out", "checkpoint", "tmp"] {
            fs::create_dir_all(place.root.join(name)).unwrap();
        }
        fs::write(place.work().join("file"), "").unwrap();
        place.quiet = true;
        places.give_back(&place);
        let again = places.take();
        assert!(!again.is_made() && !again.work().exists());
        fs::create_dir(again.work()).unwrap();
        assert!(scratch::tidy(&again.root).unwrap());
        let mut again = again;
        assert!(!places.put(&again), "nobody says that it is empty");
        again.emptied = true;
        assert!(places.put(&again));
        assert!(places.take().is_made());
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
