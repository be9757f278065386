//! What a program measures: lines of JSON that it appends to a file.
//!
//! | line | |
//! |---|---|
//! | `{"name": "loss", "step": 3, "value": 0.1}` | a point of a curve |
//! | `{"name": "accuracy", "value": 0.9}` | a final value; `unit`, `direction`, `n`, `note` if wanted |
//! | `{"name": "weights", "step": 3, "values": [1, 2]}` | a histogram |
//! | `{"progress": 3, "total": 10}` | how far it is |
//!
//! Lines that are none of these are counted and said, and cost nothing else.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use serde::Deserialize;

use crate::runner::context::METRICS;
use crate::runner::failure::OrFail as _;
use crate::scratch;

/// Longest line.
const MAX_LINE: usize = 64 << 10;
/// What is read of the file at a time, and in all.
const PIECE: usize = 256 << 10;
const MAX_BYTES: u64 = 64 << 20;
/// Rows that are kept.
const MAX_ROWS: usize = 200_000;
/// Different names.
const MAX_NAMES: usize = 200;
const MAX_NAME: usize = 80;
/// Values of a histogram.
const MAX_VALUES: usize = 4096;
const MAX_TEXT: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: Option<String>,
    step: Option<u64>,
    value: Option<f64>,
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    direction: Direction,
    n: Option<u64>,
    note: Option<String>,
    progress: Option<u64>,
    total: Option<u64>,
}

pub(super) struct Metrics {
    /// Opened before the program starts: whatever it puts in the place of the
    /// file is not read.
    file: File,
    read: u64,
    /// The beginning of a line whose end was not yet written.
    partial: Vec<u8>,
    /// In a line that is too long.
    skipping: bool,
    lines: u64,
    bad: u64,
    first_bad: Option<String>,
    names: BTreeSet<String>,
    rows: Vec<MetricRow>,
    /// So many of `rows` are from an earlier attempt.
    restored: usize,
    /// So many of `rows` were sent.
    sent: usize,
    /// Beyond what is kept.
    left_out: u64,
    progress: (u64, u64),
    /// Whether `progress` changed since it was sent.
    moved: bool,
}

impl Metrics {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let doing = "making the file of metrics";
        let mut file = scratch::file(path).or_transient(doing)?;
        if file.metadata().or_transient(doing)?.len() > 0 {
            // And opened again: some file systems write out at once what is
            // appended to a file that was open when it was emptied.
            file.set_len(0).or_transient(doing)?;
            file = scratch::file(path).or_transient(doing)?;
        }
        Ok(Self {
            file,
            read: 0,
            partial: Vec::new(),
            skipping: false,
            lines: 0,
            bad: 0,
            first_bad: None,
            names: BTreeSet::new(),
            rows: Vec::new(),
            restored: 0,
            sent: 0,
            left_out: 0,
            progress: (0, 0),
            moved: false,
        })
    }

    /// Reads a piece of what is new; whether there was anything.
    pub(super) fn look(&mut self) -> Result<bool, Failure> {
        let left = MAX_BYTES.saturating_sub(self.read);
        let mut piece = Vec::new();
        let mut part = (&self.file).take(left.min(PIECE as u64));
        part.read_to_end(&mut piece)
            .or_transient("reading metrics")?;
        self.read += piece.len() as u64;
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.part(part);
        }
        Ok(!piece.is_empty())
    }

    /// Reads the rest, once the program has ended.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        while self.look()? {}
        if !self.partial.is_empty() || self.skipping {
            self.part(b"\n");
        }
        Ok(())
    }

    /// A line, or a part of one.
    fn part(&mut self, part: &[u8]) {
        let ended = part.ends_with(b"\n");
        if !self.skipping {
            self.partial.extend_from_slice(part);
            if self.partial.len() > MAX_LINE {
                self.skipping = true;
                self.partial.clear();
            }
        }
        if !ended {
            return;
        }
        self.lines += 1;
        let line = std::mem::take(&mut self.partial);
        let taken = match std::mem::take(&mut self.skipping) {
            true => Err(format!("longer than {MAX_LINE} bytes")),
            false if line.trim_ascii().is_empty() => Ok(()),
            false => self.line(&line),
        };
        if let Err(why) = taken {
            self.bad += 1;
            let number = self.lines;
            let first = || format!("line {number}: {why}");
            self.first_bad.get_or_insert_with(first);
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let line: Line = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        if let Some(done) = line.progress {
            self.progress = (done, line.total.unwrap_or(self.progress.1).max(done));
            self.moved = true;
            return Ok(());
        }
        let row = row(line)?;
        if !self.names.contains(&row.name) {
            if self.names.len() >= MAX_NAMES {
                return Err(format!("more than {MAX_NAMES} different names"));
            }
            self.names.insert(row.name.clone());
        }
        if self.rows.len() < MAX_ROWS {
            self.rows.push(row);
        } else {
            self.left_out += 1;
        }
        Ok(())
    }

    /// Rows of an earlier attempt, from its checkpoint.
    pub(super) fn restore(&mut self, text: &str) {
        let rows = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        self.rows = rows.take(MAX_ROWS).collect();
        self.names = self
            .rows
            .iter()
            .map(|row: &MetricRow| row.name.clone())
            .collect();
        (self.restored, self.sent) = (self.rows.len(), self.rows.len());
    }

    /// All rows so far, for a checkpoint.
    pub(super) fn text(&self) -> String {
        lines(self.rows.iter())
    }

    pub(super) fn step(&self) -> u64 {
        self.progress.0
    }

    /// What is new since the last call: progress, and the newest rows.
    pub(super) fn news(&mut self, most: usize) -> Option<(u64, u64, Vec<MetricRow>)> {
        let fresh = &self.rows[self.sent..];
        if fresh.is_empty() && !self.moved {
            return None;
        }
        let newest = fresh[fresh.len().saturating_sub(most)..].to_vec();
        (self.sent, self.moved) = (self.rows.len(), false);
        Some((self.progress.0, self.progress.1, newest))
    }

    pub(super) fn say_what_was_bad(&self) {
        if let Some(first) = &self.first_bad {
            let (bad, lines) = (self.bad, self.lines);
            tracing::warn!(
                bad,
                lines,
                first,
                "lines of ABLATE_METRICS could not be read"
            );
        }
        if self.left_out > 0 {
            tracing::warn!(
                self.left_out,
                "rows of metrics beyond {MAX_ROWS} are left out"
            );
        }
        if self.read >= MAX_BYTES {
            tracing::warn!("no more than {MAX_BYTES} bytes of metrics are read");
        }
    }

    /// The rows that count: of several with one name and step the last, and
    /// of an earlier attempt only what this one did not do again.
    fn kept(&self) -> Vec<&MetricRow> {
        let mut again: HashMap<&str, u64> = HashMap::new();
        for row in &self.rows[self.restored..] {
            let first = again.entry(&row.name).or_insert(u64::MAX);
            *first = (*first).min(row.step.unwrap_or(0));
        }
        let mut seen = HashSet::new();
        let old = |i: usize, row: &MetricRow| {
            let first = again.get(row.name.as_str());
            i < self.restored && first.is_some_and(|first| row.step.unwrap_or(0) >= *first)
        };
        let rows = self.rows.iter().enumerate().rev();
        let mut kept: Vec<&MetricRow> = rows
            .filter(|(i, row)| !old(*i, row) && seen.insert((row.name.as_str(), row.step)))
            .map(|(_, row)| row)
            .collect();
        kept.reverse();
        kept
    }

    /// Writes the curves into the artefact; whether there are any.
    pub(super) fn write_curves(&self, out: &Path) -> Result<bool, Failure> {
        let curves = self.kept().into_iter().filter(|row| row.step.is_some());
        let text = lines(curves);
        if text.is_empty() {
            return Ok(false);
        }
        let doing = "writing metrics.jsonl";
        // Never through a link that the program left there.
        let mut file = File::create_new(out.join(METRICS)).or_transient(doing)?;
        file.write_all(text.as_bytes()).or_transient(doing)?;
        Ok(true)
    }

    /// The final values: those without a step, or else the last of a curve.
    pub(super) fn finals(&self) -> Vec<MetricRow> {
        let mut last: HashMap<&str, &MetricRow> = HashMap::new();
        let mut order = Vec::new();
        for row in self.kept() {
            let known = last.get(row.name.as_str());
            if known.is_none() {
                order.push(row.name.as_str());
            }
            // Without a step it is meant to be final.
            if known.is_none_or(|known| known.step.is_some() || row.step.is_none()) {
                last.insert(&row.name, row);
            }
        }
        let row = |name: &str| MetricRow {
            step: None,
            ..last[name].clone()
        };
        let mut finals: Vec<MetricRow> = order.into_iter().map(row).collect();
        if let Some(first) = &self.first_bad {
            let mut row = MetricRow::scalar(
                "unreadable_metric_lines",
                "",
                Direction::Neutral,
                self.bad as f64,
            );
            row.note = Some(format!("of {}; the first: {first}", self.lines));
            finals.push(row);
        }
        finals
    }
}

fn row(line: Line) -> Result<MetricRow, String> {
    let name = line.name.ok_or("it has neither `name` nor `progress`")?;
    check_name(&name)?;
    if line.value.is_none() && line.values.is_empty() && line.note.is_none() {
        return Err("it has no `value`".to_owned());
    }
    if line.values.len() > MAX_VALUES {
        return Err(format!("more than {MAX_VALUES} values"));
    }
    for text in [Some(&line.unit), line.note.as_ref()].into_iter().flatten() {
        if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
            return Err(format!(
                "`unit` and `note` have at most {MAX_TEXT} bytes, and no control characters"
            ));
        }
    }
    Ok(MetricRow {
        name,
        unit: line.unit,
        direction: line.direction,
        step: line.step,
        value: line.value,
        values: line.values,
        n: line.n,
        note: line.note,
    })
}

/// Names become columns, file names and parts of pages.
fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./@%:+".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && name.len() <= MAX_NAME && name.chars().all(plain) {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    Err(format!(
        "the name {shown:?}: up to {MAX_NAME} letters, digits and any of _-./@%:+ are possible, \
         a letter or digit first"
    ))
}

fn lines<'a>(rows: impl Iterator<Item = &'a MetricRow>) -> String {
    let mut text = String::new();
    for row in rows {
        // Rows without surprises: they were read as JSON.
        if let Ok(line) = serde_json::to_string(row) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests;
