//! The maps of `tile` along both axes, on filters.

use rayon::prelude::*;

use super::tile::{LANES, Tile};
use super::transform::{ROOM, ZERO, load, place, store};
use crate::nn::simd::wide;

/// Values done at a time: a task.
const PIECE: usize = 1 << 12;

/// Where the values of a filter lie: `outer` runs, one after another, of
/// `taps² · inner` values in the filter and of `phases² · inner` in each point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter {
    pub(super) outer: usize,
    pub(super) inner: usize,
}

type Dealt<'a> = Vec<Vec<&'a mut [f32]>>;

impl Filter {
    fn tasks(&self) -> usize {
        self.outer * self.inner.div_ceil(PIECE)
    }

    /// Deals stretches of `data`, which has `each · inner` values a run, to
    /// the tasks they belong to.
    fn deal<'a>(&self, data: &'a mut [f32], each: usize, tasks: &mut Dealt<'a>) {
        let pieces = self.inner.div_ceil(PIECE);
        for (i, stretch) in data.chunks_exact_mut(self.inner).enumerate() {
            let pieces = tasks.iter_mut().skip(i / each * pieces);
            let parts = pieces.zip(stretch.chunks_mut(PIECE));
            parts.for_each(|(task, part)| task.push(part));
        }
    }
}

fn empty<'a>(tasks: usize) -> Dealt<'a> {
    (0..tasks).map(|_| Vec::new()).collect()
}

/// The weight `[outer, taps, taps, inner]` → points, each
/// `[outer, phases², inner]`.
pub(super) fn filter<T: Tile>(shape: Filter, weight: &[f32], points: &mut [f32]) {
    let (n, all, phases) = (T::TAPS, T::POINTS * T::PHASES, T::PHASES * T::PHASES);
    let size = shape.outer * phases * shape.inner;
    let mut tasks = empty(shape.tasks());
    for point in points.chunks_exact_mut(size) {
        shape.deal(point, phases, &mut tasks);
    }
    let pieces = shape.inner.div_ceil(PIECE);
    tasks.par_iter_mut().enumerate().for_each(|(task, points)| {
        let (outer, piece) = (task / pieces, task % pieces);
        let from = outer * n * n * shape.inner + piece * PIECE;
        let len = points.first().map_or(0, |p| p.len());
        wide(
            #[inline(always)]
            || {
                let mut t = [ZERO; ROOM];
                for at in (0..len).step_by(LANES) {
                    for j in 0..n {
                        T::filter(
                            |i| load(weight, from + (i * n + j) * shape.inner + at),
                            |q, v| t[q * n + j] = v,
                        );
                    }
                    for q in 0..all {
                        T::filter(
                            |j| t[q * n + j],
                            |r, v| {
                                let (point, phase) = place::<T>(q, r);
                                store(points[point * phases + phase], at, v);
                            },
                        );
                    }
                }
            },
        );
    });
}

/// The adjoint of `filter`: writes the weight's gradient.
pub(super) fn filter_back<T: Tile>(shape: Filter, points: &[f32], weight: &mut [f32]) {
    let (n, all, phases) = (T::TAPS, T::POINTS * T::PHASES, T::PHASES * T::PHASES);
    let size = shape.outer * phases * shape.inner;
    let mut tasks = empty(shape.tasks());
    shape.deal(weight, n * n, &mut tasks);
    let pieces = shape.inner.div_ceil(PIECE);
    tasks.par_iter_mut().enumerate().for_each(|(task, taps)| {
        let (outer, piece) = (task / pieces, task % pieces);
        let from = outer * phases * shape.inner + piece * PIECE;
        let len = taps.first().map_or(0, |tap| tap.len());
        wide(
            #[inline(always)]
            || {
                let mut t = [ZERO; ROOM];
                for at in (0..len).step_by(LANES) {
                    for q in 0..all {
                        T::filter_back(
                            |r| {
                                let (point, phase) = place::<T>(q, r);
                                let at = point * size + from + phase * shape.inner + at;
                                load(points, at)
                            },
                            |j, v| t[q * n + j] = v,
                        );
                    }
                    for j in 0..n {
                        T::filter_back(|q| t[q * n + j], |i, v| store(taps[i * n + j], at, v));
                    }
                }
            },
        );
    });
}
