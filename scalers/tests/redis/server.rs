//! Starts real servers on free loopback ports, and the triggers that read from them.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult};
use tidegate_calculator::source::{
    Deadline, ErrorScope, Occasion, Parameters, ReadError, ReadErrorKind, Reading, Secret, TriggerSpec,
};
use tidegate_loopback::Process;
pub(crate) use tidegate_loopback::{PATIENCE, eventually, free_port};
use tidegate_scalers::{Endpoints, Scaler, open};

/// What reads are given that should succeed.
pub(crate) const DEADLINE: Deadline = Duration::from_secs(10);

/// A running server; dropping it ends it.
pub(crate) struct Server {
    pub(crate) port: u16,
    arguments: Vec<String>,
    process: Process,
}

impl Server {
    /// Starts a server, or says why the test is skipped.
    pub(crate) async fn start(arguments: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "redis-server is required in CI");
            println!("skipped: redis-server is not installed");
            return None;
        }
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let process = Process::start(tempfile::tempdir().unwrap(), |port, _| command_line(port, &arguments)).await;
        Some(Self { port: process.port(), arguments, process })
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
        self.process.stop();
    }

    pub(crate) async fn start_again(&mut self) {
        self.process.start_again(|port, _| command_line(port, &self.arguments)).await;
    }

    pub(crate) fn hang(&self) {
        self.process.hang();
    }

    pub(crate) fn go_on(&self) {
        self.process.go_on();
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A trigger on this server's list `jobs`, with these metadata on top.
    pub(crate) fn trigger(&self, metadata: &[(&str, &str)]) -> Trigger {
        Trigger::new(&self.address(), metadata)
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

fn command_line(port: u16, arguments: &[String]) -> Command {
    let mut command = Command::new("redis-server");
    // A TLS server has no plain port, so the random one is its TLS port.
    if arguments.iter().any(|argument| argument == "--tls-cert-file") {
        command.args(["--port", "0", "--tls-port", &port.to_string()]);
    } else {
        command.args(["--port", &port.to_string()]);
    }
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]).args(arguments);
    command
}
