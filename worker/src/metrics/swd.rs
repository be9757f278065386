//! Sliced Wasserstein distance (science.md §5, SWD): the root of the mean of
//! W₂² over random directions, each of them exact by sorting.

use ablate_proto::failure::Failure;

use super::vectors::Vectors;
use crate::data::pictures::pieces;
use crate::nn::gemm::{Matrix, product};
use crate::nn::narrow;
use crate::nn::rng::stream;
use crate::runner::pulse;

const DIRECTIONS: usize = 512;
/// Directions that are looked along at a time.
const BLOCK: usize = 64;
/// Bytes of a set up to which it is looked at as a whole: a product may differ
/// in its last bits with the number of rows.
const WHOLE: usize = 1 << 30;

/// Of two sets that are not empty, of one width.
///
/// # Errors
/// When the vectors cannot be read.
pub(super) fn distance(a: &dyn Vectors, b: &dyn Vectors, seed: u64) -> Result<f64, Failure> {
    let width = a.width();
    let mut sum = 0.0;
    for first in (0..DIRECTIONS).step_by(BLOCK) {
        let directions = directions(width, first, seed);
        let (a, b) = (along(a, &directions)?, along(b, &directions)?);
        let pairs = a.iter().zip(&b);
        sum += pairs.map(|(a, b)| squared_distance(a, b)).sum::<f64>();
        pulse::beat();
    }
    Ok((sum / DIRECTIONS as f64).sqrt())
}

/// Unit vectors, `[BLOCK, width]`, each from a stream of its own.
fn directions(width: usize, first: usize, seed: u64) -> Vec<f32> {
    let direction = |i: usize| {
        let mut values = stream(seed, "sliced distance", i as u64).normals(width);
        let length: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
        let scale = narrow(1.0 / length.sqrt().max(f64::MIN_POSITIVE));
        values.iter_mut().for_each(|v| *v *= scale);
        values
    };
    (first..first + BLOCK).flat_map(direction).collect()
}

/// The sorted coordinates of a set along each direction.
fn along(set: &dyn Vectors, directions: &[f32]) -> Result<Vec<Vec<f32>>, Failure> {
    let width = set.width();
    let directions = Matrix::new(directions, BLOCK, width);
    let mut lines = vec![Vec::new(); BLOCK];
    for piece in pieces(set.n(), WHOLE / (size_of::<f32>() * width.max(1))) {
        let n = piece.len();
        let rows = set.rows(piece)?;
        let mut out = vec![0.0; BLOCK * n];
        product(
            &mut out,
            directions,
            Matrix::new(&rows, n, width).t(),
            false,
        );
        for (line, part) in lines.iter_mut().zip(out.chunks_exact(n)) {
            line.extend_from_slice(part);
        }
    }
    for line in &mut lines {
        line.sort_unstable_by(f32::total_cmp);
    }
    Ok(lines)
}

/// W₂² of two sorted samples on a line, which may differ in number.
fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    // Mass is counted in units of 1/(n·m), so that it is exact.
    let (n, m) = (a.len(), b.len());
    let (mut i, mut j) = (0, 0);
    let (mut left, mut right) = (m, n);
    let mut sum = 0.0;
    while i < n && j < m {
        let mass = left.min(right);
        sum += mass as f64 * (f64::from(a[i]) - f64::from(b[j])).powi(2);
        left -= mass;
        right -= mass;
        if left == 0 {
            (i, left) = (i + 1, m);
        }
        if right == 0 {
            (j, right) = (j + 1, n);
        }
    }
    sum / (n as f64 * m as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Features;

    #[test]
    fn on_a_line_it_is_the_distance_of_sorted_samples() {
        assert!((squared_distance(&[0.0, 1.0], &[1.0, 3.0]) - 2.5).abs() < 1e-12);
        // Two thirds of the mass go from 0 to 0, the rest where it must.
        let split = squared_distance(&[0.0, 3.0], &[0.0, 0.0, 3.0]);
        assert!((split - 9.0 / 6.0).abs() < 1e-12, "{split}");
        assert_eq!(squared_distance(&[1.0], &[1.0, 1.0]), 0.0);
    }

    /// Along a random direction a shift by s in one of d dimensions is
    /// s·cos, with E cos² = 1/d.
    #[test]
    fn a_shift_is_seen_at_its_share() {
        let (n, width) = (64, 16);
        let data = stream(0, "test", 0).normals(n * width);
        let a = Features { n, width, data };
        let mut b = a.clone();
        for row in b.data.chunks_exact_mut(width) {
            row[3] += 2.0;
        }
        let got = distance(&a, &b, 7).unwrap();
        assert!((got - 2.0 / 4.0).abs() < 0.05, "{got}");
        assert_eq!(distance(&a, &a, 7).unwrap(), 0.0);
    }
}
