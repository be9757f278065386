//! The nearest neighbour of each image in a set: exact, in tiles.
//!
//! ‖a − b‖² = ‖a‖² + ‖b‖² − 2ab, with the products by matrices. Their rounding
//! is bounded, so only images that could be among the two nearest are looked
//! at exactly; what comes out is that of the plain double loop, bit by bit,
//! whatever computed the products.

use rayon::prelude::*;

use super::psnr::{of_squared_error, squared_error};
use crate::data::images::Images;
use crate::nn::gemm::{Matrix, product};
use crate::runner::pulse;

/// Images looked for at a time, by one thread, …
const ROWS: usize = 128;
/// … among so many of the set.
const COLUMNS: usize = 1024;
/// Tiles of rows between two signs of life.
const TURN: usize = 16;
/// What differences in f32 round, relative to ‖a‖² + ‖b‖².
const UNIT: f64 = 4.0 * f32::EPSILON as f64;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Nearest {
    pub(crate) index: usize,
    /// ‖a − b‖².
    pub(crate) squared: f64,
    pub(crate) psnr: f64,
    /// ‖a − c‖² of the second nearest, infinite in a set of one.
    pub(crate) second: f64,
}

impl Nearest {
    /// For each image its nearest among the first `among` of `set`, which are
    /// at least one; the first of equals.
    pub(crate) fn of_all(images: &Images, set: &Images, among: usize) -> Vec<Self> {
        let size = set.size();
        let among = among.min(set.n);
        let data = &set.data[..among * size];
        let norms: Vec<f64> = data.chunks_exact(size).map(norm).collect();
        let mut all = Vec::with_capacity(images.n);
        for turn in images.data.chunks(TURN * ROWS * size) {
            let tiles = turn.par_chunks(ROWS * size);
            let found = tiles.flat_map_iter(|tile| of_tile(tile, data, &norms, size));
            all.par_extend(found);
            pulse::beat();
        }
        all
    }
}

fn norm(image: &[f32]) -> f64 {
    image.iter().map(|x| f64::from(*x).powi(2)).sum()
}

/// Those of the set that may be among the two nearest.
#[derive(Default)]
struct Candidates {
    /// A lower bound of ‖a − b‖², and the index.
    found: Vec<(f64, usize)>,
    /// The two smallest upper bounds.
    upper: [f64; 2],
}

impl Candidates {
    fn new() -> Self {
        Self {
            found: Vec::new(),
            upper: [f64::INFINITY; 2],
        }
    }

    fn add(&mut self, index: usize, squared: f64, error: f64) {
        if squared - error > self.upper[1] {
            return;
        }
        self.found.push((squared - error, index));
        let [first, second] = self.upper;
        let upper = squared + error;
        self.upper = if upper < first {
            [upper, first]
        } else {
            [first, second.min(upper)]
        };
    }

    fn prune(&mut self) {
        let most = self.upper[1];
        self.found.retain(|(lower, _)| *lower <= most);
    }

    fn decide(mut self, image: &[f32], set: &[f32]) -> Nearest {
        self.prune();
        let size = image.len();
        let (mut best, mut second) = ((f64::INFINITY, 0), f64::INFINITY);
        for (_, index) in self.found {
            let other = &set[index * size..(index + 1) * size];
            let squared = squared_error(image, other);
            if squared < best.0 {
                second = best.0;
                best = (squared, index);
            } else {
                second = second.min(squared);
            }
        }
        Nearest {
            index: best.1,
            squared: best.0,
            psnr: of_squared_error(best.0, size),
            second,
        }
    }
}

fn of_tile(tile: &[f32], set: &[f32], norms: &[f64], size: usize) -> Vec<Nearest> {
    let rows = tile.len() / size;
    let lengths: Vec<f64> = tile.chunks_exact(size).map(norm).collect();
    let relative = product_error(size);
    let mut candidates: Vec<Candidates> = (0..rows).map(|_| Candidates::new()).collect();
    let mut products = vec![0.0f32; rows * COLUMNS.min(norms.len())];
    for (block, norms) in norms.chunks(COLUMNS).enumerate() {
        let (first, cols) = (block * COLUMNS, norms.len());
        let others = &set[first * size..(first + cols) * size];
        let products = &mut products[..rows * cols];
        let (a, b) = (
            Matrix::new(tile, rows, size),
            Matrix::new(others, cols, size),
        );
        product(products, a, b.t(), false);
        let of_rows = candidates.iter_mut().zip(&lengths);
        for ((found, length), products) in of_rows.zip(products.chunks_exact(cols)) {
            for (column, (product, norm)) in products.iter().zip(norms).enumerate() {
                let squared = length + norm - 2.0 * f64::from(*product);
                let error = 2.0 * relative * (length * norm).sqrt() + UNIT * (length + norm);
                found.add(first + column, squared, error);
            }
            found.prune();
        }
    }
    let images = tile.chunks_exact(size);
    let decided = candidates.into_iter().zip(images);
    decided.map(|(c, image)| c.decide(image, set)).collect()
}

/// A bound on the rounding of a product of `size` terms in f32, in whatever
/// order they are added, relative to ‖a‖·‖b‖.
fn product_error(size: usize) -> f64 {
    let rounding = size as f64 * f64::from(f32::EPSILON);
    rounding / (1.0 - rounding.min(0.5))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nn::rng::stream;

    fn images(data: &[f32], size: usize) -> Images {
        Images {
            n: data.len() / size,
            channels: 1,
            h: 1,
            w: size,
            data: data.to_vec(),
        }
    }

    /// The plain double loop.
    fn plainly(images: &Images, set: &Images, among: usize) -> Vec<(usize, f64, f64)> {
        let each = |image: &[f32]| {
            let all = set.iter().take(among).enumerate();
            let mut all: Vec<_> = all.map(|(i, x)| (squared_error(image, x), i)).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let second = all.get(1).map_or(f64::INFINITY, |s| s.0);
            (all[0].1, all[0].0, second)
        };
        images.iter().map(each).collect()
    }

    #[test]
    fn the_nearest_is_found_among_those_allowed() {
        let set = images(&[0.0, 0.0, 1.0, 1.0, 0.5, 0.5], 2);
        let probe = images(&[0.5, 0.5, 0.1, -0.1], 2);
        let index = |among| -> Vec<usize> {
            let all = Nearest::of_all(&probe, &set, among);
            all.iter().map(|n| n.index).collect()
        };
        assert_eq!(index(3), [2, 0]);
        assert_eq!(index(1), [0, 0]);
        let found = Nearest::of_all(&probe, &set, 3)[0];
        assert!((found.psnr - 100.0).abs() < 1e-9);
        assert!((found.second - 0.5).abs() < 1e-9, "(1, 1) or (0, 0)");
        assert_eq!(Nearest::of_all(&probe, &set, 1)[0].second, f64::INFINITY);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Sets with near and exact duplicates, larger than a tile.
        #[test]
        fn tiles_find_what_the_double_loop_finds(
            seed: u64, size in 1usize..70, probes in 1usize..300, count in 1usize..1500,
            grain in prop_oneof![Just(0.0f32), Just(1e-6), Just(0.5)],
        ) {
            let mut rng = stream(seed, "test", 0);
            let mut base = rng.normals(count * size);
            for at in size..count * size {
                if (at / size) % 3 == 0 {
                    base[at] = base[at - size] + grain * rng.signed();
                }
            }
            let set = images(&base, size);
            let probe = images(&rng.normals(probes * size), size);
            let among = count.div_ceil(2);
            let found = Nearest::of_all(&probe, &set, among);
            let found: Vec<_> = found.iter().map(|n| (n.index, n.squared, n.second)).collect();
            prop_assert_eq!(found, plainly(&probe, &set, among));
        }
    }
}
