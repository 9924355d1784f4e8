//! Which jobs there are, and what they run: states, vertices, subtasks and the graph between them.
//!
//! What Flink says of a job may be 3 s old (`web.refresh-interval`), but for [`JobDetail::now`], which is its clock at the answer.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate_calculator::source::Deadline;

use super::ids::{JobId, VertexId};
use super::numbers;
use super::{FlinkClient, FlinkError};

/// The state of a job. `Running` does not say that its tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// It was accepted, nothing is known of its graph yet.
    Initializing,
    /// It waits for slots.
    Created,
    /// It has what it needs, or is about to.
    Running,
    /// It failed and is being ended.
    Failing,
    /// It failed for good.
    Failed,
    /// It is being cancelled.
    Cancelling,
    /// It was cancelled.
    Canceled,
    /// It came to its end, or was stopped.
    Finished,
    /// It failed or is being rescaled, and begins anew.
    Restarting,
    /// This JobManager gave it up; another one may take it over.
    Suspended,
    /// A JobManager takes it over.
    Reconciling,
    /// A state that we do not know.
    #[serde(other)]
    Unknown,
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskState {
    /// Not asked for a slot yet.
    Created,
    /// Waits for a slot.
    Scheduled,
    /// Is sent to its TaskManager.
    Deploying,
    /// Restores its state.
    Initializing,
    /// Runs.
    Running,
    /// Came to its end.
    Finished,
    /// Is being cancelled.
    Canceling,
    /// Was cancelled.
    Canceled,
    /// Failed.
    Failed,
    /// Is taken over.
    Reconciling,
    /// A state that we do not know.
    #[serde(other)]
    Unknown,
}

/// Which scheduler runs a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum Scheduler {
    /// Its parallelism is fixed.
    Default,
    /// Its parallelism follows the slots, within its requirements.
    Adaptive,
    /// For batch jobs.
    AdaptiveBatch,
    /// One that we do not know.
    #[serde(other)]
    Unknown,
}

/// What kind of job it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobType {
    /// It ends when its input does, and takes no checkpoints.
    Batch,
    /// It goes on.
    Streaming,
    /// One that we do not know.
    #[serde(other)]
    Unknown,
}

/// One job in the list of all (`GET /jobs/overview`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct JobSummary {
    /// The job.
    #[serde(rename = "jid")]
    pub id: JobId,
    /// Its name, which several may have.
    pub name: String,
    /// Its state.
    pub state: JobState,
    /// When it was submitted, in milliseconds since 1970.
    #[serde(default, deserialize_with = "numbers::moment")]
    pub start_time: Option<i64>,
    /// Its tasks by state, under Flink's names in small letters, with `total`.
    #[serde(default)]
    pub tasks: BTreeMap<String, u32>,
    /// Its scheduler; none while it initializes, and before 2.0.
    #[serde(default, rename = "schedulerType")]
    pub scheduler: Option<Scheduler>,
}

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<JobSummary>,
}

/// A job with its vertices and its graph (`GET /jobs/:id`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct JobDetail {
    /// The job.
    #[serde(rename = "jid")]
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: JobState,
    /// When it was submitted, in milliseconds since 1970.
    #[serde(default, deserialize_with = "numbers::moment")]
    pub start_time: Option<i64>,
    /// The JobManager's clock when it answered, in milliseconds since 1970.
    pub now: i64,
    /// When it entered each state last, by Flink's names; 0 for never.
    #[serde(default)]
    pub timestamps: BTreeMap<String, i64>,
    /// Its scheduler; none before 2.0.
    #[serde(default, rename = "schedulerType")]
    pub scheduler: Option<Scheduler>,
    /// Its kind; none before 1.16.
    #[serde(default)]
    pub job_type: Option<JobType>,
    /// What it runs, in the order of the graph.
    #[serde(default)]
    pub vertices: Vec<Vertex>,
    /// The graph between them.
    #[serde(default)]
    pub plan: Plan,
}

/// One vertex: operators that are chained into one task.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Vertex {
    /// The vertex.
    pub id: VertexId,
    /// What its operators are called, such as `Source: orders -> parse`.
    pub name: String,
    /// Vertices of one group share slots; none before 2.0, where all of a usual job share one.
    #[serde(default, rename = "slotSharingGroupId")]
    pub slot_sharing_group: Option<String>,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// How many it can have at most; none if Flink does not say.
    #[serde(default, rename = "maxParallelism", deserialize_with = "numbers::count")]
    pub max_parallelism: Option<u32>,
    /// When the first of its subtasks was deployed, in milliseconds since 1970; none as long as none was.
    #[serde(default, deserialize_with = "numbers::moment")]
    pub start_time: Option<i64>,
    /// How many of its subtasks are in which state.
    #[serde(default)]
    pub tasks: BTreeMap<TaskState, u32>,
    /// What it did since it was deployed.
    #[serde(default)]
    pub metrics: Totals,
}

/// What the subtasks of a vertex did since they were deployed, added up. A sum counts only when it is complete: before all subtasks have told,
/// it is a zero that means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Totals {
    read_records: u64,
    read_records_complete: bool,
    write_records: u64,
    write_records_complete: bool,
    /// Milliseconds that all subtasks together were busy; none where Flink has no number.
    #[serde(deserialize_with = "numbers::figure")]
    pub accumulated_busy_time: Option<f64>,
    /// Milliseconds that all subtasks together waited for input.
    #[serde(deserialize_with = "numbers::figure")]
    pub accumulated_idle_time: Option<f64>,
    /// Milliseconds that all subtasks together were held back by what comes after them.
    #[serde(deserialize_with = "numbers::figure")]
    pub accumulated_backpressured_time: Option<f64>,
}

/// The graph of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Plan {
    /// Its vertices.
    #[serde(default)]
    pub nodes: Vec<PlanNode>,
}

/// A vertex in the graph.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PlanNode {
    /// The vertex.
    pub id: VertexId,
    /// Where its records come from; empty for a source.
    #[serde(default)]
    pub inputs: Vec<PlanInput>,
}

/// One edge of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PlanInput {
    /// Where it begins.
    pub id: VertexId,
    /// How records are spread: `HASH` by key, `REBALANCE`, `FORWARD`, ...
    #[serde(default)]
    pub ship_strategy: String,
}

/// One vertex with its subtasks (`GET /jobs/:id/vertices/:vertex`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VertexDetail {
    /// The JobManager's clock when it answered, in milliseconds since 1970.
    pub now: i64,
    /// Its subtasks.
    pub subtasks: Vec<Subtask>,
}

/// One subtask.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Subtask {
    /// Its state.
    pub status: TaskState,
    /// When it was deployed, in milliseconds since 1970.
    #[serde(default, deserialize_with = "numbers::moment")]
    pub start_time: Option<i64>,
    /// For how many milliseconds it was in each state; versions before 1.16 do not say.
    #[serde(default)]
    pub status_duration: BTreeMap<TaskState, i64>,
}

#[derive(Deserialize)]
struct Status {
    status: JobState,
}

/// How a job was configured (`GET /jobs/:id/config`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct JobConfig {
    /// What holds for its execution; none while it initializes.
    #[serde(default)]
    pub execution_config: Option<ExecutionConfig>,
}

/// What holds for a job's execution.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExecutionConfig {
    /// What happens when it fails, in Flink's words.
    pub restart_strategy: String,
    /// The parallelism that it was submitted with; none for the cluster's default.
    #[serde(default, deserialize_with = "numbers::count")]
    pub job_parallelism: Option<u32>,
    /// Global job parameters that the program set.
    #[serde(default)]
    pub user_config: BTreeMap<String, String>,
}

impl JobState {
    /// Whether the job is not at its end.
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }

    /// Whether the job is on its way to run, or to run again.
    pub const fn is_beginning(self) -> bool {
        matches!(self, Self::Initializing | Self::Created | Self::Restarting | Self::Suspended | Self::Reconciling)
    }

    /// Flink's name of the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Failing => "FAILING",
            Self::Failed => "FAILED",
            Self::Cancelling => "CANCELLING",
            Self::Canceled => "CANCELED",
            Self::Finished => "FINISHED",
            Self::Restarting => "RESTARTING",
            Self::Suspended => "SUSPENDED",
            Self::Reconciling => "RECONCILING",
            Self::Unknown => "a state that is not known",
        }
    }
}

impl JobDetail {
    /// When it began to run last, in milliseconds since 1970.
    pub fn running_since(&self) -> Option<i64> {
        self.timestamps.get("RUNNING").copied().filter(|since| *since > 0)
    }

    /// Where the records of a vertex come from; empty for a source and for a vertex that the graph does not have.
    pub fn inputs(&self, vertex: &VertexId) -> &[PlanInput] {
        self.plan.nodes.iter().find(|node| node.id == *vertex).map_or(&[], |node| node.inputs.as_slice())
    }

    /// The vertices that read from outside, in the order of the graph.
    pub fn sources(&self) -> impl Iterator<Item = &Vertex> {
        self.vertices.iter().filter(|vertex| self.inputs(&vertex.id).is_empty())
    }
}

impl Vertex {
    /// How many of its subtasks are in a state.
    pub fn count(&self, state: TaskState) -> u32 {
        self.tasks.get(&state).copied().unwrap_or_default()
    }

    /// Whether every subtask runs or came to its end.
    pub fn runs(&self) -> bool {
        let well = self.count(TaskState::Running) + self.count(TaskState::Finished);
        self.parallelism > 0 && well >= self.parallelism
    }

    /// Whether every subtask came to its end: such a vertex has no metrics any more.
    pub fn is_finished(&self) -> bool {
        self.parallelism > 0 && self.count(TaskState::Finished) >= self.parallelism
    }
}

impl Totals {
    /// The records that were read; none until all subtasks have told.
    pub fn read(&self) -> Option<u64> {
        self.read_records_complete.then_some(self.read_records)
    }

    /// The records that were written; none until all subtasks have told.
    pub fn written(&self) -> Option<u64> {
        self.write_records_complete.then_some(self.write_records)
    }
}

impl FlinkClient {
    /// All jobs that the JobManager knows, those at their end included.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`]; this holds for every question of this client.
    pub async fn jobs(&self, patience: Deadline) -> Result<Vec<JobSummary>, FlinkError> {
        let Jobs { jobs } = self.get("/jobs/overview", patience).await?;
        Ok(jobs)
    }

    /// One job with its vertices and its graph.
    pub async fn job(&self, job: &JobId, patience: Deadline) -> Result<JobDetail, FlinkError> {
        self.get(&format!("/jobs/{job}"), patience).await
    }

    /// The state of a job: the cheapest question about it.
    pub async fn job_status(&self, job: &JobId, patience: Deadline) -> Result<JobState, FlinkError> {
        let Status { status } = self.get(&format!("/jobs/{job}/status"), patience).await?;
        Ok(status)
    }

    /// How a job was configured.
    pub async fn job_config(&self, job: &JobId, patience: Deadline) -> Result<JobConfig, FlinkError> {
        self.get(&format!("/jobs/{job}/config"), patience).await
    }

    /// One vertex with its subtasks.
    pub async fn vertex(&self, job: &JobId, vertex: &VertexId, patience: Deadline) -> Result<VertexDetail, FlinkError> {
        self.get(&format!("/jobs/{job}/vertices/{vertex}"), patience).await
    }
}
