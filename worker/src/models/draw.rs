//! Draws from histograms over tokens.

/// Unnormalised probabilities of logits at a temperature, with their places.
pub(crate) fn sharpened(logits: &[f32], temperature: f64) -> Vec<(u32, f64)> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |x: &f32| (f64::from(x - top) / temperature).exp();
    (0..).zip(logits.iter().map(weight)).collect()
}

/// ln p of one place of the logits' softmax.
pub(crate) fn log_softmax(logits: &[f32], place: usize) -> f64 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from(x - top).exp()).sum();
    f64::from(logits[place] - top) - sum.ln()
}

/// The id at `unit` ∈ [0, 1) of the cumulated weights.
pub(crate) fn pick(weights: &[(u32, f64)], unit: f64) -> u32 {
    let total: f64 = weights.iter().map(|(_, w)| w).sum();
    let mut left = unit * total;
    let mut chosen = 0;
    for (id, weight) in weights.iter().filter(|(_, w)| *w > 0.0) {
        chosen = *id;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_drawn_in_proportion() {
        let weights = [(4, 1.0), (5, 0.0), (7, 3.0)];
        assert_eq!(pick(&weights, 0.0), 4);
        assert_eq!(pick(&weights, 0.249), 4);
        assert_eq!(pick(&weights, 0.251), 7);
        assert_eq!(pick(&weights, 0.999_999), 7);
    }
}
