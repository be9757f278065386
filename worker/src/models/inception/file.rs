//! The network's tensors as PyTorch's files have them, and what becomes of
//! them: a convolution without bias and the batch norm behind it are one
//! convolution with a bias.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, bail};

use super::blocks::{Step, blocks};
use super::{CLASSES, FEATURES};
use crate::nn::device::device;
use crate::nn::layer::{Act, Kind, Layer, Plan};
use crate::nn::narrow;
use crate::nn::params::Values;

/// Of the batch norms.
const EPSILON: f64 = 1e-3;

/// Names and shapes of all tensors, from the image to the classes.
pub(crate) fn expected() -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    for step in blocks().iter().flat_map(|b| &b.branches).flatten() {
        match step {
            Step::Conv(plan) => tensors(plan, &mut all),
            Step::Both(a, b) => [a, b].into_iter().for_each(|plan| tensors(plan, &mut all)),
            Step::Average | Step::Maximum { .. } => {}
        }
    }
    all.push(("fc.weight".to_owned(), vec![CLASSES, FEATURES]));
    all.push(("fc.bias".to_owned(), vec![CLASSES]));
    all
}

fn tensors(plan: &Plan, all: &mut Vec<(String, Vec<usize>)>) {
    let [h, w] = kernel(plan);
    let weight = vec![plan.outputs, plan.inputs, h, w];
    all.push((format!("{}.conv.weight", plan.name), weight));
    for part in ["weight", "bias", "running_mean", "running_var"] {
        all.push((format!("{}.bn.{part}", plan.name), vec![plan.outputs]));
    }
}

fn kernel(plan: &Plan) -> [usize; 2] {
    match plan.kind {
        Kind::Linear => [1, 1],
        Kind::Conv(window) | Kind::Transposed(window) => window.kernel,
    }
}

/// The convolution with what its batch norm does: w·s and β − μ·s, where
/// s = γ/√(var + ε).
///
/// # Errors
/// When a tensor is missing.
pub(crate) fn fold(plan: Plan, values: &mut BTreeMap<String, Values>) -> Result<Layer> {
    let name = plan.name.clone();
    let weight = take(values, &format!("{name}.conv.weight"))?;
    let mut part = |part| take(values, &format!("{name}.bn.{part}"));
    let (gain, shift) = (part("weight")?, part("bias")?);
    let (mean, variance) = (part("running_mean")?, part("running_var")?);
    let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let scale: Vec<f64> = wide(&gain)
        .into_iter()
        .zip(wide(&variance))
        .map(|(gain, variance)| gain / (variance + EPSILON).sqrt())
        .collect();
    let moved = wide(&shift).into_iter().zip(wide(&mean)).zip(&scale);
    let bias: Vec<f32> = moved.map(|((b, m), s)| narrow(b - m * s)).collect();
    let [h, w] = kernel(&plan);
    let (inputs, outputs, taps) = (plan.inputs, plan.outputs, h * w);
    // [out, in, kh, kw] → [kh, kw, in, out]
    let mut turned = vec![0.0; weight.len()];
    for (out, (weight, scale)) in weight.chunks_exact(inputs * taps).zip(&scale).enumerate() {
        for (input, weight) in weight.chunks_exact(taps).enumerate() {
            for (tap, weight) in weight.iter().enumerate() {
                let at = (tap * inputs + input) * outputs + out;
                turned[at] = narrow(f64::from(*weight) * scale);
            }
        }
    }
    layer(plan, turned, bias)
}

/// The last layer, without its bias.
///
/// # Errors
/// When it is missing.
pub(super) fn classes(values: &mut BTreeMap<String, Values>) -> Result<Layer> {
    let weight = take(values, "fc.weight")?;
    let mut turned = vec![0.0; weight.len()];
    for (class, weight) in weight.chunks_exact(FEATURES).enumerate() {
        for (feature, weight) in weight.iter().enumerate() {
            turned[feature * CLASSES + class] = *weight;
        }
    }
    let plan = Plan {
        name: "fc".to_owned(),
        kind: Kind::Linear,
        inputs: FEATURES,
        outputs: CLASSES,
        act: Act::None,
    };
    layer(plan, turned, vec![0.0; CLASSES])
}

fn layer(plan: Plan, weight: Vec<f32>, bias: Vec<f32>) -> Result<Layer> {
    Ok(Layer {
        weight: Tensor::from_vec(weight, plan.weight_shape(), &device())?,
        bias: Tensor::from_vec(bias, plan.outputs, &device())?,
        plan,
    })
}

fn take(values: &mut BTreeMap<String, Values>, name: &str) -> Result<Vec<f32>> {
    match values.remove(name) {
        Some(values) => Ok(values.data),
        None => bail!("no tensor {name}"),
    }
}
