//! A real Redis on a free loopback port.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::time::Duration;

use redis::{Connection, FromRedisValue, cmd};
use rustix::process::Signal;
use tempfile::TempDir;

use super::children::Running;
use super::wait::eventually;

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(20);

/// One server. It keeps its data in a directory of its own, so it can be stopped and started again.
#[derive(Debug)]
pub(crate) struct Redis {
    port: u16,
    password: Option<String>,
    folder: TempDir,
    server: Option<Running>,
}

impl Redis {
    /// Starts a server of its own.
    pub(crate) fn start(password: Option<&str>) -> Self {
        // Another process can take the port between our look and the server's start: then the server ends, and we try again.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let folder = tempfile::Builder::new().prefix("tidegate-redis-").tempdir().unwrap();
            let mut redis = Self { port, password: password.map(str::to_owned), folder, server: None };
            if redis.boot() {
                return redis;
            }
        }
        panic!("redis-server does not start: five ports were taken");
    }

    /// The server that scenarios share when they do it no harm; each uses keys of its own. It ends with its last user.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Mutex<Weak<Redis>>> = LazyLock::new(Mutex::default);
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let redis = Arc::new(Self::start(None));
            *shared = Arc::downgrade(&redis);
            redis
        })
    }

    /// `host:port`, as a trigger's `address`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port alone.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Runs a command, the words divided by spaces.
    pub(crate) fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut query = cmd(words.next().unwrap());
        for word in words {
            query.arg(word);
        }
        query.query(&mut self.connect().unwrap()).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Runs many commands in one go.
    pub(crate) fn ask_all(&self, commands: &redis::Pipeline) {
        commands.query::<()>(&mut self.connect().unwrap()).unwrap();
    }

    /// Appends `count` items to a list.
    pub(crate) fn push(&self, list: &str, count: usize) {
        let mut query = cmd("LPUSH");
        query.arg(list);
        for item in 0..count {
            query.arg(item);
        }
        query.query::<()>(&mut self.connect().unwrap()).unwrap();
    }

    /// The length of a list.
    pub(crate) fn length(&self, list: &str) -> usize {
        self.ask(&format!("LLEN {list}"))
    }

    /// Ends the server in order; its data are kept.
    pub(crate) fn stop(&mut self) {
        self.ask::<()>("SAVE");
        let mut server = self.server.take().expect("the server runs");
        server.signal(Signal::TERM);
        server.wait(START);
    }

    /// Starts it again, on the same port with the same data.
    pub(crate) fn start_again(&mut self) {
        assert!(self.boot(), "redis-server does not start again on port {}: {}", self.port, self.log());
    }

    /// Lets it hang: connections stay, nothing is answered.
    pub(crate) fn freeze(&self) {
        self.server.as_ref().expect("the server runs").signal(Signal::STOP);
    }

    /// Ends the hang.
    pub(crate) fn thaw(&self) {
        self.server.as_ref().expect("the server runs").signal(Signal::CONT);
    }

    /// Asks for another password from now on, and ends the connections that came with the old one.
    pub(crate) fn change_password(&mut self, password: &str) {
        let mut connection = self.connect().unwrap();
        cmd("CONFIG").arg(&["SET", "requirepass", password]).query::<()>(&mut connection).unwrap();
        cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).query::<()>(&mut connection).unwrap();
        self.password = Some(password.to_owned());
    }

    fn connect(&self) -> redis::RedisResult<Connection> {
        let credentials = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        redis::Client::open(format!("redis://{credentials}127.0.0.1:{}/", self.port))?
            .get_connection_with_timeout(Duration::from_secs(5))
    }

    /// Starts the process and waits until it answers: false if it ended instead.
    fn boot(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", "", "--dir"]);
        command.arg(self.folder.path());
        // A title would be written over the environment, by which what is left over is found.
        command.args(["--set-proc-title", "no"]);
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        let mut server = Running::start(&mut command, &self.log_file());
        let answers = eventually(START, "an answer of redis-server", || {
            let pong = self.connect().and_then(|mut connection| cmd("PING").query::<String>(&mut connection));
            if server.is_running() { pong.is_ok().then_some(true) } else { Some(false) }
        });
        self.server = answers.then_some(server);
        answers
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}
