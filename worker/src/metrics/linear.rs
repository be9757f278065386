//! Feature vectors and their linear algebra, in f64 on one thread: the same
//! bits on every machine size.

use std::borrow::Cow;
use std::ops::Range;

use ablate_proto::failure::Failure;
use faer::{Mat, MatRef, Side};

use super::vectors::{BLOCK, Part, Vectors, centred};
use crate::data::pictures::{Pictures, pieces};
use crate::nn::layer::Rows as SiteRows;

/// `[n, width]`, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Features {
    pub(crate) n: usize,
    pub(crate) width: usize,
    pub(crate) data: Vec<f32>,
}

impl Features {
    /// The pixels themselves, of few.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn of_pixels(images: &dyn Pictures) -> Result<Self, Failure> {
        let n = images.n();
        Ok(Self {
            n,
            width: images.size(),
            data: images.values(0..n)?.into_owned(),
        })
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.width.max(1))
    }

    /// Rows `from..to`.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Self {
        Self {
            n: to - from,
            width: self.width,
            data: self.data[from * self.width..to * self.width].to_vec(),
        }
    }
}

impl Vectors for Features {
    fn n(&self) -> usize {
        self.n
    }

    fn width(&self) -> usize {
        self.width
    }

    fn rows(&self, range: Range<usize>) -> Result<Cow<'_, [f32]>, Failure> {
        Ok(self.data[range.start * self.width..range.end * self.width].into())
    }
}

/// The mean over sites of each channel, `[n, channels]`.
///
/// # Errors
/// None is expected.
pub(crate) fn site_means(maps: &SiteRows) -> candle_core::Result<Vec<f32>> {
    let channels = maps.data.dim(1)?;
    let maps = maps.data.reshape((maps.n, maps.h * maps.w, channels))?;
    maps.mean(1)?.flatten_all()?.to_vec1()
}

/// ‖a − b‖², in eight sums, so that it can be vectorised.
pub(super) fn squared(a: &[f32], b: &[f32]) -> f32 {
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (a, b) in a8.iter().zip(b8) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += (a - b) * (a - b);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b));
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

/// Eigenvalues, ascending, and vectors as columns, of a symmetric matrix.
pub(super) fn eigen(matrix: MatRef<'_, f64>) -> Result<(Vec<f64>, Mat<f64>), Failure> {
    let doing = "finding eigenvalues of a covariance";
    let eigen = matrix.self_adjoint_eigen(Side::Lower);
    let eigen = eigen.map_err(|e| Failure::bug(format!("{doing}: {e:?}")))?;
    let values = eigen.S().column_vector().iter().copied().collect();
    Ok((values, eigen.U().to_owned()))
}

/// A projection on the directions of the largest variance of some features.
#[derive(Debug)]
pub(crate) struct Pca {
    mean: Vec<f64>,
    /// `[width, kept]`.
    directions: Mat<f64>,
}

impl Pca {
    /// Rows that a fit looks at, at most: the first.
    const ROWS: usize = 2048;

    /// The `kept` first directions; fewer where there are not so many.
    ///
    /// # Errors
    /// When eigenvalues cannot be found, say of values that are not finite.
    pub(crate) fn fit(all: &dyn Vectors, kept: usize) -> Result<Self, Failure> {
        let (n, width) = (all.n().min(Self::ROWS), all.width());
        let first = Part {
            of: all,
            rows: 0..n,
        };
        let mean = first.mean()?;
        let kept = kept.min(width).min(n);
        let directions = if width <= n {
            let (_, vectors) = eigen(first.covariance(&mean)?.as_ref())?;
            Mat::from_fn(width, kept, |i, j| vectors[(i, width - 1 - j)])
        } else {
            Self::of_wide(&first, &mean, kept)?
        };
        Ok(Self { mean, directions })
    }

    /// By the products of the rows, which are fewer than the columns.
    fn of_wide(all: &dyn Vectors, mean: &[f64], kept: usize) -> Result<Mat<f64>, Failure> {
        let n = all.n();
        let rows = centred(&all.rows(0..n)?, mean);
        let (values, vectors) = eigen((&rows * rows.transpose()).as_ref())?;
        let largest = values.last().copied().unwrap_or(0.0);
        // The mean takes one direction away; its eigenvalue is only rounding.
        let kept = values.iter().rev().take(kept);
        let kept = kept.take_while(|v| **v > 1e-10 * largest).count();
        let chosen = Mat::from_fn(n, kept, |i, j| {
            vectors[(i, n - 1 - j)] / values[n - 1 - j].sqrt()
        });
        Ok(rows.transpose() * chosen)
    }

    /// # Errors
    /// When the vectors cannot be read.
    pub(crate) fn project(&self, all: &dyn Vectors) -> Result<Features, Failure> {
        let width = self.directions.ncols();
        let mut data = Vec::with_capacity(all.n() * width);
        for block in pieces(all.n(), BLOCK) {
            let out = centred(&all.rows(block)?, &self.mean) * &self.directions;
            for i in 0..out.nrows() {
                data.extend((0..width).map(|j| crate::nn::narrow(out[(i, j)])));
            }
        }
        Ok(Features {
            n: all.n(),
            width,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::rng::stream;

    #[test]
    fn both_ways_to_fit_find_the_same_directions() {
        let mut rng = stream(1, "test", 0);
        let (n, width) = (30, 29);
        let mut data = rng.normals(n * width);
        for (i, x) in data.iter_mut().enumerate() {
            *x *= (i % width + 1) as f32;
        }
        let all = Features { n, width, data };
        let narrow = Pca::fit(&all, 5).unwrap();
        let wide = Pca::of_wide(&all, &all.mean().unwrap(), 5).unwrap();
        for j in 0..5 {
            let product: f64 = (0..width)
                .map(|i| narrow.directions[(i, j)] * wide[(i, j)])
                .sum();
            assert!((product.abs() - 1.0).abs() < 1e-8, "{j}: {product}");
        }
        let projected = narrow.project(&all).unwrap();
        assert_eq!((projected.n, projected.width), (n, 5));
        let variance = |j: usize| projected.iter().map(|r| r[j] * r[j]).sum::<f32>();
        assert!(variance(0) > variance(1) && variance(3) > variance(4));
    }
}
