//! What a running stage sees of the world: its job, its inputs, where its
//! files go, and whom it tells how far it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::stage::StageSpec;

use super::checkpoint::{self, Saved};
use super::failure::OrFail as _;
use super::protocol::{FromRunner, Job};
use super::pulse;
use crate::data::arrays::Array;

/// The file of curves over training, in the artefact.
pub(crate) const METRICS: &str = "metrics.jsonl";

/// Beside `out`: checkpoints are not part of the artefact.
const CHECKPOINTS: &str = "checkpoints";

/// Progress without rows is reported at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Receives what goes to the agent.
pub(crate) type Report = Box<dyn FnMut(FromRunner) + Send>;

pub(crate) struct Context {
    job: Job,
    stop: Arc<AtomicBool>,
    report: Report,
    checkpoint_every: Duration,
    last_checkpoint: Instant,
    last_progress: Option<Instant>,
    /// `metrics.jsonl` so far, with the rows of an earlier attempt.
    metrics: String,
    /// Created with the first row.
    metrics_file: Option<File>,
    resumed_from: Option<u64>,
    /// Signs of life so far.
    beats: u64,
    emptied: bool,
}

impl Context {
    pub(crate) fn new(
        job: Job,
        stop: Arc<AtomicBool>,
        checkpoint_every: Duration,
        report: Report,
    ) -> Self {
        Self {
            job,
            stop,
            report,
            checkpoint_every,
            last_checkpoint: Instant::now(),
            last_progress: None,
            metrics: String::new(),
            metrics_file: None,
            resumed_from: None,
            beats: 0,
            emptied: false,
        }
    }

    pub(crate) fn spec(&self) -> &StageSpec {
        &self.job.task.spec
    }

    pub(crate) fn seed(&self) -> u64 {
        self.job.task.seed
    }

    /// Folder for the artefact's files.
    pub(crate) fn out(&self) -> &Path {
        &self.job.out
    }

    /// Folder of the parent in a role that the stage cannot do without.
    ///
    /// # Errors
    /// When the job has no such input.
    pub(crate) fn input(&self, role: &str) -> Result<&Path, Failure> {
        let missing = || Failure::config(format!("the stage needs an input `{role}`"));
        self.optional_input(role).ok_or_else(missing)
    }

    pub(crate) fn optional_input(&self, role: &str) -> Option<&Path> {
        self.job.inputs.get(role).map(PathBuf::as_path)
    }

    /// Folders of the parents in the roles `ROLE.0`, `ROLE.1`, …, in order.
    pub(crate) fn numbered_inputs(&self, role: &str) -> Vec<&Path> {
        let roles = (0..).map(|number| format!("{role}.{number}"));
        roles.map_while(|role| self.optional_input(&role)).collect()
    }

    pub(crate) fn job(&self) -> &Job {
        &self.job
    }

    /// Tells the agent something of this attempt.
    pub(crate) fn tell(&mut self, message: FromRunner) {
        (self.report)(message);
    }

    /// A stage that keeps its own kind of checkpoints took up an earlier one.
    pub(crate) fn resumed_at(&mut self, step: u64) {
        self.resumed_from = Some(step);
    }

    /// The stage left nothing to keep, and its folders as they were made.
    pub(crate) fn emptied(&mut self) {
        self.emptied = true;
    }

    pub(crate) fn is_emptied(&self) -> bool {
        self.emptied
    }

    /// There was nothing to keep this time.
    pub(crate) fn no_checkpoint(&mut self) {
        self.last_checkpoint = Instant::now();
    }

    /// Hands over a checkpoint that the stage wrote itself.
    pub(crate) fn checkpointed(&mut self, step: u64, path: PathBuf) {
        self.last_checkpoint = Instant::now();
        let attempt = self.job.attempt;
        (self.report)(FromRunner::Checkpoint {
            attempt,
            step,
            path,
        });
    }

    /// The step that this attempt continued from.
    pub(crate) fn resumed_from(&self) -> Option<u64> {
        self.resumed_from
    }

    pub(crate) fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What a stage ends with when it was told to stop.
    pub(crate) fn stopped(step: u64) -> Failure {
        let cause = format!("asked to stop after step {step}");
        Failure::new(FailureClass::Preempted, cause)
    }

    /// Ends a stage that keeps no checkpoints, when it was told to stop.
    ///
    /// # Errors
    /// When it was.
    pub(crate) fn check_stop(&self, step: u64) -> Result<(), Failure> {
        if self.should_stop() {
            Err(Self::stopped(step))
        } else {
            Ok(())
        }
    }

    /// Says that `step` of `total` is done, with the rows measured at it. All
    /// rows go to `metrics.jsonl`; progress without rows is thinned out.
    ///
    /// # Errors
    /// When the rows cannot be written.
    pub(crate) fn progress(
        &mut self,
        step: u64,
        total: u64,
        rows: Vec<MetricRow>,
    ) -> Result<(), Failure> {
        let mut lines = String::new();
        for row in &rows {
            lines += &serde_json::to_string(row).or_bug("writing a metric row")?;
            lines.push('\n');
        }
        self.record(&lines)?;
        let now = Instant::now();
        let recent = |last: Instant| now.duration_since(last) < PROGRESS_EVERY;
        if rows.is_empty() && step < total && self.last_progress.is_some_and(recent) {
            return Ok(());
        }
        self.last_progress = Some(now);
        (self.report)(FromRunner::Progress {
            attempt: self.job.attempt,
            step,
            total,
            rows,
        });
        Ok(())
    }

    /// Does work whose loops [beat](super::pulse::beat), about `expected`
    /// times in the whole stage: that is reported as its steps.
    pub(crate) fn beating<T>(&mut self, expected: u64, work: impl FnOnce(&Self) -> T) -> T {
        let report = std::mem::replace(&mut self.report, Box::new(|_| ()));
        pulse::begin(self.job.attempt, self.beats, expected, report);
        let result = work(self);
        if let Some((report, beats)) = pulse::end() {
            (self.report, self.beats) = (report, beats);
        }
        result
    }

    fn record(&mut self, lines: &str) -> Result<(), Failure> {
        if lines.is_empty() {
            return Ok(());
        }
        let doing = "writing metrics.jsonl";
        let file = match &mut self.metrics_file {
            Some(file) => file,
            None => {
                let file = File::create(self.job.out.join(METRICS)).or_transient(doing)?;
                self.metrics_file.insert(file)
            }
        };
        file.write_all(lines.as_bytes()).or_transient(doing)?;
        self.metrics += lines;
        Ok(())
    }

    /// Restores the checkpoint of an earlier attempt, if there is one that
    /// `restore` can take. Its rows are written to `metrics.jsonl` again. A
    /// `restore` that fails must have changed nothing.
    ///
    /// # Errors
    /// When the rows cannot be written.
    pub(crate) fn resume<T>(
        &mut self,
        restore: impl FnOnce(Saved) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        let Some(path) = &self.job.checkpoint else {
            return Ok(None);
        };
        let restored = checkpoint::read(path, self.job.task.key).and_then(|mut saved| {
            let (step, metrics) = (saved.step, std::mem::take(&mut saved.metrics));
            Ok((step, metrics, restore(saved)?))
        });
        match restored {
            Ok((step, metrics, restored)) => {
                self.record(&metrics)?;
                self.resumed_from = Some(step);
                Ok(Some(restored))
            }
            // The work can be done again; giving up would not help anyone.
            Err(failure) => {
                tracing::warn!(%failure, "the checkpoint cannot be used: starting over");
                // It would be the newest for every attempt to come.
                if failure.class == FailureClass::Data {
                    (self.report)(FromRunner::Unusable {
                        attempt: self.job.attempt,
                        why: failure.cause,
                    });
                }
                Ok(None)
            }
        }
    }

    pub(crate) fn checkpoint_due(&self) -> bool {
        self.last_checkpoint.elapsed() >= self.checkpoint_every
    }

    /// Writes a checkpoint and reports it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn checkpoint(
        &mut self,
        step: u64,
        arrays: &BTreeMap<String, Array>,
    ) -> Result<(), Failure> {
        let folder = self.job.out.with_file_name(CHECKPOINTS);
        let task = self.job.task.key;
        let path = checkpoint::write(&folder, task, step, &self.metrics, arrays)?;
        self.last_checkpoint = Instant::now();
        (self.report)(FromRunner::Checkpoint {
            attempt: self.job.attempt,
            step,
            path,
        });
        Ok(())
    }
}
