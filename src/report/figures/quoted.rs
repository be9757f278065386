//! Rows of papers beneath a figure, marked as quoted: nothing here was
//! measured.

use ablate_coordinator::sweep::plan::Figure;
use maud::{Markup, html};

use crate::report::format;

pub(super) fn table(figure: &Figure) -> Markup {
    // In the order of the figure's metrics, then the others.
    let mut columns: Vec<&String> = figure.metrics.iter().collect();
    columns.retain(|c| figure.quoted.iter().any(|row| row.values.contains_key(*c)));
    for column in figure.quoted.iter().flat_map(|row| row.values.keys()) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    if figure.quoted.is_empty() {
        return html! {};
    }
    html! {
        div.quoted {
            h4 { "Quoted from papers, not measured here" }
            div.scroll.fit tabindex="0" {
                table.numbers {
                    thead {
                        tr {
                            th.axis scope="col" { "of" }
                            @for column in &columns {
                                th scope="col" {
                                    @match figure.metrics.contains(column) {
                                        true => (format::metric(column)),
                                        false => (format::clean(column)),
                                    }
                                }
                            }
                            th scope="col" { "source" }
                        }
                    }
                    tbody {
                        @for row in &figure.quoted {
                            tr {
                                th.axis scope="row" { (format::clean(&row.name)) }
                                @for column in &columns {
                                    td.quote {
                                        @match row.values.get(*column) {
                                            Some(value) => (format::clean(value)),
                                            None => "—",
                                        }
                                    }
                                }
                                td.quote { "quoted: " (format::clean(&row.source)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
