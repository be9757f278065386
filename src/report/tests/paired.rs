//! Intervals over seeds, and differences that are paired by seed.

use ablate_proto::failure::FailureClass;
use ablate_proto::stage::StageKind;
use serde_json::{Value, json};

use super::fixture::Fixture;
use super::{expectation, ladder, plain, report, score};

/// Large differences between seeds, small ones along x.
fn noisy(x: f64, seed: u64) -> f64 {
    let turn = |i: u64| usize::try_from(i % 5).expect("small");
    let place = (1..=3_u64).find(|i| *i as f64 == x).expect("1, 2 or 3");
    let shared = [0.0, 40.0, -25.0, 10.0, 31.0][turn(seed)];
    let own = [0.1, -0.1, 0.2, 0.0, -0.2][turn(seed + place)];
    shared + x + own
}

fn differences(json: &Value) -> &Vec<Value> {
    let along = &json["tables"][0]["differences"][0];
    assert_eq!(along["axis"], "x");
    along["steps"].as_array().expect("steps")
}

#[tokio::test]
async fn differences_within_seeds_see_what_intervals_of_means_do_not() {
    let fixture = ladder(5).expect(expectation(&json!({"above": -100.0})));
    score(&fixture, noisy).await;
    let read = report(fixture.save().await).await;
    let rows = read.json["tables"][0]["rows"].as_array().expect("rows");
    let end = |row: &Value, end| row["interval"][end].as_f64().expect("an end");
    assert_eq!(rows[0]["interval"]["method"], "bootstrap");
    assert!(end(&rows[0], "high") > end(&rows[1], "low"), "they overlap");

    let steps = differences(&read.json);
    assert_eq!(steps.len(), 2);
    for (i, step) in steps.iter().enumerate() {
        let found = &step["differences"][0];
        let (from, to) = (i as f64 + 1.0, i as f64 + 2.0);
        let mean: f64 = (0..5).map(|s| noisy(to, s) - noisy(from, s)).sum::<f64>() / 5.0;
        assert!((found["mean"].as_f64().expect("mean") - mean).abs() < 1e-9);
        assert_eq!(found["pairs"], 5);
        assert_eq!(found["seeds"], json!([0, 1, 2, 3, 4]));
        assert!(
            end(found, "low") > 0.5 && end(found, "high") < 1.5,
            "{found}"
        );
        assert_eq!(
            (step["from"].as_f64(), step["to"].as_f64()),
            (Some(from), Some(to))
        );
    }
    assert!(read.html.contains("Differences along x, seed by seed"));
    assert!(read.html.contains("5 pairs") && read.html.contains("1 → 2"));
    assert!(read.tex.contains("95\\% interval") && read.tex.contains("x 1 \\ensuremath{\\to} 2"));

    let mut reader = csv::Reader::from_reader(read.differences.as_slice());
    let table: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows");
    assert_eq!(table.len(), 2);
    assert_eq!(&table[1][2], "2");
    assert_eq!(
        table[1][7].parse::<f64>().ok(),
        steps[1]["differences"][0]["mean"].as_f64()
    );
    assert_eq!(&table[1][11], "0 1 2 3 4");
    // Student's: wider than the bootstrap's of five, and around the same mean.
    for (row, step) in table.iter().zip(steps) {
        let student = &step["differences"][0]["student"];
        assert_eq!(student["method"], "student");
        let number = |i: usize| row[i].parse::<f64>().expect("number");
        assert!(number(13) < number(8) && number(14) > number(9), "{row:?}");
        assert!(((number(13) + number(14)) / 2.0 - number(7)).abs() < 1e-9);
        assert_eq!(Some(number(13)), student["low"].as_f64());
    }
    let mut reader = csv::Reader::from_reader(read.means.as_slice());
    let means: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows");
    assert_eq!(means.len(), 3);
    for (mean, row) in means.iter().zip(rows) {
        for (i, value) in [
            (4, &row["mean"]),
            (5, &row["interval"]["low"]),
            (9, &row["student"]["low"]),
        ] {
            assert_eq!(mean[i].parse::<f64>().ok(), value.as_f64(), "{mean:?}");
        }
        assert_eq!((&mean[0], &mean[8]), ("run", "5"));
    }
    assert!(read.html.contains("<span class=\"interval\">t [") && read.tex.contains("& t ["));
}

#[tokio::test]
async fn two_seeds_have_no_interval_and_the_page_says_so() {
    let fixture = ladder(2);
    score(&fixture, noisy).await;
    let read = report(fixture.save().await).await;
    assert!(read.html.contains("2 seeds: no interval"));
    assert!(read.json["tables"][0]["rows"][0]["interval"].is_null());
    assert!(read.json["tables"][0]["rows"][0]["student"].is_null());
    let found = &differences(&read.json)[0]["differences"][0];
    assert!(found["interval"].is_null() && found["mean"].is_number());
}

#[tokio::test]
async fn one_seed_has_no_pairs() {
    let fixture = ladder(1);
    score(&fixture, noisy).await;
    let read = report(fixture.save().await).await;
    assert_eq!(read.json["tables"][0]["differences"], json!([]));
    assert!(!read.html.contains("seed by seed"));
}

#[tokio::test]
async fn seeds_that_do_not_match_are_refused_with_the_reason() {
    let mut fixture = ladder(4);
    fixture
        .plan
        .points
        .retain(|p| p.coordinates["x"] != 2 || p.seed < 3);
    score(&fixture, noisy).await;
    let read = report(fixture.save().await).await;
    for step in differences(&read.json) {
        let found = &step["differences"][0];
        assert!(found["mean"].is_null() && found["pairs"] == 0, "{found}");
        let why = found["why"].as_str().expect("why");
        assert!(
            why.starts_with("their seeds do not match: seeds 0, 1, 2"),
            "{why}"
        );
    }
    assert!(read.html.contains("their seeds do not match"));
}

#[tokio::test]
async fn a_lost_seed_leaves_its_pair_out_and_is_named() {
    let mut fixture = ladder(4);
    for (task, at, seed) in fixture.tasks("run") {
        if at["x"] == 2 && seed == 3 {
            fixture.failed(task, FailureClass::Bug, "NaN loss");
            continue;
        }
        let x = at["x"].as_f64().expect("number");
        let row = plain("score", noisy(x, seed));
        fixture.done(task, vec![row], &[]).await;
    }
    let read = report(fixture.save().await).await;
    let found = &differences(&read.json)[0]["differences"][0];
    assert_eq!(
        (&found["pairs"], &found["seeds"]),
        (&json!(3), &json!([0, 1, 2]))
    );
    let why = found["why"].as_str().expect("why");
    assert!(why.contains("seed 3") && why.contains("NaN loss"), "{why}");
}

#[tokio::test]
async fn tasks_that_seeds_share_are_one_pair() {
    let axes = [("x", json!([1, 2])), ("y", json!([1, 2]))];
    let stages: &[_] = &[("run", StageKind::Noop, &[][..], &["x", "y"][..])];
    let mut fixture = Fixture::new(&axes, 3, stages);
    // Along x at y = 1 all seeds share one task.
    let first = fixture.plan.points.clone();
    for point in &mut fixture.plan.points {
        let same = |p: &&ablate_coordinator::sweep::plan::Point| {
            p.coordinates == point.coordinates && p.seed == 0
        };
        if point.coordinates["y"] == 1 {
            point.tasks = first.iter().find(same).expect("seed 0").tasks.clone();
        }
    }
    score(&fixture, noisy).await;
    let read = report(fixture.save().await).await;
    let steps = differences(&read.json);
    assert_eq!(steps.len(), 2);
    for step in steps {
        let shared = step["others"]["y"] == 1;
        let pairs = if shared { 1 } else { 3 };
        assert_eq!(step["differences"][0]["pairs"], pairs, "{step}");
        assert_eq!(step["differences"][0]["interval"].is_null(), shared);
    }
}
