//! What happens in one simulation: all of it follows from the seed.

use crate::chance::Random;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Nothing breaks.
    Calm,
    /// The coordinator is killed and started again, and nothing else breaks.
    Restarts,
    /// Everything breaks.
    Storm,
}

/// Something that breaks, or is mended. Worker `n` is host `w<n>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    KillCoordinator,
    StartCoordinator,
    KillWorker(usize),
    StartWorker(usize),
    /// What is sent is lost, both ways.
    Cut(usize),
    /// From the worker.
    CutUp(usize),
    /// To the worker.
    CutDown(usize),
    Mend(usize),
    /// What is sent arrives, but later.
    Delay(usize),
    Release(usize),
}

/// What the user does, and when, in ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    Submit(String, String),
    Cancel(String),
    Pause(String),
    Resume(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) weather: Weather,
    pub(crate) workers: usize,
    pub(crate) slots: usize,
    pub(crate) wishes: Vec<(u64, Wish)>,
    pub(crate) faults: Vec<(u64, Fault)>,
    /// From here on, in ms, nothing breaks any more.
    pub(crate) calm_from: u64,
    /// Of messages, in ms.
    pub(crate) latency: (u64, u64),
    /// Of each write to the store and each read from it, in ms.
    pub(crate) store_latency: u64,
    /// Runners crash in the first attempt at every so many tasks.
    pub(crate) crash_every: u64,
}

impl Scenario {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let weather = match seed % 5 {
            0 => Weather::Calm,
            1 => Weather::Restarts,
            _ => Weather::Storm,
        };
        let workers = random.range(2..4) as usize;
        let mut scenario = Self {
            seed,
            weather,
            workers,
            slots: random.range(1..3) as usize,
            wishes: Vec::new(),
            faults: Vec::new(),
            calm_from: 0,
            latency: random.one_of(&[(1, 5), (1, 40), (10, 150)]),
            store_latency: random.one_of(&[1, 10, 40]),
            crash_every: 0,
        };
        scenario.wish(&mut random);
        match weather {
            Weather::Calm => {}
            Weather::Restarts => scenario.restarts(&mut random),
            Weather::Storm => {
                scenario.crash_every = random.one_of(&[0, 2, 3, 5]);
                scenario.restarts(&mut random);
                scenario.storm(&mut random);
            }
        }
        scenario.wishes.sort_by_key(|(at, _)| *at);
        scenario.faults.sort_by_key(|(at, _)| *at);
        let last = scenario.faults.last().map_or(0, |(at, _)| *at);
        scenario.calm_from = last + 1;
        scenario
    }

    fn wish(&mut self, random: &mut Random) {
        for index in 0..random.range(1..4) {
            let name = format!("s{index}");
            let at = index * 3000 + random.below(3000);
            let submit = Wish::Submit(name.clone(), sweep(&name, index, random));
            self.wishes.push((at, submit));
            let then = at + random.range(500..9000);
            match random.below(4) {
                0 => self.wishes.push((then, Wish::Cancel(name))),
                1 => {
                    let resumed = then + random.range(3000..15_000);
                    self.wishes.push((then, Wish::Pause(name.clone())));
                    self.wishes.push((resumed, Wish::Resume(name)));
                }
                _ => {}
            }
        }
    }

    fn restarts(&mut self, random: &mut Random) {
        let mut at = 0;
        for _ in 0..random.range(2..5) {
            at += random.range(1000..8000);
            self.faults.push((at, Fault::KillCoordinator));
            at += random.range(50..2500);
            self.faults.push((at, Fault::StartCoordinator));
        }
    }

    fn storm(&mut self, random: &mut Random) {
        for _ in 0..random.range(3..10) {
            let worker = random.below(self.workers as u64) as usize;
            let at = random.range(500..25_000);
            let until = at + random.one_of(&[200, 1500, 4000, 7000, 12_000]);
            let (begin, end) = match random.below(6) {
                0 | 1 => (Fault::KillWorker(worker), Fault::StartWorker(worker)),
                2 => (Fault::Cut(worker), Fault::Mend(worker)),
                3 => (Fault::CutUp(worker), Fault::Mend(worker)),
                4 => (Fault::CutDown(worker), Fault::Mend(worker)),
                _ => (Fault::Delay(worker), Fault::Release(worker)),
            };
            self.faults.extend([(at, begin), (until, end)]);
        }
    }
}

/// Tasks in pairs, the second after the first; some leave an artefact, some
/// last longer than a lease.
fn sweep(name: &str, index: u64, random: &mut Random) -> String {
    let count = random.range(2..6);
    let first: Vec<String> = (0..count).map(|i| (index * 100 + i).to_string()).collect();
    let long = random.one_of(&[300, 2500, 7000]);
    let artifact = random.one_of(&[true, true, false]);
    format!(
        "name = \"{name}\"\n\
         [stages.a]\nkind = \"noop\"\nartifact = {artifact}\nsleep_ms = {}\n\
         [stages.b]\nkind = \"noop\"\ninputs = {{ after = \"a\" }}\nartifact = true\n\
         [axes]\n\"a.index\" = [{}]\n\"b.sleep_ms\" = [50, {long}]\n",
        random.range(100..1500),
        first.join(", "),
    )
}
