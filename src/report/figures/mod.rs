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
mod thresholds;
mod training;

use ablate_coordinator::sweep::plan::Figure;
use maud::{Markup, html};

use super::format;
use super::study::Study;

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
struct Drawn {
    panels: Vec<Markup>,
    /// Class of the panels' grid: `one`, `several`, `small` or `pictures`.
    layout: &'static str,
    /// Palette slot and label of each series.
    legend: Vec<(usize, String)>,
    /// Whether the series are areas, not lines.
    blocks: bool,
    /// Sentences on how to read it, and on what is missing.
    notes: Vec<String>,
    /// The numbers behind it, each with its source.
    values: Option<Markup>,
}

pub(super) fn draw(study: &Study, figure: &Figure, number: usize) -> Markup {
    let drawn = match KINDS.iter().find(|kind| kind.name == figure.kind) {
        Some(kind) => (kind.draw)(study, figure),
        None => {
            let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
            let known = known.join(", ");
            Err(format!("there is no kind “{}”, only {known}", figure.kind))
        }
    };
    html! {
        figure.figure id={ "figure-" (number) } {
            h3 { (format::clean(&figure.title)) }
            @match drawn {
                Err(why) => p.empty { "Not drawn: " (format::clean(&why)) "." },
                Ok(drawn) => (frame(&drawn, figure)),
            }
        }
    }
}

fn frame(drawn: &Drawn, figure: &Figure) -> Markup {
    html! {
        div class={ "body " (drawn.layout) } {
            div.panels {
                @for panel in &drawn.panels { (panel) }
            }
            figcaption {
                @if !drawn.legend.is_empty() {
                    ul.legend {
                        @for (slot, label) in &drawn.legend {
                            li {
                                @if drawn.blocks {
                                    span.block style={ "background:var(--s" (slot % palette::slots()) ")" } {}
                                } @else {
                                    (chart::swatch(*slot))
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
