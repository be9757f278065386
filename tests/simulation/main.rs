//! Simulated clusters: what happens follows from a seed, so that whatever goes
//! wrong can be looked at again.
//!
//! | variable | what |
//! |---|---|
//! | `ABLATE_SIM_SEEDS` | how many seeds `seeds` runs (200) |
//! | `ABLATE_SIM_FIRST` | the first of them (0) |
//! | `ABLATE_SIM_SEED` | the seed of `one_seed` |
//! | `ABLATE_SIM_BUG` | the bug that is planted in it |
//! | `ABLATE_SIM_TABLE` | a file for the table of planted bugs |

mod chance;
mod cluster;
mod history;
mod scenario;
mod user;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ablate_coordinator::planted as in_coordinator;
use ablate_worker::planted as in_worker;

use cluster::Summary;
use scenario::Scenario;

/// Seeds that a planted bug may hide from.
const BUG_SEEDS: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bug {
    Coordinator(in_coordinator::Bug),
    Worker(in_worker::Bug),
}

impl Bug {
    fn all() -> Vec<Self> {
        let coordinator = in_coordinator::ALL.map(Self::Coordinator);
        let worker = in_worker::ALL.map(Self::Worker);
        coordinator.into_iter().chain(worker).collect()
    }

    fn name(self) -> String {
        match self {
            Self::Coordinator(bug) => format!("{bug:?}"),
            Self::Worker(bug) => format!("{bug:?}"),
        }
    }

    fn plant(bug: Option<Self>) {
        in_coordinator::plant(match bug {
            Some(Self::Coordinator(bug)) => Some(bug),
            _ => None,
        });
        in_worker::plant(match bug {
            Some(Self::Worker(bug)) => Some(bug),
            _ => None,
        });
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// On a thread of its own, on which nothing was drawn yet.
fn simulate(seed: u64, bug: Option<Bug>) -> Result<Summary, String> {
    let run = move || {
        chance::seed(seed);
        Bug::plant(bug);
        let scenario = Scenario::of(seed);
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| cluster::run(&scenario)));
        ended.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("a panic: {}", text.unwrap_or("without words")))
        })
    };
    let thread = thread::Builder::new().stack_size(16 << 20).spawn(run);
    thread.unwrap().join().unwrap()
}

fn replay(seed: u64, bug: Option<Bug>) -> String {
    let bug = bug.map(|bug| format!("ABLATE_SIM_BUG={} ", bug.name()));
    format!(
        "ABLATE_SIM_SEED={seed} {}cargo test --manifest-path tests/simulation/Cargo.toml \
         --target-dir target one_seed -- --nocapture",
        bug.unwrap_or_default()
    )
}

/// Calls `work` with every item, on all cores.
fn on_all_cores<T: Send>(items: impl Iterator<Item = T> + Send, work: impl Fn(T) + Sync) {
    let items = Mutex::new(items);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let item = items.lock().unwrap().next();
                    match item {
                        Some(item) => work(item),
                        None => return,
                    }
                }
            });
        }
    });
}

#[test]
fn seeds() {
    let first = number("ABLATE_SIM_FIRST", 0);
    let count = number("ABLATE_SIM_SEEDS", 200);
    let broken = Mutex::new(BTreeMap::new());
    let [committed, failed, seconds] = [const { AtomicU64::new(0) }; 3];
    on_all_cores(first..first + count, |seed| match simulate(seed, None) {
        Ok(summary) => {
            committed.fetch_add(summary.committed as u64, Ordering::Relaxed);
            failed.fetch_add(summary.failed as u64, Ordering::Relaxed);
            seconds.fetch_add(summary.simulated.as_secs(), Ordering::Relaxed);
        }
        Err(why) => {
            eprintln!("seed {seed}: {why}\n    {}", replay(seed, None));
            broken.lock().unwrap().insert(seed, why);
        }
    });
    let broken = broken.into_inner().unwrap();
    eprintln!(
        "{count} seeds from {first}: {} violations; {committed:?} results, {failed:?} attempts \
         that failed, {seconds:?} s of simulated time",
        broken.len()
    );
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn one_seed() {
    let seed = number("ABLATE_SIM_SEED", 2);
    let bug = std::env::var("ABLATE_SIM_BUG").ok().map(|name| {
        let mut all = Bug::all().into_iter();
        all.find(|bug| bug.name() == name)
            .expect("a bug of this name")
    });
    eprintln!("{:#?}", Scenario::of(seed));
    let ended = simulate(seed, bug);
    eprintln!("{ended:#?}");
    ended.unwrap();
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [0, 1, 2, 3] {
        let first = simulate(seed, None).unwrap();
        assert_eq!(simulate(seed, None).unwrap(), first, "seed {seed}");
    }
}

/// The tests are tested: every bug must be seen.
#[test]
fn planted_bugs_are_caught() {
    let first = number("ABLATE_SIM_FIRST", 0);
    let rows = Mutex::new(BTreeMap::new());
    on_all_cores(Bug::all().into_iter().enumerate(), |(place, bug)| {
        let caught = (first..first + BUG_SEEDS)
            .find_map(|seed| Some((seed, simulate(seed, Some(bug)).err()?)));
        if let Some((seed, why)) = &caught {
            eprintln!("{}: {why}\n    {}", bug.name(), replay(*seed, Some(bug)));
        }
        rows.lock().unwrap().insert(place, (bug, caught));
    });
    let rows = rows.into_inner().unwrap();
    let mut table = "| planted bug | seeds until it was seen | as |\n|---|---|---|\n".to_owned();
    for (bug, caught) in rows.values() {
        let (seeds, why) = match caught {
            Some((seed, why)) => ((seed - first + 1).to_string(), why.clone()),
            None => ("not seen".to_owned(), String::new()),
        };
        table += &format!("| {} | {seeds} | {why} |\n", bug.name());
    }
    eprintln!("{table}");
    if let Ok(file) = std::env::var("ABLATE_SIM_TABLE") {
        std::fs::write(file, &table).unwrap();
    }
    let missed = rows.values().filter(|(_, caught)| caught.is_none());
    let missed: Vec<_> = missed.map(|(bug, _)| bug.name()).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
