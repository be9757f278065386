//! Runs loops compiled for wider vectors where the processor has them. Results
//! are the same bits: nothing is reordered or contracted.

#![expect(
    unsafe_code,
    reason = "a function compiled for more than the baseline may only be called where it was detected"
)]

/// Calls `f`, compiled for AVX2 if there is such. `f` must be inlined.
#[inline]
pub(super) fn wide<T>(f: impl FnOnce() -> T) -> T {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: detected just now.
        return unsafe { avx2(f) };
    }
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn avx2<T>(f: impl FnOnce() -> T) -> T {
    f()
}
