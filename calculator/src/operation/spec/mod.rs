//! What a user said should happen around a change of replicas: the hooks of a ScalingPolicy in their validated form.
//!
//! An operation keeps the spec that it began with, so everything here has a stored form. Defaults are those of the policy's definition;
//! `Default` gives them, and a field that is absent in a stored text takes its default.

mod check;
mod jobs;

pub use check::SpecError;
pub use jobs::{Batch, FirstStart, Jar, JobSelector, JobSpec, Jobs, RunTemplate, Select};

use serde::{Deserialize, Serialize};

use super::phase::{Direction, Strategy};
use crate::time::Span;

/// The hooks of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HookSpec {
    /// What must succeed before the change, in this order; a flink item, if there is one, comes last and owns the change itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_scale: Vec<Item>,
    /// What follows the verified change; http and job items only. A failure here is told and changes nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_scale: Vec<Item>,
}

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Item {
    /// Its name, unique in its list.
    pub name: String,
    /// The directions in which it takes part. Empty: all for flink, `ScaleDown` and `ToZero` for http and job.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub directions: Vec<Direction>,
    /// Of the whole operation; once a job is stopped it only alarms. More than zero.
    pub timeout: Span,
    /// How often a transient failure may happen; at least 1. Pauses between are 10, 20, 40 s.
    pub attempts: u32,
    /// The least time after the operation before the next one.
    pub cooldown: Span,
    /// What a failure before the change means, by direction.
    pub on_failure: OnFailureTable,
    /// What it does.
    pub work: Work,
}

impl Default for Item {
    fn default() -> Self {
        Self {
            name: String::new(),
            directions: Vec::new(),
            timeout: Span::seconds(20 * 60),
            attempts: 3,
            cooldown: Span::seconds(120),
            on_failure: OnFailureTable::default(),
            work: Work::default(),
        }
    }
}

/// What a hook does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Work {
    /// A call over HTTP.
    Http(Http),
    /// A Kubernetes Job.
    Job(JobTemplate),
    /// Safe scaling of an Apache Flink cluster.
    Flink(Box<Flink>),
}

impl Default for Work {
    fn default() -> Self {
        Self::Http(Http::default())
    }
}

/// What a failure before the change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// The change happens all the same.
    Proceed,
    /// The change does not happen.
    Abort,
}

/// What a user wrote under `onFailure`; what he did not write takes the default of its direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OnFailureTable {
    /// For more replicas; by default `Proceed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<OnFailure>,
    /// For fewer replicas; by default `Abort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<OnFailure>,
    /// For zero replicas; always `Abort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_zero: Option<OnFailure>,
    /// For leaving zero; always `Abort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_zero: Option<OnFailure>,
}

impl OnFailureTable {
    /// What the user wrote for `direction`.
    pub const fn written(&self, direction: Direction) -> Option<OnFailure> {
        match direction {
            Direction::ScaleUp => self.scale_up,
            Direction::ScaleDown => self.scale_down,
            Direction::ToZero => self.to_zero,
            Direction::FromZero => self.from_zero,
        }
    }

    /// What holds for `direction` under `strategy`. A stopped job is never left behind, so under StopRestore, to zero and from zero it
    /// is `Abort`, whatever was written for a strategy that was chosen automatically.
    pub fn effective(&self, direction: Direction, strategy: Strategy) -> OnFailure {
        let fixed = strategy == Strategy::StopRestore || matches!(direction, Direction::ToZero | Direction::FromZero);
        let usual = if direction == Direction::ScaleUp { OnFailure::Proceed } else { OnFailure::Abort };
        if fixed { OnFailure::Abort } else { self.written(direction).unwrap_or(usual) }
    }
}

/// A call over HTTP before or after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Http {
    /// Where to; http or https.
    pub url: String,
    /// The method; POST by default.
    pub method: String,
    /// Headers in their order. The header `Idempotency-Key` is set by the operation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body, sent as it is.
    pub body: String,
    /// The TriggerAuthentication to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<String>,
    /// The statuses that mean success; 200 by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expect_status: Vec<u16>,
    /// Where to ask until the work is done, if the first answer only accepts it: 200 is done, 202 goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_url: Option<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            url: String::new(),
            method: "POST".to_owned(),
            headers: Vec::new(),
            body: String::new(),
            authentication_ref: None,
            expect_status: vec![200],
            poll_url: None,
        }
    }
}

/// A Kubernetes Job before or after a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct JobTemplate {
    /// The JobTemplateSpec as JSON text; its name is given by the operation.
    pub template: String,
}

/// Safe scaling of an Apache Flink cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Flink {
    /// How to reach the JobManager; absent for a FlinkDeployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<FlinkEndpoint>,
    /// The TriggerAuthentication to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<String>,
    /// What the user chose; `Auto` by default.
    pub strategy: StrategyChoice,
    /// Which jobs are looked after.
    pub jobs: Jobs,
    /// Slots of one TaskManager; absent is `Auto`: what the TaskManagers say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots_per_task_manager: Option<u32>,
    /// How Flink checkpoints are used.
    pub checkpoint: CheckpointOptions,
    /// How savepoints are taken and kept.
    pub savepoint: SavepointOptions,
    /// What holds for a FlinkDeployment.
    pub flink_deployment: FlinkDeploymentOptions,
    /// How the change is verified.
    pub verify: VerifyOptions,
}

/// How to reach a JobManager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FlinkEndpoint {
    /// A base address.
    RestUrl(String),
    /// A Service of the object's namespace.
    Service {
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
        /// http or https.
        scheme: String,
    },
}

/// The strategy as a user may write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StrategyChoice {
    /// Chosen by what the cluster is; see [`super::auto`].
    #[default]
    Auto,
    /// In place, after a Flink checkpoint.
    Checkpoint,
    /// Stop with a savepoint, run again from it.
    StopRestore,
    /// Leave the restart to the Flink Kubernetes Operator.
    FlinkDeployment,
    /// Only replicas; nothing is protected.
    None,
}

/// How Flink checkpoints are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CheckpointOptions {
    /// The type that is asked for.
    pub kind: CheckpointType,
    /// The oldest snapshot that may protect a change, from its completion.
    pub max_age: Span,
    /// What comes first when lowering.
    pub order: Order,
}

impl Default for CheckpointOptions {
    fn default() -> Self {
        Self { kind: CheckpointType::Configured, max_age: Span::seconds(30), order: Order::Auto }
    }
}

impl CheckpointOptions {
    /// Whether a checkpoint that completed so long ago may protect a change now.
    pub fn serves(&self, age: Span) -> bool {
        age < self.max_age
    }
}

/// The type of a Flink checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CheckpointType {
    /// As the job is configured.
    #[default]
    Configured,
    /// A full one.
    Full,
}

/// What comes first when a job is made smaller in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// By the stabilization that the scheduler waits after a loss: above 3 s the requirements come first.
    #[default]
    Auto,
    /// TaskManagers leave, then the requirements follow: always one restart.
    RemoveFirst,
    /// The requirements change, and the TaskManagers leave at once after.
    RequirementsFirst,
}

/// How savepoints are taken and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SavepointOptions {
    /// The directory; below it every operation has its own. Absent: the cluster's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The format.
    pub format: SavepointFormat,
    /// Who owns the files after a restore.
    pub claim_mode: ClaimMode,
    /// How many are kept; at least 1.
    pub keep: u32,
    /// None is disposed of that is younger.
    pub min_age: Span,
    /// Whether a plain savepoint is taken before a change in place; it protects nothing, it is a backup.
    pub backup: bool,
}

impl Default for SavepointOptions {
    fn default() -> Self {
        Self {
            directory: None,
            format: SavepointFormat::Native,
            claim_mode: ClaimMode::NoClaim,
            keep: 5,
            min_age: Span::seconds(24 * 3600),
            backup: false,
        }
    }
}

/// The format of a savepoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SavepointFormat {
    /// That of the state backend: quick.
    #[default]
    Native,
    /// The same for all state backends.
    Canonical,
}

/// Who owns the files of a savepoint after a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ClaimMode {
    /// They stay; two restores from one path are possible.
    #[default]
    NoClaim,
    /// Flink deletes them when later checkpoints replace them.
    Claim,
}

/// What holds for a FlinkDeployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FlinkDeploymentOptions {
    /// Whether a change may lose state because `upgradeMode` is stateless.
    pub allow_stateless: bool,
    /// What comes before a change under `upgradeMode: last-state`.
    pub last_state: LastState,
    /// `backoffLimit` of our FlinkStateSnapshot.
    pub backoff_limit: u32,
    /// How zero is reached.
    pub zero: DeploymentZero,
}

impl Default for FlinkDeploymentOptions {
    fn default() -> Self {
        Self {
            allow_stateless: false,
            last_state: LastState::CheckpointFirst,
            backoff_limit: 2,
            zero: DeploymentZero::Suspend,
        }
    }
}

/// What comes before a change under `upgradeMode: last-state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LastState {
    /// A FlinkStateSnapshot with a checkpoint: less to replay.
    #[default]
    CheckpointFirst,
    /// Nothing: the operator restores from the last periodic checkpoint.
    AsItIs,
}

/// How a FlinkDeployment reaches zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeploymentZero {
    /// `spec.job.state: suspended`; the operator keeps the state.
    #[default]
    Suspend,
}

/// How a change is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VerifyOptions {
    /// How long the job may take until it runs at its new size, and TaskManagers until they have registered.
    pub timeout: Span,
    /// Where the first new checkpoint comes from.
    pub checkpoint: VerifyCheckpoint,
    /// How many restarts may follow the change; more are a loop.
    pub max_restarts: u32,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { timeout: Span::seconds(300), checkpoint: VerifyCheckpoint::Trigger, max_restarts: 3 }
    }
}

/// Where the first checkpoint after a change comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerifyCheckpoint {
    /// It is triggered.
    #[default]
    Trigger,
    /// The next periodic one is waited for.
    Wait,
}
