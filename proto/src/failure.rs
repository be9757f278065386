//! Why a task did not end well. The class is set where the error occurs and
//! travels as an enum; nobody guesses it again from the text.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The worker was asked to go and handed the task back.
    Preempted,
    /// The worker or its runner vanished.
    Lost,
    OutOfMemory,
    /// The store or the network failed for now.
    TransientIo,
    /// The input data are broken.
    Data,
    /// The parameters cannot work together.
    Config,
    /// A panic, a NaN, a broken invariant.
    Bug,
    Cancelled,
}

impl FailureClass {
    pub const ALL: &'static [Self] = &[
        Self::Preempted,
        Self::Lost,
        Self::OutOfMemory,
        Self::TransientIo,
        Self::Data,
        Self::Config,
        Self::Bug,
        Self::Cancelled,
    ];

    /// How many attempts that ended this way are allowed before the task is
    /// given up. `None`: as many as it takes, since the task is not to blame.
    pub fn attempts_allowed(self) -> Option<u32> {
        match self {
            Self::Preempted => None,
            Self::Lost => Some(16),
            Self::OutOfMemory => Some(3),
            Self::TransientIo => Some(5),
            Self::Data | Self::Config | Self::Bug | Self::Cancelled => Some(1),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Preempted => "preempted",
            Self::Lost => "lost",
            Self::OutOfMemory => "out of memory",
            Self::TransientIo => "transient I/O",
            Self::Data => "data",
            Self::Config => "config",
            Self::Bug => "bug",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failed attempt: its class and a sentence that says what was being done,
/// to what, and what went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{class}: {cause}")]
pub struct Failure {
    pub class: FailureClass,
    pub cause: String,
}

/// Causes longer than this are cut: they come from other machines.
const MAX_CAUSE: usize = 4096;

impl Failure {
    pub fn new(class: FailureClass, cause: impl Into<String>) -> Self {
        let mut cause: String = cause.into();
        if cause.len() > MAX_CAUSE {
            let end = (0..=MAX_CAUSE).rev().find(|i| cause.is_char_boundary(*i));
            cause.truncate(end.unwrap_or(0));
            cause.push('…');
        }
        Self { class, cause }
    }

    pub fn bug(cause: impl Into<String>) -> Self {
        Self::new(FailureClass::Bug, cause)
    }

    pub fn data(cause: impl Into<String>) -> Self {
        Self::new(FailureClass::Data, cause)
    }

    pub fn config(cause: impl Into<String>) -> Self {
        Self::new(FailureClass::Config, cause)
    }

    pub fn transient(cause: impl Into<String>) -> Self {
        Self::new(FailureClass::TransientIo, cause)
    }
}
