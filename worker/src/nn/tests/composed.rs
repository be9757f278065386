//! The compositions that a GPU runs: on the CPU, and the same tests on a GPU.

use super::*;
use crate::nn::composed::forced;

#[test]
fn compositions_agree_with_pytorch() {
    forced::run(layers_agree_with_pytorch);
    forced::run(activations_have_the_slope_of_their_values);
}

#[cfg(feature = "cuda")]
#[test]
#[ignore = "needs a GPU"]
fn gpu_layers_agree_with_pytorch() {
    crate::nn::cuda::tests::on_gpu(|| {
        layers_agree_with_pytorch();
        activations_have_the_slope_of_their_values();
    });
}
