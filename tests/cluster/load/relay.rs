//! Stands between the operator and a server, passes everything on as it is, and counts what is asked.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a relay counts of all that clients send.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counted {
    /// Requests of HTTP without a body: each ends with an empty line.
    Http,
    /// Methods of AMQP, without heartbeats.
    Amqp,
}

/// The place where the operator connects. It serves until the process ends.
pub(super) struct Relay {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Relay {
    /// Passes all connections on to this port.
    pub(super) fn to(server: u16, counted: Counted) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, requests) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
        let noted = requests.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                serve(client, server, counted, &noted)
                    .unwrap_or_else(|error| eprintln!("a connection is not served: {error}"));
            }
        });
        Self { port, requests }
    }

    /// Where the operator connects.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How many requests came so far.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Both directions of a connection, each in a thread of its own.
fn serve(client: TcpStream, server: TcpStream, counted: Counted, requests: &Arc<AtomicUsize>) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from, to, noted) = (client.try_clone()?, server.try_clone()?, requests.clone());
    std::thread::spawn(move || {
        let mut heard = Vec::new();
        pass(from, to, |bytes| {
            heard.extend_from_slice(bytes);
            noted.fetch_add(take(&mut heard, counted), Ordering::Relaxed);
        });
    });
    std::thread::spawn(move || pass(server, client, |_| {}));
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        note(&bytes[..length]);
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Takes all whole requests away, and says how many of them count.
fn take(heard: &mut Vec<u8>, counted: Counted) -> usize {
    let mut count = 0;
    while let Some((length, counts)) = first(heard, counted) {
        heard.drain(..length);
        count += usize::from(counts);
    }
    count
}

/// The length of the first request, if it is there as a whole, and whether it counts.
fn first(heard: &[u8], counted: Counted) -> Option<(usize, bool)> {
    match counted {
        Counted::Http => heard.windows(4).position(|four| four == b"\r\n\r\n").map(|at| (at + 4, true)),
        // A client begins with the protocol's name and version.
        Counted::Amqp if heard.starts_with(b"AMQP") => (heard.len() >= 8).then_some((8, false)),
        Counted::Amqp => {
            let size = u32::from_be_bytes(heard.get(3..7)?.try_into().ok()?);
            // Kind, channel, size, so many bytes, and the end's mark. Methods are of kind 1.
            let length = 8 + usize::try_from(size).ok()?;
            (heard.len() >= length).then_some((length, heard[0] == 1))
        }
    }
}
