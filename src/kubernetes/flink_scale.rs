//! The scale of a FlinkDeployment, which has no zero: a job that rests is suspended.
//!
//! The Flink Kubernetes Operator obeys no spec with fewer than one TaskManager, and the job would go on. So zero replicas are written as
//! `spec.job.state: suspended`, with which the operator keeps the job's state by its upgrade mode, and the number of TaskManagers stays what it
//! was. An annotation says that the job was suspended in order to scale, and which suspension that was. A job that somebody else has suspended
//! is left alone: it has the replicas of its spec, whatever scales it is held, and a write that comes all the same is refused here. It is for
//! that person to resume it. [`suspension`] tells the two apart.

mod suspension;
#[cfg(test)]
mod tests;

use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tidegate_engine::subject::TargetRef;

pub use self::suspension::JOB_SUSPENDED;
pub(super) use self::suspension::Suspended;
use self::suspension::{Job, annotation, job, mark};
use super::target::MANAGER;

/// The operator's API group.
pub(super) const GROUP: &str = "flink.apache.org";

/// The annotation of a FlinkDeployment whose job was suspended in order to scale to zero. Its value is the generation of the spec that the
/// suspension made; `true`, which earlier versions wrote, stands for the suspension that there is.
pub const SUSPENDED_ANNOTATION: &str = "tidegate.dev/suspended";

/// How often a restoration goes again after somebody else wrote in between.
const TRIES: u32 = 3;

/// What a read of a target shows.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Its replicas.
    pub(super) scale: Scale,
    /// That its job was suspended by somebody else.
    pub(super) suspended: Option<Suspended>,
}

/// How replicas of a FlinkDeployment are written.
#[derive(Clone, Debug, PartialEq)]
enum Way {
    /// As those of any other kind.
    Scale,
    /// By this in `spec`, together with the annotation.
    Change(Value, Option<String>),
    /// Not at all: somebody else has suspended the job.
    Refused,
}

/// Whether a target is a FlinkDeployment.
pub(super) fn is_deployment(target: &TargetRef) -> bool {
    let group = target.api_version.split_once('/').map(|(group, _)| group);
    &*target.kind == "FlinkDeployment" && group == Some(GROUP)
}

/// Reads the scale of a target, a FlinkDeployment or not.
pub(super) async fn read(api: &Api<DynamicObject>, target: &TargetRef) -> Result<Shown, kube::Error> {
    if is_deployment(target) {
        let whole = api.get(&target.name).await?;
        let named = whole.data.pointer("/spec/taskManager/replicas").and_then(Value::as_i64);
        let named = named.and_then(|count| i32::try_from(count).ok());
        let job = job(&whole);
        if let Some(replicas) = if job == Job::Ours { Some(0) } else { named } {
            let suspended = (job == Job::Theirs).then(|| Suspended::of(target));
            return Ok(Shown { scale: scale(&whole, replicas), suspended });
        }
    }
    // One that names no number has no scale, and the API server says so.
    let scale = api.get_scale(&target.name).await?;
    Ok(Shown { scale, suspended: None })
}

/// Writes the replicas of a target if it still has this version. Nothing is written to one whose job somebody else has suspended.
pub(super) async fn write(
    api: &Api<DynamicObject>,
    target: &TargetRef,
    replicas: i32,
    version: &str,
) -> Result<Result<Scale, Suspended>, kube::Error> {
    let way = if is_deployment(target) { way(&api.get(&target.name).await?, replicas) } else { Way::Scale };
    perform(api, target, (way, replicas), version).await
}

/// Gives a target the replicas that it had before it was scaled, whatever its version: a job that was suspended in order to scale is resumed.
/// Nothing is written to one whose job somebody else has suspended.
pub(super) async fn restore(
    api: &Api<DynamicObject>,
    target: &TargetRef,
    replicas: i32,
) -> Result<Result<Scale, Suspended>, kube::Error> {
    if !is_deployment(target) {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let body = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        return api.patch_scale(&target.name, &params, &body).await.map(Ok);
    }
    let mut tries = 0;
    loop {
        let whole = api.get(&target.name).await?;
        let version = whole.metadata.resource_version.as_deref().unwrap_or_default();
        match perform(api, target, (way(&whole, replicas), replicas), version).await {
            Err(kube::Error::Api(status)) if status.code == 409 && tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

/// How so many replicas of this FlinkDeployment are written. An annotation that is left over goes with it.
fn way(whole: &DynamicObject, replicas: i32) -> Way {
    let managers = || json!({ "taskManager": { "replicas": replicas } });
    match (job(whole), replicas) {
        (Job::Theirs, _) => Way::Refused,
        // It rests already: only the version counts.
        (Job::Ours, 0) => Way::Change(json!({}), annotation(whole).map(str::to_owned)),
        (Job::Ours, _) => {
            Way::Change(json!({ "job": { "state": "running" }, "taskManager": { "replicas": replicas } }), None)
        }
        (Job::Running, 0) => Way::Change(json!({ "job": { "state": "suspended" } }), Some(mark(whole))),
        (Job::Running | Job::None, _) if annotation(whole).is_some() => Way::Change(managers(), None),
        // A session cluster has no job that could be suspended.
        (Job::Running | Job::None, _) => Way::Scale,
    }
}

async fn perform(
    api: &Api<DynamicObject>,
    target: &TargetRef,
    (way, replicas): (Way, i32),
    version: &str,
) -> Result<Result<Scale, Suspended>, kube::Error> {
    match way {
        Way::Refused => Ok(Err(Suspended::of(target))),
        Way::Change(spec, suspended) => {
            let metadata = json!({ "resourceVersion": version, "annotations": { SUSPENDED_ANNOTATION: suspended } });
            let patch = Patch::Merge(json!({ "metadata": metadata, "spec": spec }));
            let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            api.patch(&target.name, &params, &patch).await.map(|whole| Ok(scale(&whole, replicas)))
        }
        Way::Scale => {
            let metadata = ObjectMeta {
                name: Some(target.name.to_string()),
                namespace: Some(target.namespace.to_string()),
                resource_version: Some(version.to_owned()),
                ..ObjectMeta::default()
            };
            let wanted = Scale { metadata, spec: Some(ScaleSpec { replicas: Some(replicas) }), status: None };
            let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
            api.replace_scale(&target.name, &params, &wanted).await.map(Ok)
        }
    }
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
