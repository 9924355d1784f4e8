//! The elector against an API server in this process that knows one Lease.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use axum::{Json, Router};
use serde::Deserialize;
use std::sync::atomic::Ordering::SeqCst;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

use super::*;

/// One Lease, its version and who watches it.
struct Fake {
    lease: Mutex<(Option<Value>, u64)>,
    news: broadcast::Sender<Value>,
    broken: AtomicBool,
    writes: AtomicUsize,
}

#[derive(Deserialize)]
struct Params {
    watch: Option<bool>,
}

impl Fake {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lease: Mutex::new((None, 1)),
            news: broadcast::Sender::new(64),
            broken: AtomicBool::new(false),
            writes: AtomicUsize::new(0),
        })
    }

    fn client(self: &Arc<Self>) -> Client {
        Client::new(self.router(), "own")
    }

    fn router(self: &Arc<Self>) -> Router {
        let base = "/apis/coordination.k8s.io/v1/namespaces/own/leases";
        Router::new()
            .route(base, get(list).post(create))
            .route(&format!("{base}/tidegate"), patch(merge).get(read))
            .with_state(self.clone())
    }

    /// Stores what `change` makes of the Lease; a conflict if `version` is not its version.
    fn write(&self, version: Option<&str>, kind: &str, change: impl FnOnce(Value) -> Value) -> Response {
        let mut lease = self.lease.lock().unwrap();
        let known = lease.0.as_ref().map(|lease| lease["metadata"]["resourceVersion"].as_str().unwrap().to_owned());
        if known.as_deref() != version {
            return status(StatusCode::CONFLICT);
        }
        lease.1 += 1;
        let mut new = change(lease.0.take().unwrap_or_default());
        new["apiVersion"] = "coordination.k8s.io/v1".into();
        new["kind"] = "Lease".into();
        new["metadata"]["namespace"] = "own".into();
        new["metadata"]["resourceVersion"] = lease.1.to_string().into();
        lease.0 = Some(new.clone());
        let _ = self.news.send(json!({ "type": kind, "object": new }));
        Json(new).into_response()
    }

    fn holder(&self) -> String {
        let lease = self.lease.lock().unwrap();
        lease
            .0
            .as_ref()
            .and_then(|lease| lease["spec"]["holderIdentity"].as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

fn status(code: StatusCode) -> Response {
    let reason = if code == StatusCode::NOT_FOUND { "NotFound" } else { "Conflict" };
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason,
        "code": code.as_u16() });
    (code, Json(body)).into_response()
}

async fn list(State(fake): State<Arc<Fake>>, Query(params): Query<Params>) -> Response {
    let lease = fake.lease.lock().unwrap();
    if params.watch != Some(true) {
        let items: Vec<&Value> = lease.0.iter().collect();
        let list = json!({ "kind": "LeaseList", "apiVersion": "coordination.k8s.io/v1",
            "metadata": { "resourceVersion": lease.1.to_string() }, "items": items });
        return Json(list).into_response();
    }
    let news = fake.news.subscribe();
    let lines = futures::stream::unfold(news, |mut news| async move {
        let event = news.recv().await.ok()?;
        Some((Ok::<_, Infallible>(Bytes::from(format!("{event}\n"))), news))
    });
    Response::new(Body::from_stream(lines))
}

async fn read(State(fake): State<Arc<Fake>>) -> Response {
    let lease = fake.lease.lock().unwrap();
    lease.0.clone().map_or_else(|| status(StatusCode::NOT_FOUND), |lease| Json(lease).into_response())
}

async fn create(State(fake): State<Arc<Fake>>, Json(body): Json<Value>) -> Response {
    if fake.broken.load(SeqCst) {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    }
    fake.write(None, "ADDED", |_| body)
}

async fn merge(State(fake): State<Arc<Fake>>, body: Bytes) -> Response {
    fake.writes.fetch_add(1, SeqCst);
    if fake.broken.load(SeqCst) {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let version = body["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    fake.write(Some(&version), "MODIFIED", |mut lease| {
        for (key, value) in body["spec"].as_object().unwrap() {
            lease["spec"][key] = value.clone();
        }
        lease
    })
}

/// Short times: the tests shall not wait. `duration` is in whole seconds on the wire.
const TIMES: Times =
    Times { duration: Duration::from_secs(1), deadline: Duration::from_millis(600), retry: Duration::from_millis(100) };

struct Running {
    tenure: watch::Receiver<Tenure>,
    term: Term,
    vacate: oneshot::Sender<()>,
    task: JoinHandle<Result<(), LeaseLost>>,
}

fn start(fake: &Arc<Fake>, identity: &str) -> Running {
    start_with(fake, identity, TIMES)
}

fn start_with(fake: &Arc<Fake>, identity: &str, times: Times) -> Running {
    let elector = Elector::new(fake.client(), "own", identity, times);
    let (vacate, vacated) = oneshot::channel::<()>();
    let (tenure, term) = (elector.tenure(), elector.term());
    let task = tokio::spawn(elector.run(async { vacated.await.unwrap_or_default() }));
    Running { tenure, term, vacate, task }
}

impl Running {
    async fn held(&mut self) {
        let held = self.tenure.wait_for(|tenure| tenure.is_held());
        timeout(Duration::from_secs(10), held).await.expect("must hold the lease").unwrap();
    }
}

#[tokio::test]
async fn a_lease_that_is_given_back_is_taken_long_before_its_time() {
    // The lease lasts an hour: whoever gets it within the 10 s that are waited here was told.
    let times = Times { duration: Duration::from_hours(1), deadline: Duration::from_mins(30), ..TIMES };
    let fake = Fake::new();
    let mut first = start_with(&fake, "a", times);
    first.held().await;
    let mut second = start_with(&fake, "b", times);
    // It follows once it has seen who holds the Lease.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(*second.tenure.borrow(), Tenure::Standby);
    first.vacate.send(()).unwrap();
    second.held().await;
    assert_eq!(fake.holder(), "b");
}

#[tokio::test]
async fn a_lease_is_created_renewed_and_handed_over_at_once() {
    let fake = Fake::new();
    let mut first = start(&fake, "a");
    first.held().await;
    assert_eq!(*first.tenure.borrow(), Tenure::HELD, "nobody was there before");
    assert!(!first.term.left().is_zero());
    let mut second = start(&fake, "b");
    // Longer than the lease lasts: only renewals keep the second one away.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((*second.tenure.borrow(), fake.holder().as_str()), (Tenure::Standby, "a"));
    assert!(second.term.left().is_zero(), "a follower may not write");
    assert!(fake.writes.load(SeqCst) >= 5);

    let asked = jiff::Timestamp::now();
    first.vacate.send(()).unwrap();
    second.held().await;
    let Tenure::Held { alive: Some(alive) } = *second.tenure.borrow() else { panic!("somebody was there before") };
    // What the Lease says has whole microseconds.
    assert!(alive >= asked - jiff::SignedDuration::from_micros(1) && alive <= jiff::Timestamp::now(), "{alive}");
    assert_eq!(first.task.await.unwrap(), Ok(()));
    assert_eq!(fake.holder(), "b");
    assert!(first.term.left().is_zero());
    let lease = fake.lease.lock().unwrap().0.clone().unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
}

#[tokio::test]
async fn a_holder_that_cannot_renew_ends_before_another_begins() {
    let fake = Fake::new();
    let mut holder = start(&fake, "a");
    holder.held().await;
    fake.broken.store(true, SeqCst);
    let lost = timeout(Duration::from_secs(10), holder.task).await.unwrap().unwrap().unwrap_err();
    assert!(lost.to_string().contains("own/tidegate is lost: it could not be renewed within 0.6 s"), "{lost}");
    assert!(holder.term.left().is_zero());
    fake.broken.store(false, SeqCst);
    let mut other = start(&fake, "b");
    other.held().await;
}

#[tokio::test]
async fn a_label_on_the_lease_costs_nothing_but_another_holder_ends_the_tenure() {
    let fake = Fake::new();
    let mut holder = start(&fake, "a");
    holder.held().await;
    let version = || fake.lease.lock().unwrap().1.to_string();
    for _ in 0..20 {
        // It may be renewed between the two: then nothing was written.
        let _ = fake.write(Some(&version()), "MODIFIED", |mut lease| {
            lease["metadata"]["labels"] = json!({ "a": "b" });
            lease
        });
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(!holder.task.is_finished() && !holder.term.left().is_zero());

    while fake.holder() == "a" {
        let _ = fake.write(Some(&version()), "MODIFIED", |mut lease| {
            lease["spec"]["holderIdentity"] = "thief".into();
            lease
        });
    }
    let lost = timeout(Duration::from_millis(500), holder.task).await.expect("it learns it from the watch").unwrap();
    assert_eq!(lost.unwrap_err().why, "thief has taken it");
}

#[tokio::test]
async fn a_fenced_client_writes_within_its_term_only() {
    let fake = Fake::new();
    let term = Term::none();
    let client = kube::client::ClientBuilder::new(fake.router(), "own").with_layer(&Fence(term.clone())).build();
    let leases: Api<Lease> = Api::namespaced(client, "own");
    let lease =
        Lease { metadata: kube::api::ObjectMeta { name: Some(LEASE.to_owned()), ..Default::default() }, spec: None };
    let refused = leases.create(&PostParams::default(), &lease).await.unwrap_err();
    assert!(format!("{refused:?}").contains("TermOver"), "{refused:?}");
    assert!(leases.get_opt(LEASE).await.unwrap().is_none(), "reading is allowed, and nothing was written");
    term.set_end(Instant::now() + Duration::from_mins(1));
    leases.create(&PostParams::default(), &lease).await.unwrap();
}
