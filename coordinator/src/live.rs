//! What running tasks say of themselves: the latest metrics, and their logs
//! for those who follow them. Kept in memory only, and bounded everywhere: a
//! worker that says too much loses what it says, a reader that is slow loses
//! what was oldest, and neither holds anybody else up.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ablate_proto::id::{AttemptId, TaskKey, WorkerId};
use ablate_proto::message::{LogPiece, MetricPoint, Progress};
use ablate_proto::status::{SweepStatus, TaskState};
use tokio::sync::broadcast;
use tokio::time::Instant;

/// Tasks of a worker that are listened to.
const TASKS: usize = 8192;
/// Metrics kept of a task.
const NAMES: usize = 16;
/// Longer names are cut.
const NAME: usize = 100;
/// Points of one message that are looked at: the newest.
const POINTS: usize = 1024;
/// Pieces of a log that wait for a slow reader.
const PIECES: usize = 64;
/// Logs that may be followed before those without a reader are looked for.
const FOLLOWED: usize = 1024;
/// Longer pieces are cut.
const PIECE: usize = 128 << 10;

#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What each worker says: nobody speaks for another.
    workers: HashMap<WorkerId, HashMap<TaskKey, Latest>>,
    logs: HashMap<AttemptId, (WorkerId, broadcast::Sender<LogPiece>)>,
}

#[derive(Debug, Default)]
struct Latest {
    attempt: u32,
    values: BTreeMap<String, MetricPoint>,
}

impl Live {
    /// Takes the points out of a worker's progress.
    pub(crate) fn progress(&self, worker: &WorkerId, attempt: AttemptId, progress: &mut Progress) {
        let points = std::mem::take(&mut progress.points);
        if points.is_empty() {
            return;
        }
        let mut state = self.state();
        let tasks = state.workers.entry(worker.clone()).or_default();
        if tasks.len() >= TASKS && !tasks.contains_key(&attempt.task) {
            return;
        }
        let latest = tasks.entry(attempt.task).or_default();
        if latest.attempt > attempt.number {
            return;
        }
        if latest.attempt < attempt.number {
            latest.attempt = attempt.number;
            latest.values.clear();
        }
        let skip = points.len().saturating_sub(POINTS);
        for mut point in points.into_iter().skip(skip) {
            if let Some(known) = latest.values.get_mut(&point.name) {
                (known.step, known.value) = (point.step, point.value);
            } else if latest.values.len() < NAMES {
                cut(&mut point.name);
                latest.values.insert(point.name.clone(), point);
            }
        }
    }

    /// A piece of a log; whether anybody still follows it.
    pub(crate) fn log(&self, worker: &WorkerId, attempt: AttemptId, mut piece: LogPiece) -> bool {
        piece.text.truncate(PIECE);
        let mut state = self.state();
        let Some((owner, followers)) = state.logs.get(&attempt) else {
            return false;
        };
        if owner != worker {
            return false;
        }
        if followers.send(piece).is_err() {
            state.logs.remove(&attempt);
            return false;
        }
        true
    }

    /// From now on, until the attempt ends.
    pub(crate) fn follow(
        &self,
        worker: WorkerId,
        attempt: AttemptId,
    ) -> broadcast::Receiver<LogPiece> {
        let mut state = self.state();
        if state.logs.len() >= FOLLOWED {
            // Of attempts that had just ended when they were asked for.
            state.logs.retain(|_, (_, log)| log.receiver_count() > 0);
        }
        let followers = state.logs.entry(attempt);
        let followers = followers.or_insert_with(|| (worker, broadcast::channel(PIECES).0));
        followers.1.subscribe()
    }

    /// An attempt has ended: nothing more comes of it.
    pub(crate) fn ended(&self, worker: &WorkerId, attempt: AttemptId) {
        let mut state = self.state();
        if state
            .logs
            .get(&attempt)
            .is_some_and(|(owner, _)| owner == worker)
        {
            state.logs.remove(&attempt);
        }
        if let Some(tasks) = state.workers.get_mut(worker) {
            tasks.remove(&attempt.task);
        }
    }

    /// A worker's session is over. It may come back, and say more; what
    /// follows its logs asks again.
    pub(crate) fn gone(&self, worker: &WorkerId) {
        let mut state = self.state();
        state.workers.remove(worker);
        state.logs.retain(|_, (owner, _)| owner != worker);
    }

    /// Writes the latest metrics of what runs into a status.
    pub(crate) fn fill(&self, status: &mut SweepStatus) {
        let state = self.state();
        for row in &mut status.rows {
            if row.state == TaskState::Running
                && let Some(tasks) = row.worker.as_ref().and_then(|id| state.workers.get(id))
                && let Some(latest) = tasks.get(&row.key)
                && latest.attempt == row.attempt
            {
                row.latest = latest.values.values().cloned().collect();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(name: &mut String) {
    let end = (0..=NAME).rev().find(|i| name.is_char_boundary(*i));
    name.truncate(end.unwrap_or(0));
}

/// How often a worker may report progress or logs. What comes faster is
/// dropped and counted: only the sender loses by it.
#[derive(Debug)]
pub(crate) struct Pace {
    left: f64,
    since: Instant,
    pub(crate) dropped: u64,
}

/// Reports a second. A slot reports five times a second at most.
const RATE: f64 = 1000.0;
/// At once, after a while without.
const BURST: f64 = 2000.0;

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            since: now,
            dropped: 0,
        }
    }

    /// Whether one more may pass.
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since);
        if passed > Duration::from_millis(1) {
            self.left = (self.left + passed.as_secs_f64() * RATE).min(BURST);
            self.since = now;
        }
        if self.left < 1.0 {
            self.dropped += 1;
            return false;
        }
        self.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32) -> AttemptId {
        let task = TaskKey::from_bytes([1; 32]);
        AttemptId { task, number }
    }

    fn says(names: impl IntoIterator<Item = String>, step: u64) -> Progress {
        let point = |name| MetricPoint {
            name,
            step,
            value: 1.0,
        };
        Progress {
            step,
            total: 9,
            points: names.into_iter().map(point).collect(),
        }
    }

    fn values(live: &Live) -> Vec<(String, u64)> {
        let state = live.state();
        let latest = state.workers.values().flat_map(HashMap::values);
        let points = latest.flat_map(|latest| latest.values.values());
        points
            .map(|point| (point.name.clone(), point.step))
            .collect()
    }

    #[test]
    fn the_latest_of_the_current_attempt_is_kept() {
        let (live, worker) = (Live::default(), WorkerId::generate("a"));
        live.progress(&worker, attempt(1), &mut says(["loss".to_owned()], 1));
        live.progress(&worker, attempt(2), &mut says(["loss".to_owned()], 5));
        live.progress(&worker, attempt(1), &mut says(["loss".to_owned()], 9));
        assert_eq!(values(&live), [("loss".to_owned(), 5)]);
        // Another cannot speak for it.
        let other = WorkerId::generate("b");
        live.ended(&other, attempt(2));
        live.gone(&other);
        assert_eq!(values(&live).len(), 1);
        live.gone(&worker);
        assert!(values(&live).is_empty());
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let (live, worker) = (Live::default(), WorkerId::generate("a"));
        let names = (0..5000).map(|i| format!("{i}{}", "ü".repeat(500)));
        live.progress(&worker, attempt(1), &mut says(names, 1));
        let kept = values(&live);
        assert_eq!(kept.len(), NAMES);
        assert!(kept.iter().all(|(name, _)| name.len() <= NAME));
    }

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_and_blocks_nobody() {
        let (live, worker) = (Live::default(), WorkerId::generate("a"));
        let mut reader = live.follow(worker.clone(), attempt(1));
        let piece = |i: u64| LogPiece {
            from: i,
            text: vec![b'x'; 1],
        };
        for i in 0..3 * PIECES as u64 {
            assert!(live.log(&worker, attempt(1), piece(i)));
            assert!(!live.log(&WorkerId::generate("b"), attempt(1), piece(i)));
        }
        let lagged = reader.recv().await.unwrap_err();
        assert!(matches!(lagged, broadcast::error::RecvError::Lagged(_)));
        assert!(reader.recv().await.unwrap().from >= 2 * PIECES as u64);
        drop(reader);
        assert!(!live.log(&worker, attempt(1), piece(0)));
    }

    #[test]
    fn who_reports_too_often_is_not_heard() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let passed = (0..10_000).filter(|_| pace.admits(now)).count();
        assert_eq!((passed as f64, pace.dropped), (BURST, 10_000 - 2000));
        assert!(pace.admits(now + Duration::from_secs(1)));
    }
}
