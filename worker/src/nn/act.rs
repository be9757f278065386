//! Bias and activation, in place on rows, and the way back through them.

use rayon::prelude::*;

use super::decay::tanh;
use super::simd::wide;

/// Slope of the leaky ReLU below zero.
pub(super) const SLOPE: f32 = 0.01;

/// Rows are cut into at most so many parts, whatever the number of threads.
const PARTS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    None,
    Relu,
    LeakyRelu,
    Tanh,
}

impl Act {
    /// act(v + bias) on rows of as many channels as there are biases.
    pub(super) fn finish(self, rows: &mut [f32], bias: &[f32]) {
        match self {
            Self::None => each(rows, bias, |v| v),
            // Not `max`, which would turn a NaN into a zero.
            Self::Relu => each(rows, bias, |v| if v < 0.0 { 0.0 } else { v }),
            Self::LeakyRelu => each(rows, bias, |v| if v > 0.0 { v } else { SLOPE * v }),
            Self::Tanh => each(rows, bias, tanh),
        }
    }

    /// Turns the gradient of the output `y` into that before the activation;
    /// returns that of the bias.
    pub(super) fn back(self, grad: &mut [f32], y: &[f32], channels: usize) -> Vec<f32> {
        let part = part(y.len(), channels);
        let parts = grad.par_chunks_mut(part).zip(y.par_chunks(part));
        let sums: Vec<Vec<f32>> = parts
            .map(|(grad, y)| {
                let mut sums = vec![0.0; channels];
                match self {
                    Self::None => slope(grad, y, &mut sums, |g, _| g),
                    Self::Relu => slope(grad, y, &mut sums, |g, y| if y > 0.0 { g } else { 0.0 }),
                    Self::LeakyRelu => {
                        slope(
                            grad,
                            y,
                            &mut sums,
                            |g, y| if y > 0.0 { g } else { SLOPE * g },
                        );
                    }
                    Self::Tanh => slope(grad, y, &mut sums, |g, y| g * (1.0 - y * y)),
                }
                sums
            })
            .collect();
        total(&sums, channels)
    }
}

/// The sums of rows, which are the gradient of a bias.
pub(super) fn sums(rows: &[f32], channels: usize) -> Vec<f32> {
    let part = part(rows.len(), channels);
    let sums: Vec<Vec<f32>> = rows
        .par_chunks(part)
        .map(|rows| sum(rows, channels))
        .collect();
    total(&sums, channels)
}

fn sum(rows: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0; channels];
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(channels) {
                sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
            }
        },
    );
    sums
}

/// The parts' sums, added in their order.
fn total(sums: &[Vec<f32>], channels: usize) -> Vec<f32> {
    let mut total = vec![0.0; channels];
    for sums in sums {
        total.iter_mut().zip(sums).for_each(|(t, s)| *t += s);
    }
    total
}

/// Values of a part.
fn part(values: usize, channels: usize) -> usize {
    let channels = channels.max(1);
    (values / channels).div_ceil(PARTS).max(1) * channels
}

fn each(rows: &mut [f32], bias: &[f32], f: impl Fn(f32) -> f32) {
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(bias.len()) {
                for (value, bias) in row.iter_mut().zip(bias) {
                    *value = f(*value + bias);
                }
            }
        },
    );
}

fn slope(grad: &mut [f32], y: &[f32], sums: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    let channels = sums.len();
    wide(
        #[inline(always)]
        || {
            let rows = grad.chunks_exact_mut(channels);
            for (grad, y) in rows.zip(y.chunks_exact(channels)) {
                let values = grad.iter_mut().zip(sums.iter_mut());
                for ((grad, sum), y) in values.zip(y) {
                    *grad = f(*grad, *y);
                    *sum += *grad;
                }
            }
        },
    );
}
