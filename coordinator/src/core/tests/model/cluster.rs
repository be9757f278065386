//! What can happen next in a modelled cluster, and what comes of it.

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Model, Property};

use super::super::*;
use super::NAMES;
use super::world::{Cluster, Fate, Letter, Move, Node, World};
use crate::planted::{self, Bug};

impl Cluster {
    fn submission(&self) -> Fact {
        let sweep = "s".parse().unwrap();
        Fact::SweepSubmitted(Submission::new(sweep, 1, &self.tasks))
    }

    /// A step of the coordinator, and what comes of it.
    fn step(&self, world: &mut World, event: Event, fate: Fate) {
        let mut sent = Vec::new();
        for effect in world.core.step(world.now, event) {
            match effect {
                Effect::Record(fact) => {
                    let forgotten = self.bug == Some(Bug::CounterNotDurable)
                        && matches!(fact, Fact::AttemptStarted { .. });
                    if fate != Fate::Lost && !forgotten {
                        world.facts.push(fact);
                    }
                }
                Effect::Send(worker, message) => {
                    let node = NAMES.iter().position(|name| *name == worker.as_str());
                    let node = node.unwrap();
                    match message {
                        ToWorker::Assign { attempt, .. } => {
                            sent.push(Letter::Assign(node, attempt))
                        }
                        ToWorker::Drop { attempt, .. } => sent.push(Letter::Drop(node, attempt)),
                        ToWorker::Ack { attempt, accepted } => {
                            sent.push(Letter::Ack(node, attempt, accepted));
                        }
                        ToWorker::Welcome { .. }
                        | ToWorker::Follow { .. }
                        | ToWorker::TakeBack { .. } => {}
                    }
                }
                Effect::StoreOutcome(_) | Effect::ForgetOutcome(_) => {}
            }
        }
        if fate == Fate::Fine || self.bug == Some(Bug::EffectsBeforeDurable) {
            world.post.extend(sent);
        }
        if fate != Fate::Fine {
            world.left.coordinator_crashes -= 1;
            let facts = std::iter::once(self.submission()).chain(world.facts.clone());
            world.core = Core::recover(CoreSettings::default(), facts);
            world.now = Now::ZERO;
        }
    }

    fn receive(world: &mut World, letter: Letter) {
        let (node, letter) = match letter {
            Letter::Assign(node, _) | Letter::Drop(node, _) | Letter::Ack(node, _, _) => {
                (node, letter)
            }
            Letter::Hello(..) | Letter::Gone(..) | Letter::Commit(..) => return,
        };
        let Node::Alive(_, held) = &mut world.nodes[node] else {
            return;
        };
        match letter {
            Letter::Assign(_, attempt) => {
                // A newer attempt at a task ends an older one.
                held.retain(|a, _| a.task != attempt.task || a.number >= attempt.number);
                if held.keys().all(|a| a.task != attempt.task) {
                    held.insert(attempt, false);
                    world.given.entry(attempt).or_default().insert(node);
                }
            }
            Letter::Ack(_, attempt, accepted) => {
                held.remove(&attempt);
                if accepted {
                    world.told.insert(attempt);
                }
            }
            Letter::Drop(_, attempt) => {
                held.remove(&attempt);
            }
            Letter::Hello(..) | Letter::Gone(..) | Letter::Commit(..) => {}
        }
    }

    fn connect(world: &mut World, node: usize) {
        world.sessions += 1;
        let session = world.sessions;
        let (old, held) = match &world.nodes[node] {
            Node::Alive(old, held) => (Some(*old), held.clone()),
            Node::NotYet | Node::Dead => (None, BTreeMap::new()),
        };
        world.post.extend(old.map(|old| Letter::Gone(node, old)));
        world
            .post
            .insert(Letter::Hello(node, session, held.keys().copied().collect()));
        let finished = held.iter().filter(|(_, finished)| **finished);
        world
            .post
            .extend(finished.map(|(attempt, _)| Letter::Commit(node, *attempt)));
        world.nodes[node] = Node::Alive(session, held);
    }
}

impl Model for Cluster {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        planted::plant(self.bug);
        vec![World {
            core: Core::recover(CoreSettings::default(), [self.submission()]),
            now: Now::ZERO,
            facts: Vec::new(),
            nodes: vec![Node::NotYet; self.workers],
            post: BTreeSet::new(),
            sessions: 0,
            left: self.budget,
            given: BTreeMap::new(),
            told: BTreeSet::new(),
        }]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        let fates = match world.left.coordinator_crashes {
            0 => &[Fate::Fine][..],
            _ => &[Fate::Fine, Fate::Lost, Fate::Unheard],
        };
        // Those that are not there yet come in order: they are alike.
        let mut new = true;
        for (node, state) in world.nodes.iter().enumerate() {
            match state {
                Node::NotYet => {
                    if std::mem::take(&mut new) {
                        moves.push(Move::Connect(node));
                    }
                }
                Node::Alive(_, held) => {
                    let working = held.iter().filter(|(_, finished)| !**finished);
                    moves.extend(working.map(|(attempt, _)| Move::Finish(node, *attempt)));
                    if world.left.reconnects > 0 {
                        moves.push(Move::Connect(node));
                    }
                    if world.left.worker_crashes > 0 {
                        moves.push(Move::Crash(node));
                    }
                    if world.left.lapses > 0 {
                        moves.push(Move::Lapse(node, Fate::Fine));
                    }
                }
                Node::Dead => {
                    if world.left.lapses > 0 {
                        moves.push(Move::Lapse(node, Fate::Fine));
                    }
                }
            }
        }
        for letter in &world.post {
            let to_worker = matches!(
                letter,
                Letter::Assign(..) | Letter::Drop(..) | Letter::Ack(..)
            );
            let fates = if to_worker { &fates[..1] } else { fates };
            moves.extend(
                fates
                    .iter()
                    .map(|fate| Move::Deliver(letter.clone(), *fate)),
            );
            if world.left.duplicates > 0 {
                moves.push(Move::Duplicate(letter.clone()));
            }
        }
    }

    fn next_state(&self, last: &World, action: Move) -> Option<World> {
        planted::plant(self.bug);
        let mut world = last.clone();
        match action {
            Move::Connect(node) => {
                if world.nodes[node] != Node::NotYet {
                    world.left.reconnects -= 1;
                }
                Self::connect(&mut world, node);
            }
            Move::Crash(node) => {
                world.left.worker_crashes -= 1;
                if let Node::Alive(session, _) = world.nodes[node] {
                    world.post.insert(Letter::Gone(node, session));
                }
                world.nodes[node] = Node::Dead;
            }
            Move::Finish(node, attempt) => {
                if let Node::Alive(_, held) = &mut world.nodes[node] {
                    held.insert(attempt, true);
                }
                world.post.insert(Letter::Commit(node, attempt));
            }
            Move::Duplicate(letter) => {
                world.left.duplicates -= 1;
                self.deliver(&mut world, letter, Fate::Fine);
            }
            Move::Deliver(letter, fate) => {
                world.post.remove(&letter);
                self.deliver(&mut world, letter, fate);
            }
            Move::Lapse(silent, fate) => {
                world.left.lapses -= 1;
                // Two leases and more, in steps of a coordinator that runs.
                for _ in 0..24 {
                    world.now += Now::from_millis(500);
                    for (node, name) in NAMES[..self.workers].iter().enumerate() {
                        if node != silent && matches!(world.nodes[node], Node::Alive(..)) {
                            let beat = Event::Heartbeat {
                                worker: worker(name),
                                holding: Vec::new(),
                                draining: false,
                            };
                            self.step(&mut world, beat, Fate::Fine);
                        }
                    }
                    self.step(&mut world, Event::Tick, fate);
                }
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a result counts once", |_, world: &World| {
                let mut tasks = BTreeSet::new();
                world.commits().all(|attempt| tasks.insert(attempt.task))
            }),
            Property::always("an attempt number is used once", |_, world: &World| {
                world.given.values().all(|workers| workers.len() == 1)
            }),
            Property::always(
                "what is committed was the current attempt",
                |_, world: &World| {
                    let mut current = BTreeMap::new();
                    world.facts.iter().all(|fact| match fact {
                        Fact::AttemptStarted { attempt, .. } => {
                            current.insert(attempt.task, attempt.number).is_none()
                        }
                        Fact::AttemptFailed { attempt, .. } => {
                            current.remove(&attempt.task) == Some(attempt.number)
                        }
                        Fact::TaskCommitted { attempt, .. } => {
                            current.remove(&attempt.task) == Some(attempt.number)
                        }
                        _ => true,
                    })
                },
            ),
            Property::always("what is acknowledged is durable", |_, world: &World| {
                let commits: BTreeSet<_> = world.commits().collect();
                world.told.is_subset(&commits)
            }),
            Property::sometimes("everything is done", |cluster: &Self, world: &World| {
                world.commits().count() == cluster.tasks.len() && world.post.is_empty()
            }),
        ]
    }
}

impl Cluster {
    fn deliver(&self, world: &mut World, letter: Letter, fate: Fate) {
        let event = match letter {
            Letter::Hello(node, session, holding) => {
                let hello = Hello {
                    worker: worker(NAMES[node]),
                    build: String::new(),
                    slots: 1,
                    host: String::new(),
                    device: String::new(),
                    commands: false,
                    capacity: Capacity::default(),
                    holding,
                };
                Event::Hello { hello, session }
            }
            Letter::Gone(node, session) => {
                let worker = worker(NAMES[node]);
                Event::Gone { worker, session }
            }
            Letter::Commit(node, attempt) => Event::Commit {
                worker: worker(NAMES[node]),
                attempt,
                commit: done(),
            },
            to_worker @ (Letter::Assign(..) | Letter::Drop(..) | Letter::Ack(..)) => {
                return Self::receive(world, to_worker);
            }
        };
        self.step(world, event, fate);
    }
}
