//! Reconstruction quality, F9: PSNR = 10·log10(1/MSE) with images mapped to
//! [0, 1], the mean over images (and noise draws), MSE at least 1e-10.

use ablate_proto::artifact::{Direction, MetricRow};

use super::{Rows, Subject, mean};
use crate::data::images::Images;
use crate::runner::failure::OrFail as _;

const FLOOR: f64 = 1e-10;

/// Sum of squared differences of two images in [−1, 1].
pub(super) fn squared_error(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// PSNR in dB of an image of `size` elements with that sum of squared errors
/// on [−1, 1].
pub(super) fn of_squared_error(sum: f64, size: usize) -> f64 {
    let mse = sum / (4.0 * size as f64);
    -10.0 * mse.max(FLOOR).log10()
}

/// PSNR of each image.
pub(super) fn each(images: &Images, originals: &Images) -> Vec<f64> {
    let size = originals.size();
    let pairs = images.iter().zip(originals.iter());
    pairs
        .map(|(a, b)| of_squared_error(squared_error(a, b), size))
        .collect()
}

pub(super) fn average(images: &Images, originals: &Images) -> f64 {
    mean(each(images, originals).into_iter())
}

/// With noise, without, and from the signs of the latents alone.
pub(super) fn reconstruction(subject: &Subject<'_>) -> Rows {
    let n = subject.train.n;
    let db = |name, value| MetricRow::scalar(name, "dB", Direction::Up, value).over(n);
    let size = subject.train.size();
    let db_of = |errors: &Vec<f64>| mean(errors.iter().map(|e| of_squared_error(*e, size)));
    let noisy = mean(subject.noisy.iter().map(db_of));
    let clean = average(&subject.clean, subject.train);
    let binarised = average(&subject.binarised, subject.train);
    let error = |errors: &Vec<f64>| mean(errors.iter().copied());
    let mse = mean(subject.noisy.iter().map(error));
    let gap = clean - binarised;
    Ok(vec![
        db("psnr_noisy", noisy),
        db("psnr_clean", clean),
        db("psnr_binarised", binarised),
        MetricRow::scalar("binarisation_gap", "dB", Direction::Down, gap).over(n),
        MetricRow::scalar("mse_noisy", "sum per image", Direction::Down, mse).over(n),
    ])
}

pub(super) fn held_out(subject: &Subject<'_>) -> Rows {
    let names = ["psnr_held_out", "generalisation_gap"];
    let Some(images) = subject.held_out else {
        let why = "the dataset keeps no images back";
        return Ok(names.map(|name| MetricRow::skipped(name, why)).to_vec());
    };
    let doing = "reconstructing held-out images";
    let latents = subject.model.latents(images).or_bug(doing)?;
    let decoded = subject.model.images(&latents).or_bug(doing)?;
    let held_out = average(&decoded, images);
    let gap = average(&subject.clean, subject.train) - held_out;
    Ok(vec![
        MetricRow::scalar(names[0], "dB", Direction::Up, held_out).over(images.n),
        MetricRow::scalar(names[1], "dB", Direction::Down, gap).over(images.n),
    ])
}

/// Share of training images that would count as memorised if their own codes
/// were sampled: no prior can do better through this decoder.
pub(super) fn decoder_ceiling(subject: &Subject<'_>) -> Rows {
    let psnr = each(&subject.binarised, subject.train);
    let above = psnr.iter().filter(|db| **db > subject.budget.memorised_db);
    let share = above.count() as f64 / psnr.len() as f64;
    let row = MetricRow::scalar("decoder_ceiling", "", Direction::Up, share);
    Ok(vec![row.over(psnr.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F9: the same number as peak 255 on an unquantised 8-bit scale.
    #[test]
    fn psnr_is_that_of_the_8_bit_scale() {
        let a = [-1.0f32, 0.25, 0.5, 1.0];
        let b = [-0.9f32, 0.2, 0.7, 0.95];
        let to_u8 = |v: f32| (f64::from(v) + 1.0) * 127.5;
        let mse = mean(
            a.iter()
                .zip(&b)
                .map(|(a, b)| (to_u8(*a) - to_u8(*b)).powi(2)),
        );
        let expected = 10.0 * (255.0f64.powi(2) / mse).log10();
        let got = of_squared_error(squared_error(&a, &b), 4);
        assert!((got - expected).abs() < 1e-9, "{got} {expected}");
        assert!(
            (of_squared_error(0.0, 4) - 100.0).abs() < 1e-12,
            "the floor"
        );
        // 30 dB ⇔ RMSE 0.0316 of the range.
        let rmse = 10f64.powf(-1.5);
        assert!((of_squared_error(4.0 * (2.0 * rmse).powi(2), 4) - 30.0).abs() < 1e-9);
    }
}
