//! A histogram that changes over training, as a stack of ridges.

use ablate_proto::artifact::MetricRow;
use plotters::prelude::*;

use super::chart::{self, FINE, Frame};
use super::marks;
use super::palette::{GROUND, colour};
use super::scale::Scale;
use super::tile::Tile;
use crate::report::format;

const MAX_RIDGES: usize = 11;
/// Height of the tallest ridge, in distances between ridges.
const OVERLAP: f64 = 2.6;

pub(super) fn ridges(rows: &[&MetricRow], name: &str, label: Option<&str>) -> Option<Tile> {
    let last = rows.len().checked_sub(1)?;
    let count = rows.len().min(MAX_RIDGES);
    let picked: Vec<&MetricRow> = (0..count)
        .map(|i| rows[i * last / count.saturating_sub(1).max(1)])
        .collect();
    let tallest = picked
        .iter()
        .flat_map(|row| &row.values)
        .copied()
        .fold(0.0, f64::max);
    if tallest <= 0.0 {
        return None;
    }
    let bins = picked[0].values.len();
    // Latent histograms span [-1, 1]; others are shown by bin.
    let latent = name == "latent_histogram";
    let (from, to) = if latent {
        (-1.0, 1.0)
    } else {
        (0.0, bins as f64)
    };
    let width = (to - from) / bins.max(1) as f64;
    let every = count.div_ceil(6);
    let ticks = picked
        .iter()
        .enumerate()
        .filter(|(i, _)| (count - 1 - i).is_multiple_of(every));
    let y = Scale {
        low: 0.0,
        high: count as f64 - 1.0 + OVERLAP + 0.1,
        ticks: ticks
            .map(|(i, row)| {
                let step = row.step.unwrap_or_default();
                ((count - 1 - i) as f64, step.to_string())
            })
            .collect(),
        log: false,
    };
    let mut x = Scale::linear(from, to, 4);
    (x.low, x.high) = (from - 2.0 * width, to + 2.0 * width);
    let frame = Frame {
        width: 330,
        height: 450,
        left: 46,
        x,
        y,
        x_name: if latent { "latent value" } else { "bin" }.to_owned(),
        label: format!("{} over the training steps", format::metric(name)),
        grid: false,
    };
    let drawing = chart::draw(&frame, Vec::new(), |chart| {
        for (i, row) in picked.iter().enumerate() {
            let base = (count - 1 - i) as f64;
            let height = |v: f64| base + OVERLAP * (v.max(0.0) / tallest).sqrt();
            let mut path = vec![(from - 2.0 * width, base), (from - 0.5 * width, base)];
            for (bin, value) in row.values.iter().enumerate() {
                path.push((from + (bin as f64 + 0.5) * width, height(*value)));
            }
            path.extend([(to + 0.5 * width, base), (to + 2.0 * width, base)]);
            chart.draw_series([Polygon::new(path.clone(), GROUND.filled())])?;
            let tint = colour(0).mix(0.10 + 0.30 * i as f64 / count as f64);
            chart.draw_series([Polygon::new(path.clone(), tint.filled())])?;
            marks::line(chart, 0, FINE.unsigned_abs() * 3 / 2, path)?;
        }
        Ok(())
    });
    let name = format!("{} by step", format::metric(name));
    let tile = Tile::chart("", &name, drawing).with_aside(label.map(str::to_owned));
    Some(tile.tall())
}
