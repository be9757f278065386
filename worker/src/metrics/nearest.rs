//! The nearest neighbour of each image in a set.

use rayon::prelude::*;

use super::psnr::{of_squared_error, squared_error};
use crate::data::images::Images;
use crate::runner::pulse;

/// Images looked for at a time.
const BLOCK: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Nearest {
    pub(crate) index: usize,
    /// ‖a − b‖².
    pub(crate) squared: f64,
    pub(crate) psnr: f64,
}

impl Nearest {
    /// For each image its nearest among the first `among` of `set`, which are
    /// at least one; the first of equals.
    pub(crate) fn of_all(images: &Images, set: &Images, among: usize) -> Vec<Self> {
        let size = set.size();
        let find = |image: &[f32]| {
            let candidates = set.iter().take(among).enumerate();
            let squared = candidates.map(|(i, x)| (i, squared_error(image, x)));
            let (index, squared) = squared
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .unwrap_or((0, f64::INFINITY));
            Self {
                index,
                squared,
                psnr: of_squared_error(squared, size),
            }
        };
        let mut all = Vec::with_capacity(images.n);
        for block in images.data.chunks(BLOCK * size) {
            all.par_extend(block.par_chunks_exact(size).map(find));
            pulse::beat();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(data: &[f32]) -> Images {
        Images {
            n: data.len() / 2,
            channels: 1,
            h: 1,
            w: 2,
            data: data.to_vec(),
        }
    }

    #[test]
    fn the_nearest_is_found_among_those_allowed() {
        let set = images(&[0.0, 0.0, 1.0, 1.0, 0.5, 0.5]);
        let probe = images(&[0.5, 0.5, 0.1, -0.1]);
        let index = |among| -> Vec<usize> {
            let all = Nearest::of_all(&probe, &set, among);
            all.iter().map(|n| n.index).collect()
        };
        assert_eq!(index(3), [2, 0]);
        assert_eq!(index(1), [0, 0]);
        assert!((Nearest::of_all(&probe, &set, 3)[0].psnr - 100.0).abs() < 1e-9);
    }
}
