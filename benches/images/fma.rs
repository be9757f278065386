//! The most f32 multiply-adds that all cores can do: loops of independent ones
//! in registers.
#![expect(
    unsafe_code,
    reason = "wider registers may be used only where the processor has them"
)]

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

const ROUNDS: u64 = 20_000_000;
/// Enough to hide the latency of one behind the others.
const CHAINS: usize = 12;

/// How wide the registers are.
pub(crate) fn kind() -> &'static str {
    widest().0
}

/// GFLOP/s of all threads at once, a multiplication and an addition counted
/// apart: the best of three.
pub(crate) fn peak() -> f64 {
    let (_, lanes, run) = widest();
    let threads = rayon::current_num_threads();
    let once = || {
        let start = Instant::now();
        let sum: f32 = (0..threads).into_par_iter().map(|_| run()).sum();
        black_box(sum);
        let operations = 2.0 * (ROUNDS * lanes * CHAINS as u64) as f64 * threads as f64;
        operations / start.elapsed().as_secs_f64() / 1e9
    };
    (0..3).map(|_| once()).fold(0.0, f64::max)
}

type Loop = (&'static str, u64, fn() -> f32);

#[cfg(target_arch = "x86_64")]
fn widest() -> Loop {
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has AVX2 and FMA, as was just asked.
        return ("AVX2", 8, || unsafe { avx2() });
    }
    ("without vectors", 1, scalar)
}

#[cfg(not(target_arch = "x86_64"))]
fn widest() -> Loop {
    ("without vectors", 1, scalar)
}

fn scalar() -> f32 {
    let mut sums = [0.0f32; CHAINS];
    let (a, b) = (black_box(0.999_f32), black_box(0.001_f32));
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = *sum * a + b;
        }
    }
    sums.iter().sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2() -> f32 {
    use std::arch::x86_64::{_mm256_cvtss_f32, _mm256_fmadd_ps, _mm256_set1_ps};
    let (a, b) = (
        _mm256_set1_ps(black_box(0.999)),
        _mm256_set1_ps(black_box(0.001)),
    );
    let mut sums = [_mm256_set1_ps(0.0); CHAINS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, a, b);
        }
    }
    sums.iter().map(|sum| _mm256_cvtss_f32(*sum)).sum()
}
