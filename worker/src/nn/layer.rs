//! A layer: (transposed or 1×1) convolution or linear map, bias and
//! activation, in one pass forward and one backward.
//!
//! Rows are `[n·h·w, channels]`. Weights lie as the products need them: linear
//! `[in, out]`, convolution `[kh, kw, in/groups, out/groups]`, transposed
//! convolution `[in/groups, kh, kw, out/groups]`, with a first axis for the
//! groups if there are more than one. CPU and f32 only.

use candle_core::{Result, Tensor, bail};

pub(crate) use super::act::Act;
use super::composed;
use super::composed::conv::Map;
use super::fused::Fused;
pub(super) use super::fused::{values, with_values};
use super::graph;
use super::unfold::Unfold;

/// Inputs of a linear map that are few.
const CHEAP: usize = 32;

/// Sizes along the two sides are `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Rows and columns added at the end of a transposed convolution's output.
    pub(crate) output_padding: [usize; 2],
    /// Channels are cut into so many groups that do not see each other.
    pub(crate) groups: usize,
}

impl Window {
    /// The same along both sides.
    pub(crate) const fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            dilation: [1; 2],
            output_padding: [0; 2],
            groups: 1,
        }
    }

    fn area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether it sees one site at a time and all of them.
    fn is_pointwise(&self) -> bool {
        *self
            == Self {
                dilation: self.dilation,
                ..Self::square(1, 1, 0)
            }
    }

    /// What the window covers along an axis.
    fn reach(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Its stops along an axis.
    fn stops(&self, axis: usize, side: usize) -> Option<usize> {
        let room = (side + 2 * self.padding[axis]).checked_sub(self.reach(axis))?;
        Some(room / self.stride[axis] + 1)
    }

    /// The side that it has so many stops on.
    fn covered(&self, axis: usize, stops: usize) -> Option<usize> {
        let all = (stops.checked_sub(1)?) * self.stride[axis] + self.reach(axis);
        (all + self.output_padding[axis]).checked_sub(2 * self.padding[axis])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The same linear map at every row: a 1×1 convolution.
    Linear,
    Conv(Window),
    Transposed(Window),
}

/// What a layer is, before it has weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) act: Act,
}

impl Plan {
    pub(crate) fn weight_shape(&self) -> Vec<usize> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let grouped = |groups: usize, shape: [usize; 4]| match groups {
            1 => shape.to_vec(),
            _ => [&[groups], &shape[..]].concat(),
        };
        match self.kind {
            Kind::Linear => vec![inputs, outputs],
            Kind::Conv(w) => {
                let [kh, kw] = w.kernel;
                grouped(w.groups, [kh, kw, inputs / w.groups, outputs / w.groups])
            }
            Kind::Transposed(w) => {
                let [kh, kw] = w.kernel;
                grouped(w.groups, [inputs / w.groups, kh, kw, outputs / w.groups])
            }
        }
    }

    /// PyTorch's fan-in, whose inverse root bounds its default initialisation
    /// (of a transposed convolution it counts the outputs).
    pub(crate) fn fan_in(&self) -> usize {
        match self.kind {
            Kind::Linear => self.inputs,
            Kind::Conv(w) => w.area() * self.inputs / w.groups,
            Kind::Transposed(w) => w.area() * self.outputs / w.groups,
        }
    }

    pub(crate) fn parameters(&self) -> usize {
        self.weight_shape().iter().product::<usize>() + self.outputs
    }

    /// The sides of what comes out, if the input is large enough.
    pub(crate) fn out_sides(&self, sides: [usize; 2]) -> Option<[usize; 2]> {
        let [h, w] = sides;
        match self.kind {
            Kind::Linear => Some(sides),
            Kind::Conv(window) => Some([window.stops(0, h)?, window.stops(1, w)?]),
            Kind::Transposed(window) => Some([window.covered(0, h)?, window.covered(1, w)?]),
        }
    }
}

/// Rows with the images they belong to: `data` is `[n·h·w, channels]`.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) data: Tensor,
    pub(crate) n: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) plan: Plan,
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
}

impl Layer {
    /// # Errors
    /// When the input has another number of channels than the layer, or is
    /// smaller than its window.
    pub(crate) fn forward(&self, x: &Rows) -> Result<Rows> {
        let Plan {
            kind,
            inputs,
            outputs,
            act,
            ..
        } = self.plan;
        let Some([h, w]) = self.plan.out_sides([x.h, x.w]) else {
            bail!("images of {}×{} are too small for {kind:?}", x.h, x.w);
        };
        // The window, the channels on its narrow side, and which side enters.
        let windowed = match kind {
            Kind::Conv(window) if !window.is_pointwise() => {
                let unfold = unfold(window, inputs, [x.h, x.w], [h, w])?;
                Some((unfold, outputs, false))
            }
            Kind::Transposed(window) if !window.is_pointwise() => {
                let unfold = unfold(window, outputs, [h, w], [x.h, x.w])?;
                Some((unfold, inputs, true))
            }
            Kind::Linear | Kind::Conv(_) | Kind::Transposed(_) => None,
        };
        if composed::wanted(&x.data) {
            let map = windowed.map_or(Map::Linear, |(unfold, _, transposed)| {
                Map::Window(composed::conv::Window {
                    unfold,
                    images: x.n,
                    transposed,
                })
            });
            let data = composed::conv::layer(map, act, [&x.data, &self.weight, &self.bias])?;
            return Ok(Rows { data, n: x.n, h, w });
        }
        let op = match windowed {
            Some((unfold, narrow, transposed)) => {
                Fused::windowed(unfold, narrow, transposed, x.n, act)
            }
            None => Fused::linear(inputs, outputs, x.n * h * w, act),
        };
        let data = op.apply(&x.data, &self.weight, &self.bias)?;
        Ok(Rows { data, n: x.n, h, w })
    }
}

impl Layer {
    /// A convolution on the CPU of which the taps from `seen` on, in raster
    /// order, are masked; none if it is no plain one.
    ///
    /// # Errors
    /// As for `forward`.
    pub(super) fn forward_masked(&self, x: &Rows, seen: usize) -> Result<Option<Rows>> {
        let Plan {
            kind,
            inputs,
            outputs,
            act,
            ..
        } = self.plan;
        let (Kind::Conv(window), Some([h, w])) = (kind, self.plan.out_sides([x.h, x.w])) else {
            return Ok(None);
        };
        let unfold = unfold(window, inputs, [x.h, x.w], [h, w])?;
        let Some(op) = Fused::masked(unfold, seen, outputs, x.n, act) else {
            return Ok(None);
        };
        let data = op.apply(&x.data, &self.weight, &self.bias)?;
        Ok(Some(Rows { data, n: x.n, h, w }))
    }
}

fn unfold(window: Window, channels: usize, wide: [usize; 2], sites: [usize; 2]) -> Result<Unfold> {
    if !channels.is_multiple_of(window.groups) {
        bail!("{channels} channels in {} groups", window.groups);
    }
    Ok(Unfold {
        h: wide[0],
        w: wide[1],
        channels,
        groups: window.groups,
        kernel: window.kernel,
        stride: window.stride,
        padding: window.padding,
        dilation: window.dilation,
        out_h: sites[0],
        out_w: sites[1],
    })
}

/// Through one layer after another. What linear maps of few inputs put out is
/// forgotten behind the next layer: computing it again costs next to nothing.
///
/// # Errors
/// As for `Layer::forward`.
pub(crate) fn through(layers: &[Layer], x: &Rows) -> Result<Rows> {
    let mut x = x.clone();
    let mut cheap = false;
    for layer in layers {
        let y = layer.forward(&x)?;
        if cheap {
            graph::forget(&x.data)?;
        }
        let Plan {
            kind,
            inputs,
            outputs,
            ..
        } = layer.plan;
        cheap = kind == Kind::Linear && inputs <= CHEAP && outputs > inputs;
        x = y;
    }
    Ok(x)
}

/// A linear layer on `[rows, inputs]`.
pub(crate) fn linear(layer: &Layer, x: &Tensor) -> Result<Tensor> {
    let n = x.dim(0)?;
    let rows = Rows {
        data: x.clone(),
        n,
        h: 1,
        w: 1,
    };
    Ok(layer.forward(&rows)?.data)
}
