mod errors;
mod features;
mod fuzz;
mod grid;
mod limits;
mod shards;
mod shipped;
mod written;

use super::*;

/// A small sweep: every test file adds to it.
const BASE: &str = r#"name = "base"
[stages.data]
kind = "dataset"
[stages.ae]
kind = "autoencoder"
[stages.decoder]
kind = "decoder"
[stages.codes]
kind = "encode"
[stages.prior]
kind = "arvm"
"#;

fn try_plan(text: &str, options: &Options) -> Result<Plan, SweepError> {
    let file = "s.toml";
    plan(&Source { file, text }, options)
}

fn set(values: &[&str]) -> Options {
    Options {
        set: values.iter().map(|v| (*v).to_owned()).collect(),
        ..Options::default()
    }
}

fn profile(name: &str) -> Options {
    Options {
        profile: Some(name.to_owned()),
        ..Options::default()
    }
}

/// Plans `BASE` and what follows it.
fn base(more: &str) -> Plan {
    try_plan(&format!("{BASE}{more}"), &Options::default()).unwrap()
}

/// The message about a file.
fn refused(text: &str) -> String {
    refused_with(text, &Options::default())
}

fn refused_with(text: &str, options: &Options) -> String {
    match try_plan(text, options) {
        Ok(plan) => panic!("accepted: {} points", plan.points.len()),
        Err(e) => e.to_string(),
    }
}
