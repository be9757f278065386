//! Files that travel with a sweep on their way into the working folder of a
//! task. Those used last are kept in memory.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ablate_proto::failure::Failure;
use ablate_proto::stage::CommandSpec;
use bytes::Bytes;

use crate::artifacts::{Store, travelling_file};

/// What is kept, in bytes.
const KEEP: usize = 32 << 20;

#[derive(Debug, Default)]
pub(super) struct Baggage {
    known: Mutex<HashMap<String, Bytes>>,
}

impl Baggage {
    /// Writes the files of a stage into its working folder, which is made, as
    /// is `out`.
    pub(super) async fn unpack(
        &self,
        store: &Store,
        spec: &CommandSpec,
        work: PathBuf,
        out: PathBuf,
    ) -> Result<(), Failure> {
        let mut files = Vec::with_capacity(spec.files.len());
        for (path, digest) in &spec.files {
            files.push((work.join(path), self.get(store, digest).await?));
        }
        let written = crate::files::blocking(move || {
            fs::create_dir_all(out)?;
            write(&work, &files)
        });
        let written = written.await.map_err(|e| Failure::bug(e.to_string()))?;
        written.map_err(|e| Failure::transient(format!("writing files of the sweep: {e}")))
    }

    async fn get(&self, store: &Store, digest: &str) -> Result<Bytes, Failure> {
        let known = |baggage: &Self| {
            let known = baggage.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(digest).cloned()
        };
        if let Some(bytes) = known(self) {
            return Ok(bytes);
        }
        let bytes = travelling_file(store, digest).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = known.values().map(Bytes::len).sum();
        if kept + bytes.len() > KEEP {
            known.clear();
        }
        known.insert(digest.to_owned(), bytes.clone());
        Ok(bytes)
    }
}

fn write(work: &Path, files: &[(PathBuf, Bytes)]) -> io::Result<()> {
    fs::create_dir_all(work)?;
    for (path, bytes) in files {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
        // A script may be what runs.
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
