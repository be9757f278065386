//! The compositions that a GPU runs: on the CPU, against PyTorch and against
//! the fused ops, and the same tests on a GPU.

use super::*;
use crate::nn::composed::forced;

/// Values and gradients that do not depend on how they are computed.
fn all_agree_with_pytorch() {
    activations_agree_with_pytorch();
    norms_agree_with_pytorch();
    attention_agrees_with_pytorch();
    resizing_agrees_with_pytorch();
    pools::pools_agree_with_pytorch();
    losses_agree_with_pytorch();
    embeddings_agree_with_pytorch();
}

fn all_hold() {
    running_statistics_follow_the_batches_and_are_used();
    masks_hide_a_site_and_what_follows_it();
    what_does_not_fit_is_refused();
    losses_hold_at_the_extremes();
}

/// A case's value and gradients.
fn run(case: &Case) -> Vec<Tensor> {
    let (net, x, named) = prepared(case);
    let y = net(&x).unwrap();
    let loss = (&y * weights(&y)).unwrap().sum_all().unwrap();
    let grads = loss.backward().unwrap();
    let grads = named.iter().map(|(_, var)| grads.get(var).unwrap().clone());
    std::iter::once(y.detach()).chain(grads).collect()
}

/// Of a case, against the fused ops, within 1e-5 of the largest value.
fn close(case: &Case, got: &[Tensor]) {
    let fused = run(case);
    assert_eq!(got.len(), fused.len());
    for (got, fused) in got.iter().zip(&fused) {
        let error = error(got, fused);
        assert!(error < 1e-5, "{}: {error}", case.name);
    }
}

#[test]
fn compositions_agree_with_pytorch() {
    forced::run(all_agree_with_pytorch);
}

#[test]
fn compositions_hold_where_fused_ops_do() {
    forced::run(all_hold);
}

#[test]
fn compositions_agree_with_the_fused_ops() {
    for case in CASES {
        close(case, &forced::run(|| run(case)));
    }
}

#[cfg(feature = "cuda")]
mod gpu {
    use super::*;
    use crate::nn::cuda::tests::on_gpu;

    #[test]
    #[ignore = "needs a GPU"]
    fn gpu_agrees_with_pytorch() {
        on_gpu(|| {
            all_agree_with_pytorch();
            all_hold();
        });
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn gpu_agrees_with_the_cpu() {
        for case in CASES {
            close(case, &on_gpu(|| run(case)));
        }
    }
}
