//! Where errors of libraries get the class of a failure: at the place that
//! knows what was being done.

use std::any::Any;
use std::fmt::Display;

use ablate_proto::failure::{Failure, FailureClass};

use crate::devices;

/// Gives an error a class and says what was being done.
pub(crate) trait OrFail<T> {
    /// A broken invariant: tensors of our own that do not fit together. What
    /// a GPU is to blame for keeps its own class.
    fn or_bug(self, doing: &str) -> Result<T, Failure>;

    /// The disk failed for now.
    fn or_transient(self, doing: &str) -> Result<T, Failure>;
}

impl<T, E: Display + Any> OrFail<T> for Result<T, E> {
    fn or_bug(self, doing: &str) -> Result<T, Failure> {
        self.map_err(|e| {
            let class = devices::class(&e).unwrap_or(FailureClass::Bug);
            let help = match class {
                FailureClass::OutOfMemory => {
                    ": the GPU's memory is full; use a smaller batch, or fewer slots on it"
                }
                _ => "",
            };
            Failure::new(class, format!("{doing}: {e}{help}"))
        })
    }

    fn or_transient(self, doing: &str) -> Result<T, Failure> {
        self.map_err(|e| Failure::transient(format!("{doing}: {e}")))
    }
}
