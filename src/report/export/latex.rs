//! `report.tex`: the headline table and the paired differences of its
//! metrics, for a paper that loads `booktabs`.

use std::fmt::Write;

use ablate_coordinator::sweep::plan::Untested;

use crate::report::format;
use crate::report::page::cell::{bounds, students};
use crate::report::page::paired::between;
use crate::report::paired::paired;
use crate::report::study::Study;
use crate::report::verdict::{Status, Verdict};

pub(crate) fn tables(study: &Study, verdicts: &[Verdict]) -> Vec<u8> {
    let mut out = headline(study, verdicts);
    differences(study, verdicts, &mut out);
    out.into_bytes()
}

/// Of the metrics that the headline table speaks of; `differences.csv` has
/// all.
fn differences(study: &Study, verdicts: &[Verdict], out: &mut String) {
    let mut rows = String::new();
    for stage in &study.plan.stages {
        let wanted =
            |metric: &str| (verdicts.iter()).any(|v| v.stage == stage.name && v.metric == metric);
        for along in paired(study, &stage.name) {
            for step in &along.steps {
                for difference in step.differences.iter().filter(|d| wanted(&d.metric)) {
                    let mut place = format!("{} {}", format::axis(&along.axis), between(step));
                    if !step.others.is_empty() {
                        let others = format::coordinates(&step.others);
                        place = format!("{place} ({others})");
                    }
                    let interval = match (difference.interval, &difference.why) {
                        (Some(interval), _) => bounds(interval, &difference.unit),
                        (None, Some(why)) => why.clone(),
                        (None, None) => "—".to_owned(),
                    };
                    let student = students(difference.student, &difference.unit);
                    let cells = [
                        format::metric_in(&difference.metric, &difference.unit),
                        place,
                        difference.shown(),
                        interval,
                        student.unwrap_or_else(|| "—".to_owned()),
                    ];
                    let cells = cells.map(|text| escape(&text)).join(" & ");
                    let _ = writeln!(rows, "{{}}{cells} & {} \\\\", difference.pairs);
                }
            }
        }
    }
    if rows.is_empty() {
        return;
    }
    out.push_str(
        "\n% Means of the differences within each seed, with bootstrap 95% intervals and,\n",
    );
    out.push_str("% of few pairs, Student's.\n");
    out.push_str("\\begin{tabular}{lllllr}\n\\toprule\n");
    out.push_str(
        "Metric & Step & Difference & 95\\% interval & Student's & Pairs \\\\\n\\midrule\n",
    );
    out.push_str(&rows);
    out.push_str("\\bottomrule\n\\end{tabular}\n");
}

fn headline(study: &Study, verdicts: &[Verdict]) -> String {
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
    for Untested { name, why } in &study.plan.untested {
        let cells = [name, "", why].map(escape).join(" & ");
        let _ = writeln!(out, "{{}}{cells} & not tested here \\\\");
    }
    out.push_str("\\bottomrule\n\\end{tabular}\n");
    out
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
            '<' | '>' | '|' | '±' | '×' | '−' | '→' | 'σ' | 'γ' | 'κ' | 'λ' | 'Δ' => {
                let math = match c {
                    '±' => "\\pm",
                    '×' => "\\times",
                    '−' => "-",
                    '→' => "\\to",
                    'σ' => "\\sigma",
                    'γ' => "\\gamma",
                    'κ' => "\\kappa",
                    'λ' => "\\lambda",
                    'Δ' => "\\Delta",
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
