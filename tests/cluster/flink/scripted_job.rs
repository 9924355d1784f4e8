//! A job of the scripted JobManager: it checkpoints, restarts, stops and runs as Flink's jobs do, in real time but without work.

use std::collections::BTreeMap;

/// The vertices of every job: a source and what follows it, in one slot sharing group.
pub(crate) const VERTICES: [(&str, &str); 2] = [
    ("2c7cfca5c63d637d11bdacd2764e28fb", "Source: orders"),
    ("9d09aababb000e649ce97b1f2ef8e370", "enrich -> sink: Writer"),
];
/// How far a vertex can grow.
pub(crate) const MOST: u32 = 24;
/// After how many milliseconds a run fails whose savepoint is not there.
const BAD_RUN: i64 = 1_000;

/// The states that these jobs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    Running,
    Restarting,
    Finished,
    Failed,
    Canceled,
}

impl State {
    /// Whether the job is not at its end.
    pub(crate) const fn live(self) -> bool {
        matches!(self, Self::Created | Self::Running | Self::Restarting)
    }

    /// Flink's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Restarting => "RESTARTING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
        }
    }
}

/// What is triggered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Checkpoint,
    Savepoint,
    Stop,
}

impl Kind {
    /// As the log and the steps call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Savepoint => "savepoint",
            Self::Stop => "stop",
        }
    }
}

/// How snapshots end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    /// They complete.
    #[default]
    Well,
    /// Their directory cannot be made.
    Directory,
    /// An operator throws, so the job restarts.
    Operator,
}

/// A completed checkpoint or savepoint.
#[derive(Clone, Debug)]
pub(crate) struct Snap {
    pub(crate) id: u64,
    pub(crate) path: String,
    pub(crate) triggered: i64,
    pub(crate) completed: i64,
    pub(crate) savepoint: bool,
}

/// A snapshot that was asked for under an id.
#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    pub(crate) kind: Kind,
    due: i64,
    snap: Snap,
    /// How it ended; none while it goes on. An error is what stands under "Caused by".
    pub(crate) end: Option<Result<Snap, String>>,
}

/// What a job was restored from.
#[derive(Clone, Debug)]
pub(crate) struct Restored {
    pub(crate) id: u64,
    pub(crate) path: String,
    pub(crate) savepoint: bool,
    pub(crate) at: i64,
}

/// How the cluster treats its jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// The parallelism follows the slots; else it is fixed.
    pub(crate) adaptive: bool,
    /// The period of checkpoints in milliseconds; none for no periodic ones. It is long: no periodic one is ever seen.
    pub(crate) interval: Option<i64>,
    /// How long a snapshot may take, in milliseconds.
    pub(crate) timeout: i64,
    /// How long a snapshot takes, in milliseconds.
    pub(crate) snapshot: i64,
    /// How long a start and a restart take, in milliseconds.
    pub(crate) restart: i64,
    /// How snapshots end.
    pub(crate) health: Health,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            adaptive: true,
            interval: Some(3_600_000),
            timeout: 60_000,
            snapshot: 200,
            restart: 500,
            health: Health::Well,
        }
    }
}

/// One job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) begun: i64,
    /// The parallelism that it has while it runs.
    pub(crate) parallelism: u32,
    /// The most that it asks for, by vertex.
    pub(crate) upper: BTreeMap<String, u32>,
    /// The TaskManagers of its slots.
    pub(crate) slots: Vec<String>,
    pub(crate) snaps: Vec<Snap>,
    /// Checkpoints that failed, with their moment.
    pub(crate) failed: Vec<(u64, i64)>,
    pub(crate) restored: Option<Restored>,
    pub(crate) restarts: u32,
    pub(crate) triggers: BTreeMap<String, Trigger>,
    next: u64,
    ready: i64,
    fails: Option<i64>,
}

impl Job {
    /// A job that runs from `path`, or from empty state; it has not begun yet.
    pub(crate) fn new(id: &str, name: &str, parallelism: u32, path: Option<&str>, now: i64) -> Self {
        let restored = path.map(|path| Restored { id: 1, path: path.to_owned(), savepoint: true, at: now });
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            state: State::Created,
            begun: now,
            parallelism,
            upper: VERTICES.iter().map(|(id, _)| ((*id).to_owned(), parallelism)).collect(),
            slots: Vec::new(),
            snaps: Vec::new(),
            failed: Vec::new(),
            restored,
            restarts: 0,
            triggers: BTreeMap::new(),
            next: 2,
            ready: now,
            fails: None,
        }
    }

    /// The same, and its savepoint is not there: it fails after a moment and holds its slots until then.
    pub(crate) fn failing(mut self, now: i64) -> Self {
        self.fails = Some(now + BAD_RUN);
        self
    }

    /// The same, and it has been running for so long that a checkpoint of it is 10 minutes old.
    pub(crate) fn aged(mut self, now: i64) -> Self {
        let snap = self.snap(now - 600_200, Kind::Checkpoint, "file:///checkpoints");
        self.snaps.push(Snap { completed: now - 600_000, ..snap });
        self
    }

    fn snap(&mut self, now: i64, kind: Kind, directory: &str) -> Snap {
        let id = self.next;
        self.next += 1;
        let savepoint = kind != Kind::Checkpoint;
        let part = if savepoint { "savepoint" } else { "chk" };
        let path = format!("{}/{part}-{}-{id}", directory.trim_end_matches('/'), &self.id[..6]);
        Snap { id, path, triggered: now, completed: now, savepoint }
    }

    /// The newest completed checkpoint, or savepoint.
    pub(crate) fn newest(&self, savepoint: bool) -> Option<&Snap> {
        self.snaps.iter().filter(|snap| snap.savepoint == savepoint).max_by_key(|snap| snap.id)
    }

    /// How long ago its newest checkpoint completed.
    pub(crate) fn age(&self, now: i64) -> Option<i64> {
        self.newest(false).map(|snap| now - snap.completed)
    }

    /// Triggers a snapshot. One of this id that is known is the same one.
    pub(crate) fn trigger(&mut self, id: &str, kind: Kind, directory: &str, manners: &Manners, now: i64) {
        if self.triggers.contains_key(id) {
            return;
        }
        let other = self.triggers.values().any(|other| other.kind == Kind::Stop && other.end.is_none());
        let snap = self.snap(now, kind, directory);
        let end = if !self.state.live() {
            Some(Err(format!(
                "org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job ({})",
                self.id
            )))
        } else if self.state != State::Running {
            Some(Err("java.lang.IllegalStateException: Checkpoint Coordinator is suspending.".to_owned()))
        } else if other && kind == Kind::Stop {
            Some(Err("java.lang.IllegalStateException: another stop is under way".to_owned()))
        } else {
            None
        };
        let due = now + manners.snapshot.min(manners.timeout);
        self.triggers.insert(id.to_owned(), Trigger { kind, due, snap, end });
    }

    /// Begins anew from the newest checkpoint: what was under way is over.
    pub(crate) fn restart(&mut self, now: i64, manners: &Manners) {
        if let Some(snap) = self.newest(false) {
            self.restored = Some(Restored { id: snap.id, path: snap.path.clone(), savepoint: false, at: now });
        }
        if manners.interval.is_none() {
            // Without periodic checkpoints there is no restart strategy.
            self.end(State::Failed);
            return;
        }
        self.restarts += 1;
        self.state = State::Restarting;
        self.ready = now + manners.restart;
        self.slots.clear();
        self.interrupt();
    }

    /// Comes to its end.
    pub(crate) fn end(&mut self, state: State) {
        self.state = state;
        self.slots.clear();
        self.interrupt();
    }

    fn interrupt(&mut self) {
        for trigger in self.triggers.values_mut().filter(|trigger| trigger.end.is_none()) {
            trigger.end =
                Some(Err("java.lang.IllegalStateException: Checkpoint Coordinator is suspending.".to_owned()));
        }
    }

    /// Goes on to this moment. `free` are the slots that no job holds, by their TaskManagers.
    pub(crate) fn advance(&mut self, now: i64, free: &[String], manners: &Manners) {
        if self.fails.is_some_and(|at| at <= now) && self.state.live() {
            self.end(State::Failed);
        }
        if self.state.live() && self.state != State::Running && self.ready <= now {
            let wanted = self.wanted();
            let least = if manners.adaptive { 1 } else { wanted };
            let count = wanted.min(u32::try_from(free.len()).unwrap());
            if count >= least {
                self.state = State::Running;
                self.parallelism = count;
                self.slots = free[..count as usize].to_vec();
            }
        }
        let due = |trigger: &Trigger| trigger.end.is_none() && trigger.due <= now;
        let ids: Vec<String> = self.triggers.iter().filter(|(_, one)| due(one)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.complete(&id, free.len(), manners);
        }
    }

    /// The most that it asks for.
    fn wanted(&self) -> u32 {
        self.upper.values().copied().max().unwrap_or(1)
    }

    /// A snapshot has come to its end.
    fn complete(&mut self, id: &str, free: usize, manners: &Manners) {
        let Some(trigger) = self.triggers.get_mut(id).filter(|trigger| trigger.end.is_none()) else { return };
        let (kind, at) = (trigger.kind, trigger.due);
        let cause = match manners.health {
            _ if manners.snapshot > manners.timeout => {
                Some("org.apache.flink.runtime.checkpoint.CheckpointException: Checkpoint expired before completing.")
            }
            Health::Well => None,
            Health::Directory if kind == Kind::Checkpoint => {
                Some("java.io.IOException: Mkdirs failed to create file:/proc/nope/shared")
            }
            Health::Directory => Some("java.io.IOException: Failed to create savepoint directory at file:/proc/nope"),
            Health::Operator => Some("java.lang.RuntimeException: state of orders cannot be written"),
        };
        if let Some(cause) = cause {
            trigger.end = Some(Err(cause.to_owned()));
            let number = trigger.snap.id;
            self.failed.push((number, at));
            let expired = manners.snapshot > manners.timeout;
            if manners.health == Health::Operator || (kind == Kind::Stop && expired) {
                self.restart(at, manners);
            }
            return;
        }
        let snap = Snap { completed: at, ..trigger.snap.clone() };
        trigger.end = Some(Ok(snap.clone()));
        self.snaps.push(snap);
        if kind == Kind::Stop {
            self.end(State::Finished);
        } else if kind == Kind::Checkpoint && manners.adaptive {
            // The scheduler waits for a checkpoint before it rescales.
            let possible = self.parallelism + u32::try_from(free).unwrap();
            if self.wanted().min(possible) != self.parallelism {
                self.restart(at, manners);
            }
        }
    }
}
