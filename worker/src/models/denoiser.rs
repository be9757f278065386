//! What finds the noise in images: a U-Net, or, for small images, fully
//! connected layers on pixels and timestep side by side (science.md §6,
//! M-E13).

use candle_core::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use super::file::Family as _;
use super::unet::{self, UNet, waves};
use crate::nn::build::Build;
use crate::nn::join::join;
use crate::nn::layer::{Act, Kind, Layer, Rows, linear};
use crate::nn::loss::mse;
use crate::nn::mode::Mode;

/// Widths that a file may ask for.
const WIDTH_MAX: usize = 65_536;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Arch {
    Unet(unet::Arch),
    Dense(Dense),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dense {
    pub(crate) channels: usize,
    pub(crate) side: usize,
    /// Width of the timesteps' waves.
    pub(crate) time: usize,
    pub(crate) hidden: Vec<usize>,
}

impl Arch {
    /// Channels, and sites along one side.
    pub(crate) fn image(&self) -> [usize; 2] {
        match self {
            Self::Unet(arch) => [arch.channels, arch.side],
            Self::Dense(arch) => [arch.channels, arch.side],
        }
    }
}

#[derive(Debug)]
pub(crate) enum Denoiser {
    Unet(Box<UNet>),
    Dense { time: usize, layers: Vec<Layer> },
}

impl Denoiser {
    /// # Errors
    /// When there is no such network, or stored values are not its own.
    pub(crate) fn build(build: &mut Build, arch: &Arch) -> Result<Self> {
        match arch {
            Arch::Unet(arch) => Ok(Self::Unet(Box::new(UNet::build(build, arch)?))),
            Arch::Dense(arch) => dense(build, arch),
        }
    }

    /// The noise in images `[n·h·w, c]` at a timestep each.
    ///
    /// # Errors
    /// When there is not a timestep for each image, or sizes differ.
    pub(crate) fn forward(&self, x: &Rows, steps: &[u32], mode: Mode) -> Result<Rows> {
        match self {
            Self::Unet(net) => net.forward(x, steps, mode),
            Self::Dense { time, layers } => {
                let pixels = x.data.reshape((x.n, ()))?;
                let mut y = join(&pixels, &waves(steps, *time)?)?;
                for layer in layers {
                    y = linear(layer, &y)?;
                }
                Ok(Rows {
                    data: y.reshape(x.data.shape())?,
                    ..*x
                })
            }
        }
    }

    /// The mean squared error of the noise that is in the images.
    ///
    /// # Errors
    /// As for `forward`, or when the noise is of another shape.
    pub(crate) fn loss(
        &self,
        x: &Rows,
        steps: &[u32],
        noise: &Tensor,
        mode: Mode,
    ) -> Result<Tensor> {
        mse(&self.forward(x, steps, mode)?.data, noise)
    }
}

fn dense(build: &mut Build, arch: &Dense) -> Result<Denoiser> {
    let pixels = arch.channels * arch.side * arch.side;
    let widths = [&[pixels, arch.time], &arch.hidden[..]].concat();
    let possible = widths.iter().all(|w| (1..=WIDTH_MAX).contains(w));
    if !possible || arch.time < 4 || !arch.time.is_multiple_of(2) {
        bail!(
            "layers of {pixels} pixels, {} for time and {:?}",
            arch.time,
            arch.hidden
        );
    }
    let mut layers = Vec::new();
    let mut inputs = pixels + arch.time;
    for (index, width) in arch.hidden.iter().enumerate() {
        let name = format!("hidden.{index}");
        layers.push(build.layer(&name, Kind::Linear, [inputs, *width], Act::Relu)?);
        inputs = *width;
    }
    layers.push(build.layer("output", Kind::Linear, [inputs, pixels], Act::None)?);
    let time = arch.time;
    Ok(Denoiser::Dense { time, layers })
}
