//! Structural similarity (science.md §5, SSIM): images mapped to [0, 1], a
//! Gaussian window of 11 with σ = 1.5, where a side is shorter a uniform one
//! of 7; covariances with n, windows inside the image only, the mean over
//! windows and channels. The definition of scikit-image with
//! `gaussian_weights=True, use_sample_covariance=False, data_range=1`.

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use rayon::prelude::*;

use super::{Rows, Subject, mean};
use crate::data::images::Images;
use crate::data::pictures::{Pictures, pieces};
use crate::runner::pulse;

const GAUSSIAN: usize = 11;
const SIGMA: f64 = 1.5;
const UNIFORM: usize = 7;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// Images looked for between two signs of life, …
const TURN: usize = 64;
/// … among those of the set that fit into so many bytes, prepared.
const BLOCK_BYTES: usize = 256 << 20;

/// What images of one size are compared by.
struct Window {
    weights: Vec<f64>,
    channels: usize,
    h: usize,
    w: usize,
}

/// Bytes that a pixel takes in it.
const PREPARED: usize = 3 * size_of::<f64>();

/// An image with what its windows weigh alone.
struct Prepared {
    /// In [0, 1].
    pixels: Vec<f64>,
    means: Vec<f64>,
    /// Means of squares, less squares of means.
    variances: Vec<f64>,
}

impl Window {
    fn new([_, channels, h, w]: [usize; 4]) -> Self {
        let side = h.min(w);
        let weights = if side >= GAUSSIAN {
            let reach = (GAUSSIAN / 2) as f64;
            let density = |i: usize| {
                let x = i as f64 - reach;
                libm::exp(-x * x / (2.0 * SIGMA * SIGMA))
            };
            let density: Vec<f64> = (0..GAUSSIAN).map(density).collect();
            let total: f64 = density.iter().sum();
            density.into_iter().map(|d| d / total).collect()
        } else {
            // The largest odd window that fits, where not even 7 does.
            let width = UNIFORM.min(side - usize::from(side.is_multiple_of(2)));
            vec![1.0 / width as f64; width]
        };
        Self {
            weights,
            channels,
            h,
            w,
        }
    }

    /// Means under the window at every place where it fits, channels one after
    /// the other.
    fn means(&self, values: impl Fn(usize) -> f64) -> Vec<f64> {
        let reach = self.weights.len();
        let (down, across) = (self.h - reach + 1, self.w - reach + 1);
        let mut out = Vec::with_capacity(self.channels * down * across);
        let mut line = vec![0.0; self.h * across];
        for channel in 0..self.channels {
            for y in 0..self.h {
                let row = (channel * self.h + y) * self.w;
                for x in 0..across {
                    let terms = self.weights.iter().enumerate();
                    line[y * across + x] = terms.map(|(i, w)| w * values(row + x + i)).sum();
                }
            }
            for y in 0..down {
                for x in 0..across {
                    let terms = self.weights.iter().enumerate();
                    out.push(terms.map(|(i, w)| w * line[(y + i) * across + x]).sum());
                }
            }
        }
        out
    }

    fn prepare(&self, image: &[f32]) -> Prepared {
        let unit = |x: &f32| 0.5 * (f64::from(x.clamp(-1.0, 1.0)) + 1.0);
        let pixels: Vec<f64> = image.iter().map(unit).collect();
        let means = self.means(|i| pixels[i]);
        let squares = self.means(|i| pixels[i] * pixels[i]);
        let variances = squares.iter().zip(&means).map(|(s, m)| s - m * m);
        Prepared {
            variances: variances.collect(),
            means,
            pixels,
        }
    }

    fn similarity(&self, a: &Prepared, b: &Prepared) -> f64 {
        let products = self.means(|i| a.pixels[i] * b.pixels[i]);
        let of = |(i, product): (usize, f64)| {
            let (ma, mb) = (a.means[i], b.means[i]);
            let covariance = product - ma * mb;
            let light = (2.0 * ma * mb + C1) / (ma * ma + mb * mb + C1);
            let structure = 2.0 * covariance + C2;
            light * structure / (a.variances[i] + b.variances[i] + C2)
        };
        let n = products.len() as f64;
        products.into_iter().enumerate().map(of).sum::<f64>() / n
    }
}

/// The most similar image of a set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MostSimilar {
    pub(crate) index: usize,
    pub(crate) ssim: f64,
}

/// For each image the most similar of a set of at least one; the first of
/// equals.
///
/// # Errors
/// When images cannot be read.
pub(crate) fn most_similar(
    images: &dyn Pictures,
    set: &dyn Pictures,
) -> Result<Vec<MostSimilar>, Failure> {
    let at_once = BLOCK_BYTES / (PREPARED * set.size());
    most_similar_in_blocks(images, set, at_once)
}

fn most_similar_in_blocks(
    images: &dyn Pictures,
    set: &dyn Pictures,
    at_once: usize,
) -> Result<Vec<MostSimilar>, Failure> {
    let window = Window::new(set.shape());
    let none = MostSimilar {
        index: 0,
        ssim: f64::NEG_INFINITY,
    };
    let mut all = vec![none; images.n()];
    for block in pieces(set.n(), at_once) {
        let first = block.start;
        let values = set.values(block)?;
        let block = values.par_chunks_exact(set.size());
        let block: Vec<Prepared> = block.map(|x| window.prepare(x)).collect();
        let look = |(best, image): (&mut MostSimilar, &[f32])| {
            let image = window.prepare(image);
            for (index, other) in (first..).zip(&block) {
                let ssim = window.similarity(&image, other);
                if ssim > best.ssim {
                    *best = MostSimilar { index, ssim };
                }
            }
        };
        for (found, turn) in all.chunks_mut(TURN).zip(pieces(images.n(), TURN)) {
            let turn = images.values(turn)?;
            let images = turn.par_chunks_exact(images.size());
            found.par_iter_mut().zip(images).for_each(look);
            pulse::beat();
        }
    }
    Ok(all)
}

/// Mean similarity of images and their originals.
pub(super) fn average(images: &Images, originals: &Images) -> f64 {
    let window = Window::new(originals.shape());
    let pairs = images.iter().zip(originals.iter());
    mean(pairs.map(|(a, b)| window.similarity(&window.prepare(a), &window.prepare(b))))
}

/// Of reconstructions without noise.
pub(super) fn reconstruction(subject: &Subject<'_>) -> Rows {
    let ssim = average(&subject.clean, subject.train);
    let row = MetricRow::scalar("ssim_clean", "", Direction::Up, ssim);
    Ok(vec![row.over(subject.train.n)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::rng::stream;

    #[test]
    fn blocks_of_the_set_find_what_one_search_finds() {
        let images = |seed, n: usize| Images {
            n,
            channels: 1,
            h: 8,
            w: 8,
            data: stream(seed, "test", 0).normals(n * 64),
        };
        let (probes, mut set) = (images(0, 70), images(1, 10));
        // Equals in different blocks: the first counts.
        set.data.copy_within(..64, 5 * 64);
        let whole = most_similar(&probes, &set).unwrap();
        assert!(whole.iter().any(|found| found.index == 0));
        assert!(whole.iter().all(|found| found.index != 5));
        for at_once in [1, 3, 10, 11] {
            let found = most_similar_in_blocks(&probes, &set, at_once).unwrap();
            assert_eq!(found, whole);
        }
    }
}
