//! Sizes: what is too large is refused early, what is large is planned fast.

#![allow(
    clippy::disallowed_methods,
    reason = "these tests bound how long planning takes"
)]

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
fn a_grid_of_a_million_million_points_is_refused_at_once() {
    let list = |n: usize| format!("{:?}", (1..=n).collect::<Vec<_>>());
    let thousand = list(1000);
    let axes = format!(
        "[axes]\n\"ae.steps\" = {thousand}\n\"prior.steps\" = {thousand}\n\"decoder.steps\" = {thousand}\n\"ae.wide\" = {thousand}\n"
    );
    let started = Instant::now();
    insta::assert_snapshot!(refused(&format!("{BASE}{axes}")), @"s.toml:16:1: the grid has 1000000000000 points (ae.steps 1000 × prior.steps 1000 × decoder.steps 1000 × ae.wide 1000), and 1000000 are possible; shorten an axis, or draw some points with [random]");
    let random = "[random]\ncount = 1000000000000\nseed = 0\naxes = { gamma = { choice = [3] } }";
    insta::assert_snapshot!(refused(&format!("{BASE}{random}")), @"s.toml:13:1: the grid has 1000000000000 points (random 1000000000000), and 1000000 are possible; shorten an axis, or draw some points with [random]");
    let replicates = format!("replicates = 9000000000000000000\n{BASE}{axes}");
    insta::assert_snapshot!(refused(&replicates), @"s.toml:1:1: the grid has 9000000000000000000000000000000 points (ae.steps 1000 × prior.steps 1000 × decoder.steps 1000 × ae.wide 1000 × replicates 9000000000000000000), and 1000000 are possible; shorten an axis, or draw some points with [random]");
    let linked = format!(
        "replicates = 100000\n{BASE}[[linked]]\nae.steps = {}\ngamma = {0}",
        list(11)
    );
    insta::assert_snapshot!(refused(&linked), @"s.toml:1:1: the grid has 1100000 points (ae.steps 11 × replicates 100000), and 1000000 are possible; shorten an axis, or draw some points with [random]");
    let points = "[[points]]\ngamma = 3\n[[points]]\ngamma = 5\n";
    insta::assert_snapshot!(refused(&format!("replicates = 500001\n{BASE}{points}")), @"s.toml:1:1: the grid has 1000002 points (points 2 × replicates 500001), and 1000000 are possible; shorten an axis, or draw some points with [random]");
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn large_texts_are_refused_at_once() {
    let started = Instant::now();
    let hundred_mb = format!("{BASE}[axes]\ngamma = [{}]", "3,".repeat(50_000_000));
    let made = started.elapsed();
    insta::assert_snapshot!(refused(&hundred_mb), @"s.toml:1:1: reading the sweep file: it has 100000189 bytes, and 16777216 are possible; draw large axes with [random]");
    let sixteen = format!("{BASE}[axes]\ngamma = [{}]", "3,".repeat(8_000_000));
    insta::assert_snapshot!(refused(&sixteen), @"s.toml:1:1: reading the sweep file: it has 8000057 separators, and 5000000 are possible; draw large axes with [random]");
    assert!((started.elapsed() - made).as_secs() < 5);
    let two_million = format!("{BASE}[axes]\ngamma = [{}]", "3,".repeat(2_000_000));
    insta::assert_snapshot!(refused(&two_million), @"s.toml:13:1: the grid has 2000000 points (gamma 2000000), and 1000000 are possible; shorten an axis, or draw some points with [random]");
}

#[test]
fn a_plan_with_too_many_entries_is_refused() {
    let mut text = chain().replace("chain", "wide");
    text = text.split("[axes]").next().unwrap().to_owned();
    for i in 10..60 {
        writeln!(text, "[stages.s{i}]\nkind = \"noop\"").unwrap();
    }
    let text = format!("replicates = 1000000\n{text}");
    insta::assert_snapshot!(refused(&text), @"s.toml:1:1: the plan has 60000000 entries (1000000 points with 60 stages and 0 axes), and 20000000 are possible; shorten an axis, or split the sweep");
}

#[test]
fn deep_nesting_is_refused() {
    let deep = format!(
        "{BASE}[axes]\ngamma = {}{}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    insta::assert_snapshot!(refused(&deep), @"s.toml:13:89: reading the sweep file as TOML: cannot recurse further; max recursion depth met");
    let tables = format!("{BASE}[axes]\ngamma = {}", "{a=".repeat(100_000));
    insta::assert_snapshot!(refused(&tables), @"s.toml:13:249: reading the sweep file as TOML: cannot recurse further; max recursion depth met");
    let dotted = format!("{BASE}[stages.{}a]", "a.".repeat(100_000));
    let mut depth = 0;
    let open = |_| {
        depth += 1;
        if depth % 2 == 0 { '[' } else { '{' }
    };
    let mixed: String = (0..100_000).map(open).collect();
    insta::assert_snapshot!(refused(&format!("{BASE}[axes]\ngamma = {mixed}")), @"s.toml:13:10: reading the sweep file as TOML: missing key for inline table element, expected key");
    insta::assert_snapshot!(refused(&dotted), @"s.toml:1:1: reading the sweep file as TOML: recursion limit");
}

#[test]
fn a_draw_that_cannot_succeed_is_refused_at_once() {
    let random = |axes: &str| {
        let text = format!("{BASE}[random]\ncount = 1000000\nseed = 0\n[random.axes]\n{axes}");
        let started = Instant::now();
        let message = refused(&text);
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
        message
    };
    insta::assert_snapshot!(random("gamma = { choice = [3, 5] }"), @"s.toml:13:1: [random]: count is 1000000, but there are only 2 different points; lower it, or widen a distribution");
    insta::assert_snapshot!(random("gamma = { integer = [1, 9] }\n\"ae.kappa\" = { choice = [1] }"), @"s.toml:13:1: [random]: count is 1000000, but there are only 9 different points; lower it, or widen a distribution");
    let narrow = random("\"ae.sigma\" = { uniform = [1.0, 1.0001] }");
    assert!(
        narrow.contains("lower it, or widen a distribution"),
        "{narrow}"
    );
}

#[test]
#[ignore = "takes a minute; prints how long hostile texts of the largest size take"]
fn the_largest_texts_take_bounded_time() {
    for piece in [
        "[", "{", "a ", "\"", "'''", "a.", "0", "[a]\n", "a=1\n", "#", "\r", "é", "\\", "[[a]]\n",
        "- ", "🦀",
    ] {
        for start in [
            "",
            "name = ",
            "name = \"x\"\n[stages.",
            "name = \"x\"\n[axes]\ngamma = [",
        ] {
            let text = format!("{start}{}", piece.repeat((MAX_BYTES - 100) / piece.len()));
            let started = Instant::now();
            let message = refused(&text);
            eprintln!(
                "{piece:?} after {start:?}: {:?} {message}",
                started.elapsed()
            );
        }
    }
}

#[test]
#[ignore = "plans a million points, and then a million tasks"]
fn the_largest_grids_take_bounded_time() {
    let started = Instant::now();
    let side =
        "[stages.side]\nkind = \"noop\"\n[axes]\n\"side.index\" = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n";
    let text = chain().replace("[axes]\n", side);
    let plan = try_plan(&text, &Options::default()).unwrap();
    eprintln!(
        "{} points, {} tasks in {:?}",
        plan.points.len(),
        plan.tasks.len(),
        started.elapsed()
    );
    drop(plan);
    let started = Instant::now();
    let message = refused_with(&chain(), &set(&["replicates=10"]));
    eprintln!("{message} {:?}", started.elapsed());
}
