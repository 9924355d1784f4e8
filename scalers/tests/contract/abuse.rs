//! What sources do to triggers: garbage instead of an answer, an end and a new start, and a hundred triggers one after another.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use tidegate_calculator::source::{Occasion, ReadError, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::rows::ROWS;
use super::{DEADLINE, Play, Row, open, source};

/// Bytes that are an answer in no protocol: they are sent to whatever is asked, or at once.
const GARBAGE: &[&[u8]] = &[
    b"\x00\xff\xfe\x80\x01garbage\x00\xc3\x28\r\n\r\n",
    b"once upon a time there was no protocol\r\nat all\r\n\r\n",
    b"{\"garbage\":12}\n",
    // Lengths that nobody could mean, in big and in little endian, and as Redis writes them.
    b"\x7f\xff\xff\xff\x7f\xff\xff\xff\x00\x00",
    b"\xff\xff\xff\x7f\xff\xff\xff\x7f\x00\x00\xff\xff",
    b"$9223372036854775807\r\n",
    b"*2147483647\r\n",
    // The beginning of something good that ends too early.
    b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n42",
];

/// Garbage as the answer to whatever is asked.
pub(super) fn garbled<const KIND: usize>(mut stream: TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut heard = [0; 4096];
        while stream.read(&mut heard).await.is_ok_and(|length| length > 0) {
            if stream.write_all(GARBAGE[KIND]).await.is_err() {
                return;
            }
        }
    })
}

/// Garbage before anything is asked, and the end of the connection.
fn garbled_at_once<const KIND: usize>(mut stream: TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        // It may be gone already.
        let _ = stream.write_all(GARBAGE[KIND]).await;
    })
}

/// The end of every connection at once.
pub(super) fn closed(stream: TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move { drop(stream) })
}

/// Every kind of garbage, as an answer and unasked.
const PLAYS: &[Play] = &[
    garbled::<0>,
    garbled::<1>,
    garbled::<2>,
    garbled::<3>,
    garbled::<4>,
    garbled::<5>,
    garbled::<6>,
    garbled::<7>,
    garbled_at_once::<0>,
    garbled_at_once::<1>,
    garbled_at_once::<2>,
    garbled_at_once::<3>,
    garbled_at_once::<4>,
    garbled_at_once::<5>,
    garbled_at_once::<6>,
    garbled_at_once::<7>,
];

async fn outcome(row: &Row, play: Play, deadline: Duration) -> Result<(), ReadError> {
    let scaler = row.open(&source(play).await);
    scaler.read(Occasion::Poll, deadline).await.map(|_| ())
}

#[tokio::test]
async fn garbage_is_an_error_and_never_a_value() {
    let deadline = Duration::from_secs(2);
    for row in ROWS {
        let begun = Instant::now();
        let outcomes = join_all(PLAYS.iter().map(|play| outcome(row, *play, deadline))).await;
        for (play, outcome) in outcomes.into_iter().enumerate() {
            let error = outcome.expect_err(row.name);
            let fits = [ReadErrorKind::Protocol, ReadErrorKind::Unavailable, ReadErrorKind::Timeout];
            assert!(fits.contains(&error.kind), "{} and play {play}: {:?} {error}", row.name, error.kind);
        }
        assert!(begun.elapsed() < deadline + DEADLINE / 2, "{}: {:?}", row.name, begun.elapsed());
    }
}

#[tokio::test]
async fn connections_that_end_at_once_are_unavailable() {
    for row in ROWS {
        let error = outcome(row, closed, DEADLINE).await.expect_err(row.name);
        assert_eq!(error.kind, ReadErrorKind::Unavailable, "{}: {error}", row.name);
    }
}

/// A source that can be ended with all its connections.
struct Stage(AbortHandle);

impl Stage {
    async fn at(address: &str, play: Play) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let serving = async move {
            // The connections end with it.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(play(stream));
            }
        };
        Self(tokio::spawn(serving).abort_handle())
    }

    async fn end(self) {
        self.0.abort();
        while !self.0.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_source_that_was_restarted_is_read_again() {
    join_all(ROWS.iter().map(restarted)).await;
}

async fn restarted(row: &Row) {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let stage = Stage::at(&address, row.zero).await;
    let scaler = row.open(&address);
    let read = || scaler.read(Occasion::Poll, DEADLINE);
    assert!(read().await.is_ok(), "{}", row.name);
    stage.end().await;
    // An answer that was read a moment ago may serve for a second.
    let begun = Instant::now();
    let error = loop {
        match read().await {
            Err(error) => break error,
            Ok(_) => assert!(begun.elapsed() < DEADLINE, "{}: a source that has ended gives values", row.name),
        }
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(error.kind, ReadErrorKind::Unavailable, "{}: {error}", row.name);
    let _stage = Stage::at(&address, row.zero).await;
    let begun = Instant::now();
    while let Err(error) = read().await {
        assert!(begun.elapsed() < DEADLINE, "{}: {error}", row.name);
        sleep(Duration::from_millis(50)).await;
    }
}

/// The environment variable that tells this program to count its own file descriptors.
const ALONE: &str = "TIDEGATE_CONTRACT_ALONE";
/// How many triggers of one type are opened, read and closed.
const ROUNDS: usize = 100;
/// Each so many of them there is one whose source is not there, which may take its time to be sure.
const UNREACHABLE: usize = 10;

/// File descriptors belong to the process, so nothing else may run in it: the test starts this program once more, for itself alone.
#[test]
fn a_hundred_triggers_leave_no_file_descriptor() {
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for row in ROWS {
                rounds(row).await;
            }
        });
        return;
    }
    let name = concat!(module_path!(), "::a_hundred_triggers_leave_no_file_descriptor");
    let name = name.split_once("::").unwrap().1;
    let mut alone = Command::new(std::env::current_exe().unwrap());
    let output = alone.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

async fn rounds(row: &Row) {
    let address = source(row.zero).await;
    let unreachable = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    // The first round opens what the process keeps for good.
    round(row, &address, true).await;
    round(row, &unreachable, false).await;
    settled(|_| true, "the first round", row).await;
    let before = descriptors();
    for number in 0..ROUNDS {
        round(row, &address, true).await;
        if number % UNREACHABLE == 0 {
            round(row, &unreachable, false).await;
        }
    }
    settled(|open| open.len() <= before.len(), "all rounds", row).await;
}

/// A trigger that is opened among endpoints of its own, read and closed.
async fn round(row: &Row, address: &str, good: bool) {
    let scaler = open(&row.spec(address, &[]), &row.parameters(), &Endpoints::new()).unwrap();
    let read = scaler.read(Occasion::Poll, DEADLINE).await;
    assert_eq!(read.is_ok(), good, "{}: {read:?}", row.name);
}

/// Lets the time pass for which connections outlive their last user, and waits until what is open is as it should be.
async fn settled(enough: impl Fn(&BTreeMap<String, String>) -> bool, when: &str, row: &Row) {
    sleep(Duration::from_millis(20)).await;
    tokio::time::pause();
    for _ in 0..4 {
        tokio::time::advance(Duration::from_secs(31)).await;
        tokio::task::yield_now().await;
    }
    tokio::time::resume();
    let begun = Instant::now();
    loop {
        sleep(Duration::from_millis(50)).await;
        let open = descriptors();
        if enough(&open) && begun.elapsed() > Duration::from_millis(200) {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "{} after {when}: {} are open: {open:#?}", row.name, open.len());
    }
}

/// The open file descriptors of this process and what they are.
fn descriptors() -> BTreeMap<String, String> {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let named = open.filter_map(|entry| {
        let entry = entry.ok()?;
        // The one of this very look is gone by now.
        let what = std::fs::read_link(entry.path()).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), what.display().to_string()))
    });
    named.collect()
}
