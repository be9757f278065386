//! The GPUs of this machine: which there are, which of them a runner has, and
//! what their errors mean.
//!
//! A GPU is known by its UUID. A worker lists those that the CUDA driver
//! shows it; each runner is shown one, as its only one.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
pub(crate) mod monitor;

use std::any::Any;

use ablate_proto::failure::FailureClass;
use serde::{Deserialize, Serialize};

/// The variable by which CUDA is told which GPUs there are.
pub const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// What tasks shall be computed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceChoice {
    /// GPUs if there are any, else the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// As NVML and `nvidia-smi -L` write it: `GPU-…`.
    pub uuid: String,
    pub name: String,
    pub bytes: u64,
}

/// Why there is no GPU to compute on, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoGpu {
    #[error(
        "this build of ablate has no CUDA: build it with `cargo build --release --features cuda` \
         on a machine with the CUDA toolkit, or compute with --device cpu"
    )]
    NotBuilt,
    #[error(
        "the CUDA driver cannot be used ({0}): install NVIDIA's driver of release 580 or newer, \
         until `nvidia-smi` lists a GPU, or compute with --device cpu"
    )]
    Driver(String),
    #[error(
        "the CUDA driver shows no GPU: check `nvidia-smi` and the variable CUDA_VISIBLE_DEVICES, \
         or compute with --device cpu"
    )]
    NotFound,
}

/// The GPUs to compute on; none means the CPU, and if the choice was left
/// open, the log says why.
///
/// # Errors
/// When GPUs are asked for and there are none.
pub fn find(choice: DeviceChoice) -> Result<Vec<Gpu>, NoGpu> {
    if choice == DeviceChoice::Cpu {
        return Ok(Vec::new());
    }
    match visible() {
        Ok(gpus) => Ok(gpus),
        Err(why) if choice == DeviceChoice::Auto => {
            tracing::info!("computing on the CPU: {why}");
            Ok(Vec::new())
        }
        Err(why) => Err(why),
    }
}

/// At least one GPU.
#[cfg(feature = "cuda")]
fn visible() -> Result<Vec<Gpu>, NoGpu> {
    cuda::visible()
}

#[cfg(not(feature = "cuda"))]
fn visible() -> Result<Vec<Gpu>, NoGpu> {
    Err(NoGpu::NotBuilt)
}

/// Makes the GPU of this UUID, the first that this process is shown, the
/// device of the process; says what it is.
///
/// # Errors
/// A sentence, when it is not there or cannot be opened.
#[cfg(feature = "cuda")]
pub(crate) fn open(uuid: &str) -> Result<String, String> {
    cuda::open(uuid)
}

#[cfg(not(feature = "cuda"))]
pub(crate) fn open(_: &str) -> Result<String, String> {
    Err(NoGpu::NotBuilt.to_string())
}

/// The class of an error that a GPU is to blame for: out of memory, or an
/// error that spoils the process's CUDA context, so that the task must go to
/// another process.
pub(crate) fn class(error: &dyn Any) -> Option<FailureClass> {
    #[cfg(feature = "cuda")]
    if let Some(error) = error.downcast_ref::<candle_core::Error>() {
        return cuda::class(error);
    }
    let _ = error;
    None
}

/// Whether a runner that ended a task so may take another one.
pub(crate) fn spoils(class: FailureClass) -> bool {
    matches!(class, FailureClass::OutOfMemory | FailureClass::Lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_never_refused() {
        assert_eq!(find(DeviceChoice::Cpu), Ok(Vec::new()));
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_refuses_gpus_and_falls_back() {
        assert_eq!(find(DeviceChoice::Auto), Ok(Vec::new()));
        assert_eq!(find(DeviceChoice::Cuda), Err(NoGpu::NotBuilt));
        let said = NoGpu::NotBuilt.to_string();
        assert!(said.contains("--features cuda") && said.contains("--device cpu"));
        assert_eq!(open("GPU-0"), Err(said));
        assert_eq!(class(&candle_core::Error::Msg("x".to_owned())), None);
    }
}
