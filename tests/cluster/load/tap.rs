//! Stands between clients and a Kafka broker, and notes what Tidegate asks it.
//!
//! The broker tells its clients to come here. Each connection is passed on as it is, frame by frame; of a request only its first
//! bytes are read, and the number of groups if it asks for their offsets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, OffsetFetchRequest, RequestHeader};
use kafka_protocol::protocol::{Decodable as _, HeaderVersion as _};

/// By this name Tidegate calls itself in each request.
const CLIENT: &str = "tidegate";
/// After a pause of this length a new round begins.
const PAUSE: Duration = Duration::from_millis(300);

/// The place where clients connect. It serves until the process ends.
pub(super) struct Tap {
    port: u16,
    listener: TcpListener,
    calls: Calls,
}

/// What was asked, in the order in which it came.
type Calls = Arc<Mutex<Vec<Call>>>;

/// One request of Tidegate.
#[derive(Clone, Debug)]
pub(super) struct Call {
    connection: u16,
    number: i32,
    key: i16,
    /// How many groups it asks for, if it asks for offsets of groups.
    groups: usize,
    asked: Instant,
    /// Bytes of the request, and of the answer.
    sent: usize,
    received: usize,
    answered: Option<Instant>,
}

/// Calls with no pause between them.
#[derive(Clone, Debug)]
pub(super) struct Round(Vec<Call>);

impl Tap {
    /// Takes a port; nobody is served yet.
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { port: listener.local_addr().unwrap().port(), listener, calls: Calls::default() }
    }

    /// Where clients connect.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Passes all connections on to this port from now on.
    pub(super) fn lead_to(&self, broker: u16) {
        let (listener, calls) = (self.listener.try_clone().unwrap(), self.calls.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
                serve(client, server, &calls).unwrap_or_else(|error| eprintln!("a connection is not served: {error}"));
            }
        });
    }

    /// The rounds that began since a moment.
    pub(super) fn rounds(&self, since: Instant) -> Vec<Round> {
        let mut rounds: Vec<Round> = Vec::new();
        let mut end = None;
        for call in lock(&self.calls).iter().filter(|call| call.asked >= since) {
            if end.is_some_and(|end| call.asked < end + PAUSE) {
                rounds.last_mut().expect("it has begun").0.push(call.clone());
            } else {
                rounds.push(Round(vec![call.clone()]));
            }
            end = end.max(Some(call.answered.unwrap_or(call.asked)));
        }
        rounds
    }
}

impl Round {
    /// How many requests it needed.
    pub(super) fn requests(&self) -> usize {
        self.0.len()
    }

    /// From its first request until its last answer, in milliseconds.
    pub(super) fn time(&self) -> f64 {
        let begun = self.0.iter().map(|call| call.asked).min().expect("a call");
        let ended = self.0.iter().map(|call| call.answered.unwrap_or_else(Instant::now)).max().expect("a call");
        (ended - begun).as_secs_f64() * 1000.0
    }

    /// How many groups it was about.
    pub(super) fn groups(&self) -> usize {
        self.0.iter().map(|call| call.groups).sum()
    }

    /// The call that asks for the most groups: those, and milliseconds until it was answered.
    pub(super) fn largest(&self) -> (usize, f64) {
        let call = self.0.iter().max_by_key(|call| call.groups).expect("a call");
        (call.groups, (call.answered.unwrap_or_else(Instant::now) - call.asked).as_secs_f64() * 1000.0)
    }

    /// Kilobytes of all its requests and answers.
    pub(super) fn kilobytes(&self) -> f64 {
        let bytes: usize = self.0.iter().map(|call| call.sent + call.received).sum();
        super::figures::count(bytes) / 1000.0
    }

    /// How many requests of each kind.
    pub(super) fn kinds(rounds: &[Self]) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for call in rounds.iter().flat_map(|round| &round.0) {
            *kinds.entry(call.kind()).or_default() += 1;
        }
        kinds
    }

    /// Its requests one by one: what each is, when it came, and how long it took, in milliseconds.
    pub(super) fn course(&self) -> String {
        let millis = |span: Duration| span.as_secs_f64() * 1000.0;
        let each = |call: &Call| {
            let (at, took) = (call.asked - self.0[0].asked, call.answered.unwrap_or_else(Instant::now) - call.asked);
            let groups = if call.groups > 0 { format!(" of {} groups", call.groups) } else { String::new() };
            format!("{}{groups} at {:.1} for {:.1}", call.kind(), millis(at), millis(took))
        };
        self.0.iter().map(each).collect::<Vec<_>>().join(", ")
    }

    /// Over how many connections.
    pub(super) fn connections(rounds: &[Self]) -> usize {
        rounds.iter().flat_map(|round| &round.0).map(|call| call.connection).collect::<BTreeSet<_>>().len()
    }
}

impl Call {
    fn kind(&self) -> String {
        ApiKey::try_from(self.key).map_or(self.key.to_string(), |key| format!("{key:?}"))
    }
}

/// Both directions of a connection, each in a thread of its own.
fn serve(client: TcpStream, server: TcpStream, calls: &Calls) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let SocketAddr::V4(peer) = client.peer_addr()? else { return Err(io::Error::other("not over IPv4")) };
    let (connection, noted) = (peer.port(), calls.clone());
    // What was asked and not answered yet, by the number of the request: its place among the calls.
    let open: Arc<Mutex<HashMap<i32, usize>>> = Arc::default();
    let opened = open.clone();
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        pass(from, to, |frame| {
            let Some(call) = call(connection, frame) else { return };
            let mut calls = lock(&noted);
            lock(&opened).insert(call.number, calls.len());
            calls.push(call);
        });
    });
    let noted = calls.clone();
    std::thread::spawn(move || {
        pass(server, client, |frame| {
            let Some(place) = number(frame, 0).and_then(|number| lock(&open).remove(&number)) else { return };
            let mut calls = lock(&noted);
            calls[place].answered = Some(Instant::now());
            calls[place].received = frame.len();
        });
    });
    Ok(())
}

/// Passes frames on, each a length and so many bytes, until one side ends.
fn pass(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut one = || -> io::Result<()> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut frame = length.to_vec();
        let body = u64::from(u32::from_be_bytes(length));
        if (&mut from).take(body).read_to_end(&mut frame)? as u64 != body {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        note(&frame[4..]);
        to.write_all(&frame)
    };
    while one().is_ok() {}
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// A request, if Tidegate asks it.
fn call(connection: u16, frame: &[u8]) -> Option<Call> {
    let short = |at: usize| Some(i16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    let (key, version, length) = (short(0)?, short(2)?, usize::try_from(short(8)?).ok()?);
    if frame.get(10..10 + length)? != CLIENT.as_bytes() {
        return None;
    }
    let groups = if key == ApiKey::OffsetFetch as i16 { groups(version, frame) } else { 0 };
    let (sent, asked) = (frame.len(), Instant::now());
    Some(Call { connection, number: number(frame, 4)?, key, groups, asked, sent, received: 0, answered: None })
}

/// How many groups an OffsetFetch asks for. Old versions ask for one.
fn groups(version: i16, frame: &[u8]) -> usize {
    let mut bytes = Bytes::copy_from_slice(frame);
    let header = RequestHeader::decode(&mut bytes, OffsetFetchRequest::header_version(version));
    let request = header.and_then(|_| OffsetFetchRequest::decode(&mut bytes, version));
    request.map_or(0, |request| if version < 8 { 1 } else { request.groups.len() })
}

fn number(frame: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(frame.get(at..at + 4)?.try_into().ok()?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
