//! Where errors of libraries get the class of a failure: at the place that
//! knows what was being done.

use std::fmt::Display;

use ablate_proto::failure::Failure;

/// Gives an error a class and says what was being done.
pub(crate) trait OrFail<T> {
    /// A broken invariant: tensors of our own that do not fit together.
    fn or_bug(self, doing: &str) -> Result<T, Failure>;

    /// The disk failed for now.
    fn or_transient(self, doing: &str) -> Result<T, Failure>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_bug(self, doing: &str) -> Result<T, Failure> {
        self.map_err(|e| Failure::bug(format!("{doing}: {e}")))
    }

    fn or_transient(self, doing: &str) -> Result<T, Failure> {
        self.map_err(|e| Failure::transient(format!("{doing}: {e}")))
    }
}
