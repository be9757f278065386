//! Certificates, tokens, and machines that join with one string.

use std::path::Path;
use std::process::Stdio;

use crate::support::safe::{Safe, done, refused, token};
use crate::support::{Site, sleepers};

/// On an address that other machines reach: a sweep from submission to its
/// end, and its secrets nowhere.
#[test]
fn a_string_is_all_that_a_box_needs_and_its_secret_is_nowhere() {
    let safe = Safe::start("0.0.0.0:0");
    let (_, worker_join) = safe.token("worker", "1d");
    let (_, user_join) = safe.token("user", "1d");
    let worker = safe.worker(&worker_join, "worker.log");
    let file = safe.site.write("nap.toml", sleepers("nap", 4, 300));
    done(&safe.run(&user_join, &["submit", file.to_str().unwrap()]));
    done(&safe.run(&user_join, &["wait", "nap"]));
    let status = safe.run(&user_join, &["status", "--json"]);
    done(&status);

    // Where a store is named instead, it says where its coordinator is.
    let store = format!("file://{}#", safe.site.path().join("store").display());
    let by_store = user_join.replace(&format!("ablate://127.0.0.1:{}#", safe.port()), &store);
    assert!(by_store.starts_with("file:"));
    done(&safe.run(&by_store, &["status"]));

    // One that is kept serves as well as one in the environment.
    let login = safe.run("", &["login", &user_join]);
    done(&login);
    done(&safe.site.run(&["status"]));
    let shown = safe.site.run(&["config", "show"]);
    done(&shown);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("ablate://127.0.0.1"), "{shown}");

    let secrets = [&worker_join, &user_join].map(|join| {
        let token = join.split(['#', '@']).nth(1).unwrap();
        token.rsplit_once('_').unwrap().1.to_owned()
    });
    for secret in &secrets {
        assert_eq!(secret.len(), 32);
        assert!(!shown.contains(secret.as_str()), "config show tells it");
        let login = String::from_utf8_lossy(&login.stdout);
        assert!(!login.contains(secret.as_str()), "login tells it");
        absent(secret, &safe.site.path().join("store"));
        for log in ["worker.log", "coordinator.log"] {
            assert!(!safe.site.log(log).is_empty());
            assert!(!safe.site.log(log).contains(secret.as_str()), "{log}");
        }
    }
    let runners = children(worker.id());
    assert!(!runners.is_empty());
    for runner in runners {
        for what in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{runner}/{what}")).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(&secrets[0]), "the runner's {what} has it");
        }
    }
}

fn absent(secret: &str, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            absent(secret, &path);
        } else if let Ok(bytes) = std::fs::read(&path) {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{} has it", path.display());
        }
    }
}

fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = threads.map(|t| t.unwrap().path().join("children"));
    let texts = lists.filter_map(|path| std::fs::read_to_string(path).ok());
    texts
        .flat_map(|t| {
            t.split_whitespace()
                .map(|c| c.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn what_is_printed_when_listening_is_refused_makes_it_possible() {
    let site = Site::new();
    let listen = ["coordinator", "--store", "store", "--listen", "0.0.0.0:0"];
    let output = site.run(&listen);
    refused(&output, 4, "there is neither TLS nor a valid token");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let mut commands: Vec<Vec<String>> = stderr
        .lines()
        .filter_map(|line| line.strip_prefix("  ablate "))
        .map(|line| line.replace("THIS_HOST", "127.0.0.1"))
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect();
    let last = commands.pop().unwrap();
    assert_eq!(last[0], "coordinator");
    for command in commands {
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        done(&site.run(&args));
    }
    let tls = ["--tls-dir", "ablate-tls"];
    assert!(stderr.contains(&tls.join(" ")));
    let _coordinator = site.coordinator_with("0.0.0.0:0", &tls);

    // Neither alone is enough, and a token that is over is none.
    let other = Site::new();
    done(&other.run(&["cert", "init", "--dir", "tls"]));
    let mut listen = listen.to_vec();
    listen.extend(["--tls-dir", "tls"]);
    token(&other, &["--role", "user", "--expires", "0s"]);
    refused(&other.run(&listen), 4, "there is no valid token");
    token(&other, &["--role", "user", "--expires", "1h"]);
    refused(&other.run(&listen[..5]), 4, "there is no TLS");
}

#[test]
fn keys_are_for_the_owner_alone_and_nothing_is_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    let init = ["cert", "init", "--dir", "tls", "--json"];
    let made = site.json(&init);
    assert!(made["fingerprint"].as_str().unwrap().len() == 64);
    let mode = |name: &str| {
        let path = site.path().join("tls").join(name);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!([mode("ca-key.pem"), mode("server-key.pem")], [0o600; 2]);
    refused(&site.run(&init), 4, "ablate cert renew");
    let renewed = site.json(&["cert", "renew", "--dir", "tls", "--name", "box", "--json"]);
    assert_eq!(renewed["fingerprint"], made["fingerprint"]);
    assert_eq!(renewed["names"][0], "box");
    assert_eq!(mode("server-key.pem"), 0o600);
    let key = site.path().join("tls/server-key.pem");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let listen = ["coordinator", "--store", "store", "--listen", "127.0.0.1:0"];
    let listen = [&listen[..], &["--tls-dir", "tls"]].concat();
    refused(&site.run(&listen), 4, "chmod 600");
    let bad = ["cert", "init", "--dir", "x", "--name", "no name"];
    refused(&site.run(&bad), 4, "no name");
}

#[test]
fn a_worker_whose_token_is_revoked_stops_and_says_so() {
    let safe = Safe::start("127.0.0.1:0");
    let (id, join) = safe.token("worker", "1h");
    let (_, user) = safe.token("user", "1h");
    let worker = safe.worker(&join, "worker.log");
    let file = safe.site.write("nap.toml", sleepers("nap", 1, 60_000));
    done(&safe.run(&user, &["submit", file.to_str().unwrap()]));
    let running = || {
        let status = safe.run(&user, &["status", "nap", "--json"]);
        String::from_utf8_lossy(&status.stdout).contains("\"running\":1")
    };
    let begun = std::time::Instant::now();
    while !running() {
        assert!(begun.elapsed() < crate::support::PATIENCE);
    }
    done(&safe.site.run(&["token", "revoke", &id, "--store", "store"]));
    let (code, _) = worker.wait();
    let log = safe.site.log("worker.log");
    assert_eq!(code, Some(4), "{log}");
    assert!(log.contains("this token was revoked"), "{log}");
    let listed = safe
        .site
        .json(&["token", "list", "--store", "store", "--json"]);
    let revoked = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["id"] == id.as_str());
    assert_eq!(revoked.unwrap()["state"], "revoked");
    let unknown = ["token", "revoke", "ffffffff", "--store", "store"];
    refused(&safe.site.run(&unknown), 2, "ablate token list");
}

#[test]
fn tokens_are_asked_for_on_loopback_too_and_may_lie_in_files() {
    let site = Site::new();
    let made = token(&site, &["--role", "user", "--expires", "1h"]);
    assert!(made["join"].is_null());
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    refused(
        &site.run(&["status", "--join", join]),
        4,
        "asks for a token",
    );
    let file = site.write("token", made["token"].as_str().unwrap());
    let file = file.to_str().unwrap();
    done(&site.run(&["status", "--join", join, "--token-file", file]));
    let mut status = site.command(&["status", "--join", join]);
    done(
        &status
            .env("ABLATE_TOKEN", made["token"].as_str().unwrap())
            .output()
            .unwrap(),
    );
    let mut login = site.command(&["login"]);
    let mut login = login
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = login.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"nonsense\n").unwrap();
    drop(stdin);
    refused(
        &login.wait_with_output().unwrap(),
        2,
        "does not name a coordinator",
    );
}
