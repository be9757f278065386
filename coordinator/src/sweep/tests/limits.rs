//! Sizes: what is too large is refused early, what is large is planned fast.

use std::fmt::Write as _;
use std::time::Instant;

use super::*;

/// Ten stages in a chain, with an axis of ten values at every second.
fn chain() -> String {
    let mut text = "name = \"chain\"\n[stages.s0]\nkind = \"noop\"\n".to_owned();
    for i in 1..10 {
        let parent = i - 1;
        writeln!(
            text,
            "[stages.s{i}]\nkind = \"noop\"\ninputs = {{ after = \"s{parent}\" }}"
        )
        .unwrap();
    }
    text.push_str("[axes]\n");
    for i in (1..10).step_by(2) {
        writeln!(text, "\"s{i}.index\" = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]").unwrap();
    }
    text
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a bound on how long a plan takes"
)]
fn a_hundred_thousand_points_are_planned_in_seconds() {
    let started = Instant::now();
    let plan = try_plan(&chain(), &Options::default()).unwrap();
    let took = started.elapsed();
    eprintln!(
        "{} points, {} tasks in {took:?}",
        plan.points.len(),
        plan.tasks.len()
    );
    assert_eq!(plan.points.len(), 100_000);
    // s0; then ten times as many at s1, s3, …, s9, and as many in between.
    assert_eq!(
        plan.tasks.len(),
        1 + 2 * (10 + 100 + 1000 + 10_000) + 100_000
    );
    assert!(took.as_secs() < 30, "{took:?}");
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a bound on how long a refusal takes"
)]
fn a_grid_of_a_million_million_points_is_refused_at_once() {
    let list = |n: usize| format!("{:?}", (1..=n).collect::<Vec<_>>());
    let thousand = list(1000);
    let axes = format!(
        "[axes]\n\"ae.steps\" = {thousand}\n\"prior.steps\" = {thousand}\n\"decoder.steps\" = {thousand}\n\"ae.wide\" = {thousand}\n"
    );
    let started = Instant::now();
    insta::assert_snapshot!(refused(&format!("{BASE}{axes}")), @"");
    let random = "[random]\ncount = 1000000000000\nseed = 0\naxes = { gamma = { choice = [3] } }";
    insta::assert_snapshot!(refused(&format!("{BASE}{random}")), @"");
    let replicates = format!("replicates = 9000000000000000000\n{BASE}{axes}");
    insta::assert_snapshot!(refused(&replicates), @"");
    let linked = format!(
        "replicates = 100000\n{BASE}[[linked]]\nae.steps = {}\ngamma = {0}",
        list(11)
    );
    insta::assert_snapshot!(refused(&linked), @"");
    let points = "[[points]]\ngamma = 3\n[[points]]\ngamma = 5\n";
    insta::assert_snapshot!(refused(&format!("replicates = 500001\n{BASE}{points}")), @"");
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a bound on how long a refusal takes"
)]
fn large_texts_are_refused_at_once() {
    let started = Instant::now();
    let hundred_mb = format!("{BASE}[axes]\ngamma = [{}]", "3,".repeat(50_000_000));
    let made = started.elapsed();
    insta::assert_snapshot!(refused(&hundred_mb), @"");
    let sixteen = format!("{BASE}[axes]\ngamma = [{}]", "3,".repeat(8_000_000));
    insta::assert_snapshot!(refused(&sixteen), @"");
    assert!((started.elapsed() - made).as_secs() < 5);
    let two_million = format!("{BASE}[axes]\ngamma = [{}]", "3,".repeat(2_000_000));
    insta::assert_snapshot!(refused(&two_million), @"");
}

#[test]
fn a_plan_with_too_many_entries_is_refused() {
    let mut text = chain().replace("chain", "wide");
    text = text.split("[axes]").next().unwrap().to_owned();
    for i in 10..60 {
        writeln!(text, "[stages.s{i}]\nkind = \"noop\"").unwrap();
    }
    let text = format!("replicates = 1000000\n{text}");
    insta::assert_snapshot!(refused(&text), @"");
}

#[test]
fn deep_nesting_is_refused() {
    let deep = format!(
        "{BASE}[axes]\ngamma = {}{}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    insta::assert_snapshot!(refused(&deep), @"");
    let tables = format!("{BASE}[axes]\ngamma = {}", "{a=".repeat(100_000));
    insta::assert_snapshot!(refused(&tables), @"");
    let dotted = format!("{BASE}[stages.{}]", "a.".repeat(100_000));
    insta::assert_snapshot!(refused(&dotted), @"");
}
