use candle_core::{Device, Var};

mod forgotten;

use super::*;
use crate::models::file::Family as _;
use crate::models::unet::{Arch, UNet};
use crate::nn::build::Build;
use crate::nn::join::join;
use crate::nn::layer::{Act, Kind, Layer, Rows, linear};
use crate::nn::loss::squared_error;
use crate::nn::mode::Mode;
use crate::nn::params::Named;
use crate::nn::reuse::{add, add_to};

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// Of each parameter, by our way.
fn gradients(loss: &Tensor, parameters: &Named) -> Vec<Vec<f32>> {
    let mut grads = backward(loss).unwrap();
    assert!(matches!(grads, Gradients::Ours(_)), "an op of candle's");
    let grad = |(_, var): &(String, Var)| values(&grads.remove(var).unwrap());
    parameters.iter().map(grad).collect()
}

/// Gradients of the parameters are candle's, to the bit but for zeros' signs.
fn assert_candles(loss: impl Fn() -> Tensor, parameters: &Named) {
    let theirs = loss().backward().unwrap();
    let ours = gradients(&loss(), parameters);
    for ((name, var), ours) in parameters.iter().zip(ours) {
        assert_eq!(ours, values(theirs.get(var).unwrap()), "{name}");
    }
}

fn inputs(rows: usize, width: usize) -> Tensor {
    let mut rng = crate::nn::rng::stream(3, "inputs", 0);
    let data = (0..rows * width).map(|_| rng.signed()).collect();
    Tensor::from_vec(data, (rows, width), &Device::Cpu).unwrap()
}

fn layers(acts: &[Act]) -> (Vec<Layer>, Named) {
    let mut build = Build::seeded(0);
    let layer = |(i, act): (usize, &Act)| {
        let name = i.to_string();
        build.layer(&name, Kind::Linear, [4, 4], *act).unwrap()
    };
    let layers = acts.iter().enumerate().map(layer).collect();
    let [named, _] = build.finish().unwrap();
    (layers, named)
}

#[test]
fn gradients_are_candles() {
    let (layers, named) = layers(&[Act::Tanh, Act::None, Act::LeakyRelu, Act::None]);
    let x = inputs(70, 4);
    // One output used four times, twice of them by one op.
    let loss = || {
        let a = linear(&layers[0], &x).unwrap();
        let b = linear(&layers[1], &a).unwrap();
        let c = linear(&layers[2], &add(&a, &x).unwrap()).unwrap();
        let twice = add(&a, &a).unwrap();
        let d = linear(&layers[3], &add(&twice, &c).unwrap()).unwrap();
        let both = join(&add_to(&d, &c).unwrap(), &add(&b, &twice).unwrap()).unwrap();
        squared_error(&both, &inputs(70, 8), 70).unwrap()
    };
    assert_candles(loss, &named);
}

/// The loss of a small U-Net with dropout, and its parameters.
fn unets() -> (impl Fn() -> Tensor + Sync, Named) {
    let mut build = Build::seeded(0);
    let arch = Arch {
        side: 8,
        base: 8,
        multiples: vec![1, 2],
        blocks: 1,
        attention: vec![4],
        groups: 4,
        ..Arch::cifar10()
    };
    let net = UNet::build(&mut build, &arch).unwrap();
    let [named, _] = build.finish().unwrap();
    let rows = |values| Rows {
        data: values,
        n: 2,
        h: 8,
        w: 8,
    };
    let mode = Mode::Train { seed: 1, step: 1 };
    let (x, noise) = (rows(inputs(128, 3)), inputs(128, 3));
    let loss = move || net.loss(&x, &[3, 500], &noise, mode).unwrap();
    (loss, named)
}

#[test]
fn a_unets_are_too() {
    let (loss, named) = unets();
    assert_candles(loss, &named);
}

#[test]
fn threads_do_not_matter() {
    let (loss, named) = unets();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let grads = pool.build().unwrap().install(|| gradients(&loss(), &named));
        let bits = grads.iter().flatten().map(|g| g.to_bits());
        bits.collect::<Vec<u32>>()
    };
    let alone = run(1);
    for threads in [2, 3, 8] {
        assert!(run(threads) == alone, "on {threads}");
    }
}

#[test]
fn a_sum_of_squares_is_that_of_candles_ops() {
    let x = Var::from_tensor(&inputs(9, 5)).unwrap();
    let y = inputs(9, 5).affine(0.5, 0.1).unwrap();
    let by_candle = (x.as_tensor() - &y).unwrap().sqr().unwrap();
    let by_candle = (by_candle.sum_all().unwrap() / 9.0).unwrap();
    let loss = squared_error(x.as_tensor(), &y, 9).unwrap();
    let value = |x: &Tensor| x.to_scalar::<f32>().unwrap();
    assert_eq!(value(&loss), value(&by_candle));
    let grad = |loss: &Tensor| {
        let grads = loss.backward().unwrap();
        grads.get(&x).unwrap().to_vec2::<f32>().unwrap()
    };
    assert_eq!(grad(&loss), grad(&by_candle));
}

#[test]
fn a_graph_with_ops_of_candles_goes_back_their_way() {
    let (layers, named) = layers(&[Act::Tanh]);
    let y = linear(&layers[0], &inputs(3, 4)).unwrap();
    let mut grads = backward(&y.sqr().unwrap().sum_all().unwrap()).unwrap();
    assert!(matches!(grads, Gradients::Candles(_)));
    assert!(named.iter().all(|(_, var)| grads.remove(var).is_some()));
}

#[test]
fn nodes_end_with_their_graph() {
    let (layers, _) = layers(&[Act::Tanh]);
    let y = linear(&layers[0], &inputs(3, 4)).unwrap();
    let id = y.id();
    let known = || NODES.lock().unwrap().contains_key(&id);
    assert!(known());
    drop(y);
    assert!(!known());
}
