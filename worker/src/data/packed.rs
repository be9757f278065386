//! An imported data set as the agent lays it out for a stage: `meta.json`,
//! and the shards that are needed, each under its place in the list of shards.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ablate_proto::dataset::{Meta, Split};
use ablate_proto::failure::Failure;
use ablate_proto::stage::{DatasetSpec, HeldOutFrom};

use crate::nn::rng::stream;
use crate::runner::failure::OrFail as _;

const META: &str = "meta.json";

/// Which images of a source a stage takes, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) train: Vec<usize>,
    pub(crate) held_out: Vec<usize>,
    /// The split that the held-out images are of.
    pub(crate) held_out_of: Split,
}

/// Training images are the first of a permutation. Held-out images are the
/// last of it, or the first of a permutation of the test images.
///
/// # Errors
/// The source does not have so many images.
pub(crate) fn select(spec: &DatasetSpec, train: usize, test: usize) -> Result<Selection, Failure> {
    let enough = spec.check_counts(train, test);
    enough.map_err(|e| Failure::config(e.to_string()))?;
    let mut order = stream(spec.split_seed, "split", 0).permutation(train);
    let (held_out, held_out_of) = match spec.held_out_from {
        HeldOutFrom::Train => (order.split_off(train - spec.held_out), Split::Train),
        HeldOutFrom::Test => {
            let mut order = stream(spec.split_seed, "test split", 0).permutation(test);
            order.truncate(spec.held_out);
            (order, Split::Test)
        }
    };
    order.truncate(spec.images);
    Ok(Selection {
        train: order,
        held_out,
        held_out_of,
    })
}

/// An image in a shard, and where it goes.
struct Wanted {
    shard: usize,
    /// Among the images of the shard.
    image: u64,
    to: usize,
}

/// In the order in which they lie.
fn locate(meta: &Meta, split: Split, indices: &[usize]) -> Vec<Wanted> {
    let mut ends = Vec::new();
    let mut end = 0;
    for (shard, known) in meta.shards.iter().enumerate() {
        if known.split == split {
            end += known.images;
            ends.push((end, known.images, shard));
        }
    }
    let place = |(to, index): (usize, &usize)| {
        let index = *index as u64;
        let at = ends.partition_point(|(end, _, _)| *end <= index);
        let (end, images, shard) = *ends.get(at)?;
        let image = index - (end - images);
        Some(Wanted { shard, image, to })
    };
    let mut wanted: Vec<Wanted> = indices.iter().enumerate().filter_map(place).collect();
    wanted.sort_unstable_by_key(|one| (one.shard, one.image));
    wanted
}

/// The shards that hold what a spec takes.
///
/// # Errors
/// As [`select`].
pub(crate) fn needed(spec: &DatasetSpec, meta: &Meta) -> Result<Vec<usize>, Failure> {
    let known = &meta.description;
    let selection = select(spec, known.images(Split::Train), known.images(Split::Test))?;
    let mut shards: Vec<usize> = locate(meta, Split::Train, &selection.train)
        .into_iter()
        .chain(locate(meta, selection.held_out_of, &selection.held_out))
        .map(|wanted| wanted.shard)
        .collect();
    shards.sort_unstable();
    shards.dedup();
    Ok(shards)
}

/// Where a shard lies in the folder.
pub(crate) fn shard(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("{index}.bin"))
}

pub(crate) fn meta(folder: &Path) -> PathBuf {
    folder.join(META)
}

/// Images in memory, `[n, c, h, w]` u8, and their labels.
pub(crate) struct Bytes {
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<u32>,
}

pub(crate) struct Packed {
    pub(crate) meta: Meta,
    folder: PathBuf,
}

impl Packed {
    /// Opens the folder that the agent made for the data set of this digest.
    ///
    /// # Errors
    /// It is not there, or is of another data set.
    pub(crate) fn open(folder: &Path, digest: &str) -> Result<Self, Failure> {
        let path = meta(folder);
        let json = std::fs::read(&path);
        let json = json.or_transient(&format!("reading {}", path.display()))?;
        let meta = Meta::parse(digest, &json)
            .map_err(|why| Failure::data(format!("{} cannot be used: {why}", path.display())))?;
        let folder = folder.to_owned();
        Ok(Self { meta, folder })
    }

    /// Reads these images of a split; nothing else is read.
    ///
    /// # Errors
    /// A shard is absent or too short, or there is no room for the images.
    pub(crate) fn read(&self, split: Split, indices: &[usize]) -> Result<Bytes, Failure> {
        let size = self.meta.description.image_bytes();
        let mut pixels = room(indices.len(), size)?;
        let mut labels = vec![0; indices.len()];
        let mut open: Option<(usize, File)> = None;
        for Wanted { shard, image, to } in locate(&self.meta, split, indices) {
            let path = self::shard(&self.folder, shard);
            let doing = || format!("reading {}", path.display());
            let file = match open {
                Some((of, file)) if of == shard => file,
                _ => File::open(&path).or_transient(&doing())?,
            };
            let images = self.meta.shards[shard].images;
            let read = read_image(
                &file,
                &mut pixels[to * size..(to + 1) * size],
                image,
                images,
            );
            labels[to] = read.or_transient(&doing())?;
            open = Some((shard, file));
        }
        Ok(Bytes { pixels, labels })
    }
}

/// Reads an image of a shard with so many; returns its label.
fn read_image(file: &File, pixels: &mut [u8], image: u64, images: u64) -> io::Result<u32> {
    let size = pixels.len() as u64;
    file.read_exact_at(pixels, image * size)?;
    let mut label = [0; 4];
    file.read_exact_at(&mut label, images * size + 4 * image)?;
    Ok(u32::from_le_bytes(label))
}

fn room(images: usize, size: usize) -> Result<Vec<u8>, Failure> {
    let mut pixels = Vec::new();
    let bytes = images.saturating_mul(size);
    pixels.try_reserve_exact(bytes).map_err(|_| {
        let why = format!("there is no memory for {images} images of {size} bytes");
        Failure::new(ablate_proto::failure::FailureClass::OutOfMemory, why)
    })?;
    pixels.resize(bytes, 0);
    Ok(pixels)
}

#[cfg(test)]
pub(crate) mod tests {
    use ablate_proto::dataset::{Content, DATASET_VERSION, Description, Origin, Shard};

    use super::*;

    /// A data set of images of 2×2 pixels, the number of the image in each;
    /// test images count on from `train`. Labels are a hundred more.
    pub(crate) fn lay_out(folder: &Path, train: u8, test: u8, per_shard: u8) -> DatasetSpec {
        let numbers: Vec<u8> = (0..train + test).collect();
        let (of_train, of_test) = numbers.split_at(usize::from(train));
        let mut shards = Vec::new();
        for (split, images) in [(Split::Train, of_train), (Split::Test, of_test)] {
            for images in images.chunks(usize::from(per_shard)) {
                let mut bytes: Vec<u8> = images.iter().flat_map(|n| [*n; 4]).collect();
                let labels = images.iter().map(|n| u32::from(*n) + 100);
                bytes.extend(labels.flat_map(u32::to_le_bytes));
                std::fs::write(shard(folder, shards.len()), &bytes).unwrap();
                shards.push(Shard {
                    split,
                    images: images.len() as u64,
                    bytes: bytes.len() as u64,
                    blake3: blake3::hash(&bytes).to_hex().to_string(),
                });
            }
        }
        let content = |images: u8| Content {
            images: images.into(),
            blake3: String::new(),
        };
        let description = Description {
            version: DATASET_VERSION,
            channels: 1,
            height: 2,
            width: 2,
            train: content(train),
            test: (test > 0).then(|| content(test)),
            labels: Vec::new(),
        };
        let known = Meta {
            digest: description.digest(),
            description,
            shards,
            origin: Origin::default(),
        };
        std::fs::write(meta(folder), serde_json::to_vec(&known).unwrap()).unwrap();
        DatasetSpec {
            source: "mine".to_owned(),
            digest: known.digest,
            images: usize::from(train),
            held_out: 0,
            ..DatasetSpec::default()
        }
    }

    #[test]
    fn images_come_from_their_shards_whatever_those_hold() {
        for per_shard in [1, 3, 7, 50] {
            let folder = tempfile::tempdir().unwrap();
            let spec = lay_out(folder.path(), 20, 5, per_shard);
            let packed = Packed::open(folder.path(), &spec.digest).unwrap();
            let images = packed.read(Split::Train, &[19, 0, 7, 7]).unwrap();
            let expected: Vec<u8> = [19, 0, 7, 7].iter().flat_map(|n| [*n; 4]).collect();
            assert_eq!(images.pixels, expected);
            assert_eq!(images.labels, [119, 100, 107, 107]);
            let images = packed.read(Split::Test, &[4, 0]).unwrap();
            assert_eq!(images.labels, [124, 120]);
        }
    }

    #[test]
    fn only_the_shards_with_chosen_images_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let all = lay_out(folder.path(), 20, 5, 4);
        let packed = Packed::open(folder.path(), &all.digest).unwrap();
        assert_eq!(needed(&all, &packed.meta).unwrap(), [0, 1, 2, 3, 4]);
        let spec = DatasetSpec {
            images: 1,
            held_out: 5,
            held_out_from: HeldOutFrom::Test,
            ..all.clone()
        };
        let shards = needed(&spec, &packed.meta).unwrap();
        assert_eq!((shards.len(), &shards[1..]), (3, &[5, 6][..]));
        std::fs::remove_file(shard(folder.path(), 0)).unwrap();
        let lost = packed.read(Split::Train, &[0]).map(|_| ()).unwrap_err();
        assert!(lost.cause.contains("0.bin"), "{lost}");
        let spec = DatasetSpec { images: 21, ..all };
        assert!(needed(&spec, &packed.meta).is_err());
    }
}
