//! The real `tidegate`: single commands, and `tidegate local` with its API.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use serde_json::Value;

use super::children::{MARK, Running, run as this_run};
use super::manifests::Manifests;
use super::wait::eventually;

/// How long anything that should happen soon may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The binary under test: the one that the environment variable `TIDEGATE_BINARY` names, else the one that was built with the tests.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("TIDEGATE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_tidegate").into()).into()
}

/// A command of the binary under test.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env(MARK, this_run()).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// What a command printed, with its exit code.
pub(crate) fn printed(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// A running `tidegate local`.
#[derive(Debug)]
pub(crate) struct Local {
    process: Running,
    log: PathBuf,
    address: String,
}

/// What the API says about one object.
#[derive(Clone, Debug)]
pub(crate) struct State(Value);

impl Local {
    /// Starts it over these manifests. State and log are kept beside them, so another start goes on where this one ended.
    pub(crate) fn start(manifests: &Manifests) -> Self {
        let starts = fs::read_dir(manifests.scratch()).unwrap().count();
        let log = manifests.scratch().join(format!("local-{starts}.log"));
        let mut command = command(&["local", "--server", "127.0.0.1:0", "-f"]);
        command.arg(manifests.folder()).arg("--state").arg(manifests.scratch().join("state"));
        let mut process = Running::start(&mut command, &log);
        let address = eventually(SOON, "the address of the API in the output of tidegate local", || {
            let text = fs::read_to_string(&log).unwrap();
            assert!(process.is_running(), "tidegate local ended:\n{text}");
            address_in(&text)
        });
        Self { process, log, address }
    }

    /// Everything it has printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// One object's state; none while it is not known.
    pub(crate) fn state(&self, name: &str) -> Option<State> {
        let (status, body) = self.get(&format!("/api/v1/objects/shop/{name}"))?;
        (status == 200).then(|| State(serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))))
    }

    /// Waits until `holds` is true of an object.
    pub(crate) fn until(&self, name: &str, what: &str, holds: impl Fn(&State) -> bool) -> State {
        let mut last = None;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(SOON, what, || {
                last = self.state(name);
                last.clone().filter(|state| holds(state))
            })
        }));
        found.unwrap_or_else(|_| panic!("not within {SOON:?}: {what}; the last state was {last:#?}\n{}", self.log()))
    }

    /// Waits until an object has been scaled to this many replicas, and the news of it has come back.
    pub(crate) fn until_replicas(&self, name: &str, replicas: u64) -> State {
        let scaled = |state: &State| state.replicas() == Some(replicas) && state.0["lastChange"]["to"] == replicas;
        self.until(name, &format!("{replicas} replicas of {name}"), scaled)
    }

    /// All changes of an object's replicas so far, as the log tells them: `shop/orders 0 -> 8: ...`.
    pub(crate) fn changes(&self, name: &str) -> Vec<(u64, u64)> {
        let subject = format!("shop/{name} ");
        self.log().lines().filter_map(|line| change_in(line.split_once(&subject)?.1)).collect()
    }

    /// Asks the API; none while it does not answer.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Kills it at once, as `kill -9` does; its workers stay.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// Ends it as Ctrl-C does: its exit code.
    pub(crate) fn interrupt(mut self) -> Option<i32> {
        self.process.signal(Signal::INT);
        self.process.wait(SOON)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The address of the API, `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Local {
    /// Whoever reads of a failure wants to know what it did.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} says:\n{}", self.log.display(), fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

impl State {
    /// The replicas of the target.
    pub(crate) fn replicas(&self) -> Option<u64> {
        self.0["replicas"].as_u64()
    }

    /// `Starting`, `Running`, `Refused`, ...
    pub(crate) fn phase(&self) -> &str {
        self.0["phase"].as_str().unwrap_or_default()
    }

    /// Whether the last decision saw activity.
    pub(crate) fn active(&self) -> Option<bool> {
        self.0["active"].as_bool()
    }

    /// Whether the first trigger's last read was good.
    pub(crate) fn reads(&self) -> bool {
        self.0["triggers"][0]["state"] == "Good"
    }

    /// Why the first trigger's last read failed: reason and message.
    pub(crate) fn failure(&self) -> Option<(&str, &str)> {
        let error = &self.0["triggers"][0]["error"];
        Some((error["reason"].as_str()?, error["message"].as_str()?))
    }

    /// When the object was last seen active.
    pub(crate) fn last_active(&self) -> Option<Timestamp> {
        self.0["lastActiveTime"].as_str()?.parse().ok()
    }

    /// When the replicas were last changed.
    pub(crate) fn changed(&self) -> Option<Timestamp> {
        self.0["lastChange"]["at"].as_str()?.parse().ok()
    }

    /// From the last activity to the last change.
    pub(crate) fn rest(&self) -> SignedDuration {
        self.changed().expect("a change").duration_since(self.last_active().expect("an activity"))
    }

    /// What is wrong, in the phases in which something is.
    pub(crate) fn message(&self) -> &str {
        self.0["message"].as_str().unwrap_or_default()
    }
}

/// The API's `host:port` in the output of `tidegate local`.
fn address_in(log: &str) -> Option<String> {
    // The last line may be half written.
    let whole = &log[..=log.rfind('\n')?];
    let rest = whole.split_once("http://")?.1;
    Some(rest.chars().take_while(|letter| letter.is_ascii_digit() || ".:".contains(*letter)).collect())
}

/// The two counts at the beginning of `0 -> 8: ...`.
fn change_in(text: &str) -> Option<(u64, u64)> {
    let (from, rest) = text.split_once(" -> ")?;
    let to: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((from.trim().parse().ok()?, to.parse().ok()?))
}
