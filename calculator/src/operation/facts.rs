//! What an inspection says about a cluster: everything an operation decides on, as the adapters read it.
//!
//! Ages are lengths of time before the answer, by the clock of the server that gave the times (`/jobs/:id` says its `now`), so that two
//! clocks are never compared. What is not known is absent and never zero.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// The answer to [`super::action::Action::Inspect`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The scaled object.
    pub target: TargetFacts,
    /// The Flink cluster; absent without a flink item.
    pub cluster: Option<ClusterFacts>,
    /// The FlinkDeployment that is the target.
    pub deployment: Option<DeploymentFacts>,
}

/// The scaled object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetFacts {
    /// `spec.replicas`.
    pub replicas: u32,
    /// Its version: a write that names it succeeds only while it holds.
    pub version: String,
    /// Whether the Flink Kubernetes Operator owns it.
    pub owned_by_operator: bool,
    /// Its pods.
    pub pods: Vec<Pod>,
}

/// A pod of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its address, if it has one yet.
    pub ip: Option<String>,
}

/// A Flink cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFacts {
    /// How jobs are scheduled.
    pub scheduler: Scheduler,
    /// `web-submit` of GET /config: jars can be run. False in application mode.
    pub web_submit: bool,
    /// `web-rescale` of GET /config: requirements can be put.
    pub web_rescale: bool,
    /// `submission.resource-stabilization-timeout`; absent if not known.
    pub submission_stabilization: Option<Span>,
    /// `executing.cooldown-after-rescaling`; absent if not known.
    pub cooldown_after_rescaling: Option<Span>,
    /// All jobs that the JobManager lists, live or not.
    pub jobs: Vec<JobFacts>,
    /// Registered TaskManagers.
    pub task_managers: Vec<TaskManager>,
}

impl ClusterFacts {
    /// TaskManagers that have said which slots they have. One is listed with none for a moment between its registration and its first
    /// report, and a job that is run then would not get its slots.
    pub fn reported(&self) -> usize {
        self.task_managers.iter().filter(|manager| manager.slots > 0).count()
    }

    /// The slots of one TaskManager: of the smallest that has said how many it has; absent if none has.
    pub fn slots_per(&self) -> Option<u32> {
        self.task_managers.iter().map(|manager| manager.slots).filter(|slots| *slots > 0).min()
    }
}

/// How a cluster schedules jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheduler {
    /// Parallelism follows the TaskManagers.
    Reactive,
    /// Parallelism follows the requirements.
    Adaptive,
    /// Parallelism is fixed.
    Default,
    /// Nothing says which one it is.
    Unknown,
}

/// A registered TaskManager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskManager {
    /// Its resource id: the pod's name, if the cluster is set up so.
    pub id: String,
    /// The host in its path.
    pub host: String,
    /// All slots; 0 until it has said how many.
    pub slots: u32,
    /// Slots that no job uses.
    pub free: u32,
}

/// The state of a job as Flink names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// INITIALIZING or CREATED: on its way.
    Created,
    /// RUNNING; it does not say that the tasks run.
    Running,
    /// RESTARTING, FAILING or RECONCILING: still live.
    Restarting,
    /// CANCELLING: about to end.
    Cancelling,
    /// SUSPENDED: this JobManager has let it go, another one may run it.
    Suspended,
    /// FINISHED.
    Finished,
    /// FAILED.
    Failed,
    /// CANCELED.
    Canceled,
}

impl JobState {
    /// Whether the job has tasks or will have them again by itself.
    pub const fn live(self) -> bool {
        !matches!(self, Self::Finished | Self::Failed | Self::Canceled)
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFacts {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Those of the spec's name patterns that match its name.
    pub patterns: Vec<String>,
    /// Its state.
    pub state: JobState,
    /// Whether it is a batch job.
    pub batch: bool,
    /// Its vertices.
    pub vertices: Vec<Vertex>,
    /// How it checkpoints; absent if it could not be read.
    pub checkpointing: Option<Checkpointing>,
    /// The newest completed checkpoint.
    pub completed: Option<SnapshotFacts>,
    /// The newest completed savepoint.
    pub savepoint: Option<SnapshotFacts>,
    /// What the job was restored from last.
    pub restored: Option<Restored>,
    /// Failed checkpoints since the newest completed one.
    pub failed_in_a_row: u32,
    /// p95 of the end-to-end duration of checkpoints; absent without data (Flink says "NaN").
    pub p95: Option<Span>,
    /// `numRestarts`; absent if not known.
    pub restarts: Option<u32>,
}

impl JobFacts {
    /// RUNNING says little: ready is a job of which every vertex runs (or has finished) at its parallelism.
    pub fn ready(&self) -> bool {
        self.state == JobState::Running
            && !self.vertices.is_empty()
            && self.vertices.iter().all(|vertex| vertex.parallelism > 0 && vertex.running >= vertex.parallelism)
    }

    /// The largest parallelism of its vertices.
    pub fn parallelism(&self) -> u32 {
        self.vertices.iter().map(|vertex| vertex.parallelism).max().unwrap_or(0)
    }
}

/// A vertex of a job's graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vertex {
    /// Its id.
    pub id: String,
    /// Its present parallelism.
    pub parallelism: u32,
    /// Its maximum parallelism.
    pub max_parallelism: u32,
    /// Tasks that run or have finished.
    pub running: u32,
    /// Its slot sharing group; vertices of one group share slots.
    pub group: String,
    /// Its upper bound, where requirements can be read.
    pub upper: Option<u32>,
}

/// How a job checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpointing {
    /// The period; absent when periodic checkpointing is off (Flink says the largest 64-bit number).
    pub interval: Option<Span>,
    /// How long one checkpoint, savepoint or stop may take.
    pub timeout: Span,
}

/// A completed checkpoint or savepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// Its id; checkpoints and savepoints of a job are counted together.
    pub id: Option<u64>,
    /// Its path; absent if it is not external.
    pub path: Option<String>,
    /// How long ago it was triggered.
    pub triggered: Span,
    /// How long ago it completed.
    pub completed: Span,
}

/// What a job was restored from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The snapshot's id.
    pub id: u64,
    /// Whether it was a savepoint.
    pub savepoint: bool,
    /// Its path.
    pub path: Option<String>,
}

/// A FlinkDeployment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent fact")]
pub struct DeploymentFacts {
    /// `spec.job.upgradeMode`.
    pub upgrade_mode: UpgradeMode,
    /// Whether the operator changes the parallelism without a new deployment: no upgrade, so no upgradeMode.
    pub in_place: bool,
    /// `status.jobStatus.state` is RUNNING.
    pub running: bool,
    /// `spec.job.state` is suspended.
    pub suspended: bool,
    /// The operator has seen the present generation, and its reconciliation is DEPLOYED.
    pub settled: bool,
    /// The operator says ROLLED_BACK or an error: the change did not work.
    pub error: Option<String>,
    /// The operator has seen the present generation, has taken its upgrade back, and is done with that: it tries no more.
    pub rolled_back: bool,
    /// A FlinkStateSnapshot or savepoint of this deployment is in progress.
    pub snapshot_in_progress: bool,
    /// Flink's own autoscaler acts on it.
    pub autoscaler: bool,
    /// `status.jobStatus.upgradeSavepointPath`.
    pub upgrade_savepoint: Option<String>,
}

/// `upgradeMode` of a FlinkDeployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeMode {
    /// The operator stops with a savepoint.
    Savepoint,
    /// It restores from the last checkpoint.
    LastState,
    /// It throws the state away; the default of the definition.
    Stateless,
}

/// The answer to [`super::action::Action::LookForSnapshot`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The job's state; absent if the JobManager does not know the job.
    pub state: Option<JobState>,
    /// The newest completed checkpoint.
    pub completed: Option<SnapshotFacts>,
    /// The newest completed savepoint. It stays visible after a stop.
    pub savepoint: Option<SnapshotFacts>,
}
