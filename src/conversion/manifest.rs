//! The ScaledObject that is written, field by field in the order in which people write it.

use serde::Serialize;
use serde_json::{Map, Value};

use super::autoscaler::{Autoscaler, BEHAVIOR_ANNOTATION, METRICS_ANNOTATION};
use super::metrics::{Metric, Named, Source};
use crate::manifests::Document;

/// How often an autoscaler looks at its metrics, in seconds (hpa-algorithm §1); an object that rests at 0 must be told.
const SYNC_PERIOD: i64 = 15;
/// Annotations that belong to the autoscaler and not to whoever wrote it.
const NOT_KEPT: [&str; 5] = [
    METRICS_ANNOTATION,
    BEHAVIOR_ANNOTATION,
    "autoscaling.alpha.kubernetes.io/conditions",
    "autoscaling.alpha.kubernetes.io/current-metrics",
    "kubectl.kubernetes.io/last-applied-configuration",
];

/// A ScaledObject, complete.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    pub(super) spec: Spec,
}

#[derive(Debug, Serialize)]
struct Metadata {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    labels: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    annotations: Map<String, Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    scale_target_ref: Target,
    #[serde(skip_serializing_if = "Option::is_none")]
    polling_interval: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cooldown_period: Option<i64>,
    min_replica_count: i64,
    max_replica_count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    advanced: Option<Advanced>,
    triggers: Vec<Trigger>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    api_version: String,
    kind: String,
    name: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Advanced {
    horizontal_pod_autoscaler_config: Config,
}

#[derive(Debug, Serialize)]
struct Config {
    behavior: Value,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Trigger {
    #[serde(rename = "type")]
    kind: &'static str,
    metric_type: String,
    metadata: Parameters,
}

/// The parameters of all the types that are written.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    container_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_selector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    described_object_api_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    described_object_kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    described_object_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_value: Option<String>,
}

impl Manifest {
    /// The object for an autoscaler that stands in this document.
    pub(super) fn of(autoscaler: &Autoscaler, document: &Document) -> Self {
        let Autoscaler { target, min, max, metrics, behavior, .. } = autoscaler;
        let behavior = behavior.clone();
        let scale_target_ref =
            Target { api_version: target.api_version.clone(), kind: target.kind.clone(), name: target.name.clone() };
        Self {
            api_version: "keda.sh/v1alpha1",
            kind: "ScaledObject",
            metadata: Metadata::of(document),
            spec: Spec {
                scale_target_ref,
                // With a minimum of 1 or more triggers are read every sync period anyway, and neither period has an effect.
                polling_interval: (*min == 0).then_some(SYNC_PERIOD),
                cooldown_period: behavior.as_ref().and_then(window).filter(|_| *min == 0),
                min_replica_count: *min,
                max_replica_count: *max,
                advanced: behavior.map(|behavior| Advanced { horizontal_pod_autoscaler_config: Config { behavior } }),
                triggers: metrics.iter().map(Trigger::of).collect(),
            },
        }
    }
}

/// How long the metrics must say 0 before an autoscaler goes there, if it says it itself.
fn window(behavior: &Value) -> Option<i64> {
    behavior.pointer("/scaleDown/stabilizationWindowSeconds")?.as_i64()
}

impl Metadata {
    fn of(document: &Document) -> Self {
        let part = |name: &str| document.value.get("metadata").and_then(|metadata| metadata.get(name));
        let map = |name: &str| part(name).and_then(Value::as_object).cloned().unwrap_or_default();
        let mut annotations = map("annotations");
        annotations.retain(|name, _| !NOT_KEPT.contains(&name.as_str()));
        Self {
            name: document.name().to_owned(),
            namespace: part("namespace").and_then(Value::as_str).map(str::to_owned),
            labels: map("labels"),
            annotations,
        }
    }
}

impl Trigger {
    fn of(metric: &Metric) -> Self {
        let amount = Some(metric.amount.clone());
        let (kind, metadata) = match &metric.source {
            Source::Resource { name, container } => {
                let kind = if name == "memory" { "memory" } else { "cpu" };
                (kind, Parameters { container_name: container.clone(), value: amount, ..Parameters::default() })
            }
            Source::Pods(named) => ("pods-metric", Parameters { target_value: amount, ..Parameters::of(named) }),
            Source::External(named) => {
                ("external-metric", Parameters { target_value: amount, ..Parameters::of(named) })
            }
            Source::Object { api_version, kind, name, metric } => {
                let object = Parameters {
                    described_object_api_version: api_version.clone(),
                    described_object_kind: Some(kind.clone()),
                    described_object_name: Some(name.clone()),
                    target_value: amount,
                    ..Parameters::of(metric)
                };
                ("object-metric", object)
            }
        };
        Self { kind, metric_type: metric.compared.to_string(), metadata }
    }
}

impl Parameters {
    fn of(named: &Named) -> Self {
        let selector = Some(named.selector.clone()).filter(|selector| !selector.is_empty());
        Self { metric_name: Some(named.name.clone()), metric_selector: selector, ..Self::default() }
    }
}
