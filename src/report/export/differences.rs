//! `differences.csv`: one row a step along an axis and metric.

use csv::Writer;

use super::csv::{coordinate, inert};
use crate::report::ReportError;
use crate::report::paired::paired;
use crate::report::study::Study;

pub(crate) fn table(study: &Study) -> Result<Vec<u8>, ReportError> {
    let axes: Vec<&str> = study.plan.axes.iter().map(|a| a.name.as_str()).collect();
    let mut writer = Writer::from_writer(Vec::new());
    let mut header = ["stage", "along", "from", "to"].map(inert).to_vec();
    header.extend(axes.iter().map(|axis| inert(axis)));
    header.extend(
        [
            "metric", "unit", "mean", "low", "high", "pairs", "seeds", "note", "t_low", "t_high",
        ]
        .map(inert),
    );
    writer.write_record(&header)?;
    for stage in &study.plan.stages {
        for along in paired(study, &stage.name) {
            for step in &along.steps {
                let mut start = vec![inert(&stage.name), inert(&along.axis)];
                start.extend([&step.from, &step.to].map(|value| coordinate(Some(value))));
                start.extend(axes.iter().map(|axis| coordinate(step.others.get(*axis))));
                for difference in &step.differences {
                    let number = |v: Option<f64>| v.map(|v| v.to_string()).unwrap_or_default();
                    let seeds: Vec<String> = difference.seeds.iter().map(u64::to_string).collect();
                    let mut record = start.clone();
                    record.extend([
                        inert(&difference.metric),
                        inert(&difference.unit),
                        number(difference.mean),
                        number(difference.interval.map(|i| i.low)),
                        number(difference.interval.map(|i| i.high)),
                        difference.pairs.to_string(),
                        seeds.join(" "),
                        inert(difference.why.as_deref().unwrap_or_default()),
                        number(difference.student.map(|i| i.low)),
                        number(difference.student.map(|i| i.high)),
                    ]);
                    writer.write_record(&record)?;
                }
            }
        }
    }
    writer
        .into_inner()
        .map_err(|e| ReportError::Csv(e.into_error().into()))
}
