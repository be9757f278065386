//! A runner for simulated clusters: a task of this process, in simulated time.
//! It speaks the protocol of the real one, and knows no-ops only.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::AttemptId;
use ablate_proto::stage::StageSpec;
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf,
};
use tokio::io::{WriteHalf, duplex, split};

use crate::runner::protocol::{FromRunner, Job, ToRunner};

/// As a runner's program: this runner, of the worker that is named next.
pub const PROGRAM: &str = "simulated:";

const SLICE: Duration = Duration::from_millis(50);

thread_local! {
    static BEGUN: RefCell<Vec<(String, AttemptId)>> = const { RefCell::new(Vec::new()) };
    static RUNNING: RefCell<BTreeSet<(String, AttemptId)>> = const { RefCell::new(BTreeSet::new()) };
    static CRASHES: Cell<u64> = const { Cell::new(0) };
}

/// What simulated runners of this thread did.
#[derive(Debug, Default)]
pub struct Seen {
    /// Each attempt that began, and on which worker.
    pub begun: Vec<(String, AttemptId)>,
    pub running: BTreeSet<(String, AttemptId)>,
}

/// What was seen on this thread so far.
#[must_use]
pub fn seen() -> Seen {
    Seen {
        begun: BEGUN.with_borrow(Clone::clone),
        running: RUNNING.with_borrow(Clone::clone),
    }
}

/// Runners crash in the first attempt at every so many tasks; 0: they do not.
pub fn crash_every(tasks: u64) {
    CRASHES.set(tasks);
}

/// Its input and output, and what it runs as.
pub(super) fn start(worker: String) -> (DuplexStream, tokio::task::JoinHandle<()>) {
    let (ours, theirs) = duplex(64 << 10);
    (ours, tokio::spawn(serve(theirs, worker)))
}

type Heard = Lines<BufReader<ReadHalf<DuplexStream>>>;

async fn serve(pipe: DuplexStream, worker: String) {
    let (read, mut out) = split(pipe);
    let mut heard = BufReader::new(read).lines();
    let device = "simulated".to_owned();
    say(&mut out, &FromRunner::Ready { device, threads: 1 }).await;
    while let Some(message) = hear(&mut heard).await {
        if let ToRunner::Run(job) = message
            && !run(&job, &worker, &mut heard, &mut out).await
        {
            return;
        }
    }
}

/// Whether it goes on after this job.
async fn run(
    job: &Job,
    worker: &str,
    heard: &mut Heard,
    out: &mut WriteHalf<DuplexStream>,
) -> bool {
    let attempt = job.attempt;
    let StageSpec::Noop(spec) = &job.task.spec else {
        return false;
    };
    let _running = Running::new(worker, attempt);
    let total = Duration::from_millis(spec.sleep_ms);
    let mut slept = Duration::ZERO;
    let every = CRASHES.get();
    let crashes = every > 0 && attempt.number == 1 && spec.index % every == 0;
    while slept < total {
        let slice = SLICE.min(total - slept);
        tokio::select! {
            message = hear(heard) => match message {
                Some(ToRunner::Stop) => {
                    let failure = Failure::new(FailureClass::Preempted, "asked to stop");
                    say(out, &FromRunner::Failed { attempt, failure }).await;
                    return true;
                }
                Some(ToRunner::Run(_)) => {}
                None => return false,
            },
            () = tokio::time::sleep(slice) => slept += slice,
        }
        if crashes && slept * 2 >= total {
            return false;
        }
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (step, total, rows) = (millis(slept), millis(total), Vec::new());
        say(
            out,
            &FromRunner::Progress {
                attempt,
                step,
                total,
                rows,
            },
        )
        .await;
    }
    if let Some(class) = spec.fail {
        let failure = Failure::new(class, "the noop was told to fail");
        say(out, &FromRunner::Failed { attempt, failure }).await;
        return true;
    }
    if spec.artifact {
        let text = format!("noop {}\n", spec.index);
        if std::fs::write(job.out.join("noop.txt"), text).is_err() {
            return false;
        }
    }
    let row = MetricRow::scalar("index", "", Direction::Neutral, spec.index as f64);
    let done = FromRunner::Done {
        attempt,
        metrics: vec![row],
        seconds: total.as_secs_f64(),
        resumed_from: None,
        used: ablate_proto::capacity::Used::default(),
        emptied: false,
    };
    say(out, &done).await;
    true
}

struct Running(String, AttemptId);

impl Running {
    fn new(worker: &str, attempt: AttemptId) -> Self {
        BEGUN.with_borrow_mut(|begun| begun.push((worker.to_owned(), attempt)));
        RUNNING.with_borrow_mut(|running| running.insert((worker.to_owned(), attempt)));
        Self(worker.to_owned(), attempt)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let key = (std::mem::take(&mut self.0), self.1);
        RUNNING.with_borrow_mut(|running| running.remove(&key));
    }
}

async fn hear(heard: &mut Heard) -> Option<ToRunner> {
    let line = heard.next_line().await.ok()??;
    serde_json::from_str(&line).ok()
}

async fn say(out: &mut WriteHalf<DuplexStream>, message: &FromRunner) {
    let Ok(mut line) = serde_json::to_vec(message) else {
        return;
    };
    line.push(b'\n');
    // Nobody listens any more: it is about to be dropped.
    let _ = out.write_all(&line).await;
}
