//! Figures of vectors by threshold, of curves between their extremes, and
//! rows quoted from papers.

use ablate_proto::artifact::{Direction, MetricRow, THRESHOLDS_DB};
use ablate_proto::stage::StageKind;
use serde_json::json;

use super::fixture::Fixture;
use super::{ladder, report};

fn thresholds() -> serde_json::Value {
    json!({"kind": "thresholds", "title": "t", "stage": "run", "metrics": ["copies_by_db"]})
}

fn by_db(share: impl Fn(u32) -> f64) -> MetricRow {
    MetricRow::vector("copies_by_db", "", THRESHOLDS_DB.map(share).collect()).over(100)
}

/// What stands between the opening of the first chart and its end.
fn chart(html: &str) -> &str {
    let start = html.find("<svg class=\"chart\"").expect("a chart");
    let end = html[start..].find("</svg>").expect("its end");
    &html[start..start + end]
}

#[tokio::test]
async fn thresholds_are_a_line_a_point_with_the_mean_over_seeds() {
    let fixture = ladder(3).figure(thresholds());
    for (task, at, seed) in fixture.tasks("run") {
        let x = at["x"].as_f64().expect("number");
        let share = move |db: u32| (f64::from(40 - db) * x + seed as f64) / 100.0;
        fixture.done(task, vec![by_db(share)], &[]).await;
    }
    let read = report(fixture.save().await).await;
    let chart = chart(&read.html);
    let lines = chart.matches("<polyline").count();
    assert!(lines >= 3, "{lines}");
    // Three points at five marked thresholds each.
    assert_eq!(chart.matches("<title>").count(), 15);
    // x = 3 at 30 dB: 0.30, 0.31 and 0.32.
    assert!(chart.contains("x = 3 above 30 dB: 0.310"), "{chart}");
    assert!(
        read.html
            .contains("Whiskers: 95% interval over seeds (bootstrap)")
    );
}

#[tokio::test]
async fn an_axis_that_changes_nothing_is_one_line() {
    let axes = [("x", json!([1, 2])), ("rule", json!([1, 2, 3]))];
    let stages: &[_] = &[("run", StageKind::Noop, &[][..], &["x", "rule"][..])];
    let fixture = Fixture::new(&axes, 1, stages).figure(thresholds());
    for (task, at, _) in fixture.tasks("run") {
        let x = at["x"].as_f64().expect("number");
        let row = by_db(move |db| f64::from(40 - db) * x / 100.0);
        fixture.done(task, vec![row], &[]).await;
    }
    let read = report(fixture.save().await).await;
    assert!(read.html.contains("The same at every rule."));
    assert_eq!(chart(&read.html).matches("<title>").count(), 10);
}

#[tokio::test]
async fn thresholds_without_a_value_say_why() {
    let fixture = ladder(1).figure(thresholds());
    for (task, ..) in fixture.tasks("run") {
        let row = MetricRow::skipped("copies_by_db", "the dataset keeps no images back");
        fixture.done(task, vec![row], &[]).await;
    }
    let read = report(fixture.save().await).await;
    let why = "Not drawn: copies by dB: no value at 3 of 3 points (skipped: the dataset keeps no images back).";
    assert!(read.html.contains(why));
}

#[tokio::test]
async fn normalised_curves_go_from_zero_to_one_and_name_their_extremes() {
    let fixture = ladder(1).figure(json!({
        "kind": "normalised", "title": "n", "stage": "run", "metrics": ["error", "distance", "flat"],
        "quoted": [{"name": "MNIST, Gaussian", "source": "Table 6", "values": {"error": "1.89 / 45.13", "FID": "3.2"}}],
    }));
    for (task, at, _) in fixture.tasks("run") {
        let x = at["x"].as_f64().expect("number");
        let mut curves = Vec::new();
        for i in 0..=10_u32 {
            let error = MetricRow::scalar(
                "error",
                "",
                Direction::Down,
                x * (4.0 - 0.25 * f64::from(i)),
            );
            let distance =
                MetricRow::scalar("distance", "", Direction::Up, 100.0 * x + f64::from(i));
            let flat = MetricRow::scalar("flat", "", Direction::Up, 7.0);
            for row in [error, distance, flat] {
                curves.extend(serde_json::to_vec(&row.at(u64::from(i))).expect("row"));
                curves.push(b'\n');
            }
        }
        fixture
            .done(task, vec![], &[("metrics.jsonl", curves)])
            .await;
    }
    let read = report(fixture.save().await).await;
    assert_eq!(read.html.matches("between each run’s extremes").count(), 3);
    for extremes in ["1.500 / 4", "300 / 310", "4.500 / 12"] {
        assert!(read.html.contains(extremes), "{extremes}");
    }
    assert!(read.html.contains("flat of x = 1 never changes"));
    for text in [
        "Quoted from papers, not measured here",
        "quoted: Table 6",
        "1.89 / 45.13",
    ] {
        assert!(read.html.contains(text), "{text}");
    }
    let quoted = &read.json["figures"][0]["quoted"][0];
    assert_eq!(quoted["values"]["FID"], "3.2");
}
