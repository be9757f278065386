//! How far samples are from the training images as distributions, without
//! weights of others (science.md §5, proxies). None of these is the FID: each
//! has the name of its features.
//!
//! | metric | features |
//! |---|---|
//! | `fd_pix` | pixels; of more than 192, their 64 main directions in the training images |
//! | `fd_rand` | a fixed random network |
//! | `fd_ae` | the encoder's, before its latent, averaged over sites |
//! | `swd` | pixels, along random directions |
//! | `precision`, `recall`, `density`, `prdc_coverage` | pixels; of more than 64, their 64 main directions |
//!
//! `…_floor` is the distance between both halves of the training images: what
//! is below it says nothing.

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;

use super::frechet::Gaussian;
use super::linear::{Features, Pca};
use super::prdc::{NEIGHBOURS, Prdc};
use super::{Rows, Samples, Subject, random_features, swd};
use crate::data::pictures::Pictures;

/// Pixels that are compared as they are.
const RAW: usize = 192;
/// Main directions of more pixels, and the most that neighbours are sought in.
const MAIN: usize = 64;
/// Neighbours are sought among so many, the first ones: every pair is looked at.
const PRDC_MOST: usize = 10_000;
/// The directions of the sliced distance: part of its definition.
const SWD_SEED: u64 = 0;

pub(super) fn distances(samples: &Samples<'_>) -> Rows {
    let (images, train) = (samples.images, samples.train);
    let main = Main::fit(train)?;
    let pixels = [main.up_to(images, RAW)?, main.up_to(train, RAW)?];
    let mut rows = frechet("fd_pix", &pixels, true)?;
    let random = [
        random_features::of_images(images)?,
        random_features::of_images(train)?,
    ];
    rows.extend(frechet("fd_rand", &random, true)?);
    match samples.encoder {
        None => rows.push(MetricRow::skipped("fd_ae", "no encoder was given")),
        Some(encoder) => {
            let both = [encoder.features(images)?, encoder.features(train)?];
            rows.extend(frechet("fd_ae", &both, true)?);
        }
    }
    let sliced = swd::distance(&images, &train, SWD_SEED)?;
    let sliced = MetricRow::scalar("swd", "", Direction::Down, sliced);
    rows.push(counted(sliced, images.n(), train.n()));
    rows.extend(neighbours(
        &main.up_to(images, MAIN)?,
        &main.up_to(train, MAIN)?,
    ));
    Ok(rows)
}

/// The same of reconstructions, as far as it says something of them.
pub(super) fn of_reconstructions(subject: &Subject<'_>) -> Rows {
    let main = Main::fit(subject.train)?;
    let clean = main.up_to(&subject.clean, RAW)?;
    frechet("rfd_pix", &[clean, main.up_to(subject.train, RAW)?], false)
}

/// The main directions of the training images, where they have many pixels.
struct Main(Option<Pca>);

impl Main {
    fn fit(train: &dyn Pictures) -> Result<Self, Failure> {
        if train.size() <= MAIN || train.n() < 2 {
            return Ok(Self(None));
        }
        Pca::fit(&train, MAIN).map(|pca| Self(Some(pca)))
    }

    /// Pixels, or their main directions if there are more than `raw`.
    fn up_to(&self, images: &dyn Pictures, raw: usize) -> Result<Features, Failure> {
        match &self.0 {
            Some(pca) if images.size() > raw => pca.project(&images),
            _ => Features::of_pixels(images),
        }
    }
}

/// The distance, and that between both halves of the training images.
fn frechet(name: &str, [samples, train]: &[Features; 2], floor: bool) -> Rows {
    let floor_name = format!("{name}_floor");
    if samples.n < 2 || train.n < 2 {
        let why = "a covariance needs two images";
        return Ok(vec![MetricRow::skipped(name, why)]);
    }
    let reference = Gaussian::of(train)?;
    let distance = Gaussian::of(samples)?.distance(&reference)?;
    let row = MetricRow::scalar(name, "", Direction::Down, distance);
    let mut rows = vec![counted(row, samples.n, train.n)];
    if floor && train.n >= 4 {
        let half = train.n / 2;
        let first = Gaussian::of(&train.slice(0, half))?;
        let second = Gaussian::of(&train.slice(half, 2 * half))?;
        let distance = first.distance(&second)?;
        let row = MetricRow::scalar(&floor_name, "", Direction::Neutral, distance);
        rows.push(row.over(half));
    }
    Ok(rows)
}

fn neighbours(samples: &Features, train: &Features) -> Vec<MetricRow> {
    let names = ["precision", "recall", "density", "prdc_coverage"];
    if samples.n <= NEIGHBOURS || train.n <= NEIGHBOURS {
        let why = format!("more than {NEIGHBOURS} images are needed on both sides");
        return names.map(|name| MetricRow::skipped(name, &why)).to_vec();
    }
    let first = |all: &Features| all.slice(0, all.n.min(PRDC_MOST));
    let (samples, train) = (first(samples), first(train));
    let Prdc {
        precision,
        recall,
        density,
        coverage,
    } = Prdc::of(&samples, &train);
    let values = [precision, recall, density, coverage];
    let row = |(name, value)| {
        let row = MetricRow::scalar(name, "", Direction::Up, value);
        counted(row, samples.n, train.n)
    };
    names.into_iter().zip(values).map(row).collect()
}

/// Says what was compared with what.
fn counted(mut row: MetricRow, samples: usize, train: usize) -> MetricRow {
    if row.note.is_none() && samples != train {
        row.note = Some(format!("{samples} images against {train}"));
    }
    row.over(samples.min(train))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::digits;
    use crate::data::images::Images;
    use crate::nn::rng::stream;

    fn digits(from: usize, n: usize) -> Images {
        let size = digits::SIDE * digits::SIDE;
        Images {
            n,
            channels: 1,
            h: digits::SIDE,
            w: digits::SIDE,
            data: digits::load().unwrap().pixels[from * size..(from + n) * size].to_vec(),
        }
    }

    fn of(images: &Images, train: &Images) -> impl Fn(&str) -> f64 + use<> {
        let samples = Samples::new(images, None, train, None, None, 30.0);
        let rows = distances(&samples).unwrap();
        move |name| {
            let row = rows.iter().find(|row| row.name == name);
            row.and_then(|row| row.value).unwrap()
        }
    }

    #[test]
    fn other_digits_are_nearer_than_noise() {
        let train = digits(0, 300);
        let other = of(&digits(300, 300), &train);
        let mut rng = stream(0, "test", 0);
        let noise = Images {
            data: (0..300 * 64).map(|_| rng.signed()).collect(),
            ..digits(0, 300)
        };
        let noise = of(&noise, &train);
        for name in ["fd_pix", "fd_rand", "swd"] {
            assert!(other(name) < 0.5 * noise(name), "{name}");
        }
        assert!(other("fd_pix") < 4.0 * other("fd_pix_floor"));
        for name in ["precision", "recall", "density", "prdc_coverage"] {
            assert!(other(name) > noise(name), "{name}");
        }
        let same = of(&train, &train);
        assert!(same("fd_pix") < 1e-6 && same("swd") == 0.0);
        assert_eq!(same("prdc_coverage"), 1.0);
    }

    #[test]
    fn what_is_too_few_is_skipped() {
        let one = digits(0, 1);
        let samples = Samples::new(&one, None, &one, None, None, 30.0);
        let rows = distances(&samples).unwrap();
        let skipped = rows.iter().filter(|row| row.value.is_none());
        assert!(skipped.count() >= 6);
    }
}
