//! The rules of the house that no lint holds. What a rule forbids is named by
//! file and line.

use std::path::{Path, PathBuf};

/// Longer files than these are allowed, as long as they do not grow. Add
/// none.
const LONG: [(&str, usize); 1] = [("worker/src/nn/gradients.rs", 521)];
const MOST_LINES: usize = 400;

/// Beside `proto/`, the files that may name generated types.
const WIRE: [&str; 6] = [
    // A worker made by hand, and a look that costs little.
    "benches/orchestrator.rs",
    "benches/streams.rs",
    "coordinator/src/rpc.rs",
    "coordinator/src/rpc/asking.rs",
    "src/rpc.rs",
    "worker/src/agent/rpc.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

struct Source {
    /// Below the root.
    path: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        parts.contains(&"tests") || self.path.ends_with("tests.rs")
    }

    fn is_below(&self, folder: &str) -> bool {
        Path::new(&self.path).starts_with(folder)
    }

    /// Lines of code: no comments, and nothing of the test module at the end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self
            .text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line));
        lines
            .take_while(|(_, line)| *line != "#[cfg(test)]")
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// Every Rust file of the repository, but not of its builds.
fn sources() -> Vec<Source> {
    let mut open: Vec<PathBuf> = ["proto", "coordinator", "worker", "src", "tests", "benches"]
        .map(|folder| root().join(folder))
        .to_vec();
    let mut sources = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                sources.push(Source { path, text });
            }
        }
    }
    assert!(
        sources.len() > 100,
        "only {} files were found",
        sources.len()
    );
    sources
}

/// Fails with every line of code that holds one of the words.
fn forbid(what: &str, words: &[&str], sources: impl Iterator<Item = Source>) {
    let mut broken = Vec::new();
    let mut seen = 0;
    for source in sources {
        seen += 1;
        for (number, line) in source.code() {
            for word in words {
                if line.contains(word) {
                    broken.push(format!("{}:{number}: `{word}`", source.path));
                }
            }
        }
    }
    assert!(seen > 0, "{what}: no file was looked at");
    assert!(broken.is_empty(), "{what}:\n{}", broken.join("\n"));
}

#[test]
fn generated_types_stay_at_the_border() {
    let inner = sources().into_iter().filter(|s| {
        !s.is_test()
            && !s.is_below("proto")
            && !s.is_below("tests")
            && !WIRE.contains(&s.path.as_str())
    });
    // What is wrong with a message is no generated type.
    let inner = inner.map(|s| Source {
        text: s.text.replace("wire::InvalidMessage", ""),
        ..s
    });
    forbid(
        "generated types",
        &["wire::", "tonic::include_proto"],
        inner,
    );
}

#[test]
fn the_core_has_no_runtime_clock_chance_or_log() {
    let words = [
        "tokio",
        "async ",
        "Instant",
        "SystemTime",
        "std::time::{",
        "rand::",
        "OsRng",
        "thread_rng",
        "RandomState",
        "tracing",
        "println!",
        "std::fs",
        "std::net",
        "std::env",
        "std::thread",
        "object_store",
        "slatedb",
        "tonic",
    ];
    let pure = ["core", "policy", "sweep"].map(|folder| format!("coordinator/src/{folder}"));
    let pure = sources()
        .into_iter()
        .filter(|s| pure.iter().any(|folder| s.is_below(folder)) && !s.is_test());
    forbid("coordinator/src/{core,policy,sweep}", &words, pure);
}

#[test]
fn contracts_do_nothing_and_runners_have_no_network() {
    let of = |folder: &'static str| {
        let all = sources().into_iter();
        all.filter(move |s| s.is_below(folder) && !s.is_test())
    };
    let io = [
        "tokio",
        "std::fs",
        "std::net",
        "candle",
        "object_store",
        "SystemTime",
        "Instant",
    ];
    forbid("proto", &io, of("proto/src"));
    let network = ["tonic", "object_store", "std::net", "tokio::net"];
    forbid("worker/src/runner", &network, of("worker/src/runner"));
    forbid("worker/src/stages", &network, of("worker/src/stages"));
    forbid("worker/src/models", &network, of("worker/src/models"));
    forbid("worker/src/nn", &network, of("worker/src/nn"));
}

/// Who may depend on whom.
#[test]
fn coordinator_and_worker_never_see_each_other() {
    let depends = |package: &str, on: &str| {
        let manifest = root().join(package).join("Cargo.toml");
        let text = std::fs::read_to_string(manifest).unwrap();
        let table: toml::Table = text.parse().unwrap();
        ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .filter_map(|kind| table.get(*kind)?.as_table())
            .any(|list| list.keys().any(|name| name.starts_with(on)))
    };
    assert!(depends("coordinator", "ablate-proto") && depends("worker", "ablate-proto"));
    for (package, on) in [
        ("proto", "ablate-"),
        ("proto", "tokio"),
        ("proto", "candle"),
        ("coordinator", "ablate-worker"),
        ("coordinator", "candle"),
        ("worker", "ablate-coordinator"),
        ("worker", "slatedb"),
    ] {
        assert!(!depends(package, on), "{package} depends on {on}");
    }
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    for source in sources() {
        let lines = source.text.lines().count();
        let allowed = LONG.iter().find(|(path, _)| *path == source.path);
        match allowed {
            Some((path, most)) => {
                assert!(
                    lines <= *most,
                    "{path} has grown to {lines} lines; split it"
                );
                assert!(
                    lines > MOST_LINES,
                    "{path} is short now: take it off the list"
                );
            }
            None => assert!(
                lines <= MOST_LINES,
                "{} has {lines} lines; more than {MOST_LINES} are hard to read: split it",
                source.path
            ),
        }
        let documented = source.is_test() || source.text.starts_with("//!");
        assert!(documented, "{} does not say what it is for", source.path);
    }
    for (path, _) in LONG {
        assert!(
            root().join(path).exists(),
            "{path} is gone: take it off the list"
        );
    }
}

#[test]
fn exceptions_from_lints_say_why() {
    for source in sources() {
        // A generated file, and what a feature changes.
        let known = [
            "proto/src/wire/mod.rs",
            "coordinator/src/sweep/tests/limits.rs",
        ];
        for (number, line) in source.code() {
            let line = line.trim_start();
            let at = format!("{}:{number}", source.path);
            let allows = line.starts_with("#[allow(") || line.starts_with("#![allow(");
            assert!(
                !allows || known.contains(&source.path.as_str()),
                "{at}: expect, not allow"
            );
            let short = line.starts_with("#[expect(") && line.ends_with(")]");
            assert!(
                !short || line.contains("reason"),
                "{at}: no reason is given"
            );
        }
    }
}

/// What belongs at the top.
const TOP: [&str; 19] = [
    ".ci",
    ".clippy.toml",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SCIENCE.md",
    "benches",
    "build.rs",
    "coordinator",
    "docs",
    "proto",
    "src",
    "sweeps",
    "tests",
    "worker",
];

#[test]
fn nothing_strange_is_committed_at_the_top() {
    let mut git = std::process::Command::new("git");
    let listed = git.args(["ls-files"]).current_dir(root()).output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        return; // No checkout, or no git.
    };
    let listed = String::from_utf8(listed.stdout).unwrap();
    let top = listed.lines().filter_map(|path| path.split('/').next());
    let strange: Vec<&str> = top.filter(|name| !TOP.contains(name)).collect();
    assert!(strange.is_empty(), "{strange:?} at the top of the tree");
}
