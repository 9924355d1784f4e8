//! `ScaledJob`: start one job for each piece of work that triggers see.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::trigger::{Condition, Trigger, TriggerActivity};

/// How many finished jobs of each outcome are kept if the limit is absent.
pub const DEFAULT_HISTORY_LIMIT: i32 = 100;
/// What `spec.rollout.strategy` (and the deprecated `spec.rolloutStrategy`) may say; absent means `immediate`.
pub const ROLLOUT_STRATEGIES: &[&str] = &["gradual", "immediate"];
/// What `spec.rollout.propagationPolicy` may say; absent means `background`.
pub const PROPAGATION_POLICIES: &[&str] = &["foreground", "background"];
/// What `spec.scalingStrategy.strategy` may say; absent means the first.
pub const SCALING_STRATEGIES: &[&str] = &["default", "custom", "accurate", "eager"];
/// What `spec.scalingStrategy.multipleScalersCalculation` may say; absent means `max`.
pub const SCALER_CALCULATIONS: &[&str] = &["min", "avg", "sum", "max"];

/// Which jobs are started, how many at once, and on which triggers.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "keda.sh",
    version = "v1alpha1",
    kind = "ScaledJob",
    plural = "scaledjobs",
    shortname = "sj",
    namespaced,
    status = "ScaledJobStatus",
    derive = "PartialEq",
    doc = "ScaledJob starts jobs for the events that wait.",
    printcolumn(name = "Min", type_ = "integer", json_path = ".spec.minReplicaCount"),
    printcolumn(name = "Max", type_ = "integer", json_path = ".spec.maxReplicaCount"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Active", type_ = "string", json_path = r#".status.conditions[?(@.type=="Active")].status"#),
    printcolumn(name = "Paused", type_ = "string", json_path = r#".status.conditions[?(@.type=="Paused")].status"#),
    printcolumn(name = "Triggers", type_ = "string", json_path = ".status.triggersTypes"),
    printcolumn(name = "Authentications", type_ = "string", json_path = ".status.authenticationsTypes"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ScaledJobSpec {
    /// The job to start, as in batch/v1.
    pub job_target_ref: Box<JobSpec>,
    /// Seconds between two reads of the triggers, 30 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub polling_interval: Option<i32>,
    /// How many completed jobs are kept, 100 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub successful_jobs_history_limit: Option<i32>,
    /// How many failed jobs are kept, 100 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub failed_jobs_history_limit: Option<i32>,
    /// Deprecated, use rollout.strategy. Wins over it if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ROLLOUT_STRATEGIES))]
    pub rollout_strategy: Option<String>,
    /// What happens to running jobs when the object changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// The container whose environment the triggers may read, the first one by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_source_container_name: Option<String>,
    /// Jobs that always run, 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_replica_count: Option<i32>,
    /// The most jobs at once, 100 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_replica_count: Option<i32>,
    /// How the number of new jobs is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling_strategy: Option<Box<ScalingStrategy>>,
    /// The sources of demand.
    #[schemars(length(min = 1))]
    pub triggers: Vec<Trigger>,
}

/// What happens to running jobs when the object changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Gradual lets old jobs end, immediate (the default) deletes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ROLLOUT_STRATEGIES))]
    pub strategy: Option<String>,
    /// How the deletion goes on to the pods, background by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = PROPAGATION_POLICIES))]
    pub propagation_policy: Option<String>,
}

/// How the number of new jobs is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStrategy {
    /// The way to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = SCALING_STRATEGIES))]
    pub strategy: Option<String>,
    /// Custom only: taken off the number of jobs. May be negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_scaling_queue_length_deduction: Option<i32>,
    /// Custom only: the share of running jobs that is taken off, a number such as "0.5".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_scaling_running_job_percentage: Option<String>,
    /// A job is pending until one of its pods has all these conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_pod_conditions: Vec<String>,
    /// How several triggers go together, max by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = SCALER_CALCULATIONS))]
    pub multiple_scalers_calculation: Option<String>,
}

/// What is known of the object. The fields are KEDA's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaledJobStatus {
    /// When a trigger was last active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_active_time: Option<Time>,
    /// What is the case: Ready, Active, Paused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Not used; the condition Paused says it.
    #[serde(default, rename = "Paused", skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// The types of the triggers, a comma list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers_types: Option<String>,
    /// The names of the objects with credentials, a comma list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentications_types: Option<String>,
    /// The metric names of the triggers, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_metric_names: Vec<String>,
    /// Which triggers are active, by metric name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub triggers_activity: BTreeMap<String, TriggerActivity>,
}
