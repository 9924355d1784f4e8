//! A small API server in this process: objects by path, apply and merge patches, a log of requests, and faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::kubernetes::status::fixtures::merge;

/// What it does instead of answering well.
#[derive(Clone, Debug)]
pub(in crate::kubernetes) enum Fault {
    /// Answers with this code and does nothing.
    Refuse(u16),
    /// Says that the namespace does not exist.
    NoNamespace,
    /// Does what was asked and never answers.
    Silence,
}

#[derive(Clone, Default)]
pub(in crate::kubernetes) struct Fake(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Value>,
    version: u64,
    requests: Vec<(String, Value)>,
    faults: VecDeque<Option<Fault>>,
    event_faults: VecDeque<Option<Fault>>,
}

impl Fake {
    /// A client whose requests end here.
    pub(in crate::kubernetes) fn client(&self) -> kube::Client {
        kube::Client::new(Router::new().fallback(handle).with_state(self.clone()), "default")
    }

    /// Puts an object where `path` ends.
    pub(in crate::kubernetes) fn put(&self, path: &str, object: Value) {
        let mut inner = self.0.lock().unwrap();
        inner.version += 1;
        let version = inner.version.to_string();
        let mut object = object;
        object["metadata"]["resourceVersion"] = json!(version);
        inner.objects.insert(path.to_owned(), object);
    }

    pub(in crate::kubernetes) fn remove(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path);
    }

    pub(in crate::kubernetes) fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// What happens to the next requests, one each; events do not count, because they come when they come.
    pub(in crate::kubernetes) fn script(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.0.lock().unwrap().faults.extend(faults);
    }

    /// What happens to the next events, one each.
    pub(in crate::kubernetes) fn script_events(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.0.lock().unwrap().event_faults.extend(faults);
    }

    /// `VERB path` of the requests since the last look, each with its body.
    pub(in crate::kubernetes) fn requests(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.0.lock().unwrap().requests)
    }

    fn answer(&self, verb: &str, path: &str, applies: bool, body: &Value) -> Option<Response> {
        let mut inner = self.0.lock().unwrap();
        let is_event = path.contains("events.k8s.io");
        let faults = if is_event { &mut inner.event_faults } else { &mut inner.faults };
        let fault = faults.pop_front().flatten();
        match fault {
            Some(Fault::Refuse(code)) => return Some(refusal(code, "scripted", "")),
            Some(Fault::NoNamespace) => return Some(refusal(404, "namespaces \"shop\" not found", "namespaces")),
            Some(Fault::Silence) | None => {}
        }
        let response = inner.perform(verb, path, applies, body);
        (!matches!(fault, Some(Fault::Silence))).then_some(response)
    }
}

impl Inner {
    fn perform(&mut self, verb: &str, path: &str, applies: bool, body: &Value) -> Response {
        let (object_path, field) = match path.strip_suffix("/status") {
            Some(path) => (path, Some("status")),
            None => (path, None),
        };
        let found = self.objects.get(object_path).cloned();
        let (path, before) = match (verb, found) {
            ("POST", _) => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                (format!("{object_path}/{name}"), json!({}))
            }
            (_, Some(found)) => (object_path.to_owned(), found),
            ("PATCH", None) if applies && field.is_none() => (object_path.to_owned(), json!({})),
            (_, None) => return refusal(404, "not found", object_path.rsplit('/').nth(1).unwrap_or_default()),
        };
        if verb == "GET" {
            return (StatusCode::OK, before.to_string()).into_response();
        }
        let mut after = before.clone();
        match field {
            // The manager owns the whole status: what it does not apply goes.
            Some(field) if applies => after[field] = body[field].clone(),
            Some(field) => merge(&mut after, &json!({ field: body[field] })),
            None => merge(&mut after, body),
        }
        if after != before {
            self.version += 1;
            after["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.objects.insert(path, after.clone());
        }
        (StatusCode::OK, after.to_string()).into_response()
    }
}

fn refusal(code: u16, message: &str, kind: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "Scripted",
        "code": code, "details": { "kind": kind },
    });
    (StatusCode::from_u16(code).unwrap(), status.to_string()).into_response()
}

async fn handle(State(fake): State<Fake>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    let kind = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let applies = kind == "application/apply-patch+yaml";
    if applies {
        let query = parts.uri.query().unwrap_or_default();
        assert!(query.contains("fieldManager=tidegate") && query.contains("force=true"), "{query}");
    }
    let (verb, path) = (parts.method.as_str(), parts.uri.path());
    fake.0.lock().unwrap().requests.push((format!("{verb} {path}"), body.clone()));
    match fake.answer(verb, path, applies, &body) {
        Some(response) => response,
        None => std::future::pending().await,
    }
}
