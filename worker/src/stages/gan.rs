//! `gan`: trains a generator against a discriminator. Each step draws latents,
//! moves the generator to have its images taken for real, then the
//! discriminator to tell those same images from a batch of real ones.

use std::cell::RefCell;

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;
use candle_core::{DType, Result as Tensors, Tensor, Var, bail};

use super::training::{self, Batch, Group, Objective, Plan};
use super::{parameters, spec};
use crate::data::dataset;
use crate::models::file::Model;
use crate::models::gan::{Arch, GENERATOR, Gan};
use crate::nn::adam::Settings;
use crate::nn::device::device;
use crate::nn::loss::bce_with_logits;
use crate::nn::mode::Mode;
use crate::nn::rng::stream;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Gan);
    let train = dataset::read(context.input("data")?)?.train;
    if train.n < 2 || spec.batch < 2 {
        let why = "a GAN needs two images and a `batch` of two: it normalises over a batch";
        return Err(Failure::config(why));
    }
    let arch = Arch {
        latent: spec.latent,
        image: [train.channels, train.h, train.w],
        components: match (spec.mixture, spec.components) {
            (false, _) => 0,
            (true, 0) => train.n,
            (true, some) => some,
        },
        generator: spec.generator.clone(),
        discriminator: spec.discriminator.clone(),
    };
    let model = Model::<Gan>::fresh(arch, context.seed())?;
    let images = Tensor::from_slice(&train.data, (train.n, train.size()), &device());
    let optimiser = Settings {
        betas: [spec.beta1, 0.999],
        ..Settings::default()
    };
    let objective = Game {
        groups: groups(&model, optimiser),
        seed: context.seed(),
        images: images.or_bug("preparing the training images")?,
        fakes: RefCell::new(None),
        model: &model,
    };
    let plan = Plan {
        steps: spec.steps,
        batch: spec.batch,
        examples: train.n,
        full_batches: true,
        learning_rate: spec.learning_rate,
        schedule: spec.schedule,
        log_every: spec.log_every,
        average: None,
    };
    training::train(context, plan, &objective)?;
    model.write(context.out())?;
    Ok(vec![parameters(model.count())])
}

/// The generator's, then the discriminator's.
fn groups(model: &Model<Gan>, optimiser: Settings) -> [Group; 2] {
    let (generator, discriminator) = model
        .parameters
        .iter()
        .cloned()
        .partition(|(name, _)| name.starts_with(GENERATOR));
    let group = |loss, parameters| Group {
        loss,
        parameters,
        optimiser,
    };
    [
        group("generator_loss", generator),
        group("discriminator_loss", discriminator),
    ]
}

struct Game<'a> {
    model: &'a Model<Gan>,
    groups: [Group; 2],
    seed: u64,
    /// `[n, pixels]`.
    images: Tensor,
    /// A copy of what the generator made in this step, without a graph.
    fakes: RefCell<Option<Tensor>>,
}

impl Game<'_> {
    fn latents(&self, n: usize, step: u64) -> Tensors<Tensor> {
        let arch = &self.model.arch;
        let mut rng = stream(self.seed, "latents", step);
        let noise = rng.normals(n * arch.latent);
        let noise = Tensor::from_vec(noise, (n, arch.latent), &device())?;
        if arch.components == 0 {
            return Ok(noise);
        }
        let components = (0..n).map(|_| rng.below(arch.components as u64));
        let components: Vec<u32> = components.filter_map(|k| u32::try_from(k).ok()).collect();
        let components = Tensor::from_vec(components, n, &device())?;
        self.model.net.generator.latents(&components, &noise)
    }

    fn of_generator(&self, step: u64, batch: &Batch) -> Tensors<Tensor> {
        let n = batch.count(self.images.dim(0)?);
        let train = Mode::Train {
            seed: self.seed,
            step,
        };
        let latents = self.latents(n, step)?;
        let fakes = self.model.net.generator.forward(&latents, train)?;
        *self.fakes.borrow_mut() = Some(fakes.copy()?.detach());
        let verdict = self.model.net.discriminator.forward(&fakes)?;
        bce_with_logits(&verdict, &Tensor::ones((n, 1), DType::F32, &device())?)
    }

    /// The mean of the losses on real images and on fakes.
    fn of_discriminator(&self, batch: &Batch) -> Tensors<Tensor> {
        let Some(fakes) = self.fakes.take() else {
            bail!("the generator comes first");
        };
        let real = batch.of(&self.images)?;
        let n = real.dim(0)?;
        let both = Tensor::cat(&[&real, &fakes], 0)?;
        let verdict = self.model.net.discriminator.forward(&both)?;
        let truth: Vec<f32> = (0..2 * n).map(|i| if i < n { 1.0 } else { 0.0 }).collect();
        bce_with_logits(&verdict, &Tensor::from_vec(truth, (2 * n, 1), &device())?)
    }
}

impl Objective for Game<'_> {
    fn groups(&self) -> &[Group] {
        &self.groups
    }

    fn buffers(&self) -> &[(String, Var)] {
        &self.model.buffers
    }

    fn loss(&self, group: usize, step: u64, batch: &Batch) -> Tensors<Tensor> {
        match group {
            0 => self.of_generator(step, batch),
            _ => self.of_discriminator(batch),
        }
    }

    fn curves(&self) -> Result<Vec<MetricRow>, Failure> {
        Ok(Vec::new())
    }
}
