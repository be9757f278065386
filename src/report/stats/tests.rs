use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;

#[test]
fn wilson_stays_within_zero_and_one_and_around_the_rate() {
    let all = wilson(1.0, 512).expect("a rate");
    assert!(
        all.high == 1.0 && (all.low - 0.992_55).abs() < 1e-4,
        "{all:?}"
    );
    let none = wilson(0.0, 10).expect("a rate");
    assert!(none.low == 0.0 && (none.high - 0.2775).abs() < 1e-3);
    assert_eq!(wilson(0.5, 0), None);
}

#[test]
fn only_multiples_of_one_nth_are_rates() {
    assert!(is_rate(419.0 / 512.0, "", 512));
    assert!(!is_rate(0.831_7, "", 256));
    assert!(!is_rate(0.5, "dB", 2));
}

/// With quantiles from tables of Student's distribution.
#[test]
fn students_intervals_are_those_of_tables() {
    for (n, t) in [
        (3, 4.302_653),
        (5, 2.776_445),
        (10, 2.262_157),
        (19, 2.100_922),
    ] {
        let values: Vec<f64> = (0..n).map(f64::from).collect();
        let found = student(&values).expect("an interval");
        let n = f64::from(n);
        let (mean, deviation) = ((n - 1.0) / 2.0, (n * (n + 1.0) / 12.0).sqrt());
        let half = t * deviation / n.sqrt();
        assert!((found.low - (mean - half)).abs() < 1e-5, "{n}: {found:?}");
        assert!((found.high - (mean + half)).abs() < 1e-5, "{n}: {found:?}");
        assert_eq!(found.method, Method::Student);
    }
}

#[test]
fn students_interval_is_for_few_values_that_are_finite() {
    assert_eq!(student(&[1.0, 2.0]), None);
    assert_eq!(student(&[1.0; MANY]), None);
    assert_eq!(student(&[1e308, -1e308, 1e308]), None);
    let equal = student(&[0.1; 5]).expect("an interval");
    assert!(equal.half() < 1e-15);
}

/// Normal values, by Box and Muller.
struct Normal(ChaCha8Rng);

impl Normal {
    fn draw(&mut self) -> f64 {
        let mut uniform = || (f64::from(self.0.next_u32()) + 0.5) / 4_294_967_296.0;
        let (radius, angle) = (uniform(), uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

/// Share of 4,000 trials in which the interval of `n` values holds `truth`.
fn coverage(truth: f64, mut trial: impl FnMut() -> Vec<f64>) -> f64 {
    const TRIALS: u32 = 4000;
    let held = |_: &u32| {
        let interval = student(&trial()).expect("an interval");
        (interval.low..=interval.high).contains(&truth)
    };
    (0..TRIALS).filter(held).count() as f64 / f64::from(TRIALS)
}

/// The standard error of such a share is 0.0034.
#[test]
fn students_interval_holds_the_mean_in_nineteen_of_twenty_cases() {
    for n in [3, 5, 10] {
        let mut normal = Normal(ChaCha8Rng::seed_from_u64(n));
        let share = coverage(7.0, || (0..n).map(|_| 7.0 + 2.0 * normal.draw()).collect());
        assert!((0.94..0.96).contains(&share), "{n} values: {share}");
        // Differences within seeds, which share noise fifty times as large.
        let share = coverage(0.3, || {
            let pair = |_| {
                let shared = 100.0 * normal.draw();
                let (from, to) = (shared + 2.0 * normal.draw(), shared + 0.3 + normal.draw());
                to - from
            };
            (0..n).map(pair).collect()
        });
        assert!((0.94..0.96).contains(&share), "{n} pairs: {share}");
    }
}
