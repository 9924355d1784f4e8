//! The scaled object: its replicas and version, who owns it, and the annotation that names savepoints.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate_calculator::operation::facts::TargetFacts;
use tidegate_calculator::operation::{Class, Failure};
use tidegate_engine::subject::TargetRef;

use super::flink::OPERATOR_TYPES;
use super::{ClusterOperations, SAVEPOINT_ANNOTATION, failures};
use crate::kubernetes::calls::{CALL, within};
use crate::kubernetes::flink_scale::{self, GROUP};
use crate::kubernetes::target::MANAGER;
use crate::kubernetes::watch::kinds::Served;
use crate::kubernetes::watch::views;

impl ClusterOperations {
    /// Its replicas and pods. The version comes from the read of the replicas, so that a write rests on what was seen.
    pub(super) async fn read_target(&self, target: &TargetRef) -> Result<TargetFacts, Failure> {
        let served = self.served(target).await?;
        let api = self.objects(target, &served);
        let shown = within(CALL, flink_scale::read(&api, target)).await;
        let shown = shown.map_err(|failure| failures::unread(&failure, &what("get", &served, "/scale", target)))?;
        let scale = shown.scale;
        let owned_by_operator = served.workload && self.is_owned_by_operator(&api, &served, target).await?;
        let selector = scale.status.as_ref().and_then(|status| status.selector.clone()).unwrap_or_default();
        Ok(TargetFacts {
            replicas: scale.spec.as_ref().and_then(|spec| spec.replicas).map_or(0, views::count),
            version: views::version(&scale.metadata).0.to_string(),
            owned_by_operator,
            // A FlinkDeployment shows no selector while it has no TaskManagers.
            pods: if selector.is_empty() && !served.workload {
                Vec::new()
            } else {
                self.pods(target, &selector).await?
            },
        })
    }

    /// Whether the Flink Kubernetes Operator made it: then it would undo what we write.
    async fn is_owned_by_operator(
        &self,
        api: &Api<DynamicObject>,
        served: &Served,
        target: &TargetRef,
    ) -> Result<bool, Failure> {
        let whole = within(CALL, api.get_metadata(&target.name)).await;
        let metadata = whole.map_err(|failure| failures::unread(&failure, &what("get", served, "", target)))?.metadata;
        let group = format!("{GROUP}/");
        let owned = metadata.owner_references.iter().flatten().any(|owner| owner.api_version.starts_with(&group));
        let kind = metadata.labels.as_ref().and_then(|labels| labels.get("type"));
        Ok(owned || kind.is_some_and(|kind| OPERATOR_TYPES.contains(&kind.as_str())))
    }

    /// Writes the replicas if the target still has this version.
    pub(super) async fn write_replicas(&self, target: &TargetRef, replicas: u32, version: &str) -> Result<(), Failure> {
        let served = self.served(target).await?;
        let wanted = i32::try_from(replicas).unwrap_or(i32::MAX);
        let api = self.objects(target, &served);
        let written = within(CALL, flink_scale::write(&api, target, wanted, version)).await;
        let written =
            written.map_err(|failure| failures::unwritten(&failure, &what("update", &served, "/scale", target)))?;
        // It may be resumed at any time.
        written.map(drop).map_err(|suspended| Failure::new(Class::Transient, &suspended.to_string()))
    }

    /// Writes or removes the annotation.
    pub(super) async fn write_annotation(&self, target: &TargetRef, value: &str) -> Result<(), Failure> {
        let value = if value.is_empty() { Value::Null } else { value.into() };
        self.merge(target, &json!({ "metadata": { "annotations": { SAVEPOINT_ANNOTATION: value } } })).await
    }

    /// Merges something into the target.
    pub(super) async fn merge(&self, target: &TargetRef, patch: &Value) -> Result<(), Failure> {
        let served = self.served(target).await?;
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.objects(target, &served);
        let written = within(CALL, api.patch(&target.name, &params, &Patch::Merge(patch))).await;
        written.map(drop).map_err(|failure| failures::unwritten(&failure, &what("patch", &served, "", target)))
    }

    pub(super) fn objects(&self, target: &TargetRef, served: &Served) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &target.namespace, &served.resource)
    }
}

/// `get of deployments.apps/scale shop/orders`.
pub(super) fn what(verb: &str, served: &Served, part: &str, target: &TargetRef) -> String {
    format!("{verb} of {}{part} {}/{}", served.name(), target.namespace, target.name)
}
