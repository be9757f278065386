//! Random choices that a printed seed brings back.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by the variable `name`, or by the time of day; prints the seed.
    pub(crate) fn from_env(name: &str) -> Self {
        let seed = match std::env::var(name) {
            Ok(text) => text.parse().unwrap(),
            Err(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                u64::from(since.subsec_nanos()) ^ since.as_secs()
            }
        };
        eprintln!("{name}={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// A place in a list of so many.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    pub(crate) fn millis(&mut self, range: Range<u64>) -> std::time::Duration {
        let millis = range.start + self.below(range.end - range.start);
        std::time::Duration::from_millis(millis)
    }
}

/// A count from the environment, or this many.
pub(crate) fn count(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}
