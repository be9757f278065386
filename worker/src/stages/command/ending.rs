//! What the end of a program means.
//!
//! | exit code | meaning | class |
//! |---|---|---|
//! | 0 | done | |
//! | 75 | try again | transient I/O |
//! | 78 | never again | config |
//! | 79 | out of memory | out of memory |
//! | 80 | interrupted, with a checkpoint | preempted |
//! | 128 + n, or a signal | as the signal has it | lost, or bug |
//! | others | | bug |

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use ablate_proto::failure::{Failure, FailureClass};
use nix::sys::signal::Signal;

#[derive(Debug)]
pub(super) struct Ending {
    pub(super) status: ExitStatus,
    /// Why it was asked to end, if it was.
    pub(super) ended_as: Option<FailureClass>,
    /// The kernel has killed for want of memory meanwhile.
    pub(super) starved: bool,
    /// The end of its standard error.
    pub(super) words: String,
}

impl Ending {
    /// `kept`: whether its checkpoint has changed in this attempt.
    pub(super) fn verdict(&self, kept: impl FnOnce() -> bool) -> Result<(), Failure> {
        let how = self.how();
        match self.ended_as {
            // A program that was asked to end may end well in the middle.
            Some(FailureClass::Hung) => {
                let cause = format!(
                    "the program said nothing for longer than `silence_seconds`, and {how}"
                );
                return Err(self.failure(FailureClass::Hung, &cause));
            }
            Some(class) => {
                let cause = format!("the program was asked to end, and {how}");
                return Err(Failure::new(class, cause));
            }
            None => {}
        }
        let cause = format!("the program {how}");
        let class = match (self.status.code(), self.signal()) {
            (Some(0), _) => return Ok(()),
            (Some(75), _) => FailureClass::TransientIo,
            (Some(78), _) => FailureClass::Config,
            (Some(79), _) => FailureClass::OutOfMemory,
            (Some(80), _) if kept() => FailureClass::Preempted,
            (Some(80), _) => {
                let cause = format!(
                    "{cause} (interrupted, with a checkpoint), but left nothing new in \
                     ABLATE_CHECKPOINT: it would never end"
                );
                return Err(self.failure(FailureClass::Bug, &cause));
            }
            (_, Some(Signal::SIGKILL)) if self.starved => {
                let cause = format!("{cause}, since memory had run out");
                return Err(self.failure(FailureClass::OutOfMemory, &cause));
            }
            // From outside, by a person.
            (_, Some(Signal::SIGKILL | Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP)) => {
                FailureClass::Lost
            }
            _ => FailureClass::Bug,
        };
        Err(self.failure(class, &cause))
    }

    /// Its own signal, or the one that a shell reports of a child.
    fn signal(&self) -> Option<Signal> {
        let code = self.status.code().filter(|code| (129..=192).contains(code));
        let number = self.status.signal();
        let number = number.or_else(|| code.map(|code| code - 128))?;
        Signal::try_from(number).ok()
    }

    fn how(&self) -> String {
        match (self.status.code(), self.signal()) {
            (None, Some(signal)) => format!("was killed by {signal}"),
            (Some(code), Some(signal)) => format!("ended with exit code {code} ({signal})"),
            (Some(code), None) => format!("ended with exit code {code}"),
            (None, None) => format!("ended: {}", self.status),
        }
    }

    fn failure(&self, class: FailureClass, cause: &str) -> Failure {
        let cause = match self.words.trim() {
            "" => format!("{cause}; it wrote nothing to standard error"),
            words => format!("{cause}; the end of its standard error: {words}"),
        };
        Failure::new(class, cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(raw: i32, ended_as: Option<FailureClass>) -> Ending {
        Ending {
            status: ExitStatus::from_raw(raw),
            ended_as,
            starved: false,
            words: "Traceback".to_owned(),
        }
    }

    #[test]
    fn exit_codes_have_classes() {
        use FailureClass as C;
        let class = |raw, kept| ending(raw, None).verdict(|| kept).err().map(|f| f.class);
        assert_eq!(class(0, false), None);
        for (code, expected) in [
            (1, C::Bug),
            (75, C::TransientIo),
            (78, C::Config),
            (79, C::OutOfMemory),
            (80, C::Preempted),
            (128 + 9, C::Lost),
            (128 + 15, C::Lost),
            (128 + 11, C::Bug),
            (255, C::Bug),
        ] {
            assert_eq!(class(code << 8, true), Some(expected), "{code}");
        }
        assert_eq!(class(80 << 8, false), Some(C::Bug));
        assert_eq!(class(9, false), Some(C::Lost));
        assert_eq!(class(11, false), Some(C::Bug));
    }

    #[test]
    fn a_program_that_was_asked_to_end_is_not_done() {
        for class in [FailureClass::Preempted, FailureClass::Hung] {
            for raw in [0, 15, 1 << 8] {
                let verdict = ending(raw, Some(class)).verdict(|| true);
                assert_eq!(verdict.unwrap_err().class, class);
            }
        }
    }

    #[test]
    fn a_kill_by_the_kernel_for_want_of_memory_is_told_apart() {
        for (raw, class) in [
            (9, FailureClass::OutOfMemory),
            ((128 + 9) << 8, FailureClass::OutOfMemory),
            (15, FailureClass::Lost),
        ] {
            let ending = Ending {
                starved: true,
                ..ending(raw, None)
            };
            assert_eq!(ending.verdict(|| false).unwrap_err().class, class, "{raw}");
        }
    }

    #[test]
    fn its_last_words_are_the_cause() {
        let failure = ending(1 << 8, None).verdict(|| false).unwrap_err();
        assert!(
            failure.cause.ends_with("standard error: Traceback"),
            "{failure}"
        );
    }
}
