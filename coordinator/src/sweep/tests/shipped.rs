//! The shipped sweep files, held to their arithmetic.

use ablate_proto::stage::StageKind;

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
fn every_shipped_file_plans_and_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../sweeps");
    let reference = include_str!("../../../../sweeps/README.md");
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    let files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    assert!(files.len() >= 2);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap();
        let source = Source { file, text: &text };
        let plan = plan(&source, &Options::default()).unwrap_or_else(|e| panic!("{e}"));
        assert!(file.starts_with(plan.sweep.as_str()), "{file}");
        assert!(reference.contains(&format!("| `{file}` |")), "{file}");
        // A study runs on a laptop and, in full, on GPUs.
        let is_study = file[1..3].chars().all(|c| c.is_ascii_digit());
        for name in ["mini", "paper"].into_iter().filter(|_| is_study) {
            let planned = super::plan(&source, &profile(name));
            let planned = planned.unwrap_or_else(|e| panic!("{e}"));
            assert!(!planned.expectations.is_empty() && !planned.figures.is_empty());
        }
    }
}

/// What only a profile measures, it alone expects and shows.
#[test]
fn profiles_add_expectations_and_figures() {
    let source = Source {
        file: "e08-scores.toml",
        text: include_str!("../../../../sweeps/e08-scores.toml"),
    };
    let [mini, paper] = ["mini", "paper"].map(|name| plan(&source, &profile(name)).unwrap());
    let metrics = |plan: &Plan| {
        let all = plan.expectations.iter();
        all.map(|e| e.metric.clone()).collect::<Vec<_>>()
    };
    let both = ["fd_pix", "fd_rand", "memorisation_rate"];
    assert_eq!(metrics(&mini), both);
    assert_eq!(
        metrics(&paper),
        [&both[..], &["fid", "inception_score"]].concat()
    );
    assert_eq!(paper.figures.len(), mini.figures.len() + 1);
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
    insta::assert_snapshot!(summary(&quickstart(&Options::default())), @r#"
    quickstart: Overlap, binarisation and memorisation on 64 digits
    question  Do latents binarise under noise, and does a wider window memorise?
    cost      about a minute on two CPU cores
    points    18, from decoder.sigma 6, gamma 3
    tasks     25 instead of 162: sharing saves 137 (84 %)

    stage            kind           tasks    naive  depends on
    data             dataset            1       18
    ae               autoencoder        1       18
    ae_quality       evaluate           1       18
    decoder          decoder            6       18  decoder.sigma
    decoder_quality  evaluate           6       18  decoder.sigma
    codes            encode             1       18
    prior            arvm               3       18  gamma
    samples          sample             3       18  gamma
    memorisation     evaluate           3       18  gamma
    "#);
}

#[test]
fn labels_are_short() {
    let labels = |options| {
        let plan = quickstart(&options);
        let labels: Vec<String> = plan.tasks.iter().map(|t| t.task.label.clone()).collect();
        labels.join("\n")
    };
    insta::assert_snapshot!(labels(Options::default()), @r#"
    data
    ae
    ae_quality
    decoder sigma=0.5
    decoder sigma=1.0
    decoder sigma=1.5
    decoder sigma=2.0
    decoder sigma=2.5
    decoder sigma=3.0
    decoder_quality sigma=0.5
    decoder_quality sigma=1.0
    decoder_quality sigma=1.5
    decoder_quality sigma=2.0
    decoder_quality sigma=2.5
    decoder_quality sigma=3.0
    codes
    prior gamma=3
    prior gamma=5
    prior gamma=7
    samples gamma=3
    samples gamma=5
    samples gamma=7
    memorisation gamma=3
    memorisation gamma=5
    memorisation gamma=7
    "#);
    insta::assert_snapshot!(labels(set(&["replicates=2", "gamma=7", "decoder.sigma=1"])), @r#"
    data
    ae seed=0
    ae seed=1
    ae_quality seed=0
    ae_quality seed=1
    decoder sigma=1 seed=0
    decoder sigma=1 seed=1
    decoder_quality sigma=1 seed=0
    decoder_quality sigma=1 seed=1
    codes seed=0
    codes seed=1
    prior gamma=7 seed=0
    prior gamma=7 seed=1
    samples gamma=7 seed=0
    samples gamma=7 seed=1
    memorisation gamma=7 seed=0
    memorisation gamma=7 seed=1
    "#);
}

#[test]
fn the_reference_shows_a_real_message() {
    let file = "quickstart.toml";
    let text = &QUICKSTART.replace("\nsigma = ", "\nsgima = ");
    let message = plan(&Source { file, text }, &Options::default()).unwrap_err();
    let reference = include_str!("../../../../sweeps/README.md");
    assert!(reference.contains(&message.to_string()), "{message}");
}

#[test]
fn the_reference_lists_every_kind_and_its_inputs() {
    let reference = include_str!("../../../../sweeps/README.md");
    for info in StageKind::ALL.iter().map(|kind| kind.info()) {
        let roles = |required: bool| {
            let roles = info
                .inputs
                .iter()
                .filter(|input| input.required == required);
            let roles: Vec<String> = roles.map(|input| format!("`{}`", input.role)).collect();
            match &roles[..] {
                [] => String::new(),
                roles => format!("{} ", roles.join(", ")),
            }
        };
        let mut row = format!("| `{}` | {}| {}|", info.name, roles(true), roles(false));
        if info.name == "command" {
            row = "| `command` | | any role, any kind |".to_owned();
        }
        assert!(info.hidden || reference.contains(&row), "{row}");
    }
    for kind in FIGURE_KINDS {
        assert!(reference.contains(&format!("| `{}` |", kind.name)));
    }
}
