//! A proxy before an S3 server that spoils what passes: it commits and then
//! answers something else, or nothing, or does not pass it on at all.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::PATIENCE;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    /// 503, and nothing done.
    Refuse,
    /// Nothing done, and the connection cut.
    Cut,
    /// Done, and 503 said.
    CommitAndRefuse,
    /// Done, and the connection cut.
    CommitAndCut,
    /// Done, and nothing said for so long that the client gives up.
    CommitAndHang,
}

/// A request as far as fates depend on it.
pub(crate) struct Asked<'a> {
    /// How many came before it.
    pub(crate) number: u64,
    pub(crate) target: &'a str,
    /// It may only create.
    pub(crate) conditional: bool,
    /// How often this very target was asked for with this method.
    pub(crate) again: u64,
}

type Judge = Box<dyn Fn(&Asked<'_>) -> Fate + Send + Sync>;

pub(crate) struct Proxy {
    pub(crate) address: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    judge: Mutex<Judge>,
    requests: AtomicU64,
    /// Targets of requests that did not go as they should.
    spoilt: Mutex<Vec<String>>,
    seen: Mutex<HashMap<String, u64>>,
    closed: AtomicBool,
    /// Conditions are left out of what is passed on.
    unconditional: AtomicBool,
    /// Held while something is created: the server looks and writes, and
    /// others may write between.
    creating: Mutex<()>,
}

impl Proxy {
    pub(crate) fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            judge: Mutex::new(Box::new(|_| Fate::Pass)),
            requests: AtomicU64::new(0),
            spoilt: Mutex::default(),
            seen: Mutex::default(),
            closed: AtomicBool::new(false),
            unconditional: AtomicBool::new(false),
            creating: Mutex::default(),
        });
        let proxy = Self {
            address,
            shared: shared.clone(),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.closed.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), shared) = (stream, shared.clone()) else {
                    continue;
                };
                // What a client or the server breaks off is no matter.
                std::thread::spawn(move || shared.serve(&stream).unwrap_or_default());
            }
        });
        proxy
    }

    pub(crate) fn judge(&self, judge: impl Fn(&Asked<'_>) -> Fate + Send + Sync + 'static) {
        *self.shared.judge.lock().unwrap() = Box::new(judge);
    }

    pub(crate) fn ignore_conditions(&self) {
        self.shared.unconditional.store(true, Ordering::Relaxed);
    }

    /// Requests for such targets that did not go as they should.
    pub(crate) fn spoilt(&self, part: &str) -> usize {
        let spoilt = self.shared.spoilt.lock().unwrap();
        spoilt.iter().filter(|t| t.contains(part)).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        // Wakes the listener, so that it sees it.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    /// One request, then the connection is closed.
    fn serve(&self, client: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(client);
        let (head, length) = read_head(&mut reader)?;
        if head.is_empty() {
            return Ok(());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let fate = self.fate(&head);
        let mut client = client;
        let refuse = |mut client: &TcpStream| {
            let close = "Content-Length: 0\r\nConnection: close\r\n\r\n";
            write!(client, "HTTP/1.1 503 Slow Down\r\n{close}")
        };
        match fate {
            Fate::Refuse => return refuse(client),
            Fate::Cut => return Ok(()),
            _ => {}
        }
        let answer = self.forward(&head, &body)?;
        match fate {
            Fate::CommitAndRefuse => refuse(client),
            Fate::CommitAndCut => Ok(()),
            Fate::CommitAndHang => {
                // Until the client gives up.
                client.set_read_timeout(Some(PATIENCE))?;
                reader.read(&mut [0]).map(drop)
            }
            _ => client.write_all(&answer),
        }
    }

    fn fate(&self, head: &[String]) -> Fate {
        let mut words = head[0].split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
        let again = {
            let mut seen = self.seen.lock().unwrap();
            let count = seen.entry(format!("{method} {target}")).or_default();
            *count += 1;
            *count - 1
        };
        let conditional = is_conditional(head);
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let asked = Asked {
            number,
            target,
            conditional,
            again,
        };
        let fate = (self.judge.lock().unwrap())(&asked);
        if fate != Fate::Pass {
            self.spoilt.lock().unwrap().push(target.to_owned());
        }
        fate
    }

    fn forward(&self, head: &[String], body: &[u8]) -> std::io::Result<Vec<u8>> {
        let creating = is_conditional(head).then(|| self.creating.lock().unwrap());
        let mut server = TcpStream::connect(&self.upstream)?;
        let unconditional = self.unconditional.load(Ordering::Relaxed);
        let kept = head.iter().filter(|line| {
            let line = line.to_ascii_lowercase();
            let condition = line.starts_with("if-none-match:");
            let dropped = condition && unconditional;
            !line.starts_with("connection:") && !dropped
        });
        let mut request = String::new();
        for line in kept {
            request.push_str(line);
            request.push_str("\r\n");
        }
        request.push_str("Connection: close\r\n\r\n");
        server.write_all(request.as_bytes())?;
        server.write_all(body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        drop(creating);
        Ok(answer)
    }
}

fn is_conditional(head: &[String]) -> bool {
    let condition = |line: &String| line.to_ascii_lowercase().starts_with("if-none-match: *");
    head.iter().any(condition)
}

/// The lines of a request's head, and the length of its body.
fn read_head(reader: &mut impl BufRead) -> std::io::Result<(Vec<String>, usize)> {
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok((head, length));
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((head, length));
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push(line.to_owned());
    }
}
