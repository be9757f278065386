//! The layers on a GPU: compositions of candle's tensor operations, whose
//! matrix products are cuBLAS's, and of a few kernels where candle has none
//! that fits (`cuda/`). On the CPU each layer is one fused op instead.
//!
//! Nothing here knows the device: the tests run the same compositions on the
//! CPU, against PyTorch's gradients and against the fused ops. Each layer
//! asks [`wanted`] once, at its entry.

use candle_core::{Result, Tensor};

pub(super) mod activation;
pub(super) mod attention;
pub(super) mod conv;
pub(super) mod embedding;
pub(super) mod loss;
mod node;
pub(super) mod norm;
pub(super) mod optimiser;
mod patches;
#[cfg(feature = "cuda")]
pub(super) use patches::Patches;
pub(super) mod sites;

/// Elements that a temporary matrix may take: 256 MiB of f32. What needs more
/// is done in parts; tests do that with little.
const TEMPORARY: usize = if cfg!(test) { 1 << 10 } else { 1 << 26 };

/// Whether a layer's input wants a composition rather than a fused op.
pub(super) fn wanted(x: &Tensor) -> bool {
    #[cfg(test)]
    if forced::on() {
        return true;
    }
    !x.device().is_cpu()
}

/// Sums over rows: `[rows, c]` → `[1, c]`. A product with ones reads rows
/// side by side, which candle's reduction over the first axis does not.
fn column_sums(x: &Tensor) -> Result<Tensor> {
    let ones = Tensor::ones((1, x.dim(0)?), x.dtype(), x.device())?;
    ones.matmul(x)
}

/// 1 where `x` is above zero, else 0; a NaN is not.
fn above_zero(x: &Tensor) -> Result<Tensor> {
    x.detach().gt(0f32)?.to_dtype(x.dtype())
}

/// For tests: compositions on the CPU.
#[cfg(test)]
pub(crate) mod forced {
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn on() -> bool {
        ON.get()
    }

    /// What `f` gives when this thread's layers are composed.
    pub(crate) fn run<T>(f: impl FnOnce() -> T) -> T {
        ON.set(true);
        let value = f();
        ON.set(false);
        value
    }
}
