//! Patches of images as matrix rows (im2col), and its adjoint (col2im). Both
//! serve convolutions and transposed convolutions, which are each other's
//! adjoints: the window slides over the image of one of the two sides.

use std::ops::Range;

/// Below it, copying value by value costs less than a call.
const SHORT: usize = 16;

/// A window that slides over `[h, w, channels]` images and stops at
/// `out_h · out_w` sites. Sizes along the two sides are `[vertical,
/// horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unfold {
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) channels: usize,
    pub(super) groups: usize,
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) out_h: usize,
    pub(super) out_w: usize,
}

impl Unfold {
    /// Elements of one image.
    pub(super) fn image(&self) -> usize {
        self.h * self.w * self.channels
    }

    /// Elements of a patch of one group: k·k·channels/groups.
    pub(super) fn patch(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels / self.groups
    }

    /// Window positions of one image.
    pub(super) fn sites(&self) -> usize {
        self.out_h * self.out_w
    }

    /// Writes the patches of some sites, counted through all images: for each
    /// group `[sites, k·k·channels/groups]`. Zeros stand for what lies
    /// outside.
    pub(super) fn gather(&self, images: &[f32], sites: Range<usize>, columns: &mut [f32]) {
        columns.fill(0.0);
        self.runs(sites, |at, from, len| {
            let (to, from) = (&mut columns[at..at + len], &images[from..from + len]);
            if len < SHORT {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            } else {
                to.copy_from_slice(from);
            }
        });
    }

    /// Adds patches back to where they came from.
    pub(super) fn scatter(&self, columns: &[f32], sites: Range<usize>, images: &mut [f32]) {
        self.runs(sites, |at, to, len| {
            let patch = &columns[at..at + len];
            for (pixel, value) in images[to..to + len].iter_mut().zip(patch) {
                *pixel += value;
            }
        });
    }

    /// Calls `run(position in columns, position in images, length)` for every
    /// run of values that lie side by side in both.
    #[inline(always)]
    fn runs(&self, sites: Range<usize>, mut run: impl FnMut(usize, usize, usize)) {
        let [kh, kw] = self.kernel;
        let c = self.channels / self.groups;
        let count = sites.len();
        // Neighbours in a patch are neighbours in the image.
        let dense = self.groups == 1 && self.dilation[1] == 1;
        for (index, site) in sites.enumerate() {
            let (image, site) = (site / self.sites(), site % self.sites());
            let (row, col) = (site / self.out_w, site % self.out_w);
            let (top, left) = (row * self.stride[0], col * self.stride[1]);
            for dy in 0..kh {
                let y = top + dy * self.dilation[0];
                if y < self.padding[0] || y >= self.h + self.padding[0] {
                    continue;
                }
                let line = (image * self.h + y - self.padding[0]) * self.w;
                if dense {
                    // Kernel columns that fall inside the image.
                    let first = self.padding[1].saturating_sub(left).min(kw);
                    let last = (self.w + self.padding[1]).saturating_sub(left).min(kw);
                    if first < last {
                        let at = (index * kh + dy) * kw + first;
                        let pixel = line + left + first - self.padding[1];
                        run(at * c, pixel * c, (last - first) * c);
                    }
                    continue;
                }
                for dx in 0..kw {
                    let x = left + dx * self.dilation[1];
                    if x < self.padding[1] || x >= self.w + self.padding[1] {
                        continue;
                    }
                    let pixel = (line + x - self.padding[1]) * self.channels;
                    for group in 0..self.groups {
                        let at = ((group * count + index) * kh + dy) * kw + dx;
                        run(at * c, pixel + group * c, c);
                    }
                }
            }
        }
    }
}
