//! The network of γ-ARVM: an MLP from a context to a histogram over the
//! codebook.
//!
//! Input: for each slot the NoD bits as ±1 and a flag 1 (off the grid: all
//! zeros), then the site one-hot if sites have conditionals of their own.
//! Output: `[contexts, K]` logits.

use candle_core::{Result, Tensor};

use super::file::Arch;
use super::window::PAD;
use crate::data::tokens::signs;
use crate::nn::device::device;
use crate::nn::layer::{Act, Kind, Layer, Plan, linear};

/// Layers of the network of an architecture.
pub(crate) fn plans(arch: &Arch) -> Vec<Plan> {
    let widths = arch.hidden.iter().map(|width| (*width, Act::Relu));
    let widths = widths.chain([(arch.codebook.len(), Act::None)]);
    let mut inputs = arch.features();
    let plan = |(index, (outputs, act)): (usize, (usize, Act))| {
        let plan = Plan {
            name: format!("net.{index}"),
            kind: Kind::Linear,
            inputs,
            outputs,
            act,
        };
        inputs = outputs;
        plan
    };
    widths.enumerate().map(plan).collect()
}

/// Features of contexts, `[contexts, features]`.
///
/// # Errors
/// None is expected.
pub(crate) fn features<'a>(
    arch: &Arch,
    contexts: impl ExactSizeIterator<Item = (usize, &'a [i32])>,
) -> Result<Tensor> {
    let (n, width) = (contexts.len(), arch.features());
    let mut data = Vec::with_capacity(n * width);
    for (site, context) in contexts {
        for id in context {
            if *id == PAD {
                data.resize(data.len() + arch.bits + 1, 0.0);
            } else {
                data.extend(signs(arch.codebook[id.unsigned_abs() as usize], arch.bits));
                data.push(1.0);
            }
        }
        if arch.per_site() {
            let sites = arch.side * arch.side;
            data.extend((0..sites).map(|s| if s == site { 1.0 } else { 0.0 }));
        }
    }
    Tensor::from_vec(data, (n, width), &device())
}

/// Logits of features.
///
/// # Errors
/// When the features are not the network's.
pub(crate) fn logits(layers: &[Layer], features: &Tensor) -> Result<Tensor> {
    layers
        .iter()
        .try_fold(features.clone(), |x, layer| linear(layer, &x))
}
