//! Weights in and out of a store that a short run filled.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{SHORT, Site, quickstart};

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("worker/src/weights/fixtures");
    folder.join(name).display().to_string()
}

/// A site whose default store holds a short quickstart.
fn filled() -> Site {
    let site = Site::new();
    let file = quickstart();
    let mut run = vec!["run", &file, "--json"];
    run.extend(SHORT);
    site.json(&run);
    site
}

/// Runs `ablate` and expects this exit code and these words, on either stream.
fn says(site: &Site, args: &[&str], code: i32, words: &[&str]) {
    let output = site.run(args);
    let both = [output.stdout, output.stderr].concat();
    let both = String::from_utf8_lossy(&both);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {both}");
    assert!(!both.contains("panicked"), "{both}");
    for word in words {
        assert!(both.contains(word), "{args:?}: {word:?} is not in {both:?}");
    }
}

fn file_of(site: &Site, task: &str, name: &str) -> PathBuf {
    let folder = site.path().join("ablate-store/tasks").join(task);
    let attempts = std::fs::read_dir(folder).unwrap();
    let found = attempts.filter_map(|e| Some(e.ok()?.path().join(name)));
    let mut found = found.filter(|path| path.exists());
    found.next().unwrap()
}

#[test]
fn files_of_pytorch_are_listed_and_converted() {
    let site = Site::new();
    let plain = fixture("a_sd.pt");
    let listed = site.json(&["weights", &plain, "--json"]);
    assert_eq!(listed["tensors"][7]["name"], "4.weight");
    assert_eq!(listed["tensors"][7]["shape"], serde_json::json!([5, 288]));
    assert_eq!(listed["tensors"][2]["dtype"], "I64");
    says(
        &site,
        &["weights", &plain],
        0,
        &["1.running_mean", "[8, 3, 3, 3]", "F32"],
    );

    let nested = fixture("b_nested.pt");
    says(
        &site,
        &["weights", &nested],
        2,
        &["b_nested.pt", "--key model"],
    );
    let convert = [
        "weights",
        &nested,
        "--key",
        "model",
        "--out",
        "m.safetensors",
        "--json",
    ];
    let converted = site.json(&convert);
    assert_eq!(converted["written"], "m.safetensors");
    says(&site, &convert, 1, &["m.safetensors exists", "--force"]);
    let back = site.json(&["weights", "m.safetensors", "--json"]);
    assert_eq!(back["tensors"], listed["tensors"]);

    says(
        &site,
        &["weights", &fixture("c_legacy.pt")],
        2,
        &["before 1.6"],
    );
    says(
        &site,
        &["weights", &fixture("d_module.pt")],
        2,
        &["Sequential", "state_dict()"],
    );
    says(&site, &["weights", "nowhere.pt"], 2, &["nowhere.pt"]);
    says(
        &site,
        &["weights", &plain, "--out", "no/where.safetensors"],
        1,
        &["no/where"],
    );
}

#[test]
fn a_model_goes_out_in_the_layout_of_pytorch() {
    let site = filled();
    let export = [
        "export",
        "quickstart/ae",
        "--out",
        "ae.safetensors",
        "--json",
    ];
    let exported = site.json(&export);
    assert_eq!(exported["family"], "autoencoder");
    let key = exported["task"].as_str().unwrap();
    let listed = site.json(&["weights", "ae.safetensors", "--json"]);
    let tensors = listed["tensors"].as_array().unwrap();
    let shape = |name: &str| -> Vec<u64> {
        let found = tensors.iter().find(|t| t["name"] == name);
        let shape = found.unwrap()["shape"].as_array().unwrap();
        shape.iter().map(|d| d.as_u64().unwrap()).collect()
    };
    // Convolution [out, in, kh, kw], linear [out, in], of one input channel.
    let first = shape("encoder.0.weight");
    assert_eq!(first[1..], [1, 4, 4]);
    assert_eq!(shape("encoder.1.weight")[1], first[0]);
    // Transposed [in, out, kh, kw].
    let (before, front) = (shape("decoder.1.weight"), shape("decoder.2.weight"));
    assert_eq!([front[0], front[2], front[3]], [before[0], 3, 3]);
    assert_eq!(shape("decoder.2.bias"), [front[1]]);

    says(&site, &export, 1, &["ae.safetensors exists", "--force"]);
    let mut forced = export.to_vec();
    forced.push("--force");
    site.json(&forced);
    // By the beginning of its key, into a file of its own name.
    let named = site.json(&["export", &key[..10], "--json"]);
    assert_eq!(named["file"], format!("{}.safetensors", &key[..10]));
    let read = |name: &str| std::fs::read(site.path().join(name)).unwrap();
    assert_eq!(
        read("ae.safetensors"),
        read(named["file"].as_str().unwrap())
    );

    let like = ["weights", "ae.safetensors", "--like", key];
    says(
        &site,
        &like,
        0,
        &["names and shapes are those of the model"],
    );
    let other = fixture("a_sd.pt");
    let like = ["weights", &other, "--like", key];
    says(
        &site,
        &like,
        1,
        &["missing: encoder.0.weight", "extra: 1.running_var"],
    );

    for (task, code, words) in [
        ("quickstart/aee", 2, ["no stage", "ae"]),
        ("quickstart/decoder", 2, ["tasks", "key of one"]),
        ("nosuch/ae", 2, ["nosuch", "plan"]),
        (
            "quickstart/codes",
            1,
            ["left no model", "codes.safetensors"],
        ),
        ("zzzz", 2, ["zzzz", "hex"]),
        ("0", 2, ["at least 4", "status"]),
        (&"0".repeat(12), 2, ["no task of the store", "--store"]),
        (&"0".repeat(64), 1, ["has no result", "not done"]),
    ] {
        says(&site, &["export", task], code, &words);
    }

    let file = file_of(&site, key, "model.safetensors");
    let good = std::fs::read(&file).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (bytes, word) in [
        (&flipped[..], "blake3"),
        (&good[..good.len() - 4], "blake3"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let broken = ["export", key, "--out", "broken.safetensors"];
        says(&site, &broken, 1, &["model.safetensors", word]);
    }
    assert!(!site.path().join("broken.safetensors").exists());
    std::fs::remove_file(&file).unwrap();
    says(&site, &["export", key], 1, &["is not in the store"]);
}

/// Reads an exported prior with PyPI's safetensors, as the README has it, and
/// computes its encoder. `.ci/run` runs it, with the Python of
/// `ABLATE_TEST_PYTHON`; a build needs neither Python nor a network.
#[test]
#[ignore = "needs a Python with safetensors and numpy; .ci/run has one"]
fn python_reads_an_exported_model_and_computes_the_same() {
    let python = std::env::var("ABLATE_TEST_PYTHON").unwrap();
    let site = filled();
    site.json(&[
        "export",
        "quickstart/ae",
        "--out",
        "ae.safetensors",
        "--json",
    ]);
    let images = file_of(&site, &task_of(&site, "data"), "dataset.safetensors");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/exported.py");
    let output = Command::new(python)
        .args([
            script.as_path(),
            &site.path().join("ae.safetensors"),
            &images,
        ])
        .args([file_of(
            &site,
            &task_of(&site, "codes"),
            "codes.safetensors",
        )])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("images agree"), "{stdout}");
}

fn task_of(site: &Site, stage: &str) -> String {
    let plan = site.path().join("ablate-store/sweeps/quickstart/plan.json");
    let plan: Value = serde_json::from_slice(&std::fs::read(plan).unwrap()).unwrap();
    let index = plan["points"][0]["tasks"][stage].as_u64().unwrap();
    let index = usize::try_from(index).unwrap();
    plan["tasks"][index]["task"]["key"]
        .as_str()
        .unwrap()
        .to_owned()
}
