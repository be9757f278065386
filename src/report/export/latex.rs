//! `report.tex`: the headline table, for a paper that loads `booktabs`.

use std::fmt::Write;

use crate::report::format;
use crate::report::study::Study;
use crate::report::verdict::{Status, Verdict};

pub(crate) fn headline(study: &Study, verdicts: &[Verdict]) -> Vec<u8> {
    let mut out = String::new();
    let sweep = study.plan.sweep.as_str();
    let _ = writeln!(
        out,
        "% Headline table of sweep {sweep}. Needs \\usepackage{{booktabs}}."
    );
    out.push_str("\\begin{tabular}{llll}\n\\toprule\n");
    out.push_str("Expectation & Expected & Measured & Verdict \\\\\n\\midrule\n");
    for verdict in verdicts {
        let status = match verdict.status {
            Status::Pass => "pass",
            Status::Fail => "fail",
            Status::NotMeasurable => "not measurable",
        };
        let cells = [&verdict.name, &verdict.expected, &verdict.value].map(|text| escape(text));
        // `{}` keeps a name that starts with `[` or `*` from being read as an
        // argument of the line break before it.
        let _ = writeln!(out, "{{}}{} & {status} \\\\", cells.join(" & "));
    }
    out.push_str("\\bottomrule\n\\end{tabular}\n");
    out.into_bytes()
}

/// Text that LaTeX prints and never runs.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in format::clean(text).chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '_' | '%' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' | '>' | '|' | '±' | '×' | '−' | '→' | 'σ' | 'γ' | 'κ' | 'λ' => {
                let math = match c {
                    '±' => "\\pm",
                    '×' => "\\times",
                    '−' => "-",
                    '→' => "\\to",
                    'σ' => "\\sigma",
                    'γ' => "\\gamma",
                    'κ' => "\\kappa",
                    'λ' => "\\lambda",
                    '|' => "\\vert",
                    '<' => "<",
                    _ => ">",
                };
                let _ = write!(out, "\\ensuremath{{{math}}}");
            }
            '⁰' | '¹' | '²' | '³' | '⁴'..='⁹' | '⁻' => {
                let digit = match c {
                    '¹' => '1',
                    '²' => '2',
                    '³' => '3',
                    '⁻' => '-',
                    other => char::from_digit(u32::from(other) - 0x2070, 10).unwrap_or('?'),
                };
                let _ = write!(out, "\\textsuperscript{{{digit}}}");
            }
            '—' => out.push_str("---"),
            '\u{a0}' => out.push('~'),
            '\u{202f}' => out.push_str("\\,"),
            '\n' | '\t' => out.push(' '),
            '\u{fffd}' => out.push('?'),
            other => out.push(other),
        }
    }
    out
}
