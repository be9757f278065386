//! Overlap of noisy latents: OC(i, j) = ∫ min(p_i, p_j) (science.md §1).
//!
//! Gaussian noise has a closed form (F1). For any other, F8: z ~ p_i, the mean
//! of min(1, p_j(z)/p_i(z)) in log space. The draws are shared by all pairs.

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::stage::{Noise, NoiseSpec};

use super::distance::{self, Pair};
use super::{Rows, Subject};
use crate::models::autoencoder::Latents;
use crate::nn::rng::stream;
use crate::nn::{narrow, noise};
use crate::runner::pulse;

/// F1: OC = 2Φ(−Δ/2σ) = erfc(Δ / (2√2·σ)).
pub(super) fn gaussian(distance: f64, sigma: f64) -> f64 {
    libm::erfc(distance / (2.0 * std::f64::consts::SQRT_2 * sigma))
}

/// Estimates OC for any pair of latents under one noise distribution.
pub(super) enum Estimator {
    Gaussian {
        sigma: f64,
    },
    Sampled {
        sigma: f32,
        /// Exponent of (1 − |ε|) in the density.
        power: f64,
        size: usize,
        /// ε, `[draws, size]`, for σ = 1.
        draws: Vec<f32>,
        /// Σ ln(1 − |ε|) of each draw.
        logs: Vec<f64>,
    },
}

impl Estimator {
    /// `None` without noise: then nothing overlaps by definition.
    pub(super) fn new(spec: &NoiseSpec, size: usize, draws: usize, seed: u64) -> Option<Self> {
        if spec.sigma == 0.0 {
            return None;
        }
        if spec.noise == Noise::Gaussian {
            let sigma = spec.sigma;
            return Some(Self::Gaussian { sigma });
        }
        let unit = NoiseSpec {
            sigma: 1.0,
            ..*spec
        };
        let mut rng = stream(seed, "overlap", 0);
        let draws = noise::draw(&unit, &mut rng, draws * size);
        let logs = draws
            .chunks_exact(size)
            .map(|e| log_density(e.iter().copied()));
        Some(Self::Sampled {
            sigma: narrow(spec.sigma),
            power: noise::density_power(spec),
            size,
            logs: logs.collect(),
            draws,
        })
    }

    pub(super) fn overlap(&self, a: &[f32], b: &[f32], distance: f64) -> f64 {
        let (sigma, power, size, draws, logs) = match self {
            Self::Gaussian { sigma } => return gaussian(distance, *sigma),
            Self::Sampled {
                sigma,
                power,
                size,
                draws,
                logs,
            } => (*sigma, *power, *size, draws, logs),
        };
        let shift: Vec<f32> = a.iter().zip(b).map(|(a, b)| (a - b) / sigma).collect();
        if shift.iter().any(|d| d.abs() >= 2.0) {
            return 0.0;
        }
        let ratio = |(draw, log): (&[f32], &f64)| {
            let other = log_density(draw.iter().zip(&shift).map(|(e, d)| e + d));
            if other == f64::NEG_INFINITY {
                0.0
            } else {
                (power * (other - log)).exp().min(1.0)
            }
        };
        let sum: f64 = draws.chunks_exact(size).zip(logs).map(ratio).sum();
        sum / logs.len() as f64
    }
}

/// Σ ln(1 − |ε|), −∞ outside of the support. Factors are multiplied by eights:
/// a logarithm each would take most of the time.
fn log_density(values: impl Iterator<Item = f32>) -> f64 {
    let (mut log, mut product, mut factors) = (0.0, 1.0f64, 0);
    for value in values {
        let factor = 1.0 - value.abs();
        if factor <= 0.0 {
            return f64::NEG_INFINITY;
        }
        product *= f64::from(factor);
        factors += 1;
        if factors == 8 {
            log += product.ln();
            (product, factors) = (1.0, 0);
        }
    }
    log + product.ln()
}

/// Largest and mean overlap over random and nearest pairs.
pub(super) fn overlaps(subject: &Subject<'_>) -> Rows {
    let names = ["overlap_max", "overlap_mean"];
    let skip = |why| Ok(names.map(|name| MetricRow::skipped(name, why)).to_vec());
    let latents = &subject.latents;
    let draws = subject.budget.overlap_draws;
    let Some(estimator) = Estimator::new(subject.noise(), latents.size(), draws, subject.seed)
    else {
        return skip("there is no noise, so nothing overlaps");
    };
    let pairs = chosen(latents, subject.budget.overlap_pairs, subject.seed);
    if pairs.is_empty() {
        return skip("one image has no pairs");
    }
    let rows: Vec<&[f32]> = latents.iter().collect();
    let each = pairs.iter().map(|p| {
        pulse::beat();
        estimator.overlap(rows[p.i], rows[p.j], p.distance)
    });
    let each: Vec<f64> = each.collect();
    let max = each.iter().copied().fold(0.0, f64::max);
    let mean = each.iter().sum::<f64>() / each.len() as f64;
    let row = |(name, value)| MetricRow::scalar(name, "", Direction::Down, value).over(each.len());
    Ok(names.into_iter().zip([max, mean]).map(row).collect())
}

/// `count` nearest pairs, and as many random ones of the rest.
fn chosen(latents: &Latents, count: usize, seed: u64) -> Vec<Pair> {
    let mut pairs = distance::pairs(latents);
    pairs.sort_by(|a, b| {
        a.distance
            .total_cmp(&b.distance)
            .then((a.i, a.j).cmp(&(b.i, b.j)))
    });
    let nearest = count.min(pairs.len());
    let mut rng = stream(seed, "overlap pairs", 0);
    for at in nearest..(2 * count).min(pairs.len()) {
        let other = at as u64 + rng.below((pairs.len() - at) as u64);
        pairs.swap(at, usize::try_from(other).unwrap_or(at));
    }
    pairs.truncate(2 * count);
    pairs
}

#[cfg(test)]
mod tests;
