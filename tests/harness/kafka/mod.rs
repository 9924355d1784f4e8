//! Real Kafka brokers on free loopback ports: one, or a cluster that can lose, hang and restart its members.
//!
//! They are the jars of `tools/kafka`, each broker a Java process with a small heap. [`Kafka`] starts and ends them, [`settings`] says
//! what they are told, [`certificates`] makes what TLS needs, [`admin`] changes topics, groups and leaders, [`records`] writes records, [`consumers`] read them.
//! Nothing here depends on the rest of the harness, because the trigger's own tests use it too.
// Two test binaries share it, and neither uses all.
#![allow(dead_code, unused_imports)]

pub(crate) mod admin;
pub(crate) mod certificates;
pub(crate) mod consumers;
pub(crate) mod records;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tidegate_loopback::{Guard, free_ports};

use admin::Admin;
use certificates::Certificates;
pub(crate) use settings::{Listener, PASSWORD, Plan, READER, STRANGER};

/// How long anything may take on a busy machine; what waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The broker that most tests use.
pub(crate) const NEWEST: &str = "4.1";

/// Some brokers with one log of records between them. Dropping it ends them and removes what they stored.
#[derive(Debug)]
pub(crate) struct Kafka {
    plan: Plan,
    jars: PathBuf,
    nodes: Vec<Node>,
    zookeeper: Option<Child>,
    certificates: Option<Certificates>,
    folder: TempDir,
    // Last, so that it finds nothing to do when all went well.
    _guard: Guard,
}

/// One broker. Ids count from 1.
#[derive(Debug)]
struct Node {
    id: i32,
    ports: Vec<(Listener, u16)>,
    child: Option<Child>,
    hangs: bool,
}

/// What is not there that these brokers need, with the command that brings it; nothing if all is there.
pub(crate) fn missing(version: &str) -> Option<String> {
    let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
    if !java.is_ok_and(|status| status.success()) {
        return Some("java; `make tools` installs it".to_owned());
    }
    jars(version).is_none().then(|| format!("Kafka {version}; `make tools` fetches it"))
}

/// The folder with the jars of a version, if they were fetched.
fn jars(version: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tool = here.ancestors().map(|folder| folder.join("tools/kafka")).find(|tool| tool.is_file())?;
    let output = Command::new(tool).args(["--where", version]).stderr(Stdio::null()).output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(folder.trim()).join("lib"))
}

impl Kafka {
    /// Starts all brokers of a plan and waits until each of them answers and knows the others.
    pub(crate) fn start(plan: &Plan) -> Self {
        // Another process can take a port between our look and a broker's start: then that broker ends, and all is tried again.
        for _ in 0..5 {
            let mut kafka = Self::prepared(plan.clone());
            if kafka.boot() {
                return kafka;
            }
        }
        panic!("Kafka does not start: five times a port was taken");
    }

    fn prepared(plan: Plan) -> Self {
        let jars = jars(plan.version).unwrap_or_else(|| panic!("Kafka {} is not there", plan.version));
        let folder = tempfile::Builder::new().prefix("tidegate-kafka-").tempdir().unwrap();
        fs::create_dir(folder.path().join("pids")).unwrap();
        let certificates = plan.secured.then(|| Certificates::make(folder.path()));
        let node = |id| {
            let ports = plan.listeners().into_iter().zip(free_ports::<{ settings::LISTENERS }>()).collect();
            Node { id, ports, child: None, hangs: false }
        };
        let nodes: Vec<_> = (1..=plan.brokers).map(node).collect();
        let guard = Guard::over(folder.path());
        let kafka = Self { plan, jars, nodes, zookeeper: None, certificates, folder, _guard: guard };
        for node in &kafka.nodes {
            let text = settings::broker(&kafka.plan, node, &kafka.nodes, kafka.folder.path());
            fs::write(kafka.settings(node.id), text).unwrap();
        }
        kafka
    }

    /// False if a port was taken.
    fn boot(&mut self) -> bool {
        if self.plan.zookeeper() {
            self.zookeeper = Some(self.start_zookeeper());
        } else {
            self.format();
        }
        for index in 0..self.nodes.len() {
            self.spawn(index);
        }
        self.wait_until_complete()
    }

    fn start_zookeeper(&self) -> Child {
        let file = self.folder.path().join("zookeeper.cfg");
        fs::write(&file, settings::zookeeper(&self.nodes[0], self.folder.path())).unwrap();
        let mut java = self.java("zookeeper");
        java.arg("org.apache.zookeeper.server.ZooKeeperServerMain").arg(file);
        self.started(&mut java)
    }

    /// Writes the identity of the cluster, and its first users, into the folder of each broker.
    fn format(&self) {
        let format = |node: &Node| {
            let mut java = self.java(&format!("format-{}", node.id));
            java.args(["kafka.tools.StorageTool", "format", "--cluster-id", "dGlkZWdhdGUtdGVzdHMtMQ", "--config"]);
            java.arg(self.settings(node.id)).args(settings::first_users(&self.plan));
            java.spawn().unwrap()
        };
        for mut child in self.nodes.iter().map(format).collect::<Vec<_>>() {
            assert!(child.wait().unwrap().success(), "the storage cannot be formatted: {}", self.logs());
        }
    }

    fn spawn(&mut self, index: usize) {
        let id = self.nodes[index].id;
        let mut java = self.java(&format!("broker-{id}"));
        java.arg("kafka.Kafka").arg(self.settings(id));
        let child = self.started(&mut java);
        self.nodes[index].child = Some(child);
    }

    /// A Java on this version's jars, with its output in a file of this name.
    fn java(&self, name: &str) -> Command {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log(name)).unwrap();
        let mut command = Command::new("java");
        command.env("CLASSPATH", format!("{}/*", self.jars.display()));
        // The small heap is enough, and these three make the start fast.
        command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
        command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    /// Starts it so that it ends with us.
    fn started(&self, java: &mut Command) -> Child {
        let child = java.spawn().unwrap_or_else(|error| panic!("{java:?}: {error}"));
        fs::write(self.folder.path().join("pids").join(child.id().to_string()), "").unwrap();
        child
    }

    /// Waits until every running broker knows every running broker; false if one ended because of its port.
    fn wait_until_complete(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        let running = self.nodes.iter().filter(|node| node.child.is_some() && !node.hangs).count();
        loop {
            for node in &mut self.nodes {
                let Some(status) = node.child.as_mut().and_then(|child| child.try_wait().unwrap()) else { continue };
                return self.ended_early(status);
            }
            let admin = self.admin();
            if admin.ports().iter().all(|port| admin::brokers(*port).is_ok_and(|brokers| brokers.len() >= running)) {
                return true;
            }
            assert!(Instant::now() < until, "Kafka does not come up: {}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn ended_early(&self, status: ExitStatus) -> bool {
        let logs = self.logs();
        assert!(logs.contains("Address already in use"), "a broker ended with {status}: {logs}");
        false
    }

    /// Where a client that uses this listener begins, as a trigger's `bootstrapServers`.
    pub(crate) fn bootstrap(&self, listener: Listener) -> String {
        let addresses = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port(listener)));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Where one broker listens.
    pub(crate) fn address(&self, id: i32, listener: Listener) -> String {
        format!("127.0.0.1:{}", self.node(id).port(listener))
    }

    /// The certificates of a secured plan.
    pub(crate) fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("the plan is secured")
    }

    /// Changes topics, groups and leaders, through the brokers that answer.
    pub(crate) fn admin(&self) -> Admin {
        let well = self.nodes.iter().filter(|node| node.child.is_some() && !node.hangs);
        Admin::new(well.map(|node| node.port(Listener::Open)).collect(), self.plan.brokers)
    }

    /// Where records are written: the brokers that answer.
    pub(crate) fn records(&self) -> records::Records {
        let well = self.nodes.iter().filter(|node| node.child.is_some() && !node.hangs);
        let addresses: Vec<_> = well.map(|node| format!("127.0.0.1:{}", node.port(Listener::Open))).collect();
        records::Records::new(&addresses.join(","))
    }

    /// Kills a broker, as a machine that fails does.
    pub(crate) fn kill(&mut self, id: i32) {
        let node = self.node_mut(id);
        let mut child = node.child.take().expect("the broker runs");
        node.hangs = false;
        self.end(&mut child);
    }

    /// Ends a broker in order: it hands its partitions over first.
    pub(crate) fn stop(&mut self, id: i32) {
        let mut child = self.node_mut(id).child.take().expect("the broker runs");
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let until = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.end(&mut child);
    }

    /// Starts a broker again, on the same ports with the same records.
    pub(crate) fn start_again(&mut self, id: i32) {
        let index = self.nodes.iter().position(|node| node.id == id).unwrap();
        self.spawn(index);
        assert!(self.wait_until_complete(), "broker {id} does not start again: {}", self.logs());
    }

    /// Starts all that do not run again, at once: the brokers need most of them to agree on anything.
    pub(crate) fn start_all_again(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].child.is_none() {
                self.spawn(index);
            }
        }
        assert!(self.wait_until_complete(), "the brokers do not start again: {}", self.logs());
    }

    /// Lets a broker hang: its connections stay, nothing is answered.
    pub(crate) fn hang(&mut self, id: i32) {
        self.signal(id, Signal::STOP);
        self.node_mut(id).hangs = true;
    }

    /// Ends the hang.
    pub(crate) fn go_on(&mut self, id: i32) {
        self.signal(id, Signal::CONT);
        self.node_mut(id).hangs = false;
    }

    /// Gives the user [`READER`] another password, for SCRAM-SHA-512.
    pub(crate) fn change_password(&self, password: &str) {
        let mut java = self.java("change-password");
        let change = format!("SCRAM-SHA-512=[iterations=4096,password={password}]");
        java.args(["kafka.admin.ConfigCommand", "--bootstrap-server", &self.bootstrap(Listener::Open), "--alter"]);
        java.args(["--entity-type", "users", "--entity-name", READER, "--add-config", &change]);
        assert!(java.status().unwrap().success(), "the password cannot be changed: {}", self.logs());
    }

    fn signal(&self, id: i32, signal: Signal) {
        let child = self.node(id).child.as_ref().expect("the broker runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    fn end(&self, child: &mut Child) {
        let _ = fs::remove_file(self.folder.path().join("pids").join(child.id().to_string()));
        let _ = child.kill();
        let _ = child.wait();
    }

    fn node(&self, id: i32) -> &Node {
        self.nodes.iter().find(|node| node.id == id).unwrap_or_else(|| panic!("there is no broker {id}"))
    }

    fn node_mut(&mut self, id: i32) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.id == id).unwrap_or_else(|| panic!("there is no broker {id}"))
    }

    fn settings(&self, id: i32) -> PathBuf {
        self.folder.path().join(format!("broker-{id}.properties"))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// The end of what all processes wrote.
    fn logs(&self) -> String {
        tidegate_loopback::logs(self.folder.path())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        for mut child in self.nodes.iter_mut().filter_map(|node| node.child.take()).chain(self.zookeeper.take()) {
            let _ = fs::remove_file(self.folder.path().join("pids").join(child.id().to_string()));
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Node {
    fn port(&self, listener: Listener) -> u16 {
        let port = self.ports.iter().find(|(name, _)| *name == listener);
        port.unwrap_or_else(|| panic!("the plan has no listener {listener:?}")).1
    }
}
