//! Launches of the few kernels of our own (`kernels.cu`). All else that a GPU
//! computes is candle's and cuBLAS's.

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::WrapErr as _;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaStream, CudaView, CudaViewMut, LaunchArgs, LaunchConfig, PushKernelArg as _,
};
use candle_core::{CudaDevice, CudaStorage, Layout, Result, Shape, bail};

use super::composed::Patches;

mod ptx {
    #![expect(unreachable_pub, reason = "written by the build script")]
    include!(concat!(env!("OUT_DIR"), "/ptx.rs"));
}

const THREADS: u32 = 256;
/// Threads take several elements where this is not enough.
const BLOCKS: u32 = 1 << 16;

/// What indices in kernels can count.
const MOST: usize = i32::MAX as usize;

/// A kernel, and the stream that candle works in.
struct Kernel {
    function: CudaFunction,
    stream: Arc<CudaStream>,
}

impl Kernel {
    fn load(device: &CudaDevice, name: &str) -> Result<Self> {
        let function = device.get_or_load_custom_func(name, "ablate", ptx::KERNELS)?;
        Ok(Self {
            function: function.into_cuda_function(),
            stream: device.cuda_stream(),
        })
    }

    fn arguments(&self) -> LaunchArgs<'_> {
        self.stream.launch_builder(&self.function)
    }
}

fn count(elements: usize) -> Result<u32> {
    match u32::try_from(elements) {
        Ok(count) if elements <= MOST => Ok(count),
        _ => bail!("{elements} elements are too many for a kernel: use smaller batches"),
    }
}

/// # Safety
/// The arguments are those of the kernel, and its pointers lead to as many
/// elements as it is told.
#[expect(unsafe_code, reason = "a kernel is a foreign function")]
unsafe fn launch(mut kernel: LaunchArgs<'_>, elements: u32) -> Result<()> {
    let config = LaunchConfig {
        grid_dim: (elements.div_ceil(THREADS).clamp(1, BLOCKS), 1, 1),
        block_dim: (THREADS, 1, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: as the caller promises.
    unsafe { kernel.launch(config) }.w().map(drop)
}

/// The values of a contiguous f32 tensor.
fn view<'a>(storage: &'a CudaStorage, layout: &Layout) -> Result<CudaView<'a, f32>> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("kernels take contiguous tensors");
    };
    Ok(storage.as_cuda_slice::<f32>()?.slice(start..end))
}

fn view_mut<'a>(storage: &'a mut CudaStorage, layout: &Layout) -> Result<CudaViewMut<'a, f32>> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("kernels take contiguous tensors");
    };
    Ok(storage.as_cuda_slice_mut::<f32>()?.slice_mut(start..end))
}

/// im2col or col2im.
#[expect(unsafe_code, reason = "memory of a GPU and a kernel")]
pub(super) fn patches(
    op: &Patches,
    x: &CudaStorage,
    layout: &Layout,
) -> Result<(CudaStorage, Shape)> {
    op.check(layout)?;
    let [_, shape] = op.shapes();
    let device = x.device();
    let unfold = &op.unfold;
    // Fours of channels, where all rows begin at one.
    let width = unfold.channels / unfold.groups.max(1);
    let fours = width.is_multiple_of(4) && layout.start_offset().is_multiple_of(4);
    let per = if fours { 4 } else { 1 };
    let mut geometry = [0u32; 15];
    for (to, size) in geometry.iter_mut().zip(op.geometry(per)) {
        *to = count(size)?;
    }
    let elements = count(shape.elem_count() / per)?;
    count(layout.shape().elem_count() / per)?;
    let name = match (op.back, fours) {
        (false, false) => "im2col_1",
        (false, true) => "im2col_4",
        (true, false) => "col2im_1",
        (true, true) => "col2im_4",
    };
    let kernel = Kernel::load(device, name)?;
    // SAFETY: the kernel writes every element before anything reads it.
    let out = unsafe { device.alloc::<f32>(shape.elem_count()) }?;
    let x = view(x, layout)?;
    let mut arguments = kernel.arguments();
    arguments.arg(&geometry).arg(&elements).arg(&x).arg(&out);
    // SAFETY: `geometry` is laid out as the kernel's `Geometry`, of numbers
    // alone; input and output have the sizes that follow from it.
    unsafe { launch(arguments, elements) }?;
    Ok((CudaStorage::wrap_cuda_slice(out, device.clone()), shape))
}

/// Moves Adam's moments, `[2, n]`, by a gradient, `[n]`.
#[expect(unsafe_code, reason = "a kernel")]
pub(super) fn adam_moments(
    [[b1, n1], [b2, n2]]: [[f32; 2]; 2],
    (moments, moments_layout): (&mut CudaStorage, &Layout),
    (grad, grad_layout): (&CudaStorage, &Layout),
) -> Result<()> {
    let n = count(grad_layout.shape().elem_count())?;
    let kernel = Kernel::load(moments.device(), "adam_moments")?;
    let (mut moments, grad) = (view_mut(moments, moments_layout)?, view(grad, grad_layout)?);
    let mut arguments = kernel.arguments();
    arguments
        .arg(&n)
        .arg(&b1)
        .arg(&n1)
        .arg(&b2)
        .arg(&n2)
        .arg(&mut moments)
        .arg(&grad);
    // SAFETY: there are 2n moments for n gradients: the caller checked.
    unsafe { launch(arguments, n) }
}

/// Adam's step: rate, root of the second correction, what weight decay keeps,
/// and epsilon.
#[expect(unsafe_code, reason = "a kernel")]
pub(super) fn adam_step(
    [rate, root, kept, epsilon]: [f32; 4],
    (parameter, parameter_layout): (&mut CudaStorage, &Layout),
    (moments, moments_layout): (&CudaStorage, &Layout),
) -> Result<()> {
    let n = count(parameter_layout.shape().elem_count())?;
    let kernel = Kernel::load(moments.device(), "adam_step")?;
    let (mut parameter, moments) = (
        view_mut(parameter, parameter_layout)?,
        view(moments, moments_layout)?,
    );
    let mut arguments = kernel.arguments();
    arguments
        .arg(&n)
        .arg(&rate)
        .arg(&root)
        .arg(&kept)
        .arg(&epsilon);
    arguments.arg(&mut parameter).arg(&moments);
    // SAFETY: there are 2n moments for n values: the caller checked.
    unsafe { launch(arguments, n) }
}

/// average += share·(value − average).
#[expect(unsafe_code, reason = "a kernel")]
pub(super) fn follow(
    share: f32,
    (average, average_layout): (&mut CudaStorage, &Layout),
    (value, value_layout): (&CudaStorage, &Layout),
) -> Result<()> {
    let n = count(average_layout.shape().elem_count())?;
    let kernel = Kernel::load(value.device(), "follow")?;
    let (mut average, value) = (
        view_mut(average, average_layout)?,
        view(value, value_layout)?,
    );
    let mut arguments = kernel.arguments();
    arguments.arg(&n).arg(&share).arg(&mut average).arg(&value);
    // SAFETY: both have n values: the caller checked.
    unsafe { launch(arguments, n) }
}
