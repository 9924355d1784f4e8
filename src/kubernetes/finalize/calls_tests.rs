//! The finalizer against an API server in this process that knows one ScaledObject and one scale, and notes every call.

use std::sync::Mutex;
use tidegate_engine::subject::TargetRef;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};

use super::*;
use crate::kubernetes::holds::{TargetKey, Whom};
use tidegate_engine::subject::Hold;

#[derive(Default)]
pub(super) struct Fake {
    pub(super) object: Mutex<Option<Value>>,
    /// The object's ScaleRecord.
    pub(super) record: Mutex<Option<Value>>,
    pub(super) calls: Mutex<Vec<String>>,
    /// Conflicts that are answered before a write is taken.
    pub(super) conflicts: Mutex<u32>,
    pub(super) scale_is_gone: bool,
}

fn status(code: StatusCode) -> Response {
    let reason = if code == StatusCode::NOT_FOUND { "NotFound" } else { "Conflict" };
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason,
        "code": code.as_u16() });
    (code, Json(body)).into_response()
}

pub(super) async fn answer(
    State(fake): State<std::sync::Arc<Fake>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let what = uri.path().rsplit('/').take(2).collect::<Vec<_>>();
    let scale = what[0] == "scale";
    let wrote = if scale { body["spec"]["replicas"].to_string() } else { body["metadata"]["finalizers"].to_string() };
    let noted =
        if method == Method::PATCH { format!("{method} {} {wrote}", what[0]) } else { format!("{method} {}", what[0]) };
    if what[1] == "scalerecords" {
        fake.calls.lock().unwrap().push(format!("{method} record"));
        let record = fake.record.lock().unwrap().clone();
        return record.map_or_else(|| status(StatusCode::NOT_FOUND), |record| Json(record).into_response());
    }
    fake.calls.lock().unwrap().push(noted);
    if scale {
        let scale =
            json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {}, "spec": { "replicas": 1 } });
        return if fake.scale_is_gone { status(StatusCode::NOT_FOUND) } else { Json(scale).into_response() };
    }
    let mut object = fake.object.lock().unwrap();
    let Some(object) = object.as_mut() else { return status(StatusCode::NOT_FOUND) };
    if method == Method::PATCH {
        let mut conflicts = fake.conflicts.lock().unwrap();
        if *conflicts > 0 {
            *conflicts -= 1;
            return status(StatusCode::CONFLICT);
        }
        object["metadata"]["finalizers"] = body["metadata"]["finalizers"].clone();
    }
    Json(object.clone()).into_response()
}

pub(super) fn object(deleting: bool, finalizers: &[&str], restore: bool) -> Value {
    let mut object = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": { "name": "orders", "namespace": "shop", "resourceVersion": "7", "finalizers": finalizers },
        // More than one field is not as it should be: it must go all the same.
        "spec": { "triggers": "none", "advanced": { "restoreToOriginalReplicaCount": restore } },
        "status": { "originalReplicaCount": 3 },
    });
    if deleting {
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    object
}

pub(super) fn target() -> TargetRef {
    TargetRef {
        namespace: "shop".into(),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "orders".into(),
    }
}

/// Settles the object once and gives back the calls.
async fn settle(fake: Fake, keda: bool, hold: bool) -> (Result<bool, String>, Vec<String>) {
    let hold = hold.then(|| (Whom::Target(TargetKey::of(&target())), "ForeignAutoscaler"));
    settle_held(fake, keda, hold).await
}

async fn settle_held(
    fake: Fake,
    keda: bool,
    hold: Option<(Whom, &'static str)>,
) -> (Result<bool, String>, Vec<String>) {
    let fake = std::sync::Arc::new(fake);
    let client = Client::new(Router::new().fallback(answer).with_state(fake.clone()), "shop");
    let (id, known, holds) = (ObjectId::new("shop", "orders"), Known::default(), Holds::default());
    let seen = fake.object.lock().unwrap().clone().unwrap();
    let mut facts = ObjectFacts::of(target());
    facts.deleting = seen["metadata"].get("deletionTimestamp").is_some();
    facts.finalizers = serde_json::from_value(seen["metadata"]["finalizers"].clone()).unwrap();
    facts.restore = seen["spec"]["advanced"]["restoreToOriginalReplicaCount"] == true;
    facts.target_resource = "deployments".to_owned();
    known.insert(id.clone(), facts);
    if let Some((whom, reason)) = hold {
        holds.set(whom, Hold { reason, message: "because".to_owned() });
    }
    let (_sender, keda) = watch::channel(Some(keda));
    let finalizer = Finalizer::new(client, (known, holds, Kept::default(), Attention::default()), Mode::Auto, keda);
    let result = finalizer.settle(&id).await.map_err(|error| error.to_string());
    let calls = fake.calls.lock().unwrap().clone();
    (result, calls)
}

pub(super) fn fake(object: Value) -> Fake {
    Fake { object: Mutex::new(Some(object)), ..Fake::default() }
}

#[tokio::test]
async fn an_object_of_which_nothing_must_be_undone_costs_no_call() {
    assert_eq!(settle(fake(object(false, &[], false)), false, false).await, (Ok(true), vec![]));
    assert_eq!(settle(fake(object(false, &[KEDA_FINALIZER], false)), false, false).await, (Ok(true), vec![]));
    assert_eq!(settle(fake(object(true, &["a/b"], true)), false, false).await, (Ok(true), vec![]));
}

#[tokio::test]
async fn replicas_are_restored_before_the_finalizers_go() {
    let calls = ["GET orders", "PATCH scale 3", "PATCH orders null"];
    let deleted = || object(true, &[KEDA_FINALIZER, FINALIZER], true);
    let (result, seen) = settle(fake(deleted()), false, false).await;
    assert_eq!((result, seen.as_slice()), (Ok(true), calls.map(str::to_owned).as_slice()));
    // A target that is gone keeps nobody.
    let gone = Fake { scale_is_gone: true, ..fake(deleted()) };
    let (result, seen) = settle(gone, false, false).await;
    assert_eq!((result, seen.as_slice()), (Ok(true), calls.map(str::to_owned).as_slice()));
}

#[tokio::test]
async fn another_writer_is_not_fought_on_deletion() {
    let (result, calls) = settle(fake(object(true, &[FINALIZER], true)), false, true).await;
    assert_eq!((result, calls), (Ok(true), vec!["GET orders".to_owned(), "PATCH orders null".to_owned()]));
    // A live KEDA removes its finalizer itself; until it has gone, the object is looked at again.
    let (result, calls) = settle(fake(object(true, &[KEDA_FINALIZER], false)), true, false).await;
    assert_eq!((result, calls), (Ok(false), vec![]));
}

#[tokio::test]
async fn a_conflict_is_read_anew_and_many_are_an_error() {
    let conflicted = |count| Fake { conflicts: Mutex::new(count), ..fake(object(false, &[], true)) };
    let (result, calls) = settle(conflicted(1), false, false).await;
    let write = format!("PATCH orders [\"{FINALIZER}\"]");
    assert_eq!(result, Ok(true));
    assert_eq!(calls, ["GET orders", &write, "GET orders", &write]);
    let (result, calls) = settle(conflicted(9), false, false).await;
    assert_eq!(result, Err("cannot patch scaledobjects.keda.sh: it keeps changing".to_owned()));
    assert_eq!(calls.len(), 6);
}

/// One of its policies may say that the object is only observed, or that it is not: a minute is given to those who are about to see it.
#[tokio::test]
async fn a_deletion_waits_a_minute_for_policies_and_touches_nothing_without_them() {
    let unseen = || Some((Whom::Object(ObjectId::new("shop", "orders")), POLICY_UNSEEN));
    let deleted = |ago: i64| {
        let mut object = object(true, &[KEDA_FINALIZER, FINALIZER], true);
        let at = Timestamp::now() - SignedDuration::from_secs(ago);
        object["metadata"]["deletionTimestamp"] = at.to_string().into();
        fake(object)
    };
    let (result, calls) = settle_held(deleted(50), false, unseen()).await;
    let waits = "it is deleted, and waits for policies that cannot be seen: because".to_owned();
    assert_eq!((result, calls), (Err(waits), vec!["GET orders".to_owned()]));
    let (result, calls) = settle_held(deleted(61), false, unseen()).await;
    assert_eq!((result, calls), (Ok(true), vec!["GET orders".to_owned(), "PATCH orders null".to_owned()]));
    // Once they are seen the hold is lifted, and the replicas are restored.
    let (result, calls) = settle_held(deleted(50), false, None).await;
    assert_eq!(result, Ok(true));
    assert_eq!(calls, ["GET orders", "PATCH scale 3", "PATCH orders null"]);
    // What restores nothing needs not wait; and an object that lives gets no finalizer.
    let mut plain = object(true, &[KEDA_FINALIZER], false);
    plain["metadata"]["deletionTimestamp"] = Timestamp::now().to_string().into();
    let (result, calls) = settle_held(fake(plain), false, unseen()).await;
    assert_eq!((result, calls), (Ok(true), vec!["GET orders".to_owned(), "PATCH orders null".to_owned()]));
    assert_eq!(settle_held(fake(object(false, &[], true)), false, unseen()).await, (Ok(true), vec![]));
}
