//! What becomes of an object that left the labels that are watched, against an API server in this process.

use std::sync::{Arc, Mutex};

use super::calls_tests::{Fake, answer, fake, object};
use super::*;
use crate::kubernetes::known::{ObjectFacts, RecordFacts};
use crate::kubernetes::packed::Packed;

const GET: &str = "GET orders";
const RECORD: &str = "GET record";
const REMOVED: &str = "PATCH orders null";

fn record(kept: bool, owner: &str) -> Value {
    let owner = json!({ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "orders", "uid": owner });
    let mut record = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScaleRecord",
        "metadata": { "name": "orders", "namespace": "shop", "ownerReferences": [owner] },
        "status": { "operation": { "aftermath": "{}" } },
    });
    if kept {
        record["status"]["operation"]["keepsObject"] = true.into();
    }
    record
}

/// The object is not known to any watch, and carries our finalizer.
struct Scene {
    fake: Arc<Fake>,
    finalizer: Finalizer,
    id: ObjectId,
}

fn scene(deleting: bool, record: Option<Value>) -> Scene {
    let mut object = object(deleting, &[FINALIZER], false);
    object["metadata"]["uid"] = "u".into();
    let fake = Arc::new(Fake { record: Mutex::new(record), ..fake(object) });
    let client = Client::new(axum::Router::new().fallback(answer).with_state(fake.clone()), "shop");
    let attention = Attention::default();
    let shared = (Known::default(), Holds::default(), Kept::new(attention.clone()), attention);
    let (_sender, keda) = watch::channel(Some(false));
    let finalizer = Finalizer::new(client, shared, Mode::Auto, keda);
    Scene { fake, finalizer, id: ObjectId::new("shop", "orders") }
}

impl Scene {
    /// Settles the object, and gives back the calls.
    async fn settle(&self) -> Vec<String> {
        self.fake.calls.lock().unwrap().clear();
        self.finalizer.settle(&self.id).await.unwrap();
        self.fake.calls.lock().unwrap().clone()
    }

    fn set(&self, record: Option<Value>) {
        *self.fake.record.lock().unwrap() = record;
    }

    fn annotate(&self, deleting: bool) {
        let mut object = self.fake.object.lock().unwrap();
        let metadata = &mut object.as_mut().unwrap()["metadata"];
        metadata["annotations"] = json!({ tidegate_crds::annotations::ABANDON: "true" });
        if deleting {
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
    }
}

#[tokio::test]
async fn an_object_without_a_stopped_job_loses_the_finalizer() {
    for record in [None, Some(record(false, "u")), Some(record(true, "an older one of the name"))] {
        let scene = scene(false, record);
        assert_eq!(scene.settle().await, [GET, RECORD, REMOVED]);
        assert!(!scene.finalizer.kept.has_lost());
    }
}

#[tokio::test]
async fn an_object_whose_job_is_stopped_keeps_it_until_its_user_lets_it_go() {
    for deleting in [false, true] {
        let scene = scene(deleting, Some(record(true, "u")));
        for _ in 0..2 {
            assert_eq!(scene.settle().await, [GET, RECORD], "deleting: {deleting}");
            assert!(scene.finalizer.kept.is_lost(&scene.id), "it is looked at again");
        }
        // While it lives the word of its user says nothing.
        scene.annotate(false);
        assert_eq!(scene.settle().await.contains(&REMOVED.to_owned()), deleting);
        if !deleting {
            scene.annotate(true);
            assert_eq!(scene.settle().await, [GET, REMOVED]);
        }
        assert!(!scene.finalizer.kept.has_lost());
    }
}

#[tokio::test]
async fn what_another_process_has_brought_to_its_end_is_left_to_it_for_a_minute() {
    let scene = scene(false, Some(record(true, "u")));
    scene.settle().await;
    scene.set(Some(record(false, "u")));
    assert_eq!(scene.settle().await, [GET, RECORD]);
    let deleted = |ago: i64| {
        let at = (Timestamp::now() - SignedDuration::from_secs(ago)).to_string();
        scene.fake.object.lock().unwrap().as_mut().unwrap()["metadata"]["deletionTimestamp"] = at.into();
    };
    deleted(50);
    assert_eq!(scene.settle().await, [GET, RECORD]);
    // Nobody else is at work: the object must not wait for ever.
    deleted(61);
    assert_eq!(scene.settle().await, [GET, RECORD, REMOVED]);
    assert!(!scene.finalizer.kept.has_lost());
}

#[tokio::test]
async fn an_object_without_a_record_any_more_is_held_by_nothing() {
    let scene = scene(true, Some(record(true, "u")));
    scene.settle().await;
    scene.set(None);
    assert_eq!(scene.settle().await, [GET, RECORD, REMOVED]);
}

#[tokio::test]
async fn an_object_that_is_gone_or_comes_back_is_not_looked_for() {
    let gone = scene(false, Some(record(true, "u")));
    gone.settle().await;
    *gone.fake.object.lock().unwrap() = None;
    assert_eq!(gone.settle().await, [GET]);
    assert!(!gone.finalizer.kept.has_lost());
    // With its labels it is watched again, and the record says what holds.
    let back = scene(false, Some(record(true, "u")));
    back.settle().await;
    let mut facts = ObjectFacts::of(super::calls_tests::target());
    facts.uid = "u".to_owned();
    facts.finalizers = vec![FINALIZER.to_owned()];
    let status = serde_json::from_value(json!({ "operation": { "keepsObject": true } })).unwrap();
    facts.record = Some(RecordFacts { status: Packed::new(&status), ..RecordFacts::default() });
    back.finalizer.known.insert(back.id.clone(), facts);
    assert_eq!(back.settle().await, Vec::<String>::new());
    assert!(!back.finalizer.kept.has_lost());
}

/// The journal looks whether the finalizer is there just before it is taken, and writes nothing.
#[tokio::test]
async fn a_finalizer_that_is_taken_while_the_next_operation_begins_comes_back() {
    let (id, kept) = (ObjectId::new("shop", "orders"), Kept::default());
    let mut facts = ObjectFacts::of(super::calls_tests::target());
    facts.finalizers = vec![FINALIZER.to_owned()];
    let live = Arc::new(Mutex::new((object(false, &[FINALIZER], false), Vec::new())));
    let (held, begins, about) = (Arc::clone(&live), (kept.clone(), id.clone()), facts.clone());
    let answer = move |method: axum::http::Method, body: axum::body::Bytes| {
        let mut held = held.lock().unwrap();
        if method == axum::http::Method::PATCH {
            let body: Value = serde_json::from_slice(&body).unwrap();
            let finalizers = body["metadata"]["finalizers"].clone();
            held.1.push(finalizers.clone());
            held.0["metadata"]["finalizers"] = finalizers;
            begins.0.set(&begins.1, &about, true);
        }
        std::future::ready(axum::Json(held.0.clone()))
    };
    let client = Client::new(axum::Router::new().fallback(answer), "shop");
    let (_sender, keda) = watch::channel(Some(false));
    let known = Known::default();
    known.insert(id.clone(), facts);
    let parts = (known, Holds::default(), kept, Attention::default());
    let finalizer = Finalizer::new(client, parts, Mode::Auto, keda);
    assert_eq!(finalizer.settle(&id).await.ok(), Some(true));
    assert_eq!(live.lock().unwrap().1, [Value::Null, json!([FINALIZER])]);
}

/// A record that cannot be read now says nothing: the finalizer stays, and it is tried again.
#[tokio::test]
async fn a_record_that_cannot_be_read_lets_nobody_go() {
    let mut scene = scene(false, None);
    let broken = |uri: axum::http::Uri| async move {
        let what = if uri.path().contains("scalerecords") { None } else { Some(object(false, &[FINALIZER], false)) };
        what.map(axum::Json).ok_or(axum::http::StatusCode::SERVICE_UNAVAILABLE)
    };
    scene.finalizer.client = Client::new(axum::Router::new().fallback(broken), "shop");
    let error = scene.finalizer.settle(&scene.id).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot get scalerecords.tidegate.dev"), "{error}");
}
