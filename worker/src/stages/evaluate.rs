//! `evaluate`: measures a model, or samples, against the data, and draws the
//! pictures that show it.

use std::borrow::Cow;

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;
use ablate_proto::stage::{EvaluateSpec, Nearness, Shown};

use super::features::{INCEPTION, network};
use super::spec;
use crate::data::image_file::ImageFile;
use crate::data::picture::{self, Sheet};
use crate::data::pictures::Pictures;
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
    let compared = compared(context)?;
    let mut rows = Vec::new();
    let expected = beats(context, &spec, &compared);
    let scores = scores(context, &spec, &compared)?;
    let scores = scores.as_ref();
    if context.optional_input("model").is_some() {
        rows.extend(context.beating(expected, |context| model(context, &spec, &compared, scores))?);
    }
    context.check_stop(0)?;
    if context.optional_input("samples").is_some() {
        rows.extend(context.beating(expected, |context| {
            samples(context, &spec, &compared, scores)
        })?);
    }
    if rows.is_empty() {
        let why = "evaluate needs an input `model` or `samples`: there is nothing to measure";
        return Err(Failure::config(why));
    }
    context.progress(expected, expected, Vec::new())?;
    Ok(rows)
}

/// The images that models and samples are compared with, in their files.
pub(super) struct Compared {
    pub(super) train: ImageFile,
    /// `None` when no images are kept back.
    held_out: Option<ImageFile>,
}

impl Compared {
    pub(super) fn held_out(&self) -> Option<&dyn Pictures> {
        let held_out = self.held_out.as_ref();
        held_out.map(|images| images as &dyn Pictures)
    }
}

pub(super) fn compared(context: &Context) -> Result<Compared, Failure> {
    let folder = context.input("data")?;
    let train = ImageFile::train(folder)?;
    let held_out = match context.optional_input("held_out") {
        None => ImageFile::held_out(folder)?,
        Some(folder) => {
            let held_out = ImageFile::train(folder)?;
            check_size("held-out images", &held_out, &train)?;
            Some(held_out)
        }
    };
    Ok(Compared { train, held_out })
}

/// What FID and its kin are computed with, where a sweep names weights.
fn scores(
    context: &Context,
    spec: &EvaluateSpec,
    compared: &Compared,
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
    let of_train = |train: &Stored| train.check(compared.train.n(), false);
    known.train.as_ref().map_or(Ok(()), of_train)?;
    let reads = |role| context.optional_input(role).is_some();
    let sees = reads("model") || known.train.is_none() || known.samples.is_none();
    let network = (sees && !view.weights.is_empty()).then(|| network(context));
    let scores = Scores::new(network.transpose()?, spec.fid_mode, spec.fid_unequal);
    Ok(Some(scores.with_known(known)))
}

/// About how many pieces the work has.
fn beats(context: &Context, spec: &EvaluateSpec, compared: &Compared) -> u64 {
    let chunks = (compared.train.n() / CHUNK + 1) as u64;
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
        beats += seen * (compared.train.n() / inception::BATCH + 1) as u64;
    }
    beats
}

fn model(
    context: &Context,
    spec: &EvaluateSpec,
    compared: &Compared,
    scores: Option<&Scores>,
) -> Result<Vec<MetricRow>, Failure> {
    let model = Autoencoder::read(context.input("model")?)?;
    model.arch.check_images(compared.train.shape())?;
    let whole = |images: &dyn Pictures| images.read(0..images.n());
    let train = whole(&compared.train)?;
    let held_out = compared.held_out().map(whole).transpose()?;
    let budget = Budget {
        noise_draws: spec.noise_draws,
        overlap_draws: spec.overlap_draws,
        overlap_pairs: spec.overlap_pairs,
        memorised_db: spec.memorised_db,
        shown: spec.grid,
    };
    let subject = Subject::new(&model, &train, held_out.as_ref(), context.seed(), budget)
        .or_bug("reconstructing the training images")?;
    let subject = subject.with_scores(scores);
    let rows = metrics::of_model(&subject)?;
    // Originals, their clean and their noisy reconstructions below each other.
    let shown: Vec<usize> = (0..spec.grid.min(train.n)).collect();
    let mut sheet = Sheet::new();
    for chunk in shown.chunks(COLUMNS) {
        let noisy = subject.shown.as_ref();
        for images in [Some(&train), Some(&subject.clean), noisy] {
            let images = images.unwrap_or(&subject.clean);
            sheet.push(chunk.iter().map(|i| images.image(*i)).collect());
        }
    }
    let path = context.out().join("reconstructions.png");
    picture::write(&path, &sheet, train.shape())?;
    Ok(rows)
}

fn samples(
    context: &Context,
    spec: &EvaluateSpec,
    compared: &Compared,
    scores: Option<&Scores>,
) -> Result<Vec<MetricRow>, Failure> {
    let folder = context.input("samples")?;
    let (images, tokens) = (ImageFile::samples(folder)?, Samples::tokens(folder)?);
    let train = &compared.train;
    check_size("samples", &images, train)?;
    scores.map_or(Ok(()), |scores| scores.check_samples(images.n()))?;
    let codes = context.optional_input("codes");
    let codes = codes.map(Tokens::read).transpose()?;
    let encoder = context.optional_input("encoder");
    let encoder = encoder.map(Autoencoder::read).transpose()?;
    if let Some(encoder) = &encoder {
        encoder.arch.check_images(train.shape())?;
    }
    let samples = metrics::Samples::known(
        neighbours(context, spec, &images, compared)?,
        &images,
        tokens.as_ref(),
        train,
        codes.as_ref(),
        compared.held_out(),
        spec.memorised_db,
    );
    let samples = samples.with_encoder(encoder.as_ref());
    let samples = samples.with_ssim(spec.nearest == Nearness::Ssim);
    let samples = samples.with_scores(scores);
    let rows = metrics::of_samples(&samples)?;
    // Pairs side by side: a sample, then its nearest training image.
    let similar = samples.similar()?;
    let mut shown: Vec<usize> = (0..images.n()).collect();
    if spec.shown == Shown::Nearest {
        let nearness = |i: &usize| match similar {
            None => samples.nearest[*i].psnr,
            Some(similar) => similar[*i].ssim,
        };
        shown.sort_by(|a, b| nearness(b).total_cmp(&nearness(a)));
    }
    shown.truncate(spec.grid);
    let mut pairs: Vec<Cow<'_, [f32]>> = Vec::new();
    for i in shown {
        let nearest = match similar {
            None => samples.nearest[i].index,
            Some(similar) => similar[i].index,
        };
        pairs.push(images.values(i..i + 1)?);
        pairs.push(train.values(nearest..nearest + 1)?);
    }
    let rows_of = pairs.chunks(COLUMNS);
    let sheet: Sheet<'_> = rows_of
        .map(|row| row.iter().map(|cell| &**cell).collect())
        .collect();
    let path = context.out().join("nearest.png");
    picture::write(&path, &sheet, train.shape())?;
    Ok(rows)
}

/// What the tasks of shards found, or what is found now.
fn neighbours(
    context: &Context,
    spec: &EvaluateSpec,
    images: &ImageFile,
    compared: &Compared,
) -> Result<Neighbours, Failure> {
    let by_ssim = spec.nearest == Nearness::Ssim;
    let (train, held_out) = (&compared.train, compared.held_out());
    let shards = context.numbered_inputs("neighbours");
    let Some(found) = Neighbours::read(&shards)? else {
        return Neighbours::find(images, train, held_out, by_ssim);
    };
    if !found.is_of(images.n(), train.n(), held_out.is_some(), by_ssim) {
        let n = images.n();
        let why = format!("what the shards found is not the nearest images of these {n} samples");
        return Err(Failure::data(why));
    }
    Ok(found)
}

pub(super) fn check_size(
    what: &str,
    images: &dyn Pictures,
    train: &dyn Pictures,
) -> Result<(), Failure> {
    if images.shape()[1..] != train.shape()[1..] {
        let (a, b) = (images.shape(), train.shape());
        let why = format!("{what} of shape {a:?} cannot be compared with images of {b:?}");
        return Err(Failure::config(why));
    }
    Ok(())
}
