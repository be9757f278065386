//! Distances between latent means, without noise (science.md §5).

use ablate_proto::artifact::{Direction, MetricRow};

use super::linear::squared;
use super::{Rows, Subject};
use crate::models::autoencoder::Latents;

/// All pairs of at most so many images, the first ones (E1's subset).
const SUBSET: usize = 1000;

/// One pair i < j of latents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    pub(super) i: usize,
    pub(super) j: usize,
    /// ‖z_i − z_j‖₂.
    pub(super) distance: f64,
}

/// All pairs of the subset.
pub(super) fn pairs(latents: &Latents) -> Vec<Pair> {
    let rows: Vec<&[f32]> = latents.iter().take(SUBSET).collect();
    let mut pairs = Vec::with_capacity(rows.len() * rows.len() / 2);
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate().skip(i + 1) {
            let distance = f64::from(squared(a, b)).sqrt();
            pairs.push(Pair { i, j, distance });
        }
    }
    pairs
}

pub(super) fn distances(subject: &Subject<'_>) -> Rows {
    let names = [
        "latent_distance_min",
        "latent_distance_mean",
        "latent_distance_sq_mean",
    ];
    let pairs = pairs(&subject.latents);
    if pairs.is_empty() {
        return Ok(names
            .map(|n| MetricRow::skipped(n, "one image has no pairs"))
            .to_vec());
    }
    let count = pairs.len() as f64;
    let min = pairs
        .iter()
        .map(|p| p.distance)
        .fold(f64::INFINITY, f64::min);
    let mean = pairs.iter().map(|p| p.distance).sum::<f64>() / count;
    let square = pairs.iter().map(|p| p.distance * p.distance).sum::<f64>() / count;
    let row = |(name, value)| MetricRow::scalar(name, "", Direction::Up, value).over(pairs.len());
    Ok(names
        .into_iter()
        .zip([min, mean, square])
        .map(row)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_there_once() {
        let latents = Latents {
            n: 3,
            side: 1,
            channels: 9,
            data: [[0.0f32; 9], [1.0; 9], [-1.0; 9]].concat(),
        };
        let pairs = pairs(&latents);
        let got: Vec<_> = pairs.iter().map(|p| (p.i, p.j, p.distance)).collect();
        assert_eq!(got, [(0, 1, 3.0), (0, 2, 3.0), (1, 2, 6.0)]);
    }
}
