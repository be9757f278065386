//! Numbers for things, in the order in which they come: a few bytes each, for
//! sweeps of a million.

use std::hash::{DefaultHasher, Hash, Hasher};

use hashbrown::HashTable;

/// Which of some list are equal. The list itself is kept elsewhere.
pub(super) struct Index {
    /// Numbers, each with the hash of its thing: things are looked at only to
    /// be sure.
    numbers: HashTable<(u32, u32)>,
    salt: u64,
}

impl Index {
    /// The same file always makes the same table, and yet nobody can write a
    /// file whose values all fall into one place of it, if `salt` depends on
    /// every byte of the file: see [`salt`].
    pub(super) fn new(salt: u64) -> Self {
        Self {
            numbers: HashTable::new(),
            salt,
        }
    }

    /// The number of what is equal to `wanted`. `by` is a thing by its number.
    pub(super) fn find<K: Hash + Eq>(&self, wanted: &K, by: impl Fn(u32) -> K) -> Option<u32> {
        let hash = self.hash(wanted);
        let same = |(of, number): &(u32, u32)| *of == hash && *wanted == by(*number);
        let found = self.numbers.find(spread(hash), same);
        found.map(|(_, number)| *number)
    }

    /// Adds a thing that was not found, by a number of its own.
    pub(super) fn add<K: Hash>(&mut self, thing: &K, number: u32) {
        let hash = self.hash(thing);
        let hashed = |(of, _): &(u32, u32)| spread(*of);
        self.numbers
            .insert_unique(spread(hash), (hash, number), hashed);
    }

    fn hash(&self, thing: &impl Hash) -> u32 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.salt);
        thing.hash(&mut hasher);
        let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

/// Of all texts that values can come from.
pub(super) fn salt<'a>(texts: impl Iterator<Item = &'a str>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(text.as_bytes());
    }
    let mut salt = [0; 8];
    hasher.finalize_xof().fill(&mut salt);
    u64::from_le_bytes(salt)
}

/// To all bits, as a table wants them.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Rows of equal length, each once.
pub(super) struct Rows {
    width: usize,
    cells: Vec<u32>,
    count: u32,
    index: Index,
}

impl Rows {
    pub(super) fn new(width: usize, salt: u64) -> Self {
        Self {
            width,
            cells: Vec::new(),
            count: 0,
            index: Index::new(salt),
        }
    }

    /// The number of a row, and whether it is new.
    pub(super) fn number(&mut self, row: &[u32]) -> (u32, bool) {
        let width = self.width;
        let at = |number: u32| {
            let start = number as usize * width;
            start..start + width
        };
        let (cells, index) = (&mut self.cells, &mut self.index);
        if let Some(known) = index.find(&row, |number| &cells[at(number)]) {
            return (known, false);
        }
        let number = self.count;
        self.count += 1;
        cells.extend_from_slice(row);
        index.add(&row, number);
        (number, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_have_one_number() {
        let mut rows = Rows::new(2, 7);
        assert_eq!(rows.number(&[1, 2]), (0, true));
        assert_eq!(rows.number(&[2, 1]), (1, true));
        assert_eq!(rows.number(&[1, 2]), (0, false));
        let mut empty = Rows::new(0, 7);
        assert_eq!(empty.number(&[]), (0, true));
        assert_eq!(empty.number(&[]), (0, false));
        for i in 0..1000 {
            assert_eq!(rows.number(&[i, i]).0, 2 + i);
        }
        assert_eq!(rows.number(&[500, 500]), (502, false));
    }
}
