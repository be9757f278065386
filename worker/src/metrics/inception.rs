//! FID, Inception score and rFID (science.md §5), with weights that the user
//! brought. Without them the rows say so; no other number stands for them.
//!
//! | metric | of |
//! |---|---|
//! | `fid` | samples against the training images |
//! | `fid_floor` | both halves of the training images: what is below it says nothing |
//! | `inception_score`, `inception_score_std` | samples: mean and population standard deviation of ten parts |
//! | `rfid`, `rfid_binarised` | reconstructions without noise, and from signs alone, against their originals |

use std::cell::OnceCell;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use ablate_proto::stage::FidMode;

use super::frechet::Gaussian;
use super::vectors::{Part, Vectors};
use super::{Rows, Samples, Stored, Subject, inception_score as score};
use crate::data::pictures::Pictures;
use crate::models::inception::{FEATURES, Inception, Seen};

/// What the metrics of one task share.
#[derive(Debug)]
pub(crate) struct Scores {
    /// None: the store had no weights of that name, or all that is seen was
    /// seen by other tasks.
    network: Option<Inception>,
    /// What other tasks saw.
    known: KnownFeatures,
    mode: FidMode,
    /// Unequal numbers of images are compared, too.
    unequal: bool,
    train: OnceCell<Train>,
}

/// Features that other tasks computed.
#[derive(Debug, Default)]
pub(crate) struct KnownFeatures {
    /// Of the training images.
    pub(crate) train: Option<Stored>,
    /// Of the samples, with logits.
    pub(crate) samples: Option<Stored>,
}

/// What is kept of the training images' features.
#[derive(Debug)]
struct Train {
    all: Gaussian,
    floor: Option<f64>,
}

impl Scores {
    pub(crate) fn new(network: Option<Inception>, mode: FidMode, unequal: bool) -> Self {
        Self {
            network,
            known: KnownFeatures::default(),
            mode,
            unequal,
            train: OnceCell::new(),
        }
    }

    pub(crate) fn with_known(self, known: KnownFeatures) -> Self {
        Self { known, ..self }
    }

    /// Refuses features of other samples than these `n`.
    ///
    /// # Errors
    /// When they are.
    pub(crate) fn check_samples(&self, n: usize) -> Result<(), Failure> {
        let known = self.known.samples.as_ref();
        known.map_or(Ok(()), |known| known.check(n, true))
    }

    fn has_weights(&self) -> bool {
        let KnownFeatures { train, samples } = &self.known;
        self.network.is_some() || train.is_some() || samples.is_some()
    }

    fn see(&self, images: &dyn Pictures) -> Result<Seen, Failure> {
        let network = self.network.as_ref();
        let missing = || Failure::bug("images are to be seen without Inception's weights");
        network.ok_or_else(missing)?.see(images, self.mode)
    }

    /// Computed when it is first asked for.
    fn train(&self, images: &dyn Pictures) -> Result<&Train, Failure> {
        if let Some(train) = self.train.get() {
            return Ok(train);
        }
        let train = match &self.known.train {
            Some(known) => Train::of(&known.features())?,
            None => Train::of(&self.see(images)?.features)?,
        };
        Ok(self.train.get_or_init(|| train))
    }

    /// Says what a distance is of, and what to make of it.
    fn said(&self, row: MetricRow, n: [usize; 2]) -> MetricRow {
        let [images, train] = n;
        let least = images.min(train);
        let mut note = format!("resized as by {}", self.mode.program());
        if images != train {
            note += &format!("; {images} images against {train}");
        }
        if least <= FEATURES {
            note += &format!(
                "; {least} images, whose covariance of {FEATURES} features is rank-deficient: \
                 higher than of many"
            );
        }
        let row = row.over(least);
        MetricRow {
            note: Some(row.note.unwrap_or(note)),
            ..row
        }
    }
}

impl Train {
    fn of(features: &dyn Vectors) -> Result<Self, Failure> {
        let half = features.n() / 2;
        let part = |rows| Gaussian::of(&Part { of: features, rows });
        let floor = if half < 2 {
            None
        } else {
            let first = part(0..half)?;
            Some(first.distance(&part(half..2 * half)?)?)
        };
        let all = Gaussian::of(features)?;
        Ok(Self { all, floor })
    }
}

pub(super) fn of_samples(samples: &Samples<'_>) -> Rows {
    let Some(scores) = samples.scores else {
        return Ok(Vec::new());
    };
    if !scores.has_weights() {
        return Ok(without_weights(&["fid", "inception_score"]));
    }
    match &scores.known.samples {
        None => {
            let Seen { features, logits } = scores.see(samples.images)?;
            of_seen(scores, samples, &features, &logits)
        }
        Some(known) => {
            let logits = known.logits();
            let logits = logits.ok_or_else(|| Failure::bug("features without logits"))?;
            of_seen(scores, samples, &known.features(), &logits)
        }
    }
}

fn of_seen(
    scores: &Scores,
    samples: &Samples<'_>,
    features: &dyn Vectors,
    logits: &dyn Vectors,
) -> Rows {
    let (images, train) = (samples.images, samples.train);
    let mut rows = Vec::new();
    match refused(scores, images.n(), train.n()) {
        Some(why) => rows.push(MetricRow::skipped("fid", &why)),
        None => {
            let known = scores.train(train)?;
            let n = [images.n(), train.n()];
            rows.push(distance(scores, "fid", features, known, n)?);
            if let Some(floor) = known.floor {
                let half = train.n() / 2;
                let row = MetricRow::scalar("fid_floor", "", Direction::Neutral, floor);
                rows.push(scores.said(row, [half, half]));
            }
        }
    }
    rows.extend(score::rows(logits)?);
    Ok(rows)
}

pub(super) fn of_reconstructions(subject: &Subject<'_>) -> Rows {
    let Some(scores) = subject.scores else {
        return Ok(Vec::new());
    };
    if !scores.has_weights() {
        return Ok(without_weights(&["rfid"]));
    }
    let train = subject.train;
    if let Some(why) = refused(scores, train.n, train.n) {
        return Ok(vec![MetricRow::skipped("rfid", &why)]);
    }
    let known = scores.train(train)?;
    let of = |(name, images): (&str, &dyn Pictures)| {
        let features = scores.see(images)?.features;
        distance(scores, name, &features, known, [train.n; 2])
    };
    let both: [(&str, &dyn Pictures); 2] = [
        ("rfid", &subject.clean),
        ("rfid_binarised", &subject.binarised),
    ];
    both.into_iter().map(of).collect()
}

fn distance(
    scores: &Scores,
    name: &str,
    features: &dyn Vectors,
    train: &Train,
    n: [usize; 2],
) -> Result<MetricRow, Failure> {
    let distance = Gaussian::of(features)?.distance(&train.all)?;
    let row = MetricRow::scalar(name, "", Direction::Down, distance);
    Ok(scores.said(row, n))
}

fn without_weights(names: &[&str]) -> Vec<MetricRow> {
    let row = |name: &&str| MetricRow::skipped(name, "no weights");
    names.iter().map(row).collect()
}

/// Why a distance is not computed, if it is not.
fn refused(scores: &Scores, images: usize, train: usize) -> Option<String> {
    if images.min(train) < 2 {
        return Some("a covariance needs two images".to_owned());
    }
    (images != train && !scores.unequal).then(|| {
        format!(
            "{images} samples against {train} training images, and the FID depends on how many \
             there are; make them as many, or set fid_unequal = true"
        )
    })
}
