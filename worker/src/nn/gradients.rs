//! Values and gradients of the layers, all but convolutions: against PyTorch
//! in f64 (fixtures/README.md), by differences along random directions where
//! work is cut into pieces, and the same on any number of threads.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Result, Tensor, Var};

use super::activation::Activation;
use super::attention::{attend, attention};
use super::batch_norm::{BatchNorm, batch_norm};
use super::build::{Build, Init};
use super::device::device;
use super::dropout::dropout;
use super::embedding::{Embedding, embedding};
use super::group_norm::{After, GroupNorm, group_norm};
use super::layer::{Act, Rows};
use super::loss::{bce_with_logits, cross_entropy, mse};
use super::masked::{Mask, masked_conv};
use super::mode::Mode;
use super::params::Named;
use super::per_image::add_per_image;
use super::pool::{Pool, pool};
use super::rng::stream;
use super::upsample::{double, nearest};

mod composed;
mod pools;

use pools::square;

const TRAIN: Mode = Mode::Train { seed: 3, step: 0 };

pub(crate) type Fixture = HashMap<String, Tensor>;

pub(crate) fn fixture(name: &str) -> Fixture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/nn/fixtures");
    let path = folder.join(format!("{name}.safetensors"));
    candle_core::safetensors::load(path, &device()).unwrap()
}

fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest error over largest value.
fn error(got: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(got.dims(), expected.dims());
    let (got, expected) = (flat(got), flat(expected));
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, f32::max);
    let errors = &mut got.iter().zip(&expected).map(|(g, e)| (g - e).abs());
    assert!(got.iter().all(|v| v.is_finite()));
    largest(errors) / largest(&mut expected.iter().map(|e| e.abs()))
}

/// Output and gradients of a function of the fixture's inputs, within 1e-6.
pub(crate) fn compare(name: &str, t: &Fixture, f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let inputs = (0..).map_while(|i| t.get(&format!("in{i}")));
    let vars: Vec<Option<Var>> = inputs
        .clone()
        .enumerate()
        .map(|(i, x)| {
            let trained = t.contains_key(&format!("d{i}"));
            trained.then(|| Var::from_tensor(x).unwrap())
        })
        .collect();
    let given = inputs.zip(&vars).map(|(x, var)| match var {
        Some(var) => var.as_tensor().clone(),
        None => x.clone(),
    });
    let given: Vec<Tensor> = given.collect();
    let y = f(&given).unwrap();
    let mut errors = vec![error(&y, &t["y"])];
    let loss = (y * &t["g"]).unwrap().sum_all().unwrap();
    let grads = loss.backward().unwrap();
    for (i, var) in vars.iter().enumerate() {
        if let Some(var) = var {
            errors.push(error(grads.get(var).unwrap(), &t[&format!("d{i}")]));
        }
    }
    assert!(errors.iter().all(|e| *e < 1e-6), "{name}: {errors:?}");
}

fn check(name: &str, f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    compare(name, &fixture(name), f);
}

/// `[n, c, h, w]` → rows.
fn rows(x: &Tensor) -> Result<Rows> {
    let (n, c, h, w) = x.dims4()?;
    let data = x.permute((0, 2, 3, 1))?.reshape((n * h * w, c))?;
    Ok(Rows { data, n, h, w })
}

/// Rows → `[n, c, h, w]`.
fn images(Rows { data, n, h, w }: &Rows) -> Result<Tensor> {
    let data = data.reshape((*n, *h, *w, data.dim(1)?))?;
    data.permute((0, 3, 1, 2))?.contiguous()
}

#[test]
fn activations_agree_with_pytorch() {
    for (name, activation) in [
        ("u_relu", Activation::Relu),
        ("u_leaky", Activation::LeakyRelu(0.2)),
        ("u_silu", Activation::Silu),
        ("u_gelu_erf", Activation::Gelu),
        ("u_gelu_tanh", Activation::GeluTanh),
        ("u_tanh", Activation::Tanh),
        ("u_sigmoid", Activation::Sigmoid),
    ] {
        check(name, |x| activation.apply(&x[0]));
    }
}

#[test]
fn norms_agree_with_pytorch() {
    let norm = |groups, after, x: &[Tensor]| GroupNorm {
        groups,
        after,
        weight: x[1].clone(),
        bias: x[2].clone(),
    };
    for (name, after) in [
        ("groupnorm", After::Nothing),
        ("groupnorm_silu", After::Silu),
    ] {
        check(name, |x| images(&norm(4, after, x).forward(&rows(&x[0])?)?));
    }
    check("layernorm", |x| {
        let data = x[0].flatten_to(1)?;
        let n = data.dim(0)?;
        let (h, w) = (1, 1);
        let y = norm(1, After::Nothing, x).forward(&Rows { data, n, h, w })?;
        y.data.reshape(x[0].shape())
    });
    check("batchnorm_train", |x| {
        let channels = x[1].dim(0)?;
        let running = |value: f32| Var::from_vec(vec![value; channels], channels, &device());
        let norm = BatchNorm {
            weight: x[1].clone(),
            bias: x[2].clone(),
            running_mean: running(0.0)?,
            running_variance: running(1.0)?,
        };
        let x = rows(&x[0])?;
        let data = norm.forward(&x.data, TRAIN)?;
        images(&Rows { data, ..x })
    });
}

#[test]
fn attention_agrees_with_pytorch() {
    check("attn", |x| {
        // [n, heads, sites, d] → [n·sites, heads·d].
        let part = |x: &Tensor| -> Result<Tensor> {
            let (n, heads, sites, d) = x.dims4()?;
            x.transpose(1, 2)?.reshape((n * sites, heads * d))
        };
        let (n, heads, sites, d) = x[0].dims4()?;
        let qkv = Tensor::cat(&[part(&x[0])?, part(&x[1])?, part(&x[2])?], 1)?;
        let y = attend(&qkv, sites, heads)?.reshape((n, sites, heads, d))?;
        y.transpose(1, 2)?.contiguous()
    });
}

#[test]
fn resizing_agrees_with_pytorch() {
    let twice = |x: &Tensor| images(&double(&rows(x)?)?);
    check("upsample_nearest2x", |x| twice(&x[0]));
    // The input is used beside, before and after.
    check("upsample_nearest2x_shared", |x| {
        let beside = (&x[0] * 3.0)?.flatten_from(1)?;
        Tensor::cat(&[twice(&x[0])?.flatten_from(1)?, beside], 1)
    });
    check("upsample_nearest2x_shared2", |x| {
        let beside = (&x[0] * 3.0)?.flatten_from(1)?;
        Tensor::cat(&[beside, twice(&x[0])?.flatten_from(1)?], 1)
    });
    for (name, h, w) in [
        ("upsample_nearest_h2w3", 10, 15),
        ("upsample_nearest_5to8", 8, 8),
    ] {
        check(name, |x| images(&nearest(&rows(&x[0])?, h, w)?));
    }
}

#[test]
fn losses_agree_with_pytorch() {
    check("mse", |x| mse(&x[0], &x[1])?.reshape(1));
    for name in ["bce_logits", "bce_logits_big"] {
        check(name, |x| bce_with_logits(&x[0], &x[1])?.reshape(1));
    }
    check("cross_entropy", |x| {
        let classes: Vec<u32> = x[1].to_dtype(DType::U32)?.to_vec1()?;
        cross_entropy(&x[0], classes.into())?.reshape(1)
    });
}

#[test]
fn embeddings_agree_with_pytorch() {
    check("embedding", |x| {
        let weight = x[0].clone();
        Embedding { weight }.forward(&x[1].to_dtype(DType::U32)?)
    });
}

type Net = Box<dyn Fn(&Rows) -> Result<Tensor>>;

/// What a layer makes of `[24·8·8, 24]`, which is several pieces of work.
struct Case {
    name: &'static str,
    /// Of the differences: small where there are kinks.
    step: f64,
    net: fn(&mut Build) -> Net,
}

const SMOOTH: f64 = 1e-2;
/// For what bends sharply along a direction.
const CURVED: f64 = 1e-3;
const KINKED: f64 = 1e-4;

const CASES: &[Case] = &[
    case("relu", KINKED, |_| act(Activation::Relu)),
    case("leaky relu", KINKED, |_| act(Activation::LeakyRelu(0.2))),
    case("silu", SMOOTH, |_| act(Activation::Silu)),
    case("gelu", SMOOTH, |_| act(Activation::Gelu)),
    case("gelu by tanh", SMOOTH, |_| act(Activation::GeluTanh)),
    case("tanh", SMOOTH, |_| act(Activation::Tanh)),
    case("sigmoid", SMOOTH, |_| act(Activation::Sigmoid)),
    case("group norm", SMOOTH, |build| {
        let norm = group_norm(build, "a", 4, 24, After::Nothing).unwrap();
        Box::new(move |x| Ok(norm.forward(x)?.data))
    }),
    case("group norm and silu", SMOOTH, |build| {
        let norm = group_norm(build, "a", 4, 24, After::Silu).unwrap();
        Box::new(move |x| Ok(norm.forward(x)?.data))
    }),
    case("batch norm", SMOOTH, |build| {
        let norm = batch_norm(build, "a", 24).unwrap();
        Box::new(move |x| norm.forward(&x.data, TRAIN))
    }),
    case("batch norm, running", SMOOTH, |build| {
        let norm = batch_norm(build, "a", 24).unwrap();
        let x = rows_of_normals();
        norm.forward(&x.data, TRAIN).unwrap();
        Box::new(move |x| norm.forward(&x.data, Mode::Eval))
    }),
    case("attention, one head", CURVED, |build| {
        let attention = attention(build, "a", 1, 24).unwrap();
        Box::new(move |x| Ok(attention.forward(x)?.data))
    }),
    case("attention, three heads", CURVED, |build| {
        let attention = attention(build, "a", 3, 24).unwrap();
        Box::new(move |x| Ok(attention.forward(x)?.data))
    }),
    case("masked convolution A", SMOOTH, |build| {
        masked(build, Mask::A)
    }),
    case("masked convolution B", SMOOTH, |build| {
        masked(build, Mask::B)
    }),
    case("upsampling", SMOOTH, |_| Box::new(|x| Ok(double(x)?.data))),
    case("average pooling", SMOOTH, |_| {
        Box::new(|x| Ok(pool(Pool::Average, x, square(3, 2, 0))?.data))
    }),
    case("maximum pooling", KINKED, |_| {
        Box::new(|x| Ok(pool(Pool::Maximum, x, square(3, 2, 0))?.data))
    }),
    case("average pooling, padded", SMOOTH, |_| {
        Box::new(|x| Ok(pool(Pool::Average, x, square(3, 1, 1))?.data))
    }),
    case("per image", SMOOTH, |build| {
        let each = build.parameter("a", &[24, 24], Init::Normal).unwrap();
        Box::new(move |x| Ok(add_per_image(&fresh(x)?, &each)?.data))
    }),
    case("dropout", SMOOTH, |_| {
        let dropout = dropout("a", 0.3);
        Box::new(move |x| dropout.forward(&fresh(x)?.data, TRAIN))
    }),
    case("embedding", SMOOTH, |build| {
        let embedding = embedding(build, "a", [5, 24], Init::Normal).unwrap();
        let ids: Vec<u32> = (0..24 * 64).map(|i| i * i % 5).collect();
        let ids = Tensor::from_vec(ids, 24 * 64, &device()).unwrap();
        Box::new(move |x| embedding.forward(&ids)? * &x.data)
    }),
    case("mse", SMOOTH, |build| {
        let other = build.parameter("a", &[24 * 64, 24], Init::Normal).unwrap();
        Box::new(move |x| mse(&x.data, &other))
    }),
    case("bce", SMOOTH, |_| {
        Box::new(|x| {
            let targets = normals("targets", x.data.dims()).gt(0.0)?;
            bce_with_logits(&x.data, &targets.to_dtype(DType::F32)?)
        })
    }),
    case("cross-entropy", SMOOTH, |_| {
        Box::new(|x| {
            let classes: Vec<u32> = (0..24 * 64).map(|i| i * 7 % 24).collect();
            cross_entropy(&x.data, classes.into())
        })
    }),
];

/// The same values in a tensor of its own, which an op may overwrite.
fn fresh(x: &Rows) -> Result<Rows> {
    let data = (&x.data * 1.0)?;
    Ok(Rows { data, ..*x })
}

const fn case(name: &'static str, step: f64, net: fn(&mut Build) -> Net) -> Case {
    Case { name, step, net }
}

fn act(activation: Activation) -> Net {
    Box::new(move |x| activation.apply(&x.data))
}

fn masked(build: &mut Build, mask: Mask) -> Net {
    let conv = masked_conv(build, "a", 3, [24, 8], (mask, Act::None)).unwrap();
    Box::new(move |x| Ok(conv.forward(x)?.data))
}

fn normals(purpose: &str, shape: &[usize]) -> Tensor {
    let data = stream(2, purpose, 0).normals(shape.iter().product());
    Tensor::from_vec(data, shape, &device()).unwrap()
}

fn rows_of_normals() -> Rows {
    let (n, h, w) = (24, 8, 8);
    let data = normals("rows", &[n * h * w, 24]);
    Rows { data, n, h, w }
}

/// A net with its input and parameters, away from where they start.
fn prepared(case: &Case) -> (Net, Rows, Named) {
    let mut build = Build::seeded(4);
    let net = (case.net)(&mut build);
    let [mut named, _] = build.finish().unwrap();
    for (name, var) in &named {
        let moved = (normals(name, var.dims()) * 0.1).unwrap() + var.as_tensor();
        var.set(&moved.unwrap()).unwrap();
    }
    let x = rows_of_normals();
    let var = Var::from_tensor(&x.data).unwrap();
    let data = var.as_tensor().clone();
    named.push(("x".to_owned(), var));
    (net, Rows { data, ..x }, named)
}

fn weights(y: &Tensor) -> Tensor {
    match y.dims() {
        [] => Tensor::ones((), DType::F32, &device()).unwrap(),
        shape => normals("weights", shape),
    }
}

/// Along directions that move every value: the derivative is the gradient's,
/// within a hundredth of the gradient's length. (f32 and, of ReLU and maxima,
/// the kinks that a step crosses leave a third of that; all else is below a
/// thousandth.)
#[test]
fn gradients_are_the_slopes_of_values() {
    for case in CASES {
        let (net, x, named) = prepared(case);
        let value = || -> f64 {
            let y = net(&x).unwrap();
            let pairs = flat(&y).into_iter().zip(flat(&weights(&y)));
            pairs.map(|(y, g)| f64::from(y) * f64::from(g)).sum()
        };
        let y = net(&x).unwrap();
        let loss = (&y * weights(&y)).unwrap().sum_all().unwrap();
        let grads = loss.backward().unwrap();
        for (name, var) in &named {
            let start = Tensor::from_vec(flat(var.as_tensor()), var.shape(), &device()).unwrap();
            let grad = flat(grads.get(var).unwrap());
            let length = grad.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
            let length = length.sqrt();
            for direction in ["first", "second", "third"] {
                let direction = normals(&format!("{direction} {name}"), var.dims());
                let at = |by: f64| {
                    let moved = (&direction * by).unwrap() + &start;
                    var.set(&moved.unwrap()).unwrap();
                    value()
                };
                let numeric = (at(case.step) - at(-case.step)) / (2.0 * case.step);
                var.set(&start).unwrap();
                let pairs = grad.iter().zip(flat(&direction));
                let exact: f64 = pairs.map(|(g, d)| f64::from(*g) * f64::from(d)).sum();
                let error = (numeric - exact).abs() / length;
                let bound = if case.step == KINKED { 1e-2 } else { 1e-3 };
                assert!(error < bound, "{} {name}: {numeric} {exact}", case.name);
            }
        }
    }
}

#[test]
fn threads_do_not_matter() {
    for case in CASES {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let (net, x, named) = prepared(case);
                let y = net(&x).unwrap();
                let loss = (&y * weights(&y)).unwrap().sum_all().unwrap();
                let grads = loss.backward().unwrap();
                let mut all = vec![flat(&y)];
                all.extend(named.iter().map(|(_, var)| flat(grads.get(var).unwrap())));
                let bits = all.iter().flatten().map(|v| v.to_bits());
                bits.collect::<Vec<u32>>()
            })
        };
        let alone = run(1);
        for threads in [2, 3, 8] {
            assert!(run(threads) == alone, "{} on {threads}", case.name);
        }
    }
}

#[test]
fn running_statistics_follow_the_batches_and_are_used() {
    let mut build = Build::seeded(0);
    let norm = batch_norm(&mut build, "a", 2).unwrap();
    assert_eq!((build.count, build.buffers.len()), (4, 2));
    let x = Tensor::new(&[[1f32, 10.0], [3.0, 10.0], [8.0, 13.0]], &device()).unwrap();
    for _ in 0..2 {
        norm.forward(&x, TRAIN).unwrap();
    }
    // Mean 4 and 11, unbiased variance 13 and 3; two steps of a tenth.
    let kept = 0.9f32 * 0.9;
    let close = |got: Vec<f32>, expected: [f32; 2]| {
        let pairs = got.iter().zip(expected);
        assert!(pairs.clone().all(|(g, e)| (g - e).abs() < 1e-5), "{got:?}");
    };
    let moved = |from: f32, to: f32| kept * from + (1.0 - kept) * to;
    let (mean, variance) = (moved(0.0, 4.0), moved(1.0, 13.0));
    close(
        flat(norm.running_mean.as_tensor()),
        [mean, moved(0.0, 11.0)],
    );
    let running = flat(norm.running_variance.as_tensor());
    close(running, [variance, moved(1.0, 3.0)]);
    let y = norm.forward(&x, Mode::Eval).unwrap();
    let expected = (1.0 - mean) / (variance + 1e-5).sqrt();
    assert!((flat(&y)[0] - expected).abs() < 1e-5);
    assert!(norm.forward(&x.narrow(0, 0, 1).unwrap(), TRAIN).is_err());
}

#[test]
fn dropout_keeps_the_mean_and_its_share() {
    let x = Tensor::ones(40_000, DType::F32, &device()).unwrap();
    let fresh = || (&x * 1.0).unwrap();
    let y = flat(&dropout("a", 0.1).forward(&fresh(), TRAIN).unwrap());
    let zeros = y.iter().filter(|v| **v == 0.0).count();
    assert!((3_700..4_300).contains(&zeros), "{zeros}");
    let mean = y.iter().map(|v| f64::from(*v)).sum::<f64>() / 40_000.0;
    assert!((mean - 1.0).abs() < 0.01, "{mean}");
    let other = flat(&dropout("b", 0.1).forward(&fresh(), TRAIN).unwrap());
    assert_ne!(y, other, "each layer draws its own");
    let used = dropout("a", 0.1).forward(&x, Mode::Eval).unwrap();
    assert_eq!(flat(&used), flat(&x));
}

/// With constant weights, what a site sees is what the mask leaves.
#[test]
fn masks_hide_a_site_and_what_follows_it() {
    for (mask, seen) in [(Mask::A, [0.0f32, 3.0, 2.0]), (Mask::B, [1.0, 4.0, 3.0])] {
        let mut build = Build::seeded(0);
        let conv = masked_conv(&mut build, "a", 3, [2, 2], (mask, Act::None)).unwrap();
        for (name, var) in &build.parameters {
            let value = if name == "a.weight" { 0.5 } else { 0.0 };
            let value = Tensor::new(value, &device()).unwrap();
            let value = value.to_dtype(DType::F32).unwrap();
            var.set(
                &value
                    .broadcast_as(var.shape())
                    .unwrap()
                    .contiguous()
                    .unwrap(),
            )
            .unwrap();
        }
        let data = Tensor::ones((6, 2), DType::F32, &device()).unwrap();
        let (n, h, w) = (1, 2, 3);
        let y = flat(&conv.forward(&Rows { data, n, h, w }).unwrap().data);
        // The first site, and the second and third of the second row.
        assert_eq!([y[0], y[8], y[10]], [seen[0], seen[1] + 1.0, seen[2] + 1.0]);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = rows_of_normals();
    let mut build = Build::seeded(0);
    assert!(group_norm(&mut build, "a", 5, 24, After::Nothing).is_err());
    assert!(attention(&mut build, "b", 5, 24).is_err());
    let norm = group_norm(&mut build, "c", 2, 12, After::Nothing).unwrap();
    assert!(norm.forward(&x).is_err());
    assert!(attend(&x.data, 64, 5).is_err());
    assert!(pool(Pool::Average, &x, square(9, 1, 0)).is_err());
    assert!(add_per_image(&x, &normals("each", &[23, 24])).is_err());
    assert!(mse(&x.data, &normals("other", &[3])).is_err());
    assert!(cross_entropy(&x.data, vec![0; 3].into()).is_err());
    assert!(cross_entropy(&x.data, vec![24; 24 * 64].into()).is_err());
    let trained = Var::from_tensor(&x.data).unwrap();
    assert!(bce_with_logits(&x.data, trained.as_tensor()).is_err());
    assert!(nearest(&x, 0, 4).is_err());
}

/// Values are those of their formulas where f32 alone would fail.
#[test]
fn losses_hold_at_the_extremes() {
    let logits = Tensor::new(&[[500f32, -500.0]], &device()).unwrap();
    let scalar = |t: Result<Tensor>| t.unwrap().to_scalar::<f32>().unwrap();
    assert_eq!(scalar(cross_entropy(&logits, vec![0].into())), 0.0);
    assert_eq!(scalar(cross_entropy(&logits, vec![1].into())), 1000.0);
    let targets = Tensor::new(&[[0f32, 0.0]], &device()).unwrap();
    assert_eq!(scalar(bce_with_logits(&logits, &targets)), 250.0);
}
