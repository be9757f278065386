//! Artefacts of parents on the local disk: `cache/<task key>/manifest.json`
//! and `cache/<task key>/files/…`; and what is known by its content, shards of
//! imported data sets and weights: `cache/shard-<blake3>/files/shard.bin`.
//!
//! Requests for the same artefact share one download. The total size is
//! bounded: what was not used for longest goes first, and what a task uses
//! never goes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ablate_proto::artifact::{FileEntry, Manifest};
use ablate_proto::id::TaskKey;
use ablate_proto::layout;
use futures::{StreamExt, TryStreamExt, stream};

use super::dataset as shard;
use super::{ArtifactError, Store, manifest};
use crate::files::fs;

const FILES_IN_FLIGHT: usize = 4;

/// How the folders of shards are called, before their digest.
const SHARD: &str = "shard-";

/// An artefact on the local disk; it stays there while this is held.
#[derive(Debug)]
pub(crate) struct Cached {
    pub(crate) folder: PathBuf,
    _pin: Arc<Entry>,
}

#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    limit: u64,
    /// By the name of the folder.
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    /// Counts uses; an entry's last use is the count at that time.
    uses: AtomicU64,
}

/// In use while its count of references is above one.
#[derive(Debug, Default)]
struct Entry {
    /// What lies in the folder, once it does. Held while downloading.
    files: tokio::sync::Mutex<Option<Present>>,
    bytes: AtomicU64,
    last_use: AtomicU64,
}

/// Files on the disk.
#[derive(Debug)]
struct Present {
    files: Vec<FileEntry>,
    /// By this process, byte for byte. What an earlier one left is checked
    /// when it is first asked for.
    checked: bool,
}

impl Cached {
    /// The file of a shard.
    pub(crate) fn shard_file(&self) -> PathBuf {
        self.folder.join(shard::FILE)
    }
}

impl Cache {
    /// Opens the cache below `root`, with what an earlier worker left there.
    /// The folder must not be shared with another process.
    pub(crate) async fn open(root: PathBuf, limit: u64) -> Result<Self, ArtifactError> {
        let local = || ArtifactError::local(format!("opening the cache {}", root.display()));
        fs::create_dir_all(&root).await.map_err(local())?;
        let mut found = Vec::new();
        let mut entries = fs::read_dir(&root).await.map_err(local())?;
        while let Some(entry) = entries.next_entry().await.map_err(local())? {
            match kept(&entry.path()).await {
                Some(kept) => {
                    let used = entry.metadata().await.and_then(|m| m.modified());
                    found.push((used.ok(), kept));
                }
                None => remove(&entry.path()).await?,
            }
        }
        found.sort_by_key(|(used, _)| *used);
        let cache = Self {
            root,
            limit,
            entries: Mutex::default(),
            uses: AtomicU64::new(0),
        };
        for (_, (name, files)) in found {
            let entry = cache.entry(&name);
            let bytes = files.iter().map(|f| f.bytes).sum();
            entry.bytes.store(bytes, Ordering::Relaxed);
            *entry.files.lock().await = Some(Present {
                files,
                checked: false,
            });
        }
        Ok(cache)
    }

    /// The artefact of `task`, downloaded unless it is here already.
    ///
    /// # Errors
    /// `Missing` or `Broken`, naming the file, when the store does not hold
    /// what the manifest says.
    pub(crate) async fn get(&self, store: &Store, task: TaskKey) -> Result<Cached, ArtifactError> {
        let pin = self.entry(&task.to_string());
        let home = self.root.join(task.to_string());
        let folder = home.join("files");
        let mut files = pin.files.lock().await;
        if let Some(known) = files.as_ref()
            && known.checked
            && sizes_match(&folder, &known.files).await
        {
            drop(files);
            return Ok(Cached { folder, _pin: pin });
        }
        let (manifest, _) = manifest::load(store, &task)
            .await?
            .ok_or_else(|| ArtifactError::Missing(layout::manifest(&task)))?;
        if let Some(known) = files.as_mut() {
            let same = known.files == manifest.files;
            if same && digests_match(&folder, &known.files).await {
                known.checked = true;
                drop(files);
                return Ok(Cached { folder, _pin: pin });
            }
            tracing::warn!(task = %task.short(), "the cached artefact is not the stored one; fetching that");
            *files = None;
            pin.bytes.store(0, Ordering::Relaxed);
        }
        let bytes = manifest.files.iter().map(|f| f.bytes).sum();
        // Counted before it is there, so that concurrent downloads make room
        // for each other.
        pin.bytes.store(bytes, Ordering::Relaxed);
        self.make_room().await;
        let fetched = fetch(store, &manifest, &self.root, &home).await;
        if let Err(error) = fetched {
            pin.bytes.store(0, Ordering::Relaxed);
            return Err(error);
        }
        *files = Some(Present {
            files: manifest.files,
            checked: true,
        });
        drop(files);
        Ok(Cached { folder, _pin: pin })
    }

    /// The shard with this digest and so many bytes, downloaded unless it is
    /// here already.
    ///
    /// # Errors
    /// `Missing` or `Broken`, when the store does not hold it.
    pub(crate) async fn shard(
        &self,
        store: &Store,
        blake3: &str,
        bytes: u64,
    ) -> Result<Cached, ArtifactError> {
        let key = layout::dataset_shard(blake3);
        self.content(store, &key, blake3, Some(bytes)).await
    }

    /// The object at `key` with this digest, of so many bytes if they are
    /// known, downloaded unless it is here already.
    ///
    /// # Errors
    /// `Missing` or `Broken`, when the store does not hold it.
    pub(crate) async fn content(
        &self,
        store: &Store,
        key: &str,
        blake3: &str,
        bytes: Option<u64>,
    ) -> Result<Cached, ArtifactError> {
        let name = format!("{SHARD}{blake3}");
        let pin = self.entry(&name);
        let home = self.root.join(name);
        let folder = home.join("files");
        let mut files = pin.files.lock().await;
        if let Some(known) = files.as_mut() {
            let whole = sizes_match(&folder, &known.files).await;
            if whole && (known.checked || digests_match(&folder, &known.files).await) {
                known.checked = true;
                drop(files);
                return Ok(Cached { folder, _pin: pin });
            }
            tracing::warn!(
                key,
                "what was in the cache of it is damaged; fetching it again"
            );
            *files = None;
        }
        // Counted before it is there, as above, if it is known.
        pin.bytes.store(bytes.unwrap_or(0), Ordering::Relaxed);
        self.make_room().await;
        let fetched = shard::fetch(store, &self.root, &home, (key, blake3, bytes)).await;
        let fetched = fetched.inspect_err(|_| pin.bytes.store(0, Ordering::Relaxed))?;
        pin.bytes.store(fetched.bytes, Ordering::Relaxed);
        *files = Some(Present {
            files: vec![fetched],
            checked: true,
        });
        drop(files);
        Ok(Cached { folder, _pin: pin })
    }

    fn entry(&self, name: &str) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(name.to_owned()).or_default();
        entry.last_use.store(self.tick(), Ordering::Relaxed);
        entry.clone()
    }

    fn tick(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    /// Evicts until the cache is within its bound, or everything is in use.
    async fn make_room(&self) {
        while let Some(evicted) = self.evict() {
            if let Err(error) = remove(&evicted).await {
                tracing::warn!(%error, "could not evict from the cache");
            }
        }
    }

    /// Takes the longest unused artefact out; returns where it lies now.
    fn evict(&self) -> Option<PathBuf> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let total: u64 = entries
            .values()
            .map(|e| e.bytes.load(Ordering::Relaxed))
            .sum();
        if total <= self.limit {
            return None;
        }
        let idle = entries.iter().filter(|(_, e)| Arc::strong_count(e) == 1);
        let oldest = idle.min_by_key(|(_, e)| e.last_use.load(Ordering::Relaxed));
        let name = oldest?.0.clone();
        entries.remove(&name);
        // Moved while the map is locked: whoever asks for it next must not
        // have it deleted under their hands.
        let evicted = self.root.join(format!(".{name}.evicted-{}", self.tick()));
        let moved = std::fs::rename(self.root.join(&name), &evicted);
        if let Err(error) = moved {
            tracing::debug!(name, %error, "nothing to evict");
        }
        Some(evicted)
    }
}

/// Downloads into a folder beside its place, then moves it there.
async fn fetch(
    store: &Store,
    manifest: &Manifest,
    root: &Path,
    home: &Path,
) -> Result<(), ArtifactError> {
    let local = || ArtifactError::local(format!("filling the cache {}", root.display()));
    let part = root.join(format!(".{}.part", manifest.task()));
    remove(&part).await?;
    let files = part.join("files");
    fs::create_dir_all(&files).await.map_err(local())?;
    let download = async |file: &FileEntry| {
        let key = layout::attempt_file(&manifest.attempt, &file.name);
        let path = files.join(&file.name);
        let arrived = store.download(&key, &path, Some(file.bytes)).await?;
        if arrived.bytes != file.bytes || arrived.blake3.to_hex().as_str() != file.blake3 {
            let why = format!(
                "{} bytes with blake3 {}, but its manifest says {} bytes with {}",
                arrived.bytes,
                arrived.blake3.to_hex(),
                file.bytes,
                file.blake3
            );
            return Err(ArtifactError::broken(key, why));
        }
        Ok(())
    };
    let downloads = stream::iter(manifest.files.iter().map(download));
    let downloads = downloads.buffer_unordered(FILES_IN_FLIGHT);
    let outcome = downloads.try_collect::<()>().await;
    if let Err(error) = outcome {
        remove(&part).await?;
        return Err(error);
    }
    let text = serde_json::to_vec(manifest).map_err(std::io::Error::from);
    let text = text.map_err(local())?;
    fs::write(part.join("manifest.json"), text)
        .await
        .map_err(local())?;
    remove(home).await?;
    fs::rename(&part, home).await.map_err(local())
}

/// The name of a folder that an earlier worker filled, and its files.
async fn kept(home: &Path) -> Option<(String, Vec<FileEntry>)> {
    let name = home.file_name()?.to_str()?.to_owned();
    if let Some(blake3) = name.strip_prefix(SHARD) {
        let files = vec![shard::kept(home, blake3).await?];
        return Some((name, files));
    }
    let key: TaskKey = name.parse().ok()?;
    let text = fs::read(home.join("manifest.json")).await.ok()?;
    let manifest: Manifest = serde_json::from_slice(&text).ok()?;
    let whole = sizes_match(&home.join("files"), &manifest.files).await;
    (manifest.task() == key && whole).then_some((name, manifest.files))
}

async fn sizes_match(folder: &Path, files: &[FileEntry]) -> bool {
    for file in files {
        match fs::symlink_metadata(folder.join(&file.name)).await {
            Ok(meta) if meta.is_file() && meta.len() == file.bytes => {}
            _ => return false,
        }
    }
    true
}

/// Reads every file: what lay on a disk for a while may have changed.
async fn digests_match(folder: &Path, files: &[FileEntry]) -> bool {
    let (folder, files) = (folder.to_owned(), files.to_vec());
    let check = crate::files::blocking(move || {
        files.iter().all(|file| {
            let mut hasher = blake3::Hasher::new();
            let read = std::fs::File::open(folder.join(&file.name))
                .and_then(|open| hasher.update_reader(open).map(|_| ()));
            read.is_ok()
                && hasher.count() == file.bytes
                && hasher.finalize().to_hex().as_str() == file.blake3
        })
    });
    check.await.unwrap_or(false)
}

pub(super) async fn remove(path: &Path) -> Result<(), ArtifactError> {
    match fs::remove_dir_all(path).await {
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => fs::remove_file(path)
            .await
            .map_err(ArtifactError::local(format!("removing {}", path.display()))),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(ArtifactError::local(format!("removing {}", path.display()))(e))
        }
        _ => Ok(()),
    }
}
