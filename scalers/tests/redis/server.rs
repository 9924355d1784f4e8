//! Starts real servers on free loopback ports, and the triggers that read from them.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tidegate_calculator::source::{
    Deadline, ErrorScope, Occasion, Parameters, ReadError, ReadErrorKind, Reading, Secret, TriggerSpec,
};
use tidegate_scalers::{Endpoints, Scaler, open};
use tokio::time::{Instant, sleep, timeout};

/// Long enough for a busy machine; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What reads are given that should succeed.
pub(crate) const DEADLINE: Deadline = Duration::from_secs(10);

/// A running server; dropping it ends it.
pub(crate) struct Server {
    pub(crate) port: u16,
    arguments: Vec<String>,
    child: Child,
    directory: TempDir,
}

impl Server {
    /// Starts a server, or says why the test is skipped.
    pub(crate) async fn start(arguments: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "redis-server is required in CI");
            println!("skipped: redis-server is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        // Somebody else may take the free port before the server does; then another one is tried.
        for _ in 0..10 {
            let port = free_port();
            let mut child = spawn(port, &arguments, &directory);
            if answers(port, &mut child).await {
                return Some(Self { port, arguments, child, directory });
            }
            end(&mut child);
        }
        panic!("redis-server does not start");
    }

    /// A connection as the default user, or the first that is let in with a password.
    pub(crate) async fn admin(&self) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Runs one command line.
    pub(crate) async fn run<T: FromRedisValue>(&self, line: &str) -> T {
        command(&mut self.admin().await, line).await.unwrap()
    }

    /// A number from `INFO`.
    pub(crate) async fn info(&self, section: &str, field: &str) -> i64 {
        let text: String = self.run(&format!("INFO {section}")).await;
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }

    /// How often a command was run.
    pub(crate) async fn calls(&self, command: &str) -> i64 {
        let text: String = self.run("INFO commandstats").await;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|rest| rest.split(',').next()).and_then(|calls| calls.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn stop(&mut self) {
        end(&mut self.child);
    }

    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(self.port, &self.arguments, &self.directory);
        assert!(answers(self.port, &mut self.child).await, "the server does not start again");
    }

    pub(crate) fn hang(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A trigger on this server's list `jobs`, with these metadata on top.
    pub(crate) fn trigger(&self, metadata: &[(&str, &str)]) -> Trigger {
        Trigger::new(&self.address(), metadata)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A trigger in the making.
#[derive(Clone, Default)]
pub(crate) struct Trigger {
    spec: TriggerSpec,
    parameters: Parameters,
}

impl Trigger {
    /// A trigger of this type with these metadata alone.
    pub(crate) fn of(kind: &str, metadata: &[(&str, &str)]) -> Self {
        let spec = TriggerSpec { kind: kind.to_owned(), ..TriggerSpec::default() };
        Self { spec, parameters: Parameters::default() }.with(metadata)
    }

    pub(crate) fn new(address: &str, metadata: &[(&str, &str)]) -> Self {
        let base = [("address", address), ("listName", "jobs")];
        let metadata = base.iter().chain(metadata).map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        let spec = TriggerSpec { kind: "redis".to_owned(), metadata: metadata.collect(), ..TriggerSpec::default() };
        Self { spec, parameters: Parameters::default() }
    }

    /// The same, with these metadata on top.
    pub(crate) fn with(mut self, metadata: &[(&str, &str)]) -> Self {
        self.spec.metadata.extend(metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
        self
    }

    /// The same, with what an authentication provides.
    pub(crate) fn auth(mut self, pairs: &[(&str, &str)]) -> Self {
        let secrets = pairs.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text)));
        self.parameters.auth = secrets.collect::<BTreeMap<_, _>>();
        self
    }

    pub(crate) fn open(&self, endpoints: &Endpoints) -> Box<dyn Scaler> {
        open(&self.spec, &self.parameters, endpoints).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens it among endpoints of its own and reads once.
    pub(crate) async fn read(&self) -> Result<(i64, bool), ReadError> {
        length(&*self.open(&Endpoints::new())).await
    }
}

/// A failure's class.
pub(crate) fn class(outcome: Result<(i64, bool), ReadError>) -> (ReadErrorKind, ErrorScope) {
    let error = outcome.expect_err("a failure");
    (error.kind, error.scope)
}

/// The length that a trigger reads, and whether it is active.
pub(crate) async fn length(scaler: &dyn Scaler) -> Result<(i64, bool), ReadError> {
    let readings = scaler.read(Occasion::Poll, DEADLINE).await?;
    let [(_, Reading { value, active })] = readings.as_slice() else { panic!("one metric: {readings:?}") };
    Ok((value.total().0 / 1000, *active))
}

/// Runs one command line.
pub(crate) async fn command<T: FromRedisValue>(connection: &mut MultiplexedConnection, line: &str) -> RedisResult<T> {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command.query_async(connection).await
}

/// Tries again until it is so.
pub(crate) async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so().await {
        assert!(Instant::now() < until, "not in time: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(port: u16, arguments: &[String], directory: &TempDir) -> Child {
    let mut command = Command::new("redis-server");
    // A TLS server has no plain port, so the random one is its TLS port.
    let port_option =
        if arguments.iter().any(|argument| argument == "--tls-cert-file") { "--tls-port" } else { "--port" };
    if port_option == "--tls-port" {
        command.args(["--port", "0"]);
    }
    command.args([port_option, &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(arguments).current_dir(directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

async fn answers(port: u16, child: &mut Child) -> bool {
    let connected = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            sleep(Duration::from_millis(10)).await;
        }
        child.try_wait().unwrap().is_none()
    };
    timeout(PATIENCE, connected).await.unwrap_or(false)
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
