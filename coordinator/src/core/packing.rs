//! What fits on a worker, by its slots and its memory.
//!
//! Tasks wait at a worker, too, so that its slots need not: no more of them
//! use memory than can run at once, and of those it holds the largest count.

use ablate_proto::capacity::Grant;

use super::crew::{FULL, Worker};
use crate::policy;

/// What a task asks of a worker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Need {
    /// Of tasks like it, how many may wait behind each slot.
    pub(super) queue: usize,
    /// It is a program of a user.
    pub(super) command: bool,
    /// Bytes, once something is known of it.
    pub(super) memory: Option<u64>,
    pub(super) cores: Option<f64>,
}

/// Less than this is not tried for what nothing is known of.
const LEAST: u64 = 64 << 20;

impl Worker {
    /// Whether a slot has room for it, whatever the memory is.
    pub(super) fn has_slot(&self, need: &Need) -> bool {
        let room = u64::from(self.slots) * u64::from(ablate_proto::capacity::SLOT);
        let room = room.saturating_mul(1 + need.queue as u64);
        self.shares + u64::from(self.share(need)) <= room
    }

    fn share(&self, need: &Need) -> u32 {
        policy::share(need.cores, self.capacity.threads, self.capacity.pack)
    }

    /// What a task gets here; `None` if its memory is not free. `largest`: the
    /// most that any worker has for one task.
    pub(super) fn grant(&self, need: &Need, largest: impl FnOnce() -> u64) -> Option<Grant> {
        let share = self.share(need);
        let capacity = self.capacity;
        if capacity.memory == 0 {
            let memory = need.memory.unwrap_or(0);
            let whole = false;
            return Some(Grant {
                memory,
                share,
                whole,
            });
        }
        let memory = match need.memory {
            Some(memory) if memory < capacity.largest => {
                let fits = self.taken_with(memory) <= capacity.memory;
                return fits.then_some(Grant {
                    memory,
                    share,
                    whole: false,
                });
            }
            // It needs all that there is, or more: alone, where there is most.
            Some(_) if !self.held.is_empty() => return None,
            Some(_) => capacity.largest,
            None => self.free_share()?,
        };
        let all = memory >= capacity.largest;
        let whole = all && self.held.is_empty() && memory >= largest();
        if need.memory.is_some() && !whole {
            return None;
        }
        Some(Grant {
            memory,
            share,
            whole,
        })
    }

    /// For what nothing is known of: a slot's part of the memory, or what is
    /// left of it.
    fn free_share(&self) -> Option<u64> {
        let capacity = self.capacity;
        let part = capacity.memory / u64::from(self.slots.max(1));
        let part = part.min(capacity.largest).max(1);
        if self.held.len() as u64 >= self.places() {
            // It begins when another has ended.
            let least = self.memories.keys().next().copied().unwrap_or(part);
            return Some(least.min(part));
        }
        let free = capacity.memory.saturating_sub(self.taken_with(0));
        (free >= LEAST.min(part)).then(|| free.min(part))
    }

    /// Tasks that can run at once.
    fn places(&self) -> u64 {
        u64::from(self.slots) * u64::from(self.capacity.pack.max(1))
    }

    /// Bytes that may be in use at once, with one more task of so many.
    pub(super) fn taken_with(&self, more: u64) -> u64 {
        let mut places = self.places();
        let mut more = Some(more);
        let mut sum: u64 = 0;
        for (bytes, count) in self.memories.iter().rev() {
            if places > 0 && more.is_some_and(|more| more >= *bytes) {
                sum = sum.saturating_add(more.take().unwrap_or(0));
                places -= 1;
            }
            let these = places.min(u64::from(*count));
            sum = sum.saturating_add(bytes.saturating_mul(these));
            places -= these;
        }
        sum.saturating_add(more.filter(|_| places > 0).unwrap_or(0))
    }

    /// How much it holds, by its slots.
    pub(super) fn load(&self) -> u64 {
        let slot = u64::from(ablate_proto::capacity::SLOT);
        FULL * self.shares / (slot * u64::from(self.slots.max(1)))
    }
}
