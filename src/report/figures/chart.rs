//! The frame that all charts share: ground, grid, axes, and over them a
//! transparent layer in which every point leads to the task it comes from.

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::marks;
use super::palette::{AXIS, GRID, TEXT, colour};
use super::scale::{Axis, Scale};
use crate::report::format;

/// The backend has whole coordinates only; drawing large and showing small
/// keeps lines smooth.
pub(super) const FINE: i32 = 4;

pub(super) type Chart<'a, 's> = ChartContext<'a, SVGBackend<'s>, Cartesian2d<Axis, Axis>>;
pub(super) type DrawResult = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Size and axes of a chart, in units of the page.
pub(super) struct Frame {
    pub width: u32,
    pub height: u32,
    pub left: u32,
    pub x: Scale,
    pub y: Scale,
    pub x_name: String,
    /// What it shows, for those who cannot see it.
    pub label: String,
    pub grid: bool,
}

/// A place in a chart that says its value and leads to its task.
pub(super) struct Hit {
    pub at: (f64, f64),
    pub title: String,
    pub href: Option<String>,
}

pub(super) fn draw(
    frame: &Frame,
    hits: &[Hit],
    paint: impl FnOnce(&mut Chart<'_, '_>) -> DrawResult,
) -> Markup {
    let fine = FINE.unsigned_abs();
    let (width, height) = (frame.width * fine, frame.height * fine);
    let mut svg = String::new();
    let places = {
        let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        match painted(&root, frame, hits, paint) {
            Ok(places) => places,
            Err(why) => {
                let why = why.to_string();
                return html! { p.empty { "Not drawn: " (format::clean(&why)) "." } };
            }
        }
    };
    html! {
        svg.chart viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(frame.label) {
            (PreEscaped(content(&svg)))
            @for (hit, (x, y)) in hits.iter().zip(places) {
                a.hit href=[hit.href.as_deref()] {
                    circle cx=(x) cy=(y) r=(9 * FINE) { title { (format::clean(&hit.title)) } }
                }
            }
        }
    }
}

fn painted(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    frame: &Frame,
    hits: &[Hit],
    paint: impl FnOnce(&mut Chart<'_, '_>) -> DrawResult,
) -> Result<Vec<(i32, i32)>, DrawingAreaErrorKind<std::io::Error>> {
    let fine = FINE.unsigned_abs();
    let bottom = if frame.x_name.is_empty() { 24 } else { 44 };
    let mut chart = ChartBuilder::on(root)
        .margin_top(8 * fine)
        .margin_right(12 * fine)
        .x_label_area_size(bottom * fine)
        .y_label_area_size(frame.left * fine)
        .build_cartesian_2d(Axis::from(&frame.x), Axis::from(&frame.y))?;
    // The backend divides sizes by 1.24.
    let font = |size: f64| {
        let size = size * f64::from(FINE) * 1.24;
        TextStyle::from(("sans-serif", size).into_font()).color(&TEXT)
    };
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .axis_style(AXIS.stroke_width(fine))
        .bold_line_style(GRID.stroke_width(fine))
        .light_line_style(TRANSPARENT)
        .label_style(font(12.5))
        .axis_desc_style(font(12.5))
        .set_all_tick_mark_size(4 * fine)
        .x_labels(frame.x.ticks.len())
        .y_labels(frame.y.ticks.len());
    if !frame.x_name.is_empty() {
        mesh.x_desc(frame.x_name.as_str());
    }
    if !frame.grid {
        mesh.disable_y_mesh();
    }
    mesh.draw()?;
    paint(&mut chart)?;
    let places = hits
        .iter()
        .map(|hit| chart.backend_coord(&hit.at))
        .collect();
    root.present()?;
    Ok(places)
}

/// What stands between the outer tags of an SVG.
fn content(svg: &str) -> &str {
    let start = svg.find('>').map_or(0, |at| at + 1);
    let end = svg.rfind("</svg").unwrap_or(svg.len());
    svg.get(start..end).unwrap_or_default()
}

/// A series' line and marker, for legends.
pub(crate) fn swatch(slot: usize) -> Markup {
    let mut svg = String::new();
    let size = (34 * FINE.unsigned_abs(), 14 * FINE.unsigned_abs());
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let middle = 7 * FINE;
        let style = colour(slot).stroke_width(2 * FINE.unsigned_abs());
        let line = PathElement::new(vec![(0, middle), (34 * FINE, middle)], style);
        // A legend entry that cannot be drawn is left blank.
        let _ = root.draw(&line);
        let _ = marks::marker(&root, slot, (17 * FINE, middle));
        let _ = root.present();
    }
    html! {
        svg.chart.swatch viewBox={ "0 0 " (size.0) " " (size.1) } aria-hidden="true" {
            (PreEscaped(content(&svg)))
        }
    }
}
