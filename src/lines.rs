//! Lines on standard output. The one place that prints there, so that a
//! closed pipe ends a command quietly instead of with a panic.

use std::io::Write;

/// Prints a line; exits as `head` expects when nobody reads any more.
pub(crate) fn line(text: impl std::fmt::Display) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => line(text),
        Err(e) => unreachable!("what is printed serialises: {e}"),
    }
}

/// Text from elsewhere, without the control characters that a terminal obeys.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
