//! `ablate config show`: the effective settings, and where each came from.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::Context;
use crate::exit::{CliResult, Exit, OrExit};
use crate::lines;

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every setting, its value, and where it came from
    Show,
}

pub(super) fn config(
    context: &Context,
    origins: &BTreeMap<String, String>,
    command: &ConfigCommand,
) -> CliResult {
    let ConfigCommand::Show = command;
    let settings = serde_json::to_value(&context.settings).or_exit(Exit::Failed)?;
    let rows = origins.iter().map(|(key, origin)| {
        let pointer = format!("/{}", key.replace('.', "/"));
        let value = settings.pointer(&pointer).cloned().unwrap_or(Value::Null);
        (key, value, origin)
    });
    if context.json {
        let map: Map<String, Value> = rows
            .map(|(key, value, origin)| (key.clone(), json!({"value": value, "from": origin})))
            .collect();
        lines::json(&map);
        return Ok(Exit::Done);
    }
    let mut table = super::table::table(&["setting", "value", "from"]);
    for (key, value, origin) in rows {
        table.add_row([key.clone(), value.to_string(), origin.clone()]);
    }
    lines::line(table);
    Ok(Exit::Done)
}
