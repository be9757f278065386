//! Precision, recall, density and coverage (Kynkäänniemi et al., Naeem et al.;
//! science.md §5, PRDC): how two sets lie inside the balls that reach from each
//! of their members to its fifth neighbour in the same set.

use rayon::prelude::*;

use super::linear::{Features, squared};
use crate::runner::pulse;

/// k, the neighbour that a ball reaches to.
pub(super) const NEIGHBOURS: usize = 5;

/// Rows looked at between two signs of life.
const TURN: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prdc {
    /// Share of samples inside a ball of the reference.
    pub(super) precision: f64,
    /// Share of the reference inside a ball of the samples.
    pub(super) recall: f64,
    /// Balls of the reference that a sample lies in, on average, over k.
    pub(super) density: f64,
    /// Share of the reference with a sample inside its ball.
    pub(super) coverage: f64,
}

impl Prdc {
    /// Of sets of one width, of more than [`NEIGHBOURS`] members each.
    pub(super) fn of(samples: &Features, reference: &Features) -> Self {
        let (own, balls) = (radii(samples), radii(reference));
        let inside = each_row(samples, |row| {
            let inside = reference.iter().zip(&balls);
            inside.filter(|(x, ball)| squared(row, x) < **ball).count()
        });
        let found = each_row(reference, |row| {
            let balls = samples.iter().zip(&own);
            let (mut recalled, mut nearest) = (false, f32::INFINITY);
            for (x, ball) in balls {
                let distance = squared(row, x);
                recalled |= distance < *ball;
                nearest = nearest.min(distance);
            }
            (recalled, nearest)
        });
        let share = |count: usize, n: usize| count as f64 / n as f64;
        let recalled = found.iter().filter(|(recalled, _)| *recalled).count();
        let covered = found.iter().zip(&balls);
        let covered = covered.filter(|((_, d), ball)| d < *ball).count();
        Self {
            precision: share(inside.iter().filter(|n| **n > 0).count(), samples.n),
            recall: share(recalled, reference.n),
            density: share(inside.iter().sum(), NEIGHBOURS * samples.n),
            coverage: share(covered, reference.n),
        }
    }
}

/// The squared distance of each row to its k-th neighbour among the others.
fn radii(set: &Features) -> Vec<f32> {
    each_row(set, |row| {
        let mut nearest: Vec<f32> = set.iter().map(|x| squared(row, x)).collect();
        // The row itself is its nearest.
        let (_, radius, _) = nearest.select_nth_unstable_by(NEIGHBOURS, f32::total_cmp);
        *radius
    })
}

fn each_row<T: Send>(set: &Features, of: impl Fn(&[f32]) -> T + Sync) -> Vec<T> {
    let mut all = Vec::with_capacity(set.n);
    for turn in set.data.chunks(TURN * set.width) {
        all.par_extend(turn.par_chunks_exact(set.width).map(&of));
        pulse::beat();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a line, a unit apart, from `first`.
    fn line(first: f32, n: usize) -> Features {
        Features {
            n,
            width: 1,
            data: (0..n).map(|i| first + i as f32).collect(),
        }
    }

    #[test]
    fn sets_in_each_other_and_apart_are_told() {
        let base = line(0.0, 20);
        let same = Prdc::of(&line(0.25, 20), &base);
        assert_eq!(
            (same.precision, same.recall, same.coverage),
            (1.0, 1.0, 1.0)
        );
        assert!(same.density > 0.9, "{}", same.density);
        let apart = Prdc::of(&line(1000.0, 20), &base);
        assert_eq!((apart.precision, apart.recall), (0.0, 0.0));
        assert_eq!((apart.density, apart.coverage), (0.0, 0.0));
        // The fifth neighbour at the end of a line is five away, and a sample
        // that far is not inside.
        let edge = Prdc::of(&line(24.0, 6), &base);
        assert_eq!(edge.precision, 0.0);
        let half = Prdc::of(&line(10.0, 20), &base);
        assert!(half.precision > 0.5 && half.precision < 1.0);
        assert!(half.coverage > 0.5 && half.coverage < 1.0);
    }
}
