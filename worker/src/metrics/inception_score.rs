//! The Inception score (science.md §5, IS): of each of ten contiguous parts of
//! a fixed permutation exp(mean KL(p(y|x) ‖ p(y))), where p(y|x) is the
//! softmax of an image's logits and p(y) its mean over the part; their mean
//! and population standard deviation, in f64.

use ablate_proto::artifact::{Direction, MetricRow};

use super::linear::Features;
use crate::nn::rng::stream;

const PARTS: usize = 10;
/// Of the permutation: part of the definition.
const SEED: u64 = 0;

pub(super) fn rows(logits: &Features) -> Vec<MetricRow> {
    if logits.n < PARTS {
        let why = format!("{PARTS} parts need {PARTS} images");
        return vec![MetricRow::skipped("inception_score", &why)];
    }
    let order = stream(SEED, "inception score", 0).permutation(logits.n);
    let [mean, std] = score(logits, &order, PARTS);
    let row = |name, direction, value| MetricRow::scalar(name, "", direction, value).over(logits.n);
    vec![
        row("inception_score", Direction::Up, mean),
        row("inception_score_std", Direction::Neutral, std),
    ]
}

/// Mean and population standard deviation over the parts of `order`.
pub(super) fn score(logits: &Features, order: &[usize], parts: usize) -> [f64; 2] {
    let n = order.len();
    let scores = (0..parts).map(|part| {
        let some = &order[part * n / parts..(part + 1) * n / parts];
        divergence(logits, some).exp()
    });
    let scores: Vec<f64> = scores.collect();
    let mean = scores.iter().sum::<f64>() / parts as f64;
    let squares = scores.iter().map(|s| (s - mean).powi(2));
    [mean, (squares.sum::<f64>() / parts as f64).sqrt()]
}

/// The mean divergence of some images from their mean: their mean of
/// Σ p·ln p, less Σ q·ln q.
fn divergence(logits: &Features, some: &[usize]) -> f64 {
    let mut mean = vec![0.0; logits.width];
    let mut own = 0.0;
    for image in some {
        let row = &logits.data[image * logits.width..(image + 1) * logits.width];
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let above: Vec<f64> = row.iter().map(|x| f64::from(*x) - f64::from(top)).collect();
        let total: f64 = above.iter().map(|x| x.exp()).sum();
        let log_total = total.ln();
        for (mean, x) in mean.iter_mut().zip(above) {
            let p = x.exp() / total;
            *mean += p;
            own += p * (x - log_total);
        }
    }
    let n = some.len() as f64;
    let log = |sum: f64| {
        if sum > 0.0 {
            sum / n * (sum / n).ln()
        } else {
            0.0
        }
    };
    own / n - mean.into_iter().map(log).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sure_and_even_is_the_number_of_classes_and_unsure_is_one() {
        let of = |height: f32| {
            let mut data = vec![0.0; 40 * 4];
            for image in 0..40 {
                data[image * 4 + image % 4] = height;
            }
            let (n, width) = (40, 4);
            let order: Vec<usize> = (0..n).collect();
            score(&Features { n, width, data }, &order, 10)
        };
        let [sure, spread] = of(200.0);
        assert!(
            (sure - 4.0).abs() < 1e-9 && spread < 1e-9,
            "{sure} {spread}"
        );
        assert_eq!(of(0.0), [1.0, 0.0]);
    }

    #[test]
    fn too_few_images_are_no_score() {
        let (n, width) = (9, 2);
        let data = vec![0.0; n * width];
        let rows = rows(&Features { n, width, data });
        assert!(rows.len() == 1 && rows[0].value.is_none());
    }
}
