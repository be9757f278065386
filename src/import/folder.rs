//! A folder of images and its sub folders, as ImageNet, CelebA-HQ and LSUN
//! come. The first sub folder on the way to an image is its label. Where the
//! folder has `train` and `test` (or `val`), those are the splits.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use ablate_proto::dataset::Split;

use super::choose::rank;
use super::decode::{CHANGES, Decoder};
use super::{Error, Images, Losses, Shape, Sink, Wanted};
use crate::lines::printable;

const ENDINGS: &[&str] = &["jpg", "jpeg", "png", "webp"];

const MAX_FILES: usize = 20_000_000;
const MAX_DEPTH: usize = 32;
const MAX_LABELS: usize = 1_000_000;

/// Decoded pixels that wait to be packed, in bytes.
const AHEAD_BYTES: usize = 16 << 20;

/// Broken images that are named.
const NAMED: usize = 20;

/// Of a hundred images so many may be broken.
const TOLERATED: u64 = 1;

pub(super) struct Folder {
    root: PathBuf,
    size: u32,
    train: Vec<Entry>,
    test: Vec<Entry>,
    labels: Vec<String>,
    limit: usize,
    left_out: u64,
    threads: rayon::ThreadPool,
}

/// An image file, below the root.
struct Entry {
    path: PathBuf,
    label: u32,
}

#[derive(Default)]
struct Walked {
    /// Relative to the root.
    files: Vec<PathBuf>,
    left_out: u64,
}

impl Folder {
    /// # Errors
    /// There are no images, no size was asked for, or something cannot be
    /// listed.
    pub(super) fn find(root: &Path, wanted: &Wanted) -> Result<Self, Error> {
        let mut walked = Walked::default();
        walk(root, Path::new(""), 0, &mut walked)?;
        if walked.files.is_empty() {
            let why = "nothing here can be imported: neither IDX files (train-images-idx3-ubyte, …), \
                       nor CIFAR-10's binary version (data_batch_1.bin, …), nor images (.jpg, .jpeg, \
                       .png, .webp)";
            return Err(Error::input(root, why));
        }
        let Some(size) = wanted.size else {
            let why = "images of a folder become squares: say their side, for example --size 256";
            return Err(Error::input(root, why));
        };
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(wanted.threads)
            .build();
        let threads = threads.map_err(|e| Error::input(root, e))?;
        // The order of a disk's listing is any.
        walked.files.sort_unstable_by(|a, b| bytes(a).cmp(bytes(b)));
        let (train, test) = splits(&walked.files);
        let left_out = walked.files.len() - train.len() - test.len();
        walked.left_out += left_out as u64;
        let mut labels = BTreeMap::new();
        for (_, label) in train.iter().chain(&test) {
            labels.insert(label.clone(), 0);
        }
        if labels.len() > MAX_LABELS {
            let why = format!(
                "it has {} labels, and {MAX_LABELS} are possible",
                labels.len()
            );
            return Err(Error::input(root, why));
        }
        for (number, of) in labels.values_mut().enumerate() {
            *of = u32::try_from(number).unwrap_or(u32::MAX);
        }
        let limit = wanted.limit.unwrap_or(usize::MAX);
        let chosen = |files: Vec<(PathBuf, String)>| {
            let mut entries: Vec<Entry> = files
                .into_iter()
                .map(|(path, label)| Entry {
                    label: labels.get(&label).copied().unwrap_or_default(),
                    path,
                })
                .collect();
            // In the order of the seed: what is broken is replaced by the next.
            if entries.len() > limit {
                entries.sort_by_cached_key(|entry| rank(wanted.seed, bytes(&entry.path)));
            }
            entries
        };
        let (train, test) = (chosen(train), chosen(test));
        let mut labels: Vec<String> = labels.into_keys().collect();
        if labels == [""] {
            labels.clear();
        }
        Ok(Self {
            root: root.to_owned(),
            size,
            train,
            test,
            labels,
            limit,
            left_out: walked.left_out,
            threads,
        })
    }

    /// Reads images until there are as many as shall be: on all threads, and
    /// packed here in their order.
    fn split(
        &self,
        split: Split,
        entries: &[Entry],
        losses: &mut Losses,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let decoder = &Decoder::new(self.size);
        let image = 3 * self.size as usize * self.size as usize;
        let threads = self.threads.current_num_threads();
        let ahead = (AHEAD_BYTES / image).min(4096).max(2 * threads);
        let mut left = entries.iter();
        let mut good = 0;
        let mut waiting = VecDeque::new();
        self.threads.in_place_scope_fifo(|scope| {
            loop {
                // What waits may all be good.
                let room = ahead.min(self.limit - good);
                while waiting.len() < room
                    && let Some(entry) = left.next()
                {
                    let (done, read) = mpsc::sync_channel(1);
                    scope.spawn_fifo(move |_| {
                        // After an error nobody waits for it.
                        let _ = done.send(decoder.read(&self.root.join(&entry.path)));
                    });
                    waiting.push_back((entry, read));
                }
                let Some((entry, read)) = waiting.pop_front() else {
                    return self.judge(losses, good);
                };
                let read = read.recv().map_err(|gone| gone.to_string());
                match read.flatten() {
                    Ok(pixels) => {
                        sink(split, &pixels, entry.label)?;
                        good += 1;
                    }
                    Err(why) => losses.note(&entry.path, &why),
                }
            }
        })
    }

    /// Few broken images are no reason to do without the others.
    fn judge(&self, losses: &Losses, good: usize) -> Result<(), Error> {
        let tried = losses.count + good as u64;
        if losses.count == 0 || (losses.count * 100 <= TOLERATED * tried && good > 0) {
            return Ok(());
        }
        let mut why = format!(
            "{} of {tried} images cannot be read, and at most {TOLERATED} in 100 are left out:",
            losses.count
        );
        for broken in &losses.broken {
            why.push_str("\n  ");
            why.push_str(broken);
        }
        if losses.count > losses.broken.len() as u64 {
            why.push_str("\n  …");
        }
        Err(Error::input(&self.root, why))
    }
}

impl Losses {
    fn note(&mut self, path: &Path, why: &str) {
        self.count += 1;
        if self.broken.len() < NAMED {
            let why: String = why.chars().take(200).collect();
            let line = format!("{}: {why}", path.display());
            self.broken.push(printable(&line));
        }
    }
}

impl Images for Folder {
    fn shape(&self) -> Shape {
        let size = self.size as usize;
        let images = self.train.len().min(self.limit) + self.test.len().min(self.limit);
        Shape {
            format: "folder",
            channels: 3,
            height: size,
            width: size,
            labels: self.labels.clone(),
            changes: CHANGES.to_owned(),
            images: images as u64,
        }
    }

    fn read(self: Box<Self>, sink: &mut Sink<'_>) -> Result<Losses, Error> {
        let mut losses = Losses {
            left_out: self.left_out,
            ..Losses::default()
        };
        self.split(Split::Train, &self.train, &mut losses, sink)?;
        let mut of_test = Losses::default();
        self.split(Split::Test, &self.test, &mut of_test, sink)?;
        losses.count += of_test.count;
        losses.broken.extend(of_test.broken);
        Ok(losses)
    }
}

/// Lists image files; links to files are followed, links to folders are not.
fn walk(root: &Path, below: &Path, depth: usize, found: &mut Walked) -> Result<(), Error> {
    let folder = root.join(below);
    let fail = |e: std::io::Error| Error::input(&folder, format!("listing it: {e}"));
    if depth > MAX_DEPTH {
        return Err(Error::input(&folder, "folders lie too deep in each other"));
    }
    for entry in std::fs::read_dir(&folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let kind = entry.file_type().map_err(fail)?;
        // Also what other systems leave: `._x.jpg`, `__MACOSX`.
        let hidden = name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX";
        if hidden {
            found.left_out += u64::from(!kind.is_dir());
            continue;
        }
        let path = below.join(&name);
        if kind.is_dir() {
            walk(root, &path, depth + 1, found)?;
            continue;
        }
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        let image = ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        if image && (kind.is_file() || root.join(&path).is_file()) {
            found.files.push(path);
        } else {
            found.left_out += 1;
        }
        if found.files.len() > MAX_FILES {
            let why = format!("it has more than {MAX_FILES} images");
            return Err(Error::input(root, why));
        }
    }
    Ok(())
}

type Labelled = Vec<(PathBuf, String)>;

/// Files of the training and of the test split, with their labels.
fn splits(files: &[PathBuf]) -> (Labelled, Labelled) {
    let top = |path: &Path| {
        let mut parts = path.components();
        let first = parts.next();
        parts
            .next()
            .and(first)
            .map(|first| first.as_os_str().to_string_lossy().into_owned())
    };
    let has = |name: &str| files.iter().any(|path| path.starts_with(name));
    let test = ["test", "val", "validation"]
        .into_iter()
        .find(|name| has(name));
    let labelled = |path: &Path, below: &Path| {
        top(below).map_or_else(
            || (path.to_owned(), String::new()),
            |label| (path.to_owned(), label),
        )
    };
    let all_below = files.iter().all(|path| top(path).is_some());
    let (Some(test), true, true) = (test, has("train"), all_below) else {
        let all = files.iter().map(|path| labelled(path, path)).collect();
        return (all, Vec::new());
    };
    let of = |split: &str| {
        let below = |path: &PathBuf| Some(labelled(path, path.strip_prefix(split).ok()?));
        files.iter().filter_map(below).collect()
    };
    (of("train"), of(test))
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}
