//! The nearest images of samples as an artefact, `neighbours.safetensors`: a
//! shard of them is searched for by a task of its own, and what the tasks find
//! is joined to what one search finds, to the last bit.

use std::collections::BTreeMap;
use std::path::Path;

use ablate_proto::failure::Failure;
use serde::{Deserialize, Serialize};

use super::Nearest;
use super::psnr::of_squared_error;
use super::ssim::{self, MostSimilar};
use crate::data::arrays::{self, Array, Arrays};
use crate::data::pictures::Pictures;

pub(crate) const FILE: &str = "neighbours.safetensors";

/// What was found for each sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Neighbours {
    /// The nearest training image.
    pub(crate) nearest: Vec<Nearest>,
    /// If images were held out.
    pub(crate) against: Option<Against>,
    /// The training image most similar by SSIM, if that was asked for.
    pub(crate) similar: Option<Vec<MostSimilar>>,
}

/// The nearest of as many held-out and training images (X2).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Against {
    /// How many of both.
    pub(crate) among: usize,
    pub(crate) held_out: Vec<Nearest>,
    /// None where all training images are meant.
    pub(crate) train: Option<Vec<Nearest>>,
}

pub(super) fn against(
    images: &dyn Pictures,
    train: &dyn Pictures,
    held_out: &dyn Pictures,
) -> Result<Against, Failure> {
    let among = held_out.n().min(train.n());
    let fewer = (among < train.n()).then(|| Nearest::of_all(images, train, among));
    Ok(Against {
        among,
        held_out: Nearest::of_all(images, held_out, among)?,
        train: fewer.transpose()?,
    })
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    /// Values of one image.
    size: usize,
    among: Option<usize>,
    fewer: bool,
    similar: bool,
}

impl Neighbours {
    /// # Errors
    /// When images cannot be read.
    pub(crate) fn find(
        images: &dyn Pictures,
        train: &dyn Pictures,
        held_out: Option<&dyn Pictures>,
        by_ssim: bool,
    ) -> Result<Self, Failure> {
        let against = held_out.map(|held_out| against(images, train, held_out));
        let similar = by_ssim.then(|| ssim::most_similar(images, train));
        Ok(Self {
            nearest: Nearest::of_all(images, train, train.n())?,
            against: against.transpose()?,
            similar: similar.transpose()?,
        })
    }

    /// Writes what was found for images of so many values.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, folder: &Path, size: usize) -> Result<(), Failure> {
        let mut file = BTreeMap::new();
        put(&mut file, "nearest", &self.nearest);
        let fewer = self.against.as_ref().and_then(|a| a.train.as_ref());
        if let Some(against) = &self.against {
            put(&mut file, "held_out", &against.held_out);
        }
        if let Some(fewer) = fewer {
            put(&mut file, "fewer", fewer);
        }
        if let Some(similar) = &self.similar {
            let ssim = similar.iter().map(|s| s.ssim);
            file.insert("similar.ssim".to_owned(), of_f64(ssim));
            let index = indices(similar.iter().map(|s| s.index));
            file.insert("similar.index".to_owned(), index);
        }
        let header = Header {
            size,
            among: self.against.as_ref().map(|a| a.among),
            fewer: fewer.is_some(),
            similar: self.similar.is_some(),
        };
        Ok(arrays::write(&folder.join(FILE), &header, &file)?)
    }

    /// What the shards in these folders found, one after another.
    ///
    /// # Errors
    /// When a file is absent or broken, or the shards did not search alike.
    pub(crate) fn read(folders: &[&Path]) -> Result<Option<Self>, Failure> {
        let mut joined: Option<(Header, Self)> = None;
        for folder in folders {
            let (header, mut file) = arrays::read::<Header>(&folder.join(FILE))?;
            let found = Self::of_file(&header, &mut file)?;
            match &mut joined {
                None => joined = Some((header, found)),
                Some((first, all)) if *first == header => all.append(found),
                Some(_) => {
                    let why = "it is of another search than the shards before it";
                    return Err(file.wrong(why).into());
                }
            }
            file.finish()?;
        }
        Ok(joined.map(|(_, all)| all))
    }

    fn of_file(header: &Header, file: &mut Arrays) -> Result<Self, Failure> {
        let size = header.size;
        let nearest = take(file, "nearest", size)?;
        let against = match header.among {
            None => None,
            Some(among) => Some(Against {
                among,
                held_out: take(file, "held_out", size)?,
                train: match header.fewer {
                    true => Some(take(file, "fewer", size)?),
                    false => None,
                },
            }),
        };
        let similar = match header.similar {
            false => None,
            true => {
                let ssim = to_f64(file, "similar.ssim")?;
                let ([n], index) = file.u32("similar.index")?;
                same(file, n == ssim.len())?;
                let pairs = index.into_iter().zip(ssim);
                let similar = pairs.map(|(index, ssim)| MostSimilar {
                    index: index as usize,
                    ssim,
                });
                Some(similar.collect())
            }
        };
        let found = Self {
            nearest,
            against,
            similar,
        };
        same(file, found.is_even())?;
        Ok(found)
    }

    /// Whether it is of `n` samples, among so many training images.
    pub(crate) fn is_of(&self, n: usize, train: usize, held_out: bool, by_ssim: bool) -> bool {
        let similar = self.similar.iter().flatten().map(|s| s.index);
        let mut indices = self.nearest.iter().map(|n| n.index).chain(similar);
        self.nearest.len() == n
            && self.against.is_some() == held_out
            && self.similar.is_some() == by_ssim
            && indices.all(|index| index < train)
    }

    /// Whether every list has an entry for every sample.
    fn is_even(&self) -> bool {
        let n = self.nearest.len();
        let against = self.against.as_ref();
        against
            .is_none_or(|a| a.held_out.len() == n && a.train.as_ref().is_none_or(|t| t.len() == n))
            && self.similar.as_ref().is_none_or(|s| s.len() == n)
    }

    fn append(&mut self, next: Self) {
        self.nearest.extend(next.nearest);
        if let (Some(all), Some(next)) = (&mut self.against, next.against) {
            all.held_out.extend(next.held_out);
            if let (Some(all), Some(next)) = (&mut all.train, next.train) {
                all.extend(next);
            }
        }
        if let (Some(all), Some(next)) = (&mut self.similar, next.similar) {
            all.extend(next);
        }
    }
}

fn put(file: &mut BTreeMap<String, Array>, name: &str, nearest: &[Nearest]) {
    let index = indices(nearest.iter().map(|n| n.index));
    file.insert(format!("{name}.index"), index);
    let squared = of_f64(nearest.iter().map(|n| n.squared));
    file.insert(format!("{name}.squared"), squared);
    let second = of_f64(nearest.iter().map(|n| n.second));
    file.insert(format!("{name}.second"), second);
}

fn take(file: &mut Arrays, name: &str, size: usize) -> Result<Vec<Nearest>, Failure> {
    let ([n], index) = file.u32(&format!("{name}.index"))?;
    let squared = to_f64(file, &format!("{name}.squared"))?;
    let second = to_f64(file, &format!("{name}.second"))?;
    same(file, n == squared.len() && n == second.len())?;
    let all = index.into_iter().zip(squared.into_iter().zip(second));
    let nearest = all.map(|(index, (squared, second))| Nearest {
        index: index as usize,
        squared,
        psnr: of_squared_error(squared, size),
        second,
    });
    Ok(nearest.collect())
}

fn same(file: &Arrays, even: bool) -> Result<(), Failure> {
    match even {
        true => Ok(()),
        false => Err(file.wrong("its arrays do not fit together").into()),
    }
}

/// Indices of images, of which there are fewer than 2^32.
fn indices(all: impl Iterator<Item = usize>) -> Array {
    let all: Vec<u32> = all.map(|i| u32::try_from(i).unwrap_or(u32::MAX)).collect();
    Array::u32(&[all.len()], all)
}

/// As bytes, `[n, 8]`: files have no f64.
fn of_f64(all: impl ExactSizeIterator<Item = f64>) -> Array {
    let n = all.len();
    Array::u8(&[n, 8], all.flat_map(f64::to_le_bytes).collect())
}

fn to_f64(file: &mut Arrays, name: &str) -> Result<Vec<f64>, Failure> {
    let ([_, width], bytes) = file.u8(name)?;
    same(file, width == 8)?;
    let (values, _) = bytes.as_chunks::<8>();
    Ok(values.iter().map(|b| f64::from_le_bytes(*b)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::images::Images;
    use crate::nn::rng::stream;

    fn images(seed: u64, n: usize) -> Images {
        let mut rng = stream(seed, "test", 0);
        Images {
            n,
            channels: 1,
            h: 4,
            w: 4,
            data: (0..n * 16).map(|_| rng.signed()).collect(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Whatever is searched by one task, the same is by several.
        #[test]
        fn shards_find_what_one_search_finds(
            n in 1usize..60, train in 1usize..30, held_out in 0usize..40, parts in 1usize..6,
            by_ssim: bool,
        ) {
            let (samples, train) = (images(0, n), images(1, train));
            let held_out = (held_out > 0).then(|| images(2, held_out));
            let held_out = held_out.as_ref().map(|images| images as &dyn Pictures);
            let whole = Neighbours::find(&samples, &train, held_out, by_ssim).unwrap();
            let folders: Vec<_> = (0..parts).map(|_| tempfile::tempdir().unwrap()).collect();
            let cuts = ablate_proto::stage::shard::part_of(n, parts);
            for (part, folder) in cuts.zip(&folders) {
                let samples = samples.read(part).unwrap();
                let found = Neighbours::find(&samples, &train, held_out, by_ssim).unwrap();
                found.write(folder.path(), 16).unwrap();
            }
            let folders: Vec<&Path> = folders.iter().map(|f| f.path()).collect();
            prop_assert_eq!(Neighbours::read(&folders).unwrap(), Some(whole));
        }
    }

    #[test]
    fn shards_of_different_searches_are_refused() {
        let (samples, train) = (images(0, 5), images(1, 4));
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for (folder, by_ssim) in folders.iter().zip([true, false]) {
            let found = Neighbours::find(&samples, &train, None, by_ssim).unwrap();
            found.write(folder.path(), 16).unwrap();
        }
        let folders = folders.each_ref().map(|f| f.path());
        let refused = Neighbours::read(&folders).unwrap_err();
        assert!(refused.cause.contains("another search"), "{refused:?}");
        assert_eq!(Neighbours::read(&[]).unwrap(), None);
    }
}
