//! What is kept of an object of the API server: trimmed forms that take whatever stands there.
//!
//! Nothing in here fails on an odd field, so that one object which was written past every validation costs itself and not
//! the watch.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tidegate_calculator::observation::TargetState;
use tidegate_engine::protocol::{Seen, Version};
use tidegate_engine::subject::ObjectId;

/// An object without what nobody here looks at: `managedFields` alone are often larger than all the rest.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::kubernetes) struct View<P, U> {
    #[serde(default, deserialize_with = "trimmed")]
    pub(in crate::kubernetes) metadata: ObjectMeta,
    #[serde(default = "none")]
    pub(in crate::kubernetes) spec: Option<P>,
    #[serde(default = "none")]
    pub(in crate::kubernetes) status: Option<U>,
}

/// An object of ours or KEDA's: judged by validation, not by its types.
pub(in crate::kubernetes) type Loose = View<Value, Value>;

/// A Deployment, a StatefulSet or a ReplicaSet.
pub(in crate::kubernetes) type Workload = View<WorkloadSpec, WorkloadStatus>;

/// What of a workload's spec matters here.
#[derive(Clone, Debug, Default, Deserialize)]
pub(in crate::kubernetes) struct WorkloadSpec {
    replicas: Option<i32>,
    #[serde(default)]
    template: Template,
}

/// What of a workload's status matters here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::kubernetes) struct WorkloadStatus {
    replicas: Option<i32>,
    ready_replicas: Option<i32>,
}

/// The environments of a pod template.
#[derive(Clone, Debug, Default, Deserialize)]
pub(in crate::kubernetes) struct Template {
    #[serde(default)]
    spec: TemplateSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct TemplateSpec {
    #[serde(default)]
    containers: Vec<Environment>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Environment {
    #[serde(default)]
    name: String,
    #[serde(default)]
    env: Value,
    #[serde(default)]
    env_from: Value,
}

/// The parts of `metadata` that are kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

fn none<T>() -> Option<T> {
    None
}

fn trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let kept = Metadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: kept.name,
        namespace: kept.namespace,
        uid: kept.uid,
        resource_version: kept.resource_version,
        generation: kept.generation,
        creation_timestamp: kept.creation_timestamp,
        deletion_timestamp: kept.deletion_timestamp,
        finalizers: kept.finalizers,
        annotations: kept.annotations,
        owner_references: kept.owner_references,
        ..ObjectMeta::default()
    })
}

impl<P, U> Resource for View<P, U> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }

    fn api_version(dt: &ApiResource) -> Cow<'_, str> {
        dt.api_version.as_str().into()
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Workload {
    /// The scale that this workload shows.
    pub(in crate::kubernetes) fn seen(&self) -> Seen {
        let wanted = self.spec.as_ref().and_then(|spec| spec.replicas);
        let status = self.status.as_ref();
        let state = TargetState {
            // An API server always fills this in; the API's default is 1.
            replicas: wanted.map_or(1, count),
            existing: status.and_then(|status| status.replicas).map_or(0, count),
            ready: Some(status.and_then(|status| status.ready_replicas).map_or(0, count)),
        };
        Seen { state, version: version(&self.metadata) }
    }

    /// Tells one set of environments from another.
    pub(in crate::kubernetes) fn environment(&self) -> u64 {
        self.spec.as_ref().map_or(0, |spec| spec.template.print())
    }
}

impl Template {
    /// Tells one set of environments from another.
    pub(in crate::kubernetes) fn print(&self) -> u64 {
        let print = |hash, environment: &Environment| {
            let Environment { name, env, env_from } = environment;
            fnv(hash, format!("{name}\0{env}\0{env_from}\0").as_bytes())
        };
        self.spec.containers.iter().fold(0xcbf2_9ce4_8422_2325, print)
    }
}

/// A count of the API; negative ones do not exist.
pub(in crate::kubernetes) fn count(count: i32) -> u32 {
    u32::try_from(count).unwrap_or(0)
}

/// The version that a guarded write must name.
pub(in crate::kubernetes) fn version(metadata: &ObjectMeta) -> Version {
    Version(metadata.resource_version.as_deref().unwrap_or_default().into())
}

/// The name of an object; none if it is unnamed, which no API server stores. Cluster-wide objects have an empty namespace.
pub(in crate::kubernetes) fn id(metadata: &ObjectMeta) -> Option<ObjectId> {
    let namespace: Arc<str> = metadata.namespace.as_deref().unwrap_or_default().into();
    Some(ObjectId { namespace, name: metadata.name.as_deref()?.into() })
}

/// When an object was created; the beginning of time if it does not say, which no API server stores.
pub(in crate::kubernetes) fn created(metadata: &ObjectMeta) -> Timestamp {
    metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

/// FNV-1a.
fn fnv(basis: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(basis, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(spec: &Value, status: &Value) -> Workload {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": "a", "namespace": "b", "resourceVersion": "7", "managedFields": [{ "odd": true }] },
            "spec": spec,
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_workload_shows_its_scale_and_leaves_out_the_rest() {
        let seen = workload(&json!({ "replicas": 3 }), &json!({ "replicas": 2, "readyReplicas": 1 })).seen();
        assert_eq!(seen.state, TargetState { replicas: 3, existing: 2, ready: Some(1) });
        assert_eq!(&*seen.version.0, "7");
        let new = workload(&json!({ "replicas": 0 }), &Value::Null);
        assert_eq!(new.seen().state, TargetState { replicas: 0, existing: 0, ready: Some(0) });
        assert!(new.metadata.managed_fields.is_none());
    }

    #[test]
    fn only_the_environment_changes_the_print() {
        let of = |replicas: i32, image: &str, value: &str| {
            let container = json!({ "name": "c", "image": image, "env": [{ "name": "A", "value": value }] });
            let spec = json!({ "replicas": replicas, "template": { "spec": { "containers": [container] } } });
            workload(&spec, &Value::Null).environment()
        };
        assert_eq!(of(1, "x", "1"), of(2, "y", "1"));
        assert_ne!(of(1, "x", "1"), of(1, "x", "2"));
    }
}
