//! Every way to get a sweep file wrong, and what the user is told.

use super::*;

/// The message about `BASE` and what follows it. `BASE` ends with line 11.
fn after_base(more: &str) -> String {
    refused(&format!("{BASE}{more}"))
}

#[test]
fn files_that_are_no_sweep() {
    insta::assert_snapshot!(refused(""), @r#"s.toml:1:1: the sweep file has no `name`; add name = "…" as its first line"#);
    insta::assert_snapshot!(refused("# nothing\n"), @r#"s.toml:1:1: the sweep file has no `name`; add name = "…" as its first line"#);
    insta::assert_snapshot!(refused("name = \"x\"\n"), @r#"s.toml:1:1: the file describes no stage; add one, for example [stages.data] with kind = "dataset""#);
    insta::assert_snapshot!(refused("\u{0}\u{1}\u{7f}ELF\u{fffd}"), @"s.toml:1:8: reading the sweep file as TOML: key with no value, expected `=`");
    insta::assert_snapshot!(refused("name = \"x\"\n[stages.data\nkind = 1"), @"s.toml:2:13: reading the sweep file as TOML: unclosed table, expected `]`");
    insta::assert_snapshot!(refused("name = \"x\"\nname = \"y\""), @"s.toml:2:1: reading the sweep file as TOML: duplicate key");
    insta::assert_snapshot!(refused("name = \"x\nimages = 3"), @r#"s.toml:1:10: reading the sweep file as TOML: invalid basic string, expected `"`"#);
}

#[test]
fn names() {
    insta::assert_snapshot!(refused("[stages.data]\nkind = \"dataset\""), @r#"s.toml:1:1: the sweep file has no `name`; add name = "…" as its first line"#);
    let named = |name: &str| refused(&BASE.replace("\"base\"", &format!("\"{name}\"")));
    insta::assert_snapshot!(named("../../etc"), @"s.toml:1:1: sweep name `../../etc` cannot be used: use letters, digits, '-', '_' and '.', not starting with '.'");
    insta::assert_snapshot!(named("<script>alert(1)</script>"), @"s.toml:1:1: sweep name `<script>alert(1)</script>` cannot be used: use letters, digits, '-', '_' and '.', not starting with '.'");
    insta::assert_snapshot!(named("\\u001b[2Jx"), @r#"s.toml:1:1: sweep name `\u{1b}[2Jx` cannot be used: use letters, digits, '-', '_' and '.', not starting with '.'"#);
    insta::assert_snapshot!(named("last"), @"s.toml:1:1: sweep name `last` cannot be used: it is reserved; choose another");
    insta::assert_snapshot!(named(""), @r#"s.toml:1:1: the sweep file has no `name`; add name = "…" as its first line"#);
    insta::assert_snapshot!(named(&"x".repeat(60)), @"s.toml:1:1: sweep name `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` cannot be used: 1 to 40 characters are possible");
    insta::assert_snapshot!(after_base("[stages.\"../x\"]\nkind = \"noop\""), @"s.toml:12:9: stage name `../x` cannot be used: use letters, digits, '-' and '_'");
    insta::assert_snapshot!(after_base("[stages.\"<b>\"]\nkind = \"noop\""), @"s.toml:12:9: stage name `<b>` cannot be used: use letters, digits, '-' and '_'");
    insta::assert_snapshot!(after_base("[stages.\"a.b\"]\nkind = \"noop\""), @"s.toml:12:9: stage name `a.b` cannot be used: use letters, digits, '-' and '_'");
    insta::assert_snapshot!(after_base("[stages.seed]\nkind = \"noop\""), @"s.toml:12:9: stage name `seed` cannot be used: it is reserved; choose another");
    insta::assert_snapshot!(after_base("[stages.1st]\nkind = \"noop\""), @"s.toml:12:9: stage name `1st` cannot be used: start with a letter");
    insta::assert_snapshot!(after_base("[profiles.\"a/b\"]\nseed = 1"), @"s.toml:12:11: profile name `a/b` cannot be used: use letters, digits, '-' and '_'");
    insta::assert_snapshot!(refused("name = \"x\"\ntitle = \"a\\u001b[31m\""), @r#"s.toml:2:1: `title` holds the control character \u{1b}"#);
}

#[test]
fn keys_and_types() {
    insta::assert_snapshot!(refused("name = \"x\"\ntitel = \"y\""), @"s.toml:2:1: unknown key `titel` in the sweep file; did you mean `title`?");
    insta::assert_snapshot!(refused("name = 3"), @"s.toml:1:1: `name` must be a string, but is a whole number");
    insta::assert_snapshot!(refused("name = \"x\"\nseed = -1"), @"s.toml:2:1: `seed` is -1, but must be 0 or more");
    insta::assert_snapshot!(refused(&format!("replicates = 0\n{BASE}")), @"s.toml:1:1: `replicates` is 0, but a point needs at least one seed");
    insta::assert_snapshot!(refused(&format!("seed = 9223372036854775808\n{BASE}")), @"s.toml:1:8: `seed` is a whole number beyond 64 bits");
    insta::assert_snapshot!(refused("name = \"x\"\nstages = 3"), @"s.toml:2:1: `stages` must be a table, but is a whole number");
    insta::assert_snapshot!(after_base("[axes]\ngamma = 3"), @"s.toml:13:1: `gamma` must be a list of values, but is a whole number");
    insta::assert_snapshot!(after_base("[axes]\ngamma = [1979-05-27]"), @"s.toml:13:10: `gamma` is a date, and no parameter takes one");
    insta::assert_snapshot!(after_base("[expect]\nname = \"x\""), @"s.toml:12:2: `expect` must be a list of tables, written with double brackets ([[…]]), but is a table");
}

#[test]
fn stages_and_parameters() {
    insta::assert_snapshot!(after_base("[stages.ae2]\nkind = \"autoencoder\"\nsgima = 1.0"), @"s.toml:14:1: unknown parameter `sgima` of stage `ae2` (kind autoencoder); did you mean `sigma`?");
    insta::assert_snapshot!(after_base("[stages.late]\nkind = \"noop\"\nseed = 3"), @"s.toml:14:1: unknown parameter `seed` of stage `late` (kind noop); keys of the sweep itself stand above the first [section]");
    insta::assert_snapshot!(after_base("[stages.b]\nkind = \"autoencodr\""), @"s.toml:13:1: unknown kind `autoencodr` of stage `b`; did you mean `autoencoder`?");
    insta::assert_snapshot!(after_base("[stages.b]\nkind = \"quantum\""), @"s.toml:13:1: unknown kind `quantum` of stage `b`; possible: dataset, autoencoder, decoder, encode, count, arvm, pixelcnn, sample, vae, gan, diffusion, generate, resample, features, evaluate, likelihood, command");
    insta::assert_snapshot!(after_base("[stages.b]\nsteps = 3"), @r#"s.toml:12:9: stage `b` has no `kind`; add for example kind = "dataset""#);
    insta::assert_snapshot!(after_base("hidden = \"wide\""), @r#"s.toml:12:1: stage `prior` (kind arvm): `hidden`: invalid type: string "wide", expected a list"#);
    insta::assert_snapshot!(after_base("\nsteps = -5"), @"s.toml:13:1: stage `prior` (kind arvm): `steps`: invalid value: integer `-5`, expected a whole number, 0 or more");
    insta::assert_snapshot!(after_base("hidden = [1, \"x\"]"), @r#"s.toml:12:1: stage `prior` (kind arvm): `hidden[1]`: invalid type: string "x", expected a whole number, 0 or more"#);
    insta::assert_snapshot!(after_base("window = \"sqare\""), @"s.toml:12:1: stage `prior` (kind arvm): `window`: unknown variant `sqare`, expected `square` or `raster1d`");
    insta::assert_snapshot!(after_base("learning_rate = nan"), @"s.toml:12:17: `learning_rate` is not a finite number");
    insta::assert_snapshot!(after_base("learning_rate = 0"), @"s.toml:12:1: stage `prior` (kind arvm): `learning_rate` is 0, but a positive number is needed");
}

#[test]
fn axes() {
    insta::assert_snapshot!(after_base("[axes]\ngamma = []"), @"s.toml:13:1: axis `gamma` has no values; list some, or remove it");
    insta::assert_snapshot!(after_base("[axes]\n\ngama = [3]"), @"s.toml:14:1: axis `gama` enters no stage; did you mean `gamma`?");
    insta::assert_snapshot!(after_base("[axes]\n\"decoder.sgima\" = [3]"), @"s.toml:13:1: axis `decoder.sgima` enters no stage; did you mean `decoder.sigma`?");
    insta::assert_snapshot!(after_base("[axes]\n\"decodr.sigma\" = [3]"), @"s.toml:13:1: axis `decodr.sigma` enters no stage; did you mean `decoder.sigma`?");
    insta::assert_snapshot!(after_base("[axes]\nencoder.x.y = [3]"), @"s.toml:13:9: `encoder.x` must be a list of values, but is a table");
    insta::assert_snapshot!(after_base("[axes]\ndecoder = [3]"), @r#"s.toml:13:1: axis `decoder` enters no stage; it is a stage: write its parameter too, as in "decoder.sigma""#);
    insta::assert_snapshot!(after_base("[axes]\n\"<img src=x>\" = [3]"), @"s.toml:13:1: axis `<img src=x>` enters no stage; possible: batch, channels, decoder_front, decoder_hidden, decoder_in, digest, exponent, extra_act, from, gamma, head, held_out, held_out_from, hidden, images, kappa, latent_act, latent_channels, learning_rate, log_every, net, noise, prior, refine and 14 more");
    insta::assert_snapshot!(after_base("[axes]\ngamma = [3, 5, 3]"), @"s.toml:13:16: axis `gamma` has the value 3 twice; remove one");
    insta::assert_snapshot!(after_base("[axes]\nsigma = [1, 1.0]"), @"s.toml:13:13: axis `sigma` has the value 1.0 twice; remove one");
    insta::assert_snapshot!(after_base("[axes]\n\"decoder.sigma\" = [0.5, -1]"), @"s.toml:13:25: stage `decoder` (kind decoder), axis `decoder.sigma`: `sigma` is -1, but a noise scale lies between 0 and 1000");
    insta::assert_snapshot!(after_base("[axes]\ngamma = [\n  3,\n  4,\n]"), @r#"s.toml:15:3: stage `prior` (kind arvm), axis `gamma`: `gamma` is 4, but a square window centred on a site has an odd side: use 3 or 5, or window = "raster1d""#);
    insta::assert_snapshot!(after_base("[axes]\ngamma = [3, \"wide\"]"), @r#"s.toml:13:13: stage `prior` (kind arvm), axis `gamma`: `gamma`: invalid type: string "wide", expected a whole number, 0 or more"#);
    insta::assert_snapshot!(
        after_base("[axes]\nsigma = [1]\n\"ae.sigma\" = [1]\n\"decoder.sigma\" = [1]"), @"s.toml:13:1: axis `sigma` enters no stage: every stage that has this parameter has an axis of its own for it; remove it");
}

#[test]
fn linked_points_and_random() {
    insta::assert_snapshot!(after_base("[[linked]]\ngamma = [3, 5]\nimages = [1, 2, 3]"), @"s.toml:14:1: linked axes move together, but `images` has 3 values where `gamma` has 2");
    insta::assert_snapshot!(after_base("[[linked]]\n"), @"s.toml:12:1: [[linked]] has no `axis`; add axes of equal length, or remove it");
    insta::assert_snapshot!(after_base("[[linked]]\ngamma = [3, 3]\nimages = [1, 1]"), @"s.toml:13:13: [[linked]] describes the same point twice: gamma = 3, images = 1; remove one");
    insta::assert_snapshot!(after_base("[axes]\ngamma = [3]\n[[linked]]\ngamma = [5]"), @"s.toml:15:1: axis `gamma` is described twice; keep it in one place");
    insta::assert_snapshot!(after_base("[[points]]\ngamma = 3\n[[points]]\ngamma = 3"), @"s.toml:15:1: [[points]] describes the same point twice: gamma = 3; remove one");
    insta::assert_snapshot!(after_base("[[points]]\ngamma = 3\n[[points]]\nsteps = 3"), @"s.toml:12:1: the point gives no value for axis `steps`, and the stages it enters differ in theirs; give one");
    insta::assert_snapshot!(after_base("[[points]]\n"), @"s.toml:12:1: [[points]] has no `axis`; add a value such as gamma = 3 to at least one point");
    let random = |axes: &str| {
        after_base(&format!(
            "[random]\ncount = 9\nseed = 0\n[random.axes]\n{axes}"
        ))
    };
    insta::assert_snapshot!(random("gamma = { choice = [3, 5] }"), @"s.toml:13:1: [random]: count is 9, but there are only 2 different points; lower it, or widen a distribution");
    insta::assert_snapshot!(random("gamma = { choise = [3, 5] }"), @"s.toml:16:11: unknown key `choise` in the distribution of gamma; did you mean `choice`?");
    insta::assert_snapshot!(random("gamma = { choice = [] }"), @"s.toml:16:1: axis `gamma` has no values; list some, or remove it");
    insta::assert_snapshot!(random("sigma = { log_uniform = [0, 1] }"), @"s.toml:16:1: `sigma` needs bounds above 0 on a logarithmic scale");
    insta::assert_snapshot!(random("sigma = { uniform = [2, 1] }"), @"s.toml:16:1: `sigma` needs two bounds, the lower first, as in [0.1, 2.0]");
    insta::assert_snapshot!(random(""), @"s.toml:12:2: [random] has no `axes`; add axes = { gamma = { choice = [3, 5] } }");
    insta::assert_snapshot!(after_base("[random]\ncount = 3"), @"s.toml:12:2: [random] has no `seed`; add seed = 0");
}

#[test]
fn conditions() {
    let with = |rule: &str| after_base(&format!("[axes]\ngamma = [3, 5]\n{rule}"));
    insta::assert_snapshot!(with("[[exclude]]\ngama = 3"), @"s.toml:15:1: [[exclude]] names axis `gama`, which does not exist; did you mean `gamma`?");
    insta::assert_snapshot!(with("[[exclude]]\ngamma = 4"), @"s.toml:15:1: no value of axis `gamma` is 4; possible: 3, 5");
    insta::assert_snapshot!(with("[[include]]\ngamma = { mni = 4 }"), @"s.toml:15:11: [[include]] names axis `gamma.mni`, which does not exist; did you mean `gamma`?");
    insta::assert_snapshot!(with("[[exclude]]\n"), @"s.toml:14:1: [[exclude]] has no `axis`; add a condition such as gamma = 3, or remove it");
    insta::assert_snapshot!(with("[[exclude]]\ngamma = [3, 5]"), @"s.toml:15:1: [[exclude]] and [[include]] leave none of the 2 points");
}

#[test]
fn inputs() {
    let stage = |inputs: &str| {
        after_base(&format!(
            "[stages.q]\nkind = \"evaluate\"\ninputs = {inputs}"
        ))
    };
    insta::assert_snapshot!(stage("{ modell = \"ae\" }"), @"s.toml:14:12: unknown input `modell` of stage `q` (kind evaluate); did you mean `model`?");
    insta::assert_snapshot!(stage("{ model = \"aee\" }"), @"s.toml:14:12: input `model` of stage `q` names stage `aee`, which does not exist; did you mean `ae`?");
    insta::assert_snapshot!(stage("{ model = \"codes\" }"), @"s.toml:14:12: input `model` of stage `q` is `codes` of kind encode, but takes autoencoder or decoder; possible: ae, decoder");
    insta::assert_snapshot!(stage("{ model = 3 }"), @"s.toml:14:12: `model` must be a string, but is a whole number");
    insta::assert_snapshot!(stage("\"ae\""), @"s.toml:14:1: `inputs` must be a table, but is a string");
    insta::assert_snapshot!(after_base("[stages.s]\nkind = \"sample\""), @r#"s.toml:12:9: stage `s` (kind sample) needs an input `decoder` of kind autoencoder or decoder, and several stages fit: `ae`, `decoder`; choose with inputs = { decoder = "ae" }"#);
    insta::assert_snapshot!(refused("name = \"x\"\n[stages.ae]\nkind = \"autoencoder\""), @"s.toml:2:9: stage `ae` (kind autoencoder) needs an input `data` of kind dataset, and there is no such stage; add one");
    insta::assert_snapshot!(
        refused("name = \"x\"\n[stages.d]\nkind = \"dataset\"\ninputs = { data = \"d\" }"), @"s.toml:4:12: unknown input `data` of stage `d` (kind dataset); stages of this kind take no inputs");
    let noop = |name: &str, after: &str| {
        format!("[stages.{name}]\nkind = \"noop\"\ninputs = {{ after = \"{after}\" }}\n")
    };
    insta::assert_snapshot!(
        after_base(&[noop("z", "a"), noop("a", "b"), noop("b", "c"), noop("c", "a")].concat()), @"s.toml:17:12: stages wait for each other in a circle: a → b → c → a; remove one of these inputs");
    insta::assert_snapshot!(after_base("[stages.a]\nkind = \"noop\"\ninputs = { after = \"a\" }"), @"s.toml:14:12: stages wait for each other in a circle: a → a; remove one of these inputs");
}

#[test]
fn profiles() {
    let text = format!(
        "{BASE}[axes]\ngamma = [3]\n[[linked]]\nae.sigma = [1]\n[profiles.mini]\nseed = 1\n\
         [profiles.paper]\nseed = 2\n"
    );
    insta::assert_snapshot!(refused_with(&text, &profile("minni")), @"--profile minni: there is no such profile; did you mean `mini`?");
    insta::assert_snapshot!(refused_with(&text, &profile("other")), @"--profile other: there is no such profile; possible: mini, paper");
    insta::assert_snapshot!(refused_with(BASE, &profile("mini")), @"--profile mini: there is no such profile; the file has none");
    let with = |more: &str| refused_with(&format!("{text}{more}"), &profile("paper"));
    insta::assert_snapshot!(with("stages.aee.steps = 3"), @"s.toml:20:8: in profile `paper`: it names stage `aee`, which does not exist; did you mean `ae`?");
    insta::assert_snapshot!(with("stages.ae.stps = 3"), @"s.toml:20:11: in profile `paper`: unknown parameter `stps` of stage `ae` (kind autoencoder); did you mean `steps`?");
    insta::assert_snapshot!(with("stages.ae.sigma = -1\naxes.gamma = [4]"), @r#"s.toml:21:15: in profile `paper`: stage `prior` (kind arvm), axis `gamma`: `gamma` is 4, but a square window centred on a site has an odd side: use 3 or 5, or window = "raster1d""#);
    insta::assert_snapshot!(with("axes.ae.sigma = [4]"), @"s.toml:20:9: in profile `paper`: axis `ae.sigma` is part of [[linked]] and cannot be replaced alone; edit the file instead");
    insta::assert_snapshot!(with("axis.gamma = [4]"), @"s.toml:20:1: in profile `paper`: unknown key `axis` in a profile; did you mean `axes`?");
    // A profile that was not chosen is held to the same rules.
    insta::assert_snapshot!(refused(&format!("{text}stages.ae.stps = 3")), @"s.toml:20:11: in profile `paper`: unknown parameter `stps` of stage `ae` (kind autoencoder); did you mean `steps`?");
}

#[test]
fn overrides() {
    let text = format!("{BASE}[axes]\ngamma = [3]\n[[linked]]\nae.sigma = [1]\n");
    let with = |value: &str| refused_with(&text, &set(&[value]));
    insta::assert_snapshot!(with("gamma"), @"--set gamma: there is no `=`; write axis=value,value or stage.parameter=value");
    insta::assert_snapshot!(with("=3"), @"--set =3: there is no name before the `=`; write axis=value,value or stage.parameter=value");
    insta::assert_snapshot!(with("gamma="), @"--set gamma=: the values after the `=` cannot be read; write axis=value,value or stage.parameter=value");
    insta::assert_snapshot!(with("gamma=3,,5"), @"--set gamma=3,,5: the values after the `=` cannot be read; write axis=value,value or stage.parameter=value");
    insta::assert_snapshot!(with("gamma=3]\nx=[4"), @r#"--set gamma=3]\u{a}x=[4: the values after the `=` cannot be read; write axis=value,value or stage.parameter=value"#);
    insta::assert_snapshot!(with("gamma=4"), @r#"--set gamma=4: stage `prior` (kind arvm), axis `gamma`: `gamma` is 4, but a square window centred on a site has an odd side: use 3 or 5, or window = "raster1d""#);
    insta::assert_snapshot!(with("gama=3"), @"--set gama=3: axis `gama` enters no stage; did you mean `gamma`?");
    insta::assert_snapshot!(with("ae.stps=3"), @"--set ae.stps=3: unknown parameter `stps` of stage `ae` (kind autoencoder); did you mean `steps`?");
    insta::assert_snapshot!(with("aee.steps=3"), @"--set aee.steps=3: it names stage `aee`, which does not exist; did you mean `ae`?");
    insta::assert_snapshot!(with("aee.steps=3,4"), @"--set aee.steps=3,4: axis `aee.steps` enters no stage; did you mean `ae.steps`?");
    insta::assert_snapshot!(with("ae.sigma=3"), @"--set ae.sigma=3: axis `ae.sigma` is part of [[linked]] and cannot be replaced alone; edit the file instead");
    insta::assert_snapshot!(with("prior.gamma=3"), @"--set prior.gamma=3: axis `gamma` sets this parameter; use --set gamma=… instead");
    insta::assert_snapshot!(with("steps=many"), @r#"--set steps=many: stage `ae` (kind autoencoder): `steps`: invalid type: string "many", expected a whole number, 0 or more"#);
    insta::assert_snapshot!(with("replicates=many"), @"--set replicates=many: `replicates` is one whole number, 0 or more");
    insta::assert_snapshot!(with("replicates=9999999"), @"--set replicates=9999999: the grid has 9999999 points (replicates 9999999), and 1000000 are possible; shorten an axis, or draw some points with [random]");
    insta::assert_snapshot!(with("decoder.sigma=nan"), @"--set decoder.sigma=nan: `decoder.sigma` is not a finite number");
}

#[test]
fn expectations() {
    let with = |keys: &str| {
        after_base(&format!(
            "[axes]\ngamma = [3, 5]\nimages = [8, 9]\n[[expect]]\nname = \"e\"\n{keys}"
        ))
    };
    insta::assert_snapshot!(with("stage = \"prior\"\nmetrik = \"m\""), @"s.toml:18:1: unknown key `metrik` in [[expect]]; did you mean `metric`?");
    insta::assert_snapshot!(with("stage = \"prior\""), @"s.toml:15:1: `[[expect]]` cannot be read: missing field `metric`");
    insta::assert_snapshot!(with("stage = \"priors\"\nmetric = \"m\"\nabove = 1"), @"s.toml:17:1: expectation `e` names stage `priors`, which does not exist; did you mean `prior`?");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\nalong = \"gama\"\ntrend = \"increasing\""), @"s.toml:19:1: expectation `e` names axis `gama`, which does not exist; did you mean `gamma`?");
    insta::assert_snapshot!(with("stage = \"ae\"\nmetric = \"m\"\nalong = \"gamma\"\ntrend = \"increasing\""), @"s.toml:19:1: expectation `e` follows axis `gamma`, which does not enter stage `ae`; possible: images");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\ntrend = \"increasing\""), @"s.toml:19:1: expectation `e`: a trend needs `along`, the axis it follows");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\ntrend = \"rising\""), @"s.toml:19:9: `[[expect]]` cannot be read: unknown variant `rising`, expected `increasing` or `decreasing`");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\nabove = nan"), @"s.toml:19:1: expectation `e`: `above` is not a finite number");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\nabove = 2\nbelow = 1"), @"s.toml:19:1: expectation `e`: nothing is both above 2 and below 1");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\"\nabove = 1\nat = \"last\""), @"s.toml:20:1: expectation `e`: `at` needs `along`, the axis whose first or last value is meant");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"m\""), @"s.toml:16:1: expectation `e`: it expects nothing; give `trend`, `above`, `below` or `factor`");
    insta::assert_snapshot!(with("stage = \"prior\"\nmetric = \"<m>\"\nabove = 1"), @"s.toml:18:1: expectation `e`: `<m>` is not the name of a metric: use letters, digits, '_', '-' and '.'");
}

#[test]
fn quoted_rows() {
    let figure = "[[figure]]\nkind = \"bars\"\ntitle = \"f\"\nstage = \"prior\"\nx = \"gamma\"\nmetrics = [\"m\"]\n";
    let after = |rows: &str| after_base(&format!("[axes]\ngamma = [3, 5]\n{figure}{rows}"));
    let with = |keys: &str| after(&format!("[[figure.quoted]]\n{keys}"));
    let values = |values: &str| {
        with(&format!(
            "name = \"a\"\nsource = \"Table 1\"\nvalues = {{ {values} }}"
        ))
    };
    insta::assert_snapshot!(with("name = \"a\"\nsuorce = \"b\""), @"s.toml:22:1: unknown key `suorce` in [[figure.quoted]]; did you mean `source`?");
    insta::assert_snapshot!(with("name = \"a\"\nvalues = { m = \"1\" }"), @r#"s.toml:20:1: [[figure.quoted]] has no `source`; add source = "Table 1", where they are printed"#);
    insta::assert_snapshot!(with("name = \" \"\nsource = \"Table 1\"\nvalues = { m = \"1\" }"), @"s.toml:21:1: `name` is empty; say what is quoted, and from where");
    insta::assert_snapshot!(with("name = 3\nsource = \"Table 1\"\nvalues = { m = \"1\" }"), @"s.toml:21:1: `name` must be a string, but is a whole number");
    insta::assert_snapshot!(with("name = \"a\\u202e\"\nsource = \"Table 1\"\nvalues = { m = \"1\" }"), @r#"s.toml:21:1: `name` holds the control character \u{202e}"#);
    insta::assert_snapshot!(values(""), @"s.toml:23:1: `values` is empty; give a number as it is printed, or remove the row");
    insta::assert_snapshot!(values("m = 8.30"), @"s.toml:23:12: `m` is a number, which would lose the digits of the paper; put it in quotes, as it is printed there");
    insta::assert_snapshot!(values("m = nan"), @"s.toml:23:12: `m` is a number, which would lose the digits of the paper; put it in quotes, as it is printed there");
    insta::assert_snapshot!(values("m = \"NaN\""), @"s.toml:23:12: `m` is `NaN`, which is no number of a paper's table");
    insta::assert_snapshot!(values("m = \"good\""), @"s.toml:23:12: `m` is `good`, which is no number of a paper's table");
    insta::assert_snapshot!(values("m = [\"1\"]"), @"s.toml:23:12: `m` must be a string, but is a list");
    insta::assert_snapshot!(values("\"\" = \"1\""), @"s.toml:23:12: `` is no name of a column");
    let row = "[[figure.quoted]]\nname = \"a\"\nsource = \"b\"\nvalues = { m = \"1\" }\n";
    insta::assert_snapshot!(after(&row.repeat(5000)), @"s.toml:20:10: there are 5000 quoted rows of one figure, and 100 are possible");
    insta::assert_snapshot!(after("quoted = 3"), @"s.toml:20:1: `quoted` must be a list of tables, written with double brackets ([[…]]), but is a whole number");
    let columns: Vec<String> = (0..25).map(|i| format!("m{i} = \"1\"")).collect();
    insta::assert_snapshot!(values(&columns.join(", ")), @"s.toml:23:1: there are 25 columns of a quoted row, and 24 are possible");
    // In a profile that was not chosen, too.
    let profile = "[[profiles.p.figure]]\nkind = \"bars\"\ntitle = \"f\"\nstage = \"prior\"\n[[profiles.p.figure.quoted]]\nname = \"\"";
    insta::assert_snapshot!(after_base(profile), @r#"s.toml:16:1: in profile `p`: [[figure.quoted]] has no `source`; add source = "Table 1", where they are printed"#);
}

#[test]
fn figures() {
    let with = |keys: &str| {
        after_base(&format!(
            "[axes]\ngamma = [3, 5]\n[[figure]]\ntitle = \"f\"\n{keys}"
        ))
    };
    insta::assert_snapshot!(with("kind = \"cruve\"\nstage = \"prior\""), @"s.toml:16:1: figure `f`: unknown kind `cruve`; did you mean `curve`?");
    insta::assert_snapshot!(with("kind = \"curve\"\nstage = \"priro\"\nx = \"gamma\"\nmetrics = [\"m\"]"), @"s.toml:17:1: figure `f` names stage `priro`, which does not exist; did you mean `prior`?");
    insta::assert_snapshot!(with("kind = \"curve\"\nstage = \"prior\"\nmetrics = [\"m\"]"), @"s.toml:14:1: figure `f`: a figure of kind `curve` needs `x`");
    insta::assert_snapshot!(with("kind = \"curve\"\nstage = \"prior\"\nx = \"gama\"\nmetrics = [\"m\"]"), @"s.toml:18:1: figure `f` names axis `gama`, which does not exist; did you mean `gamma`?");
    insta::assert_snapshot!(with("kind = \"curve\"\nstage = \"prior\"\nx = \"gamma\"\nmetrics = []"), @"s.toml:19:1: figure `f`: a figure of kind `curve` needs `metrics`");
    insta::assert_snapshot!(with("kind = \"images\"\nstage = \"prior\"\nfile = \"../../etc/passwd\""), @"s.toml:18:1: figure `f`: `../../etc/passwd` is not a plain file name such as nearest.png");
    insta::assert_snapshot!(with("kind = \"training\"\nstage = \"prior\"\nx = \"gamma\"\nmetrics = [\"m\"]"), @"s.toml:18:1: figure `f`: a figure of kind `training` has no `x`");
}
