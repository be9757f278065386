//! What people get wrong: a clear sentence on stderr, and the right code.

use std::net::TcpListener;

use crate::support::{Site, sleepers};

/// Runs `ablate` and expects this exit code and these words on stderr.
fn refused(site: &Site, args: &[&str], code: i32, words: &[&str]) {
    let output = site.run(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for word in words {
        assert!(
            stderr.contains(word),
            "{args:?}: {word:?} is not in {stderr:?}"
        );
    }
}

#[test]
fn sweep_files() {
    let site = Site::new();
    refused(&site, &["plan", "nowhere.toml"], 2, &["nowhere.toml"]);
    refused(&site, &["run", "nowhere.toml"], 2, &["nowhere.toml"]);
    refused(&site, &["plan", "."], 2, &["reading the sweep file"]);
    let stage = |rest: &str| {
        format!(
            "name = \"s\"\n[stages.ae]\nkind = \"autoencoder\"\n[stages.data]\nkind = \"dataset\"\n{rest}"
        )
    };
    for (name, text, words) in [
        (
            "key.toml",
            stage("[stages.d]\nkind = \"decoder\"\nsgima = 1\n"),
            vec!["key.toml:8", "sgima", "sigma"],
        ),
        (
            "top.toml",
            format!("nmae = \"x\"\n{}", stage("")),
            vec!["top.toml:1", "nmae", "name"],
        ),
        (
            "empty.toml",
            stage("[axes]\nsigma = []\n"),
            vec!["empty.toml:7", "sigma"],
        ),
        (
            "axis.toml",
            stage("[axes]\ngama = [3]\n"),
            vec!["axis.toml:7", "gama"],
        ),
        (
            "sigma.toml",
            stage("[axes]\n\"ae.sigma\" = [1.0, -1]\n"),
            vec!["sigma.toml:7", "-1"],
        ),
        (
            "gamma.toml",
            stage(
                "[stages.codes]\nkind = \"encode\"\n[stages.p]\nkind = \"arvm\"\n[axes]\ngamma = [3, 4]\n",
            ),
            vec!["gamma.toml:11", "4", "odd"],
        ),
        ("huge.toml", huge(), vec!["1000000000000"]),
        ("junk.toml", "\u{0}\u{1}[[[".to_owned(), vec!["junk.toml:1"]),
    ] {
        site.write(name, text);
        refused(&site, &["plan", name], 2, &words);
    }
    site.write("binary.toml", [0xff, 0xfe, 0x00]);
    refused(&site, &["plan", "binary.toml"], 2, &["UTF-8"]);
}

/// 10^12 points.
fn huge() -> String {
    let values: Vec<String> = (0..10_000).map(|i| i.to_string()).collect();
    let values = values.join(",");
    let mut text = "name = \"huge\"\n".to_owned();
    for stage in ["a", "b", "c"] {
        text += &format!("[stages.{stage}]\nkind = \"noop\"\n");
    }
    text += "[axes]\n";
    for stage in ["a", "b", "c"] {
        text += &format!("\"{stage}.index\" = [{values}]\n");
    }
    text
}

#[test]
fn stores_and_ports() {
    let site = Site::new();
    let file = site.write("nap.toml", sleepers("nap", 1, 0));
    let file = file.to_str().unwrap();
    site.write("blocked", "a file where a folder should be");
    refused(&site, &["run", file, "--store", "blocked"], 4, &["blocked"]);
    refused(
        &site,
        &["run", file, "--store", "blocked/below"],
        4,
        &["blocked"],
    );
    refused(
        &site,
        &["run", file, "--store", "s3://bucket"],
        4,
        &["s3://"],
    );
    refused(&site, &["report", "nap", "--store", "empty"], 2, &["nap"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(
        &site,
        &["coordinator", "--listen", &address],
        4,
        &[&address, "listening"],
    );
    refused(
        &site,
        &["coordinator", "--listen", "0.0.0.0:0"],
        4,
        &["TLS"],
    );
}

#[test]
fn coordinators_that_are_not_there() {
    let site = Site::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let file = site.write("nap.toml", sleepers("nap", 1, 0));
    let file = file.to_str().unwrap();
    for command in [
        vec!["submit", file],
        vec!["status"],
        vec!["watch", "nap"],
        vec!["cancel", "nap"],
    ] {
        let mut args = command;
        args.extend(["--join", &address]);
        refused(&site, &args, 3, &[&address, "no coordinator answers"]);
    }
    refused(
        &site,
        &["status", "--join", "not an address"],
        2,
        &["not an address"],
    );
}

#[test]
fn sweeps_that_are_not_there() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let file = site.write("nap.toml", sleepers("nap", 1, 0));
    site.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"]);
    refused(&site, &["watch", "nip", "--join", join], 2, &["nip", "nap"]);
    refused(
        &site,
        &["cancel", "nip", "--join", join],
        2,
        &["nip", "nap"],
    );
    refused(&site, &["status", "../nap", "--join", join], 2, &["../nap"]);
}

#[test]
fn settings() {
    let site = Site::new();
    site.write("ablate.toml", "[worker]\nslotz = 3\n");
    refused(
        &site,
        &["config", "show"],
        2,
        &["ablate.toml", "slotz", "worker.slots"],
    );
    site.write("ablate.toml", "[worker]\nslots = 3\n");
    let shown = site.json(&["config", "show", "--json"]);
    assert_eq!(shown["worker.slots"]["value"], 3);
    assert_eq!(shown["worker.slots"]["from"], "ablate.toml");
    assert_eq!(shown["store.url"]["from"], "default");
}

/// Of a build without CUDA: with it, what is missing depends on the machine.
#[cfg(not(feature = "cuda"))]
#[test]
fn gpus_that_this_build_cannot_use() {
    let site = Site::new();
    site.write("naps.toml", sleepers("naps", 1, 0));
    let words = ["--features cuda", "--device cpu"];
    refused(&site, &["run", "naps.toml", "--device", "cuda"], 2, &words);
    let worker = ["worker", "--join", "127.0.0.1:1", "--device", "cuda"];
    refused(&site, &worker, 2, &words);
    let unknown = ["run", "naps.toml", "--device", "gpu"];
    refused(&site, &unknown, 2, &["auto", "cpu", "cuda"]);
    site.write("ablate.toml", "[worker]\ndevice = \"gpu\"\n");
    refused(&site, &["run", "naps.toml"], 2, &["gpu", "ablate.toml"]);
    site.write("ablate.toml", "[worker]\ndevice = \"auto\"\n");
    site.json(&["run", "naps.toml", "--json", "--workers", "1"]);
    let log = site.log("scratch/logs/worker-0.log");
    assert!(log.contains("computing on the CPU: this build"), "{log}");
}
