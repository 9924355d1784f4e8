//! Triggers on what the cluster itself knows, on a real API server: pods of another workload, a number in a ConfigMap or a Secret, the pods
//! behind a Service, and the connections that pods hold. What is watched costs no request a poll.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::objects::Deployment;
use super::operator::{Account, Operator, until_held};
use super::space::Space;
use super::{SOON, runtime, trial, wait_for};
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("workloads::pods_and_plans_are_followed_without_a_request_a_poll", followed),
        trial("workloads::a_silent_pod_lowers_nothing", connections),
        trial("workloads::the_pods_behind_a_service_are_asked", behind_a_service),
    ]
}

/// A ScaledObject that looks every second and lowers at once, with one trigger. Its target is the Deployment of its name.
fn scaled(name: &str, kind: &str, metadata: &Value) -> Value {
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name}, "pollingInterval": 1, "cooldownPeriod": 3, "maxReplicaCount": 10,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}},
            "triggers": [{"type": kind, "metadata": metadata}],
        },
    })
}

/// Applies such objects and their targets.
fn scale_by(space: &Space, objects: &[Value]) {
    for object in objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        space.deploy(&Deployment { name, ..Deployment::default() });
        space.apply(&object.to_string());
    }
}

fn plan(space: &Space, data: &Value) {
    space.merge("configmaps", "plan", &json!({ "data": data }));
}

fn followed() {
    let space = Space::new("workloads");
    space.deploy(&Deployment { name: "source", replicas: 4, ..Deployment::default() });
    space.until_ready("source", 4);
    let data = json!({"visitors": "250", "go": "0"});
    space.apply(
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plan"}, "data": data}).to_string(),
    );
    let text = json!({"limits": r#"{"open":{"most":"0.2k"}}"#});
    space.apply(
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "plan"}, "stringData": text}).to_string(),
    );
    let number =
        |key: &str| json!({"resourceKind": "ConfigMap", "resourceName": "plan", "key": key, "targetValue": "100"});
    let limits = json!({
        "resourceKind": "Secret", "resourceName": "plan", "key": "limits", "format": "json", "valueLocation": "open.most",
        "valueType": "quantity", "targetValue": "100",
    });
    let mut pushed = scaled("pushed", "kubernetes-resource", &number("go"));
    pushed["spec"]["pollingInterval"] = json!(3600);
    let nodes = json!({"podSelector": "app in (source),!other", "groupByNode": "true", "value": "0.5"});
    let objects = [
        scaled("workers", "kubernetes-workload", &json!({"podSelector": "app=source", "value": "2"})),
        scaled("nodes", "kubernetes-workload", &nodes),
        scaled("planned", "kubernetes-resource", &number("visitors")),
        scaled("limited", "kubernetes-resource", &limits),
        pushed,
    ];
    scale_by(&space, &objects);
    let operator = Account::new(&space).start();
    until_held(&space, None);
    // 4 pods are two for each of 2; one node is two halves; 250 are three hundreds; 0.2k are two.
    for (name, replicas) in [("workers", 2), ("nodes", 2), ("planned", 3), ("limited", 2)] {
        space.until_replicas(name, replicas);
    }
    space.until_condition("pushed", "Active", "False");
    space.scale("source", 8);
    space.until_replicas("workers", 4);
    plan(&space, &json!({"visitors": "600"}));
    space.until_replicas("planned", 6);
    // Its next poll would come in an hour.
    plan(&space, &json!({"go": "300"}));
    space.until_replicas("pushed", 3);
    no_request_a_poll(&space, &operator);

    plan(&space, &json!({"visitors": "12abc"}));
    until_failed(&space, "planned", "TriggerConfig");
    throughout(Duration::from_secs(5), || match space.replicas("planned") {
        Some(6) => Ok(()),
        other => Err(format!("{other:?} replicas by a text that is no number")),
    });
    plan(&space, &json!({"visitors": "50"}));
    space.until_replicas("planned", 1);
    plan(&space, &json!({"visitors": "0"}));
    space.until_replicas("planned", 0);
    space.scale("source", 0);
    space.until_replicas("workers", 0);
    space.until_replicas("nodes", 0);
    space.scale("source", 1);
    space.until_replicas("workers", 1);
    space.delete("configmaps", "plan");
    until_failed(&space, "planned", "TriggerConfig");
}

/// Waits until the record of an object says that its trigger fails for this reason.
fn until_failed(space: &Space, name: &str, reason: &str) {
    let what = format!("triggers[0] ({reason}) cannot be read");
    space.until("scalerecords", name, &format!("{what} of {name}"), |record| record.to_string().contains(&what));
}

/// A watch is asked anew every minute at most: in 20 polls of five triggers there is nearly nothing.
fn no_request_a_poll(space: &Space, operator: &Operator) {
    // What became of the writes is recorded first.
    let quiet = || {
        let begun = space.plane().audit().now();
        std::thread::sleep(Duration::from_secs(10));
        (operator.requests(begun).writes().without_lease().count() == 0).then_some(())
    };
    eventually(SOON, "a quiet time", quiet);
    let begun = space.plane().audit().now();
    std::thread::sleep(Duration::from_secs(20));
    let requests = operator.requests(begun);
    println!("asked in 20 s while nothing changed: {:?}", requests.counts());
    for (resource, most) in [("pods", 1), ("configmaps", 1), ("secrets", 1)] {
        let asked = requests.of(resource);
        assert!(asked.count() <= most && asked.0.iter().all(|request| request.verb == "watch"), "{asked}");
    }
    assert!(requests.0.iter().all(|request| request.code != 403), "{requests}");
    assert_eq!(requests.writes().without_lease().count(), 0, "{requests}\n{}", operator.log());
}

/// An HTTP server that gives one answer to everything; it ends when it is dropped.
struct Says {
    port: u16,
    answer: Arc<Mutex<(StatusCode, String)>>,
    task: AbortHandle,
}

impl Says {
    fn at(address: IpAddr, first: &str) -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, first.to_owned())));
        let said = answer.clone();
        let listener = wait_for(TcpListener::bind(SocketAddr::new(address, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(move || {
            let said = said.lock().unwrap().clone();
            async move { said.into_response() }
        });
        let task = runtime().spawn(async move { axum::serve(listener, router).await.unwrap() }).abort_handle();
        Self { port, answer, task }
    }

    fn say(&self, status: StatusCode, answer: &str) {
        *self.answer.lock().unwrap() = (status, answer.to_owned());
    }
}

impl Drop for Says {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Fails as soon as a target has other replicas than these.
fn stays(space: &Space, name: &str, replicas: i64) {
    throughout(Duration::from_secs(8), || match space.replicas(name) {
        Some(count) if count == replicas => Ok(()),
        other => Err(format!("{other:?} replicas instead of {replicas}")),
    });
}

/// All pods have the address of this machine, so one server speaks for each of them.
fn connections() {
    let space = Space::new("connections");
    let pods = Says::at(Ipv4Addr::LOCALHOST.into(), "ws_open 40\n");
    let metadata =
        json!({"source": "pods", "port": pods.port.to_string(), "valueLocation": "ws_open", "targetValue": "100"});
    let mut object = scaled("sockets", "websocket", &metadata);
    object["spec"]["minReplicaCount"] = json!(1);
    object["spec"]["maxReplicaCount"] = json!(4);
    scale_by(&space, &[object]);
    space.scale("sockets", 2);
    space.until_ready("sockets", 2);
    let _operator = Account::new(&space).start();
    until_held(&space, None);
    // Two pods hold 40 each: one replica is enough for 80.
    space.until_replicas("sockets", 1);
    // One pod holds 250: three replicas; three pods with as many ask for more than the maximum.
    pods.say(StatusCode::OK, "ws_open 250\n");
    space.until_replicas("sockets", 4);
    space.until_ready("sockets", 4);
    // They fall silent: nobody knows what they hold, and nothing is lowered.
    pods.say(StatusCode::SERVICE_UNAVAILABLE, "");
    until_failed(&space, "sockets", "TriggerUnavailable");
    stays(&space, "sockets", 4);
    // Four pods with 10 connections each need one replica.
    pods.say(StatusCode::OK, "ws_open 10\n");
    space.until_replicas("sockets", 1);
    space.until_condition("sockets", "Ready", "True");
}

/// An address of this machine that an EndpointSlice may have: none on loopback.
fn own_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the system only chooses the address from which it would be.
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => Some(address),
        _ => None,
    }
}

fn behind_a_service() {
    let Some(address) = own_address() else {
        println!("skipped: cluster::workloads needs an address of this machine other than loopback");
        return;
    };
    let space = Space::new("behind");
    let pods = Says::at(address.into(), r#"{"waiting":30}"#);
    let slice = |name: &str, endpoints: Value| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"name": "http", "port": pods.port, "protocol": "TCP"}], "endpoints": endpoints,
        })
    };
    let ready = |address: &str, ready: bool| json!({"addresses": [address], "conditions": {"ready": ready}});
    let own = address.to_string();
    // Nobody answers at 198.51.100.1: an endpoint that is not ready is not asked. One that moves between slices is in both.
    space.apply(&slice("web-1", json!([ready(&own, true), ready("198.51.100.1", false)])).to_string());
    space.apply(&slice("web-2", json!([ready(&own, true)])).to_string());
    let mut other = slice("other", json!([ready("198.51.100.1", true)]));
    other["metadata"]["labels"]["kubernetes.io/service-name"] = json!("other");
    space.apply(&other.to_string());
    let metadata = json!({
        "url": format!("http://web.{}:{}/stats", space.name(), pods.port), "valueLocation": "waiting", "targetValue": "10",
        "aggregateFromKubeServiceEndpoints": "true", "aggregationType": "sum",
    });
    scale_by(&space, &[scaled("web", "metrics-api", &metadata)]);
    let begun = space.plane().audit().now();
    let operator = Account::new(&space).start();
    until_held(&space, None);
    // 30 at 10 each, counted once.
    space.until_replicas("web", 3);
    pods.say(StatusCode::OK, r#"{"waiting":50}"#);
    space.until_replicas("web", 5);
    // Nobody is ready any more: that is no zero.
    space.apply(&slice("web-1", json!([ready(&own, false)])).to_string());
    space.apply(&slice("web-2", json!([])).to_string());
    until_failed(&space, "web", "TriggerUnavailable");
    stays(&space, "web", 5);
    space.apply(&slice("web-2", json!([ready(&own, true)])).to_string());
    pods.say(StatusCode::OK, r#"{"waiting":5}"#);
    space.until_replicas("web", 1);
    let listed = operator.requests(begun).of("endpointslices");
    assert!(listed.count() > 0 && listed.0.iter().all(|request| request.code == 200), "{listed}");
}
