//! MNIST's IDX files, plain or gzipped: a magic number of type and rank, the
//! dimensions, then the bytes (yann.lecun.com/exdb/mnist).

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use ablate_proto::dataset::Split;
use flate2::read::MultiGzDecoder;

use super::choose::Chosen;
use super::{Error, Images, Losses, Shape, Sink, Wanted};

const IMAGES: [u8; 4] = [0, 0, 8, 3];
const LABELS: [u8; 4] = [0, 0, 8, 1];

/// More than any file of this format is known to have.
const MAX_IMAGES: u32 = 10_000_000;
const MAX_SIDE: u32 = 4096;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The IDX files of a folder, headers read.
pub(super) struct Idx {
    train: Part,
    test: Option<Part>,
    limit: Option<usize>,
    seed: u64,
}

struct Part {
    images: PathBuf,
    labels: PathBuf,
    count: u32,
    height: u32,
    width: u32,
}

impl Idx {
    /// The files of a folder, if it has any of this format.
    pub(super) fn find(folder: &Path, wanted: &Wanted) -> Result<Option<Self>, Error> {
        let train = Part::find(folder, &["train"])?;
        let test = Part::find(folder, &["t10k", "test"])?;
        match (train, test) {
            (Some(train), test) => {
                if let Some(test) = &test
                    && (test.height, test.width) != (train.height, train.width)
                {
                    let why = "its images have another size than the training images";
                    return Err(Error::input(&test.images, why));
                }
                let (limit, seed) = (wanted.limit, wanted.seed);
                Ok(Some(Self {
                    train,
                    test,
                    limit,
                    seed,
                }))
            }
            (None, Some(test)) => {
                let why =
                    "the test images are here, but no training images (train-images-idx3-ubyte)";
                Err(Error::input(&test.images, why))
            }
            (None, None) => Ok(None),
        }
    }
}

impl Images for Idx {
    fn shape(&self) -> Shape {
        let chosen =
            |part: &Part| u64::from(part.count).min(self.limit.unwrap_or(usize::MAX) as u64);
        Shape {
            format: "idx",
            channels: 1,
            height: self.train.height as usize,
            width: self.train.width as usize,
            labels: (0..10).map(|digit| digit.to_string()).collect(),
            changes: String::new(),
            images: chosen(&self.train) + self.test.as_ref().map_or(0, chosen),
        }
    }

    fn read(self: Box<Self>, sink: &mut Sink<'_>) -> Result<Losses, Error> {
        let parts = [
            (Split::Train, Some(&self.train)),
            (Split::Test, self.test.as_ref()),
        ];
        for (split, part) in parts {
            if let Some(part) = part {
                let chosen = Chosen::of(part.count.into(), self.limit, self.seed);
                part.read(split, &chosen, sink)?;
            }
        }
        Ok(Losses::default())
    }
}

impl Part {
    fn find(folder: &Path, starts: &[&str]) -> Result<Option<Self>, Error> {
        let Some(images) = file(folder, starts, "images", IMAGES)? else {
            return Ok(None);
        };
        let labels = file(folder, starts, "labels", LABELS)?.ok_or_else(|| {
            let why = "its labels are missing: a file such as train-labels-idx1-ubyte beside it";
            Error::input(&images, why)
        })?;
        let [count, height, width] = open(&images, IMAGES)?.1;
        let fits = |side| (1..=MAX_SIDE).contains(&side);
        if count == 0 || count > MAX_IMAGES || !fits(height) || !fits(width) {
            let why = format!("it claims to have {count} images of {height}×{width}");
            return Err(Error::input(&images, why));
        }
        Ok(Some(Self {
            images,
            labels,
            count,
            height,
            width,
        }))
    }

    fn read(&self, split: Split, chosen: &Chosen, sink: &mut Sink<'_>) -> Result<(), Error> {
        let (mut images, _) = open::<3>(&self.images, IMAGES)?;
        let (mut labels, [count]) = open::<1>(&self.labels, LABELS)?;
        if count != self.count {
            let why = format!("it has {count} labels for {} images", self.count);
            return Err(Error::input(&self.labels, why));
        }
        let mut pixels = vec![0; self.height as usize * self.width as usize];
        let mut label = [0];
        for number in 0..self.count {
            let ends = |path: &Path, e: std::io::Error| {
                let (of, why) = (self.count, reason(&e));
                Error::input(path, format!("{why} in item {number} of {of}"))
            };
            images
                .read_exact(&mut pixels)
                .map_err(|e| ends(&self.images, e))?;
            labels
                .read_exact(&mut label)
                .map_err(|e| ends(&self.labels, e))?;
            if chosen.has(number.into()) {
                sink(split, &pixels, label[0].into())?;
            }
        }
        for (path, mut rest) in [(&self.images, images), (&self.labels, labels)] {
            match rest.read(&mut label) {
                Ok(0) => {}
                Ok(_) => return Err(Error::input(path, "it has more in it than it says")),
                Err(e) => return Err(Error::input(path, reason(&e))),
            }
        }
        Ok(())
    }
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "the file is cut short: it ends".to_owned(),
        _ => format!("reading it failed ({error})"),
    }
}

/// The file with the right name and magic number; plain ones first.
fn file(
    folder: &Path,
    starts: &[&str],
    what: &str,
    magic: [u8; 4],
) -> Result<Option<PathBuf>, Error> {
    let listed = std::fs::read_dir(folder).map_err(|e| Error::input(folder, e))?;
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(|e| Error::input(folder, e))?;
        let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
        let named = starts.iter().any(|start| name.starts_with(start)) && name.contains(what);
        if named && entry.path().is_file() && starts_with(&entry.path(), magic)? {
            found.push((name.ends_with(".gz"), entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().next().map(|(_, path)| path))
}

/// Whether it is a file of this type, whatever else is wrong with it.
fn starts_with(path: &Path, magic: [u8; 4]) -> Result<bool, Error> {
    let mut begin = [0; 4];
    let mut file = plain(path)?;
    Ok(file.read_exact(&mut begin).is_ok() && begin == magic)
}

type Reader = Box<dyn Read>;

/// The content, unpacked if it is packed.
fn plain(path: &Path) -> Result<Reader, Error> {
    let fail = |e| Error::input(path, e);
    let mut begin = [0; 2];
    let packed = {
        let mut file = File::open(path).map_err(fail)?;
        file.read_exact(&mut begin).is_ok() && begin == GZIP
    };
    let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(fail)?);
    Ok(if packed {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

/// A reader behind the header, and the dimensions.
fn open<const RANK: usize>(path: &Path, magic: [u8; 4]) -> Result<(Reader, [u32; RANK]), Error> {
    let mut reader = plain(path)?;
    let mut word = [0; 4];
    let mut next = |reader: &mut Reader| match reader.read_exact(&mut word) {
        Ok(()) => Ok(word),
        Err(e) => Err(Error::input(path, format!("{} in its header", reason(&e)))),
    };
    if next(&mut reader)? != magic {
        return Err(Error::input(path, "it is no IDX file of bytes"));
    }
    let mut dimensions = [0; RANK];
    for dimension in &mut dimensions {
        *dimension = u32::from_be_bytes(next(&mut reader)?);
    }
    Ok((reader, dimensions))
}
