//! How a command ends: one enum, and errors that know their exit code.

use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    /// Some tasks failed, or a verdict that was to be checked did.
    Failed,
    /// Bad usage, settings or sweep file.
    Usage,
    Unreachable,
    Refused,
    Cancelled,
    /// Another coordinator has taken the store over.
    Replaced,
    /// SIGINT (2) or SIGTERM (15).
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::Refused => 4,
            Exit::Cancelled => 5,
            Exit::Replaced => 6,
            Exit::Signal(number) => 128 + number,
        })
    }
}

/// An error and the code to exit with.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
}

pub(crate) type CliResult = Result<Exit, CliError>;

/// Says which exit code an error means.
pub(crate) trait OrExit<T> {
    fn or_exit(self, exit: Exit) -> Result<T, CliError>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, CliError> {
        self.map_err(|e| CliError {
            exit,
            error: e.into(),
        })
    }
}

/// An error that is only a sentence.
pub(crate) fn fail<T>(exit: Exit, sentence: impl Into<String>) -> Result<T, CliError> {
    Err(CliError {
        exit,
        error: anyhow::Error::msg(sentence.into()),
    })
}
