//! A layer: (transposed or 1×1) convolution or linear map, bias and
//! activation, in one pass forward and one backward.
//!
//! candle's own convolutions run scalar loops on the CPU, and each edge of its
//! graph adds two passes over the gradient, so a layer is one op with its own
//! gradient. Rows are `[n·h·w, channels]`; weights lie as the products need
//! them: linear `[in, out]`, convolution `[k, k, in, out]`, transposed
//! convolution `[in, k, k, out]`. CPU and f32 only.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::gemm::{Matrix, product};
use super::unfold::Unfold;

/// Slope of the leaky ReLU below zero.
const SLOPE: f32 = 0.01;

/// Patches worked on at a time, in elements: about half a megabyte.
const WORKSPACE: usize = 1 << 17;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    None,
    Relu,
    LeakyRelu,
    Tanh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
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
        match self.kind {
            Kind::Linear => vec![inputs, outputs],
            Kind::Conv(Window { kernel, .. }) => vec![kernel, kernel, inputs, outputs],
            Kind::Transposed(Window { kernel, .. }) => vec![inputs, kernel, kernel, outputs],
        }
    }

    /// PyTorch's fan-in, whose inverse root bounds its default initialisation
    /// (of a transposed convolution it counts the outputs).
    pub(crate) fn fan_in(&self) -> usize {
        match self.kind {
            Kind::Linear => self.inputs,
            Kind::Conv(Window { kernel, .. }) => kernel * kernel * self.inputs,
            Kind::Transposed(Window { kernel, .. }) => kernel * kernel * self.outputs,
        }
    }

    pub(crate) fn parameters(&self) -> usize {
        self.weight_shape().iter().product::<usize>() + self.outputs
    }

    /// The side of what comes out for an input of side `side`.
    pub(crate) fn out_side(&self, side: usize) -> usize {
        match self.kind {
            Kind::Linear => side,
            Kind::Conv(w) => (side + 2 * w.padding - w.kernel) / w.stride + 1,
            Kind::Transposed(w) => (side - 1) * w.stride + w.kernel - 2 * w.padding,
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
    /// When the input has another number of channels than the layer.
    pub(crate) fn forward(&self, x: &Rows) -> Result<Rows> {
        let (h, w) = (self.plan.out_side(x.h), self.plan.out_side(x.w));
        let unfold = |window: Window, channels, (h, w), (out_h, out_w)| Unfold {
            h,
            w,
            channels,
            kernel: window.kernel,
            stride: window.stride,
            padding: window.padding,
            out_h,
            out_w,
        };
        let form = match self.plan.kind {
            Kind::Linear => Form::Linear,
            Kind::Conv(window) => Form::Conv(unfold(window, self.plan.inputs, (x.h, x.w), (h, w))),
            Kind::Transposed(window) => {
                Form::Transposed(unfold(window, self.plan.outputs, (h, w), (x.h, x.w)))
            }
        };
        let op = Fused {
            form,
            images: x.n,
            inputs: self.plan.inputs,
            outputs: self.plan.outputs,
            act: self.plan.act,
        };
        let data = x.data.apply_op3(&self.weight, &self.bias, op)?;
        Ok(Rows { data, n: x.n, h, w })
    }
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

#[derive(Debug, Clone, Copy)]
enum Form {
    Linear,
    /// The window slides over the input.
    Conv(Unfold),
    /// The window slides over the output.
    Transposed(Unfold),
}

struct Fused {
    form: Form,
    images: usize,
    inputs: usize,
    outputs: usize,
    act: Act,
}

impl Fused {
    /// Images per pass, so that patches stay in the cache. Fixed by shapes
    /// alone: results do not depend on the number of threads.
    fn group(&self, unfold: &Unfold) -> usize {
        (WORKSPACE / unfold.columns().max(1)).clamp(1, self.images.max(1))
    }

    fn forward(&self, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let mut y;
        match self.form {
            Form::Linear => {
                y = vec![0.0; self.images_rows(x) * self.outputs];
                let x = Matrix::new(x, self.images_rows(x), self.inputs);
                let w = Matrix::new(weight, self.inputs, self.outputs);
                product(&mut y, x, w, false);
            }
            Form::Conv(u) => {
                let (sites, patch) = (u.sites(), u.patch());
                y = vec![0.0; self.images * sites * self.outputs];
                let group = self.group(&u);
                let mut columns = vec![0.0; group * u.columns()];
                let w = Matrix::new(weight, patch, self.outputs);
                let xs = x.chunks(group * u.image());
                for (x, y) in xs.zip(y.chunks_mut(group * sites * self.outputs)) {
                    let columns = gather(&u, x, &mut columns);
                    let columns = Matrix::new(columns, columns.len() / patch, patch);
                    product(y, columns, w, false);
                }
            }
            Form::Transposed(u) => {
                let (sites, patch) = (u.sites(), u.patch());
                y = vec![0.0; self.images * u.image()];
                let group = self.group(&u);
                let mut columns = vec![0.0; group * u.columns()];
                let w = Matrix::new(weight, self.inputs, patch);
                let xs = x.chunks(group * sites * self.inputs);
                for (x, y) in xs.zip(y.chunks_mut(group * u.image())) {
                    let rows = x.len() / self.inputs;
                    let columns = &mut columns[..rows * patch];
                    product(columns, Matrix::new(x, rows, self.inputs), w, false);
                    scatter(&u, columns, y);
                }
            }
        }
        activate(&mut y, bias, self.act);
        y
    }

    /// Gradients of the input (if wanted), the weight and the bias, from the
    /// gradient `g` before bias and activation.
    fn backward(&self, x: &[f32], weight: &[f32], g: &[f32], want_x: bool) -> Gradients {
        let mut gw = vec![0.0; weight.len()];
        let mut gx = vec![0.0; if want_x { x.len() } else { 0 }];
        match self.form {
            Form::Linear => {
                let rows = self.images_rows(x);
                let g = Matrix::new(g, rows, self.outputs);
                product(&mut gw, Matrix::new(x, rows, self.inputs).t(), g, false);
                if want_x {
                    let w = Matrix::new(weight, self.inputs, self.outputs);
                    product(&mut gx, g, w.t(), false);
                }
            }
            Form::Conv(u) => {
                let (sites, patch) = (u.sites(), u.patch());
                let group = self.group(&u);
                let mut columns = vec![0.0; group * u.columns()];
                let w = Matrix::new(weight, patch, self.outputs);
                let mut gxs = gx.chunks_mut(group * u.image());
                let xs = x.chunks(group * u.image());
                for (x, g) in xs.zip(g.chunks(group * sites * self.outputs)) {
                    let rows = g.len() / self.outputs;
                    let g = Matrix::new(g, rows, self.outputs);
                    let patches = gather(&u, x, &mut columns);
                    product(&mut gw, Matrix::new(patches, rows, patch).t(), g, true);
                    if let Some(gx) = gxs.next() {
                        let columns = &mut columns[..rows * patch];
                        product(columns, g, w.t(), false);
                        scatter(&u, columns, gx);
                    }
                }
            }
            Form::Transposed(u) => {
                let (sites, patch) = (u.sites(), u.patch());
                let group = self.group(&u);
                let mut columns = vec![0.0; group * u.columns()];
                let w = Matrix::new(weight, self.inputs, patch);
                let mut gxs = gx.chunks_mut(group * sites * self.inputs);
                let xs = x.chunks(group * sites * self.inputs);
                for (x, g) in xs.zip(g.chunks(group * u.image())) {
                    let rows = x.len() / self.inputs;
                    let patches = gather(&u, g, &mut columns);
                    let patches = Matrix::new(patches, rows, patch);
                    product(
                        &mut gw,
                        Matrix::new(x, rows, self.inputs).t(),
                        patches,
                        true,
                    );
                    if let Some(gx) = gxs.next() {
                        product(gx, patches, w.t(), false);
                    }
                }
            }
        }
        let mut gb = vec![0.0; self.outputs];
        for row in g.chunks_exact(self.outputs) {
            for (sum, value) in gb.iter_mut().zip(row) {
                *sum += value;
            }
        }
        Gradients { gx, gw, gb }
    }

    fn images_rows(&self, x: &[f32]) -> usize {
        x.len() / self.inputs
    }

    fn shape(&self, x: &Layout) -> Result<Shape> {
        let (rows, channels) = x.shape().dims2()?;
        if channels != self.inputs {
            bail!("{channels} channels enter a layer of {}", self.inputs);
        }
        Ok(match self.form {
            Form::Linear => (rows, self.outputs),
            Form::Conv(u) => (self.images * u.sites(), self.outputs),
            Form::Transposed(u) => (self.images * u.h * u.w, self.outputs),
        }
        .into())
    }
}

struct Gradients {
    gx: Vec<f32>,
    gw: Vec<f32>,
    gb: Vec<f32>,
}

/// Patches of a group of images.
fn gather<'a>(u: &Unfold, images: &[f32], columns: &'a mut [f32]) -> &'a [f32] {
    let columns = &mut columns[..images.len() / u.image() * u.columns()];
    let each = images.chunks_exact(u.image());
    for (image, columns) in each.zip(columns.chunks_exact_mut(u.columns())) {
        u.gather(image, columns);
    }
    columns
}

fn scatter(u: &Unfold, columns: &[f32], images: &mut [f32]) {
    let each = images.chunks_exact_mut(u.image());
    for (image, columns) in each.zip(columns.chunks_exact(u.columns())) {
        u.scatter(columns, image);
    }
}

fn activate(y: &mut [f32], bias: &[f32], act: Act) {
    let each = |y: &mut [f32], f: fn(f32) -> f32| {
        for row in y.chunks_exact_mut(bias.len()) {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value = f(*value + bias);
            }
        }
    };
    match act {
        Act::None => each(y, |v| v),
        // Not `max`, which would turn a NaN into a zero.
        Act::Relu => each(y, |v| if v < 0.0 { 0.0 } else { v }),
        Act::LeakyRelu => each(y, |v| if v > 0.0 { v } else { SLOPE * v }),
        Act::Tanh => each(y, f32::tanh),
    }
}

/// The gradient before the activation, from its output `y`.
fn through_activation(grad: &[f32], y: &[f32], act: Act) -> Vec<f32> {
    let each = |f: fn(f32, f32) -> f32| grad.iter().zip(y).map(|(g, y)| f(*g, *y)).collect();
    match act {
        Act::None => grad.to_vec(),
        Act::Relu => each(|g, y| if y > 0.0 { g } else { 0.0 }),
        Act::LeakyRelu => each(|g, y| if y > 0.0 { g } else { SLOPE * g }),
        Act::Tanh => each(|g, y| g * (1.0 - y * y)),
    }
}

/// The values of a contiguous f32 tensor.
pub(super) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("a layer's tensors are contiguous");
    };
    Ok(&storage.as_slice::<f32>()?[start..end])
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
        let shape = self.shape(x_layout)?;
        let x = values(x, x_layout)?;
        let weight = values(weight, weight_layout)?;
        let y = self.forward(x, weight, values(bias, bias_layout)?);
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
        let want_x = x.track_op();
        let g = with_values(grad, |grad| {
            with_values(y, |y| Ok(through_activation(grad, y, self.act)))
        })?;
        let gradients = with_values(x, |x| {
            with_values(weight, |w| Ok(self.backward(x, w, &g, want_x)))
        })?;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        let gx = want_x.then(|| tensor(gradients.gx, x)).transpose()?;
        let gw = tensor(gradients.gw, weight)?;
        let gb = tensor(gradients.gb, bias)?;
        Ok((gx, Some(gw), Some(gb)))
    }
}
