//! Signs of life from deep inside a stage that only computes: loops that know
//! nothing of a job call [`beat`] after each piece of work, and the agent can
//! tell a long measurement from one that hangs.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use ablate_proto::id::AttemptId;

use super::context::Report;
use super::protocol::FromRunner;

const EVERY: Duration = Duration::from_millis(200);

struct Pulse {
    attempt: AttemptId,
    report: Report,
    done: u64,
    expected: u64,
    last: Instant,
}

thread_local! {
    /// Of the thread that runs stages, while one listens.
    static PULSE: RefCell<Option<Pulse>> = const { RefCell::new(None) };
}

/// A piece of work is done. Costs next to nothing where nobody listens.
pub(crate) fn beat() {
    PULSE.with_borrow_mut(|pulse| {
        let Some(pulse) = pulse else {
            return;
        };
        pulse.done += 1;
        if pulse.last.elapsed() >= EVERY {
            pulse.last = Instant::now();
            (pulse.report)(FromRunner::Progress {
                attempt: pulse.attempt,
                step: pulse.done,
                // An estimate: there may be more.
                total: pulse.expected.max(pulse.done),
                rows: Vec::new(),
            });
        }
    });
}

/// Listens until [`end`]; about `expected` beats will come, after `done`.
pub(super) fn begin(attempt: AttemptId, done: u64, expected: u64, report: Report) {
    let pulse = Pulse {
        attempt,
        report,
        done,
        expected,
        last: Instant::now(),
    };
    PULSE.set(Some(pulse));
}

/// Gives the report back, with the number of beats.
pub(super) fn end() -> Option<(Report, u64)> {
    let pulse = PULSE.take()?;
    Some((pulse.report, pulse.done))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use ablate_proto::id::TaskKey;

    use super::*;

    #[test]
    fn beats_become_steps_while_somebody_listens() {
        let (tx, rx) = channel();
        let task = TaskKey::from_bytes([1; 32]);
        let attempt = AttemptId { task, number: 1 };
        beat();
        begin(attempt, 4, 6, Box::new(move |m| tx.send(m).unwrap()));
        beat();
        std::thread::sleep(EVERY);
        beat();
        std::thread::sleep(EVERY);
        beat();
        let (_, beats) = end().unwrap();
        beat();
        let steps: Vec<_> = rx
            .try_iter()
            .map(|message| match message {
                FromRunner::Progress { step, total, .. } => (step, total),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!((beats, steps), (7, vec![(6, 6), (7, 7)]));
    }
}
