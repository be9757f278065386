//! Patches of images as matrix rows (im2col), and its adjoint (col2im). Both
//! serve convolutions and transposed convolutions, which are each other's
//! adjoints.

/// A sliding window over `[h, w, channels]` images. The window has one
/// position for each of `out_h · out_w` sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unfold {
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) channels: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) out_h: usize,
    pub(super) out_w: usize,
}

impl Unfold {
    /// Elements of one image.
    pub(super) fn image(&self) -> usize {
        self.h * self.w * self.channels
    }

    /// Elements of a patch: k·k·channels.
    pub(super) fn patch(&self) -> usize {
        self.kernel * self.kernel * self.channels
    }

    /// Window positions of one image.
    pub(super) fn sites(&self) -> usize {
        self.out_h * self.out_w
    }

    /// Elements of one image's patches.
    pub(super) fn columns(&self) -> usize {
        self.sites() * self.patch()
    }

    /// Writes the patches of one image, `[sites, k·k·channels]`; zeros stand
    /// for what lies outside.
    pub(super) fn gather(&self, image: &[f32], columns: &mut [f32]) {
        columns.fill(0.0);
        self.runs(|at, from, len| {
            columns[at..at + len].copy_from_slice(&image[from..from + len]);
        });
    }

    /// Adds patches back to where they came from.
    pub(super) fn scatter(&self, columns: &[f32], image: &mut [f32]) {
        self.runs(|at, to, len| {
            let patch = &columns[at..at + len];
            for (pixel, value) in image[to..to + len].iter_mut().zip(patch) {
                *pixel += value;
            }
        });
    }

    /// Calls `run(position in columns, position in image, length)` for every
    /// run of values that lie side by side in both.
    fn runs(&self, mut run: impl FnMut(usize, usize, usize)) {
        let (k, c) = (self.kernel, self.channels);
        for site in 0..self.sites() {
            let (row, col) = (site / self.out_w, site % self.out_w);
            let (top, left) = (row * self.stride, col * self.stride);
            // Kernel columns that fall inside the image.
            let first = self.padding.saturating_sub(left).min(k);
            let last = (self.w + self.padding).saturating_sub(left).min(k);
            if first >= last {
                continue;
            }
            for dy in 0..k {
                let y = top + dy;
                if y < self.padding || y >= self.h + self.padding {
                    continue;
                }
                let at = (site * k + dy) * k + first;
                let pixel = (y - self.padding) * self.w + left + first - self.padding;
                run(at * c, pixel * c, (last - first) * c);
            }
        }
    }
}
