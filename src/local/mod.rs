//! The world of one machine: objects come from YAML files, and a Deployment's replicas are processes.
//!
//! * [`start`] runs the engine over files and processes. The state directory holds what must outlive us: the replicas and
//!   processes of every Deployment, and the engine's checkpoint of every ScaledObject. A later start goes on from there
//!   and adopts the processes that still run.
//! * A replica is the first container's command with its environment, in a process group of its own. Its output goes to a
//!   file, so that it needs nobody to read it; it is followed from there.
//! * An object in a file that is broken goes on with its last good text.
//!
//! This needs Linux: processes are told apart by their start time in `/proc`.

mod deployment;
mod directory;
mod feed;
pub(crate) mod files;
mod fleet;
mod identity;
pub(crate) mod inventory;
mod logs;
mod objects;
mod ports;
mod process;
mod replicas;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod workload;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tidegate_engine::driver::{self, Handle, World};
use tidegate_engine::ports::NoOperations;
use tidegate_engine::protocol::Tenure;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::deployment::Ending;
use self::directory::StateDirectory;
use self::feed::{Feed, Inbox};
use self::files::Files;
use self::fleet::Fleet;
use self::inventory::Inventory;
use self::logs::Logs;
use self::objects::ObjectRecords;
use self::ports::{Deployments, DirectoryJournal, FileResolver, ProcessTarget};
use crate::clock::MachineClock;
use crate::sources::TriggerSources;

/// What to run and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files, and directories with files below them.
    pub paths: Vec<PathBuf>,
    /// The state directory; [`default_state`] by default.
    pub state: PathBuf,
    /// How often the files are looked at. A change counts once it has stayed the same for one such time.
    pub poll: Duration,
    /// Where the output of the replicas goes besides their files.
    pub output: Output,
    /// The time that a process gets to end if its `terminationGracePeriodSeconds` says nothing; Kubernetes gives 30 s.
    pub grace: Duration,
    /// The namespace of the Secrets and ConfigMaps of a ClusterTriggerAuthentication.
    pub cluster_namespace: String,
}

/// Where the output of the replicas goes besides their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// To standard output, each line behind its replica's name: `orders-0 | ...`.
    Prefixed,
    /// Nowhere.
    FilesOnly,
}

/// Why this machine's world cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Another process uses the state directory.
    #[error("{} is in use by process {holder}: one tidegate a state directory; name another one with --state", path.display())]
    Locked {
        /// The state directory.
        path: PathBuf,
        /// The pid of the other process.
        holder: String,
    },
    /// Something in the state directory cannot be read or written.
    #[error("{}: {message}", path.display())]
    State {
        /// What cannot be used.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A path that was named leads nowhere.
    #[error("{}: {message}", path.display())]
    Path {
        /// The path as it was named.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

/// A running world.
#[derive(Debug)]
pub struct Local {
    /// Asks the engine.
    pub handle: Handle,
    fleet: Arc<Fleet>,
    logs: Arc<Logs>,
    engine: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    state: PathBuf,
}

/// What all parts share.
pub(crate) struct Machine {
    state: Arc<StateDirectory>,
    feed: Arc<Feed>,
    logs: Arc<Logs>,
    boot: String,
    grace: Duration,
    inventory: RwLock<Arc<Inventory>>,
}

impl Options {
    /// The usual options for these paths.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            state: default_state(&paths),
            paths,
            poll: Duration::from_millis(500),
            output: Output::Prefixed,
            grace: Duration::from_secs(30),
            cluster_namespace: "keda".to_owned(),
        }
    }
}

impl LocalError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "StateLocked",
            Self::State { .. } => "StateUnusable",
            Self::Path { .. } => "PathUnusable",
        }
    }
}

/// The state directory of these paths: one for each set of them, below `$XDG_STATE_HOME` or `~/.local/state`.
pub fn default_state(paths: &[PathBuf]) -> PathBuf {
    let home = || std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from).join(".local/state");
    let base = std::env::var_os("XDG_STATE_HOME").map_or_else(home, PathBuf::from);
    let mut whole: Vec<String> = paths.iter().map(|path| absolute(path).display().to_string()).collect();
    whole.sort();
    base.join("tidegate").join(format!("{:016x}", workload::fingerprint(&whole.join("\n"))))
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// Starts the world: reads the state directory and the files, adopts what runs, and scales from then on.
///
/// # Errors
/// If the state directory cannot be used or belongs to another process, or if a path leads nowhere. Whatever is wrong
/// within the files costs only what is wrong.
pub async fn start(options: Options) -> Result<Local, LocalError> {
    for path in &options.paths {
        let found = path.metadata();
        found.map_err(|error| LocalError::Path { path: path.clone(), message: error.to_string() })?;
    }
    let state = Arc::new(StateDirectory::open(&options.state)?);
    let orphans = state.deployments()?;
    let print = (options.output == Output::Prefixed).then(|| Box::new(logs::to_stdout) as logs::Print);
    let machine = Arc::new(Machine {
        state: state.clone(),
        feed: Arc::default(),
        logs: Arc::new(Logs::new(print, logs::FULL)),
        boot: identity::boot(),
        grace: options.grace,
        inventory: RwLock::default(),
    });
    let records = Arc::new(ObjectRecords::new(state));
    let deployments = Arc::new(Deployments::default());
    let fleet = Arc::new(Fleet::new(machine.clone(), deployments.clone()));
    let namespace = options.cluster_namespace;
    let files = Files::new(options.paths, machine.clone(), fleet.clone(), records.clone(), namespace.clone(), orphans);
    let world = World {
        objects: Inbox(machine.feed.clone()),
        sources: Arc::new(TriggerSources::new()),
        resolver: Arc::new(FileResolver { machine: machine.clone(), cluster_namespace: namespace }),
        target: Arc::new(ProcessTarget(deployments)),
        operations: Arc::new(NoOperations),
        journal: Arc::new(DirectoryJournal(records)),
        clock: Arc::new(MachineClock::new()),
    };
    // Whoever holds the state directory acts.
    let (tenure, held) = watch::channel(Tenure::HELD);
    let (handle, engine) = driver::start(world, held);
    let engine = tokio::spawn(async move {
        engine.await;
        drop(tenure);
    });
    let tasks = vec![tokio::spawn(files.run(options.poll)), tokio::spawn(machine.logs.clone().run())];
    Ok(Local { handle, fleet, logs: machine.logs.clone(), engine, tasks, state: options.state })
}

impl Local {
    /// Returns when the engine has ended, which it does not do by itself.
    pub async fn finished(&mut self) {
        if !self.engine.is_finished() {
            // A panic of the driver is an end as well.
            let _ = (&mut self.engine).await;
        }
    }

    /// Where the state is kept.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Stops: the files are not looked at any more, the engine stores what it knows and ends, then the processes do what
    /// `ending` says. Replicas and cooldowns are kept for the next start. May be called again to hurry it.
    pub async fn stop(&mut self, ending: Ending) {
        if let Some(files) = self.tasks.first() {
            files.abort();
        }
        if !self.engine.is_finished() && ending != Ending::Kill {
            self.handle.drain().await;
            let _ = (&mut self.engine).await;
        }
        self.fleet.stop(ending).await;
        self.fleet.ended().await;
        self.logs.round();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Machine {
    /// What the files say now.
    fn inventory(&self) -> Arc<Inventory> {
        self.inventory.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_inventory(&self, inventory: Arc<Inventory>) {
        *self.inventory.write().unwrap_or_else(PoisonError::into_inner) = inventory;
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fleet")
    }
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logs")
    }
}
