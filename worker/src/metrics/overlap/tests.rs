use ablate_proto::stage::Exponent;
use proptest::prelude::*;

use super::*;

fn spec(noise: Noise, sigma: f64, kappa: f64, exponent: Exponent) -> NoiseSpec {
    NoiseSpec {
        noise,
        sigma,
        kappa,
        exponent,
    }
}

fn triangular(sigma: f64, kappa: f64) -> NoiseSpec {
    spec(Noise::Triangular, sigma, kappa, Exponent::Inverse)
}

fn estimate(spec: &NoiseSpec, delta: &[f32], draws: usize) -> f64 {
    let origin = vec![0.0; delta.len()];
    let distance = delta
        .iter()
        .map(|d| f64::from(*d).powi(2))
        .sum::<f64>()
        .sqrt();
    let estimator = Estimator::new(spec, delta.len(), draws, 7).unwrap();
    estimator.overlap(&origin, delta, distance)
}

/// ∫ min(p_0, p_Δ) in one dimension, by the midpoint rule.
fn quadrature(density: impl Fn(f64) -> f64, delta: f64, reach: f64) -> f64 {
    let (from, to) = (-reach, delta + reach);
    let n = 400_000;
    let h = (to - from) / f64::from(n);
    let at = |i: i32| {
        let x = from + (f64::from(i) + 0.5) * h;
        density(x).min(density(x - delta))
    };
    (0..n).map(at).sum::<f64>() * h
}

#[test]
fn f1_is_the_integral() {
    for (delta, sigma) in [(0.3, 1.0), (1.0, 0.5), (4.0, 1.5)] {
        let normal = |x: f64| {
            let z = x / sigma;
            (-0.5 * z * z).exp() / (sigma * std::f64::consts::TAU.sqrt())
        };
        let expected = quadrature(normal, delta, 12.0 * sigma);
        assert!((gaussian(delta, sigma) - expected).abs() < 1e-8);
    }
    assert!((gaussian(0.0, 1.0) - 1.0).abs() < 1e-15);
}

/// F1: ∂OC/∂σ = 2φ(Δ/2σ)·Δ/(2σ²).
#[test]
fn f1_grows_with_the_scale_as_its_derivative_says() {
    let (delta, sigma, h) = (1.3, 0.7, 1e-5);
    let numeric = (gaussian(delta, sigma + h) - gaussian(delta, sigma - h)) / (2.0 * h);
    let x: f64 = delta / (2.0 * sigma);
    let phi = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    assert!((numeric - 2.0 * phi * delta / (2.0 * sigma * sigma)).abs() < 1e-8);
}

/// F2 and F3: OC = (1 − Δ/2σ)^κ in one dimension for the corrected κ ≥ 1.
#[test]
fn f2_and_f3_hold_in_one_dimension() {
    for (delta, sigma, kappa) in [
        (0.5, 1.0, 2.0),
        (1.5, 1.0, 2.0),
        (1.0, 2.0, 2.0),
        (0.8, 1.0, 1.0),
    ] {
        let expected = (1.0 - f64::from(delta) / (2.0 * sigma)).powf(kappa);
        let got = estimate(&triangular(sigma, kappa), &[delta], 200_000);
        assert!((got - expected).abs() < 0.005, "{got} {expected}");
    }
    assert!(estimate(&triangular(1.0, 2.0), &[2.0], 16).abs() < 1e-12);
    assert!((estimate(&triangular(1.0, 2.0), &[0.0, 0.0], 16) - 1.0).abs() < 1e-12);
}

/// F3: for the printed κ = 2 that form (0.707 here) fails.
#[test]
fn the_printed_exponent_has_another_overlap() {
    let printed = spec(Noise::Triangular, 1.0, 2.0, Exponent::Printed);
    let got = estimate(&printed, &[1.0], 400_000);
    assert!((got - 0.293).abs() < 0.01, "{got}");
}

/// F2: in more dimensions overlap is not a function of the distance.
#[test]
fn overlap_depends_on_the_direction_of_the_difference() {
    let noise = triangular(1.0, 2.0);
    let root = std::f32::consts::FRAC_1_SQRT_2;
    for (delta, expected) in [
        (&[1.0, 0.0][..], 0.250),
        (&[root, root][..], 0.230),
        (&[0.5; 4][..], 0.214),
    ] {
        let got = estimate(&noise, delta, 200_000);
        assert!(
            (got - expected).abs() < 0.006,
            "{delta:?}: {got} {expected}"
        );
    }
}

/// Gaussian by sampling would agree with F1 in eight dimensions.
#[test]
fn f1_depends_on_the_distance_alone() {
    let noise = spec(Noise::Gaussian, 0.8, 2.0, Exponent::Inverse);
    let a = estimate(&noise, &[1.0, 0.0], 1);
    let b = estimate(&noise, &[0.5; 4], 1);
    assert!((a - b).abs() < 1e-12);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Product of the 1-D overlaps ≤ OC ≤ the least of them.
    #[test]
    fn overlap_lies_between_its_bounds(delta in proptest::collection::vec(-1.9f32..1.9, 1..5)) {
        let noise = triangular(1.0, 2.0);
        let each = delta.iter().map(|d| (1.0 - f64::from(d.abs()) / 2.0).powi(2));
        let (product, least) = each.fold((1.0, 1.0f64), |(p, l), oc| (p * oc, l.min(oc)));
        let got = estimate(&noise, &delta, 20_000);
        prop_assert!(got >= product - 0.02, "{got} < {product}");
        prop_assert!(got <= least + 0.02, "{got} > {least}");
        prop_assert!((0.0..=1.0).contains(&got));
    }
}
