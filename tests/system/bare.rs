//! Programs that leave nothing: that they are done is all there is to keep,
//! and nobody may miss what there never was.

use serde_json::Value;

use crate::support::{Process, Site};

/// The first stage leaves a file if it is told to; the second one counts what
/// it is given.
fn sweep(keep: &str) -> String {
    format!(
        "name = \"s\"\n\
         [stages.first]\nkind = \"command\"\n\
         run = [\"sh\", \"-c\", '[ $ABLATE_PARAM_KEEP = no ] || touch $ABLATE_OUTPUT/kept']\n\
         params = {{ keep = \"no\" }}\n\
         [stages.second]\nkind = \"command\"\n\
         run = [\"sh\", \"-c\", 'echo {{\\\"name\\\": \\\"files\\\", \\\"value\\\": \
         $(ls $ABLATE_INPUT_FIRST | wc -l)}} >> $ABLATE_METRICS']\n\
         inputs = {{ first = \"first\" }}\n\
         [axes]\n\"first.keep\" = [{keep}]\n"
    )
}

fn worker(site: &Site, join: &str) -> Process {
    let args = ["worker", "--join", join, "--slots", "1", "--allow-commands"];
    site.spawn(&args, "worker.log")
}

fn row<'a>(status: &'a Value, part: &str) -> &'a Value {
    let mut rows = status["rows"].as_array().unwrap().iter();
    rows.find(|row| row["label"].as_str().unwrap().starts_with(part))
        .unwrap_or_else(|| panic!("no {part} in {status:#}"))
}

#[test]
fn what_left_nothing_is_done_for_good_and_an_empty_folder_to_what_needs_it() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.clone();
    let _worker = worker(&site, &join);
    // The first stage alone.
    let alone = sweep("\"no\"");
    let alone = format!(
        "{}[axes]\n\"first.keep\" = [\"no\"]\n",
        alone.split("[stages.second]").next().unwrap()
    );
    site.submit(&join, "s", &alone);
    let status = site.wait_for(&join, "s", |s| s["state"] == "done");
    site.check_done(&status);
    let first = row(&status, "first");
    assert_eq!(first["bare"], true, "{first}");
    let file = site.path().join("s.toml");
    let file = file.to_str().unwrap();
    for place in [["--join", join.as_str()], ["--store", "store"]] {
        let args = [&["plan", file, "--json"][..], &place].concat();
        let difference = &site.json(&args)["difference"];
        assert_eq!(difference["done"], 1, "{place:?}: {difference}");
    }

    // It is not done again after a crash, nor when a sweep adds what needs it.
    let address = join.clone();
    coordinator.process.kill();
    let coordinator = site.coordinator(&address);
    let submitted = site.submit(&join, "s", &sweep("\"no\", \"yes\""));
    assert_eq!(submitted["reused"], 1, "{submitted}");
    let status = site.wait_for(&join, "s", |s| s["state"] == "done");
    site.check_done(&status);
    assert_eq!(row(&status, "first keep=no")["attempt"], 1);
    for (keep, files) in [("no", 0.0), ("yes", 1.0)] {
        let second = row(&status, &format!("second keep={keep}"));
        let manifest = site.manifest(second["key"].as_str().unwrap());
        assert_eq!(manifest["metrics"][0]["value"], files, "{manifest:#}");
    }

    // Nor when no sweep wanted it for a while.
    site.submit(&join, "s", &sweep("\"yes\""));
    site.wait_for(&join, "s", |s| s["state"] == "done");
    site.json(&["gc", "--store", "store", "--grace", "0", "--json"]);
    let submitted = site.submit(&join, "s", &sweep("\"no\", \"yes\""));
    assert_eq!(submitted["reused"], 3, "{submitted}");
    let status = site.wait_for(&join, "s", |s| s["state"] == "done");
    assert_eq!(row(&status, "first keep=no")["attempt"], 1);

    site.json(&["report", "s", "--store", "store", "--json"]);
    let page = site.log("reports/s/report.html");
    assert!(page.contains("it left no files and no measurements"));
    assert!(!page.contains("its manifest is gone") && !page.contains(">-0"));
    drop(coordinator);
}
