//! What the threshold of memorisation decides (science.md §7, X3): rates at
//! every threshold, and the threshold that held-out images set.

use ablate_proto::artifact::{Direction, MetricRow, THRESHOLDS_DB};

use super::{Nearest, Rows, Samples};

/// The share of held-out images that a calibrated threshold calls copies.
const FALSE_ALARMS: f64 = 0.01;

pub(super) fn curves(samples: &Samples<'_>) -> Rows {
    let names = ["calibrated_db", "calibrated_rate", "chance_by_db"];
    let mut rows = vec![by_threshold("memorisation_by_db", &samples.nearest)];
    let Some(held_out) = samples.held_out else {
        let why = "the dataset keeps no images back";
        rows.extend(names.map(|name| MetricRow::skipped(name, why)));
        return Ok(rows);
    };
    // What a new image of the same kind looks like to the rule.
    let fresh = Nearest::of_all(held_out, samples.train, samples.train.n())?;
    let mut db: Vec<f64> = fresh.iter().map(|n| n.psnr).collect();
    db.sort_unstable_by(|a, b| b.total_cmp(a));
    let allowed = (FALSE_ALARMS * db.len() as f64).floor();
    // Positive and at most the number of held-out images.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "see above"
    )]
    let threshold = db[(allowed as usize).min(db.len() - 1)];
    let above = samples.nearest.iter().filter(|n| n.psnr > threshold);
    let rate = above.count() as f64 / samples.nearest.len() as f64;
    rows.extend([
        MetricRow::scalar(names[0], "dB", Direction::Neutral, threshold).over(db.len()),
        MetricRow::scalar(names[1], "", Direction::Neutral, rate).over(samples.nearest.len()),
        by_threshold(names[2], &fresh),
    ]);
    Ok(rows)
}

/// The share of images above 20, 21, …, 40 dB to their nearest.
fn by_threshold(name: &str, nearest: &[Nearest]) -> MetricRow {
    let n = nearest.len();
    let share = |db: u32| {
        let above = nearest.iter().filter(|near| near.psnr > f64::from(db));
        above.count() as f64 / n as f64
    };
    MetricRow::vector(name, "", THRESHOLDS_DB.map(share).collect()).over(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::images::Images;

    fn images(data: Vec<f32>) -> Images {
        Images {
            n: data.len(),
            channels: 1,
            h: 1,
            w: 1,
            data,
        }
    }

    #[test]
    fn held_out_images_set_the_threshold() {
        let train = images(vec![-1.0, 1.0]);
        // Errors of 0.1·k: 26 dB and less.
        let held_out = images((1..=9).map(|k| -1.0 + 0.1 * k as f32).collect());
        let made = images(vec![-1.0, -0.95, -0.5]);
        let samples = Samples::new(&made, None, &train, None, Some(&held_out), 30.0);
        let rows = curves(&samples).unwrap();
        let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
        let threshold = row("calibrated_db").value.unwrap();
        assert!((threshold - 26.02).abs() < 0.01, "{threshold}");
        assert_eq!(row("calibrated_rate").value, Some(2.0 / 3.0));
        let curve = &row("memorisation_by_db").values;
        assert_eq!(
            (curve.len(), curve[0], curve[20]),
            (21, 2.0 / 3.0, 1.0 / 3.0)
        );
        assert_eq!(row("chance_by_db").values[10], 0.0);
    }
}
