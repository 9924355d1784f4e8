//! `ScalingPolicy` and `ClusterScalingPolicy`: what holds for a `ScaledObject` beyond what KEDA can say.
//!
//! A `ScaledObject` names its policies in the annotation [`crate::annotations::POLICIES`]; one policy may serve many objects. Both kinds
//! have the same fields: the first serves objects of its own namespace, the second objects of all namespaces. What is not acted on yet
//! ([`NOT_YET`]) is taken by the definition and refused by validation, so that nobody believes that it acts.

pub mod hooks;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::printer::QUANTITY;
pub use hooks::Hooks;

/// What `mode` may say; absent means the first.
pub const MODES: &[&str] = &["Auto", "Observe"];
/// What `triggers[].role` may say; absent means the first.
pub const ROLES: &[&str] = &["Scale", "Signal"];
/// What `triggers[].onError` may say; absent means the first.
pub const ON_ERROR: &[&str] = &["RaiseOnly", "Hold", "Ignore", "LastKnown"];
/// What `triggers[].direction` may say; absent means the first.
pub const DIRECTIONS: &[&str] = &["Normal", "Inverse"];
/// What `triggers[].steps[].per` may say; absent means that the value is compared as it is.
pub const PER: &[&str] = &["Replica"];
/// What `triggers[].steps[].of` may say; absent means the first.
pub const STEP_OF: &[&str] = &["Value", "Forecast"];
/// What `triggers[].window.take` may say.
pub const TAKES: &[&str] = &["Min", "Max", "Avg"];
/// What `gates[].block` may say.
pub const BLOCKS: &[&str] = &["ScaleDown", "ScaleUp", "Both"];
/// The blocks of a spec that have a place in the definition and are not acted on yet.
pub const NOT_YET: &[&str] = &["victims", "distribution", "actions", "vertical", "replaceUnhealthy"];

/// The most entries of each list of a spec: `triggers`, `gates` and so on.
pub const MAX_ENTRIES: usize = 32;
/// The most steps of one trigger.
pub const MAX_STEPS: usize = 16;
/// The longest name of an entry, in characters.
pub const MAX_NAME: usize = 63;

/// What a duration looks like: Go's form, down to milliseconds.
pub(crate) const DURATION: &str = r"^(0|([0-9]+(\.[0-9]+)?(h|m|s|ms))+)$";

/// What holds for the objects that name this policy.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "ScalingPolicy",
    plural = "scalingpolicies",
    shortname = "spol",
    namespaced,
    derive = "PartialEq",
    doc = "ScalingPolicy says what holds for ScaledObjects of its namespace beyond what KEDA can say. They name it in the annotation tidegate.dev/policies.",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Triggers", type_ = "string", json_path = ".spec.triggers[*].name"),
    printcolumn(name = "Gates", type_ = "string", json_path = ".spec.gates[*].name"),
    printcolumn(name = "Schedules", type_ = "string", json_path = ".spec.schedules[*].name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicySpec {
    /// Whether replicas are written: Auto (the default), or Observe, which decides, explains and records, and touches nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = MODES))]
    pub mode: Option<String>,
    /// What is said of triggers of the `ScaledObject`, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = MAX_ENTRIES, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub triggers: Vec<TriggerAddition>,
    /// What forbids a direction while a trigger shows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = MAX_ENTRIES, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub gates: Vec<Gate>,
    /// How long one direction waits for the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction_cooldown: Option<DirectionCooldown>,
    /// Bounds for a part of the day, the week or the year.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = MAX_ENTRIES, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub schedules: Vec<Schedule>,
    /// Work before and after a change of the replicas, with what Flink needs. It needs a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Box<Hooks>>,
    /// Which pods go first. It is not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub victims: Option<Map<String, Value>>,
    /// Several targets for one count. It is not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub distribution: Option<Map<String, Value>>,
    /// What is changed while a trigger shows something. It is not supported yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = MAX_ENTRIES))]
    pub actions: Vec<Anything>,
    /// The resources of running pods. It is not supported yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = MAX_ENTRIES))]
    pub vertical: Vec<Anything>,
    /// Pods that are not Ready for long. It is not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub replace_unhealthy: Option<Map<String, Value>>,
}

/// The same for objects of all namespaces.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "ClusterScalingPolicy",
    plural = "clusterscalingpolicies",
    shortname = "cspol",
    derive = "PartialEq",
    doc = "ClusterScalingPolicy says what holds for ScaledObjects of any namespace beyond what KEDA can say. They name it in the annotation tidegate.dev/policies, as cluster/NAME.",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Triggers", type_ = "string", json_path = ".spec.triggers[*].name"),
    printcolumn(name = "Gates", type_ = "string", json_path = ".spec.gates[*].name"),
    printcolumn(name = "Schedules", type_ = "string", json_path = ".spec.schedules[*].name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct ClusterScalingPolicySpec(pub ScalingPolicySpec);

/// A map of anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent, extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct Anything(pub Map<String, Value>);

/// What is said of one trigger beyond its `ScaledObject`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.lastKnownFor) == (has(self.onError) && self.onError == 'LastKnown')",
    "message": "lastKnownFor is needed with onError LastKnown, and only there",
}]))]
pub struct TriggerAddition {
    /// The name of the trigger in the `ScaledObject`.
    #[schemars(length(min = 1, max = MAX_NAME))]
    pub name: String,
    /// What the trigger is for: Scale proposes replicas (the default), Signal is only read by gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ROLES))]
    pub role: Option<String>,
    /// What the trigger does without a value: `RaiseOnly` lets others raise (the default), Hold changes nothing, Ignore drops it,
    /// `LastKnown` takes its last value for `lastKnownFor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ON_ERROR))]
    pub on_error: Option<String>,
    /// How long the last value counts, for example 2m. With onError `LastKnown` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub last_known_for: Option<String>,
    /// Whether more of the metric wants more replicas (Normal, the default) or fewer (Inverse).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = DIRECTIONS))]
    pub direction: Option<String>,
    /// Rules with thresholds. With any, the trigger votes by them instead of by its ratio.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = MAX_STEPS))]
    pub steps: Vec<Step>,
    /// Whether the value spreads over the replicas, so that fewer replicas make it higher. By default it does for cpu, memory and steps
    /// with per Replica; a share such as busy needs true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spreads: Option<bool>,
    /// What steps and gates compare instead of the last reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Looking ahead. It is not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub forecast: Option<Map<String, Value>>,
}

/// One rule of a trigger: while the value is beyond a threshold, replicas change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.above) != has(self.below)",
    "message": "exactly one of above and below is needed",
}]))]
pub struct Step {
    /// The value must be greater than this quantity. Fractions stand in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub above: Option<Value>,
    /// The value must be less than this quantity. Fractions stand in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub below: Option<Value>,
    /// How long that must have held. By default 0 for raising, and the downscale stabilization (5m) for lowering.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub held_for: Option<String>,
    /// The shortest time between two changes in this direction. By default the longer of `for` and 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub every: Option<String>,
    /// Replica divides the value by the replicas before it is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = PER))]
    pub per: Option<String>,
    /// What happens: +2, -1, +50%, -50%, =10, or Ratio for what the trigger's own target asks for.
    #[schemars(
        length(min = 1, max = 12),
        extend("x-kubernetes-validations" = [{
            "rule": r"self.matches('^([+-][1-9][0-9]{0,6}%?|=[0-9]{1,7}|Ratio)$')",
            "message": "must be +N, -N, +N%, -N%, =N or Ratio",
        }])
    )]
    pub change: String,
    /// What is compared: Value (the default), or Forecast, which is not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = STEP_OF))]
    pub of: Option<String>,
}

/// What of the readings of a while is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// The lowest, the highest, or the average by time.
    #[schemars(extend("enum" = TAKES))]
    pub take: String,
    /// How long back, for example 2m.
    #[schemars(schema_with = "duration")]
    pub over: String,
}

/// Forbids a direction while a trigger is beyond a threshold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.above) != has(self.below)",
        "message": "exactly one of above and below is needed",
    },
    {
        "rule": "!has(self.release) || (has(self.above) ? has(self.release.below) : has(self.release.above))",
        "message": "release must be on the other side: below for a gate that closes above, above for one that closes below",
    },
]))]
pub struct Gate {
    /// The name of the gate.
    #[schemars(length(min = 1, max = MAX_NAME))]
    pub name: String,
    /// The name of the trigger that it reads.
    #[schemars(length(min = 1, max = MAX_NAME))]
    pub trigger: String,
    /// It closes when the value is greater than this quantity. Fractions stand in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub above: Option<Value>,
    /// It closes when the value is less than this quantity. Fractions stand in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub below: Option<Value>,
    /// How long that must have held, 0 by default.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub held_for: Option<String>,
    /// What opens it again; by default the end of what closes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// What it forbids: `ScaleDown`, `ScaleUp` or Both.
    #[schemars(extend("enum" = BLOCKS))]
    pub block: String,
}

/// What opens a gate again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.above) != has(self.below)",
    "message": "exactly one of above and below is needed",
}]))]
pub struct Release {
    /// It opens when the value is greater than this quantity. Fractions stand in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub above: Option<Value>,
    /// It opens when the value is less than this quantity. Fractions stand in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub below: Option<Value>,
    /// How long that must have held, 0 by default.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub held_for: Option<String>,
}

/// How long one direction waits after our last change in the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectionCooldown {
    /// How long nothing is lowered after a raise, 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub scale_down_after_scale_up: Option<String>,
    /// How long nothing is raised after a lowering, 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub scale_up_after_scale_down: Option<String>,
}

/// Bounds that take the place of the object's own from each start to the end that follows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.minReplicaCount) || has(self.maxReplicaCount)",
        "message": "minReplicaCount or maxReplicaCount is needed",
    },
    {
        "rule": "!has(self.minReplicaCount) || !has(self.maxReplicaCount) || self.minReplicaCount <= self.maxReplicaCount",
        "message": "minReplicaCount must be less than or equal to maxReplicaCount",
    },
    {
        "rule": "self.start != self.end",
        "message": "start and end must differ",
    },
]))]
pub struct Schedule {
    /// The name of the schedule.
    #[schemars(length(min = 1, max = MAX_NAME))]
    pub name: String,
    /// When it begins, as a cron expression: minute, hour, day of month, month, day of week.
    #[schemars(length(min = 1, max = 128))]
    pub start: String,
    /// When it ends, likewise.
    #[schemars(length(min = 1, max = 128))]
    pub end: String,
    /// The name of an IANA time zone, for example Europe/Berlin.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// The fewest replicas meanwhile; absent keeps the object's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_replica_count: Option<i32>,
    /// The most replicas meanwhile; absent keeps the object's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_replica_count: Option<i32>,
}

/// A number or the text of a quantity.
fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "pattern": QUANTITY, "x-kubernetes-int-or-string": true })
}

/// A duration in Go's form.
pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": DURATION, "maxLength": 32 })
}
