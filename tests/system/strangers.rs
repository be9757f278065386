//! What strangers on the network can do to a coordinator: nothing that lasts.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::support::{PATIENCE, Site, resident};

/// Connections at a time.
const CROWD: usize = 500;

/// Opens so many connections that say this and no more, waits until the
/// coordinator has closed all, and asks for the status meanwhile. Returns how
/// long the last one lasted.
fn crowd(site: &Site, address: &str, says: &[u8], join: &str) -> Duration {
    let begun = Instant::now();
    let mut silent: Vec<TcpStream> = (0..CROWD)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(says).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        })
        .collect();
    let open = AtomicBool::new(true);
    let times = std::thread::scope(|scope| {
        let others = scope.spawn(|| served(site, join, || open.load(Ordering::Relaxed)));
        for stream in &mut silent {
            let mut rest = Vec::new();
            // Closed or reset; the end is what counts.
            if let Err(e) = stream.read_to_end(&mut rest) {
                assert_ne!(e.kind(), std::io::ErrorKind::WouldBlock, "it stays open");
            }
            let _ = stream.shutdown(Shutdown::Both);
        }
        open.store(false, Ordering::Relaxed);
        others.join().unwrap()
    });
    let lasted = begun.elapsed();
    let mut left = times.len();
    let quiet = served(site, join, || {
        left = left.saturating_sub(1);
        left > 0
    });
    let p99 = |times: &[Duration]| times[(times.len() - 1) * 99 / 100];
    eprintln!(
        "`ablate status`, {} times meanwhile: p99 {:?}; as often without them: {:?}",
        times.len(),
        p99(&times),
        p99(&quiet)
    );
    lasted
}

/// How long `ablate status` takes, again and again, at least once; the
/// shortest first.
fn served(site: &Site, join: &str, mut more: impl FnMut() -> bool) -> Vec<Duration> {
    let mut times = Vec::new();
    loop {
        let begun = Instant::now();
        let mut status = site.command(&["status"]);
        let status = status.env("ABLATE_JOIN", join).output().unwrap();
        let stderr = String::from_utf8_lossy(&status.stderr);
        assert!(status.status.success(), "a good client: {stderr}");
        times.push(begun.elapsed());
        if !more() {
            break;
        }
    }
    times.sort_unstable();
    times
}

#[test]
fn silent_connections_and_half_handshakes_are_closed() {
    let site = Site::new();
    let init = ["cert", "init", "--dir", "tls", "--name", "127.0.0.1"];
    assert!(site.run(&init).status.success());
    let coordinator = site.coordinator_with("127.0.0.1:0", &["--tls-dir", "tls"]);
    let address = coordinator.address.as_str();
    let create = [
        "token", "create", "--role", "user", "--json", "--store", "store",
    ];
    let made = site.json(&[&create[..], &["--tls-dir", "tls", "--listen", address]].concat());
    let join = made["join"].as_str().unwrap();
    let silent = crowd(&site, address, b"", join);
    // The beginning of a ClientHello of 200 bytes.
    let half = crowd(
        &site,
        address,
        &[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3],
        join,
    );
    eprintln!("{CROWD} connections, closed after: silent {silent:?}, half handshakes {half:?}");

    // Without TLS: silent ones, slow headers, and requests that are refused.
    let site = Site::new();
    let plain = site.coordinator("127.0.0.1:0");
    let join = plain.address.as_str();
    crowd(&site, join, b"", join);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // The header of a HEADERS frame whose 100 bytes do not come.
    let slow = [&preface[..], &[0, 0, 100, 1, 4, 0, 0, 0, 1]].concat();
    crowd(&site, join, &slow, join);
}

#[test]
fn floods_cost_the_coordinator_little_memory() {
    let site = Site::new();
    let create = [
        "token", "create", "--role", "user", "--json", "--store", "store",
    ];
    let made = site.json(&create);
    let coordinator = site.coordinator("127.0.0.1:0");
    let address = coordinator.address.as_str();
    let good = || {
        let mut status = site.command(&["status", "--join", address]);
        status.env("ABLATE_TOKEN", made["token"].as_str().unwrap());
        let output = status.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
    };
    good();
    let pid = coordinator.process.id();
    let before = resident(pid);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let token = made["token"].as_str().unwrap();
    let reset = runtime.block_on(rapid_reset(address, token));
    let mut most = resident(pid);
    for token in [Some(token), None] {
        runtime.block_on(oversize(address, token));
        most = most.max(resident(pid));
    }
    good();
    let grown = most.saturating_sub(before);
    eprintln!("cut after {reset} resets; grown by {grown} KiB from {before} KiB");
    assert!(grown < 64 << 10, "grown by {grown} KiB");
}

/// Opens streams and takes them back at once, until the coordinator has
/// enough; how many it took.
async fn rapid_reset(address: &str, token: &str) -> usize {
    const MANY: usize = 20_000;
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for count in 0..MANY {
        let Ok(ready) = client.ready().await else {
            return count;
        };
        client = ready;
        let Ok((_, mut sent)) = client.send_request(request(address, Some(token)), false) else {
            return count;
        };
        sent.send_reset(h2::Reason::CANCEL);
        tokio::task::yield_now().await;
    }
    connection.abort();
    panic!("{MANY} streams were opened and reset on one connection");
}

/// Sends far more than a message may have, on several streams at a time.
async fn oversize(address: &str, token: Option<&str>) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut sending = Vec::new();
    for _ in 0..20 {
        client = client.ready().await.unwrap();
        let (response, mut sent) = client.send_request(request(address, token), false).unwrap();
        sending.push(tokio::spawn(async move {
            // Not compressed, a gigabyte.
            let mut left: usize = 1 << 30;
            let mut data = Bytes::from_static(&[0, 0x40, 0, 0, 0]);
            while left > 0 && sent.send_data(data, false).is_ok() {
                data = Bytes::from(vec![7; 64 << 10]);
                left -= data.len();
                sent.reserve_capacity(data.len());
                let room = std::future::poll_fn(|cx| sent.poll_capacity(cx));
                match tokio::time::timeout(PATIENCE, room)
                    .await
                    .expect("an answer")
                {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break,
                }
            }
            drop(response);
            left
        }));
    }
    for sender in sending {
        assert!(sender.await.unwrap() > 0, "all of a gigabyte was taken");
    }
    connection.abort();
}

fn request(address: &str, token: Option<&str>) -> tonic::codegen::http::Request<()> {
    let path = format!("http://{address}/ablate.v1.Sweeps/Submit");
    let request = tonic::codegen::http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    request.body(()).unwrap()
}
