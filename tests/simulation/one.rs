//! One simulation, in a process of its own: some of what libraries draw is
//! drawn once a process, or counted there (tokio's seeds), and would differ
//! with what ran before.

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::bugs::Bug;
use crate::cluster::{self, Summary};
use crate::scenario::Scenario;
use crate::{chance, clock};

/// A simulation that does not end by then has gone round in circles.
const PATIENCE: Duration = Duration::from_secs(600);

/// How it ended, and all that happened, as text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) ended: Result<Summary, String>,
    pub(crate) history: String,
}

/// In this process. It must be the first one in it.
pub(crate) fn here(seed: u64, bug: Option<Bug>) -> Outcome {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().to_owned();
    let run = move || {
        chance::seed(seed);
        clock::set(Duration::ZERO);
        Bug::plant(bug);
        let scenario = Scenario::of(seed);
        let mut history = format!("{scenario:#?}\n");
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
            cluster::run(&scenario, &folder, &mut history)
        }));
        let ended = ended.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("a panic: {}", text.unwrap_or("without words")))
        });
        let history = history.replace(&*folder.to_string_lossy(), "SCRATCH");
        Outcome { ended, history }
    };
    let thread = thread::Builder::new().stack_size(16 << 20).spawn(run);
    thread.unwrap().join().unwrap()
}

/// In another.
pub(crate) fn apart(seed: u64, bug: Option<Bug>) -> Outcome {
    let file = tempfile::NamedTempFile::new().unwrap();
    let errors = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["one_seed", "--exact", "--nocapture"])
        .env("ABLATE_SIM_SEED", seed.to_string())
        .env("ABLATE_SIM_OUTCOME", file.path())
        .env_remove("ABLATE_SIM_BUG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.reopen().unwrap());
    if let Some(bug) = bug {
        command.env("ABLATE_SIM_BUG", bug.name());
    }
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return Outcome {
                ended: Err(format!("no end after {PATIENCE:?}")),
                history: String::new(),
            };
        }
        thread::sleep(Duration::from_millis(5));
    }
    let text = fs::read_to_string(file.path()).unwrap();
    read(&text).unwrap_or_else(|| Outcome {
        ended: Err(format!(
            "the process broke off: {}",
            fs::read_to_string(errors.path()).unwrap()
        )),
        history: text,
    })
}

pub(crate) fn write(outcome: &Outcome, to: &Path) {
    let first = match &outcome.ended {
        Ok(Summary {
            simulated,
            committed,
            failed,
        }) => format!("ok {} {committed} {failed}", simulated.as_millis()),
        Err(why) => format!("no {}", why.replace('\n', " ")),
    };
    fs::write(to, format!("{first}\n{}", outcome.history)).unwrap();
}

fn read(text: &str) -> Option<Outcome> {
    let (first, history) = text.split_once('\n')?;
    let ended = match first.split_once(' ')? {
        ("ok", numbers) => {
            let mut numbers = numbers.split(' ').map_while(|n| n.parse::<usize>().ok());
            Ok(Summary {
                simulated: Duration::from_millis(numbers.next()? as u64),
                committed: numbers.next()?,
                failed: numbers.next()?,
            })
        }
        ("no", why) => Err(why.to_owned()),
        _ => return None,
    };
    let history = history.to_owned();
    Some(Outcome { ended, history })
}
