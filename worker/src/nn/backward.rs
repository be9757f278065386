//! Backward passes that use up the gradients of parameters as they come.
//!
//! candle keeps every gradient until the pass ends, and adds each to a fresh
//! zero. Here layers hand the gradients of their parameters to the pass of
//! their thread, which passes each on once no graph waits for another part of
//! it; gradients of parameters that are not wanted are not computed at all.
//! Whatever reaches a parameter through candle's own ops is added at the end;
//! one that layers are done with by then is an error.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use candle_core::{Result, Tensor, TensorId, bail};

use super::fused::with_values;
use super::graph;
use super::reuse;
use super::workspace::Buffer;

/// What becomes of the gradients of parameters.
pub(super) trait Consumer {
    /// Called once for each parameter that has a gradient.
    fn take(&mut self, index: usize, grad: &[f32]) -> Result<()>;
}

struct Pass {
    /// Places of the parameters.
    wanted: HashMap<TensorId, usize>,
    /// Of parameters with more to come.
    sums: HashMap<usize, Buffer>,
    taken: Vec<bool>,
    consumer: Rc<RefCell<dyn Consumer>>,
}

thread_local! {
    static PASS: RefCell<Option<Pass>> = const { RefCell::new(None) };
}

/// How often graphs that were not gone back through use a parameter.
static OPEN: LazyLock<Mutex<HashMap<TensorId, usize>>> = LazyLock::new(Mutex::default);

/// One use of a parameter in a graph.
pub(super) struct Use {
    id: TensorId,
    open: AtomicBool,
}

/// What to do with a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// candle adds it up.
    Return,
    /// The pass takes it.
    Give,
    /// Nobody wants it.
    Skip,
}

impl Use {
    /// Of what enters an op, if it is a parameter.
    pub(super) fn of(tensor: &Tensor) -> Option<Self> {
        let id = tensor.id();
        tensor.is_variable().then(|| {
            let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
            *open.entry(id).or_insert(0) += 1;
            Self {
                id,
                open: AtomicBool::new(true),
            }
        })
    }

    pub(super) fn fate(this: Option<&Self>) -> Fate {
        PASS.with_borrow(|pass| match (pass, this) {
            (Some(pass), Some(this)) if pass.wanted.contains_key(&this.id) => Fate::Give,
            (Some(_), Some(_)) => Fate::Skip,
            _ => Fate::Return,
        })
    }

    /// Hands the gradient to the pass. To be called when nothing reads the
    /// parameter any more: it may be changed at once.
    pub(super) fn give(&self, grad: Buffer) -> Result<()> {
        let left = self.close();
        PASS.with_borrow_mut(|pass| {
            let Some(pass) = pass else {
                bail!("no pass takes gradients");
            };
            let Some(&index) = pass.wanted.get(&self.id) else {
                return Ok(());
            };
            if pass.taken[index] {
                bail!("parameter {index} was done with when more of its gradient came");
            }
            let sum = match pass.sums.remove(&index) {
                None => grad,
                Some(mut sum) => {
                    sum.iter_mut().zip(&*grad).for_each(|(s, g)| *s += g);
                    sum
                }
            };
            if left > 0 {
                pass.sums.insert(index, sum);
                return Ok(());
            }
            pass.taken[index] = true;
            pass.consumer.borrow_mut().take(index, &sum)
        })
    }

    /// Returns how many other uses there are.
    fn close(&self) -> usize {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = open.get_mut(&self.id) else {
            return 0;
        };
        if self.open.swap(false, Ordering::Relaxed) {
            *count -= 1;
        }
        let left = *count;
        if left == 0 {
            open.remove(&self.id);
        }
        left
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.close();
    }
}

/// Frees the output of an op that the pass of this thread, if it is in one,
/// has gone back through: all that used it came before.
pub(super) fn done(output: &Tensor) {
    if PASS.with_borrow(Option::is_some) {
        // What cannot be freed was given away before.
        drop(reuse::free(output));
    }
}

/// Ends the pass of this thread, however it ends.
struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        PASS.take();
    }
}

/// Goes back through the graph of a loss, once: what layers put out is freed on
/// the way, so copy what is used again. Returns which parameters had a gradient.
///
/// # Errors
/// When the consumer fails, or this thread is in a pass already.
pub(super) fn pass<'a>(
    loss: &Tensor,
    parameters: impl Iterator<Item = &'a Tensor>,
    consumer: Rc<RefCell<dyn Consumer>>,
) -> Result<Vec<bool>> {
    let parameters: Vec<&Tensor> = parameters.collect();
    let wanted = parameters.iter().zip(0..).map(|(p, i)| (p.id(), i));
    let pass = Pass {
        wanted: wanted.collect(),
        sums: HashMap::new(),
        taken: vec![false; parameters.len()],
        consumer,
    };
    if PASS.with_borrow(Option::is_some) {
        bail!("a backward pass inside another");
    }
    PASS.set(Some(pass));
    let ended = Ended;
    let mut grads = graph::backward(loss)?;
    let pass = PASS.take();
    drop(ended);
    let Some(mut pass) = pass else {
        bail!("the backward pass is gone");
    };
    for (index, parameter) in parameters.into_iter().enumerate() {
        let rest = grads.remove(parameter);
        let sum = pass.sums.remove(&index);
        if rest.is_some() && pass.taken[index] {
            bail!("parameter {index} was done with when more of its gradient came");
        }
        let mut consumer = pass.consumer.borrow_mut();
        match (sum, rest) {
            (None, None) => continue,
            (Some(sum), None) => consumer.take(index, &sum)?,
            (None, Some(rest)) => with_values(&rest, |rest| consumer.take(index, rest))?,
            (Some(mut sum), Some(rest)) => {
                with_values(&rest, |rest| {
                    sum.iter_mut().zip(rest).for_each(|(s, r)| *s += r);
                    Ok(())
                })?;
                consumer.take(index, &sum)?;
            }
        }
        pass.taken[index] = true;
    }
    Ok(pass.taken)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::nn::build::Build;
    use crate::nn::layer::{Act, Kind, Layer, linear};

    #[derive(Default)]
    struct Kept(Vec<(usize, Vec<f32>)>);

    impl Consumer for Kept {
        fn take(&mut self, index: usize, grad: &[f32]) -> Result<()> {
            self.0.push((index, grad.to_vec()));
            Ok(())
        }
    }

    fn net() -> (Layer, Layer, Vec<Var>) {
        let mut build = Build::seeded(0);
        let mut layer = |name| build.layer(name, Kind::Linear, [3, 3], Act::Tanh);
        let (a, b) = (layer("a").unwrap(), layer("b").unwrap());
        let [named, _] = build.finish().unwrap();
        (a, b, named.into_iter().map(|(_, var)| var).collect())
    }

    /// Through `a`, `b` and `a` again, and the weight of `a` by itself.
    fn loss(a: &Layer, b: &Layer) -> Tensor {
        let x = Tensor::new(&[[1f32, -2.0, 0.5], [0.3, 0.2, 0.1]], &Device::Cpu).unwrap();
        let y = [a, b, a].iter().fold(x, |x, l| linear(l, &x).unwrap());
        let own = a.weight.sqr().unwrap().sum_all().unwrap();
        (y.sqr().unwrap().sum_all().unwrap() + own).unwrap()
    }

    fn gradients(loss: &Tensor, parameters: &[&Var]) -> (Vec<bool>, Vec<(usize, Vec<f32>)>) {
        let kept = Rc::new(RefCell::new(Kept::default()));
        let tensors = parameters.iter().map(|var| var.as_tensor());
        let reached = pass(loss, tensors, kept.clone()).unwrap();
        let mut kept = kept.take().0;
        kept.sort_by_key(|(index, _)| *index);
        (reached, kept)
    }

    #[test]
    fn gradients_are_those_of_candle() {
        let (a, b, vars) = net();
        let grads = loss(&a, &b).backward().unwrap();
        let expected = |var: &Var| {
            let grad = grads.get(var).unwrap().flatten_all().unwrap();
            grad.to_vec1::<f32>().unwrap()
        };
        // The weight of `a` is used by an op of candle as well: its own part
        // is kept until the end.
        let whole: Vec<&Var> = vars.iter().collect();
        let own = Use::of(&a.weight);
        let (reached, got) = gradients(&loss(&a, &b), &whole);
        drop(own);
        assert_eq!(reached, [true; 4]);
        for (index, got) in got {
            for (got, expected) in got.iter().zip(expected(&vars[index])) {
                assert!((got - expected).abs() < 1e-6, "{index}: {got} {expected}");
            }
        }
    }

    #[test]
    fn what_is_not_wanted_is_not_given() {
        let (a, b, vars) = net();
        let (reached, got) = gradients(&loss(&a, &b), &[&vars[2]]);
        assert_eq!((reached.len(), got.len()), (1, 1));
        let other = Var::new(&[1f32], &Device::Cpu).unwrap();
        let (reached, got) = gradients(&loss(&a, &b), &[&other, &vars[3]]);
        assert_eq!((reached, got[0].0), (vec![false, true], 1));
    }

    #[test]
    fn a_pass_ends_though_it_fails() {
        struct Fails;
        impl Consumer for Fails {
            fn take(&mut self, _: usize, _: &[f32]) -> Result<()> {
                bail!("no")
            }
        }
        let (a, b, vars) = net();
        let fails = Rc::new(RefCell::new(Fails));
        let tensors = vars.iter().map(|var| var.as_tensor());
        assert!(pass(&loss(&a, &b), tensors, fails).is_err());
        assert_eq!(gradients(&loss(&a, &b), &[&vars[3]]).0, [true]);
    }
}
