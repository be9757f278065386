//! The agent's loop: one task that owns what is held, feeds the session, and
//! never waits for the network, the store or a runner.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ablate_proto::failure::Failure;
use ablate_proto::id::AttemptId;
use ablate_proto::message::{FromWorker, Hello, ToWorker};
use ablate_proto::wire::InvalidMessage;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::attempt::{Context, Report, drive};
use super::gather::Gather;
use super::held::Held;
use super::job::Stops;
use super::line::{Connecting, Line, Step, advance, room};
use super::prepare::Assigned;
use super::rpc::{Connector, Link, LinkError};
use super::slots::Turn;
use super::{AgentError, Opener};

/// After the last acknowledgement, for assignments that crossed the farewell.
const FAREWELL: Duration = Duration::from_millis(150);

/// What the loop is told.
#[derive(Debug)]
pub(super) struct Terms {
    /// `holding` is filled in for each session.
    pub(super) hello: Hello,
    pub(super) address: String,
    pub(super) connect_timeout: Duration,
    pub(super) grace: Duration,
    pub(super) idle_exit: Option<Duration>,
}

pub(super) struct Session {
    terms: Terms,
    opener: Opener,
    connector: Connector,
    line: Line,
    /// The store's URL and what was made of it, from the first `Welcome` on.
    opened: Option<(String, Arc<Context>)>,
    held: Held,
    attempts: JoinSet<Option<Report>>,
    names: HashMap<Id, AttemptId>,
    progress: mpsc::Receiver<FromWorker>,
    draining: CancellationToken,
    /// When the grace period ends, once the worker is going.
    deadline: Option<Instant>,
    /// Why it is going, unless it was asked to.
    fatal: Option<AgentError>,
    beat_at: Instant,
    idle_since: Instant,
    gather: Gather,
}

impl Session {
    pub(super) fn new(
        terms: Terms,
        opener: Opener,
        connector: Connector,
        progress: mpsc::Receiver<FromWorker>,
    ) -> Self {
        let first = connector
            .clone()
            .connect(terms.hello.clone(), Some(terms.connect_timeout));
        let now = Instant::now();
        Self {
            terms,
            opener,
            connector,
            line: Line::Down(Box::pin(first)),
            opened: None,
            held: Held::default(),
            attempts: JoinSet::new(),
            names: HashMap::new(),
            progress,
            draining: CancellationToken::new(),
            deadline: None,
            fatal: None,
            beat_at: now,
            idle_since: now,
            gather: Gather::default(),
        }
    }

    /// Runs until the worker has gone: everything handed back, or the grace
    /// period over.
    pub(super) async fn run(&mut self, shutdown: &CancellationToken) -> Result<(), AgentError> {
        loop {
            self.send_reports();
            if self.is_finished() {
                break;
            }
            let idle_at = self.idle_at();
            let (up, blocked) = (self.is_up(), self.blocked());
            tokio::select! {
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended),
                step = advance(&mut self.line) => match step {
                    Step::Connected(link) => self.connected(link).await?,
                    Step::Failed(error) => return Err(error.of(&self.terms.address)),
                    Step::Message(message) => self.message(message),
                    Step::Lost(error) => self.lost(error)?,
                },
                Some(said) = self.progress.recv() => self.say(said),
                () = sleep_until(self.beat_at), if up => self.beat(),
                () = room(blocked) => {}
                () = self.gather.over() => {}
                () = shutdown.cancelled(), if self.deadline.is_none() => {
                    tracing::info!(holding = self.held.len(), "asked to go; handing back");
                    self.drain();
                }
                () = sleep_until(idle_at.unwrap_or(self.idle_since)), if idle_at.is_some() => {
                    tracing::info!("no work for a while; going");
                    self.drain();
                }
                () = sleep_until(self.deadline.unwrap_or(self.idle_since)), if self.deadline.is_some() => {
                    if !self.held.is_empty() {
                        tracing::warn!(holding = self.held.len(), "grace is over; leaving the rest");
                    }
                    break;
                }
            }
        }
        self.farewell().await;
        self.fatal.take().map_or(Ok(()), Err)
    }

    /// Ends all attempts at once; returns when none is left.
    pub(super) async fn close(mut self) -> Option<Arc<Context>> {
        self.attempts.shutdown().await;
        self.opened.take().map(|(_, context)| context)
    }

    fn is_finished(&self) -> bool {
        self.deadline.is_some() && self.held.is_empty()
    }

    fn is_up(&self) -> bool {
        matches!(self.line, Line::Up(_))
    }

    /// The connection, while reports wait for room in it.
    fn blocked(&self) -> Option<mpsc::Sender<FromWorker>> {
        let waits = self.held.reports() > 0 && !self.gather.keeps();
        match &self.line {
            Line::Up(link) if waits => Some(link.tx.clone()),
            Line::Up(_) | Line::Down(_) => None,
        }
    }

    fn idle_at(&self) -> Option<Instant> {
        let idle = self.held.is_empty() && self.opened.is_some() && self.deadline.is_none();
        let after = self.terms.idle_exit.filter(|_| idle)?;
        Some(self.idle_since + after)
    }

    async fn connected(&mut self, mut link: Box<Link>) -> Result<(), AgentError> {
        let url = &link.welcome.store;
        match &self.opened {
            Some((known, _)) if known != url => {
                return Err(AgentError::OtherStore {
                    known: known.clone(),
                    named: url.clone(),
                });
            }
            Some(_) => {}
            None => {
                let context = self.opener.open(url).await?;
                self.opened = Some((url.clone(), context));
                self.idle_since = Instant::now();
            }
        }
        if let Some((_, context)) = &self.opened {
            self.connector
                .connected(link.endpoint.clone(), &context.finder);
        }
        let coordinator = link.endpoint.uri();
        tracing::info!(%coordinator, holding = self.held.len(), "session with the coordinator");
        let early = std::mem::take(&mut link.early);
        self.line = Line::Up(link);
        self.held.reconnected();
        for message in early {
            self.message(message);
        }
        // At once: one that has not answered its welcome may not know of it,
        // and is waited for until its lease ends if it goes.
        self.beat();
        Ok(())
    }

    fn message(&mut self, message: ToWorker) {
        match message {
            ToWorker::Assign {
                attempt,
                task,
                share,
                bare_inputs,
            } => match task.open() {
                Ok(task) => self.assigned(attempt, Assigned { task, bare_inputs }, share),
                Err(error) => self.incompatible(error.into()),
            },
            ToWorker::Drop { .. } if planted!(DropIgnored) => {}
            ToWorker::Drop {
                attempt,
                reason,
                now,
            } => {
                self.held.hurry(attempt, now);
                let held = self.forget(attempt);
                tracing::info!(task = %attempt.task.short(), attempt = attempt.number, held, reason, "dropped");
            }
            ToWorker::Ack { attempt, accepted } => {
                self.forget(attempt);
                if !accepted {
                    tracing::info!(task = %attempt.task.short(), attempt = attempt.number, "report refused as out of date");
                }
            }
            ToWorker::TakeBack { most } => {
                let back = self.held.give_back(most as usize);
                tracing::info!(most, back, "another worker is free; handing back");
            }
            ToWorker::Follow { attempt, on } => {
                if let Some((_, context)) = &self.opened {
                    context.followed.set(attempt, on && self.held.has(attempt));
                }
            }
            ToWorker::Welcome { .. } => tracing::warn!("a second welcome; ignored"),
        }
    }

    fn forget(&mut self, attempt: AttemptId) -> bool {
        self.idle_since = Instant::now();
        self.held.forget(attempt)
    }

    fn assigned(&mut self, attempt: AttemptId, assigned: Assigned, share: u32) {
        let Some(dropped) = self.held.begin(attempt) else {
            return;
        };
        let Some((_, context)) = &self.opened else {
            return;
        };
        if self.deadline.is_some() {
            self.held.report(attempt, Report::preempted());
            return;
        }
        tracing::debug!(task = %attempt.task.short(), attempt = attempt.number, label = assigned.task.label, "assigned");
        let stops = Stops {
            dropped: dropped.token,
            at_once: dropped.at_once,
            draining: self.draining.clone(),
            returned: dropped.returned,
            begun: dropped.begun,
        };
        let turn = Turn {
            order: dropped.order,
            share,
        };
        let work = Box::pin(drive(context.clone(), attempt, assigned, turn, stops));
        let id = self.attempts.spawn(work).id();
        self.names.insert(id, attempt);
    }

    fn ended(&mut self, ended: Result<(Id, Option<Report>), JoinError>) {
        let (id, report) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let failure = Failure::bug(format!("the agent failed at this task: {error}"));
                (error.id(), Some(Report::Fail(failure)))
            }
        };
        let attempt = self.names.remove(&id);
        if let (Some(attempt), Some(report)) = (attempt, report) {
            if let Report::Fail(failure) = &report {
                tracing::info!(task = %attempt.task.short(), attempt = attempt.number, %failure, "failed");
            }
            self.held.report(attempt, report);
        }
    }

    fn lost(&mut self, error: LinkError) -> Result<(), AgentError> {
        match error {
            LinkError::Lost(why) | LinkError::Untrusted(why) => {
                tracing::warn!(
                    why,
                    holding = self.held.len(),
                    "session lost; connecting again"
                );
                self.reconnect();
            }
            LinkError::Refused(reason) => return Err(AgentError::Refused { reason }),
            LinkError::Incompatible(what) => self.incompatible(what),
        }
        Ok(())
    }

    /// Others understand it: everything goes back to them.
    fn incompatible(&mut self, what: InvalidMessage) {
        self.fatal = Some(AgentError::Incompatible(what));
        self.drain();
    }

    fn reconnect(&mut self) {
        self.connector.closed();
        let hello = Hello {
            holding: self.held.ids(),
            ..self.terms.hello.clone()
        };
        let connecting = self.connector.clone().connect(hello, None);
        self.line = Line::Down(Box::pin(connecting));
    }

    fn beat(&mut self) {
        let Line::Up(link) = &self.line else {
            return;
        };
        if self.connector.lapsed() {
            tracing::warn!("no heartbeat for as long as the lease; asking what is still wanted");
            self.reconnect();
            return;
        }
        self.beat_at = Instant::now() + link.welcome.heartbeat;
        self.try_send(FromWorker::Heartbeat {
            holding: self.held.ids(),
            draining: self.deadline.is_some(),
        });
    }

    /// Passes on what may be lost, if that leaves room for what may not.
    fn say(&self, message: FromWorker) {
        if let Line::Up(link) = &self.line
            && link.tx.capacity() > link.tx.max_capacity() / 2
        {
            self.try_send(message);
        }
    }

    /// What finds no room is lost: the next one says more.
    fn try_send(&self, message: FromWorker) {
        if let Line::Up(link) = &self.line
            && link.tx.try_send(message).is_err()
        {
            tracing::debug!("the connection is slow; a message was left out");
        }
    }

    fn send_reports(&mut self) {
        let Line::Up(link) = &self.line else {
            self.gather.stop();
            return;
        };
        let slots = self.deadline.is_none().then_some(self.terms.hello.slots);
        if self.gather.keep(&self.held, slots) {
            return;
        }
        while let Ok(place) = link.tx.try_reserve() {
            match self.held.next_report() {
                Some(report) => place.send(report),
                None => return,
            }
        }
    }

    /// Takes no more tasks and hands back what is held.
    fn drain(&mut self) {
        if self.deadline.is_none() {
            self.deadline = Some(Instant::now() + self.terms.grace);
            self.draining.cancel();
            self.beat();
        }
    }

    /// Hands back what was assigned while the worker took its leave.
    async fn farewell(&mut self) {
        let until = Instant::now() + FAREWELL;
        loop {
            self.send_reports();
            if !self.is_up() {
                return;
            }
            tokio::select! {
                step = advance(&mut self.line) => match step {
                    Step::Message(message) => self.message(message),
                    Step::Connected(_) | Step::Failed(_) | Step::Lost(_) => return,
                },
                () = sleep_until(until) => break,
            }
        }
        let nowhere: Connecting = Box::pin(std::future::pending());
        if let Line::Up(link) = std::mem::replace(&mut self.line, Line::Down(nowhere)) {
            link.finish().await;
        }
    }
}
