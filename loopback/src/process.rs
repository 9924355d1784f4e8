//! A server that is one process with one port.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::{PATIENCE, free_port};

/// How many ports are tried: somebody else may take a free one before the server does.
const TRIES: u32 = 10;

/// A server that runs in a folder of its own; dropping it ends it.
#[derive(Debug)]
pub struct Process {
    port: u16,
    child: Child,
    folder: TempDir,
}

impl Process {
    /// Starts a server and waits until it listens. `command` says how it is started on a port, in a folder.
    pub async fn start(folder: TempDir, command: impl Fn(u16, &Path) -> Command) -> Self {
        let mut port = free_port();
        let child = spawn(command(port, folder.path()), folder.path());
        let mut process = Self { port, child, folder };
        for _ in 0..TRIES {
            if process.listens().await {
                return process;
            }
            process.stop();
            port = free_port();
            process.child = spawn(command(port, process.folder.path()), process.folder.path());
            process.port = port;
        }
        panic!("the server does not start: {:?}", command(port, process.folder.path()));
    }

    /// Starts it once more, on its port and in its folder.
    pub async fn start_again(&mut self, command: impl FnOnce(u16, &Path) -> Command) {
        self.child = spawn(command(self.port, self.folder.path()), self.folder.path());
        assert!(self.listens().await, "the server does not start again");
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits until it has: what it was told is kept.
    pub fn stop_in_order(&mut self) {
        self.signal(Signal::TERM);
        self.child.wait().unwrap();
    }

    /// Lets it do nothing more: it accepts, and never answers.
    pub fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it listens on its port in time and lives.
    async fn listens(&mut self) -> bool {
        let connected = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                if self.child.try_wait().unwrap().is_some() {
                    return false;
                }
                sleep(Duration::from_millis(10)).await;
            }
            self.child.try_wait().unwrap().is_none()
        };
        timeout(PATIENCE, connected).await.unwrap_or(false)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(mut command: Command, folder: &Path) -> Child {
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}
