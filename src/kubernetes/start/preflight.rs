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
        let labels = settings.label_selector.as_deref().filter(|_| resource.kind == "ScaledObject");
        if settings.namespaces.is_empty() {
            missing.extend(list(client, resource, None, labels).await);
        }
        for namespace in &settings.namespaces {
            missing.extend(list(client, resource, Some(namespace), labels).await);
        }
    }
    let cluster = ApiResource::erase::<ClusterTriggerAuthentication>(&());
    missing.extend(list(client, &cluster, None, None).await);
    missing.dedup();
    missing
}

/// Lists at most one object: what this answers is what the watches would get.
async fn list(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
    labels: Option<&str>,
) -> Option<Missing> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let name = format!("{}.{}", resource.plural, resource.group);
    let params = ListParams { label_selector: labels.map(str::to_owned), ..ListParams::default().limit(1) };
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
        kube::Error::Api(status) if status.code == 400 && labels.is_some() => {
            format!("WATCH_LABEL_SELECTOR {:?} is no selector: {}", labels.unwrap_or_default(), status.message)
        }
        kube::Error::Api(status) => format!("cannot list {name}: {}", status.message),
        other => format!("cannot list {name}: {}", super::chain(other)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{StatusCode, Uri};
    use axum::{Json, Router};
    use serde_json::{Value, json};

    /// Knows everything but ScaleRecords, and shows nobody Deployments of all namespaces.
    async fn answer(uri: Uri) -> (StatusCode, Json<Value>) {
        let no = |code: StatusCode, message: &str| {
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
                "reason": "", "code": code.as_u16() });
            (code, Json(status))
        };
        match uri.path() {
            path if path.contains("scalerecords") => no(StatusCode::NOT_FOUND, "page not found"),
            "/apis/apps/v1/deployments" => no(StatusCode::FORBIDDEN, "deployments.apps is forbidden"),
            _ if uri.query().is_some_and(|query| query.contains("labelSelector=%21%21")) => {
                no(StatusCode::BAD_REQUEST, "unable to parse requirement")
            }
            _ => (StatusCode::OK, Json(json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": [] }))),
        }
    }

    async fn missing(settings: Settings) -> Vec<String> {
        let client = Client::new(Router::new().fallback(answer), "own");
        look(&client, &settings).await.into_iter().map(|Missing(what)| what).collect()
    }

    #[tokio::test]
    async fn what_is_missing_is_named_with_what_installs_it() {
        let all = missing(Settings::default()).await;
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[0].starts_with("the API server does not know scalerecords.tidegate.dev; install"), "{all:?}");
        assert!(all[1].starts_with("may not list deployments.apps in all namespaces; apply the roles"), "{all:?}");
        let narrow = Settings { namespaces: vec!["shop".to_owned()], ..Settings::default() };
        assert_eq!(missing(narrow).await, all[..1], "in its own namespaces it may");
        let labels = Settings { label_selector: Some("!!".to_owned()), ..Settings::default() };
        let text = missing(labels).await.remove(0);
        assert_eq!(text, "WATCH_LABEL_SELECTOR \"!!\" is no selector: unable to parse requirement");
    }
}
