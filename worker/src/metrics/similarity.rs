//! The most similar training image by SSIM instead of the nearest by PSNR
//! (science.md §4, E13).

use ablate_proto::artifact::{Direction, MetricRow};

use super::{Rows, Samples, mean};

pub(super) fn nearest(samples: &Samples<'_>) -> Rows {
    let Some(similar) = samples.similar()? else {
        return Ok(Vec::new());
    };
    let ssim = mean(similar.iter().map(|s| s.ssim));
    let row = MetricRow::scalar("nearest_ssim_mean", "", Direction::Neutral, ssim);
    Ok(vec![row.over(similar.len())])
}
