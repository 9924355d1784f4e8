//! A server between an operator and the API server: what the operator changes there are steps of a [`Wire`], so that the operator can be
//! killed exactly before or after one of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::scripted_wire::Wire;
use crate::cluster::{runtime, wait_for};

/// Hears of a number of replicas before it is written.
pub(crate) type Listener = Box<dyn Fn(i64) + Send + Sync>;

/// Passes everything on, with the credential of a kubeconfig.
pub(crate) struct ScriptedGate {
    address: String,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

struct Inner {
    client: Client,
    wire: Wire,
    /// Who hears of writes of replicas, by Deployment.
    listeners: Mutex<BTreeMap<String, Listener>>,
}

impl ScriptedGate {
    /// A gate to where this kubeconfig leads.
    pub(crate) fn to(kubeconfig: &Path, wire: &Wire) -> Self {
        let file = Kubeconfig::read_from(kubeconfig).unwrap();
        wait_for(async {
            let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
            let client = Client::try_from(config).unwrap();
            let inner = Arc::new(Inner { client, wire: wire.clone(), listeners: Mutex::default() });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let router = axum::Router::new().fallback(pass).with_state(inner.clone());
            let task = runtime().spawn(async move { axum::serve(listener, router).await.unwrap() });
            Self { address, inner, task }
        })
    }

    /// Its address, as a kubeconfig names it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// From now on this hears of replicas of a Deployment before they are written.
    pub(crate) fn listen(&self, deployment: &str, listener: Listener) {
        self.listeners().insert(deployment.to_owned(), listener);
    }

    /// Nobody hears of them any more.
    pub(crate) fn forget(&self, deployment: &str) {
        self.listeners().remove(deployment);
    }

    fn listeners(&self) -> MutexGuard<'_, BTreeMap<String, Listener>> {
        self.inner.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ScriptedGate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    // The client adds its own.
    for name in [header::AUTHORIZATION, header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let step = step(&parts.method, parts.uri.path(), &body);
    let Ok(passing) = inner.wire.arrive(step.as_deref()).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    if let Some(replicas) = step.as_deref().and_then(|step| step.strip_prefix("scale ")?.parse().ok()) {
        let deployment = parts.uri.path().split('/').rev().nth(1).unwrap_or_default();
        let listeners = inner.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.get(deployment).inspect(|listener| listener(replicas));
    }
    let asked = axum::http::Request::from_parts(parts, kube::client::Body::from(body));
    let send = async move {
        let answer = inner.client.send(asked).await;
        if passing.leave().await.is_err() {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        match answer {
            Ok(answer) => answer.map(Body::new),
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    };
    // On its own: what has arrived is done, whether somebody still waits for the answer or not.
    tokio::spawn(send).await.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}

/// The name of a request that changes something for an operation: `store Applying/Patch`, `scale 1`, `mark`, `annotate`, `keep`.
fn step(method: &Method, path: &str, body: &Bytes) -> Option<String> {
    if method != Method::PATCH && method != Method::PUT {
        return None;
    }
    let read = || serde_json::from_slice::<Value>(body).unwrap_or_default();
    if path.contains("/scalerecords/") {
        return stored(&read());
    }
    if path.contains("/deployments/") {
        let scale = path.ends_with("/scale");
        return Some(if scale { format!("scale {}", read()["spec"]["replicas"]) } else { "annotate".to_owned() });
    }
    if path.contains("/scaledobjects/") && !path.ends_with("/status") {
        return Some("keep".to_owned());
    }
    path.contains("/pods/").then(|| "mark".to_owned())
}

/// Which phase and which stage of an operation a store is of, or after which operation it is the first one without; none if none ever began.
fn stored(body: &Value) -> Option<String> {
    let kept = &body["status"]["operation"];
    let read = |text: &Value| serde_json::from_str::<Value>(text.as_str()?).ok();
    let Some(operation) = read(&kept["state"]) else {
        return Some(format!("store over {}", read(&kept["aftermath"])?["sequence"]));
    };
    let whole = &operation["o"];
    let phase = whole["phase"].as_str().unwrap_or("?");
    let stage = whole["at"].as_u64().and_then(|at| whole["plan"][usize::try_from(at).ok()?].as_str());
    let back = if whole["rolling"].is_null() { "" } else { " back" };
    Some(match stage {
        Some(stage) => format!("store {phase}/{stage}{back}"),
        None => format!("store {phase}{back}"),
    })
}
