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
//! | `ABLATE_SIM_TWICE` | how many seeds are run twice and compared (15) |
//! | `ABLATE_SIM_TABLE` | a file for what `table_of_planted_bugs` finds |

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

/// A planted bug must be seen by one of so many seeds, from the one that is
/// known to show it.
const BUG_SEEDS: u64 = 40;
/// How many are looked at for the table.
const TABLE_SEEDS: u64 = 100;

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
/// chance was asked; of runs that break a promise, too.
#[test]
fn the_same_seed_is_the_same_run() {
    let sound = (0..number("ABLATE_SIM_TWICE", 15)).map(|seed| (seed, None));
    let broken = ["NoFencing", "EffectsBeforeDurable"].map(|name| {
        let seen = bugs::SEEN.iter().find(|(other, _)| *other == name);
        (seen.unwrap().1, Some(Bug::named(name)))
    });
    side_by_side(sound.chain(broken), |(seed, bug)| {
        let (first, again) = (one::apart(seed, bug), one::apart(seed, bug));
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

/// The first of these seeds that shows the bug, and as what.
fn find(bug: Bug, seeds: std::ops::Range<u64>) -> Option<(u64, String)> {
    let caught = { seeds }.find_map(|seed| Some((seed, one::apart(seed, Some(bug)).ended.err()?)));
    if let Some((seed, why)) = &caught {
        eprintln!("{}: {why}\n    {}", bug.name(), replay(*seed, Some(bug)));
    }
    caught
}

/// The tests are tested: each of these bugs must be seen.
#[test]
fn planted_bugs_are_caught() {
    let missed = Mutex::new(Vec::new());
    side_by_side(bugs::SEEN.into_iter(), |(name, seed)| {
        if find(Bug::named(name), seed..seed + BUG_SEEDS).is_none() {
            missed.lock().unwrap().push(name);
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// How many seeds it takes to see each bug.
#[test]
#[ignore = "makes the table of docs/FAULTS.md, and takes minutes"]
fn table_of_planted_bugs() {
    let rows = Mutex::new(BTreeMap::new());
    side_by_side(Bug::all().into_iter().enumerate(), |(place, bug)| {
        let caught = find(bug, 0..TABLE_SEEDS);
        rows.lock().unwrap().insert(place, (bug, caught));
    });
    let mut table = "| planted bug | first seen by seed | as |\n|---|---|---|\n".to_owned();
    for (bug, caught) in rows.into_inner().unwrap().into_values() {
        table += &match caught {
            Some((seed, why)) => format!("| `{}` | {seed} | {why} |\n", bug.name()),
            None => format!("| `{}` | none of {TABLE_SEEDS} | |\n", bug.name()),
        };
    }
    eprintln!("{table}");
    if let Ok(file) = std::env::var("ABLATE_SIM_TABLE") {
        std::fs::write(file, &table).unwrap();
    }
}
