//! What an object scales.

use serde_json::Value;
use tidegate_engine::subject::{ObjectId, TargetRef};

use super::findings::{Findings, guess};
use super::surroundings::{Sight, Surroundings};

/// The group and version of a target that does not say its own.
const APPS: &str = "apps/v1";
/// The kinds there that have a scale.
const SCALABLE: [&str; 3] = ["Deployment", "StatefulSet", "ReplicaSet"];

/// The target with its defaults (keda-semantics §1.1: empty counts as absent); none without a name.
pub(super) fn read(spec: &Value, id: &ObjectId) -> Option<TargetRef> {
    let text = |name: &str| {
        spec.pointer(&format!("/scaleTargetRef/{name}")).and_then(Value::as_str).filter(|text| !text.is_empty())
    };
    Some(TargetRef {
        namespace: id.namespace.clone(),
        api_version: text("apiVersion").unwrap_or(APPS).into(),
        kind: text("kind").unwrap_or("Deployment").into(),
        name: text("name")?.into(),
    })
}

/// `scaleTargetRef.envSourceContainerName`.
pub(super) fn container(spec: &Value) -> Option<&str> {
    spec.pointer("/scaleTargetRef/envSourceContainerName").and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Warns of a target, or of its container, that is not where it could be seen.
pub(super) fn look(target: &TargetRef, container: Option<&str>, known: &dyn Surroundings, findings: &mut Findings) {
    if &*target.api_version == APPS && !SCALABLE.contains(&&*target.kind) {
        let guess = guess(&target.kind, SCALABLE);
        let allowed = format!(
            "is not a kind of {APPS} that can be scaled; there are {}; another kind needs its apiVersion{guess}",
            SCALABLE.join(", ")
        );
        findings.refuse("scaleTargetRef.kind", Some(target.kind.to_string()), allowed);
        return;
    }
    if known.target(target) == Sight::Absent {
        let allowed = format!("{} {}/{} is not {}", target.kind, target.namespace, target.name, known.place());
        findings.warn("scaleTargetRef.name", Some(target.name.to_string()), format!("names nothing: {allowed}"));
    } else if let Some(name) = container
        && known.environment(target, container) == Sight::Absent
    {
        let allowed = format!("is not a container of {target}");
        findings.warn("scaleTargetRef.envSourceContainerName", Some(name.to_owned()), allowed);
    }
}
