//! A real Flink on free loopback ports: one JobManager, and TaskManagers that come and go.
//!
//! The jars are those of `tools/flink`, the processes plain Java ones with small heaps, and the job that runs on them is the one in
//! `tests/flink/job`, which a test changes while it runs by knobs. Nothing here depends on the rest of the tests, because others use it too.
// Several test binaries share it, and none uses all.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_loopback::Guard;

/// How long anything may take on a busy machine; what waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// The Flink that most tests use, and the older one.
pub(crate) const NEWEST: &str = "2.3";
pub(crate) const OLDER: &str = "1.20";

/// What Java must be told so that Flink may look into it.
const OPEN: [&str; 12] = [
    "java.base/java.lang",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/sun.nio.ch",
    "java.base/java.text",
    "java.base/java.time",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
];

/// How a cluster is set up.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// `2.3` or `1.20`.
    pub(crate) version: &'static str,
    /// The slots of each TaskManager.
    pub(crate) slots: u32,
    /// Flink's settings beside those that all have; the same key replaces one.
    pub(crate) settings: Vec<(&'static str, String)>,
}

/// A running cluster. Dropping it ends all its processes and removes what they stored.
#[derive(Debug)]
pub(crate) struct Flink {
    plan: Plan,
    jars: PathBuf,
    ports: (u16, u16),
    job_manager: Option<Child>,
    task_managers: BTreeMap<u32, Child>,
    folder: TempDir,
    // Last, so that it finds nothing to do when all went well.
    _guard: Guard,
}

/// What is not there that a cluster needs, with the command that brings it; nothing if all is there.
pub(crate) fn missing(version: &str) -> Option<String> {
    let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
    if !java.is_ok_and(|status| status.success()) {
        return Some("java; `make tools` installs it".to_owned());
    }
    tool(&["--where", version]).is_none().then(|| format!("Flink {version}; `make tools` fetches it"))
}

/// Whether a test has what it needs; says why it is skipped if not. In CI that is a failure.
pub(crate) fn is_there(version: &str) -> bool {
    let Some(missing) = missing(version) else { return true };
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "required in CI: {missing}");
    println!("skipped: there is no {missing}");
    false
}

/// The folder of a version's jars.
pub(crate) fn jars(version: &str) -> PathBuf {
    let there = tool(&["--where", version]).unwrap_or_else(|| panic!("Flink {version} is not there"));
    there.join("lib")
}

/// What `tools/flink` prints, if it succeeds.
fn tool(arguments: &[&str]) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tool = here.ancestors().map(|folder| folder.join("tools/flink")).find(|tool| tool.is_file())?;
    let output = Command::new(tool).args(arguments).stderr(Stdio::null()).output().ok()?;
    let printed = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(printed.trim()))
}

impl Plan {
    /// A session cluster with the adaptive scheduler, whose waits are short.
    pub(crate) fn new(version: &'static str) -> Self {
        Self { version, slots: 2, settings: Vec::new() }
    }

    /// The same with another setting.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((key, value.into()));
        self
    }
}

impl Flink {
    /// Starts the JobManager and this many TaskManagers, and waits until all are there.
    pub(crate) fn start(plan: &Plan, task_managers: u32) -> Self {
        // Another process can take a port between our look and the start: then all is tried again.
        for _ in 0..5 {
            let mut flink = Self::prepared(plan.clone());
            if flink.start_job_manager() {
                for number in 1..=task_managers {
                    flink.spawn_task_manager(number);
                }
                flink.wait_for_slots(task_managers * plan.slots);
                return flink;
            }
        }
        panic!("Flink does not start: five times a port was taken");
    }

    fn prepared(plan: Plan) -> Self {
        let jars = jars(plan.version);
        let folder = tempfile::Builder::new().prefix("tidegate-flink-").tempdir().unwrap();
        for name in ["pids", "conf", "knobs", "tmp", "checkpoints", "savepoints"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let held = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [rest, rpc] = held.each_ref().map(|socket| socket.local_addr().unwrap().port());
        drop(held);
        let guard = Guard::over(folder.path());
        let flink = Self {
            jars,
            ports: (rest, rpc),
            job_manager: None,
            task_managers: BTreeMap::new(),
            folder,
            plan,
            _guard: guard,
        };
        fs::write(flink.path("conf/config.yaml"), flink.settings()).unwrap();
        fs::write(flink.path("conf/log4j.properties"), LOGGING).unwrap();
        flink
    }

    /// The text of Flink's settings.
    fn settings(&self) -> String {
        let at = |name: &str| format!("file://{}", self.path(name).display());
        let own = [
            ("jobmanager.rpc.address", "127.0.0.1".to_owned()),
            ("jobmanager.rpc.port", self.ports.1.to_string()),
            ("jobmanager.bind-host", "127.0.0.1".to_owned()),
            ("rest.address", "127.0.0.1".to_owned()),
            ("rest.bind-address", "127.0.0.1".to_owned()),
            ("rest.port", self.ports.0.to_string()),
            ("taskmanager.host", "127.0.0.1".to_owned()),
            ("taskmanager.bind-host", "127.0.0.1".to_owned()),
            ("taskmanager.numberOfTaskSlots", self.plan.slots.to_string()),
            ("jobmanager.scheduler", "adaptive".to_owned()),
            ("jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout", "1 s".to_owned()),
            ("jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling", "1 s".to_owned()),
            ("jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout", "1 s".to_owned()),
            ("execution.checkpointing.interval", "2 s".to_owned()),
            ("execution.checkpointing.timeout", "20 s".to_owned()),
            ("execution.checkpointing.tolerable-failed-checkpoints", "3".to_owned()),
            ("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION".to_owned()),
            ("execution.checkpointing.dir", at("checkpoints")),
            ("execution.checkpointing.savepoint-dir", at("savepoints")),
            ("state.backend.type", "hashmap".to_owned()),
            // Records are small here: with the usual 32 KB thousands of them would be on their way to a task.
            ("taskmanager.memory.segment-size", "4kb".to_owned()),
            ("heartbeat.interval", "1000".to_owned()),
            ("heartbeat.timeout", "5000".to_owned()),
            ("slot.idle.timeout", "2000".to_owned()),
            ("metrics.fetcher.update-interval", "1000".to_owned()),
            ("web.refresh-interval", "500".to_owned()),
            ("web.adaptive-scheduler.rescale-history.size", "16".to_owned()),
            ("web.upload.dir", self.path("tmp").display().to_string()),
            ("io.tmp.dirs", self.path("tmp").display().to_string()),
        ];
        let mut all: BTreeMap<&str, String> = own.into_iter().collect();
        all.extend(self.plan.settings.iter().cloned());
        all.iter().fold(String::new(), |mut text, (key, value)| {
            let _ = writeln!(text, "{key}: \"{value}\"");
            text
        })
    }

    /// Starts the JobManager and waits until it answers; false if its port was taken.
    fn start_job_manager(&mut self) -> bool {
        let mut java = self.java("job-manager");
        java.args(["-Xmx256m", "-XX:MaxMetaspaceSize=256m"]);
        java.arg("org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint");
        java.arg("--configDir").arg(self.path("conf"));
        let mut child = self.started(&mut java);
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                let logs = self.logs();
                let taken = logs.contains("Address already in use") || logs.contains("Could not bind");
                assert!(taken, "the JobManager ended with {status}: {logs}");
                return false;
            }
            if self.try_get("/overview").is_ok() {
                self.job_manager = Some(child);
                return true;
            }
            assert!(Instant::now() < until, "the JobManager does not come up: {}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn spawn_task_manager(&mut self, number: u32) {
        let child = self.started(&mut self.task_manager(&format!("tm-{number}")));
        self.task_managers.insert(number, child);
    }

    /// The command of a TaskManager with this resource id, for whoever starts it by other means; the id is its last argument.
    pub(crate) fn task_manager(&self, id: &str) -> Command {
        let mut java = self.java(&format!("task-manager-{id}"));
        java.args(["-Xmx384m", "-XX:MaxMetaspaceSize=192m", "-XX:MaxDirectMemorySize=192m"]);
        java.arg("org.apache.flink.runtime.taskexecutor.TaskManagerRunner").arg("--configDir").arg(self.path("conf"));
        // Flink's own start script computes these; the class itself wants them all.
        java.args([
            "-Dtaskmanager.cpu.cores=2.0",
            "-Dtaskmanager.memory.task.heap.size=192m",
            "-Dtaskmanager.memory.task.off-heap.size=0",
            "-Dtaskmanager.memory.framework.heap.size=128m",
            "-Dtaskmanager.memory.framework.off-heap.size=64m",
            "-Dtaskmanager.memory.network.min=32m",
            "-Dtaskmanager.memory.network.max=32m",
            "-Dtaskmanager.memory.managed.size=8m",
            "-Dtaskmanager.memory.jvm-metaspace.size=192m",
            "-Dtaskmanager.memory.jvm-overhead.min=64m",
            "-Dtaskmanager.memory.jvm-overhead.max=64m",
        ]);
        java.arg(format!("-Dtaskmanager.resource-id={id}"));
        java
    }

    /// A Java on this version's jars, with its output in a file of this name.
    fn java(&self, name: &str) -> Command {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path(&format!("{name}.log"))).unwrap();
        let mut command = Command::new("java");
        command.env("CLASSPATH", format!("{}/*", self.jars.display()));
        // These make the start fast.
        command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
        command.args(OPEN.map(|package| format!("--add-opens={package}=ALL-UNNAMED")));
        command.args(["--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED"]);
        command.args(["--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED"]);
        command.arg(format!("-Dlog4j.configurationFile=file:{}", self.path("conf/log4j.properties").display()));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    /// Starts it so that it ends with us.
    fn started(&self, java: &mut Command) -> Child {
        let child = java.spawn().unwrap_or_else(|error| panic!("{java:?}: {error}"));
        fs::write(self.path("pids").join(child.id().to_string()), "").unwrap();
        child
    }

    /// The address of its REST API, as a trigger's `restUrl`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.0)
    }

    /// The port of its REST API.
    pub(crate) fn port(&self) -> u16 {
        self.ports.0
    }

    /// A file or folder of the cluster's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds a TaskManager and waits until its slots are there.
    pub(crate) fn add_task_manager(&mut self, number: u32) {
        let before = self.slots();
        self.spawn_task_manager(number);
        self.wait_for_slots(before + self.plan.slots);
    }

    /// Adds a TaskManager, as a new pod is begun: its slots come when they come.
    pub(crate) fn begin_task_manager(&mut self, number: u32) {
        self.spawn_task_manager(number);
    }

    /// Ends several TaskManagers at the same moment, as pods of one change are: each with SIGTERM, after which it says good-bye.
    pub(crate) fn stop_task_managers(&mut self, numbers: &[u32]) {
        for number in numbers {
            let child = self.task_managers.get(number).expect("the TaskManager runs");
            kill_process(Pid::from_child(child), Signal::TERM).unwrap();
        }
        for number in numbers {
            self.stop_task_manager(*number);
        }
    }

    /// The numbers of the TaskManagers that run.
    pub(crate) fn task_managers(&self) -> Vec<u32> {
        self.task_managers.keys().copied().collect()
    }

    /// Ends a TaskManager as a pod is ended: with SIGTERM, after which it says good-bye.
    pub(crate) fn stop_task_manager(&mut self, number: u32) {
        let mut child = self.task_managers.remove(&number).expect("the TaskManager runs");
        // One that has been told already may have ended.
        if child.try_wait().unwrap().is_none() {
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        }
        let until = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.end(&mut child);
    }

    /// Kills a TaskManager, as a machine that fails does.
    pub(crate) fn kill_task_manager(&mut self, number: u32) {
        let mut child = self.task_managers.remove(&number).expect("the TaskManager runs");
        self.end(&mut child);
    }

    /// Kills the JobManager.
    pub(crate) fn kill_job_manager(&mut self) {
        let mut child = self.job_manager.take().expect("the JobManager runs");
        self.end(&mut child);
    }

    /// Starts the JobManager again on the same ports. Without high availability it knows no jobs.
    pub(crate) fn start_job_manager_again(&mut self) {
        assert!(self.start_job_manager(), "the JobManager does not start again: {}", self.logs());
    }

    /// Lets the JobManager hang: connections are taken, nothing is answered.
    pub(crate) fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends the hang.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.job_manager.as_ref().expect("the JobManager runs")), signal).unwrap();
    }

    fn end(&self, child: &mut Child) {
        let _ = fs::remove_file(self.path("pids").join(child.id().to_string()));
        let _ = child.kill();
        let _ = child.wait();
    }

    fn slots(&self) -> u32 {
        let overview = self.get("/overview");
        u32::try_from(overview["slots-total"].as_u64().unwrap()).unwrap()
    }

    /// Waits until this many slots are registered.
    pub(crate) fn wait_for_slots(&self, slots: u32) {
        self.eventually(&format!("{slots} slots"), || (self.slots() == slots).then_some(()));
    }

    /// Turns a knob of the job.
    pub(crate) fn knob(&self, name: &str, value: impl std::fmt::Display) {
        let part = self.path(&format!("knobs/.{name}"));
        fs::write(&part, value.to_string()).unwrap();
        fs::rename(part, self.path(&format!("knobs/{name}"))).unwrap();
    }

    /// Takes a knob away.
    pub(crate) fn release(&self, name: &str) {
        let _ = fs::remove_file(self.path(&format!("knobs/{name}")));
    }

    /// Uploads the job's jar and runs it with `options` (`--name value`), which its class explains; the result is the job's id.
    pub(crate) fn submit(&self, parallelism: u32, options: &[&str]) -> String {
        self.run(&json!({ "parallelism": parallelism }), options)
    }

    /// The same with whatever `/jars/:id/run` takes.
    pub(crate) fn run(&self, request: &Value, options: &[&str]) -> String {
        let jar = self.upload();
        let knobs = self.path("knobs").display().to_string();
        let mut request = request.clone();
        request["entryClass"] = "RecordsJob".into();
        request["programArgsList"] = json!(["--dir", knobs.as_str()].iter().chain(options).collect::<Vec<_>>());
        let answer = self.post(&format!("/jars/{jar}/run"), &request);
        answer["jobid"].as_str().unwrap_or_else(|| panic!("no job: {}", cut(&answer))).to_owned()
    }

    /// Uploads the job's jar; the result is the jar's id.
    pub(crate) fn upload(&self) -> String {
        let jar = tool(&["--job", self.plan.version]).expect("the job can be compiled");
        let bytes = fs::read(jar).unwrap();
        let begin = "--edge\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"records.jar\"\r\nContent-Type: application/java-archive\r\n\r\n";
        let body = [begin.as_bytes(), &bytes, b"\r\n--edge--\r\n"].concat();
        let (status, answer) =
            self.request("POST", "/jars/upload", "multipart/form-data; boundary=edge", &body).unwrap();
        assert_eq!(status, 200, "the jar is not taken: {}", cut(&answer));
        answer["filename"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    }

    /// Waits until every task of a job runs.
    pub(crate) fn wait_until_running(&self, job: &str) {
        self.eventually(&format!("job {job} runs"), || {
            let detail = self.try_get(&format!("/jobs/{job}")).ok()?;
            let runs = |vertex: &Value| vertex["tasks"]["RUNNING"] == vertex["parallelism"];
            let vertices = detail["vertices"].as_array()?;
            (detail["state"] == "RUNNING" && !vertices.is_empty() && vertices.iter().all(runs)).then_some(())
        });
    }

    /// Ends a job and waits until it has.
    pub(crate) fn cancel(&self, job: &str) {
        let _ = self.request("PATCH", &format!("/jobs/{job}?mode=cancel"), "application/json", b"");
        self.eventually(&format!("job {job} is cancelled"), || {
            let status = self.get(&format!("/jobs/{job}/status"));
            matches!(status["status"].as_str(), Some("CANCELED" | "FAILED" | "FINISHED")).then_some(())
        });
    }

    /// The answer to a question, which must succeed.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// The answer to a question that may fail.
    pub(crate) fn try_get(&self, path: &str) -> Result<Value, String> {
        let (status, answer) = self.request("GET", path, "application/json", b"").map_err(|error| error.to_string())?;
        if status == 200 { Ok(answer) } else { Err(format!("status {status}: {}", cut(&answer))) }
    }

    /// The answer to a request that changes something, whatever its status.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        self.request("POST", path, "application/json", body.to_string().as_bytes()).unwrap().1
    }

    /// The answer to such a request with another method, with its status.
    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.request(method, path, "application/json", body.to_string().as_bytes()).unwrap()
    }

    /// One request over a connection of its own.
    fn request(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> io::Result<(u16, Value)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports.0))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: flink\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        )?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let text = String::from_utf8_lossy(&answer);
        let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP");
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(unreadable)?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(unreadable)?;
        Ok((status, serde_json::from_str(body).unwrap_or_default()))
    }

    /// Waits until `look` gives a value.
    pub(crate) fn eventually<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = look() {
                return value;
            }
            assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}: {}", self.logs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The end of what all processes wrote.
    pub(crate) fn logs(&self) -> String {
        tidegate_loopback::logs(self.folder.path())
    }
}

impl Drop for Flink {
    fn drop(&mut self) {
        let children = self.job_manager.take().into_iter().chain(std::mem::take(&mut self.task_managers).into_values());
        for mut child in children.collect::<Vec<_>>() {
            self.end(&mut child);
        }
    }
}

/// The beginning of an answer, for messages.
fn cut(answer: &Value) -> String {
    answer.to_string().chars().take(2000).collect()
}

/// Warnings, on the standard output.
const LOGGING: &str = "rootLogger.level = WARN
rootLogger.appenderRef.out.ref = Out
appender.out.name = Out
appender.out.type = CONSOLE
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %-5p %c{1} - %m%n
";
