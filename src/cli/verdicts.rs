//! The verdicts of a report as a table for the terminal.

use ablate_coordinator::sweep::plan::Untested;
use comfy_table::Table;

use crate::lines::{self, printable};
use crate::report::Verdict;

pub(super) fn table(verdicts: &[Verdict]) -> Table {
    let mut table = super::table::table(&["verdict", "statement", "measured", "expected"]);
    for verdict in verdicts {
        let mut measured = printable(&verdict.value);
        if let Some(why) = &verdict.why {
            measured = format!("{measured} ({})", printable(why));
        }
        table.add_row([
            if verdict.pass { "pass" } else { "FAIL" }.to_owned(),
            printable(&verdict.name),
            measured,
            printable(&verdict.expected),
        ]);
    }
    table
}

/// Expectations that were not tested, a line each.
pub(super) fn untested(untested: &[Untested]) {
    for Untested { name, why } in untested {
        let (name, why) = (printable(name), printable(why));
        lines::line(format_args!("not tested here: {name} ({why})"));
    }
}

pub(super) fn all_pass(verdicts: &[Verdict]) -> bool {
    verdicts.iter().all(|verdict| verdict.pass)
}
