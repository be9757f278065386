//! The nearest neighbour of each image in a set: exact, in tiles.
//!
//! ‖a − b‖² = ‖a‖² + ‖b‖² − 2ab, with the products by matrices. Their rounding
//! is bounded, so only images that could be among the two nearest are looked
//! at exactly; what comes out is that of the plain double loop, bit by bit,
//! whatever computed the products.

use ablate_proto::failure::Failure;
use rayon::prelude::*;

use super::psnr::{of_squared_error, squared_error};
use crate::data::pictures::{Pictures, at_once, pieces};
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
    ///
    /// # Errors
    /// When images cannot be read.
    pub(crate) fn of_all(
        images: &dyn Pictures,
        set: &dyn Pictures,
        among: usize,
    ) -> Result<Vec<Self>, Failure> {
        Self::in_pieces(images, set, among, at_once(set.size()))
    }

    /// With at most so many images of each in memory at a time.
    fn in_pieces(
        images: &dyn Pictures,
        set: &dyn Pictures,
        among: usize,
        most: usize,
    ) -> Result<Vec<Self>, Failure> {
        let size = set.size();
        let mut all = Vec::with_capacity(images.n());
        for piece in pieces(images.n(), most) {
            let images = images.values(piece)?;
            let mut closest = vec![Closest::none(); images.len() / size];
            for block in pieces(among.min(set.n()), most) {
                let first = block.start;
                let values = set.values(block)?;
                let others = Others::new(first, &values, size);
                let turns = images.chunks(TURN * ROWS * size);
                for (turn, closest) in turns.zip(closest.chunks_mut(TURN * ROWS)) {
                    let tiles = turn.par_chunks(ROWS * size);
                    let tiles = tiles.zip(closest.par_chunks_mut(ROWS));
                    tiles.for_each(|(tile, closest)| of_tile(tile, closest, &others));
                    pulse::beat();
                }
            }
            all.extend(closest.into_iter().map(|closest| closest.nearest(size)));
        }
        Ok(all)
    }
}

/// A piece of the set, with what the search needs of it.
struct Others<'a> {
    first: usize,
    values: &'a [f32],
    norms: Vec<f64>,
    size: usize,
}

impl<'a> Others<'a> {
    fn new(first: usize, values: &'a [f32], size: usize) -> Self {
        Self {
            first,
            values,
            norms: values.par_chunks_exact(size).map(norm).collect(),
            size,
        }
    }
}

fn norm(image: &[f32]) -> f64 {
    image.iter().map(|x| f64::from(*x).powi(2)).sum()
}

/// The two nearest of what was looked at.
#[derive(Clone)]
struct Closest {
    /// Those of a piece that may be: a lower bound of ‖a − b‖², and the index.
    candidates: Vec<(f64, usize)>,
    /// The two smallest upper bounds.
    upper: [f64; 2],
    /// ‖a − b‖² and the index, the first of equals.
    best: (f64, usize),
    second: f64,
}

impl Closest {
    fn none() -> Self {
        Self {
            candidates: Vec::new(),
            upper: [f64::INFINITY; 2],
            best: (f64::INFINITY, 0),
            second: f64::INFINITY,
        }
    }

    fn add(&mut self, index: usize, squared: f64, error: f64) {
        if squared - error > self.upper[1] {
            return;
        }
        self.candidates.push((squared - error, index));
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
        self.candidates.retain(|(lower, _)| *lower <= most);
    }

    /// Looks at the candidates of a piece exactly. None are kept: of a set of
    /// equal images there are as many as images.
    fn settle(&mut self, image: &[f32], set: &Others<'_>) {
        for (_, index) in std::mem::take(&mut self.candidates) {
            let at = (index - set.first) * set.size;
            let squared = squared_error(image, &set.values[at..at + set.size]);
            if squared < self.best.0 {
                self.second = self.best.0;
                self.best = (squared, index);
            } else {
                self.second = self.second.min(squared);
            }
        }
        self.upper = [self.best.0, self.second];
    }

    fn nearest(&self, size: usize) -> Nearest {
        let (squared, index) = self.best;
        Nearest {
            index,
            squared,
            psnr: of_squared_error(squared, size),
            second: self.second,
        }
    }
}

/// Looks for what is nearest to the images of a tile in a piece of the set.
fn of_tile(tile: &[f32], closest: &mut [Closest], set: &Others<'_>) {
    let (rows, size) = (closest.len(), set.size);
    let lengths: Vec<f64> = tile.chunks_exact(size).map(norm).collect();
    let relative = product_error(size);
    let mut products = vec![0.0f32; rows * COLUMNS.min(set.norms.len())];
    for (block, norms) in set.norms.chunks(COLUMNS).enumerate() {
        let (first, cols) = (block * COLUMNS, norms.len());
        let others = &set.values[first * size..(first + cols) * size];
        let products = &mut products[..rows * cols];
        let (a, b) = (
            Matrix::new(tile, rows, size),
            Matrix::new(others, cols, size),
        );
        product(products, a, b.t(), false);
        let of_rows = closest.iter_mut().zip(&lengths);
        for ((found, length), products) in of_rows.zip(products.chunks_exact(cols)) {
            for (column, (product, norm)) in products.iter().zip(norms).enumerate() {
                let squared = length + norm - 2.0 * f64::from(*product);
                let error = 2.0 * relative * (length * norm).sqrt() + UNIT * (length + norm);
                found.add(set.first + first + column, squared, error);
            }
            found.prune();
        }
    }
    for (closest, image) in closest.iter_mut().zip(tile.chunks_exact(size)) {
        closest.settle(image, set);
    }
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
    use crate::data::images::Images;
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
            let all = Nearest::of_all(&probe, &set, among).unwrap();
            all.iter().map(|n| n.index).collect()
        };
        assert_eq!(index(3), [2, 0]);
        assert_eq!(index(1), [0, 0]);
        let found = Nearest::of_all(&probe, &set, 3).unwrap()[0];
        assert!((found.psnr - 100.0).abs() < 1e-9);
        assert!((found.second - 0.5).abs() < 1e-9, "(1, 1) or (0, 0)");
        let alone = Nearest::of_all(&probe, &set, 1).unwrap()[0];
        assert_eq!(alone.second, f64::INFINITY);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Sets with near and exact duplicates, larger than a tile.
        #[test]
        fn tiles_find_what_the_double_loop_finds(
            seed: u64, size in 1usize..70, probes in 1usize..300, count in 1usize..1500,
            grain in prop_oneof![Just(0.0f32), Just(1e-6), Just(0.5)],
            most in prop_oneof![20usize..400, Just(100_000)],
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
            let found = Nearest::in_pieces(&probe, &set, among, most).unwrap();
            let found: Vec<_> = found.iter().map(|n| (n.index, n.squared, n.second)).collect();
            prop_assert_eq!(found, plainly(&probe, &set, among));
        }
    }
}
