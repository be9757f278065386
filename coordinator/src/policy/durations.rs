//! Expected durations, learned from those of earlier tasks of the same kind.

use std::collections::BTreeMap;

use ablate_proto::stage::StageKind;

/// A running estimate per stage kind.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(crate) struct Durations {
    kinds: BTreeMap<StageKind, Estimate>,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
struct Estimate {
    seconds: f64,
    /// The estimate that ranks were last computed with.
    ranked: f64,
}

/// Weight of the newest duration.
const GAIN: f64 = 0.2;

impl Durations {
    /// Expected seconds of a stage of this kind, once one was measured.
    pub(crate) fn estimate(&self, kind: StageKind) -> Option<f64> {
        self.kinds.get(&kind).map(|e| e.seconds)
    }

    /// Learns from a finished task. True if the estimate has moved so far
    /// that the order of tasks may have changed.
    pub(crate) fn observe(&mut self, kind: StageKind, seconds: f64) -> bool {
        let Some(estimate) = self.kinds.get_mut(&kind) else {
            let ranked = seconds;
            self.kinds.insert(kind, Estimate { seconds, ranked });
            return true;
        };
        estimate.seconds += GAIN * (seconds - estimate.seconds);
        let moved = estimate.seconds > 2.0 * estimate.ranked + 0.05
            || estimate.ranked > 2.0 * estimate.seconds + 0.05;
        if moved {
            estimate.ranked = estimate.seconds;
        }
        moved
    }
}
