//! Markers, whiskers and lines of a series.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::chart::{Chart, DrawResult, FINE};
use super::palette::{GROUND, VALUE, colour};

/// The marker of a palette slot at a place of the drawing.
pub(super) fn marker(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    slot: usize,
    (x, y): (i32, i32),
) -> DrawResult {
    for (grow, style) in [(6, GROUND.filled()), (0, colour(slot).filled())] {
        match outline(slot, grow) {
            None => area.draw(&Circle::new((x, y), 4 * FINE + grow, style))?,
            Some(corners) => {
                let corners: Vec<_> = corners.iter().map(|(a, b)| (x + a, y + b)).collect();
                area.draw(&Polygon::new(corners, style))?;
            }
        }
    }
    Ok(())
}

/// Corners of a slot's marker around its centre; `None` is a disc.
pub(super) fn outline(slot: usize, grow: i32) -> Option<Vec<(i32, i32)>> {
    let r = 4 * FINE + grow;
    let long = r * 5 / 4;
    match slot % 7 {
        0 => None,
        1 => Some(vec![(-r, -r), (r, -r), (r, r), (-r, r)]),
        2 => Some(vec![(0, -long), (long, r), (-long, r)]),
        3 => Some(vec![(0, -long), (long, 0), (0, long), (-long, 0)]),
        4 => Some(vec![(0, long), (long, -r), (-long, -r)]),
        5 => Some(vec![(-r, -r / 2), (r, -r / 2), (r, r / 2), (-r, r / 2)]),
        _ => Some(vec![(-r / 2, -r), (r / 2, -r), (r / 2, r), (-r / 2, r)]),
    }
}

/// The marker at a value.
pub(super) fn point(chart: &Chart<'_, '_>, slot: usize, at: (f64, f64)) -> DrawResult {
    let (x, y) = chart.backend_coord(&at);
    let area = chart.plotting_area().strip_coord_spec();
    let (left, top) = area.get_base_pixel();
    marker(&area, slot, (x - left, y - top))
}

/// An arrow at the upper edge: the value lies above the axis.
pub(super) fn above(
    chart: &mut Chart<'_, '_>,
    slot: usize,
    at: (f64, f64),
    aside: i32,
) -> DrawResult {
    let r = 4 * FINE;
    let corners: Vec<(i32, i32)> = [
        (0, 0),
        (r, r + 2),
        (FINE, r + 2),
        (FINE, 3 * r),
        (-FINE, 3 * r),
        (-FINE, r + 2),
        (-r, r + 2),
    ]
    .into_iter()
    .map(|(x, y)| (x + aside, y))
    .collect();
    let arrow = EmptyElement::at(at) + Polygon::new(corners, colour(slot).filled());
    chart.draw_series([arrow]).map(|_| ())
}

/// An interval as a line with caps.
pub(super) fn whisker(
    chart: &mut Chart<'_, '_>,
    style: ShapeStyle,
    x: f64,
    (low, high): (f64, f64),
) -> DrawResult {
    let (_, top) = chart.backend_coord(&(x, high));
    let (_, foot) = chart.backend_coord(&(x, low));
    let (height, cap) = (foot - top, 3 * FINE);
    let line = |from, to| PathElement::new(vec![from, to], style);
    let whisker = EmptyElement::at((x, high))
        + line((0, 0), (0, height))
        + line((-cap, 0), (cap, 0))
        + line((-cap, height), (cap, height));
    chart.draw_series([whisker]).map(|_| ())
}

/// A line through points.
pub(super) fn line(
    chart: &mut Chart<'_, '_>,
    slot: usize,
    width: u32,
    points: Vec<(f64, f64)>,
) -> DrawResult {
    let style = colour(slot).stroke_width(width);
    chart
        .draw_series([PathElement::new(points, style)])
        .map(|_| ())
}

/// A number above a place.
pub(super) fn caption(chart: &mut Chart<'_, '_>, at: (f64, f64), text: String) -> DrawResult {
    let size = 12.0 * f64::from(FINE) * 1.24;
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&VALUE);
    let style = style.pos(Pos::new(HPos::Center, VPos::Bottom));
    let label = EmptyElement::at(at) + Text::new(text, (0, -3 * FINE), style);
    chart.draw_series([label]).map(|_| ())
}
