//! The graph of the ops of this module, kept beside candle's, and the way back
//! through it: candle adds each gradient to fresh zeros, so that the widest is
//! there three times. Here the first part of a gradient is the sum, others are
//! added in its place, and an op may overwrite the gradient of its output.
//!
//! Nodes come in candle's order: the sums are the same. A graph that candle's
//! own ops are part of goes back candle's way.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor, TensorId,
    bail,
};
use rayon::prelude::*;

use super::layer::with_values;
use super::pieces::piece;
use super::reuse::{put, take};
use super::simd::wide;

enum Op {
    One(Box<dyn CustomOp1 + Send + Sync>),
    Two(Box<dyn CustomOp2 + Send + Sync>),
    Three(Box<dyn CustomOp3 + Send + Sync>),
}

/// An op with what entered it.
struct Node {
    op: Op,
    inputs: Vec<Tensor>,
    output: OnceLock<TensorId>,
}

/// Nodes by what came out; candle's graph owns them.
static NODES: LazyLock<Mutex<HashMap<TensorId, Weak<Node>>>> = LazyLock::new(Mutex::default);

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(output) = self.output.get() {
            let mut nodes = NODES.lock().unwrap_or_else(PoisonError::into_inner);
            nodes.remove(output);
        }
    }
}

impl Node {
    fn of(output: &Tensor) -> Option<Arc<Self>> {
        let nodes = NODES.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.get(&output.id()).and_then(Weak::upgrade)
    }

    fn new(op: Op, inputs: &[&Tensor]) -> Arc<Self> {
        Arc::new(Self {
            op,
            inputs: inputs.iter().map(|x| (*x).clone()).collect(),
            output: OnceLock::new(),
        })
    }

    /// Notes what came out, if something can go back through it.
    fn came(self: &Arc<Self>, output: Tensor) -> Tensor {
        if output.track_op() {
            let id = self.output.get_or_init(|| output.id());
            let mut nodes = NODES.lock().unwrap_or_else(PoisonError::into_inner);
            nodes.insert(*id, Arc::downgrade(self));
        }
        output
    }

    /// What came out, computed again; with the values of the inputs, which are
    /// computed again themselves where they were forgotten.
    fn again(&self) -> Result<Vec<f32>> {
        let forgotten: Vec<&Tensor> = self.inputs.iter().filter(|x| !is_there(x)).collect();
        for input in &forgotten {
            recall(input)?;
        }
        let guards: Vec<_> = self.inputs.iter().map(Tensor::storage_and_layout).collect();
        let mut inputs = Vec::with_capacity(guards.len());
        for (storage, layout) in &guards {
            let Storage::Cpu(storage) = &**storage else {
                bail!("layers run on the CPU");
            };
            inputs.push((storage, *layout));
        }
        let (values, _) = match (&self.op, &inputs[..]) {
            (Op::One(op), [(x, lx)]) => op.cpu_fwd(x, lx)?,
            (Op::Two(op), [(x, lx), (y, ly)]) => op.cpu_fwd(x, lx, y, ly)?,
            (Op::Three(op), [(x, lx), (y, ly), (z, lz)]) => op.cpu_fwd(x, lx, y, ly, z, lz)?,
            _ => bail!("an op with {} inputs", self.inputs.len()),
        };
        drop(inputs);
        drop(guards);
        for input in forgotten {
            // The same may have entered twice.
            if is_there(input) {
                drop(take(input)?);
            }
        }
        match values {
            CpuStorage::F32(values) => Ok(values),
            _ => bail!("only values of f32 are computed again"),
        }
    }

    /// Gradients of the inputs.
    fn back(&self, output: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        Ok(match (&self.op, &self.inputs[..]) {
            (Op::One(op), [x]) => vec![op.bwd(x, output, grad)?],
            (Op::Two(op), [x, y]) => {
                let (x, y) = op.bwd(x, y, output, grad)?;
                vec![x, y]
            }
            (Op::Three(op), [x, y, z]) => {
                let (x, y, z) = op.bwd(x, y, z, output, grad)?;
                vec![x, y, z]
            }
            _ => bail!("an op with {} inputs", self.inputs.len()),
        })
    }
}

/// As candle's `apply_op1`.
pub(super) fn apply1<O: CustomOp1 + Send + Sync + 'static>(x: &Tensor, op: O) -> Result<Tensor> {
    let node = Node::new(Op::One(Box::new(op)), &[x]);
    let output = x.apply_op1(Shared(Arc::clone(&node)))?;
    Ok(node.came(output))
}

/// As candle's `apply_op2`.
pub(super) fn apply2<O: CustomOp2 + Send + Sync + 'static>(
    x: &Tensor,
    y: &Tensor,
    op: O,
) -> Result<Tensor> {
    let node = Node::new(Op::Two(Box::new(op)), &[x, y]);
    let output = x.apply_op2(y, Shared(Arc::clone(&node)))?;
    Ok(node.came(output))
}

/// As candle's `apply_op3`.
pub(super) fn apply3<O: CustomOp3 + Send + Sync + 'static>(
    x: &Tensor,
    y: &Tensor,
    z: &Tensor,
    op: O,
) -> Result<Tensor> {
    let node = Node::new(Op::Three(Box::new(op)), &[x, y, z]);
    let output = x.apply_op3(y, z, Shared(Arc::clone(&node)))?;
    Ok(node.came(output))
}

fn is_there(x: &Tensor) -> bool {
    with_values(x, |_| Ok(())).is_ok()
}

/// Frees what an op put out until its values are needed to go back: for what
/// costs little to compute again from inputs that are kept. Only layers may
/// read it (they bring it back), and their gradients come before its op's, so
/// that the parameters that it is computed again with are still the same.
///
/// # Errors
/// When it is a part of a larger tensor, or a parameter.
pub(crate) fn forget(output: &Tensor) -> Result<()> {
    if Node::of(output).is_some() {
        drop(take(output)?);
    }
    Ok(())
}

/// Brings back what was forgotten.
///
/// # Errors
/// When its values were given away for good.
pub(super) fn recall(output: &Tensor) -> Result<()> {
    if is_there(output) {
        return Ok(());
    }
    let Some(node) = Node::of(output) else {
        bail!("the values of a tensor were given away");
    };
    put(output, node.again()?)
}

/// Gradients of what a loss depends on.
pub(super) enum Gradients {
    Ours(HashMap<TensorId, Tensor>),
    Candles(GradStore),
}

impl Gradients {
    pub(super) fn remove(&mut self, tensor: &Tensor) -> Option<Tensor> {
        match self {
            Self::Ours(grads) => grads.remove(&tensor.id()),
            Self::Candles(grads) => grads.remove(tensor),
        }
    }
}

/// Goes back through the graph of a loss.
///
/// # Errors
/// When an op cannot be gone back through.
pub(super) fn backward(loss: &Tensor) -> Result<Gradients> {
    let sorted = loss.sorted_nodes();
    let mut nodes = Vec::with_capacity(sorted.len());
    for output in sorted {
        if output.is_variable() {
            continue;
        }
        let Some(node) = Node::of(output) else {
            return loss.backward().map(Gradients::Candles);
        };
        nodes.push((output, node));
    }
    let mut grads = HashMap::from([(loss.id(), loss.ones_like()?)]);
    for (output, node) in nodes {
        let Some(grad) = grads.remove(&output.id()) else {
            continue;
        };
        let parts = node.back(output, &grad)?;
        drop(grad);
        let mut given: Vec<TensorId> = Vec::with_capacity(parts.len());
        for (input, part) in node.inputs.iter().zip(parts) {
            let Some(part) = part.filter(|_| input.track_op()) else {
                continue;
            };
            match grads.entry(input.id()) {
                Entry::Vacant(entry) => {
                    // Two inputs may be given the same.
                    let same = given.contains(&part.id());
                    given.push(part.id());
                    entry.insert(if same { copy(&part)? } else { part });
                }
                Entry::Occupied(mut entry) => {
                    let part = if entry.get().id() == part.id() {
                        copy(&part)?
                    } else {
                        part
                    };
                    let sum = added(entry.get(), &part)?;
                    entry.insert(sum);
                }
            }
        }
    }
    Ok(Gradients::Ours(grads))
}

fn copy(x: &Tensor) -> Result<Tensor> {
    let values = with_values(x, |x| Ok(x.to_vec()))?;
    Tensor::from_vec(values, x.shape(), x.device())
}

/// x + y, in the place of x.
fn added(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let mut sum = take(x)?;
    with_values(y, |y| {
        if y.len() != sum.len() {
            bail!("gradients of {} and {} values", sum.len(), y.len());
        }
        let piece = piece(sum.len(), 1);
        let parts = sum.par_chunks_mut(piece).zip(y.par_chunks(piece));
        parts.for_each(|(sum, y)| {
            wide(
                #[inline(always)]
                || sum.iter_mut().zip(y).for_each(|(sum, y)| *sum += y),
            );
        });
        Ok(())
    })?;
    Tensor::from_vec(sum, x.shape(), x.device())
}

/// A node as candle's op.
struct Shared(Arc<Node>);

macro_rules! op {
    ($trait:ident, $kind:ident, $($arg:ident $storage:ident $layout:ident),+ => $grads:ty) => {
        impl $trait for Shared {
            fn name(&self) -> &'static str {
                match &self.0.op {
                    Op::One(op) => op.name(),
                    Op::Two(op) => op.name(),
                    Op::Three(op) => op.name(),
                }
            }

            fn cpu_fwd(
                &self,
                $($storage: &CpuStorage, $layout: &Layout),+
            ) -> Result<(CpuStorage, Shape)> {
                match &self.0.op {
                    Op::$kind(op) => op.cpu_fwd($($storage, $layout),+),
                    _ => bail!("an op with {} inputs", self.0.inputs.len()),
                }
            }

            fn bwd(&self, $($arg: &Tensor),+, output: &Tensor, grad: &Tensor) -> Result<$grads> {
                match &self.0.op {
                    Op::$kind(op) => op.bwd($($arg),+, output, grad),
                    _ => bail!("an op with {} inputs", self.0.inputs.len()),
                }
            }
        }
    };
}

op!(CustomOp1, One, x sx lx => Option<Tensor>);
op!(CustomOp2, Two, x sx lx, y sy ly => (Option<Tensor>, Option<Tensor>));
op!(CustomOp3, Three, x sx lx, y sy ly, z sz lz => (Option<Tensor>, Option<Tensor>, Option<Tensor>));

#[cfg(test)]
mod tests;
