//! A checked face on the `gemm` crate's matrix product, f32, row-major.

#![expect(
    unsafe_code,
    reason = "gemm takes raw pointers; lengths are checked here, once"
)]

use gemm::Parallelism;

/// A matrix in a slice: `rows × cols` as it enters the product. `transposed`
/// says that the slice holds it as `cols × rows`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    pub(super) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows}×{cols} matrix");
        Self {
            data,
            rows,
            cols,
            transposed: false,
        }
    }

    pub(super) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            transposed: !self.transposed,
            ..self
        }
    }

    /// (column stride, row stride)
    fn strides(&self) -> (isize, isize) {
        let of = |n: usize| isize::try_from(n).unwrap_or(isize::MAX);
        if self.transposed {
            (of(self.rows), 1)
        } else {
            (1, of(self.cols))
        }
    }
}

/// `out = a·b`, or `out += a·b` when `add`.
pub(super) fn product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    assert_eq!(a.cols, b.rows, "inner sizes");
    assert_eq!(out.len(), a.rows * b.cols, "size of the product");
    let threads = rayon::current_num_threads();
    let parallelism = if threads > 1 {
        Parallelism::Rayon(threads)
    } else {
        Parallelism::None
    };
    let (a_cs, a_rs) = a.strides();
    let (b_cs, b_rs) = b.strides();
    let out_rs = isize::try_from(b.cols).unwrap_or(isize::MAX);
    // SAFETY: all three slices hold exactly rows × cols elements (asserted in
    // `Matrix::new` and above), strides stay inside them, and `out` is a
    // unique borrow.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            out.as_mut_ptr(),
            1,
            out_rs,
            add,
            a.data.as_ptr(),
            a_cs,
            a_rs,
            b.data.as_ptr(),
            b_cs,
            b_rs,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
