//! A coordinator that speaks TLS and asks for tokens, and who joins it.

use std::process::Output;

use serde_json::Value;

use super::{Coordinator, Process, Site};

/// All that could tell a secret.
const LOUD: &str = "trace,slatedb=warn";

/// A site whose coordinator speaks TLS.
pub(crate) struct Safe {
    pub(crate) site: Site,
    pub(crate) coordinator: Coordinator,
}

impl Safe {
    /// On this address, with one token that nobody uses.
    pub(crate) fn start(listen: &str) -> Self {
        let site = Site::new();
        let init = ["cert", "init", "--dir", "tls", "--name", "127.0.0.1"];
        assert!(site.run(&init).status.success());
        token(&site, &["--role", "admin", "--expires", "1h"]);
        let serve = ["coordinator", "--json", "--store", "store", "--listen"];
        let mut serve = site.command(&[&serve[..], &[listen, "--tls-dir", "tls"]].concat());
        serve.env("ABLATE_LOG", LOUD);
        let coordinator = site.coordinator_from(serve);
        Self { site, coordinator }
    }

    pub(crate) fn port(&self) -> &str {
        self.coordinator.address.rsplit_once(':').unwrap().1
    }

    /// A new token: its id, and the string to join with.
    pub(crate) fn token(&self, role: &str, expires: &str) -> (String, String) {
        let listen = format!("127.0.0.1:{}", self.port());
        let made = token(
            &self.site,
            &[
                "--role",
                role,
                "--expires",
                expires,
                "--tls-dir",
                "tls",
                "--listen",
                &listen,
            ],
        );
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        (text("id"), text("join"))
    }

    pub(crate) fn worker(&self, join: &str, log: &str) -> Process {
        let mut command = self.site.command(&["worker", "--slots", "1"]);
        command.env("ABLATE_JOIN", join).env("ABLATE_LOG", LOUD);
        self.site.spawn_command(command, log)
    }

    pub(crate) fn run(&self, join: &str, args: &[&str]) -> Output {
        let mut command = self.site.command(args);
        command.env("ABLATE_JOIN", join).output().unwrap()
    }
}

pub(crate) fn token(site: &Site, args: &[&str]) -> Value {
    let mut create = vec!["token", "create", "--json", "--store", "store"];
    create.extend(args);
    site.json(&create)
}

#[track_caller]
pub(crate) fn refused(output: &Output, code: i32, says: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(says), "{says:?} is not in: {stderr}");
}

pub(crate) fn done(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
}
