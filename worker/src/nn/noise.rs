//! Latent noise σ·ε and its density (science.md §2, F1 to F3).
//!
//! Generalised triangular: ε = sgn(u)(1 − |u|^p), u ~ U(−1, 1), with p = 1/κ
//! (corrected: a triangle at κ = 2) or p = κ (as printed: U-shaped at κ = 2).
//! Its density is f(ε) = (1/2p)(1 − |ε|)^(1/p − 1) on [−1, 1].

use ablate_proto::stage::{Exponent, Noise, NoiseSpec};

use super::narrow;
use super::rng::Stream;

/// p of the module documentation.
pub(crate) fn exponent(spec: &NoiseSpec) -> f64 {
    match spec.exponent {
        Exponent::Inverse => 1.0 / spec.kappa,
        Exponent::Printed => spec.kappa,
    }
}

/// `count` values of σ·ε.
pub(crate) fn draw(spec: &NoiseSpec, rng: &mut Stream, count: usize) -> Vec<f32> {
    let sigma = narrow(spec.sigma);
    if sigma == 0.0 {
        return vec![0.0; count];
    }
    let mut out = Vec::with_capacity(count + 1);
    match spec.noise {
        Noise::Gaussian => {
            while out.len() < count {
                let (a, b) = rng.normal_pair();
                out.extend([sigma * a, sigma * b]);
            }
            out.truncate(count);
        }
        Noise::Triangular => {
            let power = exponent(spec);
            out.extend((0..count).map(|_| {
                let u = rng.signed();
                sigma * (1.0 - raise(u.abs(), power)).copysign(u)
            }));
        }
    }
    out
}

/// u^p for u in (0, 1), exact where p allows.
fn raise(u: f32, p: f64) -> f32 {
    if p == 0.5 {
        u.sqrt()
    } else if p == 1.0 {
        u
    } else if p == 2.0 {
        u * u
    } else {
        libm::powf(u, narrow(p))
    }
}

/// The exponent of (1 − |ε|) in the density of triangular noise.
pub(crate) fn density_power(spec: &NoiseSpec) -> f64 {
    1.0 / exponent(spec) - 1.0
}

#[cfg(test)]
mod tests {
    use super::super::rng::stream;
    use super::*;

    pub(crate) fn spec(noise: Noise, kappa: f64, exponent: Exponent) -> NoiseSpec {
        NoiseSpec {
            noise,
            sigma: 1.0,
            kappa,
            exponent,
        }
    }

    fn variance(spec: &NoiseSpec) -> f64 {
        let values = draw(spec, &mut stream(3, "variance", 0), 400_000);
        let squares: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
        squares / values.len() as f64
    }

    /// F3: Var = 1 − 2/(p+1) + 1/(2p+1).
    #[test]
    fn variances_are_those_of_the_formula() {
        for (kappa, exponent) in [
            (2.0, Exponent::Inverse),
            (1.0, Exponent::Inverse),
            (4.0, Exponent::Inverse),
            (2.0, Exponent::Printed),
            (0.5, Exponent::Printed),
        ] {
            let spec = spec(Noise::Triangular, kappa, exponent);
            let p = super::exponent(&spec);
            let expected = 1.0 - 2.0 / (p + 1.0) + 1.0 / (2.0 * p + 1.0);
            let measured = variance(&spec);
            assert!((measured - expected).abs() < 0.005, "{measured} {expected}");
        }
        let gaussian = variance(&spec(Noise::Gaussian, 2.0, Exponent::Inverse));
        assert!((gaussian - 1.0).abs() < 0.01, "{gaussian}");
    }

    /// F3: the corrected κ = 2 is the triangle 1 − |ε|; the printed one has
    /// its mass at ±1.
    #[test]
    fn the_corrected_exponent_is_a_triangle_and_the_printed_one_is_not() {
        let share = |exponent, from: f32, to: f32| {
            let spec = spec(Noise::Triangular, 2.0, exponent);
            let values = draw(&spec, &mut stream(4, "shape", 0), 400_000);
            let inside = values.iter().filter(|v| (from..to).contains(&v.abs()));
            inside.count() as f64 / values.len() as f64
        };
        // P(|ε| ≤ t) = 1 − (1−t)^{1/p}.
        assert!((share(Exponent::Inverse, 0.0, 0.1) - 0.19).abs() < 0.004);
        assert!((share(Exponent::Inverse, 0.9, 1.0) - 0.01).abs() < 0.002);
        assert!(share(Exponent::Printed, 0.9, 1.0) > 5.0 * share(Exponent::Printed, 0.0, 0.1));
    }

    #[test]
    fn no_scale_is_no_noise() {
        let mut none = spec(Noise::Gaussian, 2.0, Exponent::Inverse);
        none.sigma = 0.0;
        assert_eq!(draw(&none, &mut stream(0, "x", 0), 3), vec![0.0; 3]);
    }
}
