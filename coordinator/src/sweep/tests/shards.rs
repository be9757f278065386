//! Stages in shards.

use std::collections::BTreeSet;

use ablate_proto::id::TaskKey;
use ablate_proto::stage::StageKind;

use super::*;

const SAMPLED: &str = r#"
[stages.samples]
kind = "sample"
inputs = { decoder = "ae" }
count = 600
[stages.copies]
kind = "evaluate"
inputs = { samples = "samples", codes = "codes" }
"#;

fn sampled(more: &str) -> Plan {
    base(&format!("{SAMPLED}{more}"))
}

fn cut(samples: usize, copies: usize) -> Plan {
    let more = format!(
        "[axes]\ngamma = [3, 5]\n[profiles.p.stages.samples]\nshards = {samples}\n\
         [profiles.p.stages.copies]\nshards = {copies}\n"
    );
    try_plan(&format!("{BASE}{SAMPLED}{more}"), &profile("p")).unwrap()
}

fn keys(plan: &Plan) -> BTreeSet<TaskKey> {
    plan.tasks.iter().map(|planned| planned.task.key).collect()
}

/// At γ = 3: label, kind, and inputs by their labels.
pub(super) fn tasks(plan: &Plan, stage: &str) -> String {
    let label = |key| {
        let parent = plan.tasks.iter().find(|t| t.task.key == key).unwrap();
        parent.task.label.clone()
    };
    let all = plan.tasks.iter().filter(|planned| planned.stage == stage);
    let of_stage = all.filter(|planned| planned.coordinates["gamma"] == 3);
    let line = |planned: &plan::PlannedTask| {
        let task = &planned.task;
        let inputs = task.inputs.iter();
        let inputs: Vec<_> = inputs
            .map(|input| format!("{}: {}", input.role, label(input.task)))
            .collect();
        format!(
            "{} ({}) of {}",
            task.label,
            task.spec.kind(),
            inputs.join(", ")
        )
    };
    of_stage.map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn one_shard_is_the_stage_as_it_was() {
    let plain = sampled("[axes]\ngamma = [3, 5]\n");
    let one = cut(1, 1);
    assert_eq!(keys(&one), keys(&plain));
    assert_eq!(one.tasks.len(), 4 + 2 * 3);
    assert!(one.stages.iter().all(|stage| stage.shards == 1));
}

#[test]
fn shards_are_tasks_and_one_puts_them_together() {
    let plan = cut(3, 3);
    insta::assert_snapshot!(tasks(&plan, "samples"), @r#"
    samples gamma=3 shard 1 of 3 (sample) of decoder: ae, prior: prior gamma=3
    samples gamma=3 shard 2 of 3 (sample) of decoder: ae, prior: prior gamma=3
    samples gamma=3 shard 3 of 3 (sample) of decoder: ae, prior: prior gamma=3
    samples gamma=3 (gather) of prior: prior gamma=3, shard.0: samples gamma=3 shard 1 of 3, shard.1: samples gamma=3 shard 2 of 3, shard.2: samples gamma=3 shard 3 of 3
    "#);
    insta::assert_snapshot!(tasks(&plan, "copies"), @r#"
    copies gamma=3 shard 1 of 3 (neighbours) of data: data, samples: samples gamma=3 shard 1 of 3
    copies gamma=3 shard 2 of 3 (neighbours) of data: data, samples: samples gamma=3 shard 2 of 3
    copies gamma=3 shard 3 of 3 (neighbours) of data: data, samples: samples gamma=3 shard 3 of 3
    copies gamma=3 (evaluate) of codes: codes, data: data, neighbours.0: copies gamma=3 shard 1 of 3, neighbours.1: copies gamma=3 shard 2 of 3, neighbours.2: copies gamma=3 shard 3 of 3, samples: samples gamma=3
    "#);
    insta::assert_snapshot!(summary(&plan), @r#"
    base-p: 
    points    2, from gamma 2
    tasks     22 instead of 26: sharing saves 4 (15 %)

    stage    kind           tasks    naive  depends on
    data     dataset            1        2
    ae       autoencoder        1        2
    decoder  decoder            1        2
    codes    encode             1        2
    prior    arvm               2        2  gamma
    samples  sample             8        8  gamma  in 3 shards
    copies   evaluate           8        8  gamma  in 3 shards
    "#);
    for point in &plan.points {
        let kind = |stage: &str| plan.tasks[point.tasks[stage]].task.spec.kind();
        assert_eq!(kind("samples"), StageKind::Gather);
        assert_eq!(kind("copies"), StageKind::Evaluate);
    }
    assert!(plan.tasks.iter().all(|planned| planned.points > 0));
}

#[test]
fn an_evaluation_is_cut_by_itself_too() {
    let plan = cut(1, 2);
    insta::assert_snapshot!(tasks(&plan, "copies"), @r#"
    copies gamma=3 shard 1 of 2 (neighbours) of data: data, samples: samples gamma=3
    copies gamma=3 shard 2 of 2 (neighbours) of data: data, samples: samples gamma=3
    copies gamma=3 (evaluate) of codes: codes, data: data, neighbours.0: copies gamma=3 shard 1 of 2, neighbours.1: copies gamma=3 shard 2 of 2, samples: samples gamma=3
    "#);
    // Samples in shards, searched in one piece: 4, and 2 × (3 + 1 + 1 + 1).
    assert_eq!(cut(3, 1).tasks.len(), 4 + 2 * 6);
    assert_eq!(cut(3, 2).tasks.len(), 4 + 2 * (1 + 4 + 3));
}

/// What a shard draws does not depend on how many there are: 600 images in two
/// shards begin as 384 images do in one.
#[test]
fn equal_shards_of_different_studies_are_one_task() {
    let two = cut(2, 1);
    let one = sampled("[profiles.p.stages.samples]\ncount = 384\n[axes]\ngamma = [3, 5]\n");
    assert!(keys(&one).is_disjoint(&BTreeSet::from([two.tasks.last().unwrap().task.key])));
    let text = format!("{BASE}{SAMPLED}[axes]\ngamma = [3, 5]\n");
    let less = try_plan(&text, &set(&["samples.count=384"])).unwrap();
    let shared: Vec<_> = two
        .tasks
        .iter()
        .filter(|t| keys(&less).contains(&t.task.key))
        .collect();
    let drawn = |t: &&&plan::PlannedTask| t.task.spec.kind() == StageKind::Sample;
    assert_eq!(shared.iter().filter(drawn).count(), 2);
}

#[test]
fn shards_can_be_set_on_the_command_line() {
    let text = format!("{BASE}{SAMPLED}");
    let plan = try_plan(&text, &set(&["samples.shards=5"])).unwrap();
    assert_eq!(plan.tasks.len(), 5 + 1 + 5 + 1);
}

#[test]
fn what_cannot_be_cut_says_why() {
    let with = |text: &str| refused(&format!("{BASE}{SAMPLED}{text}"));
    let samples = |shards: &str| {
        refused(
            &format!("{BASE}{SAMPLED}")
                .replace("count = 600", &format!("count = 600\nshards = {shards}")),
        )
    };
    insta::assert_snapshot!(samples("6"), @"s.toml:17:1: stage `samples` (kind sample): `shards` is 6, but 600 images are drawn 128 at a time: 1 to 5 is possible");
    insta::assert_snapshot!(samples("0"), @"s.toml:17:1: `shards` must be a whole number from 1 to 1000");
    insta::assert_snapshot!(samples("\"many\""), @"s.toml:17:1: `shards` must be a whole number from 1 to 1000");
    insta::assert_snapshot!(with("[axes]\n\"samples.shards\" = [1, 2]\n"), @"s.toml:21:1: axis `samples.shards` enters no stage; no result depends on the number of shards: write it into a stage");
    insta::assert_snapshot!(refused(&BASE.replace("\"arvm\"", "\"arvm\"\nshards = 2")), @"s.toml:12:1: unknown parameter `shards` of stage `prior` (kind arvm); stages of the kinds count, sample, generate, features and evaluate can be cut into shards");
    insta::assert_snapshot!(
        with("[stages.quality]\nkind = \"evaluate\"\ninputs = { model = \"ae\" }\nshards = 2\n"),
        @"s.toml:23:1: `shards` cuts the search for the nearest images of samples, and this stage has no input `samples`; remove it"
    );
}

#[test]
fn a_plan_in_shards_survives_json() {
    let plan = cut(3, 3);
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    // Plans of earlier releases say nothing of shards.
    let text = text.replace(",\"shards\":3", "");
    let earlier = serde_json::from_str::<Plan>(&text).unwrap();
    assert!(earlier.stages.iter().all(|stage| stage.shards == 1));
}

/// Tasks of the full studies, and what sweeps/README.md says of them: why
/// there are other numbers of them than the specification has.
#[test]
fn paper_profiles_plan_to_known_numbers_of_tasks() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../sweeps");
    let reference = include_str!("../../../../sweeps/README.md");
    let (mut found, mut rows) = (Vec::new(), Vec::new());
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains("[profiles.paper") {
            continue;
        }
        let file = path.file_name().unwrap().to_str().unwrap();
        let plan = plan(&Source { file, text: &text }, &profile("paper")).unwrap();
        let study = &file[..3];
        found.push(format!("{study} {}", plan.tasks.len()));
        rows.extend(
            study
                .starts_with('e')
                .then(|| format!("| {study} | {} |", plan.tasks.len())),
        );
    }
    insta::assert_snapshot!(found.join("\n"), @r#"
    e01 6
    e02 54
    e03 3
    e04 6
    e05 3
    e06 76
    e07 51
    e08 369
    e09 132
    e10 16
    e11 15
    e12 7
    e13 40
    x01 56
    x02 12
    x03 19
    x04 33
    x05 57
    x06 96
    x07 24
    x08 17
    x09 11
    x10 25
    x11 5
    "#);
    for row in rows {
        assert!(reference.contains(&row), "{row}");
    }
}
