//! `noop`: sleeps, and ends as it was told to. Serves tests and benchmarks;
//! a preempted sleep goes on where it was interrupted.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;

use super::spec;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

/// Sleeps between two looks at the stop flag, in ms.
const SLICE: u64 = 10;

/// The file of the artefact.
const FILE: &str = "noop.txt";

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Noop);
    let total = spec.sleep_ms;
    let mut slept = context
        .resume(|saved| Ok(saved.step.min(total)))?
        .unwrap_or(0);
    while slept < total {
        if context.should_stop() {
            context.checkpoint(slept, &BTreeMap::new())?;
            return Err(Context::stopped(slept));
        }
        let slice = SLICE.min(total - slept);
        thread::sleep(Duration::from_millis(slice));
        slept += slice;
        context.progress(slept, total, Vec::new())?;
        if context.checkpoint_due() {
            context.checkpoint(slept, &BTreeMap::new())?;
        }
    }
    if let Some(class) = spec.fail {
        return Err(Failure::new(class, "the noop was told to fail"));
    }
    if spec.artifact {
        let text = format!("noop {}\n", spec.index);
        std::fs::write(context.out().join(FILE), text).or_transient("writing noop.txt")?;
    }
    Ok(Vec::new())
}
