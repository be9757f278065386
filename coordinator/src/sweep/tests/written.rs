//! `plan.json` is written row by row, and read by serde.

use super::*;

/// The same bytes as serde makes of the plan.
fn same(text: &str, options: &Options) {
    let file = "s.toml";
    let source = Source { file, text };
    let compact = compact_plan(&source, options).unwrap();
    let mut written = Vec::new();
    compact.write_json(&mut written).unwrap();
    let plan = plan(&source, options).unwrap();
    let expected = serde_json::to_string(&plan).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), expected);
    assert_eq!(serde_json::from_str::<Plan>(&expected).unwrap(), plan);
    assert_eq!(compact.summary(), summary(&plan));
}

#[test]
fn rows_are_written_as_serde_writes_them() {
    let more = "[axes]\nsigma = [0.1, 1, 2.5e-7]\ngamma = [5, 3]\n\"decoder.steps\" = [10, 20]\n";
    same(&format!("{BASE}{more}"), &Options::default());
    same(
        &format!("{BASE}{more}[profiles.p]\nreplicates = 3\nseed = 9\n"),
        &profile("p"),
    );
    let lost = "[[expect]]\nname = \"lost \\\"é\\\"\"\nstage = \"prior\"\nmetric = \"kl\"\n\
                below = 1\nwhere = { gamma = 3 }\n";
    same(&format!("{BASE}{more}{lost}"), &set(&["gamma=5"]));
    same(
        &format!("title = \"a \\\"b\\\" ü\\n\"\n{BASE}"),
        &Options::default(),
    );
}

#[test]
fn stages_in_shards_are_written_too() {
    let more = "[stages.samples]\nkind = \"sample\"\ninputs = { decoder = \"ae\" }\nshards = 4\n\
                [axes]\ngamma = [5, 3]\n";
    same(&format!("{BASE}{more}"), &Options::default());
}

#[test]
fn strings_tables_and_lists_are_values_too() {
    let text = "name = \"c\"\n[stages.a]\nkind = \"command\"\nrun = [\"x\"]\n\
                [stages.a.params]\nz = 1\nwords = \"\"\n[stages.b]\nkind = \"command\"\nrun = [\"y\"]\n\
                inputs = { from = \"a\" }\n\
                [[linked]]\n\"a.z\" = [1.0, 2, 3]\n\"a.words\" = [\"é \\\"\", [1, \"x\"], \"\\t\"]\n";
    same(text, &Options::default());
}
