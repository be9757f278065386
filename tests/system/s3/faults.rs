//! Sweeps on an S3 server whose answers get lost, or that does not answer.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::moto::{Moto, assert_no_canary, site_at};
use super::proxy::{Asked, Fate, Proxy};
use crate::support::random::count;
use crate::support::{Coordinator, Process, Site, attempts, resident};

/// A sweep that runs through a proxy.
struct Stage {
    proxy: Proxy,
    site: Site,
    coordinator: Coordinator,
    workers: [Process; 2],
    _moto: Moto,
}

impl Stage {
    /// `None` where there is no S3 server.
    fn set(judge: impl Fn(&Asked<'_>) -> Fate + Send + Sync + 'static) -> Option<Self> {
        let moto = Moto::start()?;
        let proxy = Proxy::start(&moto.address);
        proxy.judge(judge);
        let site = site_at(&proxy.address);
        let coordinator = site.coordinator("127.0.0.1:0");
        let workers = ["a", "b"].map(|name| site.worker(&coordinator.address, name));
        Some(Self {
            proxy,
            site,
            coordinator,
            workers,
            _moto: moto,
        })
    }

    fn resident(&self) -> Vec<usize> {
        let workers = self.workers.iter();
        let all = workers.chain([&self.coordinator.process]);
        all.map(|process| resident(process.id())).collect()
    }

    /// So many small data sets, which are artefacts with manifests, and as
    /// many short sleeps.
    fn submit(&self, pairs: u64) {
        let seeds: Vec<String> = (0..pairs).map(|seed| seed.to_string()).collect();
        let text = format!(
            "name = \"nap\"\n[stages.data]\nkind = \"dataset\"\n[stages.nap]\n\
             kind = \"noop\"\nsleep_ms = 200\n\
             [axes]\n\"data.split_seed\" = [{0}]\n\"nap.index\" = [{0}]\n",
            seeds.join(", ")
        );
        let file = self.site.write("nap.toml", text);
        let (file, join) = (file.to_str().unwrap(), &self.coordinator.address);
        self.site.json(&["submit", file, "--join", join, "--json"]);
    }

    fn wait(&self, condition: impl Fn(&Value) -> bool) -> Value {
        let join = &self.coordinator.address;
        self.site.wait_for(join, "nap", condition)
    }

    /// All is done, at the first attempt.
    fn ends_well(&self, pairs: usize) {
        let status = self.wait(|s| s["state"] != "running");
        assert_eq!(status["state"], "done", "{status:#}");
        assert_eq!(attempts(&status), vec![1; 2 * pairs], "{status:#}");
        assert_no_canary(&self.site);
    }
}

/// Creations that succeed and whose answer gets lost: the client meets its
/// own bytes when it tries again. The database's files, the manifests of
/// tasks and the objects of the probe are all created so.
#[test]
#[ignore = "needs an S3 server; see s3.rs"]
fn s3_creations_whose_answers_are_lost_are_recognised() {
    let judge = |asked: &Asked<'_>| {
        if !asked.conditional || asked.again > 0 {
            return Fate::Pass;
        }
        [Fate::CommitAndRefuse, Fate::CommitAndCut][usize::from(asked.number % 2 == 1)]
    };
    let Some(stage) = Stage::set(judge) else {
        return;
    };
    stage.submit(6);
    stage.ends_well(6);
    // Of every kind that there is.
    assert_eq!(stage.proxy.spoilt("/manifest.json"), 6);
    assert!(stage.proxy.spoilt("/state/wal/") > 4);
    assert!(stage.proxy.spoilt("/state/manifest/") > 0);
    assert_eq!(stage.proxy.spoilt("/probe/"), 20);
}

#[test]
#[ignore = "needs an S3 server; see s3.rs"]
fn s3_creations_that_hang_are_recognised() {
    let judge = |asked: &Asked<'_>| {
        let first = asked.conditional && asked.again == 0 && !asked.target.contains("/probe/");
        // All of the database's would take minutes.
        let hangs =
            first && (asked.number.is_multiple_of(3) || asked.target.contains("/manifest.json"));
        if hangs {
            Fate::CommitAndHang
        } else {
            Fate::Pass
        }
    };
    let Some(stage) = Stage::set(judge) else {
        return;
    };
    stage.submit(2);
    stage.ends_well(2);
    assert_eq!(stage.proxy.spoilt("/manifest.json"), 2);
    assert!(stage.proxy.spoilt("/state/wal/") > 0);
}

#[test]
#[ignore = "needs an S3 server; see s3.rs"]
fn s3_a_server_that_is_down_for_a_while_costs_no_task() {
    let Some(stage) = Stage::set(|_| Fate::Pass) else {
        return;
    };
    stage.submit(8);
    stage.wait(|s| s["done"].as_u64() >= Some(2));
    stage.proxy.judge(|_| Fate::Refuse);
    std::thread::sleep(Duration::from_secs(20));
    stage.proxy.judge(|_| Fate::Pass);
    stage.ends_well(8);
    assert!(stage.proxy.spoilt("/tasks/") > 0);
    assert!(stage.proxy.spoilt("/state/") > 0);
}

#[test]
#[ignore = "needs an S3 server; see s3.rs"]
fn s3_a_coordinator_goes_when_asked_although_its_store_is_gone() {
    let Some(mut stage) = Stage::set(|_| Fate::Pass) else {
        return;
    };
    stage.submit(8);
    let before = stage.wait(|s| s["done"].as_u64() >= Some(2));
    stage.proxy.judge(|_| Fate::Refuse);
    // Something is to be written by then.
    std::thread::sleep(Duration::from_secs(1));
    let coordinator = stage.coordinator.process;
    coordinator.signal("TERM");
    let (code, said) = coordinator.wait();
    assert_eq!(code, Some(143), "{said}");
    stage.proxy.judge(|_| Fate::Pass);
    stage.coordinator = stage.site.coordinator(&stage.coordinator.address);
    let after = stage.wait(|_| true);
    assert!(after["done"].as_u64() >= before["done"].as_u64());
    stage.ends_well(8);
}

/// Far longer than any task takes. `ABLATE_AWAY_SECONDS` says how long.
#[test]
#[ignore = "ten minutes, and needs an S3 server; see s3.rs"]
fn ten_minutes_of_503_lose_nothing() {
    let away = Duration::from_secs(count("ABLATE_AWAY_SECONDS", 600));
    let Some(stage) = Stage::set(|_| Fate::Pass) else {
        return;
    };
    stage.submit(8);
    let before = stage.wait(|s| s["done"].as_u64() >= Some(4));
    stage.proxy.judge(|_| Fate::Refuse);
    let mut most = stage.resident();
    eprintln!("KiB of coordinator and workers before: {most:?}");
    let begun = Instant::now();
    while begun.elapsed() < away {
        std::thread::sleep(Duration::from_secs(5));
        for (most, now) in most.iter_mut().zip(stage.resident()) {
            *most = now.max(*most);
        }
    }
    let join = &stage.coordinator.address;
    let asked = Instant::now();
    let status = stage.site.run(&["status", "--join", join]);
    let said = String::from_utf8_lossy(&status.stderr).into_owned();
    eprintln!(
        "at most: {most:?}; status after {:?}: {said}",
        asked.elapsed()
    );
    stage.proxy.judge(|_| Fate::Pass);
    let back = Instant::now();
    let status = stage.wait(|s| s["state"] != "running");
    eprintln!(
        "done {:?} after the store was back; attempts {:?}",
        back.elapsed(),
        attempts(&status)
    );
    assert_eq!(status["state"], "done", "{status:#}");
    assert!(status["done"].as_u64() >= before["done"].as_u64());
    assert!(most.iter().all(|kib| *kib < 300 << 10), "{most:?}");
}

/// Far more than the one in a hundred of a bad day, so that each kind of
/// request meets it.
#[test]
#[ignore = "needs an S3 server; see s3.rs"]
fn s3_errors_now_and_then_cost_no_task() {
    let fates = [
        Fate::Refuse,
        Fate::CommitAndCut,
        Fate::Cut,
        Fate::CommitAndRefuse,
    ];
    let judge = move |asked: &Asked<'_>| match asked.number % 11 {
        10 => fates[usize::try_from(asked.number / 11 % 4).unwrap()],
        _ => Fate::Pass,
    };
    let Some(stage) = Stage::set(judge) else {
        return;
    };
    stage.submit(8);
    stage.ends_well(8);
    assert!(stage.proxy.spoilt("/tasks/") > 0);
    assert!(stage.proxy.spoilt("/state/") > 0);
}

/// A proxy that makes every creation unconditional, as some servers do: it
/// is refused before anything is written.
#[test]
#[ignore = "needs an S3 server; see s3.rs"]
fn s3_a_server_that_ignores_conditions_is_refused() {
    let Some(moto) = Moto::start() else { return };
    let proxy = Proxy::start(&moto.address);
    proxy.ignore_conditions();
    let site = site_at(&proxy.address);
    let output = site.run(&["coordinator", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(4));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("more than one winner"), "{stderr}");
    let left = moto.ask("GET /bucket?list-type=2");
    assert!(!left.contains("<Key>"), "{left}");
}
