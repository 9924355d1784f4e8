//! A real RabbitMQ on free loopback ports, with its management API.
//!
//! It is the program of the distribution's package `rabbitmq-server`, but a server of our own: with its files in a folder that goes
//! with it, and not the one that the package starts. Nothing here depends on the other tests, because more than one test binary
//! uses it.
// Those binaries do not all use everything.
#![allow(dead_code)]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tidegate_loopback::{Guard, free_ports};
use tokio::net::TcpSocket;

/// How long a start may take on a busy machine; what waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// The package's own command changes the user; this is what it runs then.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// What a server is told beside its ports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// The paths of an authority, a certificate and its key: then AMQP and the API are served over TLS too.
    pub(crate) certificates: Option<[String; 3]>,
    /// Whether clients over TLS must show a certificate.
    pub(crate) asks_for_certificates: bool,
    /// Plugins beside the management API.
    pub(crate) plugins: Vec<&'static str>,
    /// More lines of `rabbitmq.conf`.
    pub(crate) settings: String,
}

/// The ports of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) amqp: u16,
    pub(crate) http: u16,
    /// Those over TLS; nobody listens there without [`Plan::certificates`].
    pub(crate) amqps: u16,
    pub(crate) https: u16,
    distribution: u16,
    names: u16,
}

/// A running server. Dropping it ends it and removes what it stored; so does the end of the test process, however it comes.
#[derive(Debug)]
pub(crate) struct Rabbit {
    pub(crate) ports: Ports,
    plan: Plan,
    child: Option<Child>,
    /// The ports of a server that is stopped, bound so that nobody else takes them meanwhile, and refusing all connections.
    bound: Vec<TcpSocket>,
    /// The Erlang port mapper, which the server needs and would leave behind if it started one itself.
    mapper: Child,
    folder: TempDir,
    // Last, so that it finds nothing to do when all went well.
    _guard: Guard,
}

/// What is not there that these servers need, with the command that brings it; nothing if all is there.
pub(crate) fn missing() -> Option<String> {
    let there = Path::new(PROGRAM).is_file() && epmd().arg("-help").stderr(Stdio::null()).status().is_ok();
    (!there).then(|| "rabbitmq-server; `make tools` installs it".to_owned())
}

fn epmd() -> Command {
    Command::new("epmd")
}

impl Rabbit {
    /// Starts a server and waits until it answers over both protocols.
    pub(crate) fn start(plan: &Plan) -> Self {
        // Another process can take a port between our look and the server's start: then it ends, and all is tried again.
        for _ in 0..5 {
            let mut rabbit = Self::prepared(plan.clone());
            rabbit.child = Some(rabbit.spawned());
            if rabbit.answers() {
                return rabbit;
            }
        }
        panic!("rabbitmq-server does not start");
    }

    fn prepared(plan: Plan) -> Self {
        let [amqp, http, amqps, https, distribution, names] = free_ports();
        let ports = Ports { amqp, http, amqps, https, distribution, names };
        let folder = tempfile::Builder::new().prefix("tidegate-rabbitmq-").tempdir().unwrap();
        let guard = Guard::over(folder.path());
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("pids")).unwrap();
        fs::write(at("rabbitmq.conf"), settings(&plan, &ports)).unwrap();
        let plugins = [&["rabbitmq_management"][..], &plan.plugins].concat().join(",");
        fs::write(at("plugins"), format!("[{plugins}].")).unwrap();
        let mut mapper = epmd();
        mapper.args(["-address", "127.0.0.1", "-port", &names.to_string()]);
        let mapper = mapper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        fs::write(at("pids").join(mapper.id().to_string()), "").unwrap();
        Self { ports, plan, child: None, bound: Vec::new(), mapper, folder, _guard: guard }
    }

    fn spawned(&self) -> Child {
        let (Ports { amqp, distribution, names, .. }, at) = (self.ports, |name: &str| self.folder.path().join(name));
        let log = fs::OpenOptions::new().create(true).append(true).open(at("log")).unwrap();
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.folder.path());
        command.env("LANG", "C.UTF-8").env("ERL_EPMD_ADDRESS", "127.0.0.1").env("ERL_EPMD_PORT", names.to_string());
        command.env("RABBITMQ_NODENAME", format!("tidegate-{amqp}@localhost"));
        command.env("RABBITMQ_DIST_PORT", distribution.to_string());
        command.env("RABBITMQ_MNESIA_BASE", at("data")).env("RABBITMQ_LOG_BASE", at("logs"));
        command.env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf")).env("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins"));
        command.env("RABBITMQ_PID_FILE", at("pid"));
        // Without busy waiting, which would take the processors of the tests.
        let arguments = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none";
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", arguments);
        // The script stands for the server then and does not stay beside it, so that our child is the server.
        command.env("RUNNING_UNDER_SYSTEMD", "1");
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        fs::write(at("pids").join(child.id().to_string()), "").unwrap();
        child
    }

    /// Waits until all ports are listened to and the API answers; false if the server ends instead.
    fn answers(&mut self) -> bool {
        let mut ports = vec![self.ports.amqp];
        if self.plan.certificates.is_some() {
            ports.extend([self.ports.amqps, self.ports.https]);
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let open = ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok());
            if open && self.try_api("GET", "/overview", "").is_some_and(|(status, _)| status == 200) {
                return true;
            }
            if self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("rabbitmq-server does not answer: {}", fs::read_to_string(self.folder.path().join("log")).unwrap());
    }

    /// Ends it in good order, so that it stores what is durable.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut child) = self.child.take() {
            let _ = kill_process(Pid::from_child(&child), signal);
            let _ = child.wait();
            let ports = [self.ports.amqp, self.ports.http, self.ports.amqps, self.ports.https];
            self.bound = ports.into_iter().filter_map(|port| bound(port).ok()).collect();
        }
    }

    /// Starts it again on the same ports, with what it stored. It may answer before it knows its queues' counts.
    pub(crate) fn start_again(&mut self) {
        self.bound.clear();
        self.child = Some(self.spawned());
        assert!(self.answers(), "rabbitmq-server does not start again");
    }

    /// It is there and does nothing, until [`Self::go_on`].
    pub(crate) fn hang(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().expect("it runs")), signal).unwrap();
    }

    /// `amqp://guest:guest@...` of a virtual host, whose name is written as it stands in a URL.
    pub(crate) fn amqp(&self, vhost: &str) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/{vhost}", self.ports.amqp)
    }

    /// `http://guest:guest@...` of a virtual host, likewise.
    pub(crate) fn http(&self, vhost: &str) -> String {
        format!("http://guest:guest@127.0.0.1:{}/{vhost}", self.ports.http)
    }

    /// Asks the API, as the first user; `path` begins behind `/api`. The answer is its status and its body.
    pub(crate) fn api(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.try_api(method, path, body).expect("the API answers")
    }

    fn try_api(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports.http)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        // guest:guest
        let login = "authorization: Basic Z3Vlc3Q6Z3Vlc3Q=";
        let head = format!("{method} /api{path} HTTP/1.0\r\n{login}\r\ncontent-type: application/json");
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// Makes a virtual host for the first user; `name` as it stands in a URL.
    pub(crate) fn add_vhost(&self, name: &str) {
        self.done("PUT", &format!("/vhosts/{name}"), "{}");
        self.permit("guest", name);
    }

    /// Makes a user with these tags.
    pub(crate) fn add_user(&self, name: &str, password: &str, tags: &str) {
        self.done("PUT", &format!("/users/{name}"), &format!(r#"{{"password":"{password}","tags":"{tags}"}}"#));
    }

    /// Lets a user do everything in a virtual host.
    pub(crate) fn permit(&self, user: &str, vhost: &str) {
        let all = r#"{"configure":".*","write":".*","read":".*"}"#;
        self.done("PUT", &format!("/permissions/{vhost}/{user}"), all);
    }

    /// Makes a durable queue; names as they stand in a URL.
    pub(crate) fn add_queue(&self, vhost: &str, name: &str) {
        self.done("PUT", &format!("/queues/{vhost}/{name}"), r#"{"durable":true}"#);
    }

    pub(crate) fn delete_queue(&self, vhost: &str, name: &str) {
        self.done("DELETE", &format!("/queues/{vhost}/{name}"), "");
    }

    fn done(&self, method: &str, path: &str, body: &str) {
        let (status, answer) = self.api(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    }

    /// How many connections over AMQP the server has, as it says itself, from clients that call themselves like this.
    pub(crate) fn connections(&self, client: &str) -> usize {
        let (_, answer) = self.api("GET", "/connections?columns=client_properties.connection_name", "");
        answer.matches(&format!("\"{client}\"")).count()
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        self.kill();
        let _ = self.mapper.kill();
        let _ = self.mapper.wait();
    }
}

fn settings(plan: &Plan, ports: &Ports) -> String {
    let Ports { amqp, http, amqps, https, .. } = ports;
    let mut text = format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {http}\n\
         loopback_users = none\nlog.console = false\n"
    );
    if let Some([ca, cert, key]) = &plan.certificates {
        let verify = if plan.asks_for_certificates { "verify_peer" } else { "verify_none" };
        let strict = plan.asks_for_certificates;
        writeln!(text, "listeners.ssl.1 = 127.0.0.1:{amqps}").unwrap();
        writeln!(text, "management.ssl.ip = 127.0.0.1\nmanagement.ssl.port = {https}").unwrap();
        for section in ["ssl_options", "management.ssl"] {
            writeln!(text, "{section}.cacertfile = {ca}\n{section}.certfile = {cert}\n{section}.keyfile = {key}")
                .unwrap();
            writeln!(text, "{section}.verify = {verify}\n{section}.fail_if_no_peer_cert = {strict}").unwrap();
        }
    }
    text + &plan.settings
}

/// A port that is taken and not listened to.
fn bound(port: u16) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // What is left of the server's own connections is no hindrance.
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    Ok(socket)
}
