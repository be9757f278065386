//! A refused sweep file: where, and why.

use std::fmt;

pub(super) use super::hint::{Hint, Name, inert, is_active};
pub(super) use super::problem::Problem;

/// A sweep file that was refused: where, and why.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SweepError {
    pub place: Place,
    pub problem: Box<Problem>,
}

/// Where the fault lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Lines and columns (in characters) count from 1.
    File {
        file: String,
        line: usize,
        column: usize,
        /// Set when the line belongs to a profile.
        profile: Option<String>,
    },
    /// An override from the command line, as it was written.
    Set(String),
    /// The choice of the profile.
    Profile(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                file,
                line,
                column,
                profile,
            } => {
                write!(f, "{}:{line}:{column}", inert(file, 4096))?;
                match profile {
                    Some(profile) => write!(f, ": in profile {}", Name(profile)),
                    None => Ok(()),
                }
            }
            Self::Set(text) => write!(f, "--set {}", inert(text, 200)),
            Self::Profile(name) => write!(f, "--profile {}", inert(name, 80)),
        }
    }
}

/// Where a value came from: an offset in the file, or an override.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    File(usize),
    Profile(usize),
    Set(usize),
    ProfileChoice,
}

/// A problem on its way up, before its origin is turned into a place.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Origin,
    pub(super) problem: Box<Problem>,
    /// The profile at fault, where it is not the chosen one.
    pub(super) profile: Option<String>,
}

impl Fault {
    pub(super) fn new(at: Origin, problem: Problem) -> Self {
        Self {
            at,
            problem: Box::new(problem),
            profile: None,
        }
    }
}
