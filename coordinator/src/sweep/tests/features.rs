//! Features and counts as tasks of their own, and the stages that a profile
//! adds.

use ablate_proto::stage::StageKind;

use super::shards::tasks;
use super::*;

const SCORED: &str = r#"
[stages.samples]
kind = "sample"
inputs = { decoder = "ae" }
count = 300
[stages.seen]
kind = "features"
inputs = { images = "data" }
[stages.seen_samples]
kind = "features"
inputs = { images = "samples" }
[stages.scores]
kind = "evaluate"
inputs = { samples = "samples", features = "seen", sample_features = "seen_samples" }
inception = "inception"
[axes]
gamma = [3, 5]
"#;

fn scored(values: &[&str]) -> Result<Plan, SweepError> {
    try_plan(&format!("{BASE}{SCORED}"), &set(values))
}

#[test]
fn features_are_shared_and_cut_into_shards() {
    let plan = scored(&["samples.shards=2", "seen.shards=2", "seen_samples.shards=2"]).unwrap();
    insta::assert_snapshot!(tasks(&plan, "seen_samples"), @r#"
    seen_samples gamma=3 shard 1 of 2 (features) of images: samples gamma=3 shard 1 of 2
    seen_samples gamma=3 shard 2 of 2 (features) of images: samples gamma=3 shard 2 of 2
    seen_samples gamma=3 (features) of shard.0: seen_samples gamma=3 shard 1 of 2, shard.1: seen_samples gamma=3 shard 2 of 2
    "#);
    insta::assert_snapshot!(tasks(&plan, "scores"), @"scores gamma=3 (evaluate) of data: data, features: seen, sample_features: seen_samples gamma=3, samples: samples gamma=3");
    // Those of the training images once, for both γ.
    let seen: Vec<_> = plan.tasks.iter().filter(|t| t.stage == "seen").collect();
    let parts: Vec<_> = seen
        .iter()
        .map(|planned| {
            let parameters = planned.task.spec.parameters();
            let part = |name: &str| parameters[name].as_u64().unwrap();
            (part("part"), part("parts"), planned.points)
        })
        .collect();
    assert_eq!(parts, [(0, 2, 2), (1, 2, 2), (0, 1, 2)]);
    assert_eq!(plan.tasks.len(), 4 + 2 + 3 + 2 * (3 + 3 + 1));
    // In one piece, and in pieces that are not those of the samples.
    assert_eq!(scored(&[]).unwrap().tasks.len(), 4 + 2 + 1 + 2 * 3);
    let uneven = scored(&["samples.shards=2", "seen_samples.shards=3"]).unwrap();
    insta::assert_snapshot!(tasks(&uneven, "seen_samples").lines().next().unwrap(), @"seen_samples gamma=3 shard 1 of 3 (features) of images: samples gamma=3");
}

#[test]
fn weights_enter_features_as_they_enter_scores() {
    let file = "s.toml";
    let text = format!("{BASE}{SCORED}");
    let source = Source { file, text: &text };
    let plan = compact_plan(&source, &Options::default()).unwrap();
    let names: Vec<String> = named_weights(&plan).into_iter().collect();
    assert_eq!(names, ["inception"]);
    let options = Options {
        weights: [("inception".to_owned(), "c".repeat(64))].into(),
        ..Options::default()
    };
    let known = super::super::plan(&source, &options).unwrap();
    let digests = known.tasks.iter().filter_map(|planned| {
        let digest = planned.task.spec.data_digest()?;
        let takes = planned.task.spec.kind() != StageKind::Dataset;
        takes.then(|| digest.to_owned())
    });
    assert_eq!(digests.collect::<Vec<_>>(), vec!["c".repeat(64); 5]);
}

#[test]
fn features_of_other_images_or_seen_otherwise_are_refused() {
    let with = |from: &str, to: &str| {
        let text = SCORED.replace(from, to);
        assert_ne!(text, SCORED);
        refused(&format!("{BASE}{text}"))
    };
    insta::assert_snapshot!(with("features = \"seen\",", "features = \"seen_samples\","), @"s.toml:25:33: input `features` of stage `scores` is `seen_samples`, which is of `samples`, but its input `data` is `data`; compute it of that");
    insta::assert_snapshot!(with("inputs = { samples = \"samples\", features", "inputs = { features"), @"s.toml:25:31: input `sample_features` of stage `scores` is `seen_samples`, which is of `samples`, but it has no input `samples`; give it one, or remove this one");
    insta::assert_snapshot!(with("inception = \"inception\"", "fid_mode = \"clean_fid\""), @r#"s.toml:23:9: stage `scores` (kind evaluate): `inception` is "", but that of its input `features` is "inception": give both the same"#);
    insta::assert_snapshot!(with("images = \"data\" }", "images = \"data\" }\nfid_mode = \"clean_fid\""), @r#"s.toml:24:9: stage `scores` (kind evaluate): `fid_mode` is "pytorch_fid", but that of its input `features` is "clean_fid": give both the same"#);
    insta::assert_snapshot!(with("images = \"data\"", "images = \"ae\""), @"s.toml:19:12: input `images` of stage `seen` is `ae` of kind autoencoder, but takes dataset or sample or generate or resample; possible: data, samples");
    insta::assert_snapshot!(with("images = \"data\" }", "images = \"data\" }\nshards = 2\nparts = 3"), @"s.toml:20:1: stage `seen` (kind features): `shards` cut all of the images: leave `parts` out, which is 3");
    insta::assert_snapshot!(with("images = \"data\" }", "images = \"data\" }\ninception = \"\""), @"s.toml:20:1: stage `seen` (kind features): `inception` is empty, but features are computed with imported weights: name them");
    insta::assert_snapshot!(with("images = \"data\" }", "images = \"data\" }\nparts = 3"), @"s.toml:24:9: stage `scores` (kind evaluate): its input `features` is a part of what it needs: leave `parts` out there");
    // An axis that enters both is the same in both.
    let both = scored(&["fid_mode=pytorch_fid,clean_fid"]).unwrap();
    assert_eq!(both.tasks.len(), 4 + 2 + 2 * (1 + 2 + 2) + 2);
    let one = scored(&["scores.fid_mode=pytorch_fid,clean_fid"]).unwrap_err();
    insta::assert_snapshot!(one, @r#"s.toml:23:9: stage `scores` (kind evaluate): `fid_mode` is "clean_fid", but that of its input `features` is "pytorch_fid": give both the same"#);
}

#[test]
fn counts_are_of_the_codes_and_the_window_of_their_prior() {
    let counts = "[stages.q]\nkind = \"count\"\n";
    let text = BASE.replace(
        "kind = \"arvm\"",
        "kind = \"arvm\"\ninputs = { codes = \"codes\", counts = \"q\" }",
    );
    let text = format!("{text}{counts}inputs = {{ codes = \"codes\" }}\n");
    let options = set(&["gamma=3,5", "q.shards=2", "prior.hidden=[8],[9]"]);
    let plan = try_plan(&text, &options).unwrap();
    insta::assert_snapshot!(tasks(&plan, "q"), @r#"
    q gamma=3 shard 1 of 2 (count) of codes: codes
    q gamma=3 shard 2 of 2 (count) of codes: codes
    q gamma=3 (count) of codes: codes, shard.0: q gamma=3 shard 1 of 2, shard.1: q gamma=3 shard 2 of 2
    "#);
    // Counted once for both networks.
    assert_eq!(plan.tasks.len(), 4 + 2 * (3 + 2));
    let refused = |text: &str, values: &[&str]| refused_with(text, &set(values));
    insta::assert_snapshot!(refused(&text, &["prior.gamma=5"]), @"--set prior.gamma=5: stage `prior` (kind arvm): `gamma` is 5, but that of its input `counts` is 7: give both the same");
    let other = "[stages.more]\nkind = \"encode\"\nfrom = \"held_out\"\n";
    let text = format!(
        "{}{other}",
        text.replace("{ codes = \"codes\" }", "{ codes = \"more\" }")
    );
    insta::assert_snapshot!(refused(&text, &[]), @"s.toml:12:29: input `counts` of stage `prior` is `q`, which is of `more`, but its input `codes` is `codes`; compute it of that");
}

const PROFILED: &str = r#"
[stages.samples]
kind = "sample"
inputs = { decoder = "ae" }
[stages.scores]
kind = "evaluate"
inputs = { samples = "samples" }
[profiles.full.stages.seen]
kind = "features"
inputs = { images = "data" }
[profiles.full.stages.scores]
inputs = { features = "seen", codes = "codes" }
inception = "inception"
[profiles.other.stages.samples]
inputs = { decoder = "decoder" }
"#;

#[test]
fn a_profile_adds_stages_and_inputs() {
    let text = format!("{BASE}{PROFILED}");
    let inputs = |options: &Options, stage: &str| {
        let plan = try_plan(&text, options).unwrap();
        let found = plan.stages.into_iter().find(|found| found.name == stage)?;
        let inputs = found.inputs.into_iter();
        Some(
            inputs
                .map(|(role, name)| format!("{role}={name}"))
                .collect::<Vec<_>>(),
        )
    };
    let (none, full, other) = (Options::default(), profile("full"), profile("other"));
    assert_eq!(inputs(&none, "seen"), None);
    assert_eq!(inputs(&full, "seen").unwrap(), ["images=data"]);
    assert_eq!(
        inputs(&none, "scores").unwrap(),
        ["data=data", "samples=samples"]
    );
    let of_full = [
        "codes=codes",
        "data=data",
        "features=seen",
        "samples=samples",
    ];
    assert_eq!(inputs(&full, "scores").unwrap(), of_full);
    assert_eq!(
        inputs(&other, "samples").unwrap(),
        ["decoder=decoder", "prior=prior"]
    );
}

#[test]
fn what_a_profile_adds_is_held_to_the_rules_of_the_file() {
    let with = |from: &str, to: &str| {
        let text = PROFILED.replace(from, to);
        assert_ne!(text, PROFILED);
        refused(&format!("{BASE}{text}"))
    };
    // Though no profile is chosen.
    insta::assert_snapshot!(with("kind = \"features\"", "kind = \"featurs\""), @"s.toml:20:1: in profile `full`: unknown kind `featurs` of stage `seen`; did you mean `features`?");
    insta::assert_snapshot!(with("kind = \"features\"\n", ""), @"s.toml:19:23: in profile `full`: it names stage `seen`, which does not exist; possible: data, ae, decoder, codes, prior, samples, scores");
    insta::assert_snapshot!(with("features = \"seen\"", "features = \"sen\""), @"s.toml:23:12: in profile `full`: input `features` of stage `scores` names stage `sen`, which does not exist; did you mean `seen`?");
    insta::assert_snapshot!(with("images = \"data\"", "images = \"scores\""), @"s.toml:21:12: in profile `full`: input `images` of stage `seen` is `scores` of kind evaluate, but takes dataset or sample or generate or resample; possible: data, samples");
    insta::assert_snapshot!(with("decoder = \"decoder\"", "decoder = \"data\""), @"s.toml:26:12: in profile `other`: input `decoder` of stage `samples` is `data` of kind dataset, but takes autoencoder or decoder; possible: ae, decoder");
    insta::assert_snapshot!(with("inputs = { decoder = \"decoder\" }", "kind = \"generate\""), @"s.toml:26:1: in profile `other`: unknown parameter `kind` of stage `samples` (kind sample); possible: count, first, temperature");
    let many: String = (0..1000)
        .map(|i| format!("[profiles.full.stages.s{i}]\nkind = \"noop\"\n"))
        .collect();
    let many = refused(&format!("{BASE}{PROFILED}{many}"));
    assert!(
        many.ends_with("there are 1001 stages, and 1000 are possible"),
        "{many}"
    );
}
