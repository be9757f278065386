//! The same networks as a GPU runs them: on the CPU, and on a GPU.

use super::*;
use crate::nn::composed::forced;

fn all() {
    a_vae_learns();
    the_divergence_agrees_with_pytorch();
    a_pixelcnn_is_causal();
    both_sides_of_a_gan_learn();
    a_unet_learns_and_its_average_follows();
}

#[test]
fn composed_networks_learn() {
    forced::run(all);
}

#[cfg(feature = "cuda")]
#[test]
#[ignore = "needs a GPU"]
fn gpu_networks_learn() {
    crate::nn::cuda::tests::on_gpu(all);
}
