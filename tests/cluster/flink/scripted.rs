//! A scripted JobManager: an HTTP server that keeps the state of a Flink cluster and answers as Flink's REST API
//! does, at once.
//!
//! Its TaskManagers follow the ready pods of a Deployment. [`World`] is the state, with the laws that must hold
//! whatever an operator does; `scripted_answers` are the answers; every request passes a [`Wire`].

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::scripted_answers as answers;
use super::scripted_job::{Job, Kind, VERTICES};
use super::scripted_wire::Wire;
use super::scripted_world::World;
use crate::cluster::space::Space;
use crate::cluster::{runtime, wait_for};

/// The jar that is there.
const JAR: &str = "941c9fc2-7d30-4c22-be21-fbe30d6b56d2_enrich.jar";

/// The running server. It ends with this.
pub(crate) struct JobManager {
    inner: Arc<Inner>,
    address: String,
    tasks: Vec<JoinHandle<()>>,
}

struct Inner {
    world: Mutex<World>,
    wire: Wire,
}

/// What is answered: a status and a body.
type Answer = (u16, Value);

pub(crate) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

impl JobManager {
    /// Starts it over a world, with the pods of this Deployment as its TaskManagers.
    pub(crate) fn start(world: World, wire: &Wire, space: &Space, deployment: &str) -> Self {
        let inner = Arc::new(Inner { world: Mutex::new(world), wire: wire.clone() });
        let (address, server) = wait_for(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let router = Router::new().fallback(answer).with_state(inner.clone());
            (address, runtime().spawn(async move { axum::serve(listener, router).await.unwrap() }))
        });
        let pods = runtime().spawn(follow(inner.clone(), space.api("pods"), deployment.to_owned()));
        Self { inner, address, tasks: vec![server, pods] }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.address
    }

    /// The world as it is now.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.inner.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(now());
        world
    }

    /// What must hear of replicas that are about to become fewer.
    pub(crate) fn watcher(&self) -> impl Fn(i64, i64) + Send + Sync + 'static {
        let inner = self.inner.clone();
        move |replicas, now| inner.world.lock().unwrap_or_else(PoisonError::into_inner).lowered(replicas, now)
    }

    /// Puts a job there that runs for a while already.
    pub(crate) fn submit(&self, id: &str, name: &str, parallelism: u32) {
        let now = now();
        let job = Job::new(id, name, parallelism, None, now).aged(now);
        self.world().jobs.push(job);
        drop(self.world());
    }
}

impl Drop for JobManager {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Lets TaskManagers come and go with the pods.
async fn follow(inner: Arc<Inner>, pods: kube::Api<DynamicObject>, deployment: String) {
    let config = watcher::Config::default().labels(&format!("app={deployment}"));
    let mut events = watcher(pods, config).default_backoff().boxed();
    let (mut ready, mut whole) = (BTreeSet::new(), false);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => {
                ready.clear();
                whole = false;
            }
            Ok(Event::InitApply(pod) | Event::Apply(pod)) if is_ready(&pod) => _ = ready.insert(pod.name_any()),
            Ok(Event::InitApply(pod) | Event::Apply(pod) | Event::Delete(pod)) => _ = ready.remove(&pod.name_any()),
            Ok(Event::InitDone) => whole = true,
            Err(_) => {}
        }
        // While a list is under way what is not named yet may be there.
        if whole {
            inner.world.lock().unwrap_or_else(PoisonError::into_inner).follow(&ready, now());
        }
    }
}

fn is_ready(pod: &DynamicObject) -> bool {
    let conditions = pod.data["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let Ok(passing) = inner.wire.arrive(step(&parts.method, &segments)).await else { return gone() };
    let Ok(bytes) = to_bytes(body, 16 << 20).await else { return StatusCode::BAD_REQUEST.into_response() };
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let (status, told) = {
        let mut world = inner.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        world.advance(now);
        if is_known(&world, parts.headers.get(header::AUTHORIZATION)) {
            respond(&mut world, &parts.method, &segments, &body, now)
        } else {
            world.unauthorized += 1;
            (401, json!({"errors": ["who are you?"]}))
        }
    };
    if passing.leave().await.is_err() {
        return gone();
    }
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, "application/json")], Body::from(told.to_string())).into_response()
}

fn gone() -> Response {
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

/// The name of what changes something.
fn step(method: &Method, segments: &[&str]) -> Option<&'static str> {
    match (method.as_str(), segments) {
        ("POST", ["jobs", _, "checkpoints"]) => Some("checkpoint"),
        ("POST", ["jobs", _, "savepoints"]) => Some("savepoint"),
        ("POST", ["jobs", _, "stop"]) => Some("stop"),
        ("PUT", ["jobs", _, "resource-requirements"]) => Some("requirements"),
        ("POST", ["jars", _, "plan"]) => Some("plan"),
        ("POST", ["jars", _, "run"]) => Some("run"),
        ("PATCH", ["jobs", _]) => Some("cancel"),
        ("POST", ["savepoint-disposal"]) => Some("dispose"),
        _ => None,
    }
}

fn is_known(world: &World, shown: Option<&header::HeaderValue>) -> bool {
    let Some((user, password)) = &world.user else { return true };
    let encoded = json!(k8s_openapi::ByteString(format!("{user}:{password}").into_bytes()));
    let wanted = format!("Basic {}", encoded.as_str().unwrap());
    shown.is_some_and(|shown| shown.as_bytes() == wanted.as_bytes())
}

fn respond(world: &mut World, method: &Method, segments: &[&str], body: &Value, now: i64) -> Answer {
    match (method.as_str(), segments) {
        ("GET", ["config"]) => (200, answers::config(world)),
        ("GET", ["overview"]) => (200, answers::overview(world)),
        ("GET", ["jobmanager", "config"]) => (200, answers::settings(world)),
        ("GET", ["jobs", "overview"]) => (200, answers::jobs(world)),
        ("GET", ["taskmanagers"]) => (200, answers::task_managers(world, now)),
        ("GET", ["jars"]) => {
            (200, json!({"files": [{"id": JAR, "name": "enrich.jar", "uploaded": 1_795_298_864_966_i64}]}))
        }
        ("POST", ["jars", _, "plan"]) => {
            let nodes = VERTICES.iter().map(|(id, _)| json!({"id": id, "parallelism": body["parallelism"]}));
            (200, json!({"plan": {"nodes": nodes.collect::<Vec<_>>()}}))
        }
        ("POST", ["jars", _, "run"]) => run(world, body, now),
        ("POST", ["savepoint-disposal"]) => dispose(world, body, now),
        ("GET", ["savepoint-disposal", _]) => (200, json!({"status": {"id": "COMPLETED"}, "operation": {}})),
        (_, ["jobs", id, rest @ ..]) => of_job(world, method, id, rest, body, now),
        _ => (404, answers::error("org.apache.flink.runtime.rest.handler.RestHandlerException", "Not found")),
    }
}

fn text<'a>(body: &'a Value, field: &str) -> Option<&'a str> {
    body[field].as_str()
}

fn run(world: &mut World, body: &Value, now: i64) -> Answer {
    let arguments: Vec<&str> =
        body["programArgsList"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let name = arguments.iter().position(|one| *one == "--name").and_then(|at| arguments.get(at + 1)).copied();
    let id = text(body, "jobId").unwrap_or("00000000000000000000000000000001");
    let parallelism = body["parallelism"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    if world.run(id, name.unwrap_or("unnamed"), parallelism, text(body, "savepointPath"), now) {
        return (200, json!({"jobid": id, "applicationId": id}));
    }
    let class = "org.apache.flink.runtime.client.DuplicateApplicationSubmissionException";
    (400, answers::error(class, "it was submitted before"))
}

fn dispose(world: &mut World, body: &Value, now: i64) -> Answer {
    world.dispose(text(body, "savepoint-path").unwrap_or_default(), now);
    (200, json!({"request-id": "454dc62e90144965dff7a605dafaa7e4"}))
}

fn of_job(world: &mut World, method: &Method, id: &str, rest: &[&str], body: &Value, now: i64) -> Answer {
    let unknown = || {
        let text = format!("Could not find Flink job ({id})");
        (404, answers::error("org.apache.flink.runtime.messages.FlinkJobNotFoundException", &text))
    };
    let adaptive = world.manners.adaptive;
    if let ("POST", [what @ ("checkpoints" | "savepoints" | "stop")]) = (method.as_str(), rest) {
        let (kind, directory) = match *what {
            "checkpoints" => (Kind::Checkpoint, "file:///checkpoints"),
            "savepoints" => (Kind::Savepoint, text(body, "target-directory").unwrap_or("file:///savepoints")),
            _ => (Kind::Stop, text(body, "targetDirectory").unwrap_or("file:///savepoints")),
        };
        let trigger = text(body, "triggerId").unwrap_or("00000000000000000000000000000002");
        // Flink takes every trigger.
        world.trigger(id, trigger, kind, directory, now);
        return (202, json!({ "request-id": trigger }));
    }
    if method == Method::PATCH {
        return if world.cancel(id, now) { (202, json!({})) } else { unknown() };
    }
    if let ("PUT", ["resource-requirements"]) = (method.as_str(), rest) {
        return put(world, id, body, now);
    }
    let Some(job) = world.jobs.iter().find(|job| job.id == id) else { return unknown() };
    match rest {
        [] => (200, answers::job(job, adaptive, now)),
        ["status"] => (200, json!({ "status": job.state.name() })),
        ["checkpoints"] => (200, answers::checkpoints(job)),
        ["checkpoints", "config"] => (200, answers::checkpoint_config(world)),
        ["checkpoints", trigger] => polled(job, trigger, "failureCause"),
        ["savepoints", trigger] => polled(job, trigger, "failure-cause"),
        ["resource-requirements"] if adaptive && job.state.live() => (200, answers::requirements(job)),
        ["resource-requirements"] => {
            (500, answers::error("java.lang.UnsupportedOperationException", "The DefaultScheduler does not support it"))
        }
        ["metrics"] => (200, json!([{"id": "numRestarts", "value": job.restarts.to_string()}])),
        _ => (404, answers::error("org.apache.flink.runtime.rest.handler.RestHandlerException", "Not found")),
    }
}

fn polled(job: &Job, trigger: &str, cause: &str) -> Answer {
    if let Some(known) = job.triggers.get(trigger) {
        return (200, answers::progress(known, cause));
    }
    let text = format!("There is no savepoint operation with triggerId={trigger} for job {}.", job.id);
    (404, answers::error("org.apache.flink.runtime.rest.handler.RestHandlerException", &text))
}

/// Upper bounds, all of them or none.
fn put(world: &mut World, id: &str, body: &Value, now: i64) -> Answer {
    let bounds: Option<Vec<(&str, u32)>> = VERTICES
        .iter()
        .map(|(vertex, _)| Some((*vertex, u32::try_from(body[*vertex]["parallelism"]["upperBound"].as_i64()?).ok()?)))
        .collect();
    let class = "org.apache.flink.runtime.rest.handler.RestHandlerException";
    let Some(bounds) = bounds.filter(|bounds| bounds.iter().all(|(_, upper)| (1..=24).contains(upper))) else {
        return (400, answers::error(class, "The request is incomplete, missing job vertex resource requirements."));
    };
    world.note(now, format!("requirements {:?}", bounds.iter().map(|(_, upper)| *upper).collect::<Vec<_>>()));
    match world.jobs.iter_mut().find(|job| job.id == id && job.state.live()) {
        Some(job) => {
            job.upper = bounds.into_iter().map(|(vertex, upper)| (vertex.to_owned(), upper)).collect();
            (200, json!({}))
        }
        None => {
            (404, answers::error("org.apache.flink.runtime.messages.FlinkJobNotFoundException", "Could not find it"))
        }
    }
}
