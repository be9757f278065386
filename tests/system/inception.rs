//! Weights of Inception from a user's file to FID, IS and rFID in a report.

use std::path::{Path, PathBuf};

use ablate_worker::weights::InceptionWeights;
use serde_json::{Value, json};

use crate::support::Site;

/// A safetensors file of random values that neither vanish nor explode in the
/// network.
fn weights(folder: &Path) -> PathBuf {
    let tensors = InceptionWeights::expected();
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in &tensors {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        let place = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] });
        header.insert(name.clone(), place);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    let mut state = 1u32;
    for (name, shape) in &tensors {
        let count: usize = shape.iter().product();
        let one = ["bn.weight", "running_var"]
            .iter()
            .any(|end| name.ends_with(end));
        let scale = if shape.len() > 1 {
            (6.0 * shape[0] as f32 / count as f32).sqrt()
        } else {
            0.1
        };
        for _ in 0..count {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let signed = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
            let value = if one { 1.0 } else { scale * signed };
            file.extend(value.to_le_bytes());
        }
    }
    let path = folder.join("mine.safetensors");
    std::fs::write(&path, file).unwrap();
    path
}

const SWEEP: &str = "name = \"scored\"\n\
    [stages.data]\nkind = \"dataset\"\nimages = 10\nheld_out = 10\n\
    [stages.ae]\nkind = \"autoencoder\"\nchannels = [6]\nwide = 8\nlatent_channels = 3\n\
    decoder_in = 8\ndecoder_front = 6\nrefine = 3\nsteps = 6\nbatch = 10\n\
    [stages.drawn]\nkind = \"resample\"\ncount = 10\n\
    [stages.scores]\nkind = \"evaluate\"\ninputs = { model = \"ae\", samples = \"drawn\" }\n\
    noise_draws = 1\noverlap_pairs = 8\noverlap_draws = 64\ninception = \"inception\"\n";

/// What a sweep adds to have the features of its training images computed by
/// tasks of their own, in two shards.
const APART: &str = "[profiles.apart.stages.seen]\nkind = \"features\"\n\
    inputs = { images = \"data\" }\nshards = 2\n\
    [profiles.apart.stages.scores]\ninputs = { features = \"seen\" }\n";

/// The scores that the last run of a sweep left.
fn scores(site: &Site, sweep: &str) -> Vec<Value> {
    let plan = site
        .path()
        .join("store/sweeps")
        .join(sweep)
        .join("plan.json");
    let plan: Value = serde_json::from_slice(&std::fs::read(plan).unwrap()).unwrap();
    let tasks = plan["tasks"].as_array().unwrap().iter();
    let mut tasks = tasks.filter(|planned| planned["task"]["spec"]["kind"] == "evaluate");
    let key = tasks.next().unwrap()["task"]["key"].as_str().unwrap();
    let manifest = site.manifest(key);
    let names = [
        "fid",
        "fid_floor",
        "inception_score",
        "inception_score_std",
        "rfid",
    ];
    let rows = manifest["metrics"].as_array().unwrap().iter();
    let ours = |row: &&Value| names.iter().any(|name| row["name"] == *name);
    rows.filter(ours).cloned().collect()
}

fn says(site: &Site, args: &[&str], code: i32, word: &str) {
    let output = site.run(args);
    let both = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {both}");
    assert!(both.contains(word), "{args:?}: {word:?} is not in {both:?}");
}

#[test]
fn scores_are_skipped_without_weights_and_computed_with_them() {
    let site = Site::new();
    let file = site.write("scored.toml", format!("{SWEEP}{APART}"));
    let file = file.to_str().unwrap();
    let run = ["run", file, "--store", "store", "--json"];

    let plan = site.json(&["plan", file, "--store", "store", "--json"]);
    let missing = plan["missing"][0].as_str().unwrap();
    assert!(
        missing.contains("ablate weights import inception FILE --store store"),
        "{missing}"
    );
    let output = site.run(&run);
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let warnings: Vec<&str> = stderr
        .lines()
        .filter(|l| l.starts_with("warning"))
        .collect();
    let [warning] = warnings[..] else {
        panic!("{stderr}");
    };
    let line = "ablate weights import inception FILE --store file://";
    assert!(warning.contains(line), "{warning}");
    let without = scores(&site, "scored");
    let names: Vec<&Value> = without.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["rfid", "fid", "inception_score"]);
    let skipped = |row: &Value| row["note"] == "skipped: no weights" && row["value"].is_null();
    assert!(without.iter().all(skipped), "{without:#?}");
    let apart = [&run[..], &["--profile", "apart"]].concat();
    site.json(&apart);
    assert_eq!(scores(&site, "scored-apart"), without);

    let mine = weights(site.path());
    let mine = mine.to_str().unwrap();
    let import = [
        "weights",
        "import",
        "inception",
        mine,
        "--store",
        "store",
        "--json",
    ];
    let imported = site.json(&import);
    assert_eq!(
        (&imported["already"], &imported["network"]),
        (&false.into(), &"inception".into())
    );
    assert_eq!(site.json(&import)["already"], true);
    let listed = site.json(&["weights", "list", "--store", "store", "--json"]);
    assert_eq!(listed["weights"][0]["digest"], imported["digest"]);
    // Only what the weights are for is another task now.
    let plan = site.json(&["plan", file, "--store", "store", "--json"]);
    let new = plan["difference"]["new"].as_array().map(Vec::len);
    assert_eq!((&plan["missing"], new), (&Value::Null, Some(1)), "{plan:#}");
    site.json(&run);
    let with = scores(&site, "scored");
    let value = |name: &str| {
        let row = with.iter().find(|row| row["name"] == name);
        row.and_then(|row| row["value"].as_f64())
            .unwrap_or_else(|| panic!("{name} in {with:#?}"))
    };
    // What is drawn from the training images is nearer than its halves are.
    assert!(value("fid") < value("fid_floor"), "{with:#?}");
    assert!(
        value("rfid") > 0.0 && value("inception_score") >= 1.0,
        "{with:#?}"
    );
    // Apart, they are the same to the last bit, from four tasks: two shards,
    // what puts them together, and what measures.
    let args = [
        "plan",
        file,
        "--profile",
        "apart",
        "--store",
        "store",
        "--json",
    ];
    let plan = site.json(&args);
    let new = plan["difference"]["new"].as_array().map(Vec::len);
    assert_eq!(new, Some(4), "{plan:#}");
    site.json(&apart);
    assert_eq!(scores(&site, "scored-apart"), with);
    let csv = site.path().join("store/sweeps/scored/report/report.csv");
    let csv = std::fs::read_to_string(csv).unwrap();
    assert!(csv.contains("resized as by pytorch-fid"), "{csv}");

    // Gone between planning and running.
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let again = SWEEP
        .replace("scored", "again")
        .replace("overlap_pairs = 8", "overlap_pairs = 9");
    site.submit(join, "again", &again);
    let other = SWEEP.replace("inception = \"inception\"", "inception = \"mine\"");
    let other = site.write("other.toml", other.replace("scored", "other"));
    let submit = ["submit", other.to_str().unwrap(), "--join", join];
    says(
        &site,
        &submit,
        0,
        "warning: the weights `mine` are not in the store",
    );
    site.json(&["cancel", "other", "--join", join, "--json"]);
    let digest = imported["digest"].as_str().unwrap();
    std::fs::remove_file(site.path().join("store/weights").join(digest)).unwrap();
    // One with an empty cache.
    let mut fresh = site.command(&["worker", "--join", join, "--slots", "1"]);
    fresh.env("ABLATE__WORKER__SCRATCH", site.path().join("fresh"));
    let _worker = site.spawn_command(fresh, "fresh.log");
    let status = site.wait_for(join, "again", |status| status["state"] == "failed");
    let text = status.to_string();
    assert!(
        text.contains("have gone since the sweep was planned"),
        "{status:#}"
    );
    assert!(
        text.contains("ablate weights import inception FILE"),
        "{status:#}"
    );
}

#[test]
fn files_that_are_no_weights_of_inception_leave_nothing_in_the_store() {
    let site = Site::new();
    site.write("text.pth", "these are no weights");
    site.write("empty.pth", "");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("worker/src/weights/fixtures");
    let other = fixtures.join("a_sd.pt");
    let import = |file: &str, word: &str| {
        let args = ["weights", "import", "inception", file, "--store", "store"];
        says(&site, &args, 2, word);
    };
    import("nowhere.pth", "nowhere.pth");
    import("text.pth", "neither a safetensors file nor a PyTorch file");
    import("empty.pth", "it is empty");
    import(
        other.to_str().unwrap(),
        "it has no tensor Conv2d_1a_3x3.conv.weight, [32, 3, 3, 3]",
    );
    assert!(!site.path().join("store").exists());
    let odd = ["weights", "import", "../x", "text.pth", "--store", "store"];
    says(&site, &odd, 2, "cannot be called");
    std::fs::create_dir(site.path().join("store")).unwrap();
    let remove = ["weights", "remove", "inception", "--store", "store"];
    says(&site, &remove, 2, "no weights are called `inception`");
}
