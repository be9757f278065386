//! What is measured (science.md §5), one file a family and one line below.
//!
//! Rows carry name, unit, direction and n, so that the report needs nothing
//! for a new metric. What cannot be measured is a row that says why.

mod binary;
mod bound;
mod codes;
mod distance;
mod distribution;
mod frechet;
mod inception;
mod inception_score;
mod linear;
mod memorisation;
mod nearest;
mod neighbours;
mod overlap;
#[cfg(test)]
mod parity;
mod prdc;
mod psnr;
mod random_features;
mod samples;
mod similarity;
mod ssim;
mod stored;
mod subject;
mod swd;
mod threshold;
mod vectors;

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;

use crate::data::images::Images;
pub(crate) use inception::{KnownFeatures, Scores};
pub(crate) use linear::{Features, site_means};
pub(crate) use nearest::Nearest;
pub(crate) use neighbours::Neighbours;
#[cfg(test)]
pub(crate) use parity::formula;
pub(crate) use samples::Samples;
pub(crate) use stored::{Stored, StoredWriter, View};
pub(crate) use subject::{Budget, Subject};

type Rows = Result<Vec<MetricRow>, Failure>;

/// A family of metrics of a model.
struct ModelMetric {
    measure: fn(&Subject<'_>) -> Rows,
    /// Cheap enough for curves over training.
    curve: bool,
}

const MODEL: &[ModelMetric] = &[
    ModelMetric {
        measure: psnr::reconstruction,
        curve: true,
    },
    ModelMetric {
        measure: binary::binary_rates,
        curve: true,
    },
    ModelMetric {
        measure: binary::histogram,
        curve: true,
    },
    ModelMetric {
        measure: distance::distances,
        curve: true,
    },
    ModelMetric {
        measure: overlap::overlaps,
        curve: true,
    },
    ModelMetric {
        measure: codes::codes,
        curve: true,
    },
    ModelMetric {
        measure: psnr::held_out,
        curve: false,
    },
    ModelMetric {
        measure: ssim::reconstruction,
        curve: false,
    },
    ModelMetric {
        measure: distribution::of_reconstructions,
        curve: false,
    },
    ModelMetric {
        measure: inception::of_reconstructions,
        curve: false,
    },
    ModelMetric {
        measure: psnr::decoder_ceiling,
        curve: false,
    },
    ModelMetric {
        measure: bound::bound_and_oracle,
        curve: false,
    },
];

/// Families of metrics of generated images.
const SAMPLES: &[fn(&Samples<'_>) -> Rows] = &[
    memorisation::memorisation,
    memorisation::exact_latents,
    memorisation::chance,
    memorisation::diversity,
    threshold::curves,
    similarity::nearest,
    distribution::distances,
    inception::of_samples,
];

/// Everything that can be said of a model.
pub(crate) fn of_model(subject: &Subject<'_>) -> Rows {
    collect(MODEL.iter().map(|metric| (metric.measure)(subject)))
}

/// Mean PSNR of reconstructions, in dB (F9).
pub(crate) fn psnr(images: &Images, originals: &Images) -> f64 {
    psnr::average(images, originals)
}

/// What is followed while a model trains.
pub(crate) fn curves(subject: &Subject<'_>) -> Rows {
    let cheap = MODEL.iter().filter(|metric| metric.curve);
    collect(cheap.map(|metric| (metric.measure)(subject)))
}

/// Everything that can be said of generated images.
pub(crate) fn of_samples(samples: &Samples<'_>) -> Rows {
    collect(SAMPLES.iter().map(|measure| measure(samples)))
}

fn collect(families: impl Iterator<Item = Rows>) -> Rows {
    let families: Result<Vec<_>, _> = families.collect();
    Ok(families?.into_iter().flatten().collect())
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len();
    values.sum::<f64>() / n as f64
}
