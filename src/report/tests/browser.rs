//! Hostile names in a real browser: no script of theirs runs. Needs Chromium:
//! `ABLATE_CHROMIUM=/usr/bin/chromium cargo test browser -- --ignored`.

use std::path::Path;
use std::process::Command;

use super::hostile::hostile_with;

/// Leaves a mark in the page, if it runs; the mark does not stand in it.
const SCRIPT: &str = "</title></style></text></svg><script>document.documentElement\
    .setAttribute('data-'+'ran','yes')</script>";
const IMAGE: &str =
    "\"><img src=x onerror=\"document.documentElement.setAttribute('data-'+'ran','yes')\">";
const MARK: &str = "data-ran=\"yes\"";

/// The document as it stands after everything in it has run.
fn after_loading(browser: &str, folder: &Path, html: &str) -> String {
    let page = folder.join("page.html");
    std::fs::write(&page, html).expect("writing the page");
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--disable-gpu",
        "--no-sandbox",
        "--no-first-run",
    ]);
    command.args(["--virtual-time-budget=3000", "--dump-dom"]);
    command.arg(format!(
        "--user-data-dir={}",
        folder.join("profile").display()
    ));
    command.arg(format!("file://{}", page.display()));
    let output = command.output().expect("starting the browser");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        dom.contains("</html>"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    dom
}

#[tokio::test]
#[ignore = "needs a browser: ABLATE_CHROMIUM names it"]
async fn browser_runs_nothing_of_hostile_names() {
    let browser = std::env::var("ABLATE_CHROMIUM").expect("ABLATE_CHROMIUM names a browser");
    let folder = tempfile::tempdir().expect("a folder");
    let read = hostile_with(SCRIPT, IMAGE).await;
    let dom = after_loading(&browser, folder.path(), &read.html);
    assert!(
        dom.contains("setAttribute"),
        "the names are not in the page"
    );
    assert!(!dom.contains(MARK));
    // Were they not escaped, the page's policy would still forbid them.
    let raw = read.html.replace("&lt;", "<").replace("&gt;", ">");
    let raw = raw
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#34;", "\"");
    assert!(raw.contains("<script>"));
    assert!(!after_loading(&browser, folder.path(), &raw).contains(MARK));
    // Without both, they run: the check can fail.
    let policy = raw.find("<meta http-equiv").expect("a policy");
    let end = policy + raw[policy..].find('>').expect("its end");
    let bare = format!("{}{}", &raw[..policy], &raw[end + 1..]);
    assert!(after_loading(&browser, folder.path(), &bare).contains(MARK));
}
