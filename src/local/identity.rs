//! Which process is which: a pid alone is not enough, because the kernel gives it to another process one day.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

/// How often a process is looked at of whose end nobody tells us: it is the child of an earlier run.
const LOOK: Duration = Duration::from_millis(500);
/// How often a child is looked at besides: the kernel tells us of its end.
const LOOK_AT_CHILD: Duration = Duration::from_secs(5);

/// A process for all time: no other one has the same pid and the same start on one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The pid, which is its process group as well.
    pub(super) pid: i32,
    /// Its start in clock ticks since the boot, as `/proc/PID/stat` says it.
    pub(super) started: u64,
}

/// What `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    ended: bool,
    group: i32,
    started: u64,
}

impl Identity {
    /// The identity of a process that exists now; a process that has ended but was not reaped still exists.
    pub(super) fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, started: stat.started })
    }

    /// Whether this very process runs.
    pub(super) fn runs(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.ended)
    }

    /// Returns when this process has ended. The end of our child is seen at once, that of another process within half a
    /// second.
    pub(super) async fn ended(self, is_child: bool) {
        // The order matters: a child that ends after this line is told of.
        let mut children = signal(SignalKind::child()).ok().filter(|_| is_child);
        while self.runs() {
            match &mut children {
                Some(children) => {
                    let _ = tokio::time::timeout(LOOK_AT_CHILD, children.recv()).await;
                }
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Whether any process of the group runs: the leader, or what it has started and left behind.
    pub(super) fn group_runs(&self) -> bool {
        let Some(group) = Pid::from_raw(self.pid) else { return false };
        if test_kill_process_group(group).is_err() || self.is_taken() {
            return false;
        }
        // A process that has ended but was not reaped by its parent counts for the signal, but not for us.
        pids().any(|pid| stat(pid).is_some_and(|stat| stat.group == self.pid && !stat.ended))
    }

    /// Sends a signal to every process of the group.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.pid)
            && !self.is_taken()
        {
            // The only error is that nobody is left to get it.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Whether the pid belongs to a later process.
    fn is_taken(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started != self.started)
    }
}

/// The oldest running process that leads its group and has `NAME=value` in the environment it was started with.
pub(super) fn find(name: &str, value: &str) -> Option<Identity> {
    let wanted = format!("{name}={value}").into_bytes();
    let leads = |pid: &i32| stat(*pid).is_some_and(|stat| stat.group == *pid && !stat.ended);
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted)
    };
    pids().filter(leads).filter(has).filter_map(Identity::of).min_by_key(|identity| identity.started)
}

/// The name of this boot: ticks and pids of another one mean nothing.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn stat(pid: i32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field is the program's name in parentheses and may hold anything, parentheses too.
fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ended = matches!(*fields.first()?, "Z" | "X" | "x");
    Some(Stat { ended, group: fields.get(2)?.parse().ok()?, started: fields.get(19)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_program_is_called() {
        let text = "42 (a) S 1 (b)) Z 7 40 40 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 1234 0 0";
        assert_eq!(parse(text), Some(Stat { ended: true, group: 40, started: 1234 }));
        assert_eq!(parse(""), None);
    }

    #[tokio::test]
    async fn another_start_time_is_another_process() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let ours = Identity::of(pid).unwrap();
        assert!(ours.runs());
        let other = Identity { started: ours.started + 1, ..ours };
        assert!(!other.runs());
        assert!(!other.group_runs());
        // Would end this test if it were sent.
        other.signal(Signal::KILL);
        other.ended(false).await;
    }
}
