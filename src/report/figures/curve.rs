//! `curve`: metrics against an axis of the sweep, mean and interval over
//! replicates.

use ablate_coordinator::sweep::plan::Figure;

use super::chart::{FINE, Frame, Hit};
use super::palette::{WHISKER, colour};
use super::panels::{Panel, Panels, hit, panels};
use super::scale::Scale;
use super::tile::Tile;
use super::{Drawn, Kind, Layout, chart, marks};
use crate::report::format;
use crate::report::page::tables;
use crate::report::study::{Measure, Study};
use plotters::style::Color;

pub(super) const KIND: Kind = Kind {
    name: "curve",
    draw,
};

/// Above this PSNR, images differ by less than a thousandth of the range: it
/// stands for "no error", and an axis that reached it would flatten the rest.
const CLIP_DB: f64 = 60.0;

fn draw(study: &Study, figure: &Figure) -> Result<Drawn, String> {
    let Panels {
        axis,
        values,
        panels,
        metrics,
        cells,
        mut notes,
    } = panels(study, figure)?;
    let (x, positions) = Scale::axis(&values);
    let mut legend: Vec<(usize, String)> = Vec::new();
    let mut clipped = false;
    let mut drawn = Vec::new();
    let count = panels.len();
    for panel in &panels {
        for series in &panel.series {
            let entry = (series.slot, series.label.clone());
            if !legend.contains(&entry) && (panel.series.len() > 1 || count > 1) {
                legend.push(entry);
            }
        }
        let (y, top) = vertical(&panels, panel);
        clipped |= top.is_some();
        let name = match x.log {
            true => format!("{} (log scale)", format::axis(&axis)),
            false => format::axis(&axis),
        };
        let frame = Frame {
            width: if count == 1 { 580 } else { 440 },
            height: 310,
            left: 46,
            x: x.clone(),
            y,
            x_name: name,
            label: format!("{} against {}", panel.y_name, format::axis(&axis)),
            grid: true,
        };
        drawn.push(one(study, panel, &frame, &positions, &values));
    }
    if clipped {
        notes.push(format!(
            "Arrows: above the axis. Values beyond {CLIP_DB} dB are next to no error, up to 100 dB for none."
        ));
    }
    if let Some(method) = methods(&panels) {
        notes.push(method);
    }
    Ok(Drawn {
        layout: Layout::of(count),
        tiles: drawn,
        legend,
        notes,
        blocks: false,
        values: Some(tables::measures(study, &cells, &metrics)),
    })
}

/// The vertical axis that a panel shares with its group, and the value at which it clips.
fn vertical(panels: &[Panel], panel: &Panel) -> (Scale, Option<f64>) {
    let group = || panels.iter().filter(|p| p.group == panel.group);
    let points = || group().flat_map(|p| &p.series).flat_map(|s| &s.points);
    let ends = |p: &super::panels::Point| match p.measure.interval {
        Some(interval) => [interval.low, interval.high],
        None => [p.mean, p.mean],
    };
    let clips = panel.unit == "dB"
        && points().any(|p| p.mean > CLIP_DB)
        && points().any(|p| p.mean <= CLIP_DB);
    let shown = || {
        points()
            .filter(|p| !clips || p.mean <= CLIP_DB)
            .flat_map(ends)
    };
    let low = shown().fold(f64::INFINITY, f64::min);
    let high = shown().fold(f64::NEG_INFINITY, f64::max);
    let high = if clips {
        high + (high - low).max(1.0) * 0.3
    } else {
        high
    };
    let scale = Scale::linear(low, high, 5);
    let top = scale.high;
    (scale, clips.then_some(top))
}

fn one(
    study: &Study,
    panel: &Panel,
    frame: &Frame,
    positions: &[f64],
    values: &[serde_json::Value],
) -> Tile {
    let top = frame.y.high;
    let count = i32::try_from(panel.series.len()).unwrap_or(1);
    let aside = |slot: usize| (2 * i32::try_from(slot).unwrap_or(0) - (count - 1)) * 5 * FINE;
    let hits: Vec<Hit> = panel
        .series
        .iter()
        .flat_map(|s| s.points.iter().map(move |p| (s, p)))
        .map(|(s, p)| {
            let at = (positions[p.x], p.mean.min(top));
            let x = format!("{} = {}", frame.x_name, format::value(&values[p.x]));
            hit(study, at, &s.label, &x, p)
        })
        .collect();
    let drawing = chart::draw(frame, hits, |chart| {
        for series in &panel.series {
            for stretch in series.stretches() {
                let path = stretch.iter().map(|p| (positions[p.x], p.mean.min(top)));
                let path: Vec<(f64, f64)> = path.collect();
                if path.iter().any(|(_, y)| *y < top) {
                    marks::line(chart, series.slot, 2 * FINE.unsigned_abs(), path)?;
                }
            }
        }
        for series in &panel.series {
            for point in &series.points {
                let x = positions[point.x];
                if point.mean > top {
                    marks::above(chart, series.slot, (x, top), aside(series.slot))?;
                    continue;
                }
                if let Some(interval) = point.measure.interval {
                    let style = colour(series.slot).stroke_width(WHISKER);
                    let ends = (interval.low.max(frame.y.low), interval.high.min(top));
                    marks::whisker(chart, style, x, ends)?;
                }
                marks::point(chart, series.slot, (x, point.mean))?;
            }
        }
        Ok(())
    });
    Tile::chart(&panel.title, &panel.y_name, drawing)
}

/// What the whiskers are.
pub(super) fn methods(panels: &[Panel]) -> Option<String> {
    let points = panels
        .iter()
        .flat_map(|p| &p.series)
        .flat_map(|s| &s.points);
    whiskers(points.map(|p| &p.measure))
}

/// A sentence on the intervals of these measures.
pub(super) fn whiskers<'a>(measures: impl Iterator<Item = &'a Measure>) -> Option<String> {
    let mut words: Vec<&str> = Vec::new();
    let mut few = false;
    for measure in measures {
        let Some(interval) = measure.interval else {
            continue;
        };
        if !words.contains(&interval.method.words()) {
            words.push(interval.method.words());
        }
        few |= measure.student.is_some();
    }
    let narrow = if few {
        " With few seeds they are too narrow: Student’s stand beside the numbers."
    } else {
        ""
    };
    (!words.is_empty()).then(|| format!("Whiskers: {}.{narrow}", words.join("; ")))
}
