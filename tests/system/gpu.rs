//! On a machine with a GPU: `cargo test --features cuda --workspace --
//! --ignored gpu`.

use crate::support::{SHORT, Site, quickstart};

#[test]
#[ignore = "needs a GPU"]
fn gpu_runs_the_quickstart() {
    let site = Site::new();
    let file = quickstart();
    let args = ["run", &file, "--json", "--device", "cuda"];
    let ended = site.json(&[&args[..], &SHORT[..]].concat());
    assert_eq!(ended["done"], ended["tasks"], "{ended:#}");
    assert_eq!(ended["failed"], 0, "{ended:#}");
    let log = site.log("scratch/logs/worker-0.log");
    assert!(log.contains("(GPU-"), "{log}");
}
