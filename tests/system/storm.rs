//! A storm of kills: coordinator, workers and runners, at random moments.
//!
//! `ABLATE_STORM_KILLS=1000` makes it longer; `ABLATE_STORM_SEED`, printed at
//! the start, brings the same choices back (not the same moments).

use std::thread::sleep;
use std::time::Instant;

use serde_json::Value;

use super::kills::values;
use crate::support::random::{Random, count};
use crate::support::{Coordinator, Process, SHORT, Site, makers, quickstart, send_signal};

const WORKERS: usize = 3;
/// Tasks of the sweeps that keep the cluster busy.
const BATCH: u64 = 24;

struct Cluster {
    site: Site,
    coordinator: Option<Coordinator>,
    join: String,
    workers: Vec<Option<Process>>,
    kills: [u64; 3],
}

impl Cluster {
    fn start() -> Self {
        let site = Site::new()
            .short_leases()
            .with("ABLATE__WORKER__CHECKPOINT_SECONDS", "0.2");
        let coordinator = site.coordinator("127.0.0.1:0");
        let join = coordinator.address.clone();
        let workers = (0..WORKERS).map(|_| None).collect();
        let coordinator = Some(coordinator);
        let kills = [0; 3];
        let mut cluster = Self {
            site,
            coordinator,
            join,
            workers,
            kills,
        };
        cluster.mend();
        cluster
    }

    /// Starts what was killed.
    fn mend(&mut self) {
        if self.coordinator.is_none() {
            self.coordinator = Some(self.site.coordinator(&self.join));
        }
        for (index, worker) in self.workers.iter_mut().enumerate() {
            if worker.as_mut().is_none_or(Process::ended) {
                *worker = Some(self.site.worker(&self.join, &format!("w{index}")));
            }
        }
    }

    fn kill_one(&mut self, random: &mut Random) {
        match random.below(4) {
            0 => {
                if let Some(coordinator) = self.coordinator.take() {
                    coordinator.process.kill();
                    self.kills[0] += 1;
                }
            }
            1 | 2 => {
                let index = random.place(WORKERS);
                if let Some(worker) = self.workers[index].take() {
                    worker.kill();
                    self.kills[1] += 1;
                }
            }
            _ => {
                let index = random.place(WORKERS);
                let runners = self.workers[index].as_ref().map(Process::children);
                for runner in runners.unwrap_or_default() {
                    self.kills[2] += u64::from(send_signal(runner, "KILL"));
                }
            }
        }
    }

    fn killed(&self) -> u64 {
        self.kills.iter().sum()
    }

    fn done(&self, sweep: &str) -> bool {
        self.site.wait_for(&self.join, sweep, |_| true)["state"] == "done"
    }
}

fn submit_training(site: &Site, join: &str) {
    let file = quickstart();
    let mut submit = vec!["submit", &file, "--join", join, "--json"];
    submit.extend(SHORT);
    submit.extend(["--set", "ae.steps=400", "--set", "gamma=3,5"]);
    site.json(&submit);
}

#[test]
#[ignore = "a minute and more; `.ci/run` runs it"]
fn kill_storm() {
    let mut random = Random::from_env("ABLATE_STORM_SEED");
    let wanted = count("ABLATE_STORM_KILLS", 50);
    let mut cluster = Cluster::start();
    submit_training(&cluster.site, &cluster.join);
    let mut batches = 0;
    while cluster.killed() < wanted {
        let batch = format!("storm-{batches}");
        let first = batches * BATCH;
        let sweep = makers(&batch, first..first + BATCH, 100 + random.below(300));
        cluster.site.submit(&cluster.join, &batch, &sweep);
        batches += 1;
        while cluster.killed() < wanted {
            sleep(random.millis(20..700));
            cluster.kill_one(&mut random);
            if random.below(3) == 0 {
                // Several of them are away for a while.
                sleep(random.millis(0..1500));
                cluster.kill_one(&mut random);
            }
            cluster.mend();
            if random.below(4) == 0 && cluster.done(&batch) {
                break;
            }
        }
    }
    let [coordinator, workers, runners] = cluster.kills;
    eprintln!(
        "killed: coordinator {coordinator}, workers {workers}, runners {runners}; {batches} sweeps of {BATCH} tasks"
    );
    let calm = Instant::now();
    let site = &cluster.site;
    let ended = |s: &Value| s["state"] == "done" || s["state"] == "failed";
    for batch in 0..batches {
        let status = site.wait_for(&cluster.join, &format!("storm-{batch}"), ended);
        assert_eq!(status["state"], "done", "{status:#}");
        site.check_done(&status);
    }
    let status = site.wait_for(&cluster.join, "quickstart", ended);
    assert_eq!(status["state"], "done", "{status:#}");
    site.check_done(&status);
    eprintln!("all done {:?} after the last kill", calm.elapsed());
    let attempts = status["rows"].as_array().unwrap().iter();
    let attempts: u64 = attempts.map(|r| r["attempt"].as_u64().unwrap()).sum();
    eprintln!(
        "{attempts} attempts at {} tasks of training",
        status["tasks"]
    );

    // The same with nobody killed: the same numbers.
    let undisturbed = Site::new();
    let coordinator = undisturbed.coordinator("127.0.0.1:0");
    let _worker = undisturbed.worker(&coordinator.address, "w");
    submit_training(&undisturbed, &coordinator.address);
    undisturbed.wait_for(&coordinator.address, "quickstart", ended);
    for site in [&undisturbed, site] {
        site.json(&["report", "quickstart", "--store", "store", "--json"]);
    }
    assert_eq!(values(&undisturbed), values(site));
}
