//! Critical path first: a task is as urgent as the longest chain of expected
//! durations that starts with it.

use std::time::Duration;

/// No task counts for more than a year.
const MOST_MILLIS: u64 = 365 * 24 * 3600 * 1000;

/// Milliseconds that a task adds to the chains through it. A kind that was
/// never measured counts as a second.
pub(crate) fn weight(estimate: Option<f64>) -> u64 {
    let expected = Duration::try_from_secs_f64(estimate.unwrap_or(1.0)).unwrap_or_default();
    // At least 1, so that chains of very short tasks still count.
    u64::try_from(expected.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, MOST_MILLIS)
}

/// Tasks of this expected duration (seconds) that may queue behind each slot,
/// so that it need not wait for a round trip: a tenth of a second's worth.
/// Long ones do not queue, since another worker may be free first.
pub(crate) fn prefetch(estimate: Option<f64>) -> usize {
    const MOST: usize = 128;
    match estimate {
        None => 0,
        Some(seconds) if seconds > 2.0 => 0,
        Some(seconds) => (1..MOST)
            .find(|n| *n as f64 * seconds >= 0.1)
            .unwrap_or(MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_tasks_queue_and_long_ones_do_not() {
        assert_eq!(prefetch(None), 0);
        assert_eq!(prefetch(Some(60.0)), 0);
        assert_eq!(prefetch(Some(1.0)), 1);
        assert_eq!(prefetch(Some(0.03)), 4);
        assert_eq!(prefetch(Some(0.0)), 128);
    }

    #[test]
    fn weights_are_milliseconds_and_never_nothing() {
        assert_eq!(weight(None), 1000);
        assert_eq!(weight(Some(0.0)), 1);
        assert_eq!(weight(Some(2.5)), 2500);
        assert_eq!(weight(Some(f64::INFINITY)), 1);
    }
}
