//! The U-Net of DDPM (Ho et al.; science.md §3.2): noisy images and their
//! timesteps → the noise in them, `[n·side², channels]` → the same. On each
//! level residual blocks, with self-attention at some sides, then half the
//! side; the way up joins what the way down left at each block.

use candle_core::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use super::file::Family;
use crate::nn::activation::Activation;
use crate::nn::attention::{Attention, attention};
use crate::nn::build::Build;
use crate::nn::device::device;
use crate::nn::dropout::{Dropout, dropout};
use crate::nn::graph::forget;
use crate::nn::group_norm::{After, GroupNorm, group_norm};
use crate::nn::join::join;
use crate::nn::layer::{Act, Kind, Layer, Rows, Window, linear};
use crate::nn::loss::mse;
use crate::nn::mode::Mode;
use crate::nn::narrow;
use crate::nn::per_image::add_per_image;
use crate::nn::reuse::{add_to, free};
use crate::nn::upsample::double;

const KEEP: Kind = Kind::Conv(Window::square(3, 1, 1));
const HALVE: Kind = Kind::Conv(Window::square(3, 2, 1));
/// The longest period of the timesteps' waves.
const PERIOD: f64 = 10_000.0;
/// Each halves the side.
const LEVELS_MAX: usize = 12;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arch {
    pub(crate) channels: usize,
    pub(crate) side: usize,
    pub(crate) base: usize,
    /// Widths of the levels, in multiples of the base.
    pub(crate) multiples: Vec<usize>,
    /// Residual blocks of a level on the way down; one more on the way up.
    pub(crate) blocks: usize,
    /// Sides with self-attention.
    pub(crate) attention: Vec<usize>,
    pub(crate) groups: usize,
    pub(crate) dropout: f64,
}

impl Arch {
    /// 9.28 million parameters for CIFAR-10.
    pub(crate) fn cifar10() -> Self {
        Self {
            channels: 3,
            side: 32,
            base: 64,
            multiples: vec![1, 2, 2, 2],
            blocks: 2,
            attention: vec![16, 8],
            groups: 32,
            dropout: 0.1,
        }
    }

    /// Width of the timesteps' embedding.
    fn time(&self) -> usize {
        4 * self.base
    }
}

#[derive(Debug)]
pub(crate) struct UNet {
    base: usize,
    time: [Layer; 2],
    head: Layer,
    down: Vec<Down>,
    middle: (Residual, Attend, Residual),
    up: Vec<Up>,
    norm: GroupNorm,
    tail: Layer,
}

/// Both leave something for the way up.
#[derive(Debug)]
enum Down {
    Block(Box<Block>),
    Halve(Layer),
}

#[derive(Debug)]
enum Up {
    /// Takes what was left last.
    Block(Box<Block>),
    Double(Layer),
}

#[derive(Debug)]
struct Block(Residual, Option<Attend>);

impl Family for UNet {
    const NAME: &'static str = "unet";
    type Arch = Arch;

    /// It needs a level, and a side that can be halved between levels.
    fn build(build: &mut Build, arch: &Arch) -> Result<Self> {
        let levels = arch.multiples.len();
        if !(1..=LEVELS_MAX).contains(&levels) || !arch.side.is_multiple_of(1 << (levels - 1)) {
            bail!("images of side {} cannot have {levels} levels", arch.side);
        }
        let widths = arch.multiples.iter().map(|m| m * arch.base);
        if let Some(width) = widths
            .chain([arch.base])
            .find(|w| w % arch.groups.max(1) != 0)
        {
            bail!("{width} channels cannot be cut into {} groups", arch.groups);
        }
        if arch.base < 4 || !arch.base.is_multiple_of(2) || arch.groups == 0 {
            bail!("a base of {} channels in {} groups", arch.base, arch.groups);
        }
        let time = arch.time();
        let mut dense = |name, inputs| build.layer(name, Kind::Linear, [inputs, time], Act::None);
        let times = [dense("time.0", arch.base)?, dense("time.1", time)?];
        let head = build.layer("head", KEEP, [arch.channels, arch.base], Act::None)?;

        let (mut width, mut side) = (arch.base, arch.side);
        let mut left = vec![width];
        let mut down = Vec::new();
        for (level, multiple) in arch.multiples.iter().enumerate() {
            for index in 0..arch.blocks {
                let outputs = multiple * arch.base;
                let name = format!("down.{level}.{index}");
                down.push(Down::Block(block(
                    build,
                    &name,
                    arch,
                    [width, outputs],
                    side,
                )?));
                width = outputs;
                left.push(width);
            }
            if level + 1 < levels {
                let name = format!("down.{level}.halve");
                down.push(Down::Halve(build.layer(
                    &name,
                    HALVE,
                    [width; 2],
                    Act::None,
                )?));
                side /= 2;
                left.push(width);
            }
        }

        let middle = (
            residual(build, "middle.0", arch, [width; 2])?,
            attend(build, "middle.1", arch, width)?,
            residual(build, "middle.2", arch, [width; 2])?,
        );

        let mut up = Vec::new();
        for (level, multiple) in arch.multiples.iter().enumerate().rev() {
            for index in 0..=arch.blocks {
                let outputs = multiple * arch.base;
                let inputs = width + left.pop().unwrap_or_default();
                let name = format!("up.{level}.{index}");
                up.push(Up::Block(block(
                    build,
                    &name,
                    arch,
                    [inputs, outputs],
                    side,
                )?));
                width = outputs;
            }
            if level > 0 {
                let name = format!("up.{level}.double");
                up.push(Up::Double(build.layer(
                    &name,
                    KEEP,
                    [width; 2],
                    Act::None,
                )?));
                side *= 2;
            }
        }
        Ok(Self {
            base: arch.base,
            time: times,
            head,
            down,
            middle,
            up,
            norm: group_norm(build, "tail.norm", arch.groups, width, After::Silu)?,
            tail: build.layer("tail", KEEP, [width, arch.channels], Act::None)?,
        })
    }
}

impl UNet {
    /// The noise in images at a timestep each.
    ///
    /// # Errors
    /// When there is not a timestep for each image, or the images have other
    /// channels or sides that cannot be halved.
    pub(crate) fn forward(&self, x: &Rows, steps: &[u32], mode: Mode) -> Result<Rows> {
        let waves = waves(steps, self.base)?;
        let time = Activation::Silu.apply(&linear(&self.time[0], &waves)?)?;
        // Every block begins with this activation.
        let time = Activation::Silu.apply(&linear(&self.time[1], &time)?)?;
        let mut x = self.head.forward(x)?;
        let mut left = vec![x.clone()];
        for part in &self.down {
            x = match part {
                Down::Block(block) => block.forward(&x, &time, mode)?,
                Down::Halve(layer) => layer.forward(&x)?,
            };
            left.push(x.clone());
        }
        let (first, attend, last) = &self.middle;
        x = attend.forward(&first.forward(&x, &time, mode)?)?;
        x = last.forward(&x, &time, mode)?;
        for part in &self.up {
            x = match part {
                Up::Block(block) => {
                    let Some(beside) = left.pop() else {
                        bail!("nothing was left for a block on the way up");
                    };
                    let data = join(&x.data, &beside.data)?;
                    free(&x.data)?;
                    block.forward(&Rows { data, ..x }, &time, mode)?
                }
                Up::Double(layer) => {
                    let doubled = double(&x)?;
                    free(&x.data)?;
                    layer.forward(&doubled)?
                }
            };
        }
        self.tail.forward(&self.norm.forward(&x)?)
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

/// Sine and cosine of the timesteps at `width`/2 frequencies each:
/// `[n, width]`.
///
/// # Errors
/// None is expected.
pub(crate) fn waves(steps: &[u32], width: usize) -> Result<Tensor> {
    let half = width / 2;
    let rate = |i: usize| libm::pow(PERIOD, -(i as f64) / (half - 1) as f64);
    let rates: Vec<f64> = (0..half).map(rate).collect();
    let mut data = Vec::with_capacity(steps.len() * width);
    for step in steps {
        let angles = rates.iter().map(|rate| f64::from(*step) * rate);
        data.extend(angles.clone().map(|a| narrow(libm::sin(a))));
        data.extend(angles.map(|a| narrow(libm::cos(a))));
    }
    Tensor::from_vec(data, (steps.len(), 2 * half), &device())
}

/// Norm, SiLU, convolution, twice, the timestep between, around an identity
/// or, where widths differ, a 1×1 convolution.
#[derive(Debug)]
struct Residual {
    norms: [GroupNorm; 2],
    convs: [Layer; 2],
    time: Layer,
    dropout: Dropout,
    shortcut: Option<Layer>,
}

fn residual(
    build: &mut Build,
    name: &str,
    arch: &Arch,
    [inputs, outputs]: [usize; 2],
) -> Result<Residual> {
    let part = |part: &str| format!("{name}.{part}");
    let norm = |build: &mut Build, of: &str, width| {
        group_norm(build, &part(of), arch.groups, width, After::Silu)
    };
    let shortcut = if inputs == outputs {
        None
    } else {
        let sizes = [inputs, outputs];
        Some(build.layer(&part("shortcut"), Kind::Linear, sizes, Act::None)?)
    };
    Ok(Residual {
        norms: [
            norm(build, "norm.0", inputs)?,
            norm(build, "norm.1", outputs)?,
        ],
        convs: [
            build.layer(&part("conv.0"), KEEP, [inputs, outputs], Act::None)?,
            build.layer(&part("conv.1"), KEEP, [outputs, outputs], Act::None)?,
        ],
        time: build.layer(
            &part("time"),
            Kind::Linear,
            [arch.time(), outputs],
            Act::None,
        )?,
        dropout: dropout(name, arch.dropout),
        shortcut,
    })
}

impl Residual {
    fn forward(&self, x: &Rows, time: &Tensor, mode: Mode) -> Result<Rows> {
        let normal = self.norms[0].forward(x)?;
        let h = self.convs[0].forward(&normal)?;
        forget(&normal.data)?;
        let h = add_per_image(&h, &linear(&self.time, time)?)?;
        let h = self.norms[1].forward(&h)?;
        let normal = Rows {
            data: self.dropout.forward(&h.data, mode)?,
            ..h
        };
        let h = self.convs[1].forward(&normal)?;
        forget(&normal.data)?;
        let around = match &self.shortcut {
            Some(layer) => layer.forward(x)?.data,
            None => x.data.clone(),
        };
        let data = add_to(&h.data, &around)?;
        Ok(Rows { data, ..*x })
    }
}

/// Norm and self-attention around an identity.
#[derive(Debug)]
struct Attend {
    norm: GroupNorm,
    attention: Attention,
}

fn attend(build: &mut Build, name: &str, arch: &Arch, width: usize) -> Result<Attend> {
    let norm = format!("{name}.norm");
    Ok(Attend {
        norm: group_norm(build, &norm, arch.groups, width, After::Nothing)?,
        attention: attention(build, name, 1, width)?,
    })
}

impl Attend {
    fn forward(&self, x: &Rows) -> Result<Rows> {
        let data = self.attention.forward(&self.norm.forward(x)?)?.data;
        let data = add_to(&data, &x.data)?;
        Ok(Rows { data, ..*x })
    }
}

fn block(
    build: &mut Build,
    name: &str,
    arch: &Arch,
    sizes: [usize; 2],
    side: usize,
) -> Result<Box<Block>> {
    let first = residual(build, name, arch, sizes)?;
    let second = if arch.attention.contains(&side) {
        let name = format!("{name}.attention");
        Some(attend(build, &name, arch, sizes[1])?)
    } else {
        None
    };
    Ok(Box::new(Block(first, second)))
}

impl Block {
    fn forward(&self, x: &Rows, time: &Tensor, mode: Mode) -> Result<Rows> {
        let x = self.0.forward(x, time, mode)?;
        match &self.1 {
            Some(attend) => attend.forward(&x),
            None => Ok(x),
        }
    }
}
