//! The frame that all charts share: ground, grid, axes, and on the page a
//! transparent layer over them in which every point leads to the task it comes
//! from.

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
pub(super) const FINES: u32 = FINE.unsigned_abs();

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

/// A chart, as the elements of an SVG.
pub(super) struct Drawing {
    /// In units of the page, each of which is `FINE` units of the drawing.
    pub width: u32,
    pub height: u32,
    pub elements: String,
    label: String,
    hits: Vec<(Hit, (i32, i32))>,
}

/// Draws a chart.
///
/// # Errors
/// Why it cannot be drawn, in words for the page.
pub(super) fn draw(
    frame: &Frame,
    hits: Vec<Hit>,
    paint: impl FnOnce(&mut Chart<'_, '_>) -> DrawResult,
) -> Result<Drawing, String> {
    let (width, height) = (frame.width * FINES, frame.height * FINES);
    let mut svg = String::new();
    let places = {
        let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        painted(&root, frame, &hits, paint).map_err(|why| why.to_string())?
    };
    Ok(Drawing {
        width: frame.width,
        height: frame.height,
        elements: content(&svg).to_owned(),
        label: frame.label.clone(),
        hits: hits.into_iter().zip(places).collect(),
    })
}

impl Drawing {
    /// As it stands on the page.
    pub(super) fn html(&self) -> Markup {
        let (width, height) = (self.width * FINES, self.height * FINES);
        html! {
            svg.chart viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(self.label) {
                (PreEscaped(&self.elements))
                @for (hit, (x, y)) in &self.hits {
                    a.hit href=[hit.href.as_deref()] {
                        circle cx=(x) cy=(y) r=(9 * FINE) { title { (format::clean(&hit.title)) } }
                    }
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
    let fine = FINES;
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

/// Width and height of a [`swatch`], in units of the page.
pub(super) const SWATCH: (u32, u32) = (34, 14);

/// A series' line and marker, for legends: the elements of an SVG.
pub(super) fn swatch(slot: usize) -> String {
    let mut svg = String::new();
    let size = (SWATCH.0 * FINES, SWATCH.1 * FINES);
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let middle = 7 * FINE;
        let style = colour(slot).stroke_width(2 * FINES);
        let line = PathElement::new(vec![(0, middle), (34 * FINE, middle)], style);
        // A legend entry that cannot be drawn is left blank.
        let _ = root.draw(&line);
        let _ = marks::marker(&root, slot, (17 * FINE, middle));
        let _ = root.present();
    }
    content(&svg).to_owned()
}
