//! The shipped studies in their mini profile: every verdict must pass. All of
//! them take about a quarter of an hour on two cores; `ABLATE_STUDIES` names
//! some of them by how their files begin (`e`, `x05`, `e06,e13`), and
//! `ABLATE_STUDIES_SEED` another seed: what holds for one only is no finding.

use crate::support::{Site, last_json};

#[test]
#[ignore = "takes a quarter of an hour; run it with --ignored"]
fn studies_pass_every_verdict() {
    let wanted = std::env::var("ABLATE_STUDIES").unwrap_or_else(|_| "e,x".to_owned());
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sweeps");
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let study = |name: &String| {
        let digits = name.get(1..3).is_some_and(|d| d.parse::<u8>().is_ok());
        digits && wanted.iter().any(|start| name.starts_with(start))
    };
    let mut names: Vec<String> = names.filter(study).collect();
    names.sort();
    assert!(!names.is_empty(), "no study begins with {wanted:?}");
    let mut failed = Vec::new();
    for name in names {
        let site = Site::new();
        let text = std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
        let file = site.write(&name, seeded(&text));
        let file = file.to_str().unwrap();
        let run = ["run", file, "--profile", "mini", "--check", "--json"];
        let output = site.run(&run);
        let done = last_json(&String::from_utf8(output.stdout).unwrap());
        let code = output.status.code();
        println!("{name}: exit code {code:?}, {} s", done["seconds"]);
        for verdict in done["verdicts"].as_array().unwrap() {
            if verdict["pass"] != true {
                failed.push(format!("{name}: {verdict}"));
            }
        }
        if code != Some(0) {
            failed.push(format!("{name} ended with {code:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn seeded(text: &str) -> String {
    match std::env::var("ABLATE_STUDIES_SEED") {
        Err(_) => text.to_owned(),
        Ok(seed) => {
            let other = text.replace("\nseed = 0\n", &format!("\nseed = {seed}\n"));
            assert_ne!(other, text, "the file has the seed 0");
            other
        }
    }
}
