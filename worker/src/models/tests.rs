//! Networks without a stage of their own: parameter counts, and that all of
//! their parameters learn.

use std::collections::BTreeMap;

use ablate_proto::stage::Likelihood;
use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::file::Family as _;
use super::{gan, pixelcnn, unet, vae};
use crate::nn::adam::{Adam, Settings};
use crate::nn::build::Build;
use crate::nn::device::device;
use crate::nn::ema::Ema;
use crate::nn::layer::Rows;
use crate::nn::loss::bce_with_logits;
use crate::nn::mode::Mode;
use crate::nn::params::Named;
use crate::nn::rng::stream;

mod composed;

const TRAIN: Mode = Mode::Train { seed: 3, step: 0 };

fn normals(purpose: &str, shape: &[usize]) -> Tensor {
    let data = stream(1, purpose, 0).normals(shape.iter().product());
    Tensor::from_vec(data, shape, &device()).unwrap()
}

fn rows(purpose: &str, [n, h, w, c]: [usize; 4]) -> Rows {
    let data = normals(purpose, &[n * h * w, c]);
    Rows { data, n, h, w }
}

/// Every parameter has a gradient that is finite and somewhere not zero.
fn assert_learns(parameters: &Named, grads: &GradStore) {
    for (name, var) in parameters {
        let grad = grads.get(var).unwrap_or_else(|| panic!("{name}"));
        let sum: f32 = grad.abs().unwrap().sum_all().unwrap().to_scalar().unwrap();
        assert!(sum.is_finite() && sum > 0.0, "{name}: {sum}");
    }
}

fn count(of: impl FnOnce(&mut Build)) -> usize {
    let mut build = Build::outline();
    of(&mut build);
    build.count
}

const VAE: vae::Arch = vae::Arch {
    image: [1, 28, 28],
    hidden: 400,
    latent: 20,
    likelihood: Likelihood::Bernoulli,
    prior: 1.0,
};

fn cifar10_gan(components: usize) -> gan::Arch {
    gan::Arch {
        latent: 100,
        image: [3, 32, 32],
        components,
        generator: vec![128, 256, 512, 1024],
        discriminator: vec![512, 256],
    }
}

/// science.md §3.2.
#[test]
fn parameter_counts_are_those_of_the_specification() {
    let vae = count(|build| drop(vae::Vae::build(build, &VAE).unwrap()));
    assert_eq!(vae, 652_824);
    for (width, parameters) in [(64, 1_447_168), (91, 2_900_335)] {
        let arch = pixelcnn::Arch {
            side: 4,
            bits: 8,
            width,
        };
        let pixelcnn = count(|build| drop(pixelcnn::PixelCnn::build(build, &arch).unwrap()));
        assert_eq!(pixelcnn, parameters);
    }
    let gan = |components| {
        let arch = cifar10_gan(components);
        count(|build| drop(gan::Gan::build(build, &arch).unwrap()))
    };
    let discriminator = 1_704_961;
    assert_eq!(gan(0), 3_855_232 + discriminator);
    assert_eq!(gan(1000), 3_855_232 + 2 * 1000 * 100 + discriminator);
}

fn unet_parts(arch: &unet::Arch) -> BTreeMap<String, usize> {
    let mut build = Build::outline();
    unet::UNet::build(&mut build, arch).unwrap();
    let mut parts = BTreeMap::new();
    for (name, shape) in &build.shapes {
        let part = name.split('.').next().unwrap_or_default().to_owned();
        *parts.entry(part).or_insert(0) += shape.iter().product::<usize>();
    }
    assert_eq!(parts.values().sum::<usize>(), build.count);
    parts
}

/// science.md §3.2: the total and each part, and its two other sizes.
#[test]
fn the_unet_counts_are_those_of_the_specification() {
    let arch = unet::Arch::cifar10();
    let expected = [
        ("down", 2_684_352),
        ("head", 1_792),
        ("middle", 723_456),
        ("tail", 1_859),
        ("time", 82_432),
        ("up", 5_789_696),
    ];
    let parts = unet_parts(&arch);
    let parts: Vec<_> = parts.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    assert_eq!(parts, expected);
    let total = |arch: &unet::Arch| unet_parts(arch).values().sum::<usize>();
    assert_eq!(total(&arch), 9_283_587);
    let standard = unet::Arch {
        base: 128,
        attention: vec![16],
        ..arch.clone()
    };
    assert_eq!(total(&standard), 35_746_307);
    let rounded = unet::Arch {
        base: 56,
        multiples: vec![1, 2, 2, 2, 2],
        attention: vec![16, 8, 4],
        groups: 8,
        ..arch
    };
    assert_eq!(total(&rounded), 9_265_091);
}

#[test]
fn a_vae_learns() {
    let arch = vae::Arch {
        image: [3, 2, 2],
        hidden: 10,
        latent: 3,
        likelihood: Likelihood::Bernoulli,
        prior: 1.0,
    };
    let mut build = Build::seeded(0);
    let vae = vae::Vae::build(&mut build, &arch).unwrap();
    let [named, _] = build.finish().unwrap();
    let images = normals("images", &[8, 12]).gt(0.0).unwrap();
    let images = images.to_dtype(candle_core::DType::F32).unwrap();
    let noise = normals("noise", &[8, 3]);
    let loss = || vae.loss(&images, &noise, 0.5, 1.0).unwrap();
    assert_learns(&named, &loss().backward().unwrap());

    let before: f32 = loss().to_scalar().unwrap();
    let settings = Settings {
        weight_decay: 0.01,
        ..Settings::default()
    };
    let mut adam = Adam::with(settings, &named).unwrap();
    for step in 1..=200 {
        let flaw = adam.descend(step, 0.01, &named, &loss(), true).unwrap();
        assert_eq!(flaw, None);
    }
    let after: f32 = loss().to_scalar().unwrap();
    assert!(after < 0.8 * before, "{before} {after}");
}

/// The divergence of a VAE against PyTorch's fixture.
#[test]
fn the_divergence_agrees_with_pytorch() {
    let t = crate::nn::gradients::fixture("vae_reparam_kl");
    crate::nn::gradients::compare("vae_reparam_kl", &t, |x| {
        let posterior = vae::Posterior {
            mean: x[0].clone(),
            log_variance: x[1].clone(),
        };
        posterior.divergence(1.0)
    });
}

/// No logit sees its own token or a later one, and it sees all earlier ones
/// that the windows reach.
#[test]
fn a_pixelcnn_is_causal() {
    let arch = pixelcnn::Arch {
        side: 5,
        bits: 2,
        width: 16,
    };
    let mut build = Build::seeded(0);
    let net = pixelcnn::PixelCnn::build(&mut build, &arch).unwrap();
    let [named, _] = build.finish().unwrap();
    // Fresh weights let a corner's signal fall below the biases' last bits.
    for (_, var) in &named {
        let larger = (var.as_tensor() * 8.0).unwrap();
        var.set(&larger).unwrap();
    }
    let tokens = rows("tokens", [2, 5, 4, 2]);
    let logits = |tokens: &Rows| net.logits(tokens).unwrap().data;
    let values = |t: &Tensor| t.to_vec2::<f32>().unwrap();
    let before = values(&logits(&tokens));
    for site in 0..20 {
        let mut changed = values(&tokens.data);
        changed[site][1] += 1.0;
        let data = Tensor::new(changed, &device()).unwrap();
        let after = values(&logits(&Rows {
            data,
            ..tokens.clone()
        }));
        for (other, (before, after)) in before.iter().zip(&after).enumerate() {
            let reached = other > site && other < 20;
            assert!(reached || before == after, "{other} depends on {site}");
            if reached && other == site + 1 {
                assert_ne!(before, after, "{other} sees {site}");
            }
        }
    }
    let classes = (0..40).map(|i| i % 4).collect();
    let loss = net.loss(&tokens, classes).unwrap();
    assert_learns(&named, &loss.backward().unwrap());
}

#[test]
fn both_sides_of_a_gan_learn() {
    let arch = gan::Arch {
        latent: 4,
        image: [6, 1, 1],
        components: 5,
        generator: vec![8, 7, 6],
        discriminator: vec![9],
    };
    let mut build = Build::seeded(0);
    let gan = gan::Gan::build(&mut build, &arch).unwrap();
    let (generator, judge) = (gan.generator, gan.discriminator);
    let [both, buffers] = build.finish().unwrap();
    let of_generator = |(name, _): &(String, _)| name.starts_with(gan::GENERATOR);
    let (g, d): (Named, Named) = both.into_iter().partition(of_generator);
    assert_eq!((g.len(), d.len(), buffers.len()), (14, 4, 4));
    let components = Tensor::new(&[0u32, 1, 2, 3, 4, 4], &device()).unwrap();
    let noise = normals("noise", &[6, 4]);
    let latents = generator.latents(&components, &noise).unwrap();
    let images = generator.forward(&latents, TRAIN).unwrap();
    assert_eq!(images.dims(), [6, 6]);
    let real = Tensor::ones((6, 1), candle_core::DType::F32, &device()).unwrap();
    let loss = bce_with_logits(&judge.forward(&images).unwrap(), &real).unwrap();
    assert_learns(&g, &loss.backward().unwrap());

    let fakes = judge.forward(&images.detach()).unwrap();
    let loss = bce_with_logits(&fakes, &real.zeros_like().unwrap()).unwrap();
    let grads = loss.backward().unwrap();
    assert_learns(&d, &grads);
    assert!(g.iter().all(|(_, var)| grads.get(var).is_none()));

    let used = generator.forward(&latents, Mode::Eval).unwrap();
    assert_eq!(used.dims(), [6, 6]);
    let plain = gan::Arch {
        components: 0,
        ..arch
    };
    let plain = gan::Gan::build(&mut Build::seeded(0), &plain).unwrap();
    assert!(plain.generator.latents(&components, &noise).is_err());
}

#[test]
fn a_unet_learns_and_its_average_follows() {
    let arch = unet::Arch {
        channels: 2,
        side: 8,
        base: 4,
        multiples: vec![1, 2],
        blocks: 1,
        attention: vec![4],
        groups: 2,
        dropout: 0.1,
    };
    let mut build = Build::seeded(0);
    let net = unet::UNet::build(&mut build, &arch).unwrap();
    let [named, _] = build.finish().unwrap();
    let (x, noise) = (rows("x", [3, 8, 8, 2]), rows("noise", [3, 8, 8, 2]));
    let run = |mode| net.forward(&x, &[0, 7, 999], mode).unwrap();
    let y = run(TRAIN);
    assert_eq!((y.data.dims(), y.n, y.h, y.w), (&[192, 2][..], 3, 8, 8));
    let loss = net.loss(&x, &[0, 7, 999], &noise.data, TRAIN).unwrap();
    let grads = loss.backward().unwrap();
    assert_learns(&named, &grads);

    let values = |rows: &Rows| rows.data.to_vec2::<f32>().unwrap();
    assert_eq!(values(&y), values(&run(TRAIN)), "dropout follows the step");
    let later = Mode::Train { seed: 3, step: 1 };
    assert_ne!(values(&y), values(&run(later)));
    assert_ne!(values(&y), values(&run(Mode::Eval)));

    let before = values(&run(Mode::Eval));
    let mut average = Ema::new(0.75, &named).unwrap();
    let loss = net.loss(&x, &[0, 7, 999], &noise.data, TRAIN).unwrap();
    let mut adam = Adam::new(&named).unwrap();
    let flaw = adam.descend(1, 0.1, &named, &loss, true);
    assert_eq!(flaw.unwrap(), None);
    average.update(&named).unwrap();
    let after = values(&run(Mode::Eval));
    average.write_to(&named).unwrap();
    let averaged = values(&run(Mode::Eval));
    assert_ne!(before, averaged);
    assert_ne!(after, averaged);
}
