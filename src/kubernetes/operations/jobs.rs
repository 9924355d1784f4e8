//! Jobs of hooks: made from the user's template, owned by the ScaledObject.

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Map, Value, json};
use tidegate_calculator::operation::{Class, Failure};
use tidegate_engine::subject::ObjectId;

use super::{ClusterOperations, failures};
use crate::hooks::JobEnd;
use crate::kubernetes::calls::{CALL, within};
use crate::kubernetes::target::MANAGER;

impl ClusterOperations {
    fn jobs(&self, namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("batch", "v1", "Job");
        let resource = ApiResource::from_gvk_with_plural(&kind, "jobs");
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// Creates a Job of the object. One of this name that is there already is the same Job: its name is the operation's.
    pub(super) async fn make_job(&self, id: &ObjectId, name: &str, template: &str) -> Result<(), Failure> {
        let uid = self.known.get(id).map(|facts| facts.uid.clone()).filter(|uid| !uid.is_empty());
        let Some(uid) = uid else {
            return Err(Failure::new(Class::Unavailable, &format!("the ScaledObject {id} is not seen")));
        };
        let job = manifest(id, &uid, name, template)?;
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match within(CALL, self.jobs(&id.namespace).create(&params, &job)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == Some(409) => Ok(()),
            Err(failure) => {
                Err(failures::unwritten(&failure, &format!("create of jobs.batch {}/{name}", id.namespace)))
            }
        }
    }

    /// How a Job stands.
    pub(super) async fn read_job(&self, id: &ObjectId, name: &str) -> Result<JobEnd, Failure> {
        match within(CALL, self.jobs(&id.namespace).get(name)).await {
            Ok(job) => Ok(end(&job.data)),
            Err(failure) if failure.is_not_found() => Ok(JobEnd::Absent),
            Err(failure) => Err(failures::unread(&failure, &format!("get of jobs.batch {}/{name}", id.namespace))),
        }
    }
}

/// The Job of a template: its labels, annotations and spec, with our name and owner.
fn manifest(id: &ObjectId, uid: &str, name: &str, template: &str) -> Result<DynamicObject, Failure> {
    let config = |what: &str| Failure::new(Class::Config, &format!("job.template: {what}"));
    let template: Map<String, Value> =
        serde_json::from_str(template).map_err(|_| config("is not a JobTemplateSpec"))?;
    let Some(spec) = template.get("spec").filter(|spec| spec.is_object()) else {
        return Err(config("has no spec"));
    };
    let given = |field: &str| template.get("metadata").and_then(|metadata| metadata.get(field)).cloned();
    let owner = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": &*id.name, "uid": uid,
        "controller": false, "blockOwnerDeletion": false,
    });
    let mut metadata = json!({ "name": name, "namespace": &*id.namespace, "ownerReferences": [owner] });
    for field in ["labels", "annotations"] {
        if let Some(value) = given(field) {
            metadata[field] = value;
        }
    }
    let whole = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec });
    serde_json::from_value(whole).map_err(|_| config("has labels or annotations that are no texts"))
}

/// What a Job's conditions say.
fn end(job: &Value) -> JobEnd {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    let holds = |name: &str| {
        let mut all = conditions.into_iter().flatten();
        all.find(|condition| condition["type"] == name && condition["status"] == "True")
    };
    if holds("Complete").is_some() {
        return JobEnd::Complete;
    }
    match holds("Failed") {
        Some(condition) => {
            let word = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            JobEnd::Failed(format!("the Job failed: {} ({})", word("message"), word("reason")))
        }
        None => JobEnd::InProgress,
    }
}
