//! Reports that nobody waits for travel together: each message wakes three
//! threads, which costs more than a short task.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::held::Held;

/// Reports that are sent at once, at the latest.
const MOST: usize = 64;
/// How long the first of them waits.
const LONGEST: Duration = Duration::from_millis(4);
/// Attempts behind each slot for which nobody waits for reports: there is work
/// for longer than they are kept.
const STOCK: usize = 16;

/// Reports that are kept back.
#[derive(Debug, Default)]
pub(super) struct Gather {
    until: Option<Instant>,
}

impl Gather {
    /// Whether what is to be reported waits for more, at a worker of so many
    /// slots; never without slots.
    pub(super) fn keep(&mut self, held: &Held, slots: Option<u32>) -> bool {
        let enough = |slots| held.working() >= slots as usize * (1 + STOCK);
        if !slots.is_some_and(enough) || !(1..MOST).contains(&held.reports()) {
            self.stop();
            return false;
        }
        let now = Instant::now();
        let keep = *self.until.get_or_insert(now + LONGEST) > now;
        if !keep {
            self.stop();
        }
        keep
    }

    pub(super) fn stop(&mut self) {
        self.until = None;
    }

    pub(super) fn keeps(&self) -> bool {
        self.until.is_some()
    }

    /// Waits until they are to be sent; for ever, if none are kept.
    pub(super) fn over(&self) -> impl Future<Output = ()> + use<> {
        let until = self.until;
        async move {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ablate_proto::id::{AttemptId, TaskKey};

    use super::super::attempt::Report;
    use super::*;

    /// A worker's attempts, of which so many have ended.
    fn held(attempts: u8, reports: u8) -> Held {
        let mut held = Held::default();
        for task in 0..attempts {
            let task = TaskKey::from_bytes([task; 32]);
            let attempt = AttemptId { task, number: 1 };
            held.begin(attempt).unwrap();
            if task.as_bytes()[0] < reports {
                held.report(attempt, Report::preempted());
            }
        }
        held
    }

    #[tokio::test]
    async fn reports_wait_while_there_is_work_but_not_for_long() {
        let mut gather = Gather::default();
        let stocked = held(60, 2);
        assert!(gather.keep(&stocked, Some(2)) && gather.keeps());
        gather.over().await;
        assert!(!gather.keep(&stocked, Some(2)) && !gather.keeps());
        assert!(gather.keep(&stocked, Some(2)));
        // A slot may soon have nothing to do.
        assert!(!gather.keep(&held(30, 2), Some(2)) && !gather.keeps());
        assert!(!gather.keep(&held(200, 64), Some(2)));
        assert!(!gather.keep(&held(60, 0), Some(2)) && !gather.keeps());
        assert!(gather.keep(&stocked, Some(2)));
        assert!(!gather.keep(&stocked, None) && !gather.keeps());
    }
}
