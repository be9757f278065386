//! Ready tasks: a lane for each kin, in it the sweeps that have tasks of
//! it, each with the most urgent task first.
//!
//! Whether there is a worker depends on the kin alone, so what nobody can
//! take now keeps nothing else waiting; whose turn it is depends on the sweep.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::tables::{SweepIx, TaskIx};
use crate::policy::{Class, Turn};

/// Tasks that the same workers can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Kin {
    pub(super) class: Class,
    /// Binary logarithm of the bytes that they need at least, after they ran
    /// out of less; else 0.
    pub(super) raised: u8,
}

/// A task among those of its sweep and kin: longest chain first, then as
/// submitted.
pub(super) type Place = (Reverse<u64>, TaskIx);

#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: BTreeMap<Kin, Lane>,
    /// The lanes that a sweep stands in, and its turn.
    sweeps: HashMap<SweepIx, (Turn, BTreeSet<Kin>)>,
    /// Places, those in several sweeps counted for each.
    places: usize,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
struct Lane {
    turns: BTreeSet<(Turn, SweepIx)>,
    sweeps: BTreeMap<SweepIx, BTreeSet<Place>>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.places == 0
    }

    pub(super) fn has(&self, sweep: SweepIx) -> bool {
        self.sweeps.contains_key(&sweep)
    }

    pub(super) fn insert(&mut self, kin: Kin, sweep: SweepIx, turn: Turn, place: Place) {
        let added = self.enter(kin, sweep, turn).insert(place);
        self.places += usize::from(added);
    }

    /// As many at once.
    pub(super) fn extend(&mut self, kin: Kin, sweep: SweepIx, turn: Turn, places: Vec<Place>) {
        // Sorted and built in one go, which single inserts are not.
        let mut more = BTreeSet::from_iter(places);
        let there = self.enter(kin, sweep, turn);
        let before = there.len();
        there.append(&mut more);
        let added = there.len() - before;
        self.places += added;
    }

    fn enter(&mut self, kin: Kin, sweep: SweepIx, turn: Turn) -> &mut BTreeSet<Place> {
        self.turn(sweep, turn);
        let (_, lanes) = self
            .sweeps
            .entry(sweep)
            .or_insert_with(|| (turn, BTreeSet::new()));
        let lane = self.lanes.entry(kin).or_default();
        if lanes.insert(kin) {
            lane.turns.insert((turn, sweep));
        }
        lane.sweeps.entry(sweep).or_default()
    }

    pub(super) fn remove(&mut self, kin: Kin, sweep: SweepIx, place: Place) {
        let Some(lane) = self.lanes.get_mut(&kin) else {
            return;
        };
        let Some(there) = lane.sweeps.get_mut(&sweep) else {
            return;
        };
        self.places -= usize::from(there.remove(&place));
        if !there.is_empty() {
            return;
        }
        lane.sweeps.remove(&sweep);
        if let Some((turn, lanes)) = self.sweeps.get_mut(&sweep) {
            lane.turns.remove(&(*turn, sweep));
            lanes.remove(&kin);
            if lanes.is_empty() {
                self.sweeps.remove(&sweep);
            }
        }
        if lane.sweeps.is_empty() {
            self.lanes.remove(&kin);
        }
    }

    /// Takes everything of a sweep out.
    pub(super) fn leave(&mut self, sweep: SweepIx) {
        let Some((turn, lanes)) = self.sweeps.remove(&sweep) else {
            return;
        };
        for kin in lanes {
            let Some(lane) = self.lanes.get_mut(&kin) else {
                continue;
            };
            lane.turns.remove(&(turn, sweep));
            let places = lane.sweeps.remove(&sweep);
            self.places -= places.map_or(0, |places| places.len());
            if lane.sweeps.is_empty() {
                self.lanes.remove(&kin);
            }
        }
    }

    /// The turn of a sweep has changed.
    pub(super) fn turn(&mut self, sweep: SweepIx, now: Turn) {
        let Some((turn, lanes)) = self.sweeps.get_mut(&sweep) else {
            return;
        };
        if *turn == now {
            return;
        }
        for kin in &*lanes {
            if let Some(lane) = self.lanes.get_mut(kin) {
                lane.turns.remove(&(*turn, sweep));
                lane.turns.insert((now, sweep));
            }
        }
        *turn = now;
    }

    /// The next task of those classes that `takes` holds of.
    pub(super) fn next(&self, takes: impl Fn(Kin) -> bool) -> Option<(Turn, SweepIx, TaskIx)> {
        let lanes = self.lanes.iter().filter(|(kin, _)| takes(**kin));
        let first = |(_, lane): (&Kin, &Lane)| {
            let (turn, sweep) = *lane.turns.first()?;
            let (rank, ix) = *lane.sweeps.get(&sweep)?.first()?;
            Some((turn, sweep, rank, ix))
        };
        let (turn, sweep, _, ix) = lanes.filter_map(first).min()?;
        Some((turn, sweep, ix))
    }

    /// How many of a sweep come before a place.
    pub(super) fn before(&self, sweep: SweepIx, place: Place) -> usize {
        let lanes = self.lanes.values().filter_map(|l| l.sweeps.get(&sweep));
        lanes.map(|places| places.range(..place).count()).sum()
    }

    /// The longest chain that begins with a ready task of a sweep, in ms.
    pub(super) fn longest(&self, sweep: SweepIx) -> u64 {
        let lanes = self.lanes.values().filter_map(|l| l.sweeps.get(&sweep));
        let first = lanes.filter_map(BTreeSet::first);
        first.map(|(Reverse(rank), _)| *rank).max().unwrap_or(0)
    }

    /// Every place, with its sweep.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (SweepIx, TaskIx)> {
        let lanes = self.lanes.values().flat_map(|lane| &lane.sweeps);
        lanes.flat_map(|(sweep, places)| places.iter().map(|(_, ix)| (*sweep, *ix)))
    }
}
