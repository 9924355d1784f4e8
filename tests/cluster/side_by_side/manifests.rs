//! One timeline in the words of both: a HorizontalPodAutoscaler, and a ScaledObject.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::metrics_server::Metric;
use super::timelines::{Target, Timeline};
use super::{HPA, TIDEGATE};

/// A Deployment whose pods are only said to run. Each container requests one processor and 1 GiB.
pub(super) fn deployment(name: &str, timeline: &Timeline) -> Value {
    let names = timeline.before.iter().filter_map(|(metric, _)| match metric {
        Metric::Usage { container, .. } => Some(*container),
        Metric::Pods(_) | Metric::Object(_) | Metric::External(_) => None,
    });
    let names: BTreeSet<&str> = names.chain(["worker"]).collect();
    let requests = json!({"requests": {"cpu": "1", "memory": "1Gi"}});
    let container = |name| json!({"name": name, "image": "example.com/worker:1", "resources": requests});
    let containers: Vec<Value> = names.into_iter().map(container).collect();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": timeline.replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": containers},
            },
        },
    })
}

/// Both autoscalers, each with the Deployment of its name.
pub(super) fn both(timeline: &Timeline) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": [autoscaler(timeline), scaled_object(timeline)]})
}

fn autoscaler(timeline: &Timeline) -> Value {
    let metrics: Vec<Value> = timeline.targets.iter().map(metric).collect();
    let mut object = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": HPA},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": HPA},
            "minReplicas": timeline.bounds.0, "maxReplicas": timeline.bounds.1, "metrics": metrics,
        },
    });
    if let Some(behavior) = &timeline.behavior {
        object["spec"]["behavior"] = behavior.clone();
    }
    object
}

fn scaled_object(timeline: &Timeline) -> Value {
    let triggers: Vec<Value> = timeline.targets.iter().map(trigger).collect();
    let mut object = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": TIDEGATE},
        "spec": {
            "scaleTargetRef": {"name": TIDEGATE}, "pollingInterval": 1,
            "minReplicaCount": timeline.bounds.0, "maxReplicaCount": timeline.bounds.1, "triggers": triggers,
        },
    });
    if let Some(behavior) = &timeline.behavior {
        object["spec"]["advanced"] = json!({"horizontalPodAutoscalerConfig": {"behavior": behavior}});
    }
    object
}

/// Other bounds, as a patch of either.
pub(super) fn bounds((min, max): (u32, u32)) -> [Value; 2] {
    [
        json!({"spec": {"minReplicas": min, "maxReplicas": max}}),
        json!({"spec": {"minReplicaCount": min, "maxReplicaCount": max}}),
    ]
}

/// An entry of `spec.metrics`.
fn metric(target: &Target) -> Value {
    match *target {
        Target::Utilization { resource, percent } => {
            let target = json!({"type": "Utilization", "averageUtilization": percent});
            json!({"type": "Resource", "resource": {"name": resource, "target": target}})
        }
        Target::Container { container, resource, percent } => {
            let target = json!({"type": "Utilization", "averageUtilization": percent});
            let named = json!({"name": resource, "container": container, "target": target});
            json!({"type": "ContainerResource", "containerResource": named})
        }
        Target::Average { resource, value } => {
            let target = json!({"type": "AverageValue", "averageValue": value});
            json!({"type": "Resource", "resource": {"name": resource, "target": target}})
        }
        Target::Pods { name, value } => {
            let target = json!({"type": "AverageValue", "averageValue": value});
            json!({"type": "Pods", "pods": {"metric": {"name": name}, "target": target}})
        }
        Target::Object { api, kind, name, by, value } => {
            let described = json!({"apiVersion": api, "kind": kind, "name": HPA});
            let object = json!({"metric": {"name": name}, "describedObject": described, "target": by.target(value)});
            json!({"type": "Object", "object": object})
        }
        Target::External { name, by, value } => {
            let metric = json!({"name": name, "selector": {"matchLabels": {"app": HPA}}});
            json!({"type": "External", "external": {"metric": metric, "target": by.target(value)}})
        }
        Target::Series { name, by, value } => {
            json!({"type": "External", "external": {"metric": {"name": name}, "target": by.target(value)}})
        }
    }
}

/// An entry of `spec.triggers`.
fn trigger(target: &Target) -> Value {
    match *target {
        Target::Utilization { resource, percent } => {
            json!({"type": resource, "metricType": "Utilization", "metadata": {"value": percent.to_string()}})
        }
        Target::Container { container, resource, percent } => {
            let metadata = json!({"value": percent.to_string(), "containerName": container});
            json!({"type": resource, "metricType": "Utilization", "metadata": metadata})
        }
        Target::Average { resource, value } => {
            json!({"type": resource, "metricType": "AverageValue", "metadata": {"value": value}})
        }
        Target::Pods { name, value } => {
            let metadata = json!({"metricName": name, "targetValue": value});
            json!({"type": "pods-metric", "metricType": "AverageValue", "metadata": metadata})
        }
        Target::Object { api, kind, name, by, value } => {
            let metadata = json!({
                "metricName": name, "targetValue": value, "describedObjectApiVersion": api,
                "describedObjectKind": kind, "describedObjectName": TIDEGATE,
            });
            json!({"type": "object-metric", "metricType": by.word(), "metadata": metadata})
        }
        Target::External { name, by, value } => {
            let metadata =
                json!({"metricName": name, "metricSelector": format!("app={TIDEGATE}"), "targetValue": value});
            json!({"type": "external-metric", "metricType": by.word(), "metadata": metadata})
        }
        Target::Series { name, by, value } => {
            let metadata = json!({"metricName": name, "targetValue": value});
            json!({"type": "external-metric", "metricType": by.word(), "metadata": metadata})
        }
    }
}
