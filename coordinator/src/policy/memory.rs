//! Peak memory and cores that tasks are expected to use, learned from earlier
//! tasks of the same kind and about the same size.

use std::collections::BTreeMap;

use ablate_proto::capacity::{SLOT, Used};

use super::Class;

/// What is known of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Peak {
    /// Bytes.
    pub(crate) memory: f64,
    pub(crate) cores: f64,
}

/// A running estimate for each class.
#[derive(Debug, Default, Clone)]
pub(crate) struct Peaks {
    classes: BTreeMap<Class, Peak>,
}

/// Weight of a newest peak that is lower: higher ones count at once, since
/// too much memory costs a wait and too little a computation.
const GAIN: f64 = 0.1;
/// Tasks of a class are not all alike.
const MARGIN: f64 = 1.125;

impl Peaks {
    /// Bytes that a task of this class is expected to need, and its cores,
    /// once a task of its kind was measured: of the nearest size, if none was
    /// of its own.
    pub(crate) fn expected(&self, class: Class) -> Option<(u64, f64)> {
        let scales = |scale| Class { scale, ..class };
        let of_kind = self.classes.range(scales(i8::MIN)..=scales(i8::MAX));
        let nearest = of_kind.min_by_key(|(c, _)| c.scale.abs_diff(class.scale));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, and is never negative"
        )]
        nearest.map(|(_, peak)| ((peak.memory * MARGIN) as u64, peak.cores * MARGIN))
    }

    /// Learns from a finished task that was measured.
    pub(crate) fn observe(&mut self, class: Class, used: Used) {
        if used.memory == 0 {
            return;
        }
        let (memory, cores) = (used.memory as f64, f64::from(used.cores));
        let peak = self.classes.entry(class);
        let peak = peak.or_insert(Peak { memory, cores });
        peak.memory = toward(peak.memory, memory);
        peak.cores = toward(peak.cores, cores);
    }

    /// What was learned of a class, to be kept.
    pub(crate) fn get(&self, class: Class) -> Option<Peak> {
        self.classes.get(&class).copied()
    }

    /// Takes in what was kept.
    pub(crate) fn restore(&mut self, class: Class, memory: f64, cores: f64) {
        self.classes.insert(class, Peak { memory, cores });
    }
}

fn toward(known: f64, new: f64) -> f64 {
    if new >= known {
        new
    } else {
        known + GAIN * (new - known)
    }
}

/// The share of a slot of `threads` cores that a task takes: no more than it
/// uses, but never so little that more than `pack` would share the slot.
pub(crate) fn share(cores: Option<f64>, threads: u32, pack: u32) -> u32 {
    let least = (SLOT / pack.max(1)).max(1);
    let Some(cores) = cores else {
        return SLOT;
    };
    let part = (cores / f64::from(threads.max(1))).clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and SLOT"
    )]
    let used = (part * f64::from(SLOT)).ceil() as u32;
    used.clamp(least, SLOT)
}

#[cfg(test)]
mod tests {
    use ablate_proto::stage::StageKind;

    use super::*;

    fn class(scale: i8) -> Class {
        let kind = StageKind::Arvm;
        Class { kind, scale }
    }

    fn used(memory: u64) -> Used {
        Used { memory, cores: 1.0 }
    }

    #[test]
    fn more_counts_at_once_and_less_by_and_by() {
        let mut peaks = Peaks::default();
        assert_eq!(peaks.expected(class(3)), None);
        peaks.observe(class(3), used(0));
        assert_eq!(peaks.expected(class(3)), None);
        peaks.observe(class(3), used(800));
        peaks.observe(class(3), used(1600));
        assert_eq!(peaks.expected(class(3)), Some((1800, 1.125)));
        // Another size, until one of it was measured.
        assert_eq!(peaks.expected(class(9)), Some((1800, 1.125)));
        peaks.observe(class(3), used(600));
        assert_eq!(peaks.expected(class(3)), Some((1687, 1.125)));
    }

    #[test]
    fn shares_are_between_a_whole_slot_and_its_smallest_part() {
        assert_eq!(share(None, 4, 4), SLOT);
        assert_eq!(share(Some(0.0), 4, 4), SLOT / 4);
        assert_eq!(share(Some(2.0), 4, 4), SLOT / 2);
        // So many fit.
        assert!((1..=64).all(|pack| share(Some(0.0), 1, pack) * pack <= SLOT));
        assert_eq!(share(Some(9.0), 4, 4), SLOT);
        assert_eq!(share(Some(0.5), 4, 1), SLOT);
    }
}
