//! The stages that train models of images, and those that draw from them.

use ablate_proto::stage::{DiffusionSpec, GanSpec, GenerateSpec, PixelcnnSpec, VaeSpec};

use super::*;

pub(super) fn pixelcnn() -> PixelcnnSpec {
    PixelcnnSpec {
        width: 6,
        steps: 6,
        batch: 5,
        log_every: 1,
        ..PixelcnnSpec::default()
    }
}

pub(super) fn vae() -> VaeSpec {
    VaeSpec {
        hidden: 9,
        latent: 3,
        steps: 6,
        batch: 5,
        log_every: 1,
        ..VaeSpec::default()
    }
}

pub(super) fn gan() -> GanSpec {
    GanSpec {
        latent: 4,
        generator: vec![8, 7],
        discriminator: vec![9],
        steps: 6,
        batch: 5,
        log_every: 1,
        ..GanSpec::default()
    }
}

pub(super) fn diffusion() -> DiffusionSpec {
    DiffusionSpec {
        base: 4,
        multiples: vec![1, 2],
        blocks: 1,
        attention: vec![4],
        groups: 2,
        timesteps: 8,
        ema: 0.9,
        steps: 6,
        batch: 5,
        log_every: 1,
        ..DiffusionSpec::default()
    }
}

/// Draws from a model and measures what was drawn.
fn drawn(bench: &Bench, model: &str) -> Metrics {
    let spec = GenerateSpec {
        // Two chunks.
        count: 130,
        ..GenerateSpec::default()
    };
    let samples = format!("samples of {model}");
    bench.run(&samples, spec, &[("model", model)]);
    let inputs = [("data", "data"), ("samples", samples.as_str())];
    let name = format!("evaluated {model}");
    bench.run(&name, EvaluateSpec::default(), &inputs)
}

#[test]
fn images_are_drawn_from_every_model_the_same_ones_twice() {
    let run = || {
        let bench = prepared();
        bench.run("vae", vae(), &[("data", "data")]);
        bench.run("gan", gan(), &[("data", "data")]);
        let noise = GanSpec {
            mixture: false,
            ..gan()
        };
        bench.run("noise", noise, &[("data", "data")]);
        bench.run("diffusion", diffusion(), &[("data", "data")]);
        let models = ["vae", "gan", "noise", "diffusion"];
        let metrics = models.map(|model| drawn(&bench, model));
        let names = models.map(|model| format!("samples of {model}"));
        (metrics, names.map(|name| bench.bytes(&name)))
    };
    let (first, second) = (run(), run());
    assert!(first == second);
    for metrics in first.0 {
        assert!(metrics.get("uniqueness") > 0.9);
        assert!(metrics.get("nearest_psnr_mean") > 3.0);
        let exact = metrics.0.iter().find(|row| row.name == "exact_latent_rate");
        assert_eq!(exact.unwrap().value, None, "nothing was decoded");
    }
}

#[test]
fn a_pixelcnn_is_a_prior() {
    let bench = prepared();
    let spec = PixelcnnSpec {
        width: 24,
        steps: 150,
        batch: 12,
        learning_rate: 3e-3,
        ..pixelcnn()
    };
    let trained = bench.run("pixelcnn", spec, &[("codes", "codes")]);
    assert!(trained.get("nll") < 0.3, "{trained:?}");
    let inputs = [("prior", "pixelcnn"), ("decoder", "ae")];
    let spec = SampleSpec {
        count: 60,
        ..SampleSpec::default()
    };
    bench.run("sample", spec, &inputs);
    let inputs = [("data", "data"), ("samples", "sample"), ("codes", "codes")];
    let metrics = bench.run("evaluated", EvaluateSpec::default(), &inputs);
    // It has learned twelve grids by heart.
    assert!(metrics.get("exact_latent_rate") > 0.3, "{metrics:?}");
}

#[test]
fn a_vae_learns_to_reconstruct() {
    let bench = prepared();
    let spec = VaeSpec {
        hidden: 32,
        latent: 8,
        noise_scale: 0.1,
        steps: 400,
        learning_rate: 3e-3,
        log_every: 400,
        ..vae()
    };
    let trained = bench.run("vae", spec, &[("data", "data")]);
    assert!(trained.get("psnr_clean") > 14.0, "{trained:?}");
}

/// Far from its first images, near the training images' mean and spread.
#[test]
fn a_diffusion_model_learns_the_data() {
    let bench = prepared();
    let spec = DiffusionSpec {
        base: 8,
        timesteps: 50,
        beta_end: 0.2,
        dropout: 0.0,
        steps: 400,
        batch: 12,
        learning_rate: 3e-3,
        log_every: 400,
        ..diffusion()
    };
    let few = DiffusionSpec {
        steps: 1,
        ..spec.clone()
    };
    bench.run("few", few, &[("data", "data")]);
    bench.run("many", spec, &[("data", "data")]);
    let psnr = |model| drawn(&bench, model).get("nearest_psnr_mean");
    let (few, many) = (psnr("few"), psnr("many"));
    assert!(many > few + 2.0, "{few} {many}");
}

#[test]
fn models_that_cannot_be_are_refused() {
    let bench = prepared();
    let failed = |spec: StageSpec, inputs: &[(&str, &str)]| {
        let job = bench.job("refused", spec, inputs);
        execute(job, None).result.unwrap_err()
    };
    let odd = DiffusionSpec {
        multiples: vec![1; 5],
        ..diffusion()
    };
    let failure = failed(odd.into(), &[("data", "data")]);
    assert_eq!(failure.class, FailureClass::Config);
    assert!(failure.cause.contains("5 levels"), "{failure}");
    let lone = GanSpec { batch: 1, ..gan() };
    let failure = failed(lone.into(), &[("data", "data")]);
    assert_eq!(failure.class, FailureClass::Config);
    // A model of another family.
    let failure = failed(GenerateSpec::default().into(), &[("model", "ae")]);
    assert!(failure.cause.contains("autoencoder"), "{failure}");
}
