//! `diffusion`: trains DDPM on the images. What is kept is the moving average
//! of the parameters.

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;
use ablate_proto::stage::{DiffusionNet, DiffusionSpec};
use candle_core::{Result as Tensors, Tensor};

use super::training::{self, Batch, Group, Objective, Plan};
use super::{parameters, spec};
use crate::data::dataset;
use crate::data::images::Images;
use crate::models::diffusion::{Arch, Diffusion};
use crate::models::file::Model;
use crate::models::{denoiser, unet};
use crate::nn::device::device;
use crate::nn::layer::Rows;
use crate::nn::mode::Mode;
use crate::nn::rng::stream;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Diffusion);
    let train = dataset::read(context.input("data")?)?.train;
    let arch = arch(&spec, &train)?;
    let model = Model::<Diffusion>::fresh(arch, context.seed())?;
    let images = train
        .rows()
        .and_then(|rows| rows.data.reshape((train.n, ())));
    let objective = Denoising {
        group: [Group::all(model.parameters.clone())],
        seed: context.seed(),
        images: images.or_bug("preparing the training images")?,
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
        average: Some(spec.ema),
    };
    if let Some(average) = training::train(context, plan, &objective)? {
        let kept = average.write_to(&model.parameters);
        kept.or_bug("keeping the averages")?;
    }
    model.write(context.out())?;
    Ok(vec![parameters(model.count())])
}

fn arch(spec: &DiffusionSpec, train: &Images) -> Result<Arch, Failure> {
    if train.h != train.w {
        let (h, w) = (train.h, train.w);
        let why = format!("images of {h}×{w} are not square: crop them for a diffusion model");
        return Err(Failure::config(why));
    }
    let (channels, side) = (train.channels, train.h);
    let net = match spec.net {
        DiffusionNet::Unet => denoiser::Arch::Unet(unet::Arch {
            channels,
            side,
            base: spec.base,
            multiples: spec.multiples.clone(),
            blocks: spec.blocks,
            attention: spec.attention.clone(),
            groups: spec.groups,
            dropout: spec.dropout,
        }),
        DiffusionNet::Dense => denoiser::Arch::Dense(denoiser::Dense {
            channels,
            side,
            time: spec.time,
            hidden: spec.hidden.clone(),
        }),
    };
    Ok(Arch {
        net,
        timesteps: spec.timesteps,
        beta_start: spec.beta_start,
        beta_end: spec.beta_end,
    })
}

/// The squared error of the noise found at a timestep drawn for each image.
struct Denoising<'a> {
    model: &'a Model<Diffusion>,
    group: [Group; 1],
    seed: u64,
    /// `[n, h·w·c]`, as rows of sites.
    images: Tensor,
}

impl Objective for Denoising<'_> {
    fn groups(&self) -> &[Group] {
        &self.group
    }

    fn loss(&self, _: usize, step: u64, batch: &Batch) -> Tensors<Tensor> {
        let net = &self.model.net;
        let [channels, side] = self.model.arch.net.image();
        let images = batch.of(&self.images)?;
        let n = images.dim(0)?;
        let rows = Rows {
            data: images.reshape((n * side * side, channels))?,
            n,
            h: side,
            w: side,
        };
        let mut rng = stream(self.seed, "diffusion", step);
        let steps = (0..n).map(|_| rng.below(net.timesteps() as u64));
        let steps: Vec<u32> = steps.filter_map(|t| u32::try_from(t).ok()).collect();
        let noise = rng.normals(rows.data.elem_count());
        let noise = Tensor::from_vec(noise, rows.data.shape(), &device())?;
        let seed = self.seed;
        net.loss(&rows, &steps, &noise, Mode::Train { seed, step })
    }

    fn curves(&self) -> Result<Vec<MetricRow>, Failure> {
        Ok(Vec::new())
    }
}
