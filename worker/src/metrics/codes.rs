//! The binary codes of the training images (science.md §7, X9): how many
//! differ, and what the bits carry.

use std::collections::BTreeSet;

use ablate_proto::artifact::{Direction, MetricRow};

use super::{Rows, Subject};

/// A bit with less entropy than this carries nothing.
const DEAD: f64 = 0.01;

pub(super) fn codes(subject: &Subject<'_>) -> Rows {
    let latents = &subject.latents;
    let (n, bits) = (latents.n, latents.size());
    let mut ones = vec![0usize; bits];
    let mut codes = BTreeSet::new();
    for latent in latents.iter() {
        let code: Vec<bool> = latent.iter().map(|z| *z >= 0.0).collect();
        for (count, bit) in ones.iter_mut().zip(&code) {
            *count += usize::from(*bit);
        }
        codes.insert(code);
    }
    let entropy = |ones: &usize| {
        let p = *ones as f64 / n as f64;
        let term = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
        term(p) + term(1.0 - p)
    };
    let entropies: Vec<f64> = ones.iter().map(entropy).collect();
    let dead = entropies.iter().filter(|h| **h < DEAD).count();
    let mean = entropies.iter().sum::<f64>() / bits as f64;
    let row = |name, unit, direction, value| MetricRow::scalar(name, unit, direction, value);
    Ok(vec![
        row("unique_codes", "", Direction::Up, codes.len() as f64).over(n),
        row("bit_entropy_mean", "bits", Direction::Up, mean).over(n),
        row("dead_bits", "", Direction::Down, dead as f64).over(bits),
    ])
}
