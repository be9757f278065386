//! Data sets of one's own, from files to a sweep that trains on them.

use std::path::Path;

use serde_json::Value;

use crate::support::{Site, last_json};

/// IDX files of 8×8 pixels: a square whose place tells the label.
pub(crate) fn idx(folder: &Path, train: u32, test: u32) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, count) in [("train", train), ("t10k", test)] {
        let mut images = vec![0, 0, 8, 3];
        images.extend([count, 8, 8].into_iter().flat_map(u32::to_be_bytes));
        let mut labels = vec![0, 0, 8, 1];
        labels.extend(count.to_be_bytes());
        for n in 0..count {
            let at = u8::try_from(n % 5).unwrap();
            let level = u8::try_from(100 + n % 150).unwrap();
            for y in 0..8 {
                for x in 0..8 {
                    let inside = (at..at + 4).contains(&x) && (2..6).contains(&y);
                    images.push(if inside { level } else { 0 });
                }
            }
            labels.push(at);
        }
        std::fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        std::fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
}

fn sweep(more: &str) -> String {
    format!(
        "name = \"own\"\n[stages.data]\nkind = \"dataset\"\nsource = \"squares\"\nimages = 40\n\
         held_out = 20\nheld_out_from = \"test\"\n{more}\n\
         [stages.ae]\nkind = \"autoencoder\"\nchannels = [6]\nwide = 8\nlatent_channels = 3\n\
         decoder_in = 8\ndecoder_front = 6\nrefine = 3\nsteps = 6\nbatch = 10\n\
         [stages.look]\nkind = \"evaluate\"\ninputs = {{ data = \"data\", model = \"ae\" }}\n"
    )
}

/// The exit code, and what was said.
pub(crate) fn failed(site: &Site, args: &[&str]) -> (Option<i32>, String) {
    let output = site.run(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[test]
fn a_sweep_trains_on_imported_images() {
    let site = Site::new();
    idx(&site.path().join("files"), 60, 20);
    let file = site.write("own.toml", sweep(""));
    let file = file.to_str().unwrap();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();

    // Without the data set: planned all the same, and never submitted.
    let plan = site.json(&["plan", file, "--store", "store", "--json"]);
    assert_eq!(plan["tasks"], 3);
    let missing = plan["missing"][0].as_str().unwrap();
    assert!(missing.contains("ablate data import squares PATH --store store"));
    let (code, said) = failed(&site, &["submit", file, "--join", join]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("`squares` is not in the store"), "{said}");
    let nothing = site.json(&["status", "--join", join, "--json"]);
    assert_eq!(nothing["sweeps"].as_array().map(Vec::len), Some(0));

    let import = [
        "data", "import", "squares", "files", "--store", "store", "--json",
    ];
    let imported = site.json(&import);
    assert_eq!(
        (&imported["images"], &imported["test_images"]),
        (&60.into(), &20.into())
    );
    assert_eq!(site.json(&import)["already"], true);
    let list = site.json(&["data", "list", "--store", "store", "--json"]);
    assert_eq!(list["datasets"][0]["digest"], imported["digest"]);
    let show = [
        "data",
        "show",
        "squares",
        "--store",
        "store",
        "--picture",
        "sheet.png",
    ];
    let output = site.run(&show);
    assert!(output.status.success());
    let sheet = std::fs::File::open(site.path().join("sheet.png")).unwrap();
    let sheet = png::Decoder::new(std::io::BufReader::new(sheet));
    assert_eq!(sheet.read_info().unwrap().info().width, 8 * (64 + 2) + 2);

    // More than there is, known before anything runs.
    let more = ["plan", file, "--store", "store", "--set", "data.images=61"];
    let (code, said) = failed(&site, &more);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`squares` has 1 to 60 images"), "{said}");
    let more = ["submit", file, "--join", join, "--set", "data.held_out=21"];
    let (code, said) = failed(&site, &more);
    assert_eq!(code, Some(2), "{said}");

    let _workers = [site.worker(join, "a"), site.worker(join, "b")];
    // Two splits and two sizes: four tasks of the same shards.
    let args = [
        "submit",
        file,
        "--join",
        join,
        "--json",
        "--set",
        "data.split_seed=1,2",
        "--set",
        "data.upsample=1,2",
    ];
    assert_eq!(site.json(&args)["tasks"], 12);
    let status = site.wait_for(join, "own", |s| s["state"] == "done");
    site.check_done(&status);
    let rows = status["rows"].as_array().unwrap();
    let of = |kind: &str| -> Vec<Value> {
        let rows = rows.iter().filter(|row| row["kind"] == kind);
        rows.map(|row| site.manifest(row["key"].as_str().unwrap()))
            .collect()
    };
    for manifest in of("dataset") {
        assert_eq!(manifest["data_digest"], imported["digest"]);
    }
    for manifest in of("evaluate") {
        let metrics = manifest["metrics"].as_array().unwrap();
        let held_out = metrics.iter().find(|row| row["name"] == "psnr_held_out");
        assert!(
            held_out.unwrap()["value"].as_f64() > Some(0.0),
            "{metrics:?}"
        );
    }

    // Another data set under the name: said, and other tasks.
    idx(&site.path().join("files"), 50, 20);
    let (code, said) = failed(&site, &import);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("--replace"), "{said}");
    let mut replace = import.to_vec();
    replace.push("--replace");
    assert_ne!(site.json(&replace)["digest"], imported["digest"]);
    let again = site.json(&["submit", file, "--join", join, "--json"]);
    assert_eq!((&again["tasks"], &again["reused"]), (&3.into(), &0.into()));
    site.wait_for(join, "own", |s| s["state"] == "done");
}

#[test]
fn a_damaged_shard_fails_the_task_with_its_name() {
    let site = Site::new();
    idx(&site.path().join("files"), 60, 20);
    let file = site.write("own.toml", sweep(""));
    let file = file.to_str().unwrap();
    site.json(&[
        "data", "import", "squares", "files", "--store", "store", "--json",
    ]);
    let shards = site.path().join("store/data/shards");
    for shard in std::fs::read_dir(shards).unwrap() {
        let path = shard.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[7] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let output = site.run(&["run", file, "--store", "store", "--workers", "1", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let done = last_json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!((&done["failed"], &done["done"]), (&1.into(), &0.into()));
    let outcome = site.log("store/sweeps/own/outcome.json");
    assert!(outcome.contains("data/shards/"), "{outcome}");
    // Importing it anew mends it.
    let args = [
        "data",
        "import",
        "squares",
        "files",
        "--store",
        "store",
        "--replace",
        "--json",
    ];
    assert_eq!(site.json(&args)["already"], true);
    let done = site.json(&["run", file, "--store", "store", "--workers", "1", "--json"]);
    assert_eq!(done["done"], 3);
}

#[test]
fn what_cannot_be_imported_is_said_in_a_sentence() {
    let site = Site::new();
    std::fs::create_dir(site.path().join("empty")).unwrap();
    for (name, path, expected) in [
        ("digits", "empty", "every worker"),
        ("a/b", "empty", "letters, digits"),
        ("x", "empty", "nothing here can be imported"),
        ("x", "nowhere", "No such file"),
    ] {
        let args = ["data", "import", name, path, "--store", "store"];
        let (code, said) = failed(&site, &args);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let (code, said) = failed(&site, &["data", "show", "mnist", "--store", "store"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("yann.lecun.com"), "{said}");
    let run = site.write("own.toml", sweep(""));
    let (code, said) = failed(&site, &["run", run.to_str().unwrap(), "--store", "store"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("ablate data import squares"), "{said}");
}
