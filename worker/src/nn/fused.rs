//! A layer as one op of candle's graph, with its own gradient: candle's
//! convolutions run scalar loops on the CPU, and each edge of its graph adds
//! two passes over the gradient.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::act::{self, Act};
use super::backward::{self, Fate, Use};
use super::by_site::BySite;
use super::graph;
use super::im2col::Im2col;
use super::pointwise::Pointwise;
use super::reuse::own;
use super::sides::{Finish, Side, Sides, Want};
use super::unfold::Unfold;
use super::winograd;
use super::workspace::Buffer;

pub(super) struct Fused {
    sides: Box<dyn Sides>,
    transposed: bool,
    inputs: usize,
    outputs: usize,
    /// Rows that come out.
    rows: usize,
    act: Act,
    /// Of the weight and the bias, if they are parameters.
    uses: [Option<Use>; 2],
}

impl Fused {
    pub(super) fn linear(inputs: usize, outputs: usize, rows: usize, act: Act) -> Self {
        Self {
            sides: Box::new(Pointwise { inputs, outputs }),
            transposed: false,
            inputs,
            outputs,
            rows,
            act,
            uses: [None, None],
        }
    }

    /// A convolution whose window slides over its input, or a transposed one
    /// whose window slides over its output; `narrow` channels on the other
    /// side.
    pub(super) fn windowed(
        unfold: Unfold,
        narrow: usize,
        transposed: bool,
        images: usize,
        act: Act,
    ) -> Self {
        let im2col = || {
            Box::new(Im2col {
                unfold,
                narrow,
                transposed,
            })
        };
        let sides = winograd::fast(&unfold, narrow, transposed).unwrap_or_else(|| im2col());
        let (wide, sites) = (unfold.h * unfold.w, unfold.sites());
        let (inputs, outputs, rows) = if transposed {
            (narrow, unfold.channels, wide)
        } else {
            (unfold.channels, narrow, sites)
        };
        Self {
            sides,
            transposed,
            inputs,
            outputs,
            rows: images * rows,
            act,
            uses: [None, None],
        }
    }

    /// A convolution of which the taps from `seen` on, in raster order, are
    /// masked; none if its window is not plain.
    pub(super) fn masked(
        unfold: Unfold,
        seen: usize,
        narrow: usize,
        images: usize,
        act: Act,
    ) -> Option<Self> {
        Some(Self {
            sides: Box::new(BySite::new(unfold, narrow, seen)?),
            transposed: false,
            inputs: unfold.channels,
            outputs: narrow,
            rows: images * unfold.sites(),
            act,
            uses: [None, None],
        })
    }

    /// Rows of inputs → rows of outputs.
    pub(super) fn apply(mut self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        self.uses = [Use::of(weight), Use::of(bias)];
        graph::apply3(x, weight, bias, self)
    }

    fn forward(&self, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let finish = Finish {
            act: self.act,
            bias,
        };
        if self.transposed {
            self.sides.to_wide(x, weight, finish)
        } else {
            self.sides.to_narrow(x, weight, finish)
        }
    }
}

/// The values of a contiguous f32 tensor.
pub(super) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("a layer's tensors are contiguous");
    };
    match storage.as_slice::<f32>()?.get(start..end) {
        Some(values) => Ok(values),
        None => bail!("the values of a tensor were given away"),
    }
}

/// Calls `f` with the values of a tensor, without a copy.
pub(super) fn with_values<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(storage) => f(values(storage, layout)?),
        _ => bail!("layers run on the CPU"),
    }
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "layer"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, channels) = x_layout.shape().dims2()?;
        if channels != self.inputs {
            bail!("{channels} channels enter a layer of {}", self.inputs);
        }
        let x = values(x, x_layout)?;
        let weight = values(weight, weight_layout)?;
        let y = self.forward(x, weight, values(bias, bias_layout)?);
        let shape = Shape::from((self.rows, self.outputs));
        Ok((CpuStorage::F32(y), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        graph::recall(x)?;
        let [of_weight, of_bias] = self.uses.each_ref().map(Option::as_ref);
        let fates = [Use::fate(of_weight), Use::fate(of_bias)];
        let want = |side| Want {
            weight: fates[0] != Fate::Skip,
            side: x.track_op().then_some(side),
        };
        let back = |g: &[f32]| {
            with_values(x, |x| {
                with_values(weight, |weight| {
                    let (wide, narrow, side) = if self.transposed {
                        (g, x, Side::Narrow)
                    } else {
                        (x, g, Side::Wide)
                    };
                    Ok(self.sides.back(wide, narrow, weight, want(side)))
                })
            })
        };
        let (gb, gradients) = {
            // The gradient before the activation, in the place of that behind it.
            let mut g = own(grad)?;
            let gb = if self.act == Act::None {
                act::sums(&g, self.outputs)
            } else {
                graph::recall(y)?;
                with_values(y, |y| Ok(self.act.back(&mut g, y, self.outputs)))?
            };
            backward::done(y);
            (gb, back(&g)?)
        };
        let tensor =
            |values: Vec<f32>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        let gx = gradients.side.map(|gx| tensor(gx, x)).transpose()?;
        // From here on nothing reads weight or bias.
        let settle = |fate, of: Option<&Use>, grad: Option<Buffer>, like: &Tensor| {
            let Some(grad) = grad else { return Ok(None) };
            match (fate, of) {
                (Fate::Skip, _) => Ok(None),
                (Fate::Give, Some(of)) => of.give(grad).map(|()| None),
                (Fate::Give | Fate::Return, _) => tensor(grad.to_vec(), like).map(Some),
            }
        };
        let gw = settle(fates[0], of_weight, gradients.weight, weight)?;
        let gb = settle(fates[1], of_bias, Some(gb.into()), bias)?;
        Ok((gx, gw, gb))
    }
}
