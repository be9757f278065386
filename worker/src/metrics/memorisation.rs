//! Whether generated images are copies (science.md §1, Memorised; §5; §7 X2).

use std::collections::BTreeSet;

use ablate_proto::artifact::{Direction, MetricRow};

use super::{Nearest, Rows, Samples, mean};
use crate::data::pictures::{at_once, pieces};

/// Share of images above the threshold to their nearest.
fn rate(nearest: &[Nearest], memorised_db: f64) -> f64 {
    let above = nearest.iter().filter(|n| n.psnr > memorised_db).count();
    above as f64 / nearest.len() as f64
}

pub(super) fn memorisation(samples: &Samples<'_>) -> Rows {
    let n = samples.nearest.len();
    let share = rate(&samples.nearest, samples.memorised_db);
    let psnr = mean(samples.nearest.iter().map(|n| n.psnr));
    Ok(vec![
        MetricRow::scalar("memorisation_rate", "", Direction::Neutral, share).over(n),
        MetricRow::scalar("nearest_psnr_mean", "dB", Direction::Neutral, psnr).over(n),
    ])
}

/// Share of samples whose whole token grid is that of a training image.
pub(super) fn exact_latents(samples: &Samples<'_>) -> Rows {
    let name = "exact_latent_rate";
    let skipped = |why| Ok(vec![MetricRow::skipped(name, why)]);
    let Some(tokens) = samples.tokens else {
        return skipped("these images were not decoded from tokens");
    };
    let Some(train) = samples.train_tokens else {
        return skipped("no codes of the training images were given");
    };
    let known: BTreeSet<&[u32]> = train.grids().collect();
    let exact = tokens.grids().filter(|grid| known.contains(grid));
    let share = exact.count() as f64 / tokens.n as f64;
    Ok(vec![
        MetricRow::scalar(name, "", Direction::Neutral, share).over(tokens.n),
    ])
}

/// X2: the same rule against held-out images, and ρ, the mean distance to the
/// nearest training image over that to the nearest held-out one, as many of
/// both. ρ ≪ 1 means copying, about 1 generalising.
pub(super) fn chance(samples: &Samples<'_>) -> Rows {
    let names = ["chance_rate", "held_out_ratio"];
    let Some(against) = samples.against()? else {
        let why = "the dataset keeps no images back";
        return Ok(names.map(|name| MetricRow::skipped(name, why)).to_vec());
    };
    let among = against.among;
    let other = &against.held_out;
    let train = against.train.as_ref().unwrap_or(&samples.nearest);
    let distance = |all: &[Nearest]| mean(all.iter().map(|n| n.squared.sqrt()));
    let ratio = distance(train) / distance(other);
    let values = [rate(other, samples.memorised_db), ratio];
    let row = |(name, value)| {
        let mut row = MetricRow::scalar(name, "", Direction::Neutral, value).over(other.len());
        if row.note.is_none() && among < samples.train.n() {
            row.note = Some(format!("against {among} images"));
        }
        row
    };
    Ok(names.into_iter().zip(values).map(row).collect())
}

/// Coverage: training images with a memorised sample. Uniqueness: distinct
/// token grids among the samples, or images where there are none.
pub(super) fn diversity(samples: &Samples<'_>) -> Rows {
    let n = samples.nearest.len();
    let memorised = samples
        .nearest
        .iter()
        .filter(|n| n.psnr > samples.memorised_db);
    let hit: BTreeSet<usize> = memorised.map(|n| n.index).collect();
    let coverage = hit.len() as f64 / samples.train.n() as f64;
    let distinct = match samples.tokens {
        Some(tokens) => tokens.grids().collect::<BTreeSet<_>>().len(),
        None => {
            let mut known = BTreeSet::new();
            for piece in pieces(n, at_once(samples.images.size())) {
                let values = samples.images.values(piece)?;
                let images = values.chunks_exact(samples.images.size());
                known.extend(images.map(fingerprint));
            }
            known.len()
        }
    };
    let uniqueness = distinct as f64 / n as f64;
    Ok(vec![
        MetricRow::scalar("coverage", "", Direction::Neutral, coverage).over(samples.train.n()),
        MetricRow::scalar("uniqueness", "", Direction::Neutral, uniqueness).over(n),
    ])
}

/// Of the bits of an image.
fn fingerprint(image: &[f32]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for value in image {
        hasher.update(&value.to_le_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::images::Images;
    use crate::data::tokens::Tokens;

    fn images(data: &[f32]) -> Images {
        Images {
            n: data.len(),
            channels: 1,
            h: 1,
            w: 1,
            data: data.to_vec(),
        }
    }

    fn tokens(data: &[u32]) -> Tokens {
        Tokens {
            n: data.len(),
            side: 1,
            bits: 4,
            data: data.to_vec(),
        }
    }

    #[test]
    fn copies_are_told_from_other_images() {
        let train = images(&[-1.0, 0.0, 1.0, 0.5]);
        let held_out = images(&[-0.5, 0.7, 0.8, -0.7]);
        let made = images(&[-1.0, -1.0, 0.01, 0.7]);
        let (train_tokens, made_tokens) = (tokens(&[1, 2, 3, 4]), tokens(&[1, 1, 2, 9]));
        let of = |tokens, held_out, codes| {
            let samples = Samples::new(&made, tokens, &train, codes, held_out, 30.0);
            let rows = super::super::of_samples(&samples).unwrap();
            move |name: &str| rows.iter().find(|row| row.name == name).unwrap().value
        };
        let full = of(Some(&made_tokens), Some(&held_out), Some(&train_tokens));
        assert_eq!(full("memorisation_rate"), Some(0.75));
        assert_eq!(full("exact_latent_rate"), Some(0.75));
        assert_eq!(full("chance_rate"), Some(0.25));
        assert_eq!(full("coverage"), Some(0.5));
        assert_eq!(full("uniqueness"), Some(0.75));
        assert!(full("held_out_ratio").unwrap() < 1.0);
        let bare = of(None, None, None);
        assert_eq!(bare("exact_latent_rate"), None);
        assert_eq!(bare("held_out_ratio"), None);
        assert_eq!(bare("uniqueness"), Some(0.75));
    }
}
