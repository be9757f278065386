//! Expected durations, learned from those of earlier tasks of the same kind
//! and about the same size.

use std::collections::BTreeMap;

use ablate_proto::stage::StageKind;
use ablate_proto::task::SealedTask;

/// Tasks of a kind whose work lies within a factor of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Class {
    pub(crate) kind: StageKind,
    /// Binary logarithm of the work.
    pub(crate) scale: i8,
}

impl Class {
    pub(crate) fn of(task: &SealedTask) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "work is at most 1e30")]
        let scale = task.work.max(1.0).log2() as i8;
        let kind = task.kind;
        Self { kind, scale }
    }
}

/// A running estimate for each class.
#[derive(Debug, Default, Clone)]
pub(crate) struct Durations {
    classes: BTreeMap<Class, Estimate>,
}

/// What is known of the durations of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// Of a task of `work`.
    pub(crate) seconds: f64,
    pub(crate) work: f64,
    /// Mean distance of a duration from its estimate, as a share of it.
    pub(crate) spread: f64,
    /// The estimate that ranks were last computed with.
    ranked: f64,
}

/// Weight of the newest duration.
const GAIN: f64 = 0.2;
/// The share that an estimate may be wrong by, while nothing else is known:
/// after one duration, and for sizes that were never run.
const FIRST: f64 = 0.25;
const OTHER_SIZE: f64 = 0.5;

impl Durations {
    /// Expected seconds of a task of this class with so much work, and the
    /// share by which they may be wrong, once a task of its kind was measured.
    /// Where none was of its size, the nearest size says what a unit of work
    /// takes.
    pub(crate) fn estimate(&self, class: Class, work: f64) -> Option<(f64, f64)> {
        let scales = |scale| Class { scale, ..class };
        let of_kind = self.classes.range(scales(i8::MIN)..=scales(i8::MAX));
        let nearest = of_kind.min_by_key(|(c, _)| c.scale.abs_diff(class.scale));
        nearest.map(|(found, e)| {
            let unit = e.seconds / e.work.max(1.0);
            let wrong = if *found == class { 0.0 } else { OTHER_SIZE };
            (unit * work.max(1.0), e.spread.max(wrong))
        })
    }

    /// Expected seconds of a typical task of this class.
    pub(crate) fn typical(&self, class: Class) -> Option<f64> {
        match self.classes.get(&class) {
            Some(estimate) => Some(estimate.seconds),
            None => {
                let work = 1.5 * f64::from(class.scale).exp2();
                self.estimate(class, work).map(|(seconds, _)| seconds)
            }
        }
    }

    /// Expected seconds of a typical task of the class whose tasks are
    /// shortest.
    pub(crate) fn shortest(&self) -> Option<f64> {
        let seconds = self.classes.values().map(|estimate| estimate.seconds);
        seconds.min_by(f64::total_cmp)
    }

    /// Learns from a finished task. True if the estimate has moved so far
    /// that the order of tasks may have changed.
    pub(crate) fn observe(&mut self, class: Class, work: f64, seconds: f64) -> bool {
        let Some(estimate) = self.classes.get_mut(&class) else {
            let first = Estimate {
                seconds,
                work,
                spread: FIRST,
                ranked: seconds,
            };
            self.classes.insert(class, first);
            return true;
        };
        let expected = estimate.seconds / estimate.work.max(1.0) * work.max(1.0);
        let off = (seconds - expected).abs() / expected.max(1e-9);
        estimate.spread += GAIN * (off.min(10.0) - estimate.spread);
        estimate.seconds += GAIN * (seconds - estimate.seconds);
        estimate.work += GAIN * (work - estimate.work);
        let moved = estimate.seconds > 2.0 * estimate.ranked + 0.05
            || estimate.ranked > 2.0 * estimate.seconds + 0.05;
        if moved {
            estimate.ranked = estimate.seconds;
        }
        moved
    }

    /// Everything learned, to be kept.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Class, Estimate)> {
        self.classes.iter().map(|(class, e)| (*class, *e))
    }

    /// Takes in what was kept.
    pub(crate) fn restore(&mut self, class: Class, seconds: f64, work: f64, spread: f64) {
        let ranked = seconds;
        let estimate = Estimate {
            seconds,
            work,
            spread,
            ranked,
        };
        self.classes.insert(class, estimate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_class_is_known_once_one_was_measured() {
        let mut durations = Durations::default();
        assert_eq!(durations.shortest(), None);
        let class = |scale| Class {
            kind: StageKind::Noop,
            scale,
        };
        durations.observe(class(1), 1.0, 3.0);
        durations.observe(class(2), 1.0, 2.0);
        durations.observe(class(3), 1.0, 4.0);
        assert_eq!(durations.shortest(), Some(2.0));
    }

    fn class(scale: i8) -> Class {
        let kind = StageKind::Arvm;
        Class { kind, scale }
    }

    #[test]
    fn a_short_training_says_little_of_a_long_one_and_its_unit_is_scaled() {
        let mut durations = Durations::default();
        assert_eq!(durations.estimate(class(9), 512.0), None);
        assert!(durations.observe(class(9), 512.0, 10.0));
        assert_eq!(durations.estimate(class(9), 512.0), Some((10.0, 0.25)));
        assert_eq!(durations.estimate(class(12), 5120.0), Some((100.0, 0.5)));
        durations.observe(class(12), 5120.0, 300.0);
        // Neither learns from the other any more.
        assert_eq!(durations.estimate(class(9), 512.0), Some((10.0, 0.25)));
        assert_eq!(durations.estimate(class(12), 5120.0), Some((300.0, 0.25)));
    }

    #[test]
    fn steady_durations_narrow_the_spread() {
        let mut durations = Durations::default();
        for _ in 0..20 {
            durations.observe(class(3), 8.0, 2.0);
        }
        let (seconds, spread) = durations.estimate(class(3), 8.0).unwrap();
        assert!((seconds - 2.0).abs() < 1e-9 && spread < 0.01);
    }
}
