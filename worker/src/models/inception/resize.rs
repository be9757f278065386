//! Images as the network wants them: of 8 bits a channel, resized to 299×299
//! the way that one of three programs does it (`FidMode`), about −1 to 1.
//!
//! Each way is a few weights for each row and column of the output, and one
//! pass along each side.

use ablate_proto::failure::Failure;
use ablate_proto::stage::FidMode;
use candle_core::Tensor;
use rayon::prelude::*;

use super::SIDE;
use crate::data::images::Images;
use crate::nn::device::device;
use crate::nn::layer::Rows;
use crate::nn::narrow;
use crate::runner::failure::OrFail as _;

const CHANNELS: usize = 3;

/// What one row or column of the output is made of: the first of the input's,
/// and the weights from there on.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// `[n·299·299, 3]`; grey images three times over.
///
/// # Errors
/// A configuration when images are neither grey nor of three colours.
pub(super) fn resized(images: &Images, mode: FidMode) -> Result<Rows, Failure> {
    if images.channels != 1 && images.channels != CHANNELS {
        let channels = images.channels;
        return Err(Failure::config(format!(
            "Inception sees images of 1 or 3 channels, not of {channels}: leave `inception` out"
        )));
    }
    let (down, across) = (taps(images.h, mode), taps(images.w, mode));
    let pixels = SIDE * SIDE * CHANNELS;
    let mut data = vec![0.0; images.n * pixels];
    let parts = data.par_chunks_mut(pixels);
    parts
        .zip(images.data.par_chunks(images.size()))
        .for_each(|(out, image)| {
            let planes: Vec<Vec<f32>> = image
                .chunks_exact(images.h * images.w)
                .map(|plane| resize(plane, images.w, &down, &across, mode))
                .collect();
            for (site, out) in out.chunks_exact_mut(CHANNELS).enumerate() {
                for (channel, out) in out.iter_mut().enumerate() {
                    *out = planes[channel % planes.len()][site];
                }
            }
        });
    let data = Tensor::from_vec(data, (images.n * SIDE * SIDE, CHANNELS), &device());
    Ok(Rows {
        data: data.or_bug("resizing images")?,
        n: images.n,
        h: SIDE,
        w: SIDE,
    })
}

/// The level of 0 to 255 that an image file holds of a value in [−1, 1].
fn level(value: f32) -> f32 {
    (127.5 * (value + 1.0)).round().clamp(0.0, 255.0)
}

/// One channel, `[h, w]` → `[299, 299]`.
fn resize(plane: &[f32], width: usize, down: &[Taps], across: &[Taps], mode: FidMode) -> Vec<f32> {
    let mut lines = Vec::with_capacity(plane.len() / width * SIDE);
    for row in plane.chunks_exact(width) {
        let row: Vec<f32> = row.iter().map(|x| level(*x)).collect();
        lines.extend(across.iter().map(|taps| {
            let pairs = row[taps.first..].iter().zip(&taps.weights);
            pairs.map(|(x, w)| x * w).sum::<f32>()
        }));
    }
    let mut out = vec![0.0; SIDE * SIDE];
    for (out, taps) in out.chunks_exact_mut(SIDE).zip(down) {
        let lines = lines[taps.first * SIDE..].chunks_exact(SIDE);
        for (line, weight) in lines.zip(&taps.weights) {
            out.iter_mut()
                .zip(line)
                .for_each(|(out, x)| *out += weight * x);
        }
        for x in out {
            *x = match mode {
                FidMode::PytorchFid => *x / 127.5 - 1.0,
                FidMode::TorchFidelity => (*x - 128.0) / 128.0,
                // Its filter swings over.
                FidMode::CleanFid => (x.clamp(0.0, 255.0) - 128.0) / 128.0,
            };
        }
    }
    out
}

/// Of each of the 299 rows or columns of the output.
fn taps(from: usize, mode: FidMode) -> Vec<Taps> {
    let scale = from as f64 / SIDE as f64;
    let of = |to: usize| match mode {
        // Pixels are squares (align_corners=False); no antialiasing.
        FidMode::PytorchFid => linear(((to as f64 + 0.5) * scale - 0.5).max(0.0), from),
        // Pixels are points, as in TensorFlow 1.
        FidMode::TorchFidelity => linear(to as f64 * scale, from),
        FidMode::CleanFid => cubic((to as f64 + 0.5) * scale, scale, from),
    };
    (0..SIDE).map(of).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place inside of the image"
)]
fn linear(at: f64, from: usize) -> Taps {
    let first = (at as usize).min(from - 1);
    let share = narrow(at - first as f64);
    let weights = if first + 1 < from {
        vec![1.0 - share, share]
    } else {
        vec![1.0]
    };
    Taps { first, weights }
}

/// Pillow's bicubic filter (a = −½), widened where an image gets smaller.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places inside of the image"
)]
fn cubic(centre: f64, scale: f64, from: usize) -> Taps {
    let widened = scale.max(1.0);
    let reach = 2.0 * widened;
    let first = (centre - reach + 0.5).max(0.0) as usize;
    let last = ((centre + reach + 0.5) as usize).min(from);
    let weight = |at: usize| {
        let x = ((at as f64 - centre + 0.5) / widened).abs();
        if x < 1.0 {
            (1.5 * x - 2.5) * x * x + 1.0
        } else if x < 2.0 {
            ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
        } else {
            0.0
        }
    };
    let weights: Vec<f64> = (first..last).map(weight).collect();
    let total: f64 = weights.iter().sum();
    Taps {
        first,
        weights: weights.into_iter().map(|w| narrow(w / total)).collect(),
    }
}
