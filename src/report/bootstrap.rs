//! Bootstrap 95% intervals of means over replicates, by percentiles.
//!
//! Random numbers come from what is resampled, so the same results give the
//! same report.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ablate_proto::id::TaskKey;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::stats::{Interval, Method};

/// Resampled means of one interval.
pub(crate) const RESAMPLES: usize = 10_000;
/// With fewer values there are too few different resamples to speak of.
pub(crate) const FEWEST: usize = 3;

/// The intervals of a report. Figures, tables and exports ask for the same
/// ones again, and get them without a second resampling.
#[derive(Debug, Default)]
pub(crate) struct Bootstraps(Mutex<HashMap<[u8; 32], Interval>>);

impl Bootstraps {
    /// Of the mean of `values`, which the tasks of these keys left; `None`
    /// with fewer than [`FEWEST`].
    pub(crate) fn of_mean(
        &self,
        what: &str,
        keys: impl Iterator<Item = TaskKey>,
        values: &[f64],
    ) -> Option<Interval> {
        if values.len() < FEWEST {
            return None;
        }
        let mut seed = blake3::Hasher::new_derive_key("ablate report bootstrap");
        seed.update(what.as_bytes());
        for key in keys {
            seed.update(key.to_string().as_bytes());
        }
        for value in values {
            seed.update(&value.to_bits().to_le_bytes());
        }
        let seed = *seed.finalize().as_bytes();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = known.entry(seed);
        Some(*interval.or_insert_with(|| percentiles(values, seed)))
    }
}

/// From the 2.5th to the 97.5th percentile of the means of resamples, with
/// linear interpolation between them.
fn percentiles(values: &[f64], seed: [u8; 32]) -> Interval {
    let mut rng = ChaCha8Rng::from_seed(seed);
    let count = values.len() as u64;
    // 32 random bits times the count: its upper half is uniform to one part
    // in 2³² / count.
    let mut draw = || usize::try_from((u64::from(rng.next_u32()) * count) >> 32).unwrap_or(0);
    let mut mean = || {
        let sum: f64 = values.iter().map(|_| values[draw()]).sum();
        sum / values.len() as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| mean()).collect();
    Interval {
        low: quantile(&mut means, 25),
        high: quantile(&mut means, 975),
        method: Method::Bootstrap,
    }
}

/// Of `thousandths`; what `numpy.percentile` gives. Reorders the values.
fn quantile(values: &mut [f64], thousandths: usize) -> f64 {
    let place = (values.len() - 1) * thousandths;
    let (below, rest) = (place / 1000, (place % 1000) as f64 / 1000.0);
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let next = above.iter().copied().min_by(f64::total_cmp);
    next.map_or(*low, |next| *low + (next - *low) * rest)
}

#[cfg(test)]
mod tests;
