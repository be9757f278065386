//! A checked face on the `gemm` crate's matrix product, f32, row-major. The
//! products run on one thread; `parallel` cuts a large one into pieces that
//! its shape alone fixes, so that results do not depend on the threads.

#![expect(
    unsafe_code,
    reason = "gemm takes raw pointers; lengths are checked here, once"
)]

use gemm::Parallelism;
use rayon::prelude::*;

/// A product is cut into at most so many pieces, …
const PIECES: usize = 16;
/// … of at least so many multiplications, …
const PIECE: usize = 1 << 20;
/// … of about so many rows and columns or more: what is packed for a piece is
/// used as often, …
const HIGH: usize = 256;
const WIDE: usize = 128;
/// … and of a multiple of so many.
const STEP: usize = 16;

/// A matrix in a slice: `rows × cols` as it enters the product, `stride`
/// values from one stored row to the next. `transposed` says that the slice
/// holds it as `cols × rows`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    stride: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows}×{cols} matrix");
        Self::strided(data, rows, cols, cols)
    }

    /// Rows that lie `stride` apart.
    pub(super) fn strided(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(cols <= stride, "rows of {cols} lie {stride} apart");
        assert!(reach(rows, cols, stride) <= data.len(), "inside the slice");
        Self {
            data,
            rows,
            cols,
            stride,
            transposed: false,
        }
    }

    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            transposed: !self.transposed,
            ..self
        }
    }

    /// Some of its rows.
    fn rows(self, first: usize, rows: usize) -> Self {
        assert!(first + rows <= self.rows, "rows of the matrix");
        let step = if self.transposed { 1 } else { self.stride };
        Self {
            data: &self.data[first * step..],
            rows,
            ..self
        }
    }

    /// (column stride, row stride)
    fn strides(&self) -> (isize, isize) {
        if self.transposed {
            (signed(self.stride), 1)
        } else {
            (1, signed(self.stride))
        }
    }
}

fn signed(n: usize) -> isize {
    isize::try_from(n).unwrap_or(isize::MAX)
}

/// How far into a slice a matrix reaches.
fn reach(rows: usize, cols: usize, stride: usize) -> usize {
    if rows == 0 {
        0
    } else {
        (rows - 1) * stride + cols
    }
}

/// `out = a·b`, or `out += a·b` when `add`.
pub(crate) fn product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    assert_eq!(out.len(), a.rows * b.cols, "size of the product");
    product_into(out, b.cols, a, b, add);
}

/// The same into rows that lie `stride` apart.
pub(super) fn product_into(
    out: &mut [f32],
    stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    add: bool,
) {
    assert!(b.cols <= stride, "rows of the product");
    assert!(
        reach(a.rows, b.cols, stride) <= out.len(),
        "inside the slice"
    );
    // SAFETY: `out` is a unique borrow that the product stays inside of.
    unsafe { multiply(out.as_mut_ptr(), stride, a, b, add) }
}

/// `out = a·b` in pieces, by all threads; `after(column, values)` is called
/// for each stretch of a row once it is there.
pub(super) fn parallel(
    out: &mut [f32],
    a: Matrix<'_>,
    b: Matrix<'_>,
    after: impl Fn(usize, &mut [f32]) + Sync,
) {
    assert_eq!(out.len(), a.rows * b.cols, "size of the product");
    let (rows, cols) = (a.rows, b.cols);
    let [down, across] = pieces(rows, cols, a.cols);
    let base = Shared(out.as_mut_ptr());
    let each = |i: usize| {
        let base = &base;
        let [top, left] = [
            i % rows.div_ceil(down) * down,
            i / rows.div_ceil(down) * across,
        ];
        let [height, width] = [down.min(rows - top), across.min(cols - left)];
        let a = a.rows(top, height);
        let b = b.t().rows(left, width).t();
        // SAFETY: each piece has its rows and columns of `out`, whose length
        // was checked above, to itself.
        unsafe {
            let corner = base.0.add(top * cols + left);
            multiply(corner, cols, a, b, false);
            for row in 0..height {
                let values = corner.add(row * cols);
                after(left, std::slice::from_raw_parts_mut(values, width));
            }
        }
    };
    if rows * cols > 0 {
        let count = rows.div_ceil(down) * cols.div_ceil(across);
        (0..count).into_par_iter().for_each(each);
    }
}

/// Rows and columns of the pieces that a product is cut into.
fn pieces(rows: usize, cols: usize, depth: usize) -> [usize; 2] {
    let most = (rows * cols * depth / PIECE).clamp(1, PIECES);
    let step = |n: usize, parts: usize| n.div_ceil(parts).next_multiple_of(STEP);
    let down = step(rows, (rows / HIGH).clamp(1, most));
    let rest = (most / rows.div_ceil(down).max(1)).max(1);
    let across = step(cols, (cols / WIDE).clamp(1, rest));
    if rows.div_ceil(down.max(1)) * cols.div_ceil(across.max(1)) > 1 || most == 1 {
        return [down.max(1), across.max(1)];
    }
    // Small, but worth two threads.
    if rows >= cols {
        [step(rows, most.min(4)).max(1), across.max(1)]
    } else {
        [down.max(1), step(cols, most.min(4)).max(1)]
    }
}

/// A pointer that pieces of a product share; each writes its own columns.
struct Shared(*mut f32);

// SAFETY: see `parallel`, the only user.
unsafe impl Sync for Shared {}

/// # Safety
/// `out` must be valid for `a.rows` rows of `b.cols` values, `stride` apart,
/// and nothing else may touch those values.
unsafe fn multiply(out: *mut f32, stride: usize, a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    assert_eq!(a.cols, b.rows, "inner sizes");
    let (a_cs, a_rs) = a.strides();
    let (b_cs, b_rs) = b.strides();
    // SAFETY: the matrices stay inside their slices (checked when they were
    // made), `out` as the caller promises.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            out,
            1,
            signed(stride),
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
            Parallelism::None,
        );
    }
}
