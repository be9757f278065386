//! What the sections of a sweep file mean.

use serde_json::json;

use super::*;
use crate::sweep::plan::Point;

/// The coordinates of every point, one a line.
fn points(more: &str) -> String {
    let plan = base(more);
    let line = |point: &Point| {
        let cells = point.coordinates.iter().map(|(k, v)| format!("{k}={v}"));
        format!("{} #{}", cells.collect::<Vec<_>>().join(" "), point.seed)
    };
    plan.points.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn axes_multiply_and_the_last_moves_fastest() {
    insta::assert_snapshot!(points("[axes]\nimages = [32, 64]\ngamma = [3, 5]"), @r#"
    gamma=3 images=32 #0
    gamma=5 images=32 #0
    gamma=3 images=64 #0
    gamma=5 images=64 #0
    "#);
}

#[test]
fn a_file_without_axes_is_one_point() {
    let plan = base("");
    assert_eq!((plan.points.len(), plan.tasks.len()), (1, 5));
}

#[test]
fn a_dotted_axis_needs_no_quotes() {
    assert_eq!(
        base("[axes]\ndecoder.sigma = [1, 2]").points,
        base("[axes]\n\"decoder.sigma\" = [1, 2]").points
    );
}

#[test]
fn linked_axes_move_together() {
    insta::assert_snapshot!(
        points("[axes]\ngamma = [3, 5]\n[[linked]]\n\"ae.sigma\" = [1, 2]\n\"ae.steps\" = [10, 20]"),
        @r#"
    ae.sigma=1 ae.steps=10 gamma=3 #0
    ae.sigma=2 ae.steps=20 gamma=3 #0
    ae.sigma=1 ae.steps=10 gamma=5 #0
    ae.sigma=2 ae.steps=20 gamma=5 #0
    "#
    );
}

#[test]
fn explicit_points_fill_in_what_the_stages_have() {
    insta::assert_snapshot!(
        points("[[points]]\n[[points]]\nae.sigma = 0.5\n[[points]]\ngamma = 3"),
        @r#"
    ae.sigma=1.0 gamma=7 #0
    ae.sigma=0.5 gamma=7 #0
    ae.sigma=1.0 gamma=3 #0
    "#
    );
}

#[test]
fn random_points_depend_on_the_seed_alone() {
    let text = |seed| {
        format!(
            "[random]\ncount = 4\nseed = {seed}\n[random.axes]\n\
             \"ae.sigma\" = {{ uniform = [0.5, 2.0] }}\n\
             prior.learning_rate = {{ log_uniform = [1e-4, 1e-2] }}\n\
             gamma = {{ choice = [3, 5, 7] }}\n\"ae.steps\" = {{ integer = [10, 12] }}"
        )
    };
    assert_eq!(points(&text(1)), points(&text(1)));
    assert_ne!(points(&text(1)), points(&text(2)));
    insta::assert_snapshot!(points(&text(1)), @r#"
    ae.sigma=1.07223 ae.steps=10 gamma=7 prior.learning_rate=0.00679683 #0
    ae.sigma=1.78376 ae.steps=10 gamma=7 prior.learning_rate=0.00371071 #0
    ae.sigma=1.10665 ae.steps=11 gamma=7 prior.learning_rate=0.00027458 #0
    ae.sigma=1.01795 ae.steps=12 gamma=3 prior.learning_rate=0.002583 #0
    "#);
}

#[test]
fn conditions_drop_and_keep_points() {
    let axes = "[axes]\ngamma = [3, 5, 7]\nimages = [16, 32]\n";
    insta::assert_snapshot!(
        points(&format!("{axes}[[exclude]]\ngamma = 7\nimages = 32\n[[exclude]]\ngamma = 3")),
        @r#"
    gamma=5 images=16 #0
    gamma=5 images=32 #0
    gamma=7 images=16 #0
    "#
    );
    insta::assert_snapshot!(
        points(&format!("{axes}[[include]]\ngamma = [3, 5]\nimages = {{ min = 20 }}")),
        @r#"
    gamma=3 images=32 #0
    gamma=5 images=32 #0
    "#
    );
}

#[test]
fn replicates_share_what_draws_no_random_numbers() {
    let plan = base("[axes]\ngamma = [3, 5]\n[profiles.p]\nreplicates = 3");
    assert_eq!(plan.tasks.len(), 4 + 2);
    let text = format!("seed = 7\nreplicates = 3\n{BASE}[axes]\ngamma = [3, 5]");
    let plan = try_plan(&text, &Options::default()).unwrap();
    assert_eq!(plan.points.len(), 6);
    assert_eq!(plan.tasks.len(), 1 + 3 * (3 + 2));
    let seeds: Vec<u64> = plan.points.iter().map(|point| point.seed).collect();
    assert_eq!(seeds, [7, 8, 9, 7, 8, 9]);
}

#[test]
fn equal_work_of_two_stages_is_one_task() {
    let plan = base("[stages.prior2]\nkind = \"arvm\"\ngamma = 7");
    assert_eq!((plan.stages.len(), plan.tasks.len()), (6, 5));
    assert_eq!(
        plan.points[0].tasks["prior"],
        plan.points[0].tasks["prior2"]
    );
    assert!(plan.tasks.iter().all(|planned| planned.points == 1));
}

#[test]
fn a_bare_axis_enters_every_stage_but_those_with_their_own() {
    let plan = base("[axes]\nsigma = [1, 2]\n\"decoder.sigma\" = [3]");
    let axes = |name: &str| {
        plan.stages
            .iter()
            .find(|s| s.name == name)
            .unwrap()
            .axes
            .clone()
    };
    assert_eq!(axes("ae"), ["sigma"]);
    assert_eq!(axes("data"), Vec::<String>::new());
    let decoders = plan.tasks.iter().filter(|t| t.stage == "decoder");
    for decoder in decoders {
        assert_eq!(decoder.task.spec.parameters()["sigma"], json!(3.0));
    }
}

#[test]
fn overrides_change_parameters_and_axes() {
    let text = format!(
        "{BASE}[axes]\ngamma = [3, 5]\n[profiles.mini]\nseed = 4\n\
         [profiles.mini.stages.ae]\nsteps = 7\n[profiles.mini.axes]\ngamma = [7]\n"
    );
    let mini = try_plan(&text, &profile("mini")).unwrap();
    assert_eq!((mini.points.len(), mini.points[0].seed), (1, 4));
    let options = Options {
        profile: Some("mini".to_owned()),
        ..set(&[
            "ae.steps=9",
            "gamma=[3,9]",
            "noise=gaussian",
            "decoder.sigma=1,2",
            "channels=[8,16]",
        ])
    };
    let plan = try_plan(&text, &options).unwrap();
    assert_eq!(plan.points.len(), 4);
    let ae = plan.tasks.iter().find(|t| t.stage == "ae").unwrap();
    let parameters = ae.task.spec.parameters();
    assert_eq!(parameters["steps"], json!(9));
    assert_eq!(parameters["noise"], json!("gaussian"));
    assert_eq!(parameters["channels"], json!([8, 16]));
}

#[test]
fn the_order_of_keys_changes_no_task() {
    let a = base("[axes]\nimages = [32, 64]\ngamma = [3, 5]");
    let b = base("[axes]\ngamma = [3, 5]\nimages = [32, 64]");
    let keys = |plan: &Plan| {
        let keys = plan.tasks.iter().map(|t| t.task.key);
        keys.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(keys(&a), keys(&b));
}

#[test]
fn a_plan_survives_json() {
    let plan = base("[axes]\nimages = [32, 64]\n\"ae.sigma\" = [0.1, 1]");
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

/// A profile that runs fewer values expects nothing of the others.
#[test]
fn what_speaks_of_values_that_were_taken_away_is_not_expected() {
    let text = format!(
        "{BASE}[axes]\ngamma = [3, 5]\n[profiles.few.axes]\ngamma = [3, 7]\n\
         [[expect]]\nname = \"x\"\nstage = \"prior\"\nmetric = \"kl\"\nbelow = 1\n\
         where = {{ gamma = 5 }}\n\
         [[expect]]\nname = \"y\"\nstage = \"prior\"\nmetric = \"kl\"\nbelow = 1\n\
         where = {{ gamma = [3, 5] }}\n"
    );
    let names = |options| {
        let plan = try_plan(&text, &options).unwrap();
        let names: String = plan.expectations.iter().map(|e| e.name.as_str()).collect();
        let said = summary(&plan).to_string();
        let said: Vec<String> = (said.lines().filter(|l| l.starts_with("not tested")))
            .map(str::to_owned)
            .collect();
        (names, said.join("; "))
    };
    let tested = |names: &str, said: &str| (names.to_owned(), said.to_owned());
    assert_eq!(names(Options::default()), tested("xy", ""));
    let five = "not tested here: x (no point has gamma = 5)";
    assert_eq!(names(profile("few")), tested("y", five));
    assert_eq!(names(set(&["gamma=3"])), tested("y", five));
    let both = format!("{five}; not tested here: y (no point has gamma = 3 or 5)");
    assert_eq!(names(set(&["gamma=7"])), tested("", &both));
    let never = text.replace("gamma = 5 }", "gamma = 9 }");
    assert!(refused_with(&never, &profile("few")).contains("has no value 9"));
}
