//! The scale of a FlinkDeployment, which has no zero: a job that rests is suspended.
//!
//! The Flink Kubernetes Operator obeys no spec with fewer than one TaskManager, and the job would go on. So zero replicas are written as
//! `spec.job.state: suspended`, with which the operator keeps the job's state by its upgrade mode, and the number of TaskManagers stays what it
//! was. An annotation says that the job was suspended in order to scale. One that a person has suspended has the replicas of its spec, and it
//! is for that person to resume it. Not told apart yet: zero that is written over a person's suspension, and an annotation that outlived a job which
//! somebody else has resumed.

use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tidegate_engine::subject::TargetRef;

use super::target::MANAGER;

/// The operator's API group.
pub(super) const GROUP: &str = "flink.apache.org";

/// The annotation of a FlinkDeployment whose job was suspended in order to scale to zero.
pub const SUSPENDED_ANNOTATION: &str = "tidegate.dev/suspended";

/// Whether a target is a FlinkDeployment.
pub(super) fn is_deployment(target: &TargetRef) -> bool {
    let group = target.api_version.split_once('/').map(|(group, _)| group);
    &*target.kind == "FlinkDeployment" && group == Some(GROUP)
}

/// Reads the scale of a target, a FlinkDeployment or not.
pub(super) async fn read(api: &Api<DynamicObject>, target: &TargetRef) -> Result<Scale, kube::Error> {
    if is_deployment(target) {
        let whole = api.get(&target.name).await?;
        let named = whole.data.pointer("/spec/taskManager/replicas").and_then(Value::as_i64);
        let named = named.and_then(|count| i32::try_from(count).ok());
        if let Some(replicas) = if rests(&whole) { Some(0) } else { named } {
            return Ok(scale(&whole, replicas));
        }
    }
    // One that names no number has no scale, and the API server says so.
    api.get_scale(&target.name).await
}

/// Writes the replicas of a target if it still has this version.
pub(super) async fn write(
    api: &Api<DynamicObject>,
    target: &TargetRef,
    replicas: i32,
    version: &str,
) -> Result<Scale, kube::Error> {
    if is_deployment(target) {
        let whole = api.get(&target.name).await?;
        // A session cluster has no job that could be suspended.
        if replicas == 0 && whole.data.pointer("/spec/job").is_some_and(Value::is_object) {
            let state = json!({ "job": { "state": "suspended" } });
            return change(api, target, (version, Value::from("true"), &state), 0).await;
        }
        if rests(&whole) {
            let state = json!({ "job": { "state": "running" }, "taskManager": { "replicas": replicas } });
            return change(api, target, (version, Value::Null, &state), replicas).await;
        }
    }
    let metadata = ObjectMeta {
        name: Some(target.name.to_string()),
        namespace: Some(target.namespace.to_string()),
        resource_version: Some(version.to_owned()),
        ..ObjectMeta::default()
    };
    let wanted = Scale { metadata, spec: Some(ScaleSpec { replicas: Some(replicas) }), status: None };
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    api.replace_scale(&target.name, &params, &wanted).await
}

/// Changes the state of the job, and the annotation with it.
async fn change(
    api: &Api<DynamicObject>,
    target: &TargetRef,
    (version, suspended, spec): (&str, Value, &Value),
    replicas: i32,
) -> Result<Scale, kube::Error> {
    let metadata = json!({ "resourceVersion": version, "annotations": { SUSPENDED_ANNOTATION: suspended } });
    let patch = Patch::Merge(json!({ "metadata": metadata, "spec": spec }));
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(&target.name, &params, &patch).await.map(|whole| scale(&whole, replicas))
}

/// Whether the job of a FlinkDeployment was suspended in order to scale.
fn rests(whole: &DynamicObject) -> bool {
    let ours = whole.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(SUSPENDED_ANNOTATION));
    ours && whole.data.pointer("/spec/job/state").and_then(Value::as_str) == Some("suspended")
}

/// The scale of a FlinkDeployment with these replicas.
fn scale(whole: &DynamicObject, replicas: i32) -> Scale {
    let managers = whole.data.pointer("/status/taskManager").unwrap_or(&Value::Null);
    let present = managers["replicas"].as_i64().and_then(|count| i32::try_from(count).ok()).unwrap_or(0);
    let selector = managers["labelSelector"].as_str().map(str::to_owned);
    let metadata = ObjectMeta {
        name: whole.metadata.name.clone(),
        namespace: whole.metadata.namespace.clone(),
        resource_version: whole.metadata.resource_version.clone(),
        ..ObjectMeta::default()
    };
    Scale {
        metadata,
        spec: Some(ScaleSpec { replicas: Some(replicas) }),
        status: Some(ScaleStatus { replicas: present, selector }),
    }
}
