//! `vae`: trains a variational autoencoder on the images, in [0, 1].

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use ablate_proto::stage::{Likelihood, Reading};
use candle_core::{Result as Tensors, Tensor};

use super::training::{self, Batch, Group, Objective, Plan};
use super::{parameters, spec};
use crate::data::dataset;
use crate::data::images::Images;
use crate::metrics;
use crate::models::file::Model;
use crate::models::vae::{Arch, Vae};
use crate::nn::device::device;
use crate::nn::rng::stream;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

/// Curves are measured on at most so many training images, the first ones.
const CURVE_IMAGES: usize = 1000;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Vae);
    let train = dataset::read(context.input("data")?)?.train;
    let arch = Arch {
        image: [train.channels, train.h, train.w],
        hidden: spec.hidden,
        latent: spec.latent,
        likelihood: spec.likelihood,
        prior: match spec.reading {
            Reading::Noise => 1.0,
            Reading::Prior => spec.noise_scale,
        },
    };
    let model = Model::<Vae>::fresh(arch, context.seed())?;
    let objective = Bound {
        group: [Group::all(model.parameters.clone())],
        seed: context.seed(),
        noise_scale: match spec.reading {
            Reading::Noise => spec.noise_scale,
            Reading::Prior => 1.0,
        },
        variance: spec.variance,
        images: targets(&train, spec.likelihood).or_bug("preparing the training images")?,
        curve_images: train.first(CURVE_IMAGES),
        model: &model,
    };
    let plan = Plan {
        steps: spec.steps,
        batch: spec.batch,
        examples: train.n,
        full_batches: false,
        learning_rate: spec.learning_rate,
        schedule: spec.schedule,
        log_every: spec.log_every,
        average: None,
    };
    training::train(context, plan, &objective)?;
    model.write(context.out())?;
    let mut rows = objective.curves()?;
    rows.push(parameters(model.count()));
    Ok(rows)
}

/// `[n, pixels]`, in [0, 1] for a Bernoulli likelihood.
fn targets(images: &Images, likelihood: Likelihood) -> Tensors<Tensor> {
    let data: Vec<f32> = match likelihood {
        Likelihood::Bernoulli => images.data.iter().map(|x| 0.5 * (x + 1.0)).collect(),
        Likelihood::Gaussian => images.data.clone(),
    };
    Tensor::from_vec(data, (images.n, images.size()), &device())
}

/// The negative bound on the likelihood, in nats an image.
struct Bound<'a> {
    model: &'a Model<Vae>,
    group: [Group; 1],
    seed: u64,
    noise_scale: f64,
    variance: f64,
    images: Tensor,
    curve_images: Images,
}

impl Bound<'_> {
    /// PSNR of the means' reconstructions, and the mean divergence.
    fn measure(&self) -> Tensors<[f64; 2]> {
        let (net, originals) = (&self.model.net, &self.curve_images);
        let arch = &self.model.arch;
        let posterior = net.encode(&targets(originals, arch.likelihood)?)?;
        let decoded = net.decode(&posterior.mean)?;
        let images = super::generate::images(&decoded, arch.likelihood, originals)?;
        let divergence = posterior
            .divergence(arch.prior)?
            .mean_all()?
            .to_scalar::<f32>()?;
        Ok([metrics::psnr(&images, originals), divergence.into()])
    }
}

impl Objective for Bound<'_> {
    fn groups(&self) -> &[Group] {
        &self.group
    }

    fn loss(&self, _: usize, step: u64, batch: &Batch) -> Tensors<Tensor> {
        let images = batch.of(&self.images)?;
        let shape = (images.dim(0)?, self.model.arch.latent);
        let noise = stream(self.seed, "noise", step).normals(shape.0 * shape.1);
        let noise = Tensor::from_vec(noise, shape, &device())?;
        let (scale, variance) = (self.noise_scale, self.variance);
        self.model.net.loss(&images, &noise, scale, variance)
    }

    fn curves(&self) -> Result<Vec<MetricRow>, Failure> {
        let [psnr, divergence] = self.measure().or_bug("measuring the model")?;
        let n = self.curve_images.n;
        Ok(vec![
            MetricRow::scalar("psnr_clean", "dB", Direction::Up, psnr).over(n),
            MetricRow::scalar("kl", "nats", Direction::Neutral, divergence).over(n),
        ])
    }
}
