//! The figures a sweep file can ask for. To add a kind: a file here and one
//! line in `KINDS`.

mod bars;
pub(crate) mod chart;
mod curve;
mod images;
mod marks;
mod normalised;
pub(crate) mod palette;
mod panels;
mod quoted;
mod ridges;
mod scale;
mod standalone;
mod thresholds;
mod tile;
mod training;

use ablate_coordinator::sweep::plan::Figure;
use maud::{Markup, PreEscaped, html};

use super::format;
use super::study::Study;
use tile::Tile;

pub(super) use standalone::standalone;

/// A kind of figure.
struct Kind {
    name: &'static str,
    draw: fn(&Study, &Figure) -> Result<Drawn, String>,
}

const KINDS: &[Kind] = &[
    curve::KIND,
    training::KIND,
    normalised::KIND,
    thresholds::KIND,
    bars::KIND,
    images::KIND,
];

/// What a kind makes of a figure; the frame around it is drawn here.
#[derive(Default)]
pub(super) struct Drawn {
    tiles: Vec<Tile>,
    layout: Layout,
    /// Palette slot and label of each series.
    legend: Vec<(usize, String)>,
    /// Whether the series are areas, not lines.
    blocks: bool,
    /// Sentences on how to read it, and on what is missing.
    notes: Vec<String>,
    /// The numbers behind it, each with its source.
    values: Option<Markup>,
}

/// How the tiles of a figure stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Layout {
    /// One, with the caption beside it.
    #[default]
    One,
    Several,
    Small,
    Pictures,
}

impl Layout {
    fn of(tiles: usize) -> Self {
        match tiles {
            1 => Self::One,
            _ => Self::Several,
        }
    }

    /// Its class in the page's style sheet.
    fn class(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Several => "several",
            Self::Small => "small",
            Self::Pictures => "pictures",
        }
    }
}

/// Draws a figure.
///
/// # Errors
/// Why it cannot be drawn, in words for the page.
pub(super) fn draw(study: &Study, figure: &Figure) -> Result<Drawn, String> {
    let Some(kind) = KINDS.iter().find(|kind| kind.name == figure.kind) else {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        let known = known.join(", ");
        return Err(format!("there is no kind “{}”, only {known}", figure.kind));
    };
    let mut drawn = (kind.draw)(study, figure)?;
    if drawn.legend.len() > palette::slots() {
        drawn.notes.push(format!(
            "Colours, marks and dashes repeat after {} series: the numbers tell those apart.",
            palette::slots()
        ));
    }
    Ok(drawn)
}

/// A figure as it stands on the page, above the names of its files.
pub(super) fn html(
    figure: &Figure,
    drawn: &Result<Drawn, String>,
    number: usize,
    files: &[String],
) -> Markup {
    html! {
        figure.figure id={ "figure-" (number) } {
            h3 { (format::clean(&figure.title)) }
            @match drawn {
                Err(why) => p.empty { "Not drawn: " (format::clean(why)) "." },
                Ok(drawn) => (frame(drawn, figure)),
            }
            @if !files.is_empty() {
                p.note {
                    "The figure as a file: "
                    @for (i, file) in files.iter().enumerate() {
                        @if i > 0 { ", " }
                        a href=(file) { (file) }
                    }
                }
            }
        }
    }
}

fn frame(drawn: &Drawn, figure: &Figure) -> Markup {
    html! {
        div class={ "body " (drawn.layout.class()) } {
            div.panels {
                @for tile in &drawn.tiles { (tile.html()) }
            }
            figcaption {
                @if !drawn.legend.is_empty() {
                    ul.legend {
                        @for (slot, label) in &drawn.legend {
                            li {
                                @if drawn.blocks {
                                    span.block style={ "background:var(--s" (slot % palette::slots()) ")" } {}
                                } @else {
                                    (swatch(*slot))
                                }
                                span { (label) }
                            }
                        }
                    }
                }
                @if let Some(caption) = &figure.caption {
                    p.caption { (format::clean(caption)) }
                }
                @for note in &drawn.notes { p.note { (format::clean(note)) } }
            }
        }
        @if let Some(values) = &drawn.values {
            details.values {
                summary { "The numbers behind this figure" }
                (values)
            }
        }
        (quoted::table(figure))
    }
}

/// A series' line and marker on the page.
fn swatch(slot: usize) -> Markup {
    let (width, height) = chart::SWATCH;
    let [width, height] = [width, height].map(|units| units * chart::FINES);
    html! {
        svg.chart.swatch viewBox={ "0 0 " (width) " " (height) } aria-hidden="true" {
            (PreEscaped(chart::swatch(slot)))
        }
    }
}
