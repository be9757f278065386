//! Progress of one attempt on its way to the coordinator: a few messages a
//! second at most, and lost rather than waited for.

use std::time::Duration;

use ablate_proto::artifact::MetricRow;
use ablate_proto::id::AttemptId;
use ablate_proto::message::{FromWorker, MetricPoint, Progress};
use tokio::sync::mpsc;
use tokio::time::Instant;

const EVERY: Duration = Duration::from_millis(200);
/// Points kept between two messages; the newest are.
const MAX_POINTS: usize = 512;

#[derive(Debug)]
pub(super) struct Reporter {
    attempt: AttemptId,
    tx: mpsc::Sender<FromWorker>,
    pending: Option<Progress>,
    next: Instant,
}

impl Reporter {
    pub(super) fn new(attempt: AttemptId, tx: mpsc::Sender<FromWorker>) -> Self {
        Self {
            attempt,
            tx,
            pending: None,
            next: Instant::now(),
        }
    }

    pub(super) fn add(&mut self, step: u64, total: u64, rows: &[MetricRow]) {
        let pending = self.pending.get_or_insert_default();
        pending.step = step;
        pending.total = total;
        // Histograms are for the report.
        let points = rows.iter().filter_map(|row| {
            Some(MetricPoint {
                name: row.name.clone(),
                step: row.step.unwrap_or(step),
                value: row.value?,
            })
        });
        pending.points.extend(points);
        let excess = pending.points.len().saturating_sub(MAX_POINTS);
        pending.points.drain(..excess);
    }

    /// Waits until something is due; for ever, while nothing is pending.
    pub(super) async fn due(&self) {
        match self.pending {
            Some(_) => tokio::time::sleep_until(self.next).await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn send(&mut self) {
        self.next = Instant::now() + EVERY;
        if let Some(progress) = self.pending.take()
            && let Err(mpsc::error::TrySendError::Full(FromWorker::Progress(_, progress))) = self
                .tx
                .try_send(FromWorker::Progress(self.attempt, progress))
        {
            self.pending = Some(progress);
        }
    }
}

#[cfg(test)]
mod tests {
    use ablate_proto::artifact::Direction;
    use ablate_proto::id::TaskKey;

    use super::*;

    #[tokio::test]
    async fn a_full_channel_costs_old_points_only() {
        let (tx, mut rx) = mpsc::channel(1);
        let task = TaskKey::from_bytes([1; 32]);
        let mut reporter = Reporter::new(AttemptId { task, number: 1 }, tx);
        for step in 0..2000 {
            let row = MetricRow::scalar("loss", "", Direction::Down, 0.5);
            reporter.add(step, 2000, &[row, MetricRow::vector("hist", "", vec![1.0])]);
            if step < 2 {
                reporter.send();
            }
        }
        let said = |message| match message {
            Some(FromWorker::Progress(_, progress)) => progress,
            other => panic!("{other:?}"),
        };
        assert_eq!(said(rx.recv().await).points.len(), 1);
        reporter.due().await;
        reporter.send();
        let progress = said(rx.recv().await);
        assert_eq!((progress.step, progress.points.len()), (1999, MAX_POINTS));
        assert_eq!(progress.points[MAX_POINTS - 1].step, 1999);
    }
}
