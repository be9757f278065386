//! Critical path first: a task is as urgent as the longest chain of expected
//! durations that starts with it.

/// Milliseconds that a task adds to the chains through it. A kind that was
/// never measured counts as a second.
pub(crate) fn weight(estimate: Option<f64>) -> u64 {
    let millis = estimate.unwrap_or(1.0) * 1e3;
    // Saturating by definition of float casts; at least 1, so that chains of
    // very short tasks still count.
    (millis as u64).max(1)
}

/// Tasks of this expected duration (seconds) that may queue behind each slot,
/// so that it need not wait for a round trip. Long ones do not queue: another
/// worker may be free first.
pub(crate) fn prefetch(estimate: Option<f64>) -> usize {
    match estimate {
        None => 0,
        Some(seconds) if seconds > 2.0 => 0,
        Some(seconds) => ((0.1 / seconds.max(1e-3)).ceil() as usize).clamp(1, 64),
    }
}
