//! An API server in memory: objects with versions, lists in pages, watches, `/scale`, and faults on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// The server. Copies share it.
#[derive(Clone, Default)]
pub(super) struct Fake(Arc<Inner>);

#[derive(Default)]
struct Inner {
    world: Mutex<World>,
    news: Notify,
}

#[derive(Default)]
struct World {
    version: u64,
    /// By their path: `/apis/apps/v1/namespaces/shop/deployments/orders`.
    objects: BTreeMap<String, Value>,
    history: Vec<(u64, &'static str, String, Value)>,
    /// Watches from before this version are told that it is too old.
    oldest: u64,
    /// What a group serves.
    served: BTreeMap<String, Value>,
    log: Vec<String>,
    faults: Vec<Fault>,
}

struct Fault {
    request: String,
    code: u16,
    details: Value,
    times: usize,
}

impl Fake {
    pub(super) fn client(&self) -> kube::Client {
        let router = Router::new().fallback(handle).with_state(self.clone());
        kube::Client::new(router, "default")
    }

    /// Creates or replaces an object; the path says where.
    pub(super) fn put(&self, path: &str, mut object: Value) {
        let mut world = self.lock();
        world.version += 1;
        let parts: Vec<&str> = path.split('/').collect();
        let namespace = parts.iter().position(|part| *part == "namespaces").and_then(|at| parts.get(at + 1));
        object["metadata"]["name"] = json!(parts.last());
        object["metadata"]["namespace"] = json!(namespace);
        object["metadata"]["resourceVersion"] = json!(world.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-of-{path}"));
        }
        let kind = if world.objects.contains_key(path) { "MODIFIED" } else { "ADDED" };
        let entry = (world.version, kind, path.to_owned(), object.clone());
        world.history.push(entry);
        world.objects.insert(path.to_owned(), object);
        self.0.news.notify_waiters();
    }

    pub(super) fn get(&self, path: &str) -> Value {
        self.lock().objects[path].clone()
    }

    pub(super) fn delete(&self, path: &str) {
        let mut world = self.lock();
        world.version += 1;
        if let Some(object) = world.objects.remove(path) {
            let entry = (world.version, "DELETED", path.to_owned(), object);
            world.history.push(entry);
        }
        self.0.news.notify_waiters();
    }

    /// Deletes an object so that no watch ever hears of it, and tells all watches that they are too old.
    pub(super) fn expire(&self, lost: &str) {
        let mut world = self.lock();
        world.objects.remove(lost);
        world.version += 1;
        world.history.clear();
        world.oldest = world.version;
        self.0.news.notify_waiters();
    }

    /// A group serves this resource, with a scale or without.
    pub(super) fn serve(&self, api_version: &str, kind: &str, plural: &str, scale: bool) {
        let of =
            |name: String| json!({ "name": name, "kind": kind, "namespaced": true, "singularName": "", "verbs": [] });
        let mut resources = vec![of(plural.to_owned())];
        if scale {
            resources.push(of(format!("{plural}/scale")));
        }
        let list = json!({ "kind": "APIResourceList", "groupVersion": api_version, "resources": resources });
        self.lock().served.insert(format!("/apis/{api_version}"), list);
    }

    /// The next requests that begin so are answered with this status; 0 never answers.
    pub(super) fn fail(&self, request: &str, code: u16, details: Value, times: usize) {
        self.lock().faults.push(Fault { request: request.to_owned(), code, details, times });
    }

    /// The requests so far that begin so.
    pub(super) fn requests(&self, begin: &str) -> Vec<String> {
        self.lock().log.iter().filter(|line| line.starts_with(begin)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap()
    }

    fn fault(&self, line: &str) -> Option<(u16, Value)> {
        let mut world = self.lock();
        world.log.push(line.to_owned());
        let fault = world.faults.iter_mut().find(|fault| fault.times > 0 && line.starts_with(&fault.request))?;
        fault.times -= 1;
        Some((fault.code, fault.details.clone()))
    }
}

async fn handle(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let line = format!("{} {}", parts.method, parts.uri);
    match fake.fault(&line) {
        Some((0, _)) => std::future::pending().await,
        Some((code, details)) => return failure(code, "this was ordered", &details),
        None => {}
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let query: BTreeMap<String, String> = parts
        .uri
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect();
    let metadata = parts.headers.get("accept").is_some_and(|accept| accept.to_str().unwrap().contains("PartialObject"));
    let path = parts.uri.path().trim_end_matches('/').to_owned();
    match (parts.method.as_str(), path.strip_suffix("/scale")) {
        ("GET", Some(path)) => fake.scale(path),
        ("PUT", Some(path)) => fake.set_scale(path, &serde_json::from_slice(&body).unwrap()),
        ("GET", None) if query.contains_key("watch") => fake.watch(path, &query, metadata),
        ("GET", None) => fake.read(&path, &query, metadata),
        _ => failure(405, "no such method", &Value::Null),
    }
}

impl Fake {
    fn read(&self, path: &str, query: &BTreeMap<String, String>, metadata: bool) -> Response {
        let world = self.lock();
        if let Some(found) = world.objects.get(path).or_else(|| world.served.get(path)) {
            return axum::Json(found.clone()).into_response();
        }
        let Some(limit) = query.get("limit").and_then(|limit| limit.parse::<usize>().ok()) else {
            return failure(404, "not found", &Value::Null);
        };
        let begin: usize = query.get("continue").map_or(0, |at| at.parse().unwrap());
        let all: Vec<&Value> =
            world.objects.iter().filter(|(at, _)| covers(path, at)).map(|(_, object)| object).collect();
        let items: Vec<Value> = all.iter().skip(begin).take(limit).map(|object| shown(object, metadata)).collect();
        let more = (begin + limit < all.len()).then(|| (begin + limit).to_string());
        let list = json!({
            "apiVersion": "v1",
            "kind": "List",
            "metadata": { "resourceVersion": world.version.to_string(), "continue": more },
            "items": items,
        });
        axum::Json(list).into_response()
    }

    fn watch(&self, path: String, query: &BTreeMap<String, String>, metadata: bool) -> Response {
        let begin: u64 = query["resourceVersion"].parse().unwrap();
        let events = stream::unfold((self.clone(), begin, false), move |(fake, at, ended)| {
            let path = path.clone();
            async move {
                if ended {
                    return None;
                }
                loop {
                    let inner = fake.0.clone();
                    let news = inner.news.notified();
                    tokio::pin!(news);
                    news.as_mut().enable();
                    if at < fake.lock().oldest {
                        let error = json!({ "type": "ERROR", "object": { "kind": "Status", "code": 410, "message": "too old", "reason": "Expired" } });
                        return Some((Line::Ok(line(&error)), (fake.clone(), at, true)));
                    }
                    let next = {
                        let world = fake.lock();
                        let mut later =
                            world.history.iter().filter(|(version, _, place, _)| *version > at && covers(&path, place));
                        later.next().map(|(version, kind, _, object)| {
                            (*version, json!({ "type": kind, "object": shown(object, metadata) }))
                        })
                    };
                    if let Some((version, event)) = next {
                        return Some((Line::Ok(line(&event)), (fake.clone(), version, false)));
                    }
                    news.await;
                }
            }
        });
        Response::new(Body::from_stream(events))
    }

    fn scale(&self, path: &str) -> Response {
        match self.lock().objects.get(path) {
            Some(object) => axum::Json(scale_of(object)).into_response(),
            None => failure(404, "not found", &Value::Null),
        }
    }

    fn set_scale(&self, path: &str, scale: &Value) -> Response {
        let Some(mut object) = self.lock().objects.get(path).cloned() else {
            return failure(404, "not found", &Value::Null);
        };
        if object["metadata"]["resourceVersion"] != scale["metadata"]["resourceVersion"] {
            return failure(409, "the object has been modified", &Value::Null);
        }
        object["spec"]["replicas"] = scale["spec"]["replicas"].clone();
        self.put(path, object);
        self.scale(path)
    }
}

fn scale_of(object: &Value) -> Value {
    json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": object["metadata"],
        "spec": { "replicas": object["spec"]["replicas"] },
        "status": { "replicas": object["status"]["replicas"].as_i64().unwrap_or(0) },
    })
}

/// Whether a list at `path` shows the object at `place`.
fn covers(path: &str, place: &str) -> bool {
    let Some((collection, _)) = place.rsplit_once('/') else { return false };
    let Some((front, rest)) = collection.split_once("/namespaces/") else { return collection == path };
    let plural = rest.rsplit('/').next().unwrap_or_default();
    collection == path || format!("{front}/{plural}") == path
}

fn shown(object: &Value, metadata: bool) -> Value {
    if metadata {
        json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"] })
    } else {
        object.clone()
    }
}

type Line = Result<String, std::convert::Infallible>;

fn line(event: &Value) -> String {
    format!("{event}\n")
}

fn failure(code: u16, message: &str, details: &Value) -> Response {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message, "reason": "Test",
        "details": details,
    });
    let code = axum::http::StatusCode::from_u16(code).unwrap();
    (code, axum::Json(status)).into_response()
}
