//! `ScaledObject`: scale one target on the demand that triggers see.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::trigger::{Condition, Trigger, TriggerActivity};

/// Seconds between two reads of a trigger if `spec.pollingInterval` is absent.
pub const DEFAULT_POLLING_INTERVAL: i32 = 30;
/// Seconds from the last activity to zero if `spec.cooldownPeriod` is absent.
pub const DEFAULT_COOLDOWN_PERIOD: i32 = 300;
/// The most replicas if `spec.maxReplicaCount` is absent.
pub const DEFAULT_MAX_REPLICA_COUNT: i32 = 100;
/// What `spec.fallback.behavior` may say; absent means the first.
pub const FALLBACK_BEHAVIORS: &[&str] =
    &["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower", "scalingModifiers"];
/// What `spec.advanced.scalingModifiers.metricType` may say; absent means the first.
pub const MODIFIER_METRIC_TYPES: &[&str] = &["AverageValue", "Value"];

/// What is scaled, between which bounds, and on which triggers.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "keda.sh",
    version = "v1alpha1",
    kind = "ScaledObject",
    plural = "scaledobjects",
    shortname = "so",
    namespaced,
    status = "ScaledObjectStatus",
    derive = "PartialEq",
    doc = "ScaledObject scales one workload on the events that it waits for.",
    printcolumn(name = "ScaleTargetKind", type_ = "string", json_path = ".status.scaleTargetKind"),
    printcolumn(name = "ScaleTargetName", type_ = "string", json_path = ".spec.scaleTargetRef.name"),
    printcolumn(name = "Min", type_ = "integer", json_path = ".spec.minReplicaCount"),
    printcolumn(name = "Max", type_ = "integer", json_path = ".spec.maxReplicaCount"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Active", type_ = "string", json_path = r#".status.conditions[?(@.type=="Active")].status"#),
    printcolumn(
        name = "Fallback",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Fallback")].status"#
    ),
    printcolumn(name = "Paused", type_ = "string", json_path = r#".status.conditions[?(@.type=="Paused")].status"#),
    printcolumn(name = "Triggers", type_ = "string", json_path = ".status.triggersTypes"),
    printcolumn(name = "Authentications", type_ = "string", json_path = ".status.authenticationsTypes"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.minReplicaCount) || self.minReplicaCount <= (has(self.maxReplicaCount) ? self.maxReplicaCount : 100)",
    "message": "minReplicaCount must be less than or equal to maxReplicaCount",
}]))]
pub struct ScaledObjectSpec {
    /// The object to scale, in the same namespace.
    pub scale_target_ref: ScaleTarget,
    /// Seconds between two reads of the triggers, 30 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub polling_interval: Option<i32>,
    /// Seconds after the creation of the object in which it is not scaled to zero, 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub initial_cooldown_period: Option<i32>,
    /// Seconds from the last activity until the target goes to zero or to the idle count, 300 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cooldown_period: Option<i32>,
    /// Replicas while no trigger is active. Must be below the minimum. Absent: the minimum rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub idle_replica_count: Option<i32>,
    /// The fewest replicas while a trigger is active, and at rest if there is no idle count; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_replica_count: Option<i32>,
    /// The most replicas, 100 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_replica_count: Option<i32>,
    /// Rates, windows, formulas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advanced: Option<Box<AdvancedConfig>>,
    /// The sources of demand. The one that asks for most replicas decides.
    #[schemars(length(min = 1))]
    pub triggers: Vec<Trigger>,
    /// What holds while triggers cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// Names the object to scale.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleTarget {
    /// The name of the object.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Group and version of the object, apps/v1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The kind of the object, Deployment by default. It needs a scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The container whose environment the triggers may read, the first one by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_source_container_name: Option<String>,
}

/// What holds while triggers cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// How many reads in a row may fail before the fallback acts.
    #[schemars(range(min = 0))]
    pub failure_threshold: i32,
    /// The replicas to ask for then.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// How the replicas of the fallback and the current ones go together, static by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = FALLBACK_BEHAVIORS, "default" = FALLBACK_BEHAVIORS[0]))]
    pub behavior: Option<String>,
}

/// Rates, windows, formulas.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdvancedConfig {
    /// The rules of a `HorizontalPodAutoscaler` for raising and lowering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizontal_pod_autoscaler_config: Option<HorizontalPodAutoscalerConfig>,
    /// Set the target back to its first number of replicas when the object is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_to_original_replica_count: Option<bool>,
    /// One formula over all triggers instead of each on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling_modifiers: Option<Box<ScalingModifiers>>,
}

/// The rules of a `HorizontalPodAutoscaler`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HorizontalPodAutoscalerConfig {
    /// The name that KEDA gives to its `HorizontalPodAutoscaler`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Windows, rates and tolerances, as in autoscaling/v2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Box<HorizontalPodAutoscalerBehavior>>,
}

/// One formula over all triggers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingModifiers {
    /// The expression over the names of the triggers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// The target value of the result, a number above zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The result above which the object is active, 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_target: Option<String>,
    /// What the target value means, `AverageValue` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = MODIFIER_METRIC_TYPES))]
    pub metric_type: Option<String>,
}

impl ScalingModifiers {
    /// Whether nothing is set, which means the same as no block at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is known of the object. The fields are KEDA's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaledObjectStatus {
    /// Group, version and kind of the target, for example apps/v1.Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_target_kind: Option<String>,
    /// The same in parts, with the name of the resource.
    #[serde(default, rename = "scaleTargetGVKR", skip_serializing_if = "Option::is_none")]
    pub scale_target_gvkr: Option<GroupVersionKindResource>,
    /// The replicas of the target when the object was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_replica_count: Option<i32>,
    /// When a trigger was last active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_active_time: Option<Time>,
    /// The metric names of the triggers, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_metric_names: Vec<String>,
    /// The resources (cpu, memory) that triggers look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_metric_names: Vec<String>,
    /// The name of the metric of the formula.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub composite_scaler_name: Option<String>,
    /// What is the case: Ready, Active, Fallback, Paused, `HPAActive`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Failures of the triggers, by metric name. Kept only if there is a fallback.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub health: BTreeMap<String, Health>,
    /// Which triggers are active, by metric name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub triggers_activity: BTreeMap<String, TriggerActivity>,
    /// The replicas that a pause has set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_replica_count: Option<i32>,
    /// The name of the `HorizontalPodAutoscaler` that KEDA made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hpa_name: Option<String>,
    /// The types of the triggers, a comma list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers_types: Option<String>,
    /// The names of the objects with credentials, a comma list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentications_types: Option<String>,
}

/// A kind of the API and the resource under which it is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupVersionKindResource {
    /// The API group.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The plural name in the paths of the API.
    pub resource: String,
}

/// How often a trigger has failed in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Failures in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_of_failures: Option<i32>,
    /// Happy or Failing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}
