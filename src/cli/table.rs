//! Tables for the terminal, as wide as it is.

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};

pub(super) fn table(header: &[&str]) -> Table {
    let header = header
        .iter()
        .map(|name| Cell::new(name).add_attribute(Attribute::Bold));
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}
