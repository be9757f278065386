//! What networks are made of: seeded random numbers, noise, layers with their
//! own gradients, and Adam with a state that can be stored.
//!
//! Activations are rows × channels: `[n·h·w, c]`, images in row-major order of
//! their sites (NHWC). A 1×1 convolution is then a matrix product, and the
//! signs of a row are a token. `[n, c, h, w]` exists in files only.

pub(crate) mod adam;
mod gemm;
pub(crate) mod kl;
pub(crate) mod layer;
pub(crate) mod noise;
pub(crate) mod params;
pub(crate) mod rng;
mod unfold;

/// The nearest f32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding is what is wanted"
)]
pub(crate) fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests;
