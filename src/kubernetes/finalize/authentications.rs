//! Removes the finalizer that a KEDA which is gone has left on authentications: without it they could never be deleted.

use std::collections::BTreeSet;

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tidegate_crds::{ClusterTriggerAuthentication, TriggerAuthentication};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{CALL, KEDA_FINALIZER, MANAGER, RETRY, Unsettled, call, unsettled};
use crate::kubernetes::calls::Failure;
use crate::kubernetes::watch::attention::Attention;
use crate::kubernetes::watch::directory::AuthenticationKey;

/// Releases the authentications that `attention` names.
pub(super) struct Authentications {
    client: Client,
    attention: Attention,
    keda: watch::Receiver<Option<bool>>,
}

impl Authentications {
    /// `keda` says whether a KEDA is alive: it removes its finalizer itself.
    pub(super) fn new(client: Client, attention: Attention, keda: watch::Receiver<Option<bool>>) -> Self {
        Self { client, attention, keda }
    }

    /// Releases them until the process ends.
    pub(super) async fn run(mut self) {
        // Those that wait for KEDA to go away, and those that failed.
        let mut parked: BTreeSet<AuthenticationKey> = BTreeSet::new();
        let mut failed: BTreeSet<AuthenticationKey> = BTreeSet::new();
        loop {
            tokio::select! {
                key = self.attention.next_authentication() => match self.release(&key).await {
                    Ok(true) => {}
                    Ok(false) => _ = parked.insert(key),
                    Err(error) => {
                        tracing::warn!("{}: {error}; it is tried again", shown(&key));
                        failed.insert(key);
                    }
                },
                () = sleep(RETRY), if !failed.is_empty() => {
                    for key in std::mem::take(&mut failed) {
                        self.attention.raise_authentication(key);
                    }
                }
                Ok(()) = self.keda.changed() => {
                    for key in std::mem::take(&mut parked) {
                        self.attention.raise_authentication(key);
                    }
                }
            }
        }
    }

    /// Whether nothing is left to do; false while a KEDA lives.
    pub(super) async fn release(&self, key: &AuthenticationKey) -> Result<bool, Unsettled> {
        if self.keda.borrow().unwrap_or(false) {
            return Ok(false);
        }
        let (namespace, name) = key;
        let (api, what): (Api<DynamicObject>, _) = if let Some(namespace) = namespace {
            let resource = ApiResource::erase::<TriggerAuthentication>(&());
            (Api::namespaced_with(self.client.clone(), namespace, &resource), "triggerauthentications.keda.sh")
        } else {
            let resource = ApiResource::erase::<ClusterTriggerAuthentication>(&());
            (Api::all_with(self.client.clone(), &resource), "clustertriggerauthentications.keda.sh")
        };
        let deleting = |object: &DynamicObject| object.metadata.deletion_timestamp.is_some();
        if remove(&api, what, name, KEDA_FINALIZER, deleting).await? {
            tracing::info!("{}: deleted; the finalizer {KEDA_FINALIZER} is removed", shown(key));
        }
        Ok(true)
    }
}

/// Removes a finalizer from an object that carries it, if `applies` is true of it as it is now; whether it was removed.
pub(super) async fn remove(
    api: &Api<DynamicObject>,
    what: &'static str,
    name: &str,
    finalizer: &str,
    applies: impl Fn(&DynamicObject) -> bool,
) -> Result<bool, Unsettled> {
    // Somebody may write between our read and our write; more than a few times in a row is not that.
    for _ in 0..3 {
        let Some(object) = call("get", what, api.get_opt(name)).await? else { return Ok(false) };
        let kept: Vec<&String> = object.finalizers().iter().filter(|other| *other != finalizer).collect();
        if kept.len() == object.finalizers().len() || !applies(&object) {
            return Ok(false);
        }
        let finalizers = (!kept.is_empty()).then_some(&kept);
        let body = json!({ "metadata": { "resourceVersion": object.resource_version(), "finalizers": finalizers } });
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match timeout(CALL, api.patch_metadata(name, &params, &Patch::Merge(&body))).await {
            Ok(Ok(_)) => return Ok(true),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
            // It is gone: nothing is left to do.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(false),
            Ok(Err(error)) => return Err(unsettled("patch", what, &Failure::from(error))),
            Err(_) => return Err(unsettled("patch", what, &format!("no answer within {CALL:?}"))),
        }
    }
    Err(unsettled("patch", what, &"it keeps changing"))
}

fn shown((namespace, name): &AuthenticationKey) -> String {
    match namespace {
        Some(namespace) => format!("TriggerAuthentication {namespace}/{name}"),
        None => format!("ClusterTriggerAuthentication {name}"),
    }
}

#[cfg(test)]
mod tests;
