//! Random numbers without state: a stream is named by (seed, purpose, index),
//! so that a resumed run, another shard or another worker draws the same ones.
//!
//! ChaCha8 keyed by blake3 of the name. The conversions to floats are written
//! out, since libraries change theirs between versions.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use super::narrow;

pub(crate) struct Stream(ChaCha8Rng);

/// The stream of `index` (a step, an epoch, an image) for one purpose.
pub(crate) fn stream(seed: u64, purpose: &str, index: u64) -> Stream {
    let mut hasher = blake3::Hasher::new_derive_key("ablate random stream v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&index.to_le_bytes());
    hasher.update(purpose.as_bytes());
    Stream(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
}

impl Stream {
    /// One of the many streams beside this one, from its start.
    pub(crate) fn part(&self, part: u64) -> Self {
        let mut rng = self.0.clone();
        rng.set_stream(part + 1);
        rng.set_word_pos(0);
        Self(rng)
    }

    /// Uniform words.
    pub(crate) fn fill(&mut self, words: &mut [u32]) {
        words.iter_mut().for_each(|word| *word = self.0.next_u32());
    }

    /// Uniform in (−1, 1), never 0: odd multiples of 2⁻²⁴.
    pub(crate) fn signed(&mut self) -> f32 {
        let odd = 2 * (self.0.next_u32() >> 8) + 1;
        narrow(f64::from(odd) / f64::from(1u32 << 24) - 1.0)
    }

    /// Uniform in [0, 1), 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in 0..n, without bias.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "a draw from nothing");
        let unbiased = u64::MAX - u64::MAX % n;
        loop {
            let draw = self.0.next_u64();
            if draw < unbiased {
                return draw % n;
            }
        }
    }

    /// Two independent standard normals, by Box and Muller.
    pub(crate) fn normal_pair(&mut self) -> (f32, f32) {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * self.unit());
        (narrow(radius * cos), narrow(radius * sin))
    }

    /// `count` independent standard normals.
    pub(crate) fn normals(&mut self, count: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(count + 1);
        while out.len() < count {
            let (a, b) = self.normal_pair();
            out.extend([a, b]);
        }
        out.truncate(count);
        out
    }

    /// A permutation of 0..n, by Fisher and Yates.
    pub(crate) fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            let other = self.below(last as u64 + 1);
            order.swap(last, usize::try_from(other).unwrap_or(last));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_every_part_of_their_name() {
        let first = |seed, purpose: &str, index| stream(seed, purpose, index).below(u64::MAX);
        let base = first(1, "noise", 2);
        assert_eq!(base, first(1, "noise", 2));
        for other in [
            first(2, "noise", 2),
            first(1, "init", 2),
            first(1, "noise", 3),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut s = stream(0, "moments", 0);
        let n = 200_000;
        let (mut sum, mut square) = (0.0, 0.0);
        for _ in 0..n / 2 {
            let (a, b) = s.normal_pair();
            for v in [f64::from(a), f64::from(b)] {
                sum += v;
                square += v * v;
            }
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.01, "{}", sum / n);
        assert!((square / n - 1.0).abs() < 0.02, "{}", square / n);
        assert!((0..1000).all(|_| s.signed().abs() < 1.0));
        let mut seen = s.permutation(50);
        seen.sort_unstable();
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
    }
}
