//! The definitions of the Flink Kubernetes Operator's objects, as far as anybody here looks at them, and what the operator's own checks refuse.

use serde_json::{Value, json};

/// Both definitions as one list.
pub(super) fn definitions() -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": [deployments(), snapshots()]})
}

/// What the operator says of a spec that it will not obey; none if it will.
pub(super) fn refused(spec: &Value) -> Option<&'static str> {
    if spec["taskManager"]["replicas"].as_i64().is_some_and(|replicas| replicas < 1) {
        return Some("fewer than one TaskManager");
    }
    spec["image"].as_str().is_none_or(str::is_empty).then_some("no image")
}

fn deployments() -> Value {
    let scale = json!({
        "specReplicasPath": ".spec.taskManager.replicas",
        "statusReplicasPath": ".status.taskManager.replicas",
        "labelSelectorPath": ".status.taskManager.labelSelector",
    });
    let properties = json!({"spec": deployment_spec(), "status": deployment_status()});
    definition("FlinkDeployment", "flinkdeployment", &json!({"status": {}, "scale": scale}), &properties)
}

fn deployment_spec() -> Value {
    let job = json!({
        "jarURI": text(), "entryClass": text(), "args": {"type": "array", "items": text()}, "parallelism": integer(),
        "state": words(&["running", "suspended"]), "upgradeMode": words(&["savepoint", "last-state", "stateless"]),
        "initialSavepointPath": text(), "allowNonRestoredState": {"type": "boolean"},
    });
    let side = json!({"replicas": integer(), "resource": anything(), "podTemplate": anything()});
    object(&json!({
        "mode": words(&["native", "standalone"]), "flinkVersion": text(), "image": text(), "serviceAccount": text(),
        "flinkConfiguration": anything(), "podTemplate": anything(), "restartNonce": integer(),
        "job": object(&job), "jobManager": object(&side), "taskManager": object(&side),
    }))
}

fn deployment_status() -> Value {
    let job = json!({
        "jobId": text(), "jobName": text(), "startTime": text(), "updateTime": text(), "upgradeSavepointPath": text(),
        "state": words(&[
            "INITIALIZING", "CREATED", "RUNNING", "FAILING", "FAILED", "CANCELLING", "CANCELED", "FINISHED", "RESTARTING",
            "SUSPENDED", "RECONCILING",
        ]),
        "savepointInfo": anything(), "checkpointInfo": anything(),
    });
    let reconciliation = json!({
        "state": words(&["DEPLOYED", "UPGRADING", "ROLLING_BACK", "ROLLED_BACK"]),
        "lastReconciledSpec": text(), "lastStableSpec": text(), "reconciliationTimestamp": integer(),
    });
    object(&json!({
        "error": text(), "observedGeneration": integer(), "clusterInfo": anything(),
        "lifecycleState": words(&[
            "CREATED", "SUSPENDED", "UPGRADING", "DEPLOYED", "STABLE", "ROLLING_BACK", "ROLLED_BACK", "FAILED",
        ]),
        "jobManagerDeploymentStatus": words(&["READY", "DEPLOYED_NOT_READY", "DEPLOYING", "MISSING", "ERROR"]),
        "jobStatus": object(&job), "reconciliationStatus": object(&reconciliation),
        "taskManager": object(&json!({"replicas": integer(), "labelSelector": text()})),
        "conditions": {"type": "array", "items": anything()},
    }))
}

fn snapshots() -> Value {
    let savepoint = json!({"path": text(), "formatType": text(), "alreadyExists": {"type": "boolean"}, "disposeOnDelete": {"type": "boolean"}});
    let spec = json!({
        "backoffLimit": integer(), "jobReference": object(&json!({"kind": text(), "name": text()})),
        "checkpoint": object(&json!({"checkpointType": words(&["FULL", "INCREMENTAL", "UNKNOWN"])})),
        "savepoint": object(&savepoint),
    });
    let status = json!({
        "state": words(&["TRIGGER_PENDING", "IN_PROGRESS", "COMPLETED", "FAILED", "ABANDONED"]),
        "path": text(), "error": text(), "failures": integer(), "triggerId": text(), "triggerTimestamp": text(),
        "resultTimestamp": text(),
    });
    let properties = json!({"spec": object(&spec), "status": object(&status)});
    definition("FlinkStateSnapshot", "flinkstatesnapshot", &json!({"status": {}}), &properties)
}

fn definition(kind: &str, singular: &str, subresources: &Value, properties: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{singular}s.flink.apache.org")},
        "spec": {
            "group": "flink.apache.org", "scope": "Namespaced",
            "names": {"kind": kind, "singular": singular, "plural": format!("{singular}s")},
            "versions": [{
                "name": "v1beta1", "served": true, "storage": true, "subresources": subresources,
                "schema": {"openAPIV3Schema": object(properties)},
            }],
        },
    })
}

fn object(properties: &Value) -> Value {
    json!({"type": "object", "properties": properties})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn integer() -> Value {
    json!({"type": "integer"})
}

fn words(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

fn anything() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
