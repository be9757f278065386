//! For tests on a GPU.

use std::sync::OnceLock;

use candle_core::Device;

use crate::nn::device::within;

/// What `f` gives with its tensors on the first GPU. There is one handle of
/// it in a process: tensors of two do not mix.
pub(crate) fn on_gpu<T>(f: impl FnOnce() -> T) -> T {
    static GPU: OnceLock<Device> = OnceLock::new();
    let gpu = GPU.get_or_init(|| Device::new_cuda(0).expect("a CUDA GPU and its driver"));
    within::run(gpu.clone(), f)
}
