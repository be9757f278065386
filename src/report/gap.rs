//! Why a task has no result.

use std::collections::BTreeMap;

use ablate_coordinator::sweep::plan::Plan;
use ablate_proto::id::TaskKey;
use ablate_proto::status::{SweepStatus, TaskState, TaskStatus};
use serde::Serialize;

use super::study::Outcome;

/// Class and cause of a missing result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Gap {
    pub class: String,
    pub cause: String,
}

impl Gap {
    pub(super) fn new(class: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            class: class.into(),
            cause: cause.into(),
        }
    }
}

/// One entry a task of the plan; parents stand before their children there.
pub(super) fn gaps(
    plan: &Plan,
    outcomes: &[Outcome],
    status: Option<&SweepStatus>,
) -> Vec<Option<Gap>> {
    let rows: BTreeMap<TaskKey, &TaskStatus> = status
        .map(|s| s.rows.iter().map(|row| (row.key, row)).collect())
        .unwrap_or_default();
    let mut blocked: BTreeMap<TaskKey, &str> = BTreeMap::new();
    let mut gaps = Vec::with_capacity(plan.tasks.len());
    for (planned, outcome) in plan.tasks.iter().zip(outcomes) {
        let row = rows.get(&planned.task.key).copied();
        let bare = row.is_some_and(|row| row.bare);
        let gap = if outcome.manifest.is_some() || (bare && outcome.gap.is_none()) {
            None
        } else if outcome.gap.is_some() {
            outcome.gap.clone()
        } else {
            let inputs = &planned.task.inputs;
            let parent = inputs.iter().find_map(|i| blocked.get(&i.task).copied());
            Some(gap(row, parent, status))
        };
        if gap.is_some() {
            blocked.insert(planned.task.key, &planned.task.label);
        }
        gaps.push(gap);
    }
    gaps
}

fn gap(row: Option<&TaskStatus>, parent: Option<&str>, status: Option<&SweepStatus>) -> Gap {
    let failure = row.and_then(|row| row.failure.as_ref());
    if let (Some(failure), Some(TaskState::Failed)) = (failure, row.map(|row| row.state)) {
        return Gap::new(failure.class.name(), &*failure.cause);
    }
    if let Some(parent) = parent {
        return Gap::new("blocked", format!("its input “{parent}” has no result"));
    }
    let Some(row) = row else {
        return match status {
            None => Gap::new(
                "not yet",
                "no result in the store, and the sweep has not ended",
            ),
            Some(_) => Gap::new(
                "missing",
                "no result in the store, and no record of its end",
            ),
        };
    };
    match row.state {
        TaskState::Done => Gap::new("missing", "recorded as done, but its manifest is gone"),
        TaskState::Failed => Gap::new("failed", "recorded as failed, without a cause"),
        TaskState::Cancelled => Gap::new("cancelled", "cancelled before it had a result"),
        TaskState::Waiting | TaskState::Ready => Gap::new("not yet", "has not run yet"),
        TaskState::Running => Gap::new("not yet", "is running"),
    }
}
