//! Each kind of demand on a real cluster, from the server that states it to the replicas.

mod clients;
mod gateway;
mod operations;
mod queue;
mod turns;

use libtest_mimic::Trial;
use serde_json::{Value, json};

pub(crate) use self::queue::work_if_told;

pub(super) fn trials() -> Vec<Trial> {
    let all = [queue::trials(), turns::trials(), gateway::trials(), operations::trials(), clients::trials()];
    all.into_iter().flatten().collect()
}

/// A ScaledObject `app` without a stabilization window, so that a scenario need not wait five minutes to see replicas go.
fn scaled_object(spec: &Value, triggers: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "app"},
        "spec": {
            "scaleTargetRef": {"name": "app"}, "pollingInterval": 1, "cooldownPeriod": 3, "maxReplicaCount": 10, "triggers": triggers,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}},
        },
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    object
}
