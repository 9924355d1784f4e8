//! `ScaleRecord`: what Tidegate knows about one scaled object, for people (`kubectl get sr`) and for its own next start.
//!
//! A record has the name of its `ScaledObject` (or `NAME.job` for a `ScaledJob`), is owned by it and has no spec: all of
//! it is status, written by the controller alone. Numbers are those of the last write, not live ones.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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
    /// The fewest replicas in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min: Option<i32>,
    /// The most replicas in force.
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
    /// The work around a change of replicas that is under way. Its form is not fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub operation: Option<Map<String, Value>>,
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
