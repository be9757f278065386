//! `decoder`: a fresh decoder on the frozen encoder of another model, under
//! its own noise. The artefact is a whole model: that encoder with the new
//! decoder.

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;

use super::reconstruction::{self, Reconstruction};
use super::spec;
use super::training::{self, Plan};
use crate::data::dataset;
use crate::models::autoencoder::Autoencoder;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Decoder);
    let train = dataset::read(context.input("data")?)?.train;
    let encoder = Autoencoder::read(context.input("encoder")?)?;
    encoder.arch.check_images(train.shape())?;
    let mut model = encoder
        .with_fresh_decoder(context.seed())
        .or_bug("building the model")?;
    model.arch.noise = spec.noise_spec();
    let objective = Reconstruction::of_decoder(&model, &train, context.seed())
        .or_bug("encoding the training images")?;
    let plan = Plan {
        steps: spec.steps,
        batch: spec.batch,
        examples: train.n,
        learning_rate: spec.learning_rate,
        schedule: spec.schedule,
        log_every: spec.log_every,
        full_batches: false,
        average: None,
    };
    training::train(context, plan, &objective)?;
    model.write(context.out())?;
    reconstruction::finals(&objective)
}
