//! `command`: runs a user's own program in a folder of its own.
//!
//! The program is told everything by its environment (see `environment`),
//! writes metrics as lines of JSON (see `metrics`), and may keep what it
//! wants to go on from in a folder (see `checkpoint`). Its exit code says how
//! it ended (see `ending`). Nothing that it does is trusted: what it leaves
//! is looked at without following links, and everything is bounded.

mod checkpoint;
mod ending;
mod environment;
mod metrics;
mod output;
mod process;

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::stage::CommandSpec;
use nix::libc::SIGKILL;

use self::checkpoint::Keeper;
use self::ending::Ending;
use self::metrics::Metrics;
use self::process::{Program, Waited};
use super::spec;
use crate::agent::oom::OomKills;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;
use crate::runner::protocol::FromRunner;
use crate::runner::usage;
use crate::scratch;

/// Metrics are looked for so often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often its memory is looked at.
const MEASURE_EVERY: Duration = Duration::from_millis(500);
/// Points that go to the coordinator at a time; the newest.
const LIVE: usize = 256;

/// The folders and files of one attempt, beside its `out`.
struct Places {
    out: PathBuf,
    work: PathBuf,
    checkpoint: PathBuf,
    temporary: PathBuf,
    parameters: PathBuf,
    metrics: PathBuf,
}

impl Places {
    fn new(out: &Path) -> Result<Self, Failure> {
        let place = |name| out.with_file_name(name);
        let places = Self {
            out: out.to_owned(),
            work: place("work"),
            checkpoint: place("checkpoint"),
            temporary: place("tmp"),
            parameters: place(scratch::PARAMETERS),
            metrics: place(scratch::METRICS),
        };
        for folder in [&places.work, &places.checkpoint, &places.temporary] {
            match fs::create_dir(folder) {
                // What else has the name shows when it is used.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made.or_transient("making the folders of a program")?,
            }
        }
        Ok(places)
    }

    /// Where nothing is to be kept: empties them, and says whether all are as
    /// they were made.
    fn tidy(&self) -> bool {
        let root = self.out.parent();
        root.is_some_and(|root| scratch::tidy(root).unwrap_or(false))
    }
}

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Command);
    let places = Places::new(context.out())?;
    let parameters = serde_json::to_vec_pretty(&spec.params).or_bug("writing parameters")?;
    write_over(&places.parameters, &parameters).or_transient("writing params.json")?;
    let mut metrics = Metrics::open(&places.metrics)?;
    let mut keeper = Keeper::new(places.checkpoint.clone());
    keeper.resume(context, &mut metrics);
    let mut command = environment::command(&spec, context, &places)?;
    let program = Program::start(&mut command, &spec)?;
    context.tell(FromRunner::Program {
        group: Some(program.group()),
    });
    let ended = follow(context, &spec, program, &mut metrics, &mut keeper);
    context.tell(FromRunner::Program { group: None });
    let ending = ended?;
    metrics.finish()?;
    send_live(context, &mut metrics);
    let verdict = ending.verdict(|| keeper.changed());
    if let Err(failure) = verdict {
        // The next attempt goes on from it.
        keeper.save(context, &mut metrics);
        return Err(failure);
    }
    metrics.say_what_was_bad();
    let files = output::check(&places.out)?;
    let curves = metrics.write_curves(&places.out)?;
    if !files && !curves && keeper.is_unused() && places.tidy() {
        context.emptied();
    }
    Ok(metrics.finals())
}

/// Writes the whole content of a file that may be there already.
fn write_over(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = scratch::file(path)?;
    file.write_all_at(content, 0)?;
    // Not emptied before: some file systems write out at once what follows.
    let length = content.len() as u64;
    if file.metadata()?.len() > length {
        file.set_len(length)?;
    }
    Ok(())
}

/// Stays with the program until it and everything it started has ended.
fn follow(
    context: &mut Context,
    spec: &CommandSpec,
    mut program: Program,
    metrics: &mut Metrics,
    keeper: &mut Keeper,
) -> Result<Ending, Failure> {
    let grace = Duration::from_secs_f64(spec.grace_seconds);
    let silence = Duration::from_secs_f64(spec.silence_seconds);
    let kills = OomKills::lately();
    let mut ended_as = None;
    let mut kill_at: Option<Instant> = None;
    let (mut looked, mut heard) = (Instant::now(), Instant::now());
    let mut measured = Instant::now();
    loop {
        match program.wait()? {
            Waited::Ended(status) => {
                return Ok(Ending {
                    status,
                    ended_as,
                    starved: status.signal() == Some(SIGKILL) && kills.grew(OomKills::so_far()),
                    words: program.last_words(),
                });
            }
            Waited::Said => heard = Instant::now(),
            Waited::Nothing => {}
        }
        let now = Instant::now();
        if now.duration_since(looked) >= LOOK_EVERY {
            looked = now;
            if measured.elapsed() >= MEASURE_EVERY {
                measured = now;
                usage::look_at(program.group());
            }
            if metrics.look()? {
                heard = now;
            }
            send_live(context, metrics);
            if context.checkpoint_due() {
                keeper.save(context, metrics);
            }
        }
        if ended_as.is_none() {
            if context.should_stop() {
                ended_as = Some(FailureClass::Preempted);
            } else if !silence.is_zero() && heard.elapsed() > silence {
                ended_as = Some(FailureClass::Hung);
            }
            if ended_as.is_some() {
                program.terminate();
                kill_at = Some(now + grace);
            }
        }
        if kill_at.is_some_and(|at| at <= now) {
            program.kill();
        }
    }
}

fn send_live(context: &mut Context, metrics: &mut Metrics) {
    if let Some((step, total, rows)) = metrics.news(LIVE) {
        let attempt = context.job().attempt;
        context.tell(FromRunner::Progress {
            attempt,
            step,
            total,
            rows,
        });
    }
}
