//! Simulated clusters: what happens follows from a seed, so that whatever goes
//! wrong can be looked at again.
//!
//! | variable | what |
//! |---|---|
//! | `ABLATE_SIM_SEEDS` | how many seeds `seeds` runs (200) |
//! | `ABLATE_SIM_FIRST` | the first of them (0) |
//! | `ABLATE_SIM_THREADS` | how many at a time (one a core) |
//! | `ABLATE_SIM_SEED` | the seed of `one_seed` |
//! | `ABLATE_SIM_BUG` | the bug that is planted in it |
//! | `ABLATE_SIM_OUTCOME` | a file for all that happened in it |
//! | `ABLATE_SIM_LOG` | what it logs, such as `info` |
//! | `ABLATE_SIM_TABLE` | a file for the table of planted bugs |

mod bugs;
mod chance;
mod clock;
mod cluster;
mod faults;
mod history;
mod one;
mod scenario;
mod store;
mod user;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bugs::Bug;
use scenario::Scenario;

/// Seeds that a planted bug may hide from.
const BUG_SEEDS: u64 = 100;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn replay(seed: u64, bug: Option<Bug>) -> String {
    let bug = bug.map(|bug| format!("ABLATE_SIM_BUG={} ", bug.name()));
    format!(
        "ABLATE_SIM_SEED={seed} {}cargo test --manifest-path tests/simulation/Cargo.toml \
         --target-dir target one_seed -- --exact --nocapture",
        bug.unwrap_or_default()
    )
}

/// Calls `work` with every item, some at a time.
fn side_by_side<T: Send>(items: impl Iterator<Item = T> + Send, work: impl Fn(T) + Sync) {
    let items = Mutex::new(items);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..number("ABLATE_SIM_THREADS", cores as u64) {
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
    side_by_side(first..first + count, |seed| {
        match one::apart(seed, None).ended {
            Ok(summary) => {
                committed.fetch_add(summary.committed as u64, Ordering::Relaxed);
                failed.fetch_add(summary.failed as u64, Ordering::Relaxed);
                seconds.fetch_add(summary.simulated.as_secs(), Ordering::Relaxed);
            }
            Err(why) => {
                eprintln!("seed {seed}: {why}\n    {}", replay(seed, None));
                broken.lock().unwrap().insert(seed, why);
            }
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

/// What all the others run, in a process of its own each.
#[test]
fn one_seed() {
    if let Ok(filter) = std::env::var("ABLATE_SIM_LOG") {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(std::io::stderr)
            .init();
    }
    let seed = number("ABLATE_SIM_SEED", 2);
    let bug = std::env::var("ABLATE_SIM_BUG").ok();
    let outcome = one::here(seed, bug.map(|name| Bug::named(&name)));
    if let Ok(file) = std::env::var("ABLATE_SIM_OUTCOME") {
        one::write(&outcome, Path::new(&file));
    }
    eprintln!("{:#?}\n{:#?}", Scenario::of(seed), outcome.ended);
    outcome.ended.unwrap();
}

/// Every fact, all that ran where, what the user was told, and how often
/// chance was asked.
#[test]
fn the_same_seed_is_the_same_run() {
    side_by_side([0, 1, 2, 3, 4, 7, 8, 13].into_iter(), |seed| {
        let (first, again) = (one::apart(seed, None), one::apart(seed, None));
        if first != again {
            let mut lines = first.history.lines().zip(again.history.lines());
            let other = lines.find(|(first, again)| first != again);
            panic!(
                "seed {seed}: {other:#?}, {:?}, {:?}",
                first.ended, again.ended
            );
        }
    });
}

/// The tests are tested: every bug must be seen.
#[test]
fn planted_bugs_are_caught() {
    let first = number("ABLATE_SIM_FIRST", 0);
    let rows = Mutex::new(BTreeMap::new());
    side_by_side(Bug::all().into_iter().enumerate(), |(place, bug)| {
        let caught = (first..first + BUG_SEEDS)
            .find_map(|seed| Some((seed, one::apart(seed, Some(bug)).ended.err()?)));
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
