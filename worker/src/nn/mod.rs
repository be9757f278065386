//! What networks are made of: seeded random numbers, noise, layers with their
//! own gradients, and Adam with a state that can be stored.
//!
//! Activations are rows × channels: `[n·h·w, c]`, images in row-major order of
//! their sites (NHWC). A 1×1 convolution is then a matrix product, and the
//! signs of a row are a token. `[n, c, h, w]` exists in files only.

mod act;
pub(crate) mod adam;
mod fused;
mod gemm;
mod im2col;
pub(crate) mod kl;
pub(crate) mod layer;
pub(crate) mod noise;
pub(crate) mod params;
mod pointwise;
pub(crate) mod rng;
mod sides;
mod simd;
mod unfold;
mod winograd;
mod workspace;

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
