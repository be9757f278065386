//! Every way to get a sweep file wrong, and what the user is told.

use super::*;

/// The message about `BASE` and what follows it. `BASE` ends with line 11.
fn after_base(more: &str) -> String {
    refused(&format!("{BASE}{more}"))
}

#[test]
fn files_that_are_no_sweep() {
    insta::assert_snapshot!(refused(""), @"");
    insta::assert_snapshot!(refused("# nothing\n"), @"");
    insta::assert_snapshot!(refused("name = \"x\"\n"), @"");
    insta::assert_snapshot!(refused("\u{0}\u{1}\u{7f}ELF\u{fffd}"), @"");
    insta::assert_snapshot!(refused("name = \"x\"\n[stages.data\nkind = 1"), @"");
    insta::assert_snapshot!(refused("name = \"x\"\nname = \"y\""), @"");
    insta::assert_snapshot!(refused("name = \"x\nimages = 3"), @"");
}

#[test]
fn names() {
    insta::assert_snapshot!(refused("[stages.data]\nkind = \"dataset\""), @"");
    let named = |name: &str| refused(&BASE.replace("\"base\"", &format!("\"{name}\"")));
    insta::assert_snapshot!(named("../../etc"), @"");
    insta::assert_snapshot!(named("<script>alert(1)</script>"), @"");
    insta::assert_snapshot!(named("\\u001b[2Jx"), @"");
    insta::assert_snapshot!(named("last"), @"");
    insta::assert_snapshot!(named(""), @"");
    insta::assert_snapshot!(named(&"x".repeat(60)), @"");
    insta::assert_snapshot!(after_base("[stages.\"../x\"]\nkind = \"noop\""), @"");
    insta::assert_snapshot!(after_base("[stages.\"<b>\"]\nkind = \"noop\""), @"");
    insta::assert_snapshot!(after_base("[stages.\"a.b\"]\nkind = \"noop\""), @"");
    insta::assert_snapshot!(after_base("[stages.seed]\nkind = \"noop\""), @"");
    insta::assert_snapshot!(after_base("[stages.1st]\nkind = \"noop\""), @"");
    insta::assert_snapshot!(after_base("[profiles.\"a/b\"]\nseed = 1"), @"");
    insta::assert_snapshot!(refused("name = \"x\"\ntitle = \"a\\u001b[31m\""), @"");
}

#[test]
fn keys_and_types() {
    insta::assert_snapshot!(refused("name = \"x\"\ntitel = \"y\""), @"");
    insta::assert_snapshot!(refused("name = 3"), @"");
    insta::assert_snapshot!(refused("name = \"x\"\nseed = -1"), @"");
    insta::assert_snapshot!(refused(&format!("replicates = 0\n{BASE}")), @"");
    insta::assert_snapshot!(refused(&format!("seed = 9223372036854775808\n{BASE}")), @"");
    insta::assert_snapshot!(refused("name = \"x\"\nstages = 3"), @"");
    insta::assert_snapshot!(after_base("[axes]\ngamma = 3"), @"");
    insta::assert_snapshot!(after_base("[axes]\ngamma = [1979-05-27]"), @"");
    insta::assert_snapshot!(after_base("[expect]\nname = \"x\""), @"");
}

#[test]
fn stages_and_parameters() {
    insta::assert_snapshot!(after_base("sgima = 1.0"), @"");
    insta::assert_snapshot!(after_base("[stages.late]\nkind = \"noop\"\nseed = 3"), @"");
    insta::assert_snapshot!(after_base("[stages.b]\nkind = \"autoencodr\""), @"");
    insta::assert_snapshot!(after_base("[stages.b]\nkind = \"quantum\""), @"");
    insta::assert_snapshot!(after_base("[stages.b]\nsteps = 3"), @"");
    insta::assert_snapshot!(after_base("hidden = \"wide\""), @"");
    insta::assert_snapshot!(after_base("\nsteps = -5"), @"");
    insta::assert_snapshot!(after_base("hidden = [1, \"x\"]"), @"");
    insta::assert_snapshot!(after_base("window = \"sqare\""), @"");
    insta::assert_snapshot!(after_base("learning_rate = nan"), @"");
    insta::assert_snapshot!(after_base("learning_rate = 0"), @"");
}

#[test]
fn axes() {
    insta::assert_snapshot!(after_base("[axes]\ngamma = []"), @"");
    insta::assert_snapshot!(after_base("[axes]\n\ngama = [3]"), @"");
    insta::assert_snapshot!(after_base("[axes]\n\"decoder.sgima\" = [3]"), @"");
    insta::assert_snapshot!(after_base("[axes]\n\"decodr.sigma\" = [3]"), @"");
    insta::assert_snapshot!(after_base("[axes]\nencoder.x.y = [3]"), @"");
    insta::assert_snapshot!(after_base("[axes]\ndecoder = [3]"), @"");
    insta::assert_snapshot!(after_base("[axes]\n\"<img src=x>\" = [3]"), @"");
    insta::assert_snapshot!(after_base("[axes]\ngamma = [3, 5, 3]"), @"");
    insta::assert_snapshot!(after_base("[axes]\nsigma = [1, 1.0]"), @"");
    insta::assert_snapshot!(after_base("[axes]\n\"decoder.sigma\" = [0.5, -1]"), @"");
    insta::assert_snapshot!(after_base("[axes]\ngamma = [\n  3,\n  4,\n]"), @"");
    insta::assert_snapshot!(after_base("[axes]\ngamma = [3, \"wide\"]"), @"");
    insta::assert_snapshot!(
        after_base("[axes]\nsigma = [1]\n\"ae.sigma\" = [1]\n\"decoder.sigma\" = [1]"), @"");
}

#[test]
fn linked_points_and_random() {
    insta::assert_snapshot!(after_base("[[linked]]\ngamma = [3, 5]\nimages = [1, 2, 3]"), @"");
    insta::assert_snapshot!(after_base("[[linked]]\n"), @"");
    insta::assert_snapshot!(after_base("[[linked]]\ngamma = [3, 3]\nimages = [1, 1]"), @"");
    insta::assert_snapshot!(after_base("[axes]\ngamma = [3]\n[[linked]]\ngamma = [5]"), @"");
    insta::assert_snapshot!(after_base("[[points]]\ngamma = 3\n[[points]]\ngamma = 3"), @"");
    insta::assert_snapshot!(after_base("[[points]]\ngamma = 3\n[[points]]\nsteps = 3"), @"");
    insta::assert_snapshot!(after_base("[[points]]\n"), @"");
    let random = |axes: &str| {
        after_base(&format!(
            "[random]\ncount = 9\nseed = 0\n[random.axes]\n{axes}"
        ))
    };
    insta::assert_snapshot!(random("gamma = { choice = [3, 5] }"), @"");
    insta::assert_snapshot!(random("gamma = { choise = [3, 5] }"), @"");
    insta::assert_snapshot!(random("gamma = { choice = [] }"), @"");
    insta::assert_snapshot!(random("sigma = { log_uniform = [0, 1] }"), @"");
    insta::assert_snapshot!(random("sigma = { uniform = [2, 1] }"), @"");
    insta::assert_snapshot!(random(""), @"");
    insta::assert_snapshot!(after_base("[random]\ncount = 3"), @"");
}

#[test]
fn conditions() {
    let with = |rule: &str| after_base(&format!("[axes]\ngamma = [3, 5]\n{rule}"));
    insta::assert_snapshot!(with("[[exclude]]\ngama = 3"), @"");
    insta::assert_snapshot!(with("[[exclude]]\ngamma = 4"), @"");
    insta::assert_snapshot!(with("[[include]]\ngamma = { mni = 4 }"), @"");
    insta::assert_snapshot!(with("[[exclude]]\n"), @"");
    insta::assert_snapshot!(with("[[exclude]]\ngamma = [3, 5]"), @"");
}

#[test]
fn inputs() {
    let stage = |inputs: &str| {
        after_base(&format!(
            "[stages.q]\nkind = \"evaluate\"\ninputs = {inputs}"
        ))
    };
    insta::assert_snapshot!(stage("{ modell = \"ae\" }"), @"");
    insta::assert_snapshot!(stage("{ model = \"aee\" }"), @"");
    insta::assert_snapshot!(stage("{ model = \"codes\" }"), @"");
    insta::assert_snapshot!(stage("{ model = 3 }"), @"");
    insta::assert_snapshot!(stage("\"ae\""), @"");
    insta::assert_snapshot!(after_base("[stages.s]\nkind = \"sample\""), @"");
    insta::assert_snapshot!(refused("name = \"x\"\n[stages.ae]\nkind = \"autoencoder\""), @"");
    insta::assert_snapshot!(
        refused("name = \"x\"\n[stages.d]\nkind = \"dataset\"\ninputs = { data = \"d\" }"), @"");
    let noop = |name: &str, after: &str| {
        format!("[stages.{name}]\nkind = \"noop\"\ninputs = {{ after = \"{after}\" }}\n")
    };
    insta::assert_snapshot!(
        after_base(&[noop("z", "a"), noop("a", "b"), noop("b", "c"), noop("c", "a")].concat()), @"");
    insta::assert_snapshot!(after_base("[stages.a]\nkind = \"noop\"\ninputs = { after = \"a\" }"), @"");
}

#[test]
fn profiles() {
    let text = format!(
        "{BASE}[axes]\ngamma = [3]\n[[linked]]\nae.sigma = [1]\n[profiles.mini]\nseed = 1\n\
         [profiles.paper]\nseed = 2\n"
    );
    insta::assert_snapshot!(refused_with(&text, &profile("minni")), @"");
    insta::assert_snapshot!(refused_with(&text, &profile("other")), @"");
    insta::assert_snapshot!(refused_with(BASE, &profile("mini")), @"");
    let with = |more: &str| refused_with(&format!("{text}{more}"), &profile("paper"));
    insta::assert_snapshot!(with("stages.aee.steps = 3"), @"");
    insta::assert_snapshot!(with("stages.ae.stps = 3"), @"");
    insta::assert_snapshot!(with("stages.ae.sigma = -1\naxes.gamma = [4]"), @"");
    insta::assert_snapshot!(with("axes.ae.sigma = [4]"), @"");
    insta::assert_snapshot!(with("axis.gamma = [4]"), @"");
    // A profile that was not chosen is held to the same rules.
    insta::assert_snapshot!(refused(&format!("{text}stages.ae.stps = 3")), @"");
}

#[test]
fn overrides() {
    let text = format!("{BASE}[axes]\ngamma = [3]\n[[linked]]\nae.sigma = [1]\n");
    let with = |value: &str| refused_with(&text, &set(&[value]));
    insta::assert_snapshot!(with("gamma"), @"");
    insta::assert_snapshot!(with("=3"), @"");
    insta::assert_snapshot!(with("gamma="), @"");
    insta::assert_snapshot!(with("gamma=3,,5"), @"");
    insta::assert_snapshot!(with("gamma=3]\nx=[4"), @"");
    insta::assert_snapshot!(with("gamma=4"), @"");
    insta::assert_snapshot!(with("gama=3"), @"");
    insta::assert_snapshot!(with("ae.stps=3"), @"");
    insta::assert_snapshot!(with("aee.steps=3"), @"");
    insta::assert_snapshot!(with("aee.steps=3,4"), @"");
    insta::assert_snapshot!(with("ae.sigma=3"), @"");
    insta::assert_snapshot!(with("prior.gamma=3"), @"");
    insta::assert_snapshot!(with("steps=many"), @"");
    insta::assert_snapshot!(with("replicates=many"), @"");
    insta::assert_snapshot!(with("replicates=9999999"), @"");
    insta::assert_snapshot!(with("decoder.sigma=nan"), @"");
}

#[test]
fn expectations() {
    let with = |keys: &str| {
        after_base(&format!(
            "[axes]\ngamma = [3, 5]\nimages = [8, 9]\n[[expect]]\nname = \"e\"\n{keys}"
        ))
    };
    insta::assert_snapshot!(with("stage = \"prior\"\nmetrik = \"m\""), @"");
    insta::assert_snapshot!(with("stage = \"prior\""), @"");
    insta::assert_snapshot!(with("stage = \"priors\"\nmetric = \"m\"\nabove = 1"), @"");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\nalong = \"gama\"\ntrend = \"increasing\""), @"");
    insta::assert_snapshot!(with("stage = \"ae\"\nmetric = \"m\"\nalong = \"gamma\"\ntrend = \"increasing\""), @"");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\ntrend = \"increasing\""), @"");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\ntrend = \"rising\""), @"");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\nabove = nan"), @"");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\nabove = 2\nbelow = 1"), @"");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\nabove = 1\nat = \"last\""), @"");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\""), @"");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"<m>\"\nabove = 1"), @"");
}

#[test]
fn figures() {
    let with = |keys: &str| {
        after_base(&format!(
            "[axes]\ngamma = [3, 5]\n[[figure]]\ntitle = \"f\"\n{keys}"
        ))
    };
    insta::assert_snapshot!(with("kind = \"cruve\"\nstage = \"prior\""), @"");
    insta::assert_snapshot!(with("kind = \"curve\"\nstage = \"priro\"\nx = \"gamma\"\nmetrics = [\"m\"]"), @"");
    insta::assert_snapshot!(with("kind = \"curve\"\nstage = \"prior\"\nmetrics = [\"m\"]"), @"");
    insta::assert_snapshot!(with("kind = \"curve\"\nstage = \"prior\"\nx = \"gama\"\nmetrics = [\"m\"]"), @"");
    insta::assert_snapshot!(with("kind = \"curve\"\nstage = \"prior\"\nx = \"gamma\"\nmetrics = []"), @"");
    insta::assert_snapshot!(with("kind = \"images\"\nstage = \"prior\"\nfile = \"../../etc/passwd\""), @"");
    insta::assert_snapshot!(with("kind = \"training\"\nstage = \"prior\"\nx = \"gamma\"\nmetrics = [\"m\"]"), @"");
}
