//! One entry of `spec.triggers`, and the parts of the status that all kinds of KEDA share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `triggers[].authenticationRef.kind` may say; absent means the first.
pub const AUTHENTICATION_KINDS: &[&str] = &["TriggerAuthentication", "ClusterTriggerAuthentication"];

/// One source of demand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// The name of the scaler, for example redis or kafka.
    #[serde(rename = "type")]
    #[schemars(length(min = 1))]
    pub kind: String,
    /// A name for this trigger, unique in the object. A formula refers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The parameters of the scaler. Every value is a text: numbers and booleans stand in quotes.
    pub metadata: BTreeMap<String, String>,
    /// Read this trigger only at every polling interval. Not for cpu, memory and cron.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_cached_metrics: Option<bool>,
    /// What the target value means: `AverageValue` (each replica, the default), Value (all together) or Utilization (cpu and
    /// memory only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_type: Option<String>,
    /// The object that holds the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<AuthenticationRef>,
}

/// Names the object that holds the credentials of a trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthenticationRef {
    /// The name of the object.
    pub name: String,
    /// The kind of the object, `TriggerAuthentication` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = AUTHENTICATION_KINDS))]
    pub kind: Option<String>,
}

/// A condition in the form of KEDA: without a transition time and an observed generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Condition {
    /// What the condition is about, for example Ready or Active.
    #[serde(rename = "type")]
    pub kind: String,
    /// One of True, False, Unknown.
    pub status: String,
    /// Why, in one word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in a sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Whether one trigger asks for replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriggerActivity {
    /// True while the trigger is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}
