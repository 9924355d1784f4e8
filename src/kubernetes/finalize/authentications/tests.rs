//! Authentications against an API server in this process that knows one object.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::Value;

use super::*;

const SHARED: &str = "/apis/keda.sh/v1alpha1/clustertriggerauthentications/redis";
const OWN: &str = "/apis/keda.sh/v1alpha1/namespaces/shop/triggerauthentications/redis";

#[derive(Default)]
struct Fake {
    object: Value,
    calls: Mutex<Vec<String>>,
    conflicts: Mutex<u32>,
}

async fn answer(State(fake): State<Arc<Fake>>, method: Method, uri: Uri, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    fake.calls.lock().unwrap().push(format!("{method} {} {}", uri.path(), body["metadata"]["finalizers"]));
    let refusal = |code: StatusCode| {
        let reason = if code == StatusCode::NOT_FOUND { "NotFound" } else { "Conflict" };
        let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason,
            "code": code.as_u16() });
        (code, Json(status)).into_response()
    };
    if fake.object.is_null() {
        return refusal(StatusCode::NOT_FOUND);
    }
    let mut conflicts = fake.conflicts.lock().unwrap();
    if method == Method::PATCH && *conflicts > 0 {
        *conflicts -= 1;
        return refusal(StatusCode::CONFLICT);
    }
    Json(fake.object.clone()).into_response()
}

fn object(deleting: bool, finalizers: &[&str]) -> Value {
    let mut object = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "spec": "odd",
        "metadata": { "name": "redis", "resourceVersion": "7", "finalizers": finalizers },
    });
    if deleting {
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    object
}

/// Releases the object once and gives back the calls.
async fn release(namespace: Option<&str>, fake: Fake, keda: bool) -> (Result<bool, String>, Vec<String>) {
    let fake = Arc::new(fake);
    let client = Client::new(Router::new().fallback(answer).with_state(fake.clone()), "default");
    let (_sender, keda) = watch::channel(Some(keda));
    let key = (namespace.map(Arc::from), Arc::from("redis"));
    let result = Authentications::new(client, Attention::default(), keda).release(&key).await;
    let calls = fake.calls.lock().unwrap().clone();
    (result.map_err(|error| error.to_string()), calls)
}

#[tokio::test]
async fn what_keda_left_behind_is_removed_on_deletion() {
    for (namespace, path) in [(Some("shop"), OWN), (None, SHARED)] {
        let deleted = Fake { object: object(true, &["a/b", KEDA_FINALIZER]), ..Fake::default() };
        let (result, calls) = release(namespace, deleted, false).await;
        assert_eq!((result, calls), (Ok(true), vec![format!("GET {path} null"), format!("PATCH {path} [\"a/b\"]")]));
        let last = Fake { object: object(true, &[KEDA_FINALIZER]), ..Fake::default() };
        let (_, calls) = release(namespace, last, false).await;
        assert_eq!(calls[1], format!("PATCH {path} null"));
    }
}

#[tokio::test]
async fn nothing_is_removed_that_somebody_needs() {
    let of = |object| Fake { object, ..Fake::default() };
    let (result, calls) = release(Some("shop"), of(object(true, &[KEDA_FINALIZER])), true).await;
    assert_eq!((result, calls), (Ok(false), vec![]), "a live KEDA removes it itself");
    for object in [object(false, &[KEDA_FINALIZER]), object(true, &["a/b"]), Value::Null] {
        let (result, calls) = release(Some("shop"), of(object), false).await;
        assert_eq!((result, calls), (Ok(true), vec![format!("GET {OWN} null")]));
    }
}

#[tokio::test]
async fn a_conflict_is_read_anew_and_many_are_an_error() {
    let of = |count| Fake { object: object(true, &[KEDA_FINALIZER]), conflicts: Mutex::new(count), ..Fake::default() };
    let (result, calls) = release(None, of(1), false).await;
    assert_eq!((result, calls.len()), (Ok(true), 4));
    let (result, calls) = release(None, of(9), false).await;
    assert_eq!(result, Err("cannot patch clustertriggerauthentications.keda.sh: it keeps changing".to_owned()));
    assert_eq!(calls.len(), 6);
}

#[tokio::test]
async fn an_object_that_is_looked_at_no_more_loses_our_finalizer() {
    use crate::kubernetes::finalize::{FINALIZER, Finalizer};
    use crate::kubernetes::holds::Holds;
    use crate::kubernetes::kept::Kept;
    use crate::kubernetes::known::Known;
    use crate::kubernetes::settings::Mode;
    use tidegate_engine::subject::ObjectId;

    // What its record says is read between the two: a job of it may be stopped.
    for (finalizers, expected) in [(&[FINALIZER, "a/b"][..], 3), (&["a/b"][..], 1)] {
        let fake = Arc::new(Fake { object: object(false, finalizers), ..Fake::default() });
        let client = Client::new(Router::new().fallback(answer).with_state(fake.clone()), "default");
        let (_sender, keda) = watch::channel(Some(false));
        let parts = (Known::default(), Holds::default(), Kept::default(), Attention::default());
        let finalizer = Finalizer::new(client, parts, Mode::Auto, keda);
        assert!(finalizer.settle(&ObjectId::new("shop", "redis")).await.unwrap());
        let calls = fake.calls.lock().unwrap().clone();
        assert_eq!(calls.len(), expected, "{calls:?}");
        if expected == 3 {
            let path = "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/redis";
            assert_eq!(calls[2], format!("PATCH {path} [\"a/b\"]"));
        }
    }
}
