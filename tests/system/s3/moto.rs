//! A real S3 server on a loopback port: `moto_server`, from Python's package
//! of that name. `ABLATE_TEST_MOTO` is the path of its program.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Process, Site};

/// Must be nowhere in what processes say.
const CANARIES: [&str; 3] = ["CANARYKEYID4711", "canary-secret-4712", "canary-token-4713"];

pub(crate) struct Moto {
    pub(crate) address: String,
    _server: Process,
}

impl Moto {
    /// `None`, and a line that says so, where there is no such server.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("ABLATE_TEST_MOTO") else {
            println!("NOT RUN: ABLATE_TEST_MOTO does not name a moto_server");
            return None;
        };
        let address = free_address();
        let port = address.rsplit_once(':').unwrap().1;
        let server = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", port])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Self {
            address,
            _server: Process::of(server),
        };
        let started = Instant::now();
        while TcpStream::connect(&moto.address).is_err() {
            assert!(started.elapsed() < PATIENCE, "the S3 server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        let made = moto.ask("PUT /bucket");
        assert!(made.starts_with("HTTP/1.1 200"), "{made}");
        Some(moto)
    }

    /// A site whose store is in the bucket of this server.
    pub(crate) fn site(&self) -> Site {
        site_at(&self.address)
    }

    /// One request without a body; the whole answer.
    pub(crate) fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// A site whose store is in the bucket behind an address.
pub(crate) fn site_at(address: &str) -> Site {
    let store = "s3://bucket/some/prefix";
    let variables = vec![
        ("ABLATE__STORE__URL", store.to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", CANARIES[0].to_owned()),
        ("AWS_SECRET_ACCESS_KEY", CANARIES[1].to_owned()),
        ("AWS_SESSION_TOKEN", CANARIES[2].to_owned()),
        // Requests that hang are given up soon.
        ("AWS_TIMEOUT", "2s".to_owned()),
        ("ABLATE_LOG", "debug".to_owned()),
    ];
    Site::with_store(store, variables)
}

/// No file of the site, logs above all, holds a credential.
pub(crate) fn assert_no_canary(site: &Site) {
    let mut folders = vec![site.path().to_owned()];
    let mut logs = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            logs += usize::from(path.extension().is_some_and(|e| e == "log"));
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            for canary in CANARIES {
                assert!(!text.contains(canary), "{canary} is in {}", path.display());
            }
        }
    }
    assert!(logs > 0, "no log was looked at");
}

/// A loopback port that was free a moment ago.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
