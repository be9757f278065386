//! Convolutions of any shape as matrix products over patches: a few hundred
//! sites at a time, so that their patches stay in the cache.
//!
//! Weights: for each group `[k, k, wide/groups, narrow/groups]`, or, of a
//! transposed convolution, `[narrow/groups, k, k, wide/groups]`.

use std::ops::Range;

use rayon::prelude::*;

use super::gemm::{Matrix, product_into};
use super::sides::{Finish, Gradients, Side, Sides, Want};
use super::simd::wide;
use super::unfold::Unfold;
use super::workspace::Buffer;

/// Images are cut into at most so many chunks, whatever the number of threads, …
const CHUNKS: usize = 16;

/// … of at least about so many multiplications each.
const CHUNK: usize = 1 << 19;

/// Values of the chunks' sums that are added at a time.
const PART: usize = 1 << 14;

/// Elements that the chunks' own sums of the weight's gradient may take.
const SUMS: usize = 1 << 22;

/// Elements of the patches worked on at a time, if that gives a number of
/// sites within `SITES`.
const PATCHES: usize = 1 << 16;
const SITES: (usize, usize) = (128, 1024);

#[derive(Debug, Clone, Copy)]
pub(super) struct Im2col {
    pub(super) unfold: Unfold,
    /// Channels at the sites.
    pub(super) narrow: usize,
    pub(super) transposed: bool,
}

impl Im2col {
    /// Elements of one image's sites.
    fn row(&self) -> usize {
        self.unfold.sites() * self.narrow
    }

    /// Images per chunk, of at most so many chunks.
    fn chunk(&self, images: usize, chunks: usize) -> usize {
        let work = images * self.row() * self.unfold.patch() / self.unfold.groups;
        images.div_ceil((work / CHUNK).clamp(1, chunks)).max(1)
    }

    fn spans(&self, images: usize) -> impl Iterator<Item = Range<usize>> {
        let all = self.unfold.patch() * self.unfold.groups;
        let step = (PATCHES / all.max(1)).clamp(SITES.0, SITES.1);
        let sites = images * self.unfold.sites();
        let spans = (0..sites).step_by(step);
        spans.map(move |first| first..sites.min(first + step))
    }

    fn columns(&self, sites: usize) -> usize {
        self.unfold.groups * sites * self.unfold.patch()
    }

    /// A group's weight, `[patch, narrow/groups]`.
    fn weight<'a>(&self, weight: &'a [f32], group: usize) -> Matrix<'a> {
        let (patch, narrow) = (self.unfold.patch(), self.narrow / self.unfold.groups);
        let weight = &weight[group * patch * narrow..(group + 1) * patch * narrow];
        if self.transposed {
            Matrix::new(weight, narrow, patch).t()
        } else {
            Matrix::new(weight, patch, narrow)
        }
    }

    /// A group's columns of some sites, `[sites, narrow/groups]`.
    fn sites<'a>(&self, narrow: &'a [f32], sites: &Range<usize>, group: usize) -> Matrix<'a> {
        let width = self.narrow / self.unfold.groups;
        let from = sites.start * self.narrow + group * width;
        Matrix::strided(&narrow[from..], sites.len(), width, self.narrow)
    }

    /// Patches → sites.
    fn gathered(&self, columns: &[f32], weight: &[f32], sites: &Range<usize>, out: &mut [f32]) {
        let (groups, patch) = (self.unfold.groups, self.unfold.patch());
        let parts = columns.chunks_exact(sites.len() * patch);
        for (group, columns) in parts.enumerate() {
            let from = sites.start * self.narrow + group * (self.narrow / groups);
            let columns = Matrix::new(columns, sites.len(), patch);
            let weight = self.weight(weight, group);
            product_into(&mut out[from..], self.narrow, columns, weight, false);
        }
    }

    /// Sites → patches → the image they are of.
    fn scattered(
        &self,
        narrow: &[f32],
        weight: &[f32],
        sites: &Range<usize>,
        columns: &mut [f32],
        out: &mut [f32],
    ) {
        let patch = self.unfold.patch();
        let parts = columns.chunks_exact_mut(sites.len() * patch);
        for (group, columns) in parts.enumerate() {
            let narrow = self.sites(narrow, sites, group);
            product_into(
                columns,
                patch,
                narrow,
                self.weight(weight, group).t(),
                false,
            );
        }
        self.unfold.scatter(columns, sites.clone(), out);
    }

    /// Adds some sites' part of the weight's gradient.
    fn add_weight(&self, columns: &[f32], narrow: &[f32], sites: &Range<usize>, out: &mut [f32]) {
        let (groups, patch) = (self.unfold.groups, self.unfold.patch());
        let width = self.narrow / groups;
        let parts = columns.chunks_exact(sites.len() * patch);
        let parts = parts.zip(out.chunks_exact_mut(patch * width));
        for (group, (columns, out)) in parts.enumerate() {
            let columns = Matrix::new(columns, sites.len(), patch);
            let narrow = self.sites(narrow, sites, group);
            if self.transposed {
                product_into(out, patch, narrow.t(), columns, true);
            } else {
                product_into(out, width, columns.t(), narrow, true);
            }
        }
    }
}

impl Sides for Im2col {
    fn to_narrow(&self, wide: &[f32], weight: &[f32], finish: Finish<'_>) -> Vec<f32> {
        let images = wide.len() / self.unfold.image();
        let chunk = self.chunk(images, CHUNKS);
        let mut y = vec![0.0; images * self.row()];
        let parts = y.par_chunks_mut(chunk * self.row());
        let parts = parts.zip(wide.par_chunks(chunk * self.unfold.image()));
        parts.for_each(|(y, wide)| {
            for sites in self.spans(wide.len() / self.unfold.image()) {
                let mut columns = Buffer::take(self.columns(sites.len()));
                self.unfold.gather(wide, sites.clone(), &mut columns);
                self.gathered(&columns, weight, &sites, y);
                finish.rows(&mut y[sites.start * self.narrow..sites.end * self.narrow]);
            }
        });
        y
    }

    fn to_wide(&self, narrow: &[f32], weight: &[f32], finish: Finish<'_>) -> Vec<f32> {
        let images = narrow.len() / self.row();
        let chunk = self.chunk(images, CHUNKS);
        let mut y = vec![0.0; images * self.unfold.image()];
        let parts = y.par_chunks_mut(chunk * self.unfold.image());
        let parts = parts.zip(narrow.par_chunks(chunk * self.row()));
        parts.for_each(|(y, narrow)| {
            for sites in self.spans(narrow.len() / self.row()) {
                let mut columns = Buffer::take(self.columns(sites.len()));
                self.scattered(narrow, weight, &sites, &mut columns, y);
            }
            finish.rows(y);
        });
        y
    }

    fn back(&self, wide: &[f32], narrow: &[f32], weight: &[f32], want: Want) -> Gradients {
        let images = narrow.len() / self.row();
        let chunks = (SUMS / weight.len().max(1)).clamp(CHUNKS / 4, CHUNKS);
        let chunk = self.chunk(images, chunks);
        let (width, each) = match want.side {
            None => (0, 1),
            Some(Side::Wide) => (images * self.unfold.image(), self.unfold.image()),
            Some(Side::Narrow) => (images * self.row(), self.row()),
        };
        let mut side = vec![0.0; width];
        let mut parts: Vec<&mut [f32]> = side.chunks_mut(chunk * each).collect();
        parts.resize_with(images.div_ceil(chunk), || &mut []);
        let inputs = wide.par_chunks(chunk * self.unfold.image());
        let inputs = inputs.zip(narrow.par_chunks(chunk * self.row()));
        let sums = inputs.zip(parts).map(|((wide, narrow), side)| {
            let mut sum = vec![0.0; if want.weight { weight.len() } else { 0 }];
            for sites in self.spans(narrow.len() / self.row()) {
                let mut columns = Buffer::take(self.columns(sites.len()));
                if want.weight || want.side == Some(Side::Narrow) {
                    self.unfold.gather(wide, sites.clone(), &mut columns);
                }
                if want.weight {
                    self.add_weight(&columns, narrow, &sites, &mut sum);
                }
                match want.side {
                    None => {}
                    Some(Side::Wide) => {
                        self.scattered(narrow, weight, &sites, &mut columns, side);
                    }
                    Some(Side::Narrow) => self.gathered(&columns, weight, &sites, side),
                }
            }
            sum
        });
        let sums: Vec<Vec<f32>> = sums.collect();
        Gradients {
            weight: want.weight.then(|| total(sums, weight.len()).into()),
            side: want.side.map(|_| side),
        }
    }
}

/// The chunks' sums, added in their order.
pub(super) fn total(sums: Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let mut sums = sums.into_iter();
    let mut total = sums.next().unwrap_or_else(|| vec![0.0; len]);
    let rest: Vec<Vec<f32>> = sums.collect();
    let parts = total.par_chunks_mut(PART).enumerate();
    parts.for_each(|(i, total)| {
        let at = i * PART..i * PART + total.len();
        wide(
            #[inline(always)]
            || {
                for sum in &rest {
                    let sum = &sum[at.clone()];
                    total.iter_mut().zip(sum).for_each(|(t, s)| *t += s);
                }
            },
        );
    });
    total
}
