//! How binary the latents are (science.md §1, Binary rate).

use ablate_proto::artifact::{Direction, MetricRow};

use super::{Rows, Subject};

/// τ and the metric's name; brate(τ) = share of |z| ≥ 1 − τ.
const RATES: [(f32, &str); 3] = [
    (0.1, "brate_0.1"),
    (0.05, "brate_0.05"),
    (0.01, "brate_0.01"),
];

const BINS: usize = 41;

pub(super) fn binary_rates(subject: &Subject<'_>) -> Rows {
    let z = &subject.latents.data;
    let rate = |(tau, name): (f32, &str)| {
        let near = z.iter().filter(|z| z.abs() >= 1.0 - tau).count();
        let share = near as f64 / z.len() as f64;
        MetricRow::scalar(name, "", Direction::Up, share).over(z.len())
    };
    Ok(RATES.map(rate).to_vec())
}

/// Shares of latents in 41 equal bins on [−1, 1]; the outer bins also take
/// what lies beyond.
pub(super) fn histogram(subject: &Subject<'_>) -> Rows {
    let z = &subject.latents.data;
    let mut counts = [0u32; BINS];
    for z in z {
        counts[bin(*z)] += 1;
    }
    let shares = counts.map(|c| f64::from(c) / z.len() as f64);
    Ok(vec![
        MetricRow::vector("latent_histogram", "", shares.to_vec()).over(z.len()),
    ])
}

fn bin(z: f32) -> usize {
    // The first bin whose upper edge lies above z; edges are few.
    let upper = |i: usize| 2.0 * (i as f32 + 1.0) / BINS as f32 - 1.0;
    (0..BINS - 1).find(|i| z < upper(*i)).unwrap_or(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_cover_the_interval() {
        assert_eq!(bin(-1.0), 0);
        assert_eq!(bin(-7.0), 0);
        assert_eq!(bin(0.0), 20);
        assert_eq!(bin(1.0), 40);
        assert_eq!(bin(0.999), 40);
        assert_eq!(bin(0.94), 39);
    }
}
