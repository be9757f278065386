//! Which images are imported where there is a limit: those that come first
//! when all are ordered by a hash of the seed and of what they are called.
//! So the choice does not depend on how many threads read, or on the order in
//! which a disk lists its files.

use std::collections::{BTreeSet, BinaryHeap};

/// The place of an image in the order of a seed.
pub(super) fn rank(seed: u64, name: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("ablate data choice v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(name);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// Chosen numbers among those below `n`.
#[derive(Debug)]
pub(super) enum Chosen {
    All(u64),
    Some(BTreeSet<u64>),
}

impl Chosen {
    pub(super) fn of(n: u64, limit: Option<usize>, seed: u64) -> Self {
        let Some(limit) = limit.filter(|limit| (*limit as u64) < n) else {
            return Self::All(n);
        };
        // The largest of those kept is on top, and goes when it is one too many.
        let mut kept = BinaryHeap::with_capacity(limit + 1);
        for number in 0..n {
            kept.push((rank(seed, &number.to_le_bytes()), number));
            if kept.len() > limit {
                kept.pop();
            }
        }
        Self::Some(kept.into_iter().map(|(_, number)| number).collect())
    }

    pub(super) fn has(&self, number: u64) -> bool {
        match self {
            Self::All(n) => number < *n,
            Self::Some(numbers) => numbers.contains(&number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_choice_is_part_of_a_larger_one() {
        let of = |limit| match Chosen::of(1000, Some(limit), 7) {
            Chosen::Some(numbers) => numbers,
            Chosen::All(n) => panic!("all {n}"),
        };
        assert_eq!(of(100).len(), 100);
        assert!(of(10).is_subset(&of(100)));
        assert_ne!(of(10), (0..10).collect());
        for limit in [Some(5), None] {
            let all = Chosen::of(5, limit, 0);
            assert!((0..5).all(|number| all.has(number)) && !all.has(5));
        }
    }
}
