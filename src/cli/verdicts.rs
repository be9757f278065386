//! The verdicts of a report as a table for the terminal.

use comfy_table::Table;

use crate::lines::printable;
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

pub(super) fn all_pass(verdicts: &[Verdict]) -> bool {
    verdicts.iter().all(|verdict| verdict.pass)
}
