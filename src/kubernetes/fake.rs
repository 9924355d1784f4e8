//! An API server in this process, for the tests: objects with versions, lists in pages, watches, patches, `/scale`, a log of requests, and
//! every fault on demand.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::Layer as _;

use super::courtesy::Courtesy;
use super::status::fixtures::merge;

/// The server. Copies share it.
#[derive(Clone, Default)]
pub(in crate::kubernetes) struct Fake(Arc<Inner>);

/// What it does instead of answering well.
#[derive(Clone, Debug)]
pub(in crate::kubernetes) enum Fault {
    /// Answers with this code and does nothing.
    Refuse(u16),
    /// The same, with a wish of so many seconds in the Status.
    Ask(u16, u64),
    /// 429 as a server sheds load: plain text, and `Retry-After` in the header alone.
    Busy(u64),
    /// Says that the namespace does not exist.
    NoNamespace,
    /// Does what was asked and never answers.
    Silence,
    /// Does nothing and never answers.
    Hang,
    /// Answers well after this time.
    Late(Duration),
}

/// How watches go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::kubernetes) enum Watches {
    #[default]
    Good,
    /// Each is told at once that its version is too old.
    Gone,
    /// Each ends at once.
    End,
}

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
    watches: Watches,
    /// How many watches have begun, and which of them are dead: their connections stay, and bring nothing.
    begun: u64,
    dead: u64,
    /// What a group serves.
    served: BTreeMap<String, Value>,
    log: Vec<(String, Value)>,
    ordered: Vec<(String, Fault, usize)>,
    scripted: VecDeque<Option<Fault>>,
    scripted_events: VecDeque<Option<Fault>>,
    /// Late answers under way, now and at most.
    late: (usize, usize),
}

type Query = BTreeMap<String, String>;

impl Fake {
    /// A client whose requests end here, behind the layer that every client has.
    pub(in crate::kubernetes) fn client(&self) -> kube::Client {
        let router = Router::new().fallback(handle).with_state(self.clone());
        kube::Client::new(Courtesy::default().layer(router), "default")
    }

    /// Creates or replaces an object; the path says where.
    pub(in crate::kubernetes) fn put(&self, path: &str, object: Value) {
        self.lock().write(path, object);
        self.0.news.notify_waiters();
    }

    pub(in crate::kubernetes) fn get(&self, path: &str) -> Option<Value> {
        self.lock().objects.get(path).cloned()
    }

    /// An object that is there.
    pub(in crate::kubernetes) fn at(&self, path: &str) -> Value {
        self.get(path).unwrap_or_else(|| panic!("{path} is not there"))
    }

    pub(in crate::kubernetes) fn delete(&self, path: &str) {
        let mut world = self.lock();
        world.version += 1;
        if let Some(object) = world.objects.remove(path) {
            let entry = (world.version, "DELETED", path.to_owned(), object);
            world.history.push(entry);
        }
        self.0.news.notify_waiters();
    }

    /// Deletes an object so that no watch ever hears of it, and tells all watches that they are too old.
    pub(in crate::kubernetes) fn expire(&self, lost: &str) {
        let mut world = self.lock();
        world.objects.remove(lost);
        world.version += 1;
        world.history.clear();
        world.oldest = world.version;
        self.0.news.notify_waiters();
    }

    /// A group serves this resource, with a scale or without.
    pub(in crate::kubernetes) fn serve(&self, api_version: &str, kind: &str, plural: &str, scale: bool) {
        let of =
            |name: String| json!({ "name": name, "kind": kind, "namespaced": true, "singularName": "", "verbs": [] });
        let mut resources = vec![of(plural.to_owned())];
        if scale {
            resources.push(of(format!("{plural}/scale")));
        }
        let list = json!({ "kind": "APIResourceList", "groupVersion": api_version, "resources": resources });
        self.lock().served.insert(format!("/apis/{api_version}"), list);
    }

    /// How watches go from now on, those that stand too.
    pub(in crate::kubernetes) fn watches(&self, how: Watches) {
        self.lock().watches = how;
        self.0.news.notify_waiters();
    }

    /// The connections of all watches that stand are dead from now on.
    pub(in crate::kubernetes) fn stall(&self) {
        let mut world = self.lock();
        world.dead = world.begun;
    }

    /// What happens to the next requests that begin so; a `*` stands for any text.
    pub(in crate::kubernetes) fn fail(&self, request: &str, fault: Fault, times: usize) {
        self.lock().ordered.push((request.to_owned(), fault, times));
    }

    /// Nothing that was ordered happens any more.
    pub(in crate::kubernetes) fn mend(&self) {
        self.lock().ordered.clear();
    }

    /// What happens to the next requests, one each; events do not count, because they come when they come.
    pub(in crate::kubernetes) fn script(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.lock().scripted.extend(faults);
    }

    /// What happens to the next events, one each.
    pub(in crate::kubernetes) fn script_events(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.lock().scripted_events.extend(faults);
    }

    /// The requests so far that begin so, with their queries; a `*` stands for any text.
    pub(in crate::kubernetes) fn requests(&self, begin: &str) -> Vec<String> {
        let world = self.lock();
        world.log.iter().filter(|(line, _)| begins(line, begin)).map(|(line, _)| line.clone()).collect()
    }

    /// `VERB path` of the requests since the last look, each with its body.
    pub(in crate::kubernetes) fn taken(&self) -> Vec<(String, Value)> {
        let taken = std::mem::take(&mut self.lock().log);
        let plain = |line: String| line.split('?').next().unwrap_or_default().to_owned();
        taken.into_iter().map(|(line, body)| (plain(line), body)).collect()
    }

    /// How many late answers were under way at most at the same time.
    pub(in crate::kubernetes) fn busiest(&self) -> usize {
        self.lock().late.1
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap()
    }
}

async fn handle(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    let line = format!("{} {}", parts.method, parts.uri);
    let header = |name: &str| parts.headers.get(name).and_then(|text| text.to_str().ok()).unwrap_or_default();
    let fault = fake.lock().fault(&line, &body);
    match fault {
        Some(Fault::Refuse(code)) => return failure(code, "scripted", &Value::Null),
        Some(Fault::Ask(code, seconds)) => {
            return failure(code, "scripted", &json!({ "retryAfterSeconds": seconds }));
        }
        Some(Fault::Busy(seconds)) => {
            let wish = [("Retry-After", seconds.to_string())];
            return (StatusCode::TOO_MANY_REQUESTS, wish, "Too many requests, please try again later.").into_response();
        }
        Some(Fault::NoNamespace) => {
            return failure(404, "namespaces \"shop\" not found", &json!({ "kind": "namespaces" }));
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Late(pause)) => fake.late(pause).await,
        Some(Fault::Silence) | None => {}
    }
    let applies = header("content-type") == "application/apply-patch+yaml";
    if applies {
        assert!(line.contains("fieldManager=tidegate") && line.contains("force=true"), "{line}");
    }
    let metadata = header("accept").contains("PartialObject");
    let path = parts.uri.path().trim_end_matches('/').to_owned();
    let response = fake.perform(parts.method.as_str(), &path, &query(parts.uri.query()), metadata, applies, &body);
    match fault {
        Some(Fault::Silence) => std::future::pending().await,
        _ => response,
    }
}

fn query(text: Option<&str>) -> Query {
    let pairs = text.into_iter().flat_map(|text| text.split('&')).filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl Fake {
    async fn late(&self, pause: Duration) {
        {
            let mut world = self.lock();
            world.late.0 += 1;
            world.late.1 = world.late.1.max(world.late.0);
        }
        tokio::time::sleep(pause).await;
        self.lock().late.0 -= 1;
    }

    fn perform(&self, verb: &str, path: &str, query: &Query, metadata: bool, applies: bool, body: &Value) -> Response {
        if verb == "GET" && query.contains_key("watch") {
            return self.watch(path.to_owned(), query, metadata);
        }
        let response = match (verb, path.strip_suffix("/scale")) {
            ("GET", Some(path)) => self.lock().scale(path),
            ("PUT", Some(path)) => self.lock().set_scale(path, body),
            ("GET", None) => self.lock().read(path, query, metadata),
            ("POST" | "PATCH", None) => self.lock().change(verb, path, applies, body),
            _ => failure(405, "no such method", &Value::Null),
        };
        self.0.news.notify_waiters();
        response
    }

    fn watch(&self, path: String, query: &Query, metadata: bool) -> Response {
        let begin: u64 = query["resourceVersion"].parse().unwrap();
        let serial = {
            let mut world = self.lock();
            world.begun += 1;
            world.begun
        };
        let only = only(query);
        let events = stream::unfold((self.clone(), begin, false), move |(fake, at, ended)| {
            let (path, only) = (path.clone(), only.clone());
            async move {
                if ended {
                    return None;
                }
                loop {
                    let inner = fake.0.clone();
                    let news = inner.news.notified();
                    tokio::pin!(news);
                    news.as_mut().enable();
                    match fake.lock().next(&path, only.as_deref(), at, serial, metadata) {
                        Next::Event(version, event) => {
                            return Some((Line::Ok(format!("{event}\n")), (fake.clone(), version, false)));
                        }
                        Next::Last(event) => {
                            return Some((Line::Ok(format!("{event}\n")), (fake.clone(), at, true)));
                        }
                        Next::End => return None,
                        Next::Nothing => {}
                    }
                    news.await;
                }
            }
        });
        Response::new(Body::from_stream(events))
    }
}

/// What a watch says next.
enum Next {
    Event(u64, Value),
    Last(Value),
    End,
    Nothing,
}

impl World {
    fn fault(&mut self, line: &str, body: &Value) -> Option<Fault> {
        self.log.push((line.to_owned(), body.clone()));
        let scripted = if line.contains("events.k8s.io") { &mut self.scripted_events } else { &mut self.scripted };
        if let Some(fault) = scripted.pop_front() {
            return fault;
        }
        let ordered = self.ordered.iter_mut().find(|(request, _, times)| *times > 0 && begins(line, request))?;
        ordered.2 -= 1;
        Some(ordered.1.clone())
    }

    fn write(&mut self, path: &str, mut object: Value) {
        self.version += 1;
        let parts: Vec<&str> = path.split('/').collect();
        let namespace = parts.iter().position(|part| *part == "namespaces").and_then(|at| parts.get(at + 1));
        object["metadata"]["name"] = json!(parts.last());
        object["metadata"]["namespace"] = json!(namespace);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-of-{path}"));
        }
        let kind = if self.objects.contains_key(path) { "MODIFIED" } else { "ADDED" };
        self.history.push((self.version, kind, path.to_owned(), object.clone()));
        self.objects.insert(path.to_owned(), object);
    }

    fn next(&self, path: &str, only: Option<&str>, at: u64, serial: u64, metadata: bool) -> Next {
        if serial <= self.dead {
            return Next::Nothing;
        }
        if self.watches == Watches::End {
            return Next::End;
        }
        if self.watches == Watches::Gone || at < self.oldest {
            let error = json!({ "kind": "Status", "code": 410, "message": "too old", "reason": "Expired" });
            return Next::Last(json!({ "type": "ERROR", "object": error }));
        }
        let mut later = self.history.iter().filter(|(version, _, place, _)| *version > at && covers(path, only, place));
        later.next().map_or(Next::Nothing, |(version, kind, _, object)| {
            Next::Event(*version, json!({ "type": kind, "object": shown(object, metadata) }))
        })
    }

    fn read(&self, path: &str, query: &Query, metadata: bool) -> Response {
        if let Some(found) = self.objects.get(path).or_else(|| self.served.get(path)) {
            return axum::Json(found.clone()).into_response();
        }
        let Some(limit) = query.get("limit").and_then(|limit| limit.parse::<usize>().ok()) else {
            return absent(path);
        };
        let begin: usize = query.get("continue").map_or(0, |at| at.parse().unwrap());
        let all: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(at, _)| covers(path, only(query).as_deref(), at))
            .map(|(_, object)| object)
            .collect();
        let items: Vec<Value> = all.iter().skip(begin).take(limit).map(|object| shown(object, metadata)).collect();
        let more = (begin + limit < all.len()).then(|| (begin + limit).to_string());
        let list = json!({
            "apiVersion": "v1",
            "kind": "List",
            "metadata": { "resourceVersion": self.version.to_string(), "continue": more },
            "items": items,
        });
        axum::Json(list).into_response()
    }

    fn scale(&self, path: &str) -> Response {
        self.objects.get(path).map_or_else(|| absent(path), |object| axum::Json(scale_of(object)).into_response())
    }

    fn set_scale(&mut self, path: &str, scale: &Value) -> Response {
        let Some(mut object) = self.objects.get(path).cloned() else { return absent(path) };
        if object["metadata"]["resourceVersion"] != scale["metadata"]["resourceVersion"] {
            return failure(409, "the object has been modified", &Value::Null);
        }
        object["spec"]["replicas"] = scale["spec"]["replicas"].clone();
        self.write(path, object);
        self.scale(path)
    }

    fn change(&mut self, verb: &str, path: &str, applies: bool, body: &Value) -> Response {
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
            (_, None) if applies && field.is_none() => (object_path.to_owned(), json!({})),
            (_, None) => return absent(object_path),
        };
        let version = &body["metadata"]["resourceVersion"];
        if verb == "PATCH" && !version.is_null() && *version != before["metadata"]["resourceVersion"] {
            return failure(409, "the object has been modified", &Value::Null);
        }
        let mut after = before.clone();
        match field {
            // The manager owns the whole status: what it does not apply goes.
            Some(field) if applies => after[field] = body[field].clone(),
            Some(field) => merge(&mut after, &json!({ field: body[field] })),
            None => merge(&mut after, body),
        }
        if after != before {
            // Every change of a spec is a generation of its own.
            if after["spec"] != before["spec"]
                && let Some(generation) = before["metadata"]["generation"].as_i64()
            {
                after["metadata"]["generation"] = json!(generation + 1);
            }
            self.write(&path, after);
        }
        axum::Json(self.objects[&path].clone()).into_response()
    }
}

fn begins(line: &str, pattern: &str) -> bool {
    let (begin, rest) = pattern.split_once('*').unwrap_or((pattern, ""));
    line.strip_prefix(begin).is_some_and(|after| after.contains(rest))
}

fn scale_of(object: &Value) -> Value {
    json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": object["metadata"],
        "spec": { "replicas": object["spec"]["replicas"] },
        "status": {
            "replicas": object["status"]["replicas"].as_i64().unwrap_or(0),
            "selector": object["status"]["selector"],
        },
    })
}

/// The one name that a field selector asks for: the only field that anybody here selects by.
fn only(query: &Query) -> Option<String> {
    let name = query.get("fieldSelector")?.strip_prefix("metadata.name%3D");
    Some(name.expect("a field selector of a name").to_owned())
}

/// Whether a list at `path`, perhaps of the only object with this name, shows the object at `place`.
fn covers(path: &str, only: Option<&str>, place: &str) -> bool {
    let Some((collection, name)) = place.rsplit_once('/') else { return false };
    if only.is_some_and(|only| only != name) {
        return false;
    }
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

type Line = Result<String, Infallible>;

fn absent(path: &str) -> Response {
    failure(404, "not found", &json!({ "kind": path.rsplit('/').nth(1) }))
}

fn failure(code: u16, message: &str, details: &Value) -> Response {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message, "reason": "Scripted",
        "details": details,
    });
    (StatusCode::from_u16(code).unwrap(), axum::Json(status)).into_response()
}
