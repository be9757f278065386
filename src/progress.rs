//! Progress of a sweep: bars with an ETA on a terminal, a line for each
//! finished task elsewhere. All on standard error.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::time::Duration;

use ablate_proto::id::TaskKey;
use ablate_proto::status::{SweepStatus, TaskState, TaskStatus};
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};

use crate::lines::printable;

/// Running tasks shown with a bar of their own.
const BARS: usize = 8;

pub(crate) struct Progress {
    bars: Option<Bars>,
    ended: BTreeSet<TaskKey>,
    first: bool,
}

struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    tasks: BTreeMap<TaskKey, ProgressBar>,
}

impl Progress {
    /// Bars, or lines, or neither.
    pub(crate) fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && !quiet;
        Self {
            bars: terminal.then(Bars::new),
            ended: BTreeSet::new(),
            first: true,
        }
    }

    pub(crate) fn show(&mut self, status: &SweepStatus) {
        for row in &status.rows {
            let ended = matches!(row.state, TaskState::Done | TaskState::Failed);
            if ended && self.ended.insert(row.key) && !self.first {
                self.announce(row, status);
            }
        }
        self.first = false;
        if let Some(bars) = &mut self.bars {
            bars.show(status);
        }
    }

    fn announce(&self, row: &TaskStatus, status: &SweepStatus) {
        let label = printable(&row.label);
        let text = match (&row.failure, row.state) {
            (Some(failure), TaskState::Failed) => {
                format!("failed  {label}: {}", printable(&failure.to_string()))
            }
            _ => format!("done    {label} ({:.1} s)", row.seconds),
        };
        let place = format!("[{}/{}]", status.done + status.failed, status.tasks);
        match &self.bars {
            // Successes are on the bar.
            Some(bars) if row.state == TaskState::Failed => {
                let _ = bars.all.println(format!("{place} {text}"));
            }
            Some(_) => {}
            None => eprintln!("{place} {text}"),
        }
    }

    pub(crate) fn finish(self) {
        if let Some(bars) = self.bars {
            let _ = bars.all.clear();
        }
    }
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(0));
        total.set_style(style(
            "{bar:32.cyan/dim} {pos}/{len} tasks  {elapsed_precise}  {msg}",
        ));
        total.enable_steady_tick(Duration::from_millis(500));
        Self {
            all,
            total,
            tasks: BTreeMap::new(),
        }
    }

    fn show(&mut self, status: &SweepStatus) {
        self.total.set_length(status.tasks);
        self.total
            .set_position(status.done + status.failed + status.cancelled);
        self.total.set_message(eta(status));
        let running: Vec<&TaskStatus> = status
            .rows
            .iter()
            .filter(|row| row.state == TaskState::Running)
            .take(BARS)
            .collect();
        self.tasks.retain(|key, bar| {
            let keep = running.iter().any(|row| row.key == *key);
            if !keep {
                bar.finish_and_clear();
            }
            keep
        });
        for row in running {
            let bar = self.tasks.entry(row.key).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::new(1));
                bar.set_style(style("  {bar:30.green/dim} {percent:>3} %  {msg}"));
                bar.set_message(printable(&row.label));
                bar
            });
            bar.set_length(row.total.max(1));
            bar.set_position(row.step);
        }
    }
}

fn eta(status: &SweepStatus) -> String {
    let human = |seconds| HumanDuration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    match (status.eta_seconds, status.eta_range) {
        (Some(seconds), Some((low, high))) if high > 1.2 * low + 1.0 => format!(
            "about {} left ({} to {})",
            human(seconds),
            human(low),
            human(high)
        ),
        (Some(seconds), _) => format!("about {} left", human(seconds)),
        (None, _) => "time left not known yet".to_owned(),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
