//! `evaluate`: measures a model, or samples, against the data, and draws the
//! pictures that show it.

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;
use ablate_proto::stage::{EvaluateSpec, Nearness, Shown};

use super::features::{INCEPTION, network};
use super::spec;
use crate::data::dataset::{self, Dataset};
use crate::data::images::Images;
use crate::data::picture::{self, Sheet};
use crate::data::samples::Samples;
use crate::data::tokens::Tokens;
use crate::metrics::{self, Budget, KnownFeatures, Neighbours, Scores, Stored, Subject, View};
use crate::models::autoencoder::{Autoencoder, CHUNK};
use crate::models::inception;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

/// Cells in one row of a picture.
const COLUMNS: usize = 12;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Evaluate);
    let dataset = compared(context)?;
    let mut rows = Vec::new();
    let expected = beats(context, &spec, &dataset);
    let scores = scores(context, &spec, &dataset)?;
    let scores = scores.as_ref();
    if context.optional_input("model").is_some() {
        rows.extend(context.beating(expected, |context| model(context, &spec, &dataset, scores))?);
    }
    context.check_stop(0)?;
    if context.optional_input("samples").is_some() {
        rows.extend(context.beating(expected, |context| {
            samples(context, &spec, &dataset, scores)
        })?);
    }
    if rows.is_empty() {
        let why = "evaluate needs an input `model` or `samples`: there is nothing to measure";
        return Err(Failure::config(why));
    }
    context.progress(expected, expected, Vec::new())?;
    Ok(rows)
}

/// The images that samples are compared with.
pub(super) fn compared(context: &Context) -> Result<Dataset, Failure> {
    let mut dataset = dataset::read(context.input("data")?)?;
    if let Some(folder) = context.optional_input("held_out") {
        let held_out = dataset::read(folder)?.train;
        check_size("held-out images", &held_out, &dataset.train)?;
        dataset.held_out = Some(held_out);
    }
    Ok(dataset)
}

/// What FID and its kin are computed with, where a sweep names weights.
fn scores(
    context: &Context,
    spec: &EvaluateSpec,
    dataset: &Dataset,
) -> Result<Option<Scores>, Failure> {
    if spec.inception.is_empty() {
        return Ok(None);
    }
    let view = View {
        weights: spec.inception_digest.clone(),
        mode: spec.fid_mode,
    };
    let known = |role| match context.optional_input(role) {
        Some(folder) => Stored::open(folder, &view),
        None => Ok(None),
    };
    let known = KnownFeatures {
        train: known("features")?,
        samples: known("sample_features")?,
    };
    let of_train = |train: &Stored| train.check(dataset.train.n, false);
    known.train.as_ref().map_or(Ok(()), of_train)?;
    let reads = |role| context.optional_input(role).is_some();
    let sees = reads("model") || known.train.is_none() || known.samples.is_none();
    let network = (sees && !view.weights.is_empty()).then(|| network(context));
    let scores = Scores::new(network.transpose()?, spec.fid_mode, spec.fid_unequal);
    Ok(Some(scores.with_known(known)))
}

/// About how many pieces the work has.
fn beats(context: &Context, spec: &EvaluateSpec, dataset: &Dataset) -> u64 {
    let chunks = (dataset.train.n / CHUNK + 1) as u64;
    let mut beats = 1;
    if context.optional_input("model").is_some() {
        beats += chunks * (spec.noise_draws as u64 + 3) + 2 * spec.overlap_pairs as u64;
    }
    if context.optional_input("samples").is_some() {
        beats += 1 + chunks;
    }
    if context.optional_input(INCEPTION).is_some() {
        let reads = |role| context.optional_input(role).is_some();
        let train = !reads("features");
        let samples = reads("samples") && !reads("sample_features");
        let seen = u64::from(train) + u64::from(samples) + 2 * u64::from(reads("model"));
        beats += seen * (dataset.train.n / inception::BATCH + 1) as u64;
    }
    beats
}

fn model(
    context: &Context,
    spec: &EvaluateSpec,
    dataset: &Dataset,
    scores: Option<&Scores>,
) -> Result<Vec<MetricRow>, Failure> {
    let model = Autoencoder::read(context.input("model")?)?;
    model.arch.check_images(&dataset.train)?;
    let budget = Budget {
        noise_draws: spec.noise_draws,
        overlap_draws: spec.overlap_draws,
        overlap_pairs: spec.overlap_pairs,
        memorised_db: spec.memorised_db,
        shown: spec.grid,
    };
    let held_out = dataset.held_out.as_ref();
    let subject = Subject::new(&model, &dataset.train, held_out, context.seed(), budget)
        .or_bug("reconstructing the training images")?;
    let subject = subject.with_scores(scores);
    let rows = metrics::of_model(&subject)?;
    // Originals, their clean and their noisy reconstructions below each other.
    let shown: Vec<usize> = (0..spec.grid.min(dataset.train.n)).collect();
    let mut sheet = Sheet::new();
    for chunk in shown.chunks(COLUMNS) {
        let noisy = subject.shown.as_ref();
        for images in [Some(&dataset.train), Some(&subject.clean), noisy] {
            let images = images.unwrap_or(&subject.clean);
            sheet.push(chunk.iter().map(|i| images.image(*i)).collect());
        }
    }
    let path = context.out().join("reconstructions.png");
    picture::write(&path, &sheet, &dataset.train)?;
    Ok(rows)
}

fn samples(
    context: &Context,
    spec: &EvaluateSpec,
    dataset: &Dataset,
    scores: Option<&Scores>,
) -> Result<Vec<MetricRow>, Failure> {
    let Samples { images, tokens } = Samples::read(context.input("samples")?)?;
    check_size("samples", &images, &dataset.train)?;
    scores.map_or(Ok(()), |scores| scores.check_samples(images.n))?;
    let codes = context.optional_input("codes");
    let codes = codes.map(Tokens::read).transpose()?;
    let encoder = context.optional_input("encoder");
    let encoder = encoder.map(Autoencoder::read).transpose()?;
    if let Some(encoder) = &encoder {
        encoder.arch.check_images(&dataset.train)?;
    }
    let samples = metrics::Samples::known(
        neighbours(context, spec, &images, dataset)?,
        &images,
        tokens.as_ref(),
        &dataset.train,
        codes.as_ref(),
        dataset.held_out.as_ref(),
        spec.memorised_db,
    );
    let samples = samples.with_encoder(encoder.as_ref());
    let samples = samples.with_ssim(spec.nearest == Nearness::Ssim);
    let samples = samples.with_scores(scores);
    let rows = metrics::of_samples(&samples)?;
    // Pairs side by side: a sample, then its nearest training image.
    let mut shown: Vec<usize> = (0..images.n).collect();
    if spec.shown == Shown::Nearest {
        let nearness = |i: &usize| match samples.similar() {
            None => samples.nearest[*i].psnr,
            Some(similar) => similar[*i].ssim,
        };
        shown.sort_by(|a, b| nearness(b).total_cmp(&nearness(a)));
    }
    shown.truncate(spec.grid);
    let mut sheet = Sheet::new();
    for chunk in shown.chunks(COLUMNS / 2) {
        let pair = |i: &usize| {
            let nearest = match samples.similar() {
                None => samples.nearest[*i].index,
                Some(similar) => similar[*i].index,
            };
            [images.image(*i), dataset.train.image(nearest)]
        };
        sheet.push(chunk.iter().flat_map(pair).collect());
    }
    let path = context.out().join("nearest.png");
    picture::write(&path, &sheet, &dataset.train)?;
    Ok(rows)
}

/// What the tasks of shards found, or what is found now.
fn neighbours(
    context: &Context,
    spec: &EvaluateSpec,
    images: &Images,
    dataset: &Dataset,
) -> Result<Neighbours, Failure> {
    let by_ssim = spec.nearest == Nearness::Ssim;
    let held_out = dataset.held_out.as_ref();
    let shards = context.numbered_inputs("neighbours");
    let Some(found) = Neighbours::read(&shards)? else {
        return Ok(Neighbours::find(images, &dataset.train, held_out, by_ssim));
    };
    if !found.is_of(images.n, dataset.train.n, held_out.is_some(), by_ssim) {
        let n = images.n;
        let why = format!("what the shards found is not the nearest images of these {n} samples");
        return Err(Failure::data(why));
    }
    Ok(found)
}

pub(super) fn check_size(what: &str, images: &Images, train: &Images) -> Result<(), Failure> {
    if images.shape()[1..] != train.shape()[1..] {
        let (a, b) = (images.shape(), train.shape());
        let why = format!("{what} of shape {a:?} cannot be compared with images of {b:?}");
        return Err(Failure::config(why));
    }
    Ok(())
}
