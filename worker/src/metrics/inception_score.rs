//! The Inception score (science.md §5, IS): of each of ten contiguous parts of
//! a fixed permutation exp(mean KL(p(y|x) ‖ p(y))), where p(y|x) is the
//! softmax of an image's logits and p(y) its mean over the part; their mean
//! and population standard deviation, in f64.

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;

use super::Rows;
use super::vectors::Vectors;
use crate::nn::rng::stream;

const PARTS: usize = 10;
/// Of the permutation: part of the definition.
const SEED: u64 = 0;

/// # Errors
/// When logits cannot be read, here and below.
pub(super) fn rows(logits: &dyn Vectors) -> Rows {
    let n = logits.n();
    if n < PARTS {
        let why = format!("{PARTS} parts need {PARTS} images");
        return Ok(vec![MetricRow::skipped("inception_score", &why)]);
    }
    let order = stream(SEED, "inception score", 0).permutation(n);
    let [mean, std] = score(logits, &order, PARTS)?;
    let row = |name, direction, value| MetricRow::scalar(name, "", direction, value).over(n);
    Ok(vec![
        row("inception_score", Direction::Up, mean),
        row("inception_score_std", Direction::Neutral, std),
    ])
}

/// Mean and population standard deviation over the parts of `order`.
pub(super) fn score(
    logits: &dyn Vectors,
    order: &[usize],
    parts: usize,
) -> Result<[f64; 2], Failure> {
    let n = order.len();
    let scores = (0..parts).map(|part| {
        let some = &order[part * n / parts..(part + 1) * n / parts];
        divergence(logits, some).map(f64::exp)
    });
    let scores: Vec<f64> = scores.collect::<Result<_, _>>()?;
    let mean = scores.iter().sum::<f64>() / parts as f64;
    let squares = scores.iter().map(|s| (s - mean).powi(2));
    Ok([mean, (squares.sum::<f64>() / parts as f64).sqrt()])
}

/// The mean divergence of some images from their mean: their mean of
/// Σ p·ln p, less Σ q·ln q.
fn divergence(logits: &dyn Vectors, some: &[usize]) -> Result<f64, Failure> {
    let mut mean = vec![0.0; logits.width()];
    let mut own = 0.0;
    for image in some {
        let row = logits.rows(*image..image + 1)?;
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
    Ok(own / n - mean.into_iter().map(log).sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Features;

    #[test]
    fn sure_and_even_is_the_number_of_classes_and_unsure_is_one() {
        let of = |height: f32| {
            let mut data = vec![0.0; 40 * 4];
            for image in 0..40 {
                data[image * 4 + image % 4] = height;
            }
            let (n, width) = (40, 4);
            let order: Vec<usize> = (0..n).collect();
            score(&Features { n, width, data }, &order, 10).unwrap()
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
        let rows = rows(&Features { n, width, data }).unwrap();
        assert!(rows.len() == 1 && rows[0].value.is_none());
    }
}
