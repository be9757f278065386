//! `report.csv`: one row a task and metric.

use csv::Writer;
use serde_json::Value;

use crate::report::ReportError;
use crate::report::format;
use crate::report::study::Study;

pub(crate) fn table(study: &Study) -> Result<Vec<u8>, ReportError> {
    let axes: Vec<&str> = study.plan.axes.iter().map(|a| a.name.as_str()).collect();
    let mut writer = Writer::from_writer(Vec::new());
    let mut header = vec![inert("stage")];
    header.extend(axes.iter().map(|axis| inert(axis)));
    header.extend(
        [
            "seed", "metric", "unit", "value", "n", "note", "task", "attempt",
        ]
        .map(inert),
    );
    writer.write_record(&header)?;
    for stage in &study.plan.stages {
        for cell in study.cells(&stage.name) {
            for &task in &cell.tasks {
                let planned = &study.plan.tasks[task];
                let mut start = vec![inert(&stage.name)];
                let values = axes.iter().map(|axis| cell.coordinates.get(*axis));
                start.extend(values.map(coordinate));
                start.push(planned.task.seed.to_string());
                let outcome = &study.outcomes[task];
                let key = planned.task.key.to_string();
                let Some(manifest) = &outcome.manifest else {
                    let Some(gap) = &outcome.gap else {
                        continue; // It left nothing.
                    };
                    let mut record = start;
                    record.extend([(); 4].map(|()| String::new()));
                    record.push(inert(&format!("{}: {}", gap.class, gap.cause)));
                    record.extend([key, String::new()]);
                    writer.write_record(&record)?;
                    continue;
                };
                for row in &manifest.metrics {
                    let mut record = start.clone();
                    record.push(inert(&row.name));
                    record.push(inert(&row.unit));
                    record.push(row.value.map(|v| v.to_string()).unwrap_or_default());
                    record.push(row.n.map(|n| n.to_string()).unwrap_or_default());
                    let note = match (&row.note, row.values.len()) {
                        (Some(note), _) => note.clone(),
                        (None, 0) => String::new(),
                        (None, n) => format!("{n} values, in report.json"),
                    };
                    record.push(inert(&note));
                    record.push(key.clone());
                    record.push(manifest.attempt.number.to_string());
                    writer.write_record(&record)?;
                }
            }
        }
    }
    writer
        .into_inner()
        .map_err(|e| ReportError::Csv(e.into_error().into()))
}

/// An axis value; numbers as they are.
pub(super) fn coordinate(value: Option<&Value>) -> String {
    match value {
        Some(Value::Number(number)) => number.to_string(),
        Some(value) => inert(&format::value(value)),
        None => String::new(),
    }
}

/// Text that a spreadsheet would take for a formula starts with an
/// apostrophe, the spreadsheets' own mark for text.
pub(super) fn inert(text: &str) -> String {
    let text = format::clean(text);
    match text.trim_start().starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r']) {
        true => format!("'{text}"),
        false => text,
    }
}
