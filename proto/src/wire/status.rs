//! Conversions of what people ask.

use super::{InvalidMessage, failure_class};
use crate::failure::Failure;
use crate::id::TaskKey;
use crate::status;

impl From<status::SweepState> for super::SweepState {
    fn from(state: status::SweepState) -> Self {
        match state {
            status::SweepState::Running => Self::Running,
            status::SweepState::Done => Self::Done,
            status::SweepState::Failed => Self::Failed,
            status::SweepState::Cancelled => Self::Cancelled,
        }
    }
}

impl TryFrom<super::SweepState> for status::SweepState {
    type Error = InvalidMessage;

    fn try_from(wire: super::SweepState) -> Result<Self, InvalidMessage> {
        match wire {
            super::SweepState::Unspecified => Err(InvalidMessage::Missing("sweep.state")),
            super::SweepState::Running => Ok(Self::Running),
            super::SweepState::Done => Ok(Self::Done),
            super::SweepState::Failed => Ok(Self::Failed),
            super::SweepState::Cancelled => Ok(Self::Cancelled),
        }
    }
}

impl From<status::TaskState> for super::TaskState {
    fn from(state: status::TaskState) -> Self {
        match state {
            status::TaskState::Waiting => Self::Waiting,
            status::TaskState::Ready => Self::Ready,
            status::TaskState::Running => Self::Running,
            status::TaskState::Done => Self::Done,
            status::TaskState::Failed => Self::Failed,
            status::TaskState::Cancelled => Self::Cancelled,
        }
    }
}

impl TryFrom<super::TaskState> for status::TaskState {
    type Error = InvalidMessage;

    fn try_from(wire: super::TaskState) -> Result<Self, InvalidMessage> {
        match wire {
            super::TaskState::Unspecified => Err(InvalidMessage::Missing("task.state")),
            super::TaskState::Waiting => Ok(Self::Waiting),
            super::TaskState::Ready => Ok(Self::Ready),
            super::TaskState::Running => Ok(Self::Running),
            super::TaskState::Done => Ok(Self::Done),
            super::TaskState::Failed => Ok(Self::Failed),
            super::TaskState::Cancelled => Ok(Self::Cancelled),
        }
    }
}

impl From<status::TaskStatus> for super::TaskStatus {
    fn from(row: status::TaskStatus) -> Self {
        let class = row.failure.as_ref().map(|f| f.class.into());
        Self {
            key: row.key.as_bytes().to_vec().into(),
            label: row.label,
            kind: row.kind,
            state: super::TaskState::from(row.state).into(),
            attempt: row.attempt,
            worker: row.worker.map(String::from).unwrap_or_default(),
            step: row.step,
            total: row.total,
            seconds: row.seconds,
            class: class.unwrap_or(super::FailureClass::Unspecified).into(),
            cause: row.failure.map(|f| f.cause).unwrap_or_default(),
            latest: row.latest.into_iter().map(Into::into).collect(),
            bare: row.bare,
        }
    }
}

impl TryFrom<super::TaskStatus> for status::TaskStatus {
    type Error = InvalidMessage;

    fn try_from(wire: super::TaskStatus) -> Result<Self, InvalidMessage> {
        let worker = match wire.worker.as_str() {
            "" => None,
            id => Some(id.parse()?),
        };
        let state = wire.state().try_into()?;
        let failure = failure_class(wire.class()).map(|class| Failure::new(class, &*wire.cause));
        Ok(Self {
            key: TaskKey::try_from(&wire.key[..])?,
            state,
            attempt: wire.attempt,
            worker,
            step: wire.step,
            total: wire.total,
            seconds: wire.seconds,
            failure,
            latest: wire.latest.into_iter().map(Into::into).collect(),
            bare: wire.bare,
            label: wire.label,
            kind: wire.kind,
        })
    }
}

impl From<status::Hold> for super::Hold {
    fn from(hold: status::Hold) -> Self {
        let status::Hold { person, why } = hold;
        Self { person, why }
    }
}

impl From<super::Hold> for status::Hold {
    fn from(wire: super::Hold) -> Self {
        let super::Hold { person, why } = wire;
        Self { person, why }
    }
}

impl From<status::Explanation> for super::Explanation {
    fn from(explanation: status::Explanation) -> Self {
        Self {
            task: explanation.task.as_bytes().to_vec().into(),
            label: explanation.label,
            state: super::TaskState::from(explanation.state).into(),
            attempt: explanation.attempt,
            sweeps: explanation.sweeps.iter().map(ToString::to_string).collect(),
            because: explanation.because,
        }
    }
}

impl TryFrom<super::Explanation> for status::Explanation {
    type Error = InvalidMessage;

    fn try_from(wire: super::Explanation) -> Result<Self, InvalidMessage> {
        let state = wire.state().try_into()?;
        let sweeps: Result<_, _> = wire.sweeps.iter().map(|id| id.parse()).collect();
        Ok(Self {
            task: TaskKey::try_from(&wire.task[..])?,
            label: wire.label,
            state,
            attempt: wire.attempt,
            sweeps: sweeps?,
            because: wire.because,
        })
    }
}

impl From<status::SweepStatus> for super::SweepStatus {
    fn from(sweep: status::SweepStatus) -> Self {
        Self {
            sweep: sweep.sweep.to_string(),
            state: super::SweepState::from(sweep.state).into(),
            submitted: sweep.submitted,
            points: sweep.points,
            tasks: sweep.tasks,
            done: sweep.done,
            failed: sweep.failed,
            cancelled: sweep.cancelled,
            running: sweep.running,
            reused: sweep.reused,
            held: sweep.held.map(Into::into),
            priority: sweep.priority,
            eta_seconds: sweep.eta_seconds.unwrap_or(-1.0),
            eta_low: sweep.eta_range.map_or(-1.0, |(low, _)| low),
            eta_high: sweep.eta_range.map_or(-1.0, |(_, high)| high),
            rows: sweep.rows.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<super::SweepStatus> for status::SweepStatus {
    type Error = InvalidMessage;

    fn try_from(wire: super::SweepStatus) -> Result<Self, InvalidMessage> {
        let state = wire.state().try_into()?;
        let rows: Result<_, _> = wire.rows.into_iter().map(TryInto::try_into).collect();
        Ok(Self {
            sweep: wire.sweep.parse()?,
            state,
            submitted: wire.submitted,
            points: wire.points,
            tasks: wire.tasks,
            done: wire.done,
            failed: wire.failed,
            cancelled: wire.cancelled,
            running: wire.running,
            reused: wire.reused,
            held: wire.held.map(Into::into),
            priority: wire.priority,
            eta_seconds: (wire.eta_seconds >= 0.0).then_some(wire.eta_seconds),
            eta_range: (wire.eta_low >= 0.0).then_some((wire.eta_low, wire.eta_high)),
            rows: rows?,
        })
    }
}

impl From<status::WorkerStatus> for super::WorkerStatus {
    fn from(worker: status::WorkerStatus) -> Self {
        Self {
            worker: worker.worker.to_string(),
            host: worker.host,
            device: worker.device,
            slots: worker.slots,
            running: worker.running,
            connected: worker.connected,
            aside: worker.aside.unwrap_or_default(),
        }
    }
}

impl TryFrom<super::WorkerStatus> for status::WorkerStatus {
    type Error = InvalidMessage;

    fn try_from(wire: super::WorkerStatus) -> Result<Self, InvalidMessage> {
        Ok(Self {
            worker: wire.worker.parse()?,
            host: wire.host,
            device: wire.device,
            slots: wire.slots,
            running: wire.running,
            connected: wire.connected,
            aside: (!wire.aside.is_empty()).then_some(wire.aside),
        })
    }
}

impl From<status::ClusterStatus> for super::StatusReply {
    fn from(cluster: status::ClusterStatus) -> Self {
        Self {
            sweeps: cluster.sweeps.into_iter().map(Into::into).collect(),
            workers: cluster.workers.into_iter().map(Into::into).collect(),
            refused: cluster.refused,
        }
    }
}

impl TryFrom<super::StatusReply> for status::ClusterStatus {
    type Error = InvalidMessage;

    fn try_from(wire: super::StatusReply) -> Result<Self, InvalidMessage> {
        let sweeps: Result<_, _> = wire.sweeps.into_iter().map(TryInto::try_into).collect();
        let workers: Result<_, _> = wire.workers.into_iter().map(TryInto::try_into).collect();
        Ok(Self {
            sweeps: sweeps?,
            workers: workers?,
            refused: wire.refused,
        })
    }
}

impl From<status::Submitted> for super::SubmitReply {
    fn from(submitted: status::Submitted) -> Self {
        Self {
            sweep: submitted.sweep.to_string(),
            points: submitted.points,
            stages_naive: submitted.stages_naive,
            tasks: submitted.tasks,
            reused: submitted.reused,
            missing: submitted.missing,
        }
    }
}

impl TryFrom<super::SubmitReply> for status::Submitted {
    type Error = InvalidMessage;

    fn try_from(wire: super::SubmitReply) -> Result<Self, InvalidMessage> {
        Ok(Self {
            sweep: wire.sweep.parse()?,
            points: wire.points,
            stages_naive: wire.stages_naive,
            tasks: wire.tasks,
            reused: wire.reused,
            missing: wire.missing,
        })
    }
}
