//! Looks at the start whether the cluster has what the operator needs, and says what is missing and how to install it.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use tidegate_crds::{ClusterTriggerAuthentication, ScaleRecord, ScaledObject, TriggerAuthentication};
use tokio::time::{sleep, timeout};

use crate::kubernetes::settings::Settings;

/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);
/// The pauses between looks: from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// One thing that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Missing(String);

/// Looks again and again until nothing is missing.
pub(super) async fn check(client: &Client, settings: &Settings) {
    let mut said: Vec<Missing> = Vec::new();
    let mut pause = PAUSES.0;
    loop {
        let missing = look(client, settings).await;
        if missing.is_empty() {
            return;
        }
        if missing != said {
            for Missing(what) in &missing {
                tracing::error!("{what}");
            }
            tracing::warn!("nothing is scaled until this is mended; looking again every {} s", PAUSES.1.as_secs());
            said = missing;
            pause = PAUSES.0;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn look(client: &Client, settings: &Settings) -> Vec<Missing> {
    let namespaced = [
        ApiResource::erase::<ScaledObject>(&()),
        ApiResource::erase::<ScaleRecord>(&()),
        ApiResource::erase::<TriggerAuthentication>(&()),
        ApiResource::erase::<Deployment>(&()),
    ];
    let mut missing = Vec::new();
    for resource in &namespaced {
        if settings.namespaces.is_empty() {
            missing.extend(list(client, resource, None).await);
        }
        for namespace in &settings.namespaces {
            missing.extend(list(client, resource, Some(namespace)).await);
        }
    }
    let cluster = ApiResource::erase::<ClusterTriggerAuthentication>(&());
    missing.extend(list(client, &cluster, None).await);
    missing.dedup();
    missing
}

/// Lists at most one object: what this answers is what the watches would get.
async fn list(client: &Client, resource: &ApiResource, namespace: Option<&str>) -> Option<Missing> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let name = format!("{}.{}", resource.plural, resource.group);
    let params = ListParams::default().limit(1);
    let error = match timeout(CALL, api.list_metadata(&params)).await {
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => error,
        Err(_) => return Some(Missing(format!("cannot list {name}: no answer within {CALL:?}"))),
    };
    Some(Missing(match &error {
        kube::Error::Api(status) if status.code == 404 => format!(
            "the API server does not know {name}; install the definitions: tidegate crds | kubectl apply --server-side -f -"
        ),
        kube::Error::Api(status) if status.code == 403 => {
            let place = namespace.map_or_else(|| "all namespaces".to_owned(), |name| format!("namespace {name}"));
            format!(
                "may not list {name} in {place}; apply the roles (tidegate rbac | kubectl apply -f -, or with --namespaced), or name \
                 the namespaces in WATCH_NAMESPACE: {}",
                status.message
            )
        }
        kube::Error::Api(status) => format!("cannot list {name}: {}", status.message),
        other => format!("cannot list {name}: {}", super::chain(other)),
    }))
}
