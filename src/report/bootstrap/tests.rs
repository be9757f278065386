use super::*;

fn interval(values: &[f64]) -> Interval {
    let known = Bootstraps::default();
    let keys = std::iter::empty();
    known
        .of_mean("a metric", keys, values)
        .expect("an interval")
}

/// The ends are `scipy.stats.bootstrap(…, np.mean, method="percentile")`'s of
/// SciPy 1.17.1 with a million resamples. The room is the largest distance
/// between ends of 60 of its runs with 10,000 resamples.
#[test]
fn intervals_are_those_of_scipy() {
    let twenty = [
        5.691, 6.643, 5.661, 2.394, 6.811, 5.893, 3.926, 6.162, 5.729, 5.588, 5.057, 6.093, 3.527,
        4.674, 4.036, 6.198, 5.079, 4.415, 3.436, 4.486,
    ];
    let cases: [(&[f64], f64, f64, f64); 5] = [
        (&[1.0, 2.0, 3.0], 1.0, 3.0, 1e-9),
        (
            &[0.8164, 0.8301, 0.7988, 0.8457, 0.8223],
            0.808_58,
            0.836_34,
            0.000_8,
        ),
        (
            &[27.65, 25.05, 22.66, 30.1, 28.4, 26.2, 24.9, 27.0],
            24.983_75,
            27.981_25,
            0.077,
        ),
        (&[-3.0, 0.0, 0.0, 0.0, 12.0], -1.8, 7.2, 1e-9),
        (&twenty, 4.555_35, 5.564_85, 0.036),
    ];
    for (values, low, high, room) in cases {
        let found = interval(values);
        let near = (found.low - low).abs() <= room && (found.high - high).abs() <= room;
        assert!(near, "{values:?}: {found:?}, not [{low}, {high}]");
        assert_eq!(found.method, Method::Bootstrap);
    }
}

#[test]
fn quantiles_are_those_of_numpy() {
    let mut values = [5.0, 1.0, 4.0, 2.0];
    assert!((quantile(&mut values, 25) - 1.075).abs() < 1e-12);
    assert!((quantile(&mut values, 975) - 4.925).abs() < 1e-12);
}

#[test]
fn fewer_than_three_values_have_no_interval_and_equal_ones_no_width() {
    let known = Bootstraps::default();
    for values in [&[][..], &[1.0], &[1.0, 2.0]] {
        assert_eq!(known.of_mean("m", std::iter::empty(), values), None);
    }
    let equal = interval(&[0.1; 5]);
    assert_eq!(equal.low, equal.high);
}

#[test]
fn the_same_results_give_the_same_interval_and_others_draw_anew() {
    let values: Vec<f64> = (0..9).map(|i| f64::from(i * i) / 7.0).collect();
    assert_eq!(interval(&values), interval(&values));
    let known = Bootstraps::default();
    let one = known.of_mean("a metric", std::iter::empty(), &values);
    let other = known.of_mean("another", std::iter::empty(), &values);
    assert_ne!(one, other);
}
