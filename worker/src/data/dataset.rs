//! The dataset artefact, `dataset.safetensors`: `train` and `held_out`
//! `[n, c, h, w]`, their labels and their indices in the source. Pixels of
//! the digits are f32 in [−1, 1]; those of imported data sets stay u8, and
//! become x = 2·u/255 − 1 when they are read.

use std::collections::BTreeMap;
use std::path::Path;

use ablate_proto::dataset::Split;
use ablate_proto::failure::Failure;
use ablate_proto::stage::{DIGITS_COUNT, DatasetSpec, HeldOutFrom};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::arrays::{self, Array, Arrays};
use super::digits;
use super::images::Images;
use super::packed::{self, Packed};
use super::reshape::{Pixel, Pixels};

pub(crate) const FILE: &str = "dataset.safetensors";

/// Bytes that a thread widens at a time.
const PART: usize = 1 << 20;

/// Most pixel values of a dataset, all images together.
const MAX_VALUES: u128 = 1 << 35;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    source: String,
    digest: String,
    split_seed: u64,
    held_out_from: HeldOutFrom,
}

/// What the stages that read a dataset see of it.
#[derive(Debug)]
pub(crate) struct Dataset {
    pub(crate) train: Images,
    /// `None` when the dataset keeps no images back.
    pub(crate) held_out: Option<Images>,
}

/// How many images a dataset has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) train: usize,
    pub(crate) held_out: usize,
}

/// Draws the split of `spec` and writes it into `folder`. The images of an
/// imported data set lie in `source`.
///
/// # Errors
/// When the source is broken or the file cannot be written.
pub(crate) fn write(
    spec: &DatasetSpec,
    source: Option<&Path>,
    folder: &Path,
) -> Result<Counts, Failure> {
    let mut arrays = BTreeMap::new();
    let (counts, digest) = match spec.imported() {
        None => from_digits(spec, &mut arrays)?,
        Some(name) => {
            let source = source.ok_or_else(|| {
                Failure::bug(format!(
                    "the data set `{name}` was not brought to the stage"
                ))
            })?;
            from_packed(spec, &Packed::open(source, &spec.digest)?, &mut arrays)?
        }
    };
    let header = Header {
        source: spec.source.clone(),
        digest,
        split_seed: spec.split_seed,
        held_out_from: spec.held_out_from,
    };
    arrays::write(&folder.join(FILE), &header, &arrays)?;
    Ok(counts)
}

type Named = BTreeMap<String, Array>;

fn from_digits(spec: &DatasetSpec, arrays: &mut Named) -> Result<(Counts, String), Failure> {
    let source = digits::load()?;
    check_room(spec, [1, digits::SIDE, digits::SIDE])?;
    let selection = packed::select(spec, DIGITS_COUNT, 0)?;
    let size = digits::SIDE * digits::SIDE;
    let mut part = |name: &str, indices: &[usize]| {
        let pixels = |i: &usize| &source.pixels[i * size..(i + 1) * size];
        let images = Pixels {
            n: indices.len(),
            channels: 1,
            h: digits::SIDE,
            w: digits::SIDE,
            data: indices.iter().flat_map(pixels).copied().collect(),
        };
        let labels = indices.iter().map(|i| u32::from(source.labels[*i]));
        add(arrays, name, images.reshaped(spec), Array::f32);
        add_numbers(arrays, name, labels.collect(), indices);
    };
    part("train", &selection.train);
    part("held_out", &selection.held_out);
    let digest = ablate_proto::stage::DIGITS_DIGEST.to_owned();
    Ok((counts(&selection), digest))
}

fn from_packed(
    spec: &DatasetSpec,
    source: &Packed,
    arrays: &mut Named,
) -> Result<(Counts, String), Failure> {
    let known = &source.meta.description;
    let (train, test) = (known.images(Split::Train), known.images(Split::Test));
    check_room(spec, [known.channels, known.height, known.width])?;
    let selection = packed::select(spec, train, test)?;
    let mut part = |name: &str, split: Split, indices: &[usize]| {
        let packed::Bytes { pixels, labels } = source.read(split, indices)?;
        let images = Pixels {
            n: indices.len(),
            channels: known.channels,
            h: known.height,
            w: known.width,
            data: pixels,
        };
        add(arrays, name, images.reshaped(spec), Array::u8);
        add_numbers(arrays, name, labels, indices);
        Ok::<_, Failure>(())
    };
    part("train", Split::Train, &selection.train)?;
    part("held_out", selection.held_out_of, &selection.held_out)?;
    Ok((counts(&selection), source.meta.digest.clone()))
}

/// Refuses what could only run out of memory.
fn check_room(spec: &DatasetSpec, [channels, h, w]: [usize; 3]) -> Result<(), Failure> {
    let (h, w) = match spec.size {
        0 => (h * spec.upsample, w * spec.upsample),
        size => (size, size),
    };
    let images = spec.images + spec.held_out;
    let values = images as u128 * (channels * h * w) as u128;
    if values <= MAX_VALUES {
        return Ok(());
    }
    let why = format!(
        "{images} images of {channels}×{h}×{w} are more than a task can hold in memory; take fewer"
    );
    Err(Failure::config(why))
}

fn counts(selection: &packed::Selection) -> Counts {
    Counts {
        train: selection.train.len(),
        held_out: selection.held_out.len(),
    }
}

fn add<T: Pixel>(
    arrays: &mut Named,
    name: &str,
    images: Pixels<T>,
    array: fn(&[usize], Vec<T>) -> Array,
) {
    let shape = [images.n, images.channels, images.h, images.w];
    arrays.insert(name.to_owned(), array(&shape, images.data));
}

fn add_numbers(arrays: &mut Named, name: &str, labels: Vec<u32>, indices: &[usize]) {
    let n = [indices.len()];
    let indices = indices.iter().filter_map(|i| u32::try_from(*i).ok());
    arrays.insert(format!("{name}_labels"), Array::u32(&n, labels));
    arrays.insert(format!("{name}_indices"), Array::u32(&n, indices.collect()));
}

/// The array of the training images.
pub(super) const TRAIN: &str = "train";
/// The array of those that are kept back.
pub(super) const HELD_OUT: &str = "held_out";

/// Reads the dataset in `folder`.
///
/// # Errors
/// When the file is absent, broken or empty.
pub(crate) fn read(folder: &Path) -> Result<Dataset, Failure> {
    let (_, mut arrays) = arrays::read::<Header>(&folder.join(FILE))?;
    let mut part = |name: &str| -> Result<Images, Failure> {
        let ([n, channels, h, w], data) = pixels(&mut arrays, name)?;
        arrays.u32::<1>(&format!("{name}_labels"))?;
        arrays.u32::<1>(&format!("{name}_indices"))?;
        check_pixels(name, &data).map_err(|why| arrays.wrong(why))?;
        Ok(Images {
            n,
            channels,
            h,
            w,
            data,
        })
    };
    let (train, held_out) = (part(TRAIN)?, part(HELD_OUT)?);
    if train.n == 0 {
        return Err(arrays.wrong("it has no training images").into());
    }
    arrays.finish()?;
    Ok(Dataset {
        train,
        held_out: (held_out.n > 0).then_some(held_out),
    })
}

fn pixels(arrays: &mut Arrays, name: &str) -> Result<([usize; 4], Vec<f32>), arrays::Error> {
    if !arrays.holds_bytes(name) {
        return arrays.f32(name);
    }
    let (shape, bytes) = arrays.u8(name)?;
    Ok((shape, widened(&bytes)))
}

/// x = 2·u/255 − 1 of each pixel.
pub(super) fn widened(bytes: &[u8]) -> Vec<f32> {
    // All there are, each computed once.
    let values: Vec<f32> = (0..=u8::MAX)
        .map(|u| 2.0 * f32::from(u) / 255.0 - 1.0)
        .collect();
    let mut wide = vec![0.0; bytes.len()];
    let parts = wide.par_chunks_mut(PART).zip(bytes.par_chunks(PART));
    parts.for_each(|(wide, bytes)| {
        for (value, byte) in wide.iter_mut().zip(bytes) {
            *value = values[usize::from(*byte)];
        }
    });
    wide
}

/// Refuses pixels outside of [−1, 1], of the images of some name.
pub(super) fn check_pixels(name: &str, data: &[f32]) -> Result<(), String> {
    match data.iter().find(|v| !(-1.0..=1.0).contains(*v)) {
        None => Ok(()),
        Some(value) => Err(format!("{name} has a pixel of {value}, outside of [−1, 1]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(images: usize, held_out: usize) -> DatasetSpec {
        DatasetSpec {
            images,
            held_out,
            ..DatasetSpec::default()
        }
    }

    fn written(spec: &DatasetSpec, source: Option<&Path>) -> Dataset {
        let folder = tempfile::tempdir().unwrap();
        let counts = write(spec, source, folder.path()).unwrap();
        let dataset = read(folder.path()).unwrap();
        let held_out = dataset.held_out.as_ref().map_or(0, |images| images.n);
        assert_eq!((counts.train, counts.held_out), (dataset.train.n, held_out));
        dataset
    }

    #[test]
    fn smaller_sets_are_part_of_larger_ones_and_held_out_images_stay_out() {
        let small = written(&spec(16, 0), None);
        assert!(small.held_out.is_none());
        let folder = tempfile::tempdir().unwrap();
        write(&spec(1700, 97), None, folder.path()).unwrap();
        let large = read(folder.path()).unwrap();
        assert_eq!(small.train, large.train.first(16));
        assert_eq!(large.held_out.unwrap().n, 97);
        let (_, mut arrays) = arrays::read::<Header>(&folder.path().join(FILE)).unwrap();
        let ([_], train) = arrays.u32("train_indices").unwrap();
        let ([_], held_out) = arrays.u32("held_out_indices").unwrap();
        assert!(held_out.iter().all(|i| !train.contains(i)));
    }

    #[test]
    fn digits_can_be_enlarged() {
        let larger = DatasetSpec {
            upsample: 2,
            ..spec(3, 2)
        };
        let (plain, larger) = (written(&spec(3, 2), None), written(&larger, None));
        assert_eq!(larger.train.shape(), [3, 1, 16, 16]);
        for (small, large) in plain.train.iter().zip(larger.train.iter()) {
            assert!((0..256).all(|i| large[i] == small[i / 32 * 8 + i % 16 / 2]));
        }
    }

    #[test]
    fn imported_images_are_widened_exactly() {
        let source = tempfile::tempdir().unwrap();
        let all = packed::tests::lay_out(source.path(), 40, 5, 6);
        let take = DatasetSpec {
            images: 30,
            held_out: 10,
            ..all.clone()
        };
        let dataset = written(&take, Some(source.path()));
        let held_out = dataset.held_out.unwrap();
        let value = |n: u8| 2.0 * f32::from(n) / 255.0 - 1.0;
        let images = dataset.train.iter().chain(held_out.iter());
        let mut firsts: Vec<f32> = images.map(|image| image[0]).collect();
        firsts.sort_by(f32::total_cmp);
        assert_eq!(firsts, (0..40).map(value).collect::<Vec<f32>>());
        let take = DatasetSpec {
            images: 1,
            held_out: 5,
            held_out_from: HeldOutFrom::Test,
            ..all
        };
        let held_out = written(&take, Some(source.path())).held_out.unwrap();
        let mut firsts: Vec<f32> = held_out.iter().map(|image| image[0]).collect();
        firsts.sort_by(f32::total_cmp);
        assert_eq!(firsts, (40..45).map(value).collect::<Vec<f32>>());
    }
}
