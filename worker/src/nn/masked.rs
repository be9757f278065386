//! Masked convolution (PixelCNN): `[n·h·w, in]` → `[n·h·w, out]`, each site
//! from those before it in raster order. The whole site is masked: its
//! channels are one token, not a sequence.

use candle_core::{Result, Tensor};

use super::build::Build;
use super::composed;
use super::device::device;
use super::layer::{Act, Kind, Layer, Rows, Window};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mask {
    /// A site does not see itself: the first layer, on the tokens.
    A,
    /// It does: later layers.
    B,
}

#[derive(Debug, Clone)]
pub(crate) struct MaskedConv {
    /// With its whole weight.
    layer: Layer,
    /// Ones and zeros in the shape of the weight.
    mask: Tensor,
    /// How many taps, in raster order, are not masked.
    seen: usize,
}

/// With an odd `kernel`; keeps height and width.
///
/// # Errors
/// When a name is taken.
pub(crate) fn masked_conv(
    build: &mut Build,
    name: &str,
    kernel: usize,
    [inputs, outputs]: [usize; 2],
    (mask, act): (Mask, Act),
) -> Result<MaskedConv> {
    let kind = Kind::Conv(Window::square(kernel, 1, kernel / 2));
    let layer = build.layer(name, kind, [inputs, outputs], act)?;
    let center = kernel / 2 * kernel + kernel / 2;
    let seen = match mask {
        Mask::A => center,
        Mask::B => center + 1,
    };
    let size = inputs * outputs;
    let value = |at: usize| if at / size < seen { 1.0f32 } else { 0.0 };
    let values: Vec<f32> = (0..kernel * kernel * size).map(value).collect();
    let mask = Tensor::from_vec(values, layer.weight.shape(), &device())?;
    Ok(MaskedConv { layer, mask, seen })
}

impl MaskedConv {
    /// # Errors
    /// When the input has another number of channels.
    pub(crate) fn forward(&self, x: &Rows) -> Result<Rows> {
        if !composed::wanted(&x.data)
            && let Some(y) = self.layer.forward_masked(x, self.seen)?
        {
            return Ok(y);
        }
        let weight = self.layer.weight.mul(&self.mask)?;
        let layer = Layer {
            weight,
            ..self.layer.clone()
        };
        layer.forward(x)
    }
}
