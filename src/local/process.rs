//! Starts a replica's process and ends it with everything that it has started.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tidegate_calculator::source::Secret;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::identity::Identity;

/// How often a group is looked at whose leader has ended.
const LOOK: Duration = Duration::from_millis(50);
/// How long a killed group may take to disappear.
const DYING: Duration = Duration::from_secs(5);

/// What is needed to start a process.
#[derive(Debug)]
pub(super) struct Launch {
    /// The program: a path, or a name that is looked for in PATH.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Its whole environment.
    pub(super) env: BTreeMap<String, Secret>,
    /// Where it runs.
    pub(super) directory: PathBuf,
    /// Where its output goes.
    pub(super) log: PathBuf,
}

/// A process under watch. Dropping it leaves the process alone.
#[derive(Debug)]
pub(super) struct Running {
    /// Which process.
    pub(super) identity: Identity,
    grace: watch::Sender<Option<Duration>>,
    task: JoinHandle<()>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exit {
    /// Its status; none if it was not our child.
    status: Option<ExitStatus>,
    /// Whether something of its group had to be killed.
    pub(super) killed: bool,
}

/// Starts a process in a group of its own. Its output goes to a file and not to a pipe, so that it outlives us.
pub(super) fn start(launch: &Launch) -> io::Result<(Child, Identity)> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&launch.log)?;
    let mut command = Command::new(&launch.program);
    command.args(&launch.args).current_dir(&launch.directory).env_clear().process_group(0);
    command.envs(launch.env.iter().map(|(name, value)| (name, value.expose())));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    // It cannot be gone: a child that has ended stays until it is reaped.
    let identity = Identity::of(pid).ok_or_else(|| io::Error::other("/proc does not show the new process"))?;
    Ok((child, identity))
}

/// Watches a process, our child or not. `leave` is the time that what it leaves behind gets to end when it ends by itself;
/// `report` hears of the end, under `number`, once nothing of its group runs any more.
pub(super) fn watch(
    identity: Identity,
    child: Option<Child>,
    leave: Duration,
    number: u64,
    report: mpsc::Sender<(u64, Exit)>,
) -> Running {
    let (grace, asked) = watch::channel(None);
    let task = tokio::spawn(async move {
        let exit = run(identity, child, leave, asked).await;
        // Nobody listens only if the whole process is about to end.
        let _ = report.send((number, exit)).await;
    });
    Running { identity, grace, task }
}

impl Running {
    /// Asks the group to end, and kills it after `grace`. A second call may only hurry it.
    pub(super) fn end(&self, grace: Duration) {
        self.grace.send_if_modified(|asked| {
            let sooner = asked.is_none_or(|earlier| grace < earlier);
            if sooner {
                *asked = Some(grace);
            }
            sooner
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Exit {
    /// As people say it.
    pub(super) fn describe(self) -> String {
        let Some(status) = self.status else { return "ended".to_owned() };
        match (status.code(), status.signal()) {
            (Some(code), _) => format!("exited with code {code}"),
            (_, Some(signal)) => format!("was ended by signal {signal}"),
            _ => "ended".to_owned(),
        }
    }
}

async fn run(
    identity: Identity,
    mut child: Option<Child>,
    leave: Duration,
    mut asked: watch::Receiver<Option<Duration>>,
) -> Exit {
    let ended = identity.ended(child.is_some());
    tokio::pin!(ended);
    let mut gone = tokio::select! {
        () = &mut ended => true,
        () = next(&mut asked) => false,
    };
    let (mut status, mut killed) = (None, false);
    let begun = Instant::now();
    identity.signal(Signal::TERM);
    loop {
        if gone {
            // Until it is reaped its pid cannot be given to another process.
            status = status.or_else(|| reap(&mut child));
            if !identity.group_runs() {
                return Exit { status, killed };
            }
        }
        let grace = asked.borrow_and_update().unwrap_or(leave);
        let end = begun + if killed { grace + DYING } else { grace };
        tokio::select! {
            () = &mut ended, if !gone => gone = true,
            () = next(&mut asked) => {}
            () = tokio::time::sleep(LOOK), if gone && Instant::now() + LOOK < end => {}
            () = tokio::time::sleep_until(end) => {
                if killed {
                    // A process that survives this hangs in the kernel; nobody can do more.
                    return Exit { status, killed };
                }
                identity.signal(Signal::KILL);
                killed = true;
            }
        }
    }
}

/// The next wish to end; never, if nobody is left who could have one.
async fn next(asked: &mut watch::Receiver<Option<Duration>>) {
    if asked.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn reap(child: &mut Option<Child>) -> Option<ExitStatus> {
    let status = child.as_mut()?.try_wait().ok().flatten();
    if status.is_some() {
        *child = None;
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::testing::eventually;

    struct Started {
        _folder: tempfile::TempDir,
        log: PathBuf,
        running: Running,
        exits: mpsc::Receiver<(u64, Exit)>,
    }

    fn shell(script: &str) -> Started {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let env = BTreeMap::from([("PATH".to_owned(), Secret::new("/usr/bin:/bin"))]);
        let launch = Launch {
            program: "sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env,
            directory: folder.path().to_owned(),
            log: log.clone(),
        };
        let (child, identity) = start(&launch).unwrap();
        let (report, exits) = mpsc::channel(1);
        let running = watch(identity, Some(child), Duration::from_secs(10), 7, report);
        Started { _folder: folder, log, running, exits }
    }

    async fn says(started: &Started, text: &str) {
        eventually(|| std::fs::read_to_string(&started.log).unwrap_or_default().contains(text)).await;
    }

    #[tokio::test]
    async fn a_process_that_ends_tells_how() {
        let mut started = shell("exit 3");
        let (number, exit) = started.exits.recv().await.unwrap();
        assert_eq!((number, exit.describe().as_str(), exit.killed), (7, "exited with code 3", false));
        assert_eq!(
            Identity::of(started.running.identity.pid).filter(|now| *now == started.running.identity),
            None,
            "it was reaped"
        );
    }

    #[tokio::test]
    async fn the_whole_group_gets_the_signal_and_may_finish_its_work() {
        // The leader dies at once; its child finishes what it does, and only then the replica is gone.
        let mut started =
            shell("(trap 'sleep 0.3; echo finished; exit' TERM; echo ready; while :; do sleep 0.05; done) & wait");
        says(&started, "ready").await;
        started.running.end(Duration::from_secs(30));
        let (_, exit) = started.exits.recv().await.unwrap();
        assert!(!exit.killed);
        says(&started, "finished").await;
    }

    #[tokio::test]
    async fn what_does_not_end_in_time_is_killed_with_its_children() {
        let mut started = shell("trap '' TERM; (trap '' TERM; while :; do sleep 0.05; done) & echo ready; wait; wait");
        says(&started, "ready").await;
        started.running.end(Duration::from_millis(200));
        let (_, exit) = started.exits.recv().await.unwrap();
        assert!(exit.killed);
        assert!(!started.running.identity.group_runs());
    }

    #[tokio::test]
    async fn a_second_wish_hurries_the_end() {
        let mut started = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done");
        says(&started, "ready").await;
        started.running.end(Duration::from_mins(10));
        started.running.end(Duration::ZERO);
        assert!(started.exits.recv().await.unwrap().1.killed);
    }

    #[tokio::test]
    async fn a_watch_that_is_dropped_leaves_the_process_alone() {
        let started = shell("echo ready; sleep 60");
        says(&started, "ready").await;
        let identity = started.running.identity;
        drop(started.running);
        assert!(identity.runs());
        // Found again and watched as a process that is not our child.
        let (report, mut exits) = mpsc::channel(1);
        let running = watch(identity, None, Duration::from_secs(1), 8, report);
        running.end(Duration::from_secs(10));
        assert_eq!(exits.recv().await.unwrap().1.describe(), "ended");
        assert!(!identity.runs());
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch {
            program: "./nowhere".into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            directory: folder.path().to_owned(),
            log: folder.path().join("log"),
        };
        assert_eq!(start(&launch).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
