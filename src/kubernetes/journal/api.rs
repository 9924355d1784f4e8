//! The journal's calls to the API server, each with a time-out, and what their failures mean.

use std::future::Future;
use std::time::Duration;

use kube::Client;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tidegate_crds::{ScaleRecord, ScaleRecordStatus, ScaledObject};
use tidegate_engine::subject::ObjectId;

use crate::kubernetes::finalize::FINALIZER;
use crate::kubernetes::known::StatusView;
use crate::kubernetes::record::{self, FIELD_MANAGER};

/// A client for ScaledObjects and ScaleRecords. Answers are taken as loose objects: one that was written past the schema
/// must not make a write fail that has succeeded.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    objects: ApiResource,
    records: ApiResource,
    /// How long one call may take.
    deadline: Duration,
}

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Failure {
    /// The object does not exist.
    Absent(String),
    /// Its namespace does not exist.
    NoNamespace,
    /// It was refused: nothing was written.
    Refused(String),
    /// It may have been written or not.
    Unknown(String),
}

/// The new version of an object that was written, and the uids of its owners.
pub(super) type Written = (String, Vec<String>);

impl Failure {
    /// Of a record that was made a moment ago: its object may be going, or something takes it away again and again.
    pub(super) fn in_doubt(self) -> Self {
        match self {
            Self::Absent(why) => Self::Unknown(why),
            failure => failure,
        }
    }
}

impl Api {
    pub(super) fn new(client: Client, deadline: Duration) -> Self {
        let objects = ApiResource::erase::<ScaledObject>(&());
        Self { client, objects, records: ApiResource::erase::<ScaleRecord>(&()), deadline }
    }

    /// Makes the record of an object, or gives an existing one its owner.
    pub(super) async fn apply_record(&self, id: &ObjectId, owner_uid: &str) -> Result<(), Failure> {
        let body = Patch::Apply(record::record(id, owner_uid));
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.of(&self.records, id);
        match self.call("patch scalerecords.tidegate.dev", id, api.patch(&id.name, &params, &body)).await {
            Ok(_) => Ok(()),
            // Applying makes what does not exist, so it is the kind that is missing.
            Err(Failure::Absent(why)) => {
                Err(Failure::Refused(format!("{why}; is the definition of ScaleRecords installed?")))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Applies a record's status.
    pub(super) async fn apply_record_status(
        &self,
        id: &ObjectId,
        status: &ScaleRecordStatus,
    ) -> Result<Written, Failure> {
        let body = Patch::Apply(record::status(id, status));
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.of(&self.records, id);
        self.call("patch scalerecords.tidegate.dev/status", id, api.patch_status(&id.name, &params, &body))
            .await
            .map(written)
    }

    /// Merges into a ScaledObject's status.
    pub(super) async fn patch_status(&self, id: &ObjectId, patch: &Value) -> Result<Written, Failure> {
        let body = Patch::Merge(patch);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.of(&self.objects, id);
        self.call("patch scaledobjects.keda.sh/status", id, api.patch_status(&id.name, &params, &body))
            .await
            .map(written)
    }

    /// The status of an object's record as it is now; none if there is no record, or only one that an older object has left.
    pub(super) async fn record(&self, id: &ObjectId, owner_uid: &str) -> Result<Option<ScaleRecordStatus>, Failure> {
        let api = self.of(&self.records, id);
        match self.call("get scalerecords.tidegate.dev", id, api.get(&id.name)).await {
            Ok(found) => {
                let mut owners = found.metadata.owner_references.iter().flatten().peekable();
                let own = owners.peek().is_none() || owners.any(|owner| owner.uid == owner_uid);
                Ok(own.then(|| status_of(found)))
            }
            Err(Failure::Absent(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// A ScaledObject's status as it is now.
    pub(super) async fn status(&self, id: &ObjectId) -> Result<StatusView, Failure> {
        Ok(status_of(self.call("get scaledobjects.keda.sh", id, self.of(&self.objects, id).get(&id.name)).await?))
    }

    /// Gives an object our finalizer. One that is being deleted cannot get it any more, and then this fails.
    pub(super) async fn add_finalizer(&self, id: &ObjectId, uid: &str) -> Result<(), Failure> {
        let api = self.of(&self.objects, id);
        let object = self.call("get scaledobjects.keda.sh", id, api.get_metadata(&id.name)).await?;
        if object.metadata.uid.as_deref() != Some(uid) {
            return Err(Failure::Absent(format!("{id} is another object now")));
        }
        let mut finalizers = object.metadata.finalizers.unwrap_or_default();
        if finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        finalizers.push(FINALIZER.to_owned());
        let version = object.metadata.resource_version;
        let body = Patch::Merge(json!({ "metadata": { "resourceVersion": version, "finalizers": finalizers } }));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = api.patch_metadata(&id.name, &params, &body);
        self.call("patch scaledobjects.keda.sh", id, patched).await.map(|_| ())
    }

    /// Waits for a call, but not for ever. `what` is its verb and its resource, as a role names them.
    async fn call<T>(
        &self,
        what: &str,
        id: &ObjectId,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.deadline, call).await {
            Ok(result) => result.map_err(|error| failure(what, id, error)),
            Err(_) => Err(Failure::Unknown(format!("{what} for {id}: no answer came within {:?}", self.deadline))),
        }
    }

    fn of(&self, resource: &ApiResource, id: &ObjectId) -> kube::Api<DynamicObject> {
        kube::Api::namespaced_with(self.client.clone(), &id.namespace, resource)
    }
}

fn written(object: DynamicObject) -> Written {
    let owners = object.metadata.owner_references.into_iter().flatten().map(|owner| owner.uid);
    (object.metadata.resource_version.unwrap_or_default(), owners.collect())
}

/// The status of an object; one that cannot be read is as if empty, and is written anew.
fn status_of<T: DeserializeOwned + Default>(mut object: DynamicObject) -> T {
    let status = object.data.get_mut("status").map(Value::take).unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}

fn failure(what: &str, id: &ObjectId, error: kube::Error) -> Failure {
    let kube::Error::Api(status) = error else {
        return Failure::Unknown(format!("{what} for {id}: {error}"));
    };
    let text = format!("{what} for {id}: {} ({})", status.message, status.code);
    match status.code {
        404 if status.details.as_ref().is_some_and(|details| details.kind == "namespaces") => Failure::NoNamespace,
        404 => Failure::Absent(text),
        // Refused before anything was done.
        429 | 400..=407 | 409..=499 => Failure::Refused(text),
        _ => Failure::Unknown(text),
    }
}
