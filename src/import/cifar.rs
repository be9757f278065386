//! CIFAR-10's "binary version": records of a label and 32×32 pixels of red,
//! green and blue (www.cs.toronto.edu/~kriz/cifar.html), in a folder or as
//! the archive that it comes as.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use ablate_proto::dataset::Split;
use flate2::read::MultiGzDecoder;

use super::choose::Chosen;
use super::{Error, Images, Losses, Shape, Sink, Wanted};

const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;
const RECORD: usize = 1 + PIXELS;
const LABELS: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// Of a file in an archive, and of all of them.
const MAX_FILE: u64 = 256 << 20;
const MAX_FILES: u64 = 1 << 30;
/// Of what an archive unpacks to; the rest of it is skipped, but read.
const MAX_ARCHIVE: u64 = 16 << 30;

/// Split, number of the file, content: the order in which they are read.
type Files = BTreeMap<(Split, u32), Content>;

enum Content {
    File(PathBuf, u64),
    Memory(Vec<u8>),
}

pub(super) struct Cifar {
    path: PathBuf,
    files: Files,
    limit: Option<usize>,
    seed: u64,
}

impl Cifar {
    /// The files of a folder, if it has any of this format.
    pub(super) fn find(folder: &Path, wanted: &Wanted) -> Result<Option<Self>, Error> {
        let listed = std::fs::read_dir(folder).map_err(|e| Error::input(folder, e))?;
        let mut files = Files::new();
        for entry in listed {
            let entry = entry.map_err(|e| Error::input(folder, e))?;
            let path = entry.path();
            let name = entry.file_name();
            let Some(place) = place(&name.to_string_lossy()) else {
                if name == "data_batch_1" {
                    let why = "this is CIFAR-10's Python version; get the \"binary version\" \
                               (cifar-10-binary.tar.gz)";
                    return Err(Error::input(&path, why));
                }
                continue;
            };
            let meta = std::fs::metadata(&path).map_err(|e| Error::input(&path, e))?;
            if meta.is_file() {
                check(&path, meta.len())?;
                files.insert(place, Content::File(path, meta.len()));
            }
        }
        Self::of(folder, files, wanted)
    }

    /// The files in an archive (`.tar`, `.tar.gz`).
    pub(super) fn unpack(path: &Path, gzip: bool, wanted: &Wanted) -> Result<Option<Self>, Error> {
        let fail = |e: std::io::Error| Error::input(path, format!("reading the archive: {e}"));
        let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(fail)?);
        let plain: Box<dyn Read> = if gzip {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        let mut archive = tar::Archive::new(plain.take(MAX_ARCHIVE));
        let mut files = Files::new();
        let mut total = 0;
        for entry in archive.entries().map_err(fail)? {
            let mut entry = entry.map_err(fail)?;
            let name = entry.path().map_err(fail)?.into_owned();
            let name = name
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let Some((place, name)) = name.and_then(|name| Some((place(&name)?, name))) else {
                continue;
            };
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let inner = path.join(name);
            let bytes = entry.size();
            check(&inner, bytes)?;
            total += bytes;
            if bytes > MAX_FILE || total > MAX_FILES {
                let why = format!("it claims {bytes} bytes, which CIFAR-10 does not have");
                return Err(Error::input(&inner, why));
            }
            // Grows with what there is, not with what is claimed.
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(fail)?;
            if content.len() as u64 != bytes {
                return Err(Error::input(&inner, "the archive is cut short"));
            }
            files.insert(place, Content::Memory(content));
        }
        Self::of(path, files, wanted)
    }

    fn of(path: &Path, files: Files, wanted: &Wanted) -> Result<Option<Self>, Error> {
        if files.is_empty() {
            return Ok(None);
        }
        if !files.keys().any(|(split, _)| *split == Split::Train) {
            let why = "test_batch.bin is here, but no data_batch_1.bin to data_batch_5.bin";
            return Err(Error::input(path, why));
        }
        Ok(Some(Self {
            path: path.to_owned(),
            files,
            limit: wanted.limit,
            seed: wanted.seed,
        }))
    }

    fn images(&self, split: Split) -> u64 {
        let of = self.files.iter().filter(|((of, _), _)| *of == split);
        of.map(|(_, content)| content.bytes() / RECORD as u64).sum()
    }
}

impl Content {
    fn bytes(&self) -> u64 {
        match self {
            Self::File(_, bytes) => *bytes,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }
}

impl Images for Cifar {
    fn shape(&self) -> Shape {
        let limit = self.limit.unwrap_or(usize::MAX) as u64;
        let chosen = |split| self.images(split).min(limit);
        Shape {
            format: "cifar-10",
            channels: 3,
            height: SIDE,
            width: SIDE,
            labels: LABELS.map(str::to_owned).to_vec(),
            changes: String::new(),
            images: chosen(Split::Train) + chosen(Split::Test),
        }
    }

    fn read(self: Box<Self>, sink: &mut Sink<'_>) -> Result<Losses, Error> {
        let choose = |split| Chosen::of(self.images(split), self.limit, self.seed);
        let chosen = [choose(Split::Train), choose(Split::Test)];
        let mut number = [0; 2];
        for ((split, file), content) in &self.files {
            let place = usize::from(*split == Split::Test);
            let (name, mut reader): (_, Box<dyn Read>) = match content {
                Content::File(path, _) => {
                    let file = File::open(path).map_err(|e| Error::input(path, e))?;
                    (
                        path.clone(),
                        Box::new(BufReader::with_capacity(1 << 16, file)),
                    )
                }
                Content::Memory(bytes) => {
                    let name = self.path.join(format!("batch {file}"));
                    (name, Box::new(Cursor::new(bytes)))
                }
            };
            let mut record = [0; RECORD];
            for _ in 0..content.bytes() / RECORD as u64 {
                let read = reader.read_exact(&mut record);
                read.map_err(|e| Error::input(&name, format!("reading it: {e}")))?;
                let label = record[0];
                if usize::from(label) >= LABELS.len() {
                    let why = format!("image {} has the label {label}, above 9", number[place]);
                    return Err(Error::input(&name, why));
                }
                if chosen[place].has(number[place]) {
                    sink(*split, &record[1..], label.into())?;
                }
                number[place] += 1;
            }
        }
        Ok(Losses::default())
    }
}

/// Split and number of a file of this name.
fn place(name: &str) -> Option<(Split, u32)> {
    if name == "test_batch.bin" {
        return Some((Split::Test, 0));
    }
    let number = name.strip_prefix("data_batch_")?.strip_suffix(".bin")?;
    Some((Split::Train, number.parse().ok()?))
}

fn check(path: &Path, bytes: u64) -> Result<(), Error> {
    if bytes > 0 && bytes.is_multiple_of(RECORD as u64) {
        return Ok(());
    }
    let why =
        format!("it has {bytes} bytes, and CIFAR-10 has a multiple of {RECORD}: is it cut short?");
    Err(Error::input(path, why))
}
