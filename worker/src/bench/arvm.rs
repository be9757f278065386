//! The network of γ-ARVM: contexts of 4×4 tokens of 8 bits, γ = 7.

use std::sync::Arc;

use ablate_proto::stage::{Prior, Tie, Unseen, Window};
use candle_core::{Result, Tensor};

use super::{Optimised, Training, below, uniform};
use crate::models::arvm::{Arch, net};
use crate::nn::adam::Settings;
use crate::nn::kl::{self, Target};
use crate::nn::layer::Layer;
use crate::nn::params::{self, Named};

pub(super) const BATCH: usize = 1024;
const CODEBOOK: u32 = 256;
/// Tokens that follow a context.
const SEEN: usize = 4;

struct Likelihood {
    layers: Vec<Layer>,
    optimised: Optimised,
    features: Tensor,
    targets: Arc<[Target]>,
}

pub(super) fn per_site() -> Result<Box<dyn Training>> {
    let arch = Arch {
        side: 4,
        bits: 8,
        gamma: 7,
        window: Window::Square,
        tie: Tie::PerSite,
        prior: Prior::Net,
        unseen: Unseen::Net,
        hidden: vec![512, 512],
        codebook: (0..CODEBOOK).collect(),
        bit_chain: false,
    };
    let plans = arch.plans();
    let values = plans.iter().flat_map(|plan| params::initial(plan, 0));
    let mut named = Named::new();
    let layers = params::layers(&plans, &mut values.collect(), &mut named)?;
    let tokens = below(CODEBOOK / 4, "tokens", 0, BATCH * SEEN);
    let target = |tokens: &[u32]| Target {
        weight: 1.0 / BATCH as f64,
        // Distinct ones, each as often as the others.
        q: tokens
            .iter()
            .zip(0..)
            .map(|(token, part)| ((token * 4 + part) as usize, 1.0 / SEEN as f64))
            .collect(),
    };
    Ok(Box::new(Likelihood {
        layers,
        optimised: Optimised::new(named, Settings::default(), 1e-3)?,
        features: uniform(&[BATCH, arch.features()])?,
        targets: tokens.chunks_exact(SEEN).map(target).collect(),
    }))
}

impl Training for Likelihood {
    /// Logits, KL divergence.
    fn step(&mut self, step: u64) -> Result<f32> {
        let logits = net::logits(&self.layers, &self.features)?;
        let loss = kl::divergence(&logits, self.targets.clone())?;
        self.optimised.step(step, &loss)
    }
}
