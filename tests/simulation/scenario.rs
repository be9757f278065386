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

/// Coordinator `n` is host `c<n>`, worker `n` is `w<n>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    Coordinator(usize),
    Worker(usize),
}

/// Something that breaks, or is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill(Machine),
    Start(Machine),
    /// What is sent is lost, both ways.
    Cut(Machine),
    /// What it sends is lost.
    CutFrom(Machine),
    /// What is sent to it is lost.
    CutTo(Machine),
    Mend(Machine),
    /// What is sent arrives, but later.
    Hold(Machine),
    Release(Machine),
    /// What it asks of the store arrives later.
    Blind(Machine),
    See(Machine),
    /// Neither hears nor is heard, by anybody and the store; nothing is lost.
    Freeze(Machine),
    Thaw(Machine),
    /// One request to the store in so many fails; 0: none does.
    StoreFails(u64),
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
    /// The second stands by.
    pub(crate) coordinators: usize,
    pub(crate) workers: usize,
    pub(crate) slots: usize,
    pub(crate) wishes: Vec<(u64, Wish)>,
    pub(crate) faults: Vec<(u64, Fault)>,
    /// From here on, in ms, nothing breaks any more.
    pub(crate) calm_from: u64,
    /// Of messages, in ms.
    pub(crate) latency: (u64, u64),
    /// Of each request to the store, in ms.
    pub(crate) store_latency: u64,
    /// Runners crash in the first attempt at every so many tasks.
    pub(crate) crash_every: u64,
    /// How much too late it is on each machine, in s: coordinators, then
    /// workers.
    pub(crate) skews: Vec<i64>,
}

impl Scenario {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let weather = match seed % 5 {
            0 => Weather::Calm,
            1 => Weather::Restarts,
            _ => Weather::Storm,
        };
        let coordinators = match weather {
            Weather::Storm => random.range(1..3) as usize,
            Weather::Calm | Weather::Restarts => 1,
        };
        let workers = random.range(2..4) as usize;
        let mut scenario = Self {
            seed,
            weather,
            coordinators,
            workers,
            slots: random.range(1..3) as usize,
            wishes: Vec::new(),
            faults: Vec::new(),
            calm_from: 0,
            latency: random.one_of(&[(1, 5), (1, 40), (10, 150)]),
            store_latency: random.one_of(&[1, 10, 40, 120]),
            crash_every: 0,
            skews: vec![0; coordinators + workers],
        };
        if random.below(2) == 0 {
            for skew in &mut scenario.skews {
                *skew = random.one_of(&[-3600, 0, 3600]);
            }
        }
        scenario.wish(&mut random);
        match weather {
            Weather::Calm => {}
            Weather::Restarts => scenario.restarts(&mut random),
            Weather::Storm => {
                scenario.crash_every = random.one_of(&[0, 2, 3, 5]);
                if random.below(2) == 0 {
                    scenario.restarts(&mut random);
                }
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
            let coordinator = Machine::Coordinator(random.below(self.coordinators as u64) as usize);
            at += random.range(1000..8000);
            self.faults.push((at, Fault::Kill(coordinator)));
            at += random.range(50..2500);
            self.faults.push((at, Fault::Start(coordinator)));
        }
    }

    fn storm(&mut self, random: &mut Random) {
        for _ in 0..random.range(3..10) {
            let machine = match random.below(4) {
                0 => Machine::Coordinator(random.below(self.coordinators as u64) as usize),
                _ => Machine::Worker(random.below(self.workers as u64) as usize),
            };
            let at = random.range(500..25_000);
            let until = at + random.one_of(&[200, 1500, 4000, 7000, 12_000]);
            let (begin, end) = match random.below(9) {
                0 | 1 => (Fault::Kill(machine), Fault::Start(machine)),
                2 => (Fault::Cut(machine), Fault::Mend(machine)),
                3 => (Fault::CutFrom(machine), Fault::Mend(machine)),
                4 => (Fault::CutTo(machine), Fault::Mend(machine)),
                5 => (Fault::Hold(machine), Fault::Release(machine)),
                6 => (Fault::Blind(machine), Fault::See(machine)),
                7 => (Fault::Freeze(machine), Fault::Thaw(machine)),
                _ => (
                    Fault::StoreFails(random.one_of(&[3, 10])),
                    Fault::StoreFails(0),
                ),
            };
            self.faults.extend([(at, begin), (until, end)]);
        }
    }
}

/// Tasks in pairs, the second after the first; some leave an artefact, some
/// last longer than a lease, a few longer than all that breaks.
fn sweep(name: &str, index: u64, random: &mut Random) -> String {
    let long = random.one_of(&[300, 2500, 7000, 7000, 30_000]);
    let count = match long {
        30_000 => 1,
        _ => random.range(2..6),
    };
    let first: Vec<String> = (0..count).map(|i| (index * 100 + i).to_string()).collect();
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
