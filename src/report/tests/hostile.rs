//! Names that try to act: in the page, in a spreadsheet, in LaTeX.

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::FailureClass;
use ablate_proto::stage::StageKind;
use serde_json::json;

use super::fixture::Fixture;
use super::report;

const SCRIPT: &str = "</title></style><script>fetch('https://evil.example')</script>";
const IMAGE: &str = "\"><img src=x onerror=alert(1)>";
const FORMULA: &str = "=HYPERLINK(\"http://evil.example\",\"x\")";
const TEX: &str = "[\\input{/etc/passwd} \\write18{rm} $x$ & 5% #1 _ ^ ~";

async fn hostile() -> super::Read {
    hostile_with(SCRIPT, IMAGE).await
}

/// A report in which these are the names of everything.
pub(super) async fn hostile_with(script: &str, image: &str) -> super::Read {
    let axis = format!("x.{image}");
    let mut fixture = Fixture::new(
        &[(&axis, json!([FORMULA, script]))],
        1,
        &[(FORMULA, StageKind::Noop, &[], &[&axis])],
    )
    .expect(json!({"name": TEX, "stage": FORMULA, "metric": script, "above": 1.0, "paper": image}))
    .expect(json!({"name": script, "stage": image, "metric": script, "above": 1.0}))
    .figure(json!({"kind": "curve", "title": script, "stage": FORMULA, "x": axis, "metrics": [script], "caption": image}))
    .figure(json!({"kind": "bars", "title": image, "stage": FORMULA, "x": axis}))
    .figure(json!({"kind": "images", "title": image, "stage": FORMULA, "file": script}))
    .figure(json!({"kind": script, "title": image, "stage": FORMULA}));
    fixture.plan.title = script.into();
    fixture.plan.question = image.into();
    fixture.plan.profile = Some(script.into());
    for planned in &mut fixture.plan.tasks {
        planned.task.label = image.into();
    }
    let tasks = fixture.tasks(FORMULA);
    let mut row = MetricRow::scalar(script, image, Direction::Up, 2.0);
    row.note = Some(FORMULA.into());
    let metrics = vec![row, MetricRow::skipped(FORMULA, script)];
    fixture
        .done(tasks[0].0, metrics, &[(script, b"no picture".to_vec())])
        .await;
    fixture.failed(
        tasks[1].0,
        FailureClass::Bug,
        &format!("{script}\u{1b}[2J\u{202e}"),
    );
    report(fixture.save().await).await
}

#[tokio::test]
async fn names_are_inert_in_the_page() {
    let read = hostile().await;
    for raw in [
        "<script",
        "<img src=x",
        "onerror=alert(1)>\"",
        "\u{1b}",
        "\u{202e}",
    ] {
        assert!(!read.html.contains(raw), "{raw:?}");
    }
    assert_eq!(read.html.matches("</style>").count(), 1);
    assert!(
        read.html.contains("default-src &#39;none&#39;")
            || read.html.contains("default-src 'none'")
    );
    // Nothing in the page could be fetched.
    for attribute in [" src=\"http", " href=\"http", "url(", "@import"] {
        assert!(!read.html.contains(attribute), "{attribute}");
    }
}

#[tokio::test]
async fn names_are_inert_in_the_spreadsheet() {
    let read = hostile().await;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(read.csv.as_slice());
    let mut cells = 0;
    for row in reader.records() {
        for cell in &row.expect("row") {
            let formula = cell.trim_start().starts_with(['=', '+', '-', '@']);
            assert!(!formula || cell.parse::<f64>().is_ok(), "{cell}");
            cells += 1;
        }
    }
    assert!(cells > 20);
}

#[tokio::test]
async fn names_are_inert_in_latex() {
    let read = hostile().await;
    for raw in ["\\input", "\\write18", "$x$", "\n[", " & 5% "] {
        assert!(!read.tex.contains(raw), "{raw}: {}", read.tex);
    }
}
