//! The stages, one file a kind and one line in `of`. A stage reads its inputs'
//! folders, writes its artefact's files, and returns its final metrics; the
//! same job twice gives the same bytes.

mod arvm;
mod autoencoder;
mod command;
mod count;
pub(crate) mod dataset;
mod decoder;
mod diffusion;
mod encode;
mod evaluate;
pub(crate) mod features;
mod gan;
mod gather;
mod generate;
mod likelihood;
mod neighbours;
mod noop;
mod pixelcnn;
mod reconstruction;
mod resample;
mod sample;
mod training;
mod vae;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use ablate_proto::stage::StageKind;

use crate::runner::context::Context;

/// Runs a stage.
pub(crate) type Run = fn(&mut Context) -> Result<Vec<MetricRow>, Failure>;

/// The code of a kind.
pub(crate) fn of(kind: StageKind) -> Run {
    match kind {
        StageKind::Dataset => dataset::run,
        StageKind::Autoencoder => autoencoder::run,
        StageKind::Decoder => decoder::run,
        StageKind::Encode => encode::run,
        StageKind::Count => count::run,
        StageKind::Arvm => arvm::run,
        StageKind::Pixelcnn => pixelcnn::run,
        StageKind::Sample => sample::run,
        StageKind::Vae => vae::run,
        StageKind::Gan => gan::run,
        StageKind::Diffusion => diffusion::run,
        StageKind::Generate => generate::run,
        StageKind::Resample => resample::run,
        StageKind::Features => features::run,
        StageKind::Evaluate => evaluate::run,
        StageKind::Command => command::run,
        StageKind::Noop => noop::run,
        StageKind::Gather => gather::run,
        StageKind::Neighbours => neighbours::run,
        StageKind::Likelihood => likelihood::run,
    }
}

/// The row of how many values a model trains.
fn parameters(count: usize) -> MetricRow {
    MetricRow::scalar("parameters", "", Direction::Neutral, count as f64)
}

/// Takes the spec of one kind out of a context.
macro_rules! spec {
    ($context:expr, $kind:ident) => {
        match $context.spec() {
            ablate_proto::stage::StageSpec::$kind(spec) => spec.clone(),
            other => {
                let (expected, got) = (ablate_proto::stage::StageKind::$kind, other.kind());
                let why = format!("the stage {expected} was given the spec of a {got}");
                return Err(ablate_proto::failure::Failure::bug(why));
            }
        }
    };
}
use spec;

#[cfg(test)]
mod tests;
