//! Reports of small sweeps in a store in memory.

mod browser;
mod crowded;
mod export;
mod figures;
mod fixture;
mod hostile;
mod paired;
mod png;
mod realistic;

use std::sync::Arc;

use ablate_coordinator::sweep::plan::Untested;
use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::FailureClass;
use ablate_proto::layout;
use ablate_proto::stage::StageKind;
use ablate_proto::status::TaskState;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};

use self::fixture::{Fixture, sweep};
use super::verdict::Status;
use super::{ReportError, Verdict, write};

pub(super) struct Read {
    pub verdicts: Vec<Verdict>,
    pub html: String,
    pub csv: Vec<u8>,
    pub means: Vec<u8>,
    pub differences: Vec<u8>,
    pub json: Value,
    pub tex: String,
}

pub(super) async fn report(store: Arc<dyn ObjectStore>) -> Read {
    let folder = tempfile::tempdir().expect("folder");
    let written = write(store, &sweep(), folder.path()).await.expect("report");
    let read = |name| std::fs::read(folder.path().join(name)).expect(name);
    Read {
        verdicts: written.verdicts,
        html: String::from_utf8(std::fs::read(&written.html).expect("html")).expect("UTF-8"),
        csv: read("report.csv"),
        means: read("means.csv"),
        differences: read("differences.csv"),
        json: serde_json::from_slice(&read("report.json")).expect("JSON"),
        tex: String::from_utf8(read("report.tex")).expect("UTF-8"),
    }
}

/// A value without a unit.
pub(super) fn plain(name: &str, value: f64) -> MetricRow {
    MetricRow::scalar(name, "", Direction::Up, value)
}

/// One axis x of three values, one stage.
fn ladder(seeds: u64) -> Fixture {
    let axes = [("x", json!([1, 2, 3]))];
    Fixture::new(&axes, seeds, &[("run", StageKind::Noop, &[], &["x"])])
}

/// Leaves `score` at every task: by axis value and seed.
async fn score(fixture: &Fixture, score: impl Fn(f64, u64) -> f64) {
    for (task, at, seed) in fixture.tasks("run") {
        let x = at["x"].as_f64().expect("number");
        fixture
            .done(task, vec![plain("score", score(x, seed))], &[])
            .await;
    }
}

fn expectation(extra: &Value) -> Value {
    let mut whole = json!({"name": "e", "stage": "run", "metric": "score"});
    let fields = extra.as_object().expect("object").clone();
    whole.as_object_mut().expect("object").extend(fields);
    whole
}

async fn judged(fixture: Fixture, extra: Value) -> Verdict {
    let store = fixture.expect(expectation(&extra)).save().await;
    report(store).await.verdicts.remove(0)
}

#[tokio::test]
async fn trends_are_strict_and_in_the_mean_over_seeds() {
    let rising = json!({"along": "x", "trend": "increasing"});
    for (seeds, values, status) in [
        (1, [1.0, 2.0, 3.0], Status::Pass),
        (1, [1.0, 2.0, 2.0], Status::Fail),
        (3, [1.0, 1.5, 2.0], Status::Pass),
    ] {
        let fixture = ladder(seeds);
        let by = |x: f64, seed: u64| match x {
            1.0 => values[0] + seed as f64,
            2.0 => values[1] + seed as f64,
            _ => values[2] + seed as f64,
        };
        score(&fixture, by).await;
        let verdict = judged(fixture, rising.clone()).await;
        assert_eq!(verdict.status, status, "{verdict:?}");
        assert_eq!(verdict.pass, status == Status::Pass);
    }
}

#[tokio::test]
async fn bounds_bind_where_they_say() {
    for (extra, status) in [
        (json!({"above": 0.5}), Status::Pass),
        (json!({"above": 1.0}), Status::Fail),
        (
            json!({"below": 1.5, "at": "first", "along": "x"}),
            Status::Pass,
        ),
        (json!({"above": 2.5, "at": "last"}), Status::Pass),
        (json!({"above": 3.0, "at": "last"}), Status::Fail),
        (
            json!({"above": 2.5, "at": "last", "along": "y"}),
            Status::NotMeasurable,
        ),
        (
            json!({"stage": "nowhere", "above": 1.0}),
            Status::NotMeasurable,
        ),
        (json!({}), Status::NotMeasurable),
    ] {
        let fixture = ladder(1);
        score(&fixture, |x, _| x).await;
        let verdict = judged(fixture, extra.clone()).await;
        assert_eq!(verdict.status, status, "{extra}: {verdict:?}");
        assert_eq!(verdict.why.is_some(), status != Status::Pass);
    }
}

#[tokio::test]
async fn a_violation_counts_with_points_missing_and_a_pass_does_not() {
    for (values, status) in [
        ([1.0, 2.0], Status::NotMeasurable),
        ([2.0, 1.0], Status::Fail),
    ] {
        let mut fixture = ladder(1);
        let tasks = fixture.tasks("run");
        for (value, (task, ..)) in values.iter().zip(&tasks) {
            fixture.done(*task, vec![plain("score", *value)], &[]).await;
        }
        fixture.failed(tasks[2].0, FailureClass::Bug, "NaN loss at step 7");
        let verdict = judged(fixture, json!({"along": "x", "trend": "increasing"})).await;
        assert_eq!(verdict.status, status);
        let why = verdict.why.expect("why");
        assert!(
            status == Status::Fail || why.contains("bug: NaN loss at step 7"),
            "{why}"
        );
    }
}

#[tokio::test]
async fn what_was_skipped_is_not_measurable_and_says_why() {
    let fixture = ladder(1);
    for (task, ..) in fixture.tasks("run") {
        fixture
            .done(task, vec![MetricRow::skipped("score", "no weights")], &[])
            .await;
    }
    let fixture = fixture.expect(expectation(&json!({"above": 1.0})));
    let read = report(fixture.save().await).await;
    let verdict = &read.json["verdicts"][0];
    assert_eq!(verdict["name"], "e");
    assert_eq!(verdict["pass"], false);
    assert_eq!(verdict["status"], "not_measurable");
    assert!(
        verdict["why"]
            .as_str()
            .is_some_and(|w| w.contains("no weights"))
    );
    assert!(verdict["expected"].is_string() && verdict["value"].is_string());
}

#[tokio::test]
async fn what_is_not_tested_is_named_wherever_verdicts_are() {
    let mut fixture = ladder(1).expect(expectation(&json!({"above": 0.0})));
    fixture.plan.untested = vec![Untested {
        name: "Wide <b>_windows_</b> copy".to_owned(),
        why: "no point has gamma = 7".to_owned(),
    }];
    score(&fixture, |x, _| x).await;
    let read = report(fixture.save().await).await;
    assert_eq!(read.verdicts.len(), 1);
    let name = "Not tested here: <strong>Wide &lt;b&gt;_windows_&lt;/b&gt; copy</strong>";
    assert!(read.html.contains(name));
    assert!(
        read.html.contains("(no point has gamma = 7)") && read.html.contains("1 not tested here")
    );
    assert_eq!(read.json["untested"][0]["why"], "no point has gamma = 7");
    assert!(read.tex.contains("gamma = 7 & not tested here"));
}

#[tokio::test]
async fn axes_that_move_together_are_one_line() {
    let axes = [("x", json!([1, 2])), ("y", json!([10, 20]))];
    let mut fixture = Fixture::new(&axes, 1, &[("run", StageKind::Noop, &[], &["x", "y"])]);
    // Linked: (1, 10) and (2, 20) only.
    let linked = |p: &ablate_coordinator::sweep::plan::Point| {
        p.coordinates["x"].as_i64().map(|x| x * 10) == p.coordinates["y"].as_i64()
    };
    fixture.plan.points.retain(linked);
    score(&fixture, |x, _| x).await;
    let verdict = judged(fixture, json!({"along": "x", "trend": "increasing"})).await;
    assert_eq!(verdict.status, Status::Pass, "{verdict:?}");
}

#[tokio::test]
async fn gaps_have_class_and_cause_and_block_what_follows() {
    let stages: &[_] = &[
        ("first", StageKind::Noop, &[][..], &["x"][..]),
        ("then", StageKind::Noop, &[("after", "first")][..], &[][..]),
    ];
    let mut fixture = Fixture::new(&[("x", json!([1, 2, 3]))], 1, stages);
    let first = fixture.tasks("first");
    fixture.failed(first[0].0, FailureClass::OutOfMemory, "3.1 GB asked for");
    fixture.ended(first[1].0, TaskState::Cancelled, None);
    fixture
        .done(first[2].0, vec![plain("score", 1.0)], &[])
        .await;
    let last = fixture.tasks("then")[2].0;
    fixture.ended(last, TaskState::Done, None);
    let read = report(fixture.save().await).await;
    for text in [
        "out of memory",
        "3.1 GB asked for",
        "cancelled",
        "blocked",
        "its manifest is gone",
    ] {
        assert!(read.html.contains(text), "{text}");
    }
    assert!(read.html.contains("0 of 3 points are complete"));
    assert_eq!(read.json["tasks"][0]["gap"]["class"], "out of memory");
}

#[tokio::test]
async fn damaged_results_are_named_and_never_used() {
    let fixture = ladder(1)
        .figure(json!({"kind": "images", "title": "i", "stage": "run", "file": "a.png"}))
        .figure(json!({"kind": "training", "title": "t", "stage": "run"}))
        .figure(json!({"kind": "no such", "title": "n", "stage": "run"}));
    let tasks = fixture.tasks("run");
    for (task, ..) in &tasks {
        let curve = serde_json::to_vec(&plain("loss", 0.123_456).at(1)).expect("row");
        let files = [("a.png", png::grid(2, 2, 0)), ("metrics.jsonl", curve)];
        fixture
            .done(*task, vec![plain("score", 77.125)], &files)
            .await;
    }
    let key = |i: usize| fixture.plan.tasks[tasks[i].0].task.key;
    fixture
        .put(&layout::manifest(&key(0)), "{\"version\": 1")
        .await;
    let attempt = |i| ablate_proto::id::AttemptId {
        task: key(i),
        number: 1,
    };
    let mut forged = png::grid(2, 2, 0);
    *forged.last_mut().expect("bytes") ^= 1;
    fixture
        .put(&layout::attempt_file(&attempt(1), "a.png"), forged)
        .await;
    fixture
        .put(&layout::attempt_file(&attempt(1), "metrics.jsonl"), "short")
        .await;
    fixture
        .put(&layout::attempt_file(&attempt(2), "metrics.jsonl"), "")
        .await;
    let read = report(fixture.save().await).await;
    for text in [
        "unreadable",
        "its blake3 digest differs",
        "bytes long, and its manifest says",
    ] {
        assert!(read.html.contains(text), "{text}");
    }
    assert_eq!(read.html.matches("data:image/png;base64,").count(), 1);
    assert!(!read.html.contains("0.1235"));
    assert!(read.html.contains("there is no kind “no such”"));
}

#[tokio::test]
async fn a_manifest_of_another_task_or_format_is_refused() {
    let fixture = ladder(1);
    score(&fixture, |x, _| x).await;
    let key = |i: usize| fixture.plan.tasks[i].task.key;
    let path = Path::from(layout::manifest(&key(0)));
    let bytes = fixture
        .store
        .get(&path)
        .await
        .expect("get")
        .bytes()
        .await
        .expect("bytes");
    fixture
        .put(&layout::manifest(&key(1)), bytes.to_vec())
        .await;
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let newer = text.replacen("\"version\":1", "\"version\":99", 1);
    fixture.put(&layout::manifest(&key(2)), newer).await;
    let read = report(fixture.save().await).await;
    assert!(read.html.contains("it is of task"));
    assert!(read.html.contains("its format is 99"));
}

#[tokio::test]
async fn only_an_unreadable_plan_is_an_error() {
    let fixture = ladder(1);
    let store: Arc<dyn ObjectStore> = fixture.store.clone();
    let folder = tempfile::tempdir().expect("folder");
    let missing = write(store.clone(), &sweep(), folder.path()).await;
    assert!(matches!(missing, Err(ReportError::Plan { .. })));
    // A plan alone makes a page.
    let plan = serde_json::to_vec(&fixture.plan).expect("plan");
    fixture.put(&layout::plan(&sweep()), plan).await;
    fixture.put(&layout::outcome(&sweep()), "nonsense").await;
    let read = report(store).await;
    assert!(read.html.contains("The sweep file could not be read"));
    assert!(read.html.contains("How the sweep ended could not be read"));
}

#[tokio::test]
async fn the_table_reads_back_and_the_same_store_gives_the_same_bytes() {
    let fixture = ladder(2).expect(expectation(&json!({"above": 0.0})));
    score(&fixture, |x, seed| x / 4.0 + seed as f64).await;
    let store = fixture.save().await;
    let (one, two) = (report(store.clone()).await, report(store.clone()).await);
    assert_eq!(one.html, two.html);
    let key = Path::from(layout::report_file(&sweep(), "report.html"));
    let uploaded = store
        .get(&key)
        .await
        .expect("get")
        .bytes()
        .await
        .expect("bytes");
    assert_eq!(uploaded, one.html.as_bytes());

    let mut reader = csv::Reader::from_reader(one.csv.as_slice());
    let header: Vec<String> = reader
        .headers()
        .expect("header")
        .iter()
        .map(str::to_owned)
        .collect();
    let names = [
        "stage", "x", "seed", "metric", "unit", "value", "n", "note", "task", "attempt",
    ];
    assert_eq!(header, names);
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows");
    assert_eq!(rows.len(), 6);
    for row in rows {
        let number = |i: usize| row[i].parse::<f64>().expect("number");
        assert_eq!(number(5), number(1) / 4.0 + number(2));
    }
}

#[tokio::test]
async fn every_link_has_its_place_and_rates_have_their_interval() {
    let fixture = ladder(1)
        .expect(expectation(&json!({"above": 0.0})))
        .figure(
            json!({"kind": "bars", "title": "b", "stage": "run", "x": "x", "metrics": ["score"]}),
        )
        .figure(json!({"kind": "curve", "title": "c", "stage": "run", "metrics": ["score"]}));
    for (task, at, _) in fixture.tasks("run") {
        let rate = at["x"].as_f64().expect("number") / 8.0;
        fixture
            .done(task, vec![plain("score", rate).over(512)], &[])
            .await;
    }
    let read = report(fixture.save().await).await;
    let places: Vec<&str> = read.html.split("href=\"#").skip(1).collect();
    assert!(places.len() > 12);
    for place in places {
        let name = place.split('"').next().expect("a name");
        assert!(read.html.contains(&format!("id=\"{name}\"")), "{name}");
    }
    assert!(
        read.html.contains("[0.099, 0.156]"),
        "Wilson's interval of 64 of 512"
    );
    assert_eq!(read.html.matches("<svg class=\"chart\"").count(), 2);
    assert!(read.tex.contains("\\toprule"));
}
