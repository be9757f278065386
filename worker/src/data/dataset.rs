//! The dataset artefact, `dataset.safetensors`: `train` and `held_out`
//! `[n, c, h, w]` in [−1, 1], their labels and their indices in the source.

use std::collections::BTreeMap;
use std::path::Path;

use ablate_proto::failure::Failure;
use ablate_proto::stage::{DatasetSpec, Source};
use serde::{Deserialize, Serialize};

use super::arrays::{self, Array};
use super::digits;
use super::images::Images;
use crate::nn::rng::stream;

pub(crate) const FILE: &str = "dataset.safetensors";

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    source: Source,
    digest: String,
    split_seed: u64,
}

/// What the stages that read a dataset see of it.
#[derive(Debug)]
pub(crate) struct Dataset {
    pub(crate) train: Images,
    /// `None` when the dataset keeps no images back.
    pub(crate) held_out: Option<Images>,
}

/// Draws the split of `spec` and writes it into `folder`. Training images are
/// the first of the permutation, held-out images the last.
///
/// # Errors
/// When the source is broken or the file cannot be written.
pub(crate) fn write(spec: &DatasetSpec, folder: &Path) -> Result<Dataset, Failure> {
    let Source::Digits = spec.source;
    let source = digits::load()?;
    let count = source.labels.len();
    if spec.images + spec.held_out > count {
        let (train, held_out) = (spec.images, spec.held_out);
        let why = format!("{train} and {held_out} images were asked of a source of {count}");
        return Err(Failure::config(why));
    }
    let order = stream(spec.split_seed, "split", 0).permutation(count);
    let size = digits::SIDE * digits::SIDE;
    let mut arrays = BTreeMap::new();
    let mut part = |name: &str, indices: &[usize]| {
        let pixels = |i: &usize| &source.pixels[i * size..(i + 1) * size];
        let images = Images {
            n: indices.len(),
            channels: 1,
            h: digits::SIDE,
            w: digits::SIDE,
            data: indices.iter().flat_map(pixels).copied().collect(),
        };
        let n = [images.n];
        let labels = indices.iter().map(|i| u32::from(source.labels[*i]));
        let indices = indices.iter().filter_map(|i| u32::try_from(*i).ok());
        arrays.insert(
            name.to_owned(),
            Array::f32(&images.shape(), images.data.clone()),
        );
        arrays.insert(format!("{name}_labels"), Array::u32(&n, labels.collect()));
        arrays.insert(format!("{name}_indices"), Array::u32(&n, indices.collect()));
        images
    };
    let train = part("train", &order[..spec.images]);
    let held_out = part("held_out", &order[count - spec.held_out..]);
    let header = Header {
        source: spec.source,
        digest: ablate_proto::stage::DIGITS_DIGEST.to_owned(),
        split_seed: spec.split_seed,
    };
    arrays::write(&folder.join(FILE), &header, &arrays)?;
    Ok(Dataset {
        train,
        held_out: (held_out.n > 0).then_some(held_out),
    })
}

/// Reads the dataset in `folder`.
///
/// # Errors
/// When the file is absent, broken or empty.
pub(crate) fn read(folder: &Path) -> Result<Dataset, Failure> {
    let (_, mut arrays) = arrays::read::<Header>(&folder.join(FILE))?;
    let mut part = |name: &str| -> Result<Images, Failure> {
        let ([n, channels, h, w], data) = arrays.f32(name)?;
        arrays.u32::<1>(&format!("{name}_labels"))?;
        arrays.u32::<1>(&format!("{name}_indices"))?;
        if let Some(value) = data.iter().find(|v| !(-1.0..=1.0).contains(*v)) {
            let why = format!("{name} has a pixel of {value}, outside of [−1, 1]");
            return Err(arrays.wrong(why).into());
        }
        Ok(Images {
            n,
            channels,
            h,
            w,
            data,
        })
    };
    let (train, held_out) = (part("train")?, part("held_out")?);
    if train.n == 0 {
        return Err(arrays.wrong("it has no training images").into());
    }
    arrays.finish()?;
    Ok(Dataset {
        train,
        held_out: (held_out.n > 0).then_some(held_out),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_sets_are_part_of_larger_ones_and_held_out_images_stay_out() {
        let folder = tempfile::tempdir().unwrap();
        let spec = |images, held_out| DatasetSpec {
            images,
            held_out,
            ..DatasetSpec::default()
        };
        let small = write(&spec(16, 0), folder.path()).unwrap();
        assert!(read(folder.path()).unwrap().held_out.is_none());
        let large = write(&spec(1700, 97), folder.path()).unwrap();
        assert_eq!(small.train, large.train.first(16));
        let again = read(folder.path()).unwrap();
        assert_eq!(again.train, large.train);
        let held_out = again.held_out.unwrap();
        assert_eq!(held_out.n, 97);
        let (_, mut arrays) = arrays::read::<Header>(&folder.path().join(FILE)).unwrap();
        let ([_], train) = arrays.u32("train_indices").unwrap();
        let ([_], held_out) = arrays.u32("held_out_indices").unwrap();
        assert!(held_out.iter().all(|i| !train.contains(i)));
    }
}
