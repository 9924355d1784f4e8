//! Shows the main job with nothing to install: workers come when there is work and go when there is none.
//!
//! The demo brings its own little Redis ([`server`], [`store`]), its own demand ([`producer`]) and its own [`worker`]s,
//! which are processes of this very program. Everything between them is the real thing: ordinary [`manifests`], the
//! engine, the `redis` trigger and the processes of `tidegate local` ([`world`]). What happens is told by the [`story`]
//! and shown on the [`screen`], or line by line where there is no terminal.
//!
//! # Output that can be relied on
//!
//! After the story comes the summary, each line a name padded to 13 columns and a text:
//!
//! ```text
//! items        300 sent, 300 done
//! first worker 21 ms from the first item to the first worker process
//! full size    49 ms from burst 1 to 8 worker processes
//! full size    9.2 s from burst 2 to 10 worker processes (the rate limit held them first)
//! back to 0    7.6 s after the last item was done (cooldown 8 s from the last item seen waiting)
//! writes       3 of replicas: 0 -> 8 -> 10 -> 0
//! result       0 -> 10 -> 0 in 28 s
//! ```
//!
//! The last line is always `result`. Its time is that from the first item to the write of 0. When the demo fails, the
//! text is `failed: ` and the reason, and nothing else of the summary may be there.

mod client;
mod commands;
mod manifests;
mod producer;
mod report;
mod resp;
mod screen;
mod server;
mod stage;
mod store;
mod story;
mod worker;
mod world;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use client::ClientError;
use server::Server;
use stage::Stage;
use world::World;

pub use story::Summary;

/// The list of work.
const JOBS: &str = "jobs";
/// The list on which the workers tell what they do.
const RESULTS: &str = "results";
/// What `--role` calls a worker.
pub const WORKER_ROLE: &str = "worker";

/// How to play the demo.
#[derive(Clone, Debug)]
pub struct Options {
    /// Go on with round after round until a signal comes.
    pub keep: bool,
    /// Print lines also on a terminal.
    pub plain: bool,
    /// How long one round may take before it counts as failed.
    pub limit: Duration,
}

/// Why the demo did not show what it should.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Something that it needs could not be had.
    #[error("{0}: {1}")]
    Setup(&'static str, io::Error),
    /// The embedded store failed.
    #[error("{0}")]
    Store(String, &'static str),
    /// The local world could not be started, or has ended.
    #[error("{0}")]
    World(String, &'static str),
    /// The workers did not go from 0 to some and back to 0 within this many seconds.
    #[error("not within {0} s: {1}")]
    NotInTime(u64, String),
    /// The view could not be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// A signal came before a round was complete.
    #[error("interrupted")]
    Interrupted,
}

impl DemoError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Setup(..) => "DemoSetup",
            Self::Store(_, reason) | Self::World(_, reason) => reason,
            Self::NotInTime(..) => "DemoNotInTime",
            Self::Output(_) => "DemoOutput",
            Self::Interrupted => "DemoInterrupted",
        }
    }
}

impl From<ClientError> for DemoError {
    fn from(error: ClientError) -> Self {
        Self::Store(error.to_string(), error.reason())
    }
}

/// Plays the demo and ends everything that it started, also when it fails or a signal comes.
///
/// A second signal, while it ends, kills the workers at once.
pub async fn run(options: &Options) -> Result<Summary, DemoError> {
    if !cfg!(feature = "redis") {
        return Err(DemoError::World(
            "this build has no trigger `redis`: build it with that feature".to_owned(),
            "NoTrigger",
        ));
    }
    let mut signals = Signals::new()?;
    let executable = executable()?;
    let directory = tempfile::Builder::new().prefix("tidegate-demo-").tempdir();
    let directory = directory.map_err(|error| DemoError::Setup("cannot make a temporary directory", error))?;
    let server = Server::start().await.map_err(|error| DemoError::Setup("cannot listen on 127.0.0.1", error))?;
    let manifests = directory.path().join("manifests");
    manifests::write(&manifests, &executable, server.address)
        .map_err(|error| DemoError::Setup("cannot write the manifests", error))?;
    let world = World::start(&manifests, &directory.path().join("state")).await?;
    let result = play(options, &world, &server, &manifests, &mut signals).await;
    world.stop(signals.wait()).await;
    drop(server);
    result
}

async fn play(
    options: &Options,
    world: &World,
    server: &Server,
    manifests: &std::path::Path,
    signals: &mut Signals,
) -> Result<Summary, DemoError> {
    let mut stage = Stage::new(options, world, server.address).await?;
    stage.tell("store", format!("an embedded Redis on {}", server.address));
    stage.tell("files", format!("a Deployment and a ScaledObject in {}", manifests.display()));
    let result = tokio::select! {
        result = stage.play() => result,
        () = signals.wait() => Err(DemoError::Interrupted),
    };
    let summary = stage.end();
    match (result, summary) {
        (Ok(()) | Err(DemoError::Interrupted), Some(summary)) => Ok(summary),
        (Err(error), _) => Err(error),
        (Ok(()), None) => Err(DemoError::Interrupted),
    }
}

/// One worker, until SIGTERM comes or the store goes away.
pub async fn work(store: SocketAddr) -> Result<(), DemoError> {
    let name = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty() && !name.contains(' '));
    let name = name.unwrap_or_else(|| std::process::id().to_string());
    match worker::work(store, &name).await {
        // The demo has ended without telling us: there is nothing left to do.
        Ok(()) | Err(ClientError::Lost(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// This very program, which the workers run.
fn executable() -> Result<PathBuf, DemoError> {
    let path = std::env::current_exe().map_err(|error| DemoError::Setup("cannot tell where this program is", error))?;
    if path.exists() {
        return Ok(path);
    }
    let gone = io::Error::from(io::ErrorKind::NotFound);
    Err(DemoError::Setup("this program's file has been moved or replaced since it was started", gone))
}

/// The wish that the demo ends: Ctrl-C, SIGTERM, or a terminal that closes.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self, DemoError> {
        let listen = |kind| signal(kind).map_err(|error| DemoError::Setup("cannot listen for signals", error));
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The line that says why there is no result, in the form of the summary.
#[derive(Debug)]
pub struct Failure<'a>(pub &'a DemoError);

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12} failed: {}", "result", self.0)
    }
}
