//! `autoencoder`: trains BL-AE or the plain AE under latent noise.

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;

use super::reconstruction::{self, Reconstruction};
use super::spec;
use super::training::{self, Plan};
use crate::data::dataset;
use crate::models::autoencoder::{Arch, Autoencoder};
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Autoencoder);
    let train = dataset::read(context.input("data")?)?.train;
    let arch = Arch::new(&spec, &train)?;
    let model = Autoencoder::fresh(arch, context.seed()).or_bug("building the model")?;
    let objective = Reconstruction::of_all(&model, &train, context.seed())
        .or_bug("preparing the training images")?;
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
