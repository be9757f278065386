//! Convolutions of stride 1, site by site. What a site sees of one row of an
//! image lies side by side, and so do the taps that meet it: each row of the
//! window is one product over all images, and nothing is copied. Taps that
//! are masked or meet nothing cost nothing, which pays with windows that are
//! large for their images.
//!
//! Weights as in `im2col`; of the taps in raster order the first `seen` count.

use rayon::prelude::*;

use super::gemm::{Matrix, product, product_into};
use super::im2col::total;
use super::pieces::piece;
use super::sides::{Finish, Gradients, Side, Sides, Want};
use super::unfold::Unfold;
use super::workspace::Buffer;

/// Sites are dealt to so many sums of the weight's gradient.
const SUMS: usize = 8;

#[derive(Debug, Clone, Copy)]
pub(super) struct BySite {
    unfold: Unfold,
    /// Channels at the sites.
    narrow: usize,
    seen: usize,
}

/// Part of a row of the window that meets part of a row of an image.
struct Run {
    pixel: usize,
    tap: usize,
    len: usize,
}

/// What goes through: channels and sites that enter and that come out.
struct Ways {
    channels: [usize; 2],
    sites: [usize; 2],
}

impl BySite {
    /// For windows of stride 1 without dilation or groups.
    pub(super) fn new(unfold: Unfold, narrow: usize, seen: usize) -> Option<Self> {
        let plain = unfold.groups == 1 && unfold.stride == [1, 1] && unfold.dilation == [1, 1];
        plain.then_some(Self {
            unfold,
            narrow,
            seen,
        })
    }

    /// Columns of a row of the window that are not masked.
    fn open(&self, row: usize) -> usize {
        let width = self.unfold.kernel[1];
        self.seen.saturating_sub(row * width).min(width)
    }

    /// What a site sees.
    fn runs(&self, site: usize) -> impl Iterator<Item = Run> {
        let u = self.unfold;
        let (row, col) = (site / u.out_w, site % u.out_w);
        (0..u.kernel[0]).filter_map(move |dy| {
            let y = (row + dy).checked_sub(u.padding[0])?;
            let first = u.padding[1].saturating_sub(col);
            let last = (u.w + u.padding[1]).saturating_sub(col).min(self.open(dy));
            (y < u.h && first < last).then(|| Run {
                pixel: y * u.w + col + first - u.padding[1],
                tap: dy * u.kernel[1] + first,
                len: last - first,
            })
        })
    }

    /// The sites that see a pixel, and their taps in the turned weight.
    fn seers(&self, pixel: usize) -> impl Iterator<Item = Run> {
        let u = self.unfold;
        let (row, col) = (pixel / u.w, pixel % u.w);
        (0..u.kernel[0]).filter_map(move |dy| {
            let y = (row + u.padding[0]).checked_sub(dy)?;
            let right = col + u.padding[1];
            let first = (right + 1).saturating_sub(u.out_w);
            let last = (right + 1).min(self.open(dy));
            (y < u.out_h && first < last).then(|| Run {
                pixel: y * u.out_w + right + 1 - last,
                tap: (dy + 1) * u.kernel[1] - last,
                len: last - first,
            })
        })
    }

    /// Taps turned round in each row and transposed: `[k, k, narrow, wide]`.
    fn turned(&self, weight: &[f32]) -> Buffer {
        let (width, wide, narrow) = (self.unfold.kernel[1], self.unfold.channels, self.narrow);
        let mut out = Buffer::take(weight.len());
        let size = wide * narrow;
        out.par_chunks_mut(size).enumerate().for_each(|(tap, out)| {
            let (row, col) = (tap / width, tap % width);
            let tap = (row + 1) * width - 1 - col;
            let from = &weight[tap * size..(tap + 1) * size];
            for (n, out) in out.chunks_exact_mut(wide).enumerate() {
                let column = from[n..].iter().step_by(narrow);
                out.iter_mut().zip(column).for_each(|(out, w)| *out = *w);
            }
        });
        out
    }

    fn forth(&self) -> Ways {
        Ways {
            channels: [self.unfold.channels, self.narrow],
            sites: [self.unfold.h * self.unfold.w, self.unfold.sites()],
        }
    }

    fn back_again(&self) -> Ways {
        let Ways {
            channels: [wide, narrow],
            sites: [pixels, sites],
        } = self.forth();
        Ways {
            channels: [narrow, wide],
            sites: [sites, pixels],
        }
    }

    fn widened(&self, narrow: &[f32], turned: &[f32], finish: Option<Finish<'_>>) -> Vec<f32> {
        let ways = self.back_again();
        through(&ways, narrow, turned, |pixel| self.seers(pixel), finish)
    }

    fn weight_gradient(&self, wide: &[f32], narrow: &[f32], len: usize) -> Vec<f32> {
        let Ways {
            channels: [channels, _],
            sites: [pixels, sites],
        } = self.forth();
        let images = wide.len() / (pixels * channels).max(1);
        let size = channels * self.narrow;
        let sum = |first: usize| {
            let mut sum = vec![0.0; len];
            for site in (first..sites).step_by(SUMS) {
                let g = &narrow[site * self.narrow..];
                let g = Matrix::strided(g, images, self.narrow, sites * self.narrow);
                for Run { pixel, tap, len } in self.runs(site) {
                    let x = &wide[pixel * channels..];
                    let x = Matrix::strided(x, images, len * channels, pixels * channels);
                    let sum = &mut sum[tap * size..(tap + len) * size];
                    product_into(sum, self.narrow, x.t(), g, true);
                }
            }
            sum
        };
        let count = SUMS.min(sites);
        total((0..count).into_par_iter().map(sum).collect(), len)
    }
}

/// Images → images: for each site a product with each run of what it sees.
fn through<R: Iterator<Item = Run>>(
    ways: &Ways,
    from: &[f32],
    weight: &[f32],
    runs: impl Fn(usize) -> R + Sync,
    finish: Option<Finish<'_>>,
) -> Vec<f32> {
    let ([inputs, outputs], [pixels, sites]) = (ways.channels, ways.sites);
    let images = from.len() / (pixels * inputs).max(1);
    let mut by_site = Buffer::take(images * sites * outputs);
    let parts = by_site.par_chunks_mut((images * outputs).max(1));
    parts.enumerate().for_each(|(site, out)| {
        let mut empty = true;
        for Run { pixel, tap, len } in runs(site) {
            let x = Matrix::strided(
                &from[pixel * inputs..],
                images,
                len * inputs,
                pixels * inputs,
            );
            let size = inputs * outputs;
            let weight = &weight[tap * size..(tap + len) * size];
            let weight = Matrix::new(weight, len * inputs, outputs);
            product(out, x, weight, !empty);
            empty = false;
        }
        if empty {
            out.fill(0.0);
        }
        if let Some(finish) = finish {
            finish.rows(out);
        }
    });
    let mut y = vec![0.0; images * sites * outputs];
    let image = sites * outputs;
    let each = piece(images, image);
    let parts = y.par_chunks_mut((each * image).max(1));
    parts.enumerate().for_each(|(part, y)| {
        for (index, y) in y.chunks_exact_mut(image).enumerate() {
            let first = (part * each + index) * outputs;
            let rows = by_site.chunks_exact(images * outputs);
            for (y, row) in y.chunks_exact_mut(outputs).zip(rows) {
                y.copy_from_slice(&row[first..first + outputs]);
            }
        }
    });
    y
}

impl Sides for BySite {
    fn to_narrow(&self, wide: &[f32], weight: &[f32], finish: Finish<'_>) -> Vec<f32> {
        let ways = self.forth();
        through(&ways, wide, weight, |site| self.runs(site), Some(finish))
    }

    fn to_wide(&self, narrow: &[f32], weight: &[f32], finish: Finish<'_>) -> Vec<f32> {
        self.widened(narrow, &self.turned(weight), Some(finish))
    }

    /// For convolutions only: weights of transposed ones lie otherwise.
    fn back(&self, wide: &[f32], narrow: &[f32], weight: &[f32], want: Want) -> Gradients {
        let side = match want.side {
            None => None,
            Some(Side::Wide) => Some(self.widened(narrow, &self.turned(weight), None)),
            Some(Side::Narrow) => {
                let ways = self.forth();
                Some(through(&ways, wide, weight, |site| self.runs(site), None))
            }
        };
        let gw = want
            .weight
            .then(|| self.weight_gradient(wide, narrow, weight.len()).into());
        Gradients { weight: gw, side }
    }
}
