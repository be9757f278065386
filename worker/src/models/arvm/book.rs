//! Ids of the tokens of a drawing: those of the codebook, and behind them the
//! tokens that no training image has, in the order they come. Contexts with
//! one of those are in no table.

use std::collections::HashMap;

use super::Arch;

pub(crate) struct Book<'a> {
    known: &'a [u32],
    new: Vec<u32>,
    places: HashMap<u32, i32>,
}

impl<'a> Book<'a> {
    pub(crate) fn of(arch: &'a Arch) -> Self {
        Self {
            known: &arch.codebook,
            new: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// The id of a token, a new one if it is new.
    pub(crate) fn id(&mut self, token: u32) -> i32 {
        let known = self.known.binary_search(&token).ok();
        if let Some(id) = known.and_then(|place| i32::try_from(place).ok()) {
            return id;
        }
        let next = self.known.len() + self.new.len();
        *self.places.entry(token).or_insert_with(|| {
            self.new.push(token);
            i32::try_from(next).unwrap_or(i32::MAX)
        })
    }

    /// The token of an id, which must not be that of a place off the grid.
    pub(crate) fn token(&self, id: i32) -> u32 {
        let id = id.unsigned_abs() as usize;
        match self.known.get(id) {
            Some(token) => *token,
            None => self.new[id - self.known.len()],
        }
    }
}
