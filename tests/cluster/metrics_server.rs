//! The metrics APIs of a cluster, served by the test: metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.
//!
//! The API server passes questions on to it, as to any aggregated API: over HTTPS, by an APIService for each version. What it answers is
//! made at the moment of the question from what a scenario has said last ([`values`]) and from the pods that are there ([`answers`]).

mod answers;
mod listener;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::{Store, store};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt as _, reflector};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinHandle;

use self::answers::Question;
use self::listener::Secure;
pub(crate) use self::values::{Metric, Rule};
use super::control_plane::ControlPlane;
use super::{SOON, runtime, wait_for};
use crate::harness::wait::eventually;

/// Where its Service stands.
const NAMESPACE: &str = "metrics-server";
/// The Service that the APIServices name.
const SERVICE: &str = "metrics";
/// The versions that are served, as `GROUP/VERSION`.
const VERSIONS: [(&str, &str); 4] = [
    ("metrics.k8s.io", "v1beta1"),
    ("custom.metrics.k8s.io", "v1beta2"),
    ("custom.metrics.k8s.io", "v1beta1"),
    ("external.metrics.k8s.io", "v1beta1"),
];
/// By which header the API server says who asks.
const USER: &str = "x-remote-user";

/// The server. It ends when it is dropped.
pub(crate) struct MetricsServer {
    inner: Arc<Inner>,
    tasks: [JoinHandle<()>; 2],
}

struct Inner {
    pods: Store<Pod>,
    /// What each metric of a namespace says now.
    rules: Mutex<BTreeMap<(String, Metric), Rule>>,
    /// What was asked for values, in order.
    asked: Mutex<Vec<Asked>>,
}

/// One question for values.
struct Asked {
    user: String,
    group: String,
    namespace: String,
    at: Instant,
}

impl MetricsServer {
    /// Starts it for a control plane, and waits until the API server passes questions on to it.
    pub(crate) fn start(plane: &ControlPlane) -> Self {
        // The API server checks that it talks to the Service it was told of.
        let own = rcgen::generate_simple_self_signed(vec![format!("{SERVICE}.{NAMESPACE}.svc")]).unwrap();
        let client = plane.client().clone();
        let (server, address) = wait_for(async {
            let listener = Secure::bind(&own).await;
            let address = axum::serve::Listener::local_addr(&listener).unwrap();
            (Self::serve(client, listener), address)
        });
        register(plane, address, &own.cert.pem());
        server
    }

    fn serve(client: Client, listener: Secure) -> Self {
        let (pods, writer) = store();
        let inner = Arc::new(Inner { pods, rules: Mutex::default(), asked: Mutex::default() });
        let router = axum::Router::new().fallback(answer).with_state(inner.clone());
        let changes = watcher(Api::<Pod>::all(client), watcher::Config::default()).default_backoff();
        let follow = reflector(writer, changes).for_each(|_| async {});
        let serve = async move { axum::serve(listener, router).await.unwrap() };
        Self { inner, tasks: [runtime().spawn(follow), runtime().spawn(serve)] }
    }

    /// From now on a metric of a namespace says this.
    pub(crate) fn say(&self, namespace: &str, metric: Metric, rule: Rule) {
        lock(&self.inner.rules).insert((namespace.to_owned(), metric), rule);
    }

    /// How often users whose name begins so have asked a group for values.
    pub(crate) fn asked(&self, user: &str, group: &str) -> usize {
        lock(&self.inner.asked).iter().filter(|asked| asked.user.starts_with(user) && asked.group == group).count()
    }

    /// The longest time, from a moment until now, in which users whose name begins so have asked nothing about a namespace.
    pub(crate) fn longest_pause(&self, user: &str, namespace: &str, since: Instant) -> Duration {
        let asked = lock(&self.inner.asked);
        let ours = asked.iter().filter(|one| one.user.starts_with(user) && one.namespace == namespace);
        let times = ours.map(|one| one.at).filter(|at| *at >= since);
        let times: Vec<Instant> = [since].into_iter().chain(times).chain([Instant::now()]).collect();
        times.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0])).max().unwrap_or_default()
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Tells the API server of it: one Service outside of the cluster, one APIService a version.
fn register(plane: &ControlPlane, address: SocketAddr, certificate: &str) {
    let bundle = ByteString(certificate.into());
    let services = VERSIONS.iter().zip(1..).map(|((group, version), place)| {
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": format!("{version}.{group}")},
            "spec": {
                "group": group, "version": version, "caBundle": bundle,
                "groupPriorityMinimum": 100, "versionPriority": 100 / place,
                "service": {"namespace": NAMESPACE, "name": SERVICE, "port": address.port()},
            },
        })
    });
    let own = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let outside = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": NAMESPACE, "name": SERVICE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    let items: Vec<_> = [own, outside].into_iter().chain(services).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let output = plane.kubectl(&["apply", "-f", "-"], &list);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (group, version) in VERSIONS {
        let path = format!("/apis/{group}/{version}");
        eventually(SOON, &format!("an answer at {path}"), || {
            plane.kubectl(&["get", "--raw", &path], "").status.success().then_some(())
        });
    }
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    Query(parameters): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    // The only sign that clients write in another way is the star.
    let path = request.uri().path().replace("%2A", "*");
    let words: Vec<&str> = path.trim_matches('/').split('/').collect();
    let Some(user) = headers.get(USER).and_then(|user| user.to_str().ok()) else {
        return refused(StatusCode::UNAUTHORIZED, "who asks is not said: ask the API server");
    };
    let rules = lock(&inner.rules).clone();
    let question = Question { words: &words, parameters: &parameters, rules: &rules, pods: &inner.pods.state() };
    if let ["apis", group, _, "namespaces", namespace, ..] = words[..] {
        let (user, group, namespace) = (user.to_owned(), group.to_owned(), namespace.to_owned());
        lock(&inner.asked).push(Asked { user, group, namespace, at: Instant::now() });
    }
    match question.answer() {
        Ok(answer) => Json(answer).into_response(),
        Err((code, why)) => refused(code, &why),
    }
}

/// A refusal as Kubernetes writes it.
fn refused(code: StatusCode, why: &str) -> Response {
    let reason = match code {
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::UNAUTHORIZED => "Unauthorized",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": why, "reason": reason,
        "code": code.as_u16(),
    });
    (code, Json(status)).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
