//! `ablate gc` beside a coordinator that runs.

use crate::support::Site;

fn data(seeds: &str) -> String {
    format!(
        "name = \"d\"\n[stages.data]\nkind = \"dataset\"\nimages = 8\nheld_out = 8\n\
         [axes]\n\"data.split_seed\" = [{seeds}]\n"
    )
}

#[test]
fn gc_removes_what_a_sweep_dropped_and_it_can_come_back() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _worker = site.worker(join, "a");
    let submit = |seeds: &str| {
        let file = site.write("d.toml", data(seeds));
        let submitted = site.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"]);
        site.wait_for(join, "d", |s| s["state"] == "done");
        submitted
    };
    let gc = |more: &[&str]| {
        let mut args = vec!["gc", "--store", "store", "--json"];
        args.extend(more);
        site.json(&args)
    };
    submit("1, 2, 3");
    // All is named, and young.
    assert_eq!(gc(&["--grace", "0"])["objects"], 0);
    submit("1");
    assert_eq!(gc(&[])["objects"], 0);
    let dry = gc(&["--grace", "0", "--dry-run"]);
    assert_eq!(dry["kept_tasks"], 1);
    assert!(dry["removed"]["unreferenced"]["objects"].as_u64() >= Some(4));
    let removed = gc(&["--grace", "0"]);
    assert_eq!(removed["removed"], dry["removed"]);
    assert_eq!(gc(&["--grace", "0"])["objects"], 0);
    // The coordinator knew them as done.
    let again = submit("1, 2");
    assert_eq!(again["reused"], 1);
    // Dropped, and not removed: still there when it is named again.
    submit("1");
    assert_eq!(submit("1, 2")["reused"], 2);
    site.json(&["report", "d", "--store", "store", "--json"]);
}
