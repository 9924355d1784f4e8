//! What ends: the watch of Secrets with the last who uses one, and everything with a part that panics, so that the process is started
//! anew.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures::StreamExt as _;
use futures::stream;
use serde_json::{Value, json};
use tidegate_engine::ports::{Objects as _, Resolver as _};
use tidegate_engine::protocol::Change;
use tidegate_engine::subject::{AuthenticationRef, References, TargetRef};
use tokio::sync::Notify;

use super::super::{Following, follow};
use crate::kubernetes::settings::Settings;

#[tokio::test]
async fn a_watch_that_panics_is_not_survived() {
    async fn answer(uri: Uri) -> StatusCode {
        assert!(!uri.path().ends_with("triggerauthentications"), "a defect");
        StatusCode::SERVICE_UNAVAILABLE
    }
    let client = kube::Client::new(Router::new().fallback(answer), "default");
    let mut following = follow(&client, &Settings::default());
    let ended = tokio::time::timeout(Duration::from_secs(20), following.tasks.join_next()).await;
    assert!(matches!(ended, Ok(Some(Ok(())))), "{ended:?}");
}

/// A shop with one object that takes a password from a Secret, until it goes.
#[derive(Clone, Default)]
struct Shop {
    /// How many watches of Secrets are open.
    open: Arc<AtomicUsize>,
    goes: Arc<Notify>,
}

/// An open watch.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn object(resource: &str) -> Option<Value> {
    let spec = match resource {
        "scaledobjects" => json!({
            "scaleTargetRef": { "name": "orders" },
            "triggers": [{
                "type": "redis",
                "metadata": { "address": "redis:6379", "listName": "orders" },
                "authenticationRef": { "name": "redis" },
            }],
        }),
        "triggerauthentications" => {
            json!({ "secretTargetRef": [{ "parameter": "password", "name": "redis", "key": "password" }] })
        }
        "deployments" => json!({ "replicas": 1 }),
        _ => return None,
    };
    let name = if resource == "triggerauthentications" { "redis" } else { "orders" };
    let metadata = json!({ "name": name, "namespace": "shop", "uid": "1", "generation": 1, "resourceVersion": "1" });
    Some(json!({ "metadata": metadata, "spec": spec }))
}

async fn answer(State(shop): State<Shop>, uri: Uri) -> Response {
    let resource = uri.path().rsplit('/').next().unwrap_or_default();
    if uri.path().ends_with("/secrets/redis") {
        let metadata = json!({ "name": "redis", "resourceVersion": "1" });
        return Json(json!({ "metadata": metadata, "data": { "password": "b2xk" } })).into_response();
    }
    if !uri.query().unwrap_or_default().contains("watch=") {
        let items: Vec<Value> = object(resource).into_iter().collect();
        return Json(json!({ "metadata": { "resourceVersion": "1" }, "items": items })).into_response();
    }
    let silence = stream::pending::<Result<String, Infallible>>();
    match resource {
        "secrets" => {
            shop.open.fetch_add(1, Ordering::SeqCst);
            let open = Open(shop.open.clone());
            // The stream has the mark, and drops it with itself.
            Response::new(Body::from_stream(silence.inspect(move |_| assert!(open.0.load(Ordering::SeqCst) > 0))))
        }
        "scaledobjects" => {
            let gone = json!({ "type": "DELETED", "object": object(resource) });
            let gone = stream::once(async move {
                shop.goes.notified().await;
                Ok(format!("{gone}\n"))
            });
            Response::new(Body::from_stream(gone.chain(silence)))
        }
        _ => Response::new(Body::from_stream(silence)),
    }
}

async fn until(following: &mut Following, what: impl Fn(&Change) -> bool) {
    let look = async { while !what(&following.objects.next().await.expect("a change")) {} };
    tokio::time::timeout(Duration::from_secs(20), look).await.expect("a change within 20 s");
}

async fn until_open(shop: &Shop, count: usize) {
    let look = async {
        while shop.open.load(Ordering::SeqCst) != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look).await.expect("so many watches of Secrets");
}

#[tokio::test]
async fn secrets_are_watched_as_long_as_somebody_uses_one() {
    let shop = Shop::default();
    let client = kube::Client::new(Router::new().fallback(answer).with_state(shop.clone()), "default");
    let mut following = follow(&client, &Settings::default());
    until(&mut following, |change| matches!(change, Change::Synced)).await;
    assert_eq!(shop.open.load(Ordering::SeqCst), 0);
    let references = References {
        target: TargetRef {
            namespace: "shop".into(),
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: "orders".into(),
        },
        container: None,
        authentication: Some(AuthenticationRef { cluster: false, name: "redis".into() }),
    };
    assert_eq!(following.resolver.resolve(&references).await.unwrap().auth["password"].expose(), "old");
    until_open(&shop, 1).await;
    shop.goes.notify_one();
    until(&mut following, |change| matches!(change, Change::Gone(_))).await;
    until_open(&shop, 0).await;
}
