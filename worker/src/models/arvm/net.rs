//! The network of γ-ARVM: an MLP from a context to a histogram over the
//! codebook.
//!
//! Input: for each slot the NoD bits as ±1 and a flag 1 (off the grid: all
//! zeros), then the site one-hot if sites have conditionals of their own.
//! Output: `[contexts, K]` logits. Under the chain of bits the input ends with
//! the token's bits so far as ±1 and 0, and a flag for each; the output is
//! `[contexts, 2]`, for the next bit.

use candle_core::{Result, Tensor};

use super::book::Book;
use super::chain::Asked;
use super::file::Arch;
use super::window::PAD;
use crate::data::tokens::signs;
use crate::nn::device::device;
use crate::nn::layer::{Act, Kind, Layer, Plan, linear};

/// Layers of the network of an architecture.
pub(crate) fn plans(arch: &Arch) -> Vec<Plan> {
    let widths = arch.hidden.iter().map(|width| (*width, Act::Relu));
    let widths = widths.chain([(arch.outputs(), Act::None)]);
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

/// What the network is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) site: usize,
    pub(crate) context: &'a [i32],
    /// Of the chain of bits.
    pub(crate) bit: Option<Asked>,
}

/// Features of questions, `[questions, features]`.
///
/// # Errors
/// None is expected.
pub(crate) fn features<'a>(
    arch: &Arch,
    book: &Book<'_>,
    questions: impl ExactSizeIterator<Item = Question<'a>>,
) -> Result<Tensor> {
    let (n, width) = (questions.len(), arch.features());
    let mut data = Vec::with_capacity(n * width);
    for Question { site, context, bit } in questions {
        for id in context {
            if *id == PAD {
                data.resize(data.len() + arch.bits + 1, 0.0);
            } else {
                data.extend(signs(book.token(*id), arch.bits));
                data.push(1.0);
            }
        }
        if arch.per_site() {
            let sites = arch.side * arch.side;
            data.extend((0..sites).map(|s| if s == site { 1.0 } else { 0.0 }));
        }
        if let Some(asked) = bit {
            let flag = |bit| if asked.knows(bit) { 1.0 } else { 0.0 };
            let values = signs(asked.token, arch.bits).enumerate();
            data.extend(values.map(|(bit, sign)| sign * flag(bit)));
            data.extend((0..arch.bits).map(flag));
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
