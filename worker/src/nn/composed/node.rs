//! A function of tensors as one node of candle's graph: its value is computed
//! outside of the graph, and its gradient by a function of tensors, so that
//! the graph keeps nothing in between.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage as _;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Storage, Tensor, Var,
    bail,
};

/// From the arguments, the value and its gradient: those of the arguments.
pub(super) trait Back<const N: usize>:
    Fn([&Tensor; N], &Tensor, &Tensor) -> Result<[Option<Tensor>; N]> + Send + Sync + 'static
{
}

impl<const N: usize, F> Back<N> for F where
    F: Fn([&Tensor; N], &Tensor, &Tensor) -> Result<[Option<Tensor>; N]> + Send + Sync + 'static
{
}

struct Node<B> {
    name: &'static str,
    /// Taken by the forward pass.
    value: Mutex<Option<Tensor>>,
    back: B,
}

impl<B> Node<B> {
    fn new(name: &'static str, value: &Tensor, back: B) -> Result<Self> {
        Ok(Self {
            name,
            value: Mutex::new(Some(value.detach().contiguous()?)),
            back,
        })
    }

    fn take<T>(&self, storage: impl FnOnce(&Storage, &Layout) -> Result<T>) -> Result<(T, Shape)> {
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = { value }.take() else {
            bail!("{} runs once", self.name);
        };
        let (held, layout) = value.storage_and_layout();
        if layout.start_offset() != 0 {
            bail!("the value of {} is part of another", self.name);
        }
        Ok((storage(&held, layout)?, layout.shape().clone()))
    }

    fn cpu(&self) -> Result<(CpuStorage, Shape)> {
        self.take(|storage, layout| match storage {
            Storage::Cpu(storage) => storage.try_clone(layout),
            _ => bail!("the value of {} is not on the CPU", self.name),
        })
    }

    fn cuda(&self) -> Result<(CudaStorage, Shape)> {
        self.take(|storage, layout| match storage {
            Storage::Cuda(storage) => storage.try_clone(layout),
            _ => bail!("the value of {} is not on the GPU", self.name),
        })
    }
}

impl<B: Back<1>> CustomOp1 for Node<B> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.cuda()
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [gx] = (self.back)([x], &y.detach(), &grad.contiguous()?)?;
        Ok(gx)
    }
}

impl<B: Back<3>> CustomOp3 for Node<B> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.cuda()
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [gx, gw, gb] = (self.back)([x, weight, bias], &y.detach(), &grad.contiguous()?)?;
        Ok((gx, gw, gb))
    }
}

/// `value`, a function of `x`, with its gradient. Without anything to train
/// there is no node.
pub(super) fn one(
    name: &'static str,
    x: &Tensor,
    value: Tensor,
    back: impl Back<1>,
) -> Result<Tensor> {
    if !x.track_op() {
        return Ok(value);
    }
    x.apply_op1(Node::new(name, &value, back)?)
}

/// The same for a function of three tensors: input, weight and bias.
pub(super) fn three(
    name: &'static str,
    args: [&Tensor; 3],
    value: Tensor,
    back: impl Back<3>,
) -> Result<Tensor> {
    if args.iter().all(|arg| !arg.track_op()) {
        return Ok(value);
    }
    let [x, weight, bias] = args;
    x.apply_op3(weight, bias, Node::new(name, &value, back)?)
}

/// The gradients that candle derives of `f`, which is computed again for them.
fn derive<const N: usize>(
    f: &impl Fn([&Tensor; N]) -> Result<Tensor>,
    args: [&Tensor; N],
    grad: &Tensor,
) -> Result<[Option<Tensor>; N]> {
    let mut vars = Vec::with_capacity(N);
    for arg in args {
        vars.push(Var::from_tensor(arg)?);
    }
    let vars: [Var; N] = match vars.try_into() {
        Ok(vars) => vars,
        Err(_) => bail!("there is a variable for each argument"),
    };
    let value = f(vars.each_ref().map(Var::as_tensor))?;
    let mut grads = (value * grad)?.sum_all()?.backward()?;
    Ok(vars.each_ref().map(|var| grads.remove(var)))
}

/// A function whose gradient candle derives, and of which the graph keeps the
/// arguments alone.
pub(super) fn derived_one(
    name: &'static str,
    x: &Tensor,
    f: impl Fn([&Tensor; 1]) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    let value = f([&x.detach()])?;
    one(name, x, value, move |args, _, grad| derive(&f, args, grad))
}

/// The same for a function of three tensors.
pub(super) fn derived_three(
    name: &'static str,
    args: [&Tensor; 3],
    f: impl Fn([&Tensor; 3]) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    let detached = args.map(Tensor::detach);
    let value = f(detached.each_ref())?;
    three(name, args, value, move |args, _, grad| {
        derive(&f, args, grad)
    })
}
