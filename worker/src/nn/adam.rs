//! Adam (Kingma and Ba), with decoupled weight decay if wanted (AdamW,
//! Loshchilov and Hutter), in one pass per parameter and with moments that can
//! be stored: candle's own cannot be resumed.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result, Tensor, Var, bail};

use rayon::prelude::*;

use super::backward::{self, Consumer};
use super::composed;
use super::narrow;
use super::params::Named;
use super::simd::wide;

const EPSILON: f32 = 1e-8;

/// What an optimiser is, beside its learning rate. The default is Adam's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Settings {
    /// Decay of the first and of the second moment.
    pub(crate) betas: [f64; 2],
    /// Each step takes this times the learning rate off a parameter, by its
    /// value; none is Adam.
    pub(crate) weight_decay: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            betas: [0.9, 0.999],
            weight_decay: 0.0,
        }
    }
}

/// Values updated at a time: a task.
const PART: usize = 1 << 15;

/// First and second moments of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub(crate) m: Vec<f32>,
    pub(crate) v: Vec<f32>,
}

pub(crate) struct Adam {
    settings: Settings,
    state: State,
}

/// The moments in the order of the parameters, where these are.
enum State {
    Host(Vec<Moments>),
    /// `[2, n]` each.
    Device(Vec<Tensor>),
}

impl Adam {
    #[cfg(test)]
    pub(crate) fn new(parameters: &Named) -> Result<Self> {
        Self::with(Settings::default(), parameters)
    }

    /// # Errors
    /// None is expected, but on a full GPU.
    pub(crate) fn with(settings: Settings, parameters: &Named) -> Result<Self> {
        let composed = parameters.iter().any(|(_, p)| composed::wanted(p));
        let state = if composed {
            let zeros =
                |(_, p): &(String, Var)| Tensor::zeros((2, p.elem_count()), DType::F32, p.device());
            State::Device(parameters.iter().map(zeros).collect::<Result<_>>()?)
        } else {
            let zeros = |(_, p): &(String, Var)| Moments {
                m: vec![0.0; p.elem_count()],
                v: vec![0.0; p.elem_count()],
            };
            State::Host(parameters.iter().map(zeros).collect())
        };
        Ok(Self { settings, state })
    }

    /// A copy of the moments, in the order of the parameters.
    ///
    /// # Errors
    /// None is expected.
    pub(crate) fn export(&self) -> Result<Vec<Moments>> {
        let copy = |moments: &Tensor| {
            Ok(Moments {
                m: moments.get(0)?.to_vec1()?,
                v: moments.get(1)?.to_vec1()?,
            })
        };
        match &self.state {
            State::Host(moments) => Ok(moments.clone()),
            State::Device(moments) => moments.iter().map(copy).collect(),
        }
    }

    /// Puts moments in place of its own.
    ///
    /// # Errors
    /// When they are not those of as many values.
    pub(crate) fn import(&mut self, moments: Vec<Moments>) -> Result<()> {
        match &mut self.state {
            State::Host(own) => *own = moments,
            State::Device(own) => {
                for (own, Moments { m, v }) in own.iter_mut().zip(moments) {
                    *own = Tensor::from_vec([m, v].concat(), own.shape(), own.device())?;
                }
            }
        }
        Ok(())
    }

    /// Takes step number `step`, counted from 1, at this learning rate, down
    /// the gradients of a loss, each of which is used up as it comes. A
    /// parameter without a gradient is left as it is. With `inspect`, returns
    /// the first parameter whose gradient has a flaw.
    ///
    /// # Errors
    /// When the graph cannot be gone back through.
    pub(crate) fn descend(
        &mut self,
        step: u64,
        learning_rate: f64,
        parameters: &Named,
        loss: &Tensor,
        inspect: bool,
    ) -> Result<Option<(usize, Flaw)>> {
        let t = step as f64;
        let Settings {
            betas: [beta1, beta2],
            weight_decay,
        } = self.settings;
        let correction1 = 1.0 - libm::pow(beta1, t);
        let correction2 = 1.0 - libm::pow(beta2, t);
        let rates = Rates {
            betas: [beta1, beta2].map(|b| [narrow(b), narrow(1.0 - b)]),
            kept: narrow(1.0 - learning_rate * weight_decay),
            rate: narrow(learning_rate / correction1),
            scale: narrow(1.0 / correction2.sqrt()),
        };
        let flaw = match &mut self.state {
            State::Host(moments) => consume(rates, parameters, moments, loss, inspect)?,
            State::Device(moments) => compose(rates, parameters, moments, loss, inspect)?,
        };
        Ok(flaw.filter(|_| inspect))
    }
}

type Flawed = Option<(usize, Flaw)>;

/// Uses gradients up as they come.
fn consume(
    rates: Rates,
    parameters: &Named,
    moments: &mut Vec<Moments>,
    loss: &Tensor,
    inspect: bool,
) -> Result<Flawed> {
    let descent = Rc::new(RefCell::new(Descent {
        rates,
        parameters: parameters.iter().map(|(_, var)| var.clone()).collect(),
        moments: std::mem::take(moments),
        inspect,
        broken: None,
    }));
    let tensors = parameters.iter().map(|(_, var)| var.as_tensor());
    let reached = backward::pass(loss, tensors, descent.clone());
    let mut descent = descent.borrow_mut();
    *moments = std::mem::take(&mut descent.moments);
    let missing = reached?.iter().position(|reached| !reached);
    let missing = missing.map(|index| (index, Flaw::Missing));
    let broken = descent.broken.map(|index| (index, Flaw::NotFinite));
    Ok(missing.or(broken))
}

/// Takes candle's gradients, where the parameters are.
fn compose(
    rates: Rates,
    parameters: &Named,
    moments: &[Tensor],
    loss: &Tensor,
    inspect: bool,
) -> Result<Flawed> {
    let grads = loss.backward()?;
    let (mut missing, mut broken) = (None, None);
    for (index, ((_, parameter), moments)) in parameters.iter().zip(moments).enumerate() {
        let Some(grad) = grads.get(parameter) else {
            missing.get_or_insert((index, Flaw::Missing));
            continue;
        };
        if inspect && !grad.abs()?.sum_all()?.to_scalar::<f32>()?.is_finite() {
            broken.get_or_insert((index, Flaw::NotFinite));
        }
        rates.composed().apply(parameter, moments, grad)?;
    }
    Ok(missing.or(broken))
}

/// What can be wrong with a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// There is none: the loss does not reach the parameter.
    Missing,
    NotFinite,
}

/// A step on its way.
struct Descent {
    rates: Rates,
    parameters: Vec<Var>,
    moments: Vec<Moments>,
    inspect: bool,
    /// The first parameter whose gradient is not finite.
    broken: Option<usize>,
}

impl Consumer for Descent {
    fn take(&mut self, index: usize, grad: &[f32]) -> Result<()> {
        if self.inspect && !grad.iter().all(|g| g.is_finite()) {
            self.broken = Some(self.broken.map_or(index, |first| first.min(index)));
        }
        let update = Update {
            rates: self.rates,
            grad,
            moments: RefCell::new(&mut self.moments[index]),
        };
        self.parameters[index].inplace_op1(&update)
    }
}

#[derive(Debug, Clone, Copy)]
struct Rates {
    /// Of each moment: what stays of it, and what share the gradient enters
    /// with. In f32, 1 − 0.999 would be off by 5e-5.
    betas: [[f32; 2]; 2],
    /// What weight decay leaves of a parameter.
    kept: f32,
    rate: f32,
    /// 1/√(1 − β₂ᵗ).
    scale: f32,
}

impl Rates {
    fn composed(self) -> composed::optimiser::Update {
        composed::optimiser::Update {
            betas: self.betas,
            kept: self.kept,
            rate: self.rate,
            root_correction2: 1.0 / self.scale,
            epsilon: EPSILON,
        }
    }
}

struct Update<'a> {
    rates: Rates,
    grad: &'a [f32],
    moments: RefCell<&'a mut Moments>,
}

impl InplaceOp1 for Update<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(&self, parameter: &mut CpuStorage, _: &Layout) -> Result<()> {
        let CpuStorage::F32(parameter) = parameter else {
            bail!("parameters are f32");
        };
        let (grad, moments) = (self.grad, &mut **self.moments.borrow_mut());
        if parameter.len() != grad.len() || moments.m.len() != grad.len() {
            bail!(
                "a gradient of {} for {} values",
                grad.len(),
                parameter.len()
            );
        }
        let Rates {
            betas: [[b1, c1], [b2, c2]],
            kept,
            rate,
            scale,
        } = self.rates;
        let (m, v) = (&mut moments.m, &mut moments.v);
        let moments = m.par_chunks_mut(PART).zip(v.par_chunks_mut(PART));
        let values = parameter.par_chunks_mut(PART).zip(grad.par_chunks(PART));
        values.zip(moments).for_each(|((p, g), (m, v))| {
            wide(
                #[inline(always)]
                || {
                    let moments = m.iter_mut().zip(v);
                    for ((p, g), (m, v)) in p.iter_mut().zip(g).zip(moments) {
                        *m = b1 * *m + c1 * g;
                        *v = b2 * *v + c2 * g * g;
                        let step = rate * *m / (v.sqrt() * scale + EPSILON);
                        *p = kept * *p - step;
                    }
                },
            );
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
