//! The asynchronous shell around the core: feeds it events and the time,
//! stores what it records, and performs its effects once they are durable.
//!
//! Two tasks: this loop owns the core and the log; the [`Performer`] waits
//! for each batch to be durable, in order, and then sends. So the core goes
//! on while the store writes, and nobody hears of what could still be lost.

use std::sync::Arc;
use std::time::Duration;

use ablate_proto::id::{AttemptId, SweepId, TaskKey, WorkerId};
use ablate_proto::message::{Hello, ToWorker};
use ablate_proto::status::{
    ClusterStatus, Explanation, Submitted, SweepState, SweepStatus, WorkerStatus,
};
use object_store::ObjectStore;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::core::{Core, Effect, Event, Fact, NEWS, Rows, Submission};
use crate::outbound::Outbound;
use crate::performer::{Action, Batch, Performer};
use crate::state::{State, StateError};

/// How often leases are checked.
const TICK: Duration = Duration::from_millis(100);
/// And while there are none, at the most.
const REST: Duration = Duration::from_millis(500);
/// Commands taken into one batch of facts at most.
const BATCH: usize = 1024;
/// Tasks explained at once, of those whose keys begin alike.
const EXPLAINED: usize = 20;

/// What the service asks of the driver.
pub(crate) enum Command {
    Event(Event),
    /// What a worker said, in its order.
    Events(Vec<Event>),
    Open {
        hello: Hello,
        session: u64,
        sender: Outbound,
    },
    Submit(Submission, oneshot::Sender<Option<Submitted>>),
    /// Which of these are done without that a sweep names them.
    Unnamed(Vec<TaskKey>, oneshot::Sender<Vec<TaskKey>>),
    /// Answers with the number of tasks that the sweep has cancelled.
    /// What runs is asked to stop, or killed.
    Cancel(SweepId, bool, oneshot::Sender<Option<u64>>),
    /// Something about a sweep; answers with what became of it.
    Change(SweepId, Event, oneshot::Sender<Option<SweepStatus>>),
    Drain(WorkerId, bool, oneshot::Sender<Option<WorkerStatus>>),
    /// Tasks whose keys begin so.
    Explain(String, oneshot::Sender<Vec<Explanation>>),
    /// The attempt that runs a task; if it is still this one, its worker is
    /// asked to send its log.
    FollowLog(
        TaskKey,
        Option<AttemptId>,
        oneshot::Sender<Option<(WorkerId, AttemptId)>>,
    ),
    /// Nobody follows this log any more.
    StopLog(WorkerId, AttemptId),
    Sweep(SweepId, Rows, oneshot::Sender<Option<SweepStatus>>),
    /// What a follower has not seen yet, and how many ended tasks it has seen
    /// then.
    Follow(
        SweepId,
        usize,
        oneshot::Sender<Option<(SweepStatus, usize)>>,
    ),
    Cluster(oneshot::Sender<ClusterStatus>),
}

/// A way to the driver that can be cloned.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    /// Counts batches: changes whenever the state may have changed.
    pub(crate) changes: watch::Receiver<u64>,
}

/// The driver has ended, and with it the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is shutting down")]
pub(crate) struct Stopped;

impl Handle {
    pub(crate) async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }

    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        answer.await.map_err(|_| Stopped)
    }
}

pub(crate) struct Driver {
    core: Core,
    state: State,
    commands: mpsc::Receiver<Command>,
    changes: watch::Sender<u64>,
    batches: mpsc::Sender<Batch>,
    /// A snapshot that is being written.
    saving: Option<AbortOnDropHandle<Result<(), StateError>>>,
    started: Instant,
}

impl Driver {
    /// The driver's loop and its handle. `run` resolves when `stop` is
    /// cancelled or the state can no longer be written.
    pub(crate) fn start(
        core: Core,
        state: State,
        store: Arc<dyn ObjectStore>,
        stop: CancellationToken,
    ) -> (Handle, impl Future<Output = Result<(), StateError>>) {
        let (command_sender, commands) = mpsc::channel(4 * BATCH);
        let (changes, changed) = watch::channel(0);
        let (batches, batch_receiver) = mpsc::channel(64);
        let performer = Performer::new(store, command_sender.downgrade());
        let driver = Self {
            core,
            state,
            commands,
            changes,
            batches,
            saving: None,
            started: Instant::now(),
        };
        let handle = Handle {
            commands: command_sender,
            changes: changed,
        };
        let run = async move {
            let failed = stop.clone().drop_guard();
            let performer = tokio::spawn(async move {
                let performed = performer.run(batch_receiver).await;
                if performed.is_ok() {
                    failed.disarm();
                }
                performed
            });
            let ended = driver.run(stop).await;
            // The performer ends when it has performed what it has.
            let performed = match performer.await {
                Ok(performed) => performed,
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            };
            performed.and(ended)
        };
        (handle, run)
    }

    async fn run(mut self, stop: CancellationToken) -> Result<(), StateError> {
        let rest = REST.min(self.core.longest_pause() / 2).max(TICK);
        let mut ticked = Instant::now();
        let mut inbox = Vec::with_capacity(BATCH);
        loop {
            let every = if self.core.is_at_rest() { rest } else { TICK };
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep_until(ticked + every) => {
                    ticked = Instant::now();
                    self.turn(&mut Vec::new(), true).await?;
                }
                received = self.commands.recv_many(&mut inbox, BATCH) => {
                    if received == 0 {
                        break;
                    }
                    self.turn(&mut inbox, false).await?;
                }
            }
        }
        self.saving = None;
        drop(self.batches);
        self.state.close().await
    }

    /// Takes a batch of commands through the core, and hands what came out
    /// to the performer.
    async fn turn(&mut self, inbox: &mut Vec<Command>, tick: bool) -> Result<(), StateError> {
        let now = self.started.elapsed();
        let mut turn = Turn::default();
        if tick {
            turn.take(self.core.step(now, Event::Tick), &self.core, now);
        }
        let acted = !inbox.is_empty();
        for command in inbox.drain(..) {
            self.command(now, command, &mut turn);
        }
        if turn.facts.is_empty() && turn.actions.is_empty() {
            if acted {
                self.changes.send_modify(|n| *n += 1);
            }
            return Ok(());
        }
        let written = if turn.facts.is_empty() {
            None
        } else {
            let slack = self.core.slack().filter(|_| !turn.is_awaited());
            Some(self.state.append(&turn.facts).await?.with_slack(slack))
        };
        self.save().await;
        let batch = Batch {
            written,
            actions: turn.actions,
        };
        // A closed channel: the performer failed, and `start` reports why.
        let _ = self.batches.send(batch).await;
        self.changes.send_modify(|n| *n += 1);
        Ok(())
    }

    /// Writes a snapshot beside everything else, now and then.
    async fn save(&mut self) {
        if let Some(saving) = self.saving.take_if(|saving| saving.is_finished())
            && let Ok(Err(error)) = saving.await
        {
            // What it stands for is still there; another is written later.
            tracing::warn!(%error, "no snapshot of the state was written");
        }
        if self.saving.is_none() && self.state.wants_snapshot(self.core.task_count()) {
            let snapshot = self.state.snapshot(self.core.saved());
            self.saving = Some(AbortOnDropHandle::new(tokio::spawn(snapshot)));
        }
    }

    fn command(&mut self, now: Duration, command: Command, turn: &mut Turn) {
        let core = &mut self.core;
        match command {
            Command::Event(event) => {
                if let Event::Gone { worker, session } = &event {
                    let close = Action::Close(worker.clone(), *session);
                    turn.actions.push(close);
                }
                let effects = core.step(now, event);
                turn.take(effects, core, now);
            }
            Command::Events(events) => {
                for event in events {
                    let effects = core.step(now, event);
                    turn.take(effects, core, now);
                }
            }
            Command::Open {
                hello,
                session,
                sender,
            } => {
                let worker = hello.worker.clone();
                turn.actions.push(Action::Open(worker, session, sender));
                let effects = core.step(now, Event::Hello { hello, session });
                turn.take(effects, core, now);
            }
            Command::Submit(submission, reply) => {
                let sweep = submission.sweep.clone();
                let effects = core.step(now, Event::Submit(submission));
                turn.take(effects, core, now);
                let answer = core.submitted(&sweep);
                turn.reply(reply, answer);
            }
            Command::Unnamed(keys, reply) => turn.reply(reply, core.unnamed(&keys)),
            Command::Cancel(sweep, at_once, reply) => {
                let known = core.has_sweep(&sweep);
                let mut effects = core.step(now, Event::Cancel(sweep.clone()));
                for effect in &mut effects {
                    if let Effect::Send(_, ToWorker::Drop { now, .. }) = effect {
                        *now = at_once;
                    }
                }
                turn.take(effects, core, now);
                let status = core.sweep_status(now, &sweep, Rows::None);
                turn.reply(reply, status.filter(|_| known).map(|s| s.cancelled));
            }
            Command::Change(sweep, event, reply) => {
                let effects = core.step(now, event);
                turn.take(effects, core, now);
                turn.reply(reply, core.sweep_status(now, &sweep, Rows::None));
            }
            Command::Drain(worker, drain, reply) => {
                let event = Event::Drain {
                    worker: worker.clone(),
                    drain,
                };
                let effects = core.step(now, event);
                turn.take(effects, core, now);
                turn.reply(reply, core.worker_status(now, &worker));
            }
            Command::Explain(prefix, reply) => {
                let keys = core.tasks_with(&prefix, EXPLAINED);
                let all = keys.into_iter().filter_map(|key| core.explain(now, key));
                turn.reply(reply, all.collect());
            }
            Command::FollowLog(task, asked, reply) => {
                let holder = core.holder(task);
                if let Some((worker, attempt)) = &holder
                    && asked == Some(*attempt)
                {
                    let (attempt, on) = (*attempt, true);
                    let follow = Box::new(ToWorker::Follow { attempt, on });
                    turn.actions.push(Action::Send(worker.clone(), follow));
                }
                turn.reply(reply, holder);
            }
            Command::StopLog(worker, attempt) => {
                let stop = Box::new(ToWorker::Follow { attempt, on: false });
                turn.actions.push(Action::Send(worker, stop));
            }
            Command::Sweep(sweep, rows, reply) => {
                turn.reply(reply, core.sweep_status(now, &sweep, rows));
            }
            Command::Follow(sweep, seen, reply) => {
                let ended = core.ended(&sweep);
                // Submitted again meanwhile: it ends anew.
                let seen = if seen <= ended { seen } else { 0 };
                let told = ended.min(seen + NEWS);
                let status = core.sweep_status(now, &sweep, Rows::Since(seen));
                let status = status.map(|mut status| {
                    if told < ended {
                        // Its end is told with the last of its tasks.
                        status.state = SweepState::Running;
                    }
                    (status, told)
                });
                turn.reply(reply, status);
            }
            Command::Cluster(reply) => turn.reply(reply, core.cluster_status(now)),
        }
    }
}

/// What one turn of the loop has produced.
#[derive(Default)]
struct Turn {
    facts: Vec<Fact>,
    actions: Vec<Action>,
}

impl Turn {
    fn take(&mut self, effects: Vec<Effect>, core: &Core, now: Duration) {
        for effect in effects {
            match effect {
                Effect::Record(Fact::AttemptStarted { .. }) if planted!(CounterNotDurable) => {}
                Effect::Record(fact) => self.facts.push(fact),
                Effect::Send(worker, message) => {
                    self.actions.push(Action::Send(worker, Box::new(message)));
                }
                Effect::StoreOutcome(sweep) => {
                    if let Some(outcome) = core.outcome(now, &sweep) {
                        self.actions.push(Action::StoreOutcome(Box::new(outcome)));
                    }
                }
                Effect::ForgetOutcome(sweep) => self.actions.push(Action::ForgetOutcome(sweep)),
            }
        }
    }

    /// Whether a person waits for what comes of it, or a worker that is new.
    fn is_awaited(&self) -> bool {
        self.actions.iter().any(|action| match action {
            Action::Open(..) | Action::Reply(_) => true,
            Action::Send(..)
            | Action::Close(..)
            | Action::StoreOutcome(_)
            | Action::ForgetOutcome(_) => false,
        })
    }

    /// Answers go the way of all effects: after what they tell is durable.
    fn reply<T: Send + 'static>(&mut self, reply: oneshot::Sender<T>, answer: T) {
        let send = move || {
            // The asker may have gone.
            let _ = reply.send(answer);
        };
        self.actions.push(Action::Reply(Box::new(send)));
    }
}
