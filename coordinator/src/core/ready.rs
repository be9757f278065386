//! The queue of tasks that could run now, the most urgent first. Those that
//! only some workers take stand in a queue of their own, so that they are in
//! nobody's way.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use ablate_proto::id::TaskKey;

/// Rank, order of submission, key.
pub(super) type Place = (Reverse<u64>, u64, TaskKey);

#[derive(Debug, Default)]
pub(super) struct Ready {
    plain: BTreeSet<Place>,
    /// Programs of users.
    commands: BTreeSet<Place>,
}

impl Ready {
    pub(super) fn insert(&mut self, place: Place, command: bool) {
        if command {
            self.commands.insert(place);
        } else {
            self.plain.insert(place);
        }
    }

    pub(super) fn remove(&mut self, place: &Place) -> bool {
        self.plain.remove(place) || self.commands.remove(place)
    }

    /// The first of each queue, the more urgent one first.
    pub(super) fn first(&self) -> impl Iterator<Item = TaskKey> + use<> {
        let mut heads = [self.plain.first().copied(), self.commands.first().copied()];
        if heads[1] < heads[0] {
            heads.swap(0, 1);
        }
        heads.into_iter().flatten().map(|(_, _, key)| key)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Place> {
        self.plain.iter().chain(&self.commands)
    }

    /// How many are before this place.
    pub(super) fn before(&self, place: Place) -> usize {
        self.plain.range(..place).count() + self.commands.range(..place).count()
    }
}
