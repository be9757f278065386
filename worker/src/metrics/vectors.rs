//! Sets of vectors, in memory or in a file: their mean and covariance, in f64
//! on one thread, from a block of rows at a time. The bits are the same
//! wherever the rows come from.

use std::borrow::Cow;
use std::ops::Range;

use ablate_proto::failure::Failure;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

use crate::data::pictures::{Pictures, pieces};
use crate::runner::pulse;

/// Rows that are widened to f64 at a time.
pub(crate) const BLOCK: usize = 512;

/// `[n, width]`, row by row.
pub(crate) trait Vectors {
    fn n(&self) -> usize;

    fn width(&self) -> usize;

    /// Some rows, one after another.
    ///
    /// # Errors
    /// When they cannot be read.
    fn rows(&self, range: Range<usize>) -> Result<Cow<'_, [f32]>, Failure>;

    /// # Errors
    /// As [`Self::rows`], here and below.
    fn mean(&self) -> Result<Vec<f64>, Failure> {
        let mut sums = vec![0.0; self.width()];
        for block in pieces(self.n(), BLOCK) {
            for row in self.rows(block)?.chunks_exact(self.width().max(1)) {
                for (sum, x) in sums.iter_mut().zip(row) {
                    *sum += f64::from(*x);
                }
            }
        }
        let n = self.n() as f64;
        Ok(sums.into_iter().map(|sum| sum / n).collect())
    }

    /// The rows less `mean` over √(n − 1): A of Σ = AᵀA.
    fn scaled(&self, mean: &[f64]) -> Result<Mat<f64>, Failure> {
        let scale = 1.0 / ((self.n().max(2) - 1) as f64).sqrt();
        let rows = self.rows(0..self.n())?;
        Ok(Mat::from_fn(self.n(), self.width(), |i, j| {
            scale * (f64::from(rows[i * self.width() + j]) - mean[j])
        }))
    }

    /// Σ, with n − 1.
    fn covariance(&self, mean: &[f64]) -> Result<Mat<f64>, Failure> {
        let mut sums = Mat::zeros(self.width(), self.width());
        let scale = 1.0 / (self.n().max(2) - 1) as f64;
        for block in pieces(self.n(), BLOCK) {
            let block = centred(&self.rows(block)?, mean);
            let (left, right) = (block.transpose(), block.as_ref());
            matmul(sums.as_mut(), Accum::Add, left, right, scale, Par::Seq);
            pulse::beat();
        }
        Ok(sums)
    }
}

/// The pixels themselves.
impl Vectors for &dyn Pictures {
    fn n(&self) -> usize {
        Pictures::n(*self)
    }

    fn width(&self) -> usize {
        self.size()
    }

    fn rows(&self, range: Range<usize>) -> Result<Cow<'_, [f32]>, Failure> {
        self.values(range)
    }
}

/// Rows in f64, less `mean`.
pub(super) fn centred(rows: &[f32], mean: &[f64]) -> Mat<f64> {
    let width = mean.len();
    Mat::from_fn(rows.len() / width.max(1), width, |i, j| {
        f64::from(rows[i * width + j]) - mean[j]
    })
}

/// Some rows of a set, as a set of their own.
pub(super) struct Part<'a> {
    pub(super) of: &'a dyn Vectors,
    pub(super) rows: Range<usize>,
}

impl Vectors for Part<'_> {
    fn n(&self) -> usize {
        self.rows.len()
    }

    fn width(&self) -> usize {
        self.of.width()
    }

    fn rows(&self, range: Range<usize>) -> Result<Cow<'_, [f32]>, Failure> {
        let start = self.rows.start;
        self.of.rows(start + range.start..start + range.end)
    }
}
