//! Patches of images as matrix rows (im2col) and their adjoint (col2im), each
//! the other's gradient: `[n·h·w, c]` ↔ `[groups, n·h'·w', k·k·c/groups]`.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::nn::layer::values;
use crate::nn::unfold::Unfold;

#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Patches {
    pub(in crate::nn) unfold: Unfold,
    pub(in crate::nn) images: usize,
    /// From patches to images.
    pub(in crate::nn) back: bool,
}

impl Patches {
    /// Patches of all images.
    pub(in crate::nn) fn count(&self) -> usize {
        self.images * self.unfold.sites()
    }

    fn patches(&self) -> [usize; 3] {
        [self.unfold.groups, self.count(), self.unfold.patch()]
    }

    fn pixels(&self) -> [usize; 2] {
        let Unfold { h, w, channels, .. } = self.unfold;
        [self.images * h * w, channels]
    }

    /// Shapes of what enters and what leaves.
    pub(in crate::nn) fn shapes(&self) -> [Shape; 2] {
        let (pixels, patches) = (Shape::from(&self.pixels()), Shape::from(&self.patches()));
        if self.back {
            [patches, pixels]
        } else {
            [pixels, patches]
        }
    }

    /// What the kernels are told (`cuda/patches.h`), of `per` channels at a
    /// time.
    #[cfg(any(test, feature = "cuda"))]
    pub(in crate::nn) fn geometry(&self, per: usize) -> [usize; 15] {
        let unfold = &self.unfold;
        let ([kh, kw], [sh, sw]) = (unfold.kernel, unfold.stride);
        let ([ph, pw], [dh, dw]) = (unfold.padding, unfold.dilation);
        let channels = unfold.channels / per;
        [
            unfold.h,
            unfold.w,
            channels,
            unfold.groups,
            kh,
            kw,
            sh,
            sw,
            ph,
            pw,
            dh,
            dw,
            unfold.out_h,
            unfold.out_w,
            self.count(),
        ]
    }

    pub(in crate::nn) fn check(&self, layout: &Layout) -> Result<()> {
        let [expected, _] = self.shapes();
        if *layout.shape() != expected || !layout.is_contiguous() {
            bail!("patches of {:?}, not {expected:?}", layout.shape());
        }
        Ok(())
    }
}

/// `[n·h·w, c]` → `[groups, n·h'·w', k·k·c/groups]`.
///
/// # Errors
/// When the rows are not those of the images.
pub(super) fn gather(unfold: Unfold, images: usize, x: &Tensor) -> Result<Tensor> {
    let back = false;
    x.contiguous()?.apply_op1(Patches {
        unfold,
        images,
        back,
    })
}

/// The sums of what patches hold for each pixel.
///
/// # Errors
/// When the patches are not those of the images.
pub(super) fn scatter(unfold: Unfold, images: usize, patches: &Tensor) -> Result<Tensor> {
    let back = true;
    let patches = patches.contiguous()?;
    patches.apply_op1(Patches {
        unfold,
        images,
        back,
    })
}

impl CustomOp1 for Patches {
    fn name(&self) -> &'static str {
        if self.back { "col2im" } else { "im2col" }
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.check(layout)?;
        let x = values(x, layout)?;
        let [_, shape] = self.shapes();
        let mut y = vec![0.0; shape.elem_count()];
        if self.back {
            self.unfold.scatter(x, 0..self.count(), &mut y);
        } else {
            self.unfold.gather(x, 0..self.count(), &mut y);
        }
        Ok((CpuStorage::F32(y), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        crate::nn::cuda::patches(self, x, layout)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let back = !self.back;
        let gx = grad
            .detach()
            .contiguous()?
            .apply_op1(Self { back, ..*self })?;
        Ok(Some(gx))
    }
}

#[cfg(test)]
mod tests;
