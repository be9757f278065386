//! The page: one HTML file that opens from disk, with no script and no
//! request. Everything that comes from outside is escaped by maud.

pub(super) mod cell;
mod coverage;
mod headline;
pub(super) mod paired;
mod provenance;
pub(super) mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figures::palette;
use super::figures::{self, Drawn};
use super::format;
use super::study::Study;
use super::verdict::Verdict;

const STYLE: &str = include_str!("style.css");
/// Nothing is loaded and nothing runs, whatever a name in a sweep says.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// `figures` are those of the plan, each with the names of its files.
pub(super) fn page(
    study: &Study,
    verdicts: &[Verdict],
    figures: &[(Result<Drawn, String>, Vec<String>)],
) -> Markup {
    let plan = &study.plan;
    let title = format::clean(&plan.title);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) " · ablate" }
                style { (PreEscaped(STYLE)) (PreEscaped(palette::style_sheet())) }
            }
            body {
                header {
                    p.kicker {
                        "Ablation report" span { (plan.sweep) }
                        @if let Some(profile) = &plan.profile {
                            span { "profile " (format::clean(profile)) }
                        }
                    }
                    h1 { (title) }
                    @if !plan.question.is_empty() {
                        p.question { (format::clean(&plan.question)) }
                    }
                    (headline::summary(study, verdicts))
                    (contents(study))
                }
                main {
                    @for remark in &study.remarks { p.remark { (format::clean(remark)) } }
                    (headline::findings(study, verdicts))
                    @if !plan.figures.is_empty() {
                        section id="figures" {
                            h2 { "Figures" }
                            @for (i, (figure, (drawn, files))) in plan.figures.iter().zip(figures).enumerate() {
                                (figures::html(figure, drawn, i + 1, files))
                            }
                        }
                    }
                    (tables::all(study))
                    (coverage::section(study))
                    (provenance::section(study))
                    (sweep_file(study))
                }
                footer {
                    "Made by ablate " (env!("CARGO_PKG_VERSION"))
                    " from the sweep’s object store. Beside this page: "
                    code { "report.csv" } ", " code { "means.csv" } ", " code { "differences.csv" } ", " code { "report.json" } ", " code { "report.tex" }
                    @if !plan.figures.is_empty() { ", and each figure as SVG and PNG" } "."
                }
            }
        }
    }
}

fn contents(study: &Study) -> Markup {
    html! {
        nav aria-label="Sections" {
            a href="#findings" { "Findings" }
            @if !study.plan.figures.is_empty() { a href="#figures" { "Figures" } }
            a href="#measurements" { "Measurements" }
            a href="#coverage" { "Coverage" }
            a href="#provenance" { "Provenance" }
            a href="#sweep-file" { "Sweep file" }
        }
    }
}

fn sweep_file(study: &Study) -> Markup {
    html! {
        section id="sweep-file" {
            h2 { "Sweep file" }
            @match &study.sweep_file {
                Some(text) => details {
                    summary { "The file that was submitted" }
                    pre { (format::clean(text)) }
                },
                None => p.empty { "— not in the store." },
            }
        }
    }
}
