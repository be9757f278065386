//! GPUs through the CUDA driver.

use ablate_proto::failure::FailureClass;
use candle_core::backend::BackendDevice as _;
use candle_core::cuda_backend::CudaError;
use candle_core::cuda_backend::cudarc::cublas::sys::cublasStatus_t;
use candle_core::cuda_backend::cudarc::driver::result::{self, DriverError};
use candle_core::cuda_backend::cudarc::driver::sys::{CUresult, CUuuid};
use candle_core::{CudaDevice, Device, Error};

use super::{Gpu, NoGpu};
use crate::nn::device;

pub(super) fn visible() -> Result<Vec<Gpu>, NoGpu> {
    let driver = |error: DriverError| match error.0 {
        CUresult::CUDA_ERROR_NO_DEVICE => NoGpu::NotFound,
        _ => NoGpu::Driver(error.to_string()),
    };
    result::init().map_err(driver)?;
    let count = result::device::get_count().map_err(driver)?;
    let gpus: Vec<Gpu> = (0..count)
        .map(gpu)
        .collect::<Result<_, _>>()
        .map_err(driver)?;
    if gpus.is_empty() {
        return Err(NoGpu::NotFound);
    }
    Ok(gpus)
}

#[expect(unsafe_code, reason = "the driver's own function")]
fn gpu(ordinal: i32) -> Result<Gpu, DriverError> {
    let device = result::device::get(ordinal)?;
    // SAFETY: the handle came from the driver just now.
    let bytes = unsafe { result::device::total_mem(device) }?;
    Ok(Gpu {
        uuid: text(result::device::get_uuid(device)?),
        name: result::device::get_name(device)?,
        bytes: bytes as u64,
    })
}

/// As NVML writes it.
fn text(uuid: CUuuid) -> String {
    let bytes = uuid.bytes.map(|byte| byte.cast_unsigned());
    format!("GPU-{}", uuid::Uuid::from_bytes(bytes).hyphenated())
}

pub(super) fn open(uuid: &str) -> Result<String, String> {
    let gpus = visible().map_err(|why| why.to_string())?;
    let Some(gpu) = gpus.first().filter(|gpu| gpu.uuid == uuid) else {
        return Err(format!(
            "the GPU {uuid} is not the first that the driver shows, which is {}",
            gpus.first().map_or("none", |gpu| &gpu.uuid)
        ));
    };
    let cuda = CudaDevice::new(0).map_err(|e| format!("opening the GPU {uuid}: {e}"))?;
    if !device::choose(Device::Cuda(cuda)) {
        return Err("this process computes on another device already".to_owned());
    }
    let gib = gpu.bytes >> 30;
    Ok(format!("{} {gib} GiB ({uuid})", gpu.name))
}

pub(super) fn class(error: &Error) -> Option<FailureClass> {
    match error {
        Error::Context { inner, .. }
        | Error::WithPath { inner, .. }
        | Error::WithBacktrace { inner, .. } => class(inner),
        Error::Cuda(error) => error.downcast_ref::<CudaError>().and_then(of),
        _ => None,
    }
}

/// `None` for what is wrong in the program.
fn of(error: &CudaError) -> Option<FailureClass> {
    let full = match error {
        CudaError::Cuda(error) | CudaError::Load { cuda: error, .. } => {
            error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY
        }
        CudaError::Cublas(error) => error.0 == cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED,
        CudaError::Curand(_) => false,
        _ => return None,
    };
    Some(if full {
        FailureClass::OutOfMemory
    } else {
        FailureClass::Lost
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_class_of_their_cause() {
        let cuda = |code| Error::from(CudaError::Cuda(DriverError(code)));
        let full = cuda(CUresult::CUDA_ERROR_OUT_OF_MEMORY)
            .bt()
            .context("adding");
        assert_eq!(class(&full), Some(FailureClass::OutOfMemory));
        let sticky = cuda(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        assert_eq!(class(&sticky), Some(FailureClass::Lost));
        let ours = Error::from(CudaError::InternalError("dtype mismatch"));
        assert_eq!(class(&ours), None);
        assert_eq!(class(&Error::Msg("out of memory".to_owned())), None);
        let any: &dyn std::any::Any = &full;
        assert_eq!(crate::devices::class(any), Some(FailureClass::OutOfMemory));
    }

    #[test]
    fn uuids_are_written_as_nvml_does() {
        let mut bytes = [0; 16];
        (bytes[0], bytes[15]) = (-1, 16);
        let expected = "GPU-ff000000-0000-0000-0000-000000000010";
        assert_eq!(text(CUuuid { bytes }), expected);
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn gpu_is_listed_by_the_driver_and_by_nvml() {
        let gpus = visible().unwrap();
        let nvml = nvml_wrapper::Nvml::init().unwrap();
        for gpu in gpus {
            let device = nvml.device_by_uuid(gpu.uuid).unwrap();
            assert_eq!(device.name().unwrap(), gpu.name);
        }
    }
}
