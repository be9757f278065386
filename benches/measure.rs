//! What the benchmarks of the orchestrator share: the line that a measure is
//! printed as, what `/proc` says, and the peers.

use std::process::Command;

use serde_json::{Value, json};

/// A peer's figure, and what ours is to reach.
pub(crate) struct Bar {
    pub(crate) peer: String,
    pub(crate) value: Option<f64>,
    pub(crate) bar: f64,
    /// Whether ours is to be at least as much, or at most.
    pub(crate) more: bool,
}

impl Bar {
    /// One without a peer.
    pub(crate) fn most(bar: f64) -> Self {
        Self {
            peer: "none".to_owned(),
            value: None,
            bar,
            more: false,
        }
    }

    pub(crate) fn least(peer: &str, value: f64, bar: f64) -> Self {
        Self {
            peer: peer.to_owned(),
            value: Some(value),
            bar,
            more: true,
        }
    }
}

pub(crate) fn print(measure: &str, unit: &str, ours: f64, bar: &Bar) {
    let met = match bar.more {
        true => ours >= bar.bar,
        false => ours <= bar.bar,
    };
    let line = json!({
        "measure": measure, "unit": unit, "ours": ours, "peer": bar.peer, "peer_value": bar.value,
        "ratio": bar.value.map(|value| ours / value), "bar": bar.bar, "met": met,
    });
    println!("{line}");
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Seconds of processor time of a process, its children not counted.
pub(crate) fn cpu(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default().to_owned();
    let ticks = after.split_whitespace().skip(11).take(2);
    ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// What a peer does with so many tasks that do nothing, in a second. The
/// adapter says why where there is none.
pub(crate) fn peer(name: &str, mode: &str, count: usize) -> Result<(String, f64), String> {
    let python = std::env::var("ABLATE_PEERS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/peer.py");
    let run = Command::new(&python)
        .args([script, name, mode, &count.to_string()])
        .output();
    let run = run.map_err(|e| format!("{python}: {e}"))?;
    let said = String::from_utf8_lossy(&run.stdout);
    let line: Value = said
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_default();
    match (line["version"].as_str(), line["rate"].as_f64()) {
        (Some(version), Some(rate)) => Ok((version.to_owned(), rate)),
        _ => {
            let why = line["absent"].as_str().map(str::to_owned);
            Err(why.unwrap_or_else(|| String::from_utf8_lossy(&run.stderr).trim().to_owned()))
        }
    }
}
