//! `spec.fallback`: what stands for a trigger that has failed for a while (keda-semantics §6.1 rule 5).

use serde_json::Value;
use tidegate_calculator::policy::{Fallback, FallbackBehavior};

use super::findings::Findings;
use super::triggers::all_are_resource_like;

/// The behavior that needs a formula.
const OF_FORMULA: &str = "scalingModifiers";

/// Reads the block. Single values were compared with the definition before. Only of use when no error was found.
pub(super) fn read(spec: &Value, findings: &mut Findings) -> Option<Fallback> {
    let block = spec.get("fallback")?.as_object()?;
    let behavior = block.get("behavior").and_then(Value::as_str).unwrap_or_default();
    if behavior == OF_FORMULA {
        let allowed =
            "is not supported yet; static, currentReplicas, currentReplicasIfHigher and currentReplicasIfLower are";
        findings.refuse("fallback.behavior", Some(OF_FORMULA.to_owned()), allowed);
    }
    if all_are_resource_like(spec) {
        let allowed =
            "stands for no trigger: all are of type cpu, memory or pods-metric; a trigger of another type is needed";
        findings.refuse("fallback", None, allowed);
    }
    let count = |name: &str| block.get(name).and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
    Some(Fallback {
        threshold: count("failureThreshold")?,
        replicas: count("replicas")?,
        behavior: FallbackBehavior::named(behavior)?,
    })
}
