//! Checkpoints: arrays, the step, and the metrics so far, in one file that
//! is either whole or absent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ablate_proto::failure::Failure;
use ablate_proto::id::TaskKey;
use serde::{Deserialize, Serialize};

use super::failure::OrFail as _;
use crate::data::arrays::{self, Array, Arrays};

/// How many stay on the disk: one may still be on its way to the store.
const KEEP: usize = 2;

#[derive(Serialize, Deserialize)]
struct Header {
    task: TaskKey,
    step: u64,
    /// As text: reading numbers back need not give the same digits.
    metrics: String,
}

/// A checkpoint that was read back.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) step: u64,
    /// `metrics.jsonl` up to and including `step`.
    pub(crate) metrics: String,
    pub(crate) arrays: Arrays,
}

/// Writes a checkpoint into `folder` and returns its path once it is synced.
/// Older ones than the last two are removed.
pub(crate) fn write(
    folder: &Path,
    task: TaskKey,
    step: u64,
    metrics: &str,
    arrays: &BTreeMap<String, Array>,
) -> Result<PathBuf, Failure> {
    let doing = "writing a checkpoint";
    fs::create_dir_all(folder).or_transient(doing)?;
    let prefix = format!("{}-", task.short());
    let path = folder.join(format!("{prefix}{step:012}.safetensors"));
    let header = Header {
        task,
        step,
        metrics: metrics.to_owned(),
    };
    let bytes = arrays::to_bytes(&path, &header, arrays)?;
    let unfinished = path.with_extension("tmp");
    let mut file = File::create(&unfinished).or_transient(doing)?;
    file.write_all(&bytes).or_transient(doing)?;
    file.sync_all().or_transient(doing)?;
    fs::rename(&unfinished, &path).or_transient(doing)?;
    let folder_handle = File::open(folder).or_transient(doing)?;
    folder_handle.sync_all().or_transient(doing)?;
    remove_old(folder, &prefix);
    Ok(path)
}

/// Removes all but a task's newest. What cannot be removed only costs space.
fn remove_old(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names
        .filter(|name| name.starts_with(prefix) && name.ends_with(".safetensors"))
        .collect();
    names.sort();
    for name in names.iter().rev().skip(KEEP) {
        let _ = fs::remove_file(folder.join(name));
    }
}

/// Reads a checkpoint of `task`.
pub(crate) fn read(path: &Path, task: TaskKey) -> Result<Saved, Failure> {
    let (header, arrays) = arrays::read::<Header>(path)?;
    if header.task != task {
        let why = format!(
            "it is of task {}, not {}",
            header.task.short(),
            task.short()
        );
        return Err(arrays.wrong(why).into());
    }
    Ok(Saved {
        step: header.step,
        metrics: header.metrics,
        arrays,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_come_back_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("checkpoints");
        let key = TaskKey::from_bytes([1; 32]);
        let arrays = BTreeMap::from([("p".to_owned(), Array::f32(&[1], vec![0.5]))]);
        let mut last = PathBuf::new();
        for step in [9, 10, 100] {
            last = write(&folder, key, step, "{}\n", &arrays).unwrap();
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), KEEP);
        let mut saved = read(&last, key).unwrap();
        assert_eq!((saved.step, saved.metrics.as_str()), (100, "{}\n"));
        assert_eq!(saved.arrays.f32("p").unwrap(), ([1], vec![0.5]));
        assert!(read(&last, TaskKey::from_bytes([2; 32])).is_err());
    }
}
