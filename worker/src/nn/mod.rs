//! What networks are made of: seeded random numbers, noise, layers with their
//! own gradients, and Adam with a state that can be stored.
//!
//! Activations are rows × channels: `[n·h·w, c]`, images in row-major order of
//! their sites (NHWC). A 1×1 convolution is then a matrix product, and the
//! signs of a row are a token. `[n, c, h, w]` exists in files only.

mod act;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "networks use some of them; the rest are for those to come"
    )
)]
pub(crate) mod activation;
pub(crate) mod adam;
pub(crate) mod attention;
mod backward;
pub(crate) mod batch_norm;
pub(crate) mod build;
mod by_site;
pub(crate) mod composed;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
mod decay;
pub(crate) mod device;
pub(crate) mod dropout;
pub(crate) mod ema;
pub(crate) mod embedding;
mod fused;
pub(crate) mod gemm;
pub(crate) mod graph;
pub(crate) mod group_norm;
mod im2col;
pub(crate) mod join;
pub(crate) mod kl;
pub(crate) mod layer;
pub(crate) mod layout;
pub(crate) mod loss;
pub(crate) mod masked;
pub(crate) mod mode;
pub(crate) mod noise;
pub(crate) mod params;
pub(crate) mod per_image;
mod pieces;
mod pointwise;
pub(crate) mod pool;
pub(crate) mod reuse;
pub(crate) mod rng;
mod sides;
mod simd;
mod softmax;
mod unfold;
pub(crate) mod upsample;
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
pub(crate) mod gradients;
#[cfg(test)]
mod tests;
