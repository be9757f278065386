//! The folder that a program finds again in its next attempt, as one file
//! (a zip without compression) on its way through the store.
//!
//! A snapshot holds what lay in the folder at one moment: if anything changed
//! meanwhile, it is thrown away and tried again. Names that begin with a dot
//! or end in `.tmp` are left out, so that a program can write a file there and
//! rename it when it is whole. Links are not followed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ablate_proto::failure::Failure;
use serde::{Deserialize, Serialize};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::metrics::Metrics;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;
use crate::runner::protocol::FromRunner;

const HEADER: &str = ".ablate.json";
const ROWS: &str = ".metrics.jsonl";
const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 8;
/// Of the two entries that are ours.
const MAX_OURS: u64 = 256 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    task: String,
    /// Counts the snapshots of a task, over all of its attempts.
    number: u64,
    /// As the program reported it.
    step: u64,
}

/// A file of the folder; a changed one differs in some of this.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    path: PathBuf,
    /// With `/`, from the folder.
    name: String,
    bytes: u64,
    changed: Option<SystemTime>,
}

pub(super) struct Keeper {
    folder: PathBuf,
    number: u64,
    /// What was there at the beginning.
    given: Vec<Found>,
    saved: Vec<Found>,
}

impl Keeper {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            number: 0,
            given: Vec::new(),
            saved: Vec::new(),
        }
    }

    /// Puts back what an earlier attempt left.
    pub(super) fn resume(&mut self, context: &mut Context, metrics: &mut Metrics) {
        let Some(path) = context.job().checkpoint.clone() else {
            return;
        };
        let task = context.job().task.key.to_string();
        match unpack(&path, &task, &self.folder) {
            Ok((header, rows)) => {
                self.number = header.number;
                metrics.restore(&rows);
                context.resumed_at(header.step);
            }
            // The work can be done again.
            Err(failure) => {
                tracing::warn!(%failure, "the checkpoint cannot be used: starting over");
                let _ = fs::remove_dir_all(&self.folder);
                let _ = fs::create_dir_all(&self.folder);
                let (attempt, why) = (context.job().attempt, failure.cause);
                context.tell(FromRunner::Unusable { attempt, why });
            }
        }
        self.given = list(&self.folder).unwrap_or_default();
        self.saved = self.given.clone();
    }

    /// Whether there was never anything to go on from.
    pub(super) fn is_unused(&self) -> bool {
        self.given.is_empty() && self.saved.is_empty()
    }

    /// Whether the program has left something new.
    pub(super) fn changed(&self) -> bool {
        let now = list(&self.folder).unwrap_or_default();
        !now.is_empty() && now != self.given
    }

    /// Takes a snapshot if something is new; what cannot be taken now is
    /// taken later.
    pub(super) fn save(&mut self, context: &mut Context, metrics: &mut Metrics) {
        match self.snapshot(context, metrics) {
            Ok(Some(path)) => context.checkpointed(self.number, path),
            Ok(None) => context.no_checkpoint(),
            Err(failure) => tracing::warn!(%failure, "no checkpoint this time"),
        }
    }

    fn snapshot(
        &mut self,
        context: &Context,
        metrics: &mut Metrics,
    ) -> Result<Option<PathBuf>, Failure> {
        let found = list(&self.folder)?;
        if found.is_empty() || found == self.saved {
            return Ok(None);
        }
        // What it measured before it wrote these files is there by now.
        while metrics.look()? {}
        let header = Header {
            task: context.job().task.key.to_string(),
            number: self.number + 1,
            step: metrics.step(),
        };
        let path = self
            .folder
            .with_file_name(format!("snapshot-{}", header.number));
        let packed = pack(&path, &header, &metrics.text(), &found);
        let same = packed.is_ok() && list(&self.folder).is_ok_and(|now| now == found);
        if !same {
            let _ = fs::remove_file(&path);
            // Perhaps the file that changed is why.
            return packed.map(|()| None);
        }
        self.number = header.number;
        self.saved = found;
        Ok(Some(path))
    }
}

/// The files of the folder, sorted by name.
fn list(folder: &Path) -> Result<Vec<Found>, Failure> {
    let doing = "looking at the checkpoint folder";
    let meta = fs::symlink_metadata(folder).or_transient(doing)?;
    if !meta.is_dir() {
        let why = "the program replaced its checkpoint folder by something else";
        return Err(Failure::bug(why));
    }
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = open.pop() {
        for entry in fs::read_dir(&folder).or_transient(doing)? {
            let entry = entry.or_transient(doing)?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with('.') || name.ends_with(".tmp") || !is_name(&name) {
                continue;
            }
            // Of the entry itself; one that has just gone is no error.
            let Ok(meta) = entry.metadata() else {
                continue;
            };
            let name = format!("{prefix}{name}");
            if meta.is_dir() && depth < MAX_DEPTH {
                open.push((entry.path(), format!("{name}/"), depth + 1));
            } else if meta.is_file() {
                found.push(Found {
                    path: entry.path(),
                    name,
                    bytes: meta.len(),
                    changed: meta.modified().ok(),
                });
            }
            if found.len() > MAX_FILES {
                let why = format!("more than {MAX_FILES} files lie in ABLATE_CHECKPOINT");
                return Err(Failure::bug(why));
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// One part of a path that stays where it is put.
fn is_name(part: &str) -> bool {
    !part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\\', '\0'])
}

fn pack(path: &Path, header: &Header, rows: &str, found: &[Found]) -> Result<(), Failure> {
    let doing = "packing a checkpoint";
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(true);
    let mut archive = ZipWriter::new(File::create(path).or_transient(doing)?);
    let header = serde_json::to_vec(header).or_bug(doing)?;
    for (name, bytes) in [(HEADER, &header[..]), (ROWS, rows.as_bytes())] {
        archive.start_file(name, options).or_transient(doing)?;
        archive.write_all(bytes).or_transient(doing)?;
    }
    for file in found {
        let source = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(&file.path)
            .or_transient(doing)?;
        archive
            .start_file(file.name.as_str(), options)
            .or_transient(doing)?;
        // One that grows meanwhile is noticed afterwards.
        std::io::copy(&mut source.take(file.bytes), &mut archive).or_transient(doing)?;
    }
    let file = archive.finish().or_transient(doing)?;
    file.sync_all().or_transient(doing)
}

/// Puts files back into an empty folder; the header, and the rows so far.
fn unpack(path: &Path, task: &str, folder: &Path) -> Result<(Header, String), Failure> {
    let doing = "unpacking a checkpoint";
    let broken = |why: String| Failure::data(format!("{doing}: {why}"));
    let file = File::open(path).or_transient(doing)?;
    let mut archive = ZipArchive::new(file).map_err(|e| broken(e.to_string()))?;
    let mut ours = |name: &str| {
        let entry = archive.by_name(name).map_err(|e| broken(e.to_string()))?;
        let mut text = String::new();
        let read = entry.take(MAX_OURS).read_to_string(&mut text);
        read.map_err(|e| broken(e.to_string()))?;
        Ok::<_, Failure>(text)
    };
    let header = ours(HEADER)?;
    let header: Header = serde_json::from_str(&header).map_err(|e| broken(e.to_string()))?;
    if header.task != task {
        return Err(broken(format!("it is of task {:.10}", header.task)));
    }
    let rows = ours(ROWS)?;
    if archive.len() > MAX_FILES + 2 {
        return Err(broken("too many files".to_owned()));
    }
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| broken(e.to_string()))?;
        let name = entry
            .name()
            .map_err(|e| broken(e.to_string()))?
            .into_owned();
        if name == HEADER || name == ROWS {
            continue;
        }
        let stays = name.split('/').all(is_name) && name.split('/').count() <= MAX_DEPTH + 1;
        let stored = entry.compression() == CompressionMethod::Stored;
        if !stays || !stored {
            return Err(broken(format!("{name:?} is not a file of ours")));
        }
        let target = folder.join(&name);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).or_transient(doing)?;
        }
        let bytes = entry.size();
        let mut target = File::create_new(&target).or_transient(doing)?;
        // A checksum that does not match is an error at the end.
        std::io::copy(&mut entry.take(bytes.saturating_add(1)), &mut target)
            .map_err(|e| broken(format!("{name}: {e}")))?;
    }
    Ok((header, rows))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn header() -> Header {
        Header {
            task: "t".to_owned(),
            number: 3,
            step: 7,
        }
    }

    #[test]
    fn a_folder_comes_back_without_links_and_unfinished_files() {
        let site = tempfile::tempdir().unwrap();
        let from = site.path().join("from");
        fs::create_dir_all(from.join("deep/er")).unwrap();
        fs::write(from.join("model.pt"), "weights").unwrap();
        fs::write(from.join("deep/er/state"), "state").unwrap();
        fs::write(from.join("half.tmp"), "half").unwrap();
        fs::write(from.join(".hidden"), "hidden").unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        symlink("/etc", from.join("folder")).unwrap();
        let found = list(&from).unwrap();
        let archive = site.path().join("snapshot");
        pack(&archive, &header(), "rows\n", &found).unwrap();
        let to = site.path().join("to");
        fs::create_dir(&to).unwrap();
        let (back, rows) = unpack(&archive, "t", &to).unwrap();
        assert_eq!((back.number, back.step, rows.as_str()), (3, 7, "rows\n"));
        let names: Vec<_> = list(&to).unwrap().into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["deep/er/state", "model.pt"]);
        assert_eq!(fs::read_to_string(to.join("model.pt")).unwrap(), "weights");
        assert!(unpack(&archive, "other", &to).is_err());
    }

    #[test]
    fn what_leads_outside_or_is_damaged_is_refused() {
        let site = tempfile::tempdir().unwrap();
        let to = site.path().join("to");
        fs::create_dir(&to).unwrap();
        let source = site.path().join("source");
        fs::write(&source, "x").unwrap();
        for name in ["../outside", "/outside", "a/../../outside"] {
            let archive = site.path().join("snapshot");
            let found = Found {
                path: source.clone(),
                name: name.to_owned(),
                bytes: 1,
                changed: None,
            };
            pack(&archive, &header(), "", &[found]).unwrap();
            let failure = unpack(&archive, "t", &to).unwrap_err();
            assert!(failure.cause.contains("outside"), "{failure}");
            assert!(!site.path().join("outside").exists());
        }
        let damaged = site.path().join("damaged");
        fs::write(&damaged, "PK not a zip").unwrap();
        assert!(unpack(&damaged, "t", &to).is_err());
    }

    #[test]
    fn a_replaced_folder_is_not_followed() {
        let site = tempfile::tempdir().unwrap();
        let link = site.path().join("checkpoint");
        symlink("/etc", &link).unwrap();
        assert!(list(&link).is_err());
    }
}
