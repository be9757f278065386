//! The wire format: generated types, and their conversions to and from the
//! domain. Nothing outside this module and the two `rpc.rs` files names them.

mod status;
mod worker;

#[allow(clippy::all, unused_qualifications, reason = "generated code")]
mod generated {
    tonic::include_proto!("ablate.v1");
}

pub use generated::*;

/// How a token is presented: the value of the metadata `authorization`.
pub fn bearer(token: &Token) -> Option<MetadataValue<Ascii>> {
    let mut value = MetadataValue::try_from(format!("Bearer {}", token.reveal())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

use tonic::metadata::{Ascii, MetadataValue};

use crate::access::Token;
use crate::failure;
use crate::id::{AttemptId, InvalidId, TaskKey};

/// A message that does not say what it must. The peer is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("`{field}` is not valid: {why}")]
    Field { field: &'static str, why: String },
}

fn need<T>(value: Option<T>, field: &'static str) -> Result<T, InvalidMessage> {
    value.ok_or(InvalidMessage::Missing(field))
}

impl From<AttemptId> for AttemptRef {
    fn from(id: AttemptId) -> Self {
        Self {
            task: id.task.as_bytes().to_vec().into(),
            attempt: id.number,
        }
    }
}

impl TryFrom<AttemptRef> for AttemptId {
    type Error = InvalidMessage;

    fn try_from(wire: AttemptRef) -> Result<Self, InvalidMessage> {
        Ok(Self {
            task: TaskKey::try_from(&wire.task[..])?,
            number: wire.attempt,
        })
    }
}

impl From<failure::FailureClass> for FailureClass {
    fn from(class: failure::FailureClass) -> Self {
        use failure::FailureClass as F;
        match class {
            F::Preempted => Self::Preempted,
            F::Lost => Self::Lost,
            F::OutOfMemory => Self::OutOfMemory,
            F::TransientIo => Self::TransientIo,
            F::Data => Self::Data,
            F::Config => Self::Config,
            F::Bug => Self::Bug,
            F::Cancelled => Self::Cancelled,
            F::Hung => Self::Hung,
        }
    }
}

/// `None` for the unspecified class.
pub fn failure_class(wire: FailureClass) -> Option<failure::FailureClass> {
    use failure::FailureClass as F;
    match wire {
        FailureClass::Unspecified => None,
        FailureClass::Preempted => Some(F::Preempted),
        FailureClass::Lost => Some(F::Lost),
        FailureClass::OutOfMemory => Some(F::OutOfMemory),
        FailureClass::TransientIo => Some(F::TransientIo),
        FailureClass::Data => Some(F::Data),
        FailureClass::Config => Some(F::Config),
        FailureClass::Bug => Some(F::Bug),
        FailureClass::Cancelled => Some(F::Cancelled),
        FailureClass::Hung => Some(F::Hung),
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
