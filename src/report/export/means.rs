//! `means.csv`: one row a point of a stage and metric: the mean over seeds, and
//! its intervals.

use csv::Writer;

use super::csv::{coordinate, inert};
use crate::report::ReportError;
use crate::report::study::Study;

pub(crate) fn table(study: &Study) -> Result<Vec<u8>, ReportError> {
    let axes: Vec<&str> = study.plan.axes.iter().map(|a| a.name.as_str()).collect();
    let mut writer = Writer::from_writer(Vec::new());
    let mut header = vec![inert("stage")];
    header.extend(axes.iter().map(|axis| inert(axis)));
    header.extend(
        [
            "metric",
            "unit",
            "mean",
            "low",
            "high",
            "method",
            "replicates",
            "t_low",
            "t_high",
            "note",
        ]
        .map(inert),
    );
    writer.write_record(&header)?;
    for stage in &study.plan.stages {
        let cells = study.cells(&stage.name);
        let metrics = study.metrics(&cells);
        for cell in &cells {
            let mut start = vec![inert(&stage.name)];
            start.extend(
                axes.iter()
                    .map(|axis| coordinate(cell.coordinates.get(*axis))),
            );
            for metric in &metrics {
                let measure = study.measure(cell, metric);
                let number = |v: Option<f64>| v.map(|v| v.to_string()).unwrap_or_default();
                let method = measure.interval.map(|i| i.method.words());
                let missing = measure.missing.first().map(|(_, why)| inert(why));
                let mut record = start.clone();
                record.extend([
                    inert(metric),
                    inert(&measure.unit),
                    number(measure.mean),
                    number(measure.interval.map(|i| i.low)),
                    number(measure.interval.map(|i| i.high)),
                    method.unwrap_or_default().to_owned(),
                    measure.samples.len().to_string(),
                    number(measure.student.map(|i| i.low)),
                    number(measure.student.map(|i| i.high)),
                    missing.unwrap_or_default(),
                ]);
                writer.write_record(&record)?;
            }
        }
    }
    writer
        .into_inner()
        .map_err(|e| ReportError::Csv(e.into_error().into()))
}
