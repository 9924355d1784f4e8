//! `ScaleRecord`: what Tidegate knows about one scaled object, for people (`kubectl get sr`) and for its own next start.
//!
//! A record has the name of its `ScaledObject` (or `NAME.job` for a `ScaledJob`), is owned by it and has no spec: all of
//! it is status, written by the controller alone. Numbers are those of the last write, not live ones.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The longest checkpoint that the API server accepts, in characters.
pub const MAX_CHECKPOINT_LENGTH: u32 = 8192;

/// The empty spec: users say nothing here.
#[derive(CustomResource, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "ScaleRecord",
    plural = "scalerecords",
    shortname = "sr",
    namespaced,
    no_spec,
    status = "ScaleRecordStatus",
    derive = "PartialEq",
    doc = "ScaleRecord is what Tidegate knows about one scaled object. It has the name of that object and is not for editing.",
    printcolumn(name = "Target", type_ = "string", json_path = ".status.reference"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desired"),
    printcolumn(name = "Min", type_ = "integer", json_path = ".status.min"),
    printcolumn(name = "Max", type_ = "integer", json_path = ".status.max"),
    printcolumn(name = "Limited By", type_ = "string", json_path = ".status.limitedBy"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".status.mode"),
    printcolumn(name = "Operation", type_ = "string", json_path = ".status.operation.summary.phase"),
    printcolumn(name = "Last Change", type_ = "date", json_path = ".status.lastChange.at"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct ScaleRecordSpec {}

/// All that the record holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleRecordStatus {
    /// The object that is scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The same in one word, for people: `Deployment/orders`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The replicas of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// The replicas that the triggers ask for, before bounds, windows and rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub desired: Option<i32>,
    /// The fewest replicas that the object itself allows, also while a schedule replaces them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min: Option<i32>,
    /// The most replicas that the object itself allows, also while a schedule replaces them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max: Option<i32>,
    /// What kept the replicas from the desired number, absent if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<String>,
    /// How the object is run, for example Scale, Observe or Paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The last change of replicas that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<LastChange>,
    /// What other writers did while the object was only observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
    /// The work around a change of replicas that is under way, and what earlier ones have left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The work around a change of replicas that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    pub last_operation: Option<OperationSummary>,
    /// What must outlive a restart, in a form of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_CHECKPOINT_LENGTH))]
    pub checkpoint: Option<Box<str>>,
    /// What is the case: `AbleToScale`, `ScalingActive`, `ScalingLimited` and others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The object that is scaled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct Target {
    /// Group and version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The name, in the namespace of the record.
    pub name: String,
}

/// A change of replicas that was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct LastChange {
    /// When.
    pub at: Time,
    /// The replicas before.
    #[schemars(range(min = 0))]
    pub from: i32,
    /// The replicas after.
    #[schemars(range(min = 0))]
    pub to: i32,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What other writers did while the object was only observed, since the record was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct Observed {
    /// How often another writer set the replicas that Tidegate wanted.
    #[schemars(range(min = 0))]
    pub agreed: i64,
    /// How often another writer set other replicas.
    #[schemars(range(min = 0))]
    pub differed: i64,
}

/// Operations as a record keeps them: for people, and for whoever goes on with them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct Operation {
    /// The operation that is under way, for people; absent while none is.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    pub summary: Option<OperationSummary>,
    /// All else is for the next process that goes on with it, in a form of our own.
    #[serde(flatten)]
    #[schemars(skip)]
    pub stored: Map<String, Value>,
}

/// An operation in a few fields. Nobody reads it back, so none of them must be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct OperationSummary {
    /// Its id, from which the ids of all that it does are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `ScaleUp`, `ScaleDown`, `ToZero` or `FromZero`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// The replicas before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub from: Option<i32>,
    /// The replicas that are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub to: Option<i32>,
    /// How the change is made safe: `Checkpoint`, `StopRestore`, `FlinkDeployment` or `None`. Absent until it is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Why it is made safe that way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where it is: `Preflight`, `Snapshotting`, `Applying`, `Restoring`, `Verifying` or `PostHooks`. How it ended: `Done`, `RolledBack`,
    /// `Aborted`, `Cancelled` or `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Time>,
    /// Since when it is in its phase, or when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// How often in a row a change in this direction was tried, this time included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempt: Option<i32>,
    /// What it waited for when this was written; absent once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Why it went another way than planned, or ended so, in one word; absent if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The cause in words, and what helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The Flink jobs that it looks after, the first 32 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<OperationJob>,
    /// How many more jobs there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub more_jobs: Option<i32>,
    /// The snapshot of a FlinkDeployment as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<OperationSnapshot>,
}

/// A Flink job of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationJob {
    /// Its name.
    pub name: String,
    /// Its id; that of its run once it was run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `Running` as it was met, `Stopped` by us, `Starting`, `RunsAgain`, or `Gone` without us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The attempt that takes its snapshot; absent while none is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub snapshot_attempt: Option<i32>,
    /// The snapshot that protects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<OperationSnapshot>,
}

/// A Flink snapshot that is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationSnapshot {
    /// `Checkpoint` or `Savepoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its id, if Flink gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub id: Option<i64>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// When it was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Time>,
}

/// A summary that cannot be read, such as one of a newer version, is none: it must not make the record unreadable, which holds the memory and
/// the paths of savepoints.
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OperationSummary>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}
