//! The Fréchet distance of two sets of features, seen as Gaussians
//! (science.md §5, FID): ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½), in f64. The
//! trace of the root is Σ √λ over the eigenvalues of Σ₁^½ Σ₂ Σ₁^½, which are
//! real and not negative but for rounding.

use ablate_proto::failure::Failure;
use faer::{Mat, Side};

use super::linear::eigen;
use super::vectors::Vectors;

/// Mean and covariance of a set.
#[derive(Debug)]
pub(crate) struct Gaussian {
    mean: Vec<f64>,
    spread: Spread,
}

#[derive(Debug)]
enum Spread {
    /// Of at least as many vectors as dimensions.
    Many {
        covariance: Mat<f64>,
        /// Σ^½.
        root: Mat<f64>,
    },
    /// Of fewer: A of Σ = AᵀA, the vectors less their mean over √(n − 1).
    Few(Mat<f64>),
}

impl Gaussian {
    /// # Errors
    /// When eigenvalues cannot be found, say of values that are not finite, or
    /// vectors cannot be read.
    pub(crate) fn of(features: &dyn Vectors) -> Result<Self, Failure> {
        let mean = features.mean()?;
        let spread = if features.n() < features.width() {
            Spread::Few(features.scaled(&mean)?)
        } else {
            let covariance = features.covariance(&mean)?;
            let (values, vectors) = eigen(covariance.as_ref())?;
            let scaled = Mat::from_fn(vectors.nrows(), vectors.ncols(), |i, j| {
                vectors[(i, j)] * values[j].max(0.0).sqrt()
            });
            let root = scaled * vectors.transpose();
            Spread::Many { covariance, root }
        };
        Ok(Self { mean, spread })
    }

    /// Never below zero.
    ///
    /// # Errors
    /// When eigenvalues cannot be found.
    pub(crate) fn distance(&self, other: &Self) -> Result<f64, Failure> {
        let means = self.mean.iter().zip(&other.mean);
        let apart: f64 = means.map(|(a, b)| (a - b).powi(2)).sum();
        let root = self.spread.root_of_product(&other.spread)?;
        let spread = self.spread.trace() + other.spread.trace() - 2.0 * root;
        Ok((apart + spread).max(0.0))
    }
}

impl Spread {
    fn trace(&self) -> f64 {
        match self {
            Self::Many { covariance, .. } => {
                (0..covariance.nrows()).map(|i| covariance[(i, i)]).sum()
            }
            Self::Few(a) => a.squared_norm_l2(),
        }
    }

    /// Tr((Σ₁Σ₂)^½). Of few vectors Σ₁ is AᵀA, and AᵀA·Σ₂ has the eigenvalues
    /// of A·Σ₂·Aᵀ besides zeros, as many as there are vectors.
    fn root_of_product(&self, other: &Self) -> Result<f64, Failure> {
        let product = match (self, other) {
            (Self::Many { root, .. }, Self::Many { covariance, .. }) => root * covariance * root,
            (Self::Few(a), Self::Many { covariance, .. })
            | (Self::Many { covariance, .. }, Self::Few(a)) => a * covariance * a.transpose(),
            (Self::Few(a), Self::Few(b)) => {
                let crossed = a * b.transpose();
                &crossed * crossed.transpose()
            }
        };
        let doing = "finding eigenvalues of a product of covariances";
        let values = product.self_adjoint_eigenvalues(Side::Lower);
        let values = values.map_err(|e| Failure::bug(format!("{doing}: {e:?}")))?;
        Ok(values.iter().map(|v| v.max(0.0).sqrt()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Features;
    use crate::nn::rng::stream;

    fn normal(n: usize, width: usize, scale: f32, shift: f32) -> Features {
        let mut data = stream(3, "test", 0).normals(n * width);
        for x in &mut data {
            *x = *x * scale + shift;
        }
        Features { n, width, data }
    }

    /// Of one sample, stretched and moved: (μ₁ − μ₂)² + (σ₁ − σ₂)² a dimension,
    /// exactly, since both covariances have the same eigenvectors.
    #[test]
    fn stretched_and_moved_sets_have_the_closed_form() {
        let base = normal(500, 4, 1.0, 0.0);
        let (a, b) = (
            Gaussian::of(&base).unwrap(),
            Gaussian::of(&normal(500, 4, 3.0, 0.5)).unwrap(),
        );
        let mut expected = 0.0;
        for j in 0..4 {
            let Spread::Many { covariance, .. } = &a.spread else {
                panic!("there are more vectors than dimensions");
            };
            let (mean, variance) = (a.mean[j], covariance[(j, j)]);
            expected += (0.5 + 2.0 * mean).powi(2) + 4.0 * variance;
        }
        let got = a.distance(&b).unwrap();
        assert!((got - expected).abs() < 1e-4 * expected, "{got} {expected}");
        assert!(a.distance(&a).unwrap() < 1e-9);
        let back = b.distance(&a).unwrap();
        assert!((got - back).abs() < 1e-6, "symmetric: {got} {back}");
    }

    /// Fewer vectors than dimensions: the covariances have no inverse.
    #[test]
    fn sets_that_span_little_have_a_distance() {
        let few = Gaussian::of(&normal(5, 30, 1.0, 0.0)).unwrap();
        let moved = Gaussian::of(&normal(5, 30, 1.0, 1.0)).unwrap();
        let got = few.distance(&moved).unwrap();
        assert!((got - 30.0).abs() < 1e-3, "{got}");
    }

    /// Both ways to the root, and the one between them.
    #[test]
    fn few_vectors_have_the_distance_that_their_covariances_have() {
        let (few, many) = (normal(20, 24, 1.0, 0.0), normal(40, 24, 2.0, 0.3));
        let as_many = |features: &Features| {
            let mean = features.mean().unwrap();
            let covariance = features.covariance(&mean).unwrap();
            let (values, vectors) = eigen(covariance.as_ref()).unwrap();
            let roots = |i, j| vectors[(i, j)] * f64::max(values[j], 0.0).sqrt();
            let root = Mat::from_fn(24, 24, roots) * vectors.transpose();
            Gaussian {
                mean,
                spread: Spread::Many { covariance, root },
            }
        };
        let other = normal(23, 24, 1.5, 0.1);
        for (a, b) in [(&few, &many), (&many, &few), (&few, &other)] {
            let got = Gaussian::of(a).unwrap().distance(&Gaussian::of(b).unwrap());
            let (got, expected) = (got.unwrap(), as_many(a).distance(&as_many(b)).unwrap());
            assert!((got - expected).abs() < 1e-5 * expected, "{got} {expected}");
        }
    }
}
