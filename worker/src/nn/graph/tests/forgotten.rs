use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::nn::backward::{Consumer, pass};
use crate::nn::batch_norm::batch_norm;
use crate::nn::dropout::dropout;
use crate::nn::group_norm::{After, group_norm};
use crate::nn::layer::through;

const ROWS: usize = 70;
const TRAIN: Mode = Mode::Train { seed: 1, step: 1 };

fn rows(data: Tensor) -> Rows {
    Rows {
        data,
        n: ROWS,
        h: 1,
        w: 1,
    }
}

fn squares(y: &Tensor) -> Tensor {
    let (rows, width) = y.dims2().unwrap();
    squared_error(y, &inputs(rows, width), rows).unwrap()
}

/// What is the same whether `forget` forgets or not.
fn assert_same(loss: impl Fn(&dyn Fn(&Tensor)) -> Tensor, parameters: &Named) {
    let kept = gradients(&loss(&|_| ()), parameters);
    let count = RefCell::new(0);
    let forgotten = loss(&|x| {
        forget(x).unwrap();
        assert!(!is_there(x));
        *count.borrow_mut() += 1;
    });
    assert!(count.into_inner() > 0);
    assert_eq!(gradients(&forgotten, parameters), kept);
    assert!(kept.iter().flatten().any(|g| *g != 0.0));
}

#[test]
fn layers_bring_back_what_they_read() {
    let mut build = Build::seeded(0);
    let mut layer = |name, sizes| build.layer(name, Kind::Linear, sizes, Act::Tanh).unwrap();
    let layers = [layer("a", [4, 9]), layer("b", [9, 3])];
    let [named, _] = build.finish().unwrap();
    let x = rows(inputs(ROWS, 4));
    let kept = linear(&layers[0], &x.data).unwrap();
    let expected = gradients(&squares(&linear(&layers[1], &kept).unwrap()), &named);
    let got = gradients(&squares(&through(&layers, &x).unwrap().data), &named);
    assert_eq!(got, expected);
    let before = values(&kept);
    forget(&kept).unwrap();
    assert!(!is_there(&kept));
    recall(&kept).unwrap();
    assert_eq!(values(&kept), before);
}

#[test]
fn one_tensor_feeds_what_is_kept_and_what_is_forgotten() {
    let (layers, named) = layers(&[Act::Tanh; 5]);
    let loss = |forget: &dyn Fn(&Tensor)| {
        let a = linear(&layers[0], &inputs(ROWS, 4)).unwrap();
        let b = linear(&layers[1], &a).unwrap();
        // Two read what is forgotten, one of them is forgotten too.
        let c = linear(&layers[2], &b).unwrap();
        let d = linear(&layers[3], &b).unwrap();
        forget(&b);
        let e = linear(&layers[4], &c).unwrap();
        forget(&c);
        let both = join(&add(&e, &a).unwrap(), &d).unwrap();
        squares(&both)
    };
    assert_same(loss, &named);
}

#[test]
fn what_enters_twice_is_brought_back_once() {
    let (layers, named) = layers(&[Act::Tanh, Act::Tanh]);
    let loss = |forget: &dyn Fn(&Tensor)| {
        let a = linear(&layers[0], &inputs(ROWS, 4)).unwrap();
        let b = add(&a, &a).unwrap();
        let c = linear(&layers[1], &b).unwrap();
        forget(&b);
        forget(&a);
        squares(&c)
    };
    assert_same(loss, &named);
}

#[test]
fn a_norm_under_dropout_is_drawn_the_same() {
    let mut build = Build::seeded(0);
    let first = build.layer("a", Kind::Linear, [4, 6], Act::None).unwrap();
    let norm = group_norm(&mut build, "b", 2, 6, After::Silu).unwrap();
    let last = build.layer("c", Kind::Linear, [6, 3], Act::None).unwrap();
    let [named, _] = build.finish().unwrap();
    let drop = dropout("d", 0.3);
    let loss = |forget: &dyn Fn(&Tensor)| {
        let a = linear(&first, &inputs(ROWS, 4)).unwrap();
        let normal = norm.forward(&rows(a)).unwrap().data;
        // In the place of the norm's output, which is computed again as well.
        let dropped = drop.forward(&normal, TRAIN).unwrap();
        let before = values(&dropped);
        let y = linear(&last, &dropped).unwrap();
        forget(&dropped);
        if !is_there(&dropped) {
            recall(&dropped).unwrap();
            assert_eq!(values(&dropped), before);
            assert!(before.iter().filter(|v| **v == 0.0).count() > ROWS);
            forget(&dropped);
        }
        squares(&y)
    };
    assert_same(loss, &named);
}

#[test]
fn running_statistics_move_once() {
    let mut build = Build::seeded(0);
    let first = build.layer("a", Kind::Linear, [4, 4], Act::None).unwrap();
    let norm = batch_norm(&mut build, "b", 4).unwrap();
    let last = build.layer("c", Kind::Linear, [4, 3], Act::None).unwrap();
    let [named, buffers] = build.finish().unwrap();
    let statistics = || -> Vec<Vec<f32>> { buffers.iter().map(|(_, v)| values(v)).collect() };
    assert_eq!(buffers.len(), 2);
    let loss = |forget: &dyn Fn(&Tensor)| {
        let a = linear(&first, &inputs(ROWS, 4)).unwrap();
        let before = statistics();
        let normal = norm.forward(&a, TRAIN).unwrap();
        let after = statistics();
        assert_ne!(before, after);
        let y = linear(&last, &normal).unwrap();
        forget(&normal);
        gradients(&squares(&y), &named);
        assert_eq!(statistics(), after);
        forget(&normal);
        squares(&y)
    };
    assert_same(loss, &named);
}

/// Keeps gradients, and changes each parameter at once, as an optimiser does.
struct Spoils(Named, Vec<Vec<f32>>);

impl Consumer for Spoils {
    fn take(&mut self, index: usize, grad: &[f32]) -> Result<()> {
        let (_, var) = &self.0[index];
        self.1[index] = grad.to_vec();
        var.set(&Tensor::full(7f32, var.shape(), var.device())?)
    }
}

#[test]
fn parameters_change_only_behind_what_needs_them() {
    let (layers, named) = layers(&[Act::Tanh, Act::Tanh]);
    let loss = |forget: &dyn Fn(&Tensor)| {
        let [a, b] = [&layers[0], &layers[1]];
        let x = linear(a, &inputs(ROWS, 4)).unwrap();
        let y = linear(b, &x).unwrap();
        forget(&x);
        let z = linear(a, &y).unwrap();
        forget(&y);
        squares(&z)
    };
    let expected = gradients(&loss(&|_| ()), &named);
    let forgotten = loss(&|x| forget(x).unwrap());
    let spoils = Spoils(named.clone(), vec![Vec::new(); named.len()]);
    let spoils = Rc::new(RefCell::new(spoils));
    let parameters = named.iter().map(|(_, var)| var.as_tensor());
    let reached = pass(&forgotten, parameters, spoils.clone()).unwrap();
    assert!(reached.iter().all(|r| *r));
    for (got, expected) in spoils.borrow().1.iter().zip(&expected) {
        let pairs = got.iter().zip(expected);
        let far = |(got, expected): (&f32, &f32)| (got - expected).abs() > 1e-6;
        assert!(!pairs.clone().any(far), "{got:?} {expected:?}");
    }
}
