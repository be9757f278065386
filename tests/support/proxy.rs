//! A network that can be cut: a TCP proxy on loopback that stops forwarding,
//! in either direction, without closing anything. What was sent meanwhile
//! arrives when it is healed, as with real packets.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often pumps look whether they may go on.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Switches {
    up: AtomicBool,
    down: AtomicBool,
    closed: AtomicBool,
}

pub(crate) struct Proxy {
    pub(crate) address: String,
    cut: Arc<Switches>,
}

/// Which way nothing gets through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    /// From who connects to the server.
    Up,
    /// From the server to who connects.
    Down,
    Both,
}

impl Proxy {
    pub(crate) fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let cut = Arc::<Switches>::default();
        let (switches, server) = (cut.clone(), server.to_owned());
        thread::spawn(move || {
            while !switches.closed.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => join(client, &server, &switches),
                    Err(_) => thread::sleep(LOOK),
                }
            }
        });
        Self { address, cut }
    }

    pub(crate) fn cut(&self, which: Cut) {
        self.cut.up.store(which != Cut::Down, Ordering::Relaxed);
        self.cut.down.store(which != Cut::Up, Ordering::Relaxed);
    }

    pub(crate) fn heal(&self) {
        self.cut.up.store(false, Ordering::Relaxed);
        self.cut.down.store(false, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut.closed.store(true, Ordering::Relaxed);
    }
}

fn join(client: TcpStream, server: &str, switches: &Arc<Switches>) {
    client.set_nonblocking(false).unwrap();
    // Nobody there: the client's connection is closed, as it would be.
    let Ok(server) = TcpStream::connect(server) else {
        return;
    };
    let both = (client.try_clone().unwrap(), server.try_clone().unwrap());
    pump(client, server, switches.clone(), |s| &s.up);
    pump(both.1, both.0, switches.clone(), |s| &s.down);
}

fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    switches: Arc<Switches>,
    way: fn(&Switches) -> &AtomicBool,
) {
    from.set_read_timeout(Some(LOOK)).unwrap();
    to.set_nodelay(true).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        let wait = || {
            while way(&switches).load(Ordering::Relaxed) {
                if switches.closed.load(Ordering::Relaxed) {
                    return false;
                }
                thread::sleep(LOOK);
            }
            !switches.closed.load(Ordering::Relaxed)
        };
        while wait() {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    continue;
                }
                Err(_) => break,
            };
            // Read just before the cut: held back like the rest.
            if !wait() || to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
    });
}
