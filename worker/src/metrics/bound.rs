//! The bound of Thm 3.3 and the optimal decoder (science.md §2, F5):
//! (1/N)Σ_i E‖d(z̃_i) − x_i‖² ≥ (1/4N²)Σ_ij OC_ij‖x_i − x_j‖², and d*(z) =
//! Σ p_i(z)x_i / Σ p_i(z), which no decoder can beat.

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::stage::{Noise, NoiseSpec};

use super::overlap::Estimator;
use super::psnr::{of_squared_error, squared_error};
use super::{Rows, Subject, mean};
use crate::nn::noise;
use crate::nn::rng::stream;
use crate::runner::pulse;

/// Both are sums over all pairs: of at most so many images, the first ones.
const SUBSET: usize = 256;

/// Draws for the overlap of each pair: there are many pairs.
const DRAWS: usize = 512;

pub(super) fn bound_and_oracle(subject: &Subject<'_>) -> Rows {
    let names = [
        "mse_bound",
        "psnr_bound",
        "mse_oracle",
        "psnr_oracle",
        "bound_share",
    ];
    let n = subject.train.n.min(SUBSET);
    let latents: Vec<&[f32]> = subject.latents.iter().take(n).collect();
    let images: Vec<&[f32]> = subject.train.iter().take(n).collect();
    let draws = DRAWS.min(subject.budget.overlap_draws);
    let noise = subject.noise();
    let Some(estimator) = Estimator::new(noise, subject.latents.size(), draws, subject.seed) else {
        let why = "there is no noise, so nothing overlaps";
        return Ok(names.map(|name| MetricRow::skipped(name, why)).to_vec());
    };
    let size = subject.train.size();
    let bound = right_hand_side(&estimator, &latents, &images);
    let errors = oracle(
        noise,
        &latents,
        &images,
        subject.budget.noise_draws,
        subject.seed,
    );
    let psnr = mean(errors.iter().map(|e| of_squared_error(*e, size)));
    let of_first = |errors: &Vec<f64>| mean(errors[..n].iter().copied());
    let measured = mean(subject.noisy.iter().map(of_first));
    let rows = [
        ("sum per image", Direction::Down, bound),
        // Of the mean error: the mean over images of PSNR may lie above it.
        ("dB", Direction::Up, of_squared_error(bound, size)),
        ("sum per image", Direction::Down, mean(errors.into_iter())),
        ("dB", Direction::Up, psnr),
        // How tight it is (X8).
        ("", Direction::Neutral, bound / measured),
    ];
    let row = |(name, (unit, direction, value))| {
        let mut row = MetricRow::scalar(name, unit, direction, value).over(n);
        if n < subject.train.n {
            row.note = Some(format!("over the first {n} images"));
        }
        row
    };
    Ok(names.into_iter().zip(rows).map(row).collect())
}

/// (1/4N²)Σ_ij OC_ij‖x_i − x_j‖².
fn right_hand_side(estimator: &Estimator, latents: &[&[f32]], images: &[&[f32]]) -> f64 {
    let mut sum = 0.0;
    for (i, (a, x)) in latents.iter().zip(images).enumerate() {
        pulse::beat();
        for (b, y) in latents.iter().zip(images).skip(i + 1) {
            let distance = squared_error(a, b).sqrt();
            sum += estimator.overlap(a, b, distance) * squared_error(x, y);
        }
    }
    // Each pair stands for (i, j) and (j, i).
    2.0 * sum / (4.0 * (latents.len() as f64).powi(2))
}

/// ‖d*(z_i + σε) − x_i‖² for every image and draw.
fn oracle(
    noise: &NoiseSpec,
    latents: &[&[f32]],
    images: &[&[f32]],
    draws: usize,
    seed: u64,
) -> Vec<f64> {
    let mut errors = Vec::with_capacity(latents.len() * draws);
    let power = noise::density_power(noise);
    for (i, (z, x)) in latents.iter().zip(images).enumerate() {
        pulse::beat();
        let mut rng = stream(seed, "oracle", i as u64);
        for _ in 0..draws {
            let noise_values = noise::draw(noise, &mut rng, z.len());
            let noisy: Vec<f32> = z.iter().zip(&noise_values).map(|(z, e)| z + e).collect();
            let logs = latents.iter().map(|k| log_density(noise, power, &noisy, k));
            errors.push(decoded_error(&logs.collect::<Vec<_>>(), images, x));
        }
    }
    errors
}

/// ln p_k(z), up to a constant.
fn log_density(noise: &NoiseSpec, power: f64, z: &[f32], mean: &[f32]) -> f64 {
    let scaled = z
        .iter()
        .zip(mean)
        .map(|(z, m)| f64::from(z - m) / noise.sigma);
    match noise.noise {
        Noise::Gaussian => scaled.map(|d| -0.5 * d * d).sum(),
        Noise::Triangular => {
            let mut log = 0.0;
            for d in scaled {
                let factor = 1.0 - d.abs();
                if factor <= 0.0 {
                    return f64::NEG_INFINITY;
                }
                log += power * factor.ln();
            }
            log
        }
    }
}

/// ‖Σ p_k x_k / Σ p_k − x‖².
fn decoded_error(logs: &[f64], images: &[&[f32]], x: &[f32]) -> f64 {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        // Rounding pushed z out of its own support.
        return 0.0;
    }
    let weights: Vec<f64> = logs.iter().map(|log| (log - top).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut decoded = vec![0.0; x.len()];
    for (weight, image) in weights.iter().zip(images).filter(|(w, _)| **w > 0.0) {
        for (sum, value) in decoded.iter_mut().zip(*image) {
            *sum += weight / total * f64::from(*value);
        }
    }
    let error = decoded
        .iter()
        .zip(x)
        .map(|(d, x)| (d - f64::from(*x)).powi(2));
    error.sum()
}

#[cfg(test)]
mod tests {
    use ablate_proto::stage::Exponent;
    use proptest::prelude::*;

    use super::*;

    fn spec(noise: Noise, sigma: f64) -> NoiseSpec {
        NoiseSpec {
            noise,
            sigma,
            kappa: 2.0,
            exponent: Exponent::Inverse,
        }
    }

    fn sides(noise: &NoiseSpec, z: &[f32], x: &[f32]) -> (f64, f64) {
        let each = |v: &'static [f32]| v.chunks_exact(1).collect::<Vec<_>>();
        let (z, x) = (each(z.to_vec().leak()), each(x.to_vec().leak()));
        let estimator = Estimator::new(noise, 1, 4000, 5).unwrap();
        let errors = oracle(noise, &z, &x, 2000, 5);
        let left = mean(errors.into_iter());
        (left, right_hand_side(&estimator, &z, &x))
    }

    /// F5: LHS/RHS is exactly 2 when all latents coincide.
    #[test]
    fn coinciding_latents_have_twice_the_bound() {
        for noise in [spec(Noise::Gaussian, 0.5), spec(Noise::Triangular, 1.0)] {
            let (left, right) = sides(&noise, &[0.3; 4], &[-1.0, 0.0, 0.5, 1.0]);
            assert!((left / right - 2.0).abs() < 1e-6, "{left} {right}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// F5, with the optimal decoder, on random 1-D systems.
        #[test]
        fn the_bound_holds_for_the_optimal_decoder(
            systems in proptest::collection::vec((-1.0f32..1.0, -1.0f32..1.0), 2..6),
            sigma in 0.2f64..1.5,
            gaussian: bool,
        ) {
            let kind = if gaussian { Noise::Gaussian } else { Noise::Triangular };
            let (z, x): (Vec<f32>, Vec<f32>) = systems.into_iter().unzip();
            let (left, right) = sides(&spec(kind, sigma), &z, &x);
            prop_assert!(left >= 1.7 * right - 1e-3, "{left} < 2·{right}");
        }
    }
}
