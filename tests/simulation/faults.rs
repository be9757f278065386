//! Breaks machines of a simulated cluster, and mends them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use turmoil::Sim;

use crate::scenario::{Fault, Machine};
use crate::store::{Road, Warehouse};

pub(crate) fn host(machine: Machine) -> String {
    match machine {
        Machine::Coordinator(index) => format!("c{index}"),
        Machine::Worker(index) => format!("w{index}"),
    }
}

pub(crate) struct Machines {
    warehouse: Arc<Warehouse>,
    /// Each, and whether its way to the store is closed.
    all: Vec<(Machine, watch::Sender<bool>)>,
}

impl Machines {
    pub(crate) fn new(warehouse: Arc<Warehouse>, coordinators: usize, workers: usize) -> Self {
        let coordinators = (0..coordinators).map(Machine::Coordinator);
        let machines = coordinators.chain((0..workers).map(Machine::Worker));
        let all = machines.map(|machine| (machine, watch::Sender::new(false)));
        Self {
            warehouse,
            all: all.collect(),
        }
    }

    fn door(&self, machine: Machine) -> &watch::Sender<bool> {
        let mut doors = self.all.iter().filter(|(other, _)| *other == machine);
        &doors.next().expect("a machine of this cluster").1
    }

    pub(crate) fn road(&self, machine: Machine) -> Road {
        Road::new(self.warehouse.clone(), self.door(machine).subscribe())
    }

    /// Whom it has to do with: coordinators know each other by the store
    /// alone, and so do workers.
    fn peers(&self, machine: Machine) -> Vec<String> {
        let is_coordinator = |machine: &Machine| matches!(machine, Machine::Coordinator(_));
        let others = self.all.iter().map(|(other, _)| other);
        let others = others.filter(|other| is_coordinator(other) != is_coordinator(&machine));
        let mut peers: Vec<_> = others.map(|other| host(*other)).collect();
        if is_coordinator(&machine) {
            peers.push("user".to_owned());
        }
        peers
    }

    pub(crate) fn cause(&mut self, sim: &mut Sim<'_>, fault: Fault) {
        match fault {
            Fault::Kill(machine) => sim.crash(host(machine)),
            Fault::Start(machine) => start(sim, machine),
            Fault::Cut(machine) => {
                self.with_peers(machine, |this, peer| sim.partition(this, peer));
            }
            Fault::CutFrom(machine) => {
                self.with_peers(machine, |this, peer| sim.partition_oneway(this, peer));
            }
            Fault::CutTo(machine) => {
                self.with_peers(machine, |this, peer| sim.partition_oneway(peer, this));
            }
            Fault::Mend(machine) => {
                self.with_peers(machine, |this, peer| sim.repair(this, peer));
            }
            Fault::Hold(machine) => {
                self.with_peers(machine, |this, peer| sim.hold(this, peer));
            }
            Fault::Release(machine) => {
                self.with_peers(machine, |this, peer| sim.release(this, peer));
            }
            Fault::Blind(machine) => drop(self.door(machine).send_replace(true)),
            Fault::See(machine) => drop(self.door(machine).send_replace(false)),
            Fault::Freeze(machine) => {
                self.cause(sim, Fault::Hold(machine));
                self.cause(sim, Fault::Blind(machine));
            }
            Fault::Thaw(machine) => {
                self.cause(sim, Fault::Release(machine));
                self.cause(sim, Fault::See(machine));
            }
            Fault::StoreFails(one_in) => self.warehouse.failing.store(one_in, Ordering::Relaxed),
        }
    }

    fn with_peers(&self, machine: Machine, mut each: impl FnMut(&str, &str)) {
        for peer in self.peers(machine) {
            each(&host(machine), &peer);
        }
    }

    pub(crate) fn mend_all(&mut self, sim: &mut Sim<'_>) {
        self.cause(sim, Fault::StoreFails(0));
        let machines: Vec<_> = self.all.iter().map(|(machine, _)| *machine).collect();
        for machine in machines {
            self.cause(sim, Fault::Thaw(machine));
            self.cause(sim, Fault::Mend(machine));
            start(sim, machine);
        }
    }
}

fn start(sim: &mut Sim<'_>, machine: Machine) {
    if !sim.is_host_running(host(machine)) {
        sim.bounce(host(machine));
    }
}
