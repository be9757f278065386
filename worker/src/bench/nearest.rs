//! The search for nearest training images, as evaluations do it.

use crate::data::images::Images;
use crate::metrics::Nearest;
use crate::nn::rng::stream;

/// Images of 3×32×32 and what they are searched among.
pub struct Search {
    samples: Images,
    train: Images,
}

const CHANNELS: usize = 3;
const SIDE: usize = 32;

impl Search {
    /// Random images, `n` of them and `among` to search.
    pub fn new(n: usize, among: usize) -> Self {
        let images = |n: usize, index| {
            let mut rng = stream(0, "nearest", index);
            Images {
                n,
                channels: CHANNELS,
                h: SIDE,
                w: SIDE,
                data: (0..n * CHANNELS * SIDE * SIDE)
                    .map(|_| rng.signed())
                    .collect(),
            }
        };
        Self {
            samples: images(n, 0),
            train: images(among, 1),
        }
    }

    /// Operations of the products at least, an addition and a multiplication
    /// counted apart.
    pub fn operations(&self) -> f64 {
        let values = CHANNELS * SIDE * SIDE;
        2.0 * self.samples.n as f64 * self.train.n as f64 * values as f64
    }

    /// Searches; returns the mean squared distance of the nearest.
    pub fn run(&self) -> f64 {
        let found = Nearest::of_all(&self.samples, &self.train, self.train.n);
        let found = found.expect("the images are in memory");
        found.iter().map(|nearest| nearest.squared).sum::<f64>() / found.len() as f64
    }
}
