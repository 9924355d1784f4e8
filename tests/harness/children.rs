//! Child processes that end for certain: at the end of a scenario, when it fails, and when the test process itself is killed.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use super::wait::eventually;

/// The environment variable that all processes of this run carry, and their children after them.
pub(crate) const MARK: &str = "TIDEGATE_TEST_RUN";

/// The value of [`MARK`]: no other run has it.
pub(crate) fn run() -> &'static str {
    static RUN: LazyLock<String> = LazyLock::new(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        format!("{}-{}", std::process::id(), now.as_nanos())
    });
    &RUN
}

/// Ends what this run started and left behind, even if the test process is killed: a shell that waits for the end of its input,
/// which comes with our end, and then kills every process that carries our mark.
pub(crate) struct Cleaner(Child);

impl Cleaner {
    pub(crate) fn start() -> Self {
        let script = "trap '' INT TERM HUP; read -r _; for at in /proc/[0-9]*; do \
             if tr '\\0' '\\n' <$at/environ | grep -qx \"$1\"; then kill -9 ${at#/proc/}; fi; done 2>/dev/null";
        let mark = format!("{MARK}={}", run());
        let child = Command::new("sh").args(["-c", script, "cleaner", &mark]).stdin(Stdio::piped()).spawn();
        Self(child.expect("sh is everywhere"))
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A child process that is killed and reaped when this is dropped. Its output is in a file.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts `command` with both outputs into `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let errors = log.try_clone().unwrap();
        let child = command.env(MARK, run()).stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("{command:?}: {error}")) }
    }

    /// Its pid.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to this process alone.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills it at once, as a machine that takes memory back would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<i32> {
        eventually(limit, "the end of a child process", || self.child.try_wait().unwrap()).code()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes of this run whose environment has `name=value`, by pid: workers do not depend on who started them, so they are found by
/// what their manifest gave them. Another run on this machine uses the same names.
pub(crate) fn carrying(name: &str, value: &str) -> Vec<i32> {
    let wanted = [format!("{name}={value}"), format!("{MARK}={}", run())];
    let has = |environment: &[u8]| {
        wanted.iter().all(|wanted| environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes()))
    };
    let folders = fs::read_dir("/proc").unwrap().filter_map(|folder| folder.ok()?.file_name().into_string().ok());
    let pids = folders.filter_map(|name| name.parse().ok());
    let mut found: Vec<i32> = pids
        .filter(|pid| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| has(&environment)))
        .collect();
    found.sort_unstable();
    found
}

/// Kills these processes; one that is gone already is well.
pub(crate) fn kill_all(pids: &[i32]) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _ = kill_process(pid, Signal::KILL);
    }
}
