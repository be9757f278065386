//! Buffers that layers work in, kept from one use to the next: fresh pages
//! from the system cost more than the work done in them.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Buffers kept per thread, and values in them all together: a larger one is
/// needed so seldom that fresh pages cost little.
const KEPT: usize = 4;
const VALUES: usize = 1 << 23;

/// A buffer of some thread; back to the free ones of the thread that drops it.
pub(super) struct Buffer {
    data: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` values, whatever they were.
    pub(super) fn take(len: usize) -> Self {
        let mut data = FREE.with_borrow_mut(|free| {
            if len >= VALUES {
                // Rather than beside what nobody uses now.
                free.clear();
            }
            // The smallest that is large enough, else the largest.
            let fits = |b: &Vec<f32>| {
                if b.len() >= len {
                    b.len()
                } else {
                    usize::MAX - b.len()
                }
            };
            let best = (0..free.len()).min_by_key(|i| fits(&free[*i]));
            best.map(|i| free.swap_remove(i)).unwrap_or_default()
        });
        if data.len() < len {
            drop(data);
            data = vec![0.0; len];
        }
        Self { data, len }
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(data: Vec<f32>) -> Self {
        let len = data.len();
        Self { data, len }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        FREE.with_borrow_mut(|free| {
            let held: usize = free.iter().map(Vec::len).sum();
            if held + data.len() > VALUES {
                return;
            }
            free.push(data);
            if free.len() > KEPT {
                let smallest = (0..free.len()).min_by_key(|i| free[*i].len());
                smallest.map(|i| free.swap_remove(i));
            }
        });
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[..self.len]
    }
}
