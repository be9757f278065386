//! Work cut into pieces for all threads. Shapes alone fix the pieces and the
//! order in which their sums are added: results do not depend on the number
//! of threads.

use std::ops::Range;

use rayon::prelude::*;

/// At most so many pieces, …
const PIECES: usize = 16;
/// … of at least so many values each.
const PIECE: usize = 1 << 12;
/// Rows summed in f32 before they enter a sum in f64.
const BLOCK: usize = 64;

/// How many of `items` of `size` values make a piece.
pub(super) fn piece(items: usize, size: usize) -> usize {
    let small = PIECE.div_ceil(size.max(1));
    items.div_ceil(PIECES).max(small)
}

/// What `fill` writes for equal stretches of `x`.
pub(super) fn map(x: &[f32], fill: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let piece = piece(x.len(), 1);
    let parts = out.par_chunks_mut(piece).zip(x.par_chunks(piece));
    parts.for_each(|(out, x)| fill(x, out));
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
        for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
            *out = value(*x, *y);
        }
    });
    out
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
            add(start..(start + BLOCK).min(end), &mut block);
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

/// Adds f32 values to sums in f64.
pub(super) fn accumulate(total: &mut [f64], values: &[f32]) {
    for (total, value) in total.iter_mut().zip(values) {
        *total += f64::from(*value);
    }
}
