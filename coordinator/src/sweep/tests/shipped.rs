//! The shipped sweep files, held to their arithmetic.

use super::*;

const QUICKSTART: &str = include_str!("../../../../sweeps/quickstart.toml");

fn quickstart(options: &Options) -> Plan {
    let file = "quickstart.toml";
    let text = QUICKSTART;
    plan(&Source { file, text }, options).unwrap()
}

#[test]
fn quickstart_plans_to_the_tasks_counted_by_hand() {
    let plan = quickstart(&Options::default());
    // 6 values of σ × 3 of γ.
    assert_eq!(plan.points.len(), 18);
    assert_eq!(plan.stages_naive, 18 * 9);
    // Once: data, ae, ae_quality, codes. For each σ: decoder and
    // decoder_quality. For each γ: prior, samples, memorisation.
    assert_eq!(plan.tasks.len(), 4 + 6 * 2 + 3 * 3);
    assert_eq!(plan.sweep.as_str(), "quickstart");
    assert_eq!((plan.expectations.len(), plan.figures.len()), (6, 5));
}

#[test]
fn every_point_leads_to_its_tasks_and_parents_come_first() {
    let plan = quickstart(&profile("seeds"));
    assert_eq!(plan.sweep.as_str(), "quickstart-seeds");
    let place = |key| plan.tasks.iter().position(|t| t.task.key == key).unwrap();
    for (i, planned) in plan.tasks.iter().enumerate() {
        assert!(
            planned
                .task
                .inputs
                .iter()
                .all(|input| place(input.task) < i)
        );
        assert!(planned.points > 0);
    }
    for point in &plan.points {
        assert_eq!(point.tasks.len(), plan.stages.len());
        for (stage, &task) in &point.tasks {
            let planned = &plan.tasks[task];
            assert_eq!(&planned.stage, stage);
            for (axis, value) in &planned.coordinates {
                assert_eq!(point.coordinates.get(axis), Some(value));
            }
        }
    }
    // Everything but the data depends on the seed: 24 × 5 + 1.
    assert_eq!(plan.tasks.len(), 24 * 5 + 1);
}

#[test]
fn the_summary_shows_what_sharing_saves() {
    insta::assert_snapshot!(summary(&quickstart(&Options::default())), @"");
}

#[test]
fn labels_are_short() {
    let labels = |options| {
        let plan = quickstart(&options);
        let labels: Vec<String> = plan.tasks.iter().map(|t| t.task.label.clone()).collect();
        labels.join("\n")
    };
    insta::assert_snapshot!(labels(Options::default()), @"");
    insta::assert_snapshot!(labels(set(&["replicates=2", "gamma=7", "decoder.sigma=1"])), @"");
}
