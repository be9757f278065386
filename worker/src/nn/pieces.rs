//! Work cut into pieces for all threads. Shapes alone fix the pieces and the
//! order in which their sums are added: results do not depend on the number
//! of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::simd::wide;

/// At most so many pieces, …
const PIECES: usize = 16;
/// … of at least so many values each.
const PIECE: usize = 1 << 12;
/// Rows summed in f32 before they enter a sum in f64.
const BLOCK: usize = 64;
/// Values that are summed side by side.
const LANES: usize = 16;

/// How many of `items` of `size` values make a piece.
pub(super) fn piece(items: usize, size: usize) -> usize {
    let small = PIECE.div_ceil(size.max(1));
    items.div_ceil(PIECES).max(small)
}

/// What `value` makes of each of `x`.
pub(super) fn map(x: &[f32], value: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let piece = piece(x.len(), 1);
    let parts = out.par_chunks_mut(piece).zip(x.par_chunks(piece));
    parts.for_each(|(out, x)| {
        wide(
            #[inline(always)]
            || out.iter_mut().zip(x).for_each(|(out, x)| *out = value(*x)),
        );
    });
    out
}

/// What `value` makes of each pair of `x` and `y`.
pub(super) fn zip(x: &[f32], y: &[f32], value: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    assert_eq!(x.len(), y.len(), "pairs");
    let mut out = vec![0.0; x.len()];
    let piece = piece(x.len(), 1);
    let parts = out.par_chunks_mut(piece).zip(x.par_chunks(piece));
    let parts = parts.zip(y.par_chunks(piece));
    parts.for_each(|((out, x), y)| {
        wide(
            #[inline(always)]
            || {
                for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                    *out = value(*x, *y);
                }
            },
        );
    });
    out
}

/// Turns each of `x` into what `value` makes of it and its pair in `y`.
pub(super) fn turn(x: &mut [f32], y: &[f32], value: impl Fn(f32, f32) -> f32 + Sync) {
    assert_eq!(x.len(), y.len(), "pairs");
    let piece = piece(x.len(), 1);
    let parts = x.par_chunks_mut(piece).zip(y.par_chunks(piece));
    parts.for_each(|(x, y)| {
        wide(
            #[inline(always)]
            || x.iter_mut().zip(y).for_each(|(x, y)| *x = value(*x, *y)),
        );
    });
}

/// `width` sums over `rows` rows: `add` adds those of some rows, which it is
/// given in blocks.
pub(super) fn sums(
    rows: usize,
    width: usize,
    add: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Vec<f64> {
    let piece = piece(rows, width).next_multiple_of(BLOCK);
    let part = |i: usize| {
        let mut total = vec![0.0; width];
        let mut block = vec![0.0; width];
        let end = ((i + 1) * piece).min(rows);
        for start in (i * piece..end).step_by(BLOCK) {
            block.fill(0.0);
            wide(
                #[inline(always)]
                || add(start..(start + BLOCK).min(end), &mut block),
            );
            accumulate(&mut total, &block);
        }
        total
    };
    let parts: Vec<Vec<f64>> = (0..rows.div_ceil(piece))
        .into_par_iter()
        .map(part)
        .collect();
    let mut total = vec![0.0; width];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
    }
    total
}

/// The sum over pairs of `x` and `y`, in f64.
pub(super) fn total(x: &[f32], y: &[f32], value: impl Fn(f32, f32) -> f32 + Sync) -> f64 {
    assert_eq!(x.len(), y.len(), "pairs");
    let rows = x.len() / LANES;
    let lanes = sums(
        rows,
        LANES,
        #[inline(always)]
        |range, sums| {
            let range = range.start * LANES..range.end * LANES;
            let rows = x[range.clone()].chunks_exact(LANES);
            for (x, y) in rows.zip(y[range].chunks_exact(LANES)) {
                for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
                    *sum += value(*x, *y);
                }
            }
        },
    );
    let rest = x[rows * LANES..].iter().zip(&y[rows * LANES..]);
    let rest: f64 = rest.map(|(x, y)| f64::from(value(*x, *y))).sum();
    lanes.iter().sum::<f64>() + rest
}

/// Adds f32 values to sums in f64.
pub(super) fn accumulate(total: &mut [f64], values: &[f32]) {
    for (total, value) in total.iter_mut().zip(values) {
        *total += f64::from(*value);
    }
}
