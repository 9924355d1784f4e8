//! What has happened since the record was read first, against a JobManager and an API server in this process.

use std::sync::{Arc, Mutex};

use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde_json::Value;
use tidegate_calculator::operation::spec::{FlinkEndpoint, HookSpec, Item, JobSpec, Work};
use tidegate_calculator::operation::{Begin, Operation, stored};
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::subject::ObjectId;

use super::super::super::probe::world::World;
use super::super::nowhere::Nowhere;
use super::super::site::{Object, remember};
use super::*;
use crate::kubernetes::once::Glance;

const RECORD: &str = "/apis/tidegate.dev/v1alpha1/namespaces/shop/scalerecords/enrich";

type Heard = Arc<Mutex<Vec<String>>>;

/// A JobManager that takes jars, and has these jobs by id and state; what it is asked is heard.
async fn job_manager(jobs: &'static [(&'static str, &'static str)]) -> (String, Heard) {
    let heard = Heard::default();
    let log = Arc::clone(&heard);
    let answer = move |method: Method, uri: Uri| {
        log.lock().unwrap().push(format!("{method} {}", uri.path()));
        let state = jobs.iter().find(|(id, _)| uri.path() == format!("/jobs/{id}/status")).map(|(_, state)| state);
        let summary =
            |(id, state): &(&str, &str)| json!({ "jid": id, "name": "enrich", "state": state, "start-time": 1 });
        let found = match (uri.path(), state) {
            ("/config", _) => Some(json!({ "flink-version": "2.3.0", "features": { "web-submit": true } })),
            ("/jobmanager/config", _) => Some(json!([])),
            ("/jobs/overview", _) => Some(json!({ "jobs": jobs.iter().map(summary).collect::<Vec<_>>() })),
            ("/taskmanagers", _) => Some(json!({ "taskmanagers": [] })),
            (_, Some(state)) => Some(json!({ "status": state })),
            _ => None,
        };
        async move {
            let absent = || (StatusCode::NOT_FOUND, r#"{"errors":["there is no such thing"]}"#).into_response();
            found.map_or_else(absent, |found| Json(found).into_response())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (url, heard)
}

fn status(operation: Option<&str>, path: &str) -> Value {
    let parked = json!([{ "name": "enrich", "id": "ab", "path": path, "parallelism": 2 }]);
    let mut stored = json!({ "aftermath": json!({ "v": 1, "parked": parked }).to_string() });
    if let Some(operation) = operation {
        stored["state"] = operation.into();
    }
    json!({ "operation": stored })
}

fn begun_meanwhile(spec: &HookSpec) -> String {
    let begin = Begin { attempt: 1, from: 2, to: 1, spec: spec.clone(), ..Begin::default() };
    let now = Now { tick: Tick(0), wall: jiff::Timestamp::now() };
    stored::text(&Operation::begin(begin, Tick(0)).unwrap(), now)
}

/// The object's record, which may change.
async fn site(url: &str) -> (Site, Arc<Mutex<Option<Value>>>) {
    let run = Some(RunTemplate { jar: Jar::Name("a.jar".to_owned()), ..RunTemplate::default() });
    let entry = JobSpec { select: JobSelector::Name("enrich".to_owned()), run, ..JobSpec::default() };
    let mut flink = Flink { endpoint: Some(FlinkEndpoint::RestUrl(url.to_owned())), ..Flink::default() };
    flink.jobs.list = vec![entry];
    flink.verify.timeout = Span::seconds(3);
    let item = Item { name: "state".to_owned(), work: Work::Flink(Box::new(flink)), ..Item::default() };
    let spec = HookSpec { pre_scale: vec![item], post_scale: Vec::new() };
    let record = Arc::new(Mutex::new(Some(status(None, "s3://b/1"))));
    let held = Arc::clone(&record);
    let answer = move |uri: Uri| {
        let status = held.lock().unwrap().clone().filter(|_| uri.path() == RECORD);
        async move {
            status.map_or_else(missing, |status| Json(json!({ "metadata": {}, "status": status })).into_response())
        }
    };
    let glance = Glance::new(kube::Client::new(Router::new().fallback(answer), "shop"));
    let target = ["shop", "apps/v1", "Deployment", "tm"].map(Into::into);
    let [namespace, api_version, kind, name] = target;
    let target = TargetRef { namespace, api_version, kind, name };
    let id = ObjectId::new("shop", "enrich");
    let object = Object { id, generation: 1, target, flaws: Vec::new(), faults: Vec::new() };
    let remembered = Remembered { unseen: Vec::new(), ..remember(&glance, &object).await };
    let world = World::new(Vec::new(), Some(glance), "tidegate-system".to_owned());
    (Site::new(Some(object), spec, (Arc::new(Nowhere), world), Some(remembered)), record)
}

fn missing() -> Response {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": "NotFound",
        "code": 404 });
    (StatusCode::NOT_FOUND, Json(status)).into_response()
}

fn plan(flink: &Flink, begun: bool) -> Plan {
    let template = RunTemplate { jar: Jar::Name("a.jar".to_owned()), ..RunTemplate::default() };
    // Of one that was begun before Flink knows the parallelism, or will.
    let run = Run::of(&template, flink, if begun { 0 } else { 2 }, None);
    Plan { job: "enrich".to_owned(), id: "6e".repeat(16), run, free: 2, begun }
}

/// What the command says, and whether it came to the jars.
async fn outcome(site: &Site, heard: &Heard, begun: bool) -> (String, bool) {
    let flink = site.flink().unwrap();
    let error = run(site, flink, &plan(flink, begun)).await.unwrap_err();
    assert_eq!(error.code(), 1);
    let jars = heard.lock().unwrap().iter().any(|line| line.contains("/jars"));
    (error.to_string(), jars)
}

#[tokio::test]
async fn nothing_is_run_beside_an_operation_that_has_begun_since() {
    let (url, heard) = job_manager(&[]).await;
    let (site, record) = site(&url).await;
    *record.lock().unwrap() = Some(status(Some(&begun_meanwhile(&site.spec)), "s3://b/1"));
    let (text, jars) = outcome(&site, &heard, false).await;
    assert!(text.ends_with("and runs its jobs itself; wait for its end"), "{text}");
    assert!(!jars, "{heard:?}");
}

#[tokio::test]
async fn nothing_is_run_by_what_was_recorded_before() {
    for now in [Some(status(None, "s3://b/2")), Some(json!({ "operation": {} })), None] {
        let (url, heard) = job_manager(&[]).await;
        let (site, record) = site(&url).await;
        *record.lock().unwrap() = now;
        let (text, jars) = outcome(&site, &heard, false).await;
        assert!(text.ends_with("what is recorded of it has changed meanwhile; begin anew"), "{text}");
        assert!(!jars, "{heard:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_again_is_not_taken_for_the_same() {
    let (url, heard) = job_manager(&[]).await;
    let (site, record) = site(&url).await;
    *record.lock().unwrap() = Some(status(Some("{\"v\":9}"), "s3://b/1"));
    let (text, jars) = outcome(&site, &heard, false).await;
    assert!(text.contains("what is recorded cannot be read again (the operation has version 9"), "{text}");
    assert!(!jars, "{heard:?}");
}

#[tokio::test]
async fn the_same_record_lets_it_be_run() {
    let (url, heard) = job_manager(&[]).await;
    let (site, _record) = site(&url).await;
    let (text, jars) = outcome(&site, &heard, false).await;
    assert!(jars, "{text} {heard:?}");
}

/// While it is being initialized a job says neither its tasks nor its parallelism, and may be known by its state alone.
#[tokio::test]
async fn a_job_that_is_being_initialized_is_found_by_its_id_and_waited_for() {
    let own: &'static str = Box::leak("6e".repeat(16).into_boxed_str());
    let jobs: &'static [(&str, &str)] = Box::leak(Box::new([(own, "INITIALIZING")]));
    let (url, heard) = job_manager(jobs).await;
    let (site, _record) = site(&url).await;
    let facts = site.hooks.cluster_facts(&site.target(), site.flink().unwrap()).await.unwrap();
    assert_eq!(begun(&facts, own), None, "Flink has no more than its state");
    assert!(is_live(&site, own).await && !is_live(&site, "ab").await);
    let (text, jars) = outcome(&site, &heard, true).await;
    assert!(text.ends_with("and after 3 s the JobManager does not list it; 2 slots were free"), "{text}");
    assert!(!jars, "it is not run a second time: {heard:?}");
}
