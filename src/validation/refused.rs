//! Names what an object asks for and does not get: refused if it would change the replicas, else only told.

use serde_json::Value;

use super::findings::Findings;
use super::surroundings::Surroundings;

/// The end of every refusal.
const NOT_YET: &str = "is not supported yet";

/// Says it for a `ScaledObject`.
pub(super) fn check(spec: &Value, known: &dyn Surroundings, findings: &mut Findings) {
    let given = |pointer: &str| spec.pointer(pointer).filter(|value| !value.is_null());
    if given("/advanced/restoreToOriginalReplicaCount") == Some(&Value::Bool(true)) && !known.restores() {
        let allowed = "is honoured on a cluster only; here replicas stay as they are when the object is deleted";
        findings.refuse("advanced.restoreToOriginalReplicaCount", Some("true".to_owned()), allowed);
    }
    // An empty block means the same as none.
    let modifiers = given("/advanced/scalingModifiers").and_then(Value::as_object);
    if modifiers.is_some_and(|fields| fields.values().any(|value| !value.is_null())) {
        let allowed = format!("{NOT_YET}; without it, the trigger that asks for most replicas decides");
        findings.refuse("advanced.scalingModifiers", None, allowed);
    }
    if let Some(name) = given("/advanced/horizontalPodAutoscalerConfig/name").and_then(Value::as_str) {
        let allowed = "has no effect: no HorizontalPodAutoscaler is made";
        findings.tell("advanced.horizontalPodAutoscalerConfig.name", Some(name.to_owned()), allowed);
    }
}
