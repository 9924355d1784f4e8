//! What an operation asks the world to do. Adapters perform actions; every one of them may be performed twice without harm.

use super::bounds::Bound;
use super::ids::Kind;
use super::spec::{CheckpointType, ClaimMode, Flink, Http, Jar, RunTemplate, SavepointFormat};
use crate::time::Tick;

/// What is to be done now. See [`super::Operation::handle`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The revision that is to be stored now, durably, and answered with [`super::event::Event::Stored`]; none if nothing durable has
    /// changed. A store that fails is repeated by whoever stores; until it succeeds nothing changes the world.
    pub store: Option<u64>,
    /// Calls to begin now. Each is answered once by its number, [`super::event::Event::Answered`].
    pub calls: Vec<Call>,
    /// What people are told. No answer is waited for.
    pub notes: Vec<Note>,
    /// When [`super::event::Event::Woken`] is due at the latest; none once the operation has ended and is stored.
    pub wake: Option<Tick>,
}

/// One action with the number that its answer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Grows with every call of this process; a late answer to an older one is dropped.
    pub number: u32,
    /// What to do. It must have a deadline of its own, 10 s for one HTTP call.
    pub action: Action,
}

/// What an adapter performs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the target, the Flink cluster with its jobs and TaskManagers, and the FlinkDeployment. Answer: `Inspected`.
    Inspect,
    /// Ask for a pass that tells the wish ([`super::event::Event::Wish`]), which is the answer.
    AskWish,
    /// Look at the gates; [`super::event::Event::Gate`] is the answer.
    AskGates,
    /// POST /jobs/:job/checkpoints. Answer: `Done` or `Failed`.
    TriggerCheckpoint {
        /// The job.
        job: String,
        /// Its `triggerId`.
        trigger: String,
        /// Its type.
        kind: CheckpointType,
    },
    /// GET /jobs/:job/checkpoints/:trigger. Answer: `InProgress`, `Completed`, `NotFound`, `Failed`.
    PollCheckpoint {
        /// The job.
        job: String,
        /// The trigger id.
        trigger: String,
    },
    /// POST /jobs/:job/savepoints. Answer: `Done` or `Failed`.
    TriggerSavepoint {
        /// The job.
        job: String,
        /// Its `triggerId`.
        trigger: String,
        /// The operation's own directory; absent: the cluster's default.
        directory: Option<String>,
        /// Its format.
        format: SavepointFormat,
    },
    /// POST /jobs/:job/stop, never with drain. Answer: `Done` or `Failed`.
    StopWithSavepoint {
        /// The job.
        job: String,
        /// Its `triggerId`.
        trigger: String,
        /// The operation's own directory; absent: the cluster's default.
        directory: Option<String>,
        /// Its format.
        format: SavepointFormat,
    },
    /// GET /jobs/:job/savepoints/:trigger, also for a stop. Answer: as for a checkpoint.
    PollSavepoint {
        /// The job.
        job: String,
        /// The trigger id.
        trigger: String,
    },
    /// GET /jobs/:job/status and /jobs/:job/checkpoints after a result was lost. Answer: `Looked`; a job that the JobManager does not know
    /// is `Looked` with no state, not a failure.
    LookForSnapshot {
        /// The job.
        job: String,
        /// What is looked for.
        kind: Kind,
    },
    /// Write the target's replicas; zero of a FlinkDeployment is a suspended job. Answer: `Done`, or `Failed` with class Conflict if the version does not hold any more.
    Patch {
        /// The replicas.
        to: u32,
        /// The version that must still hold.
        version: String,
    },
    /// PUT /jobs/:job/resource-requirements with every vertex, lower bounds 1. Answer: `Done` or `Failed`.
    PutRequirements {
        /// The job.
        job: String,
        /// Upper bounds of all vertices.
        bounds: Vec<Bound>,
    },
    /// Set the deletion cost of the target's pods so that these leave first, and take it from all others. Answer: `Done` or `Failed`.
    MarkVictims {
        /// Names of pods.
        pods: Vec<String>,
    },
    /// Upload the jar if it is given by address and not there, then POST /jars/:jar/plan. Answer: `Done` or `Failed`.
    PlanJar {
        /// The job's name.
        job: String,
        /// What is planned.
        run: Run,
    },
    /// POST /jars/:jar/run. Answer: `Started`, or `Failed`; class Conflict for a 400 whose last cause is a duplicate submission.
    RunJar {
        /// The job's name.
        job: String,
        /// `jobId` of the run.
        id: String,
        /// What is run.
        run: Run,
    },
    /// GET /jobs/:job. Answer: `Status`, or `NotFound`.
    JobStatus {
        /// The job's id.
        job: String,
    },
    /// PATCH /jobs/:job?mode=cancel, only for a job whose savepoint is complete. Answer: `Done`, also if it has ended or is not known.
    CancelJob {
        /// The job's id.
        job: String,
    },
    /// Create a FlinkStateSnapshot of the target with `checkpoint: {}`; one that exists is success. Answer: `Done` or `Failed`.
    CreateSnapshotResource {
        /// Its name.
        name: String,
        /// Its `backoffLimit`.
        backoff_limit: u32,
    },
    /// Read the FlinkStateSnapshot. Answer: as for a checkpoint; ABANDONED is `Failed` with class Restarting.
    PollSnapshotResource {
        /// Its name.
        name: String,
    },
    /// POST /savepoint-disposal and wait; a path that is gone is success. Answer: `Done` or `Failed`. Never part of an operation:
    /// [`super::retention`].
    DisposeSavepoint {
        /// The path.
        path: String,
    },
    /// Call an http item. Answer: `Done`, `InProgress` if it was accepted and must be polled, `Failed`.
    CallHttp {
        /// The item.
        item: String,
        /// `Idempotency-Key`.
        key: String,
        /// The call.
        http: Http,
    },
    /// Poll an http item that was accepted. Answer: `Done`, `InProgress`, `NotFound`, `Failed`.
    PollHttp {
        /// The item.
        item: String,
        /// `Idempotency-Key` of the call.
        key: String,
        /// The call.
        http: Http,
    },
    /// Create a Kubernetes Job from a template; one that exists is success. Answer: `Done` or `Failed`.
    RunJob {
        /// Its name.
        name: String,
        /// The template as JSON text.
        template: String,
    },
    /// Read a Kubernetes Job. Answer: `InProgress`, `Done`, `NotFound`, `Failed`.
    PollJob {
        /// Its name.
        name: String,
    },
    /// Write the paths of stopped jobs into the annotation `tidegate.dev/flink-savepoint` of the target; an empty text removes it.
    /// Answer: `Done` or `Failed`.
    Annotate {
        /// Its value.
        value: String,
    },
}

/// How a job is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The jar.
    pub jar: Jar,
    /// The class with `main`.
    pub entry_class: Option<String>,
    /// Arguments of `main`.
    pub program_args: Vec<String>,
    /// Configuration of the run.
    pub flink_configuration: Vec<(String, String)>,
    /// The parallelism.
    pub parallelism: u32,
    /// The path to start from; absent only for a first start from empty state, which the user chose.
    pub savepoint: Option<String>,
    /// Who owns the files.
    pub claim_mode: ClaimMode,
    /// Whether state that fits no operator may be dropped.
    pub allow_non_restored_state: bool,
}

impl Run {
    /// The run of a job by its template, from `savepoint`; without one from empty state, which only a user may choose.
    pub fn of(template: &RunTemplate, flink: &Flink, parallelism: u32, savepoint: Option<String>) -> Self {
        Self {
            jar: template.jar.clone(),
            entry_class: template.entry_class.clone(),
            program_args: template.program_args.clone(),
            flink_configuration: template.flink_configuration.clone(),
            parallelism,
            savepoint,
            claim_mode: flink.savepoint.claim_mode,
            allow_non_restored_state: template.allow_non_restored_state,
        }
    }
}

impl Action {
    /// Whether it changes the world: then it waits until the operation is stored.
    pub const fn changes(&self) -> bool {
        !matches!(
            self,
            Self::Inspect
                | Self::AskWish
                | Self::AskGates
                | Self::PollCheckpoint { .. }
                | Self::PollSavepoint { .. }
                | Self::LookForSnapshot { .. }
                | Self::JobStatus { .. }
                | Self::PollSnapshotResource { .. }
                | Self::PollHttp { .. }
                | Self::PollJob { .. }
        )
    }
}

/// What people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// An event on the object.
    Announce {
        /// A stable reason in camel case.
        reason: String,
        /// One sentence.
        message: String,
        /// Whether somebody should look.
        warning: bool,
    },
    /// A condition of the ScaleRecord.
    Condition {
        /// Its type.
        name: String,
        /// Whether it holds.
        holds: bool,
        /// One sentence.
        message: String,
    },
    /// Every condition that an operation in this direction has set is over.
    Clear(super::phase::Direction),
}
