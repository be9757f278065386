//! `bars`: grouped bars along an axis, with intervals.

use ablate_coordinator::sweep::plan::Figure;
use plotters::prelude::*;
use serde_json::Value;

use super::chart::{Frame, Hit};
use super::curve::methods;
use super::palette::{TEXT, WHISKER, colour};
use super::panels::{Panel, Panels, hit, panels};
use super::scale::Scale;
use super::tile::Tile;
use super::{Drawn, Kind, Layout, chart, marks};
use crate::report::format;
use crate::report::page::tables;
use crate::report::study::Study;

pub(super) const KIND: Kind = Kind { name: "bars", draw };

/// Share of a category's width that its bars take.
const FILL: f64 = 0.74;

fn draw(study: &Study, figure: &Figure) -> Result<Drawn, String> {
    let Panels {
        axis,
        values,
        panels,
        metrics,
        cells,
        mut notes,
    } = panels(study, figure)?;
    let mut legend: Vec<(usize, String)> = Vec::new();
    for panel in panels.iter().filter(|p| p.series.len() > 1) {
        for series in &panel.series {
            let entry = (series.slot, series.label.clone());
            if !legend.contains(&entry) {
                legend.push(entry);
            }
        }
    }
    notes.extend(methods(&panels));
    let drawn = panels
        .iter()
        .map(|p| one(study, &panels, p, &axis, &values))
        .collect();
    Ok(Drawn {
        layout: Layout::of(panels.len()),
        tiles: drawn,
        legend,
        blocks: true,
        notes,
        values: Some(tables::measures(study, &cells, &metrics)),
    })
}

fn one(study: &Study, panels: &[Panel], panel: &Panel, axis: &str, values: &[Value]) -> Tile {
    let several = panels.len() > 1;
    let group = panels.iter().filter(|p| p.group == panel.group);
    let points = || {
        group
            .clone()
            .flat_map(|p| &p.series)
            .flat_map(|s| &s.points)
    };
    let ends = points().flat_map(|p| {
        let interval = p.measure.interval;
        [
            p.mean,
            interval.map_or(p.mean, |i| i.high),
            interval.map_or(p.mean, |i| i.low),
        ]
    });
    let (low, high) = ends.fold((0f64, 0f64), |(low, high), v| (low.min(v), high.max(v)));
    let share = panel.unit.is_empty() && low >= 0.0 && high <= 1.0 && high > 0.5;
    let bars = || {
        let series = panel.series.iter().enumerate();
        series.flat_map(|(i, s)| s.points.iter().map(move |p| (i, s, p)))
    };
    let few = bars().count() <= 6;
    let mut y = Scale::linear(low, if share { 1.0 } else { high }, 5);
    if few {
        // Room for the numbers above the bars.
        y.high = y.high.max(high + (y.high - y.low) * 0.09);
    }
    let frame = Frame {
        width: if several { 440 } else { 580 },
        height: 310,
        left: 46,
        x: Scale::categories(values),
        y,
        x_name: format::axis(axis),
        label: format!("{} by {}", panel.y_name, format::axis(axis)),
        grid: true,
    };
    let width = FILL / panel.series.len().max(1) as f64;
    let left = |slot: usize, x: usize| x as f64 - FILL / 2.0 + slot as f64 * width;
    let hits: Vec<Hit> = bars()
        .map(|(i, s, p)| {
            let at = (left(i, p.x) + width / 2.0, p.mean);
            let x = format!("{} = {}", frame.x_name, format::value(&values[p.x]));
            hit(study, at, &s.label, &x, p)
        })
        .collect();
    let drawing = chart::draw(&frame, hits, |chart| {
        for (i, series, point) in bars() {
            let (from, to) = (left(i, point.x), left(i, point.x) + width * 0.94);
            let middle = f64::midpoint(from, to);
            let mut bar = Rectangle::new(
                [(from, 0.0), (to, point.mean)],
                colour(series.slot).filled(),
            );
            bar.set_margin(0, 0, 0, 0);
            chart.draw_series([bar])?;
            let mut top = point.mean.max(0.0);
            if let Some(interval) = point.measure.interval {
                let style = TEXT.stroke_width(WHISKER);
                marks::whisker(chart, style, middle, (interval.low, interval.high))?;
                top = top.max(interval.high);
            }
            if few {
                marks::caption(chart, (middle, top), point.measure.shown())?;
            }
        }
        Ok(())
    });
    Tile::chart(&panel.title, &panel.y_name, drawing)
}
