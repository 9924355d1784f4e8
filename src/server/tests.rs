//! The server over a real socket, with snapshots in the engine's place.

use std::net::SocketAddr;

use serde_json::Value;
use tidegate_calculator::source::Problem;
use tidegate_engine::snapshot::Phase;
use tidegate_engine::subject::{Finding, Severity};

use super::fixtures::snapshot;
use super::*;

/// Snapshots in an engine's place; none is an engine that has ended.
struct Still(Option<Vec<Snapshot>>);

#[async_trait]
impl Engine for Still {
    async fn ask(&self, object: Option<ObjectId>) -> Option<Vec<Snapshot>> {
        let mut objects = self.0.clone()?;
        objects.retain(|known| object.as_ref().is_none_or(|wanted| *wanted == known.id));
        Some(objects)
    }

    async fn synced(&self) -> bool {
        self.0.is_some()
    }

    fn tally(&self) -> Tally {
        Tally::default()
    }
}

/// An engine that never answers.
struct Stuck;

#[async_trait]
impl Engine for Stuck {
    async fn ask(&self, _object: Option<ObjectId>) -> Option<Vec<Snapshot>> {
        std::future::pending().await
    }

    async fn synced(&self) -> bool {
        std::future::pending().await
    }

    fn tally(&self) -> Tally {
        Tally::default()
    }
}

/// A server over these snapshots; dropping the sender ends it.
pub(crate) async fn start(objects: Option<Vec<Snapshot>>) -> (SocketAddr, oneshot::Sender<()>) {
    start_engine(Arc::new(Still(objects)), REQUEST_TIME).await
}

async fn start_engine(engine: Arc<dyn Engine>, time: Duration) -> (SocketAddr, oneshot::Sender<()>) {
    start_paths(engine, Paths::All, time).await
}

async fn start_paths(engine: Arc<dyn Engine>, paths: Paths, time: Duration) -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve_engine(listener, engine, paths, time, async move {
        stopped.await.unwrap_or_default();
    }));
    (address, stop)
}

async fn get_text(address: SocketAddr, path: &str) -> (u16, String, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("http://{address}{path}")).send().await.unwrap();
    let kind = answer.headers().get("content-type").unwrap().to_str().unwrap().to_owned();
    (answer.status().as_u16(), kind, answer.text().await.unwrap())
}

async fn get_json(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, kind, text) = get_text(address, path).await;
    assert_eq!(kind, "application/json", "{text}");
    (status, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn health_metrics_and_objects_are_served() {
    let (address, _stop) = start(Some(vec![snapshot("mails", 1), snapshot("orders", 3)])).await;
    assert_eq!(get_text(address, "/healthz").await.0, 200);
    assert_eq!(get_text(address, "/readyz").await.0, 200);
    let (status, kind, text) = get_text(address, "/metrics").await;
    assert_eq!((status, kind.as_str()), (200, metrics::CONTENT_TYPE));
    assert!(text.contains(r#"tidegate_replicas{namespace="shop",scaledObject="orders"} 3.0"#), "{text}");
    let (status, all) = get_json(address, "/api/v1/objects").await;
    assert_eq!((status, all["objects"].as_array().unwrap().len()), (200, 2));
    assert!(all["objects"][0].get("explanation").is_none());
    let (status, one) = get_json(address, "/api/v1/objects/shop/orders").await;
    assert_eq!((status, &one["name"]), (200, &json!("orders")));
    assert!(one["explanation"]["heading"].is_string());
}

#[tokio::test]
async fn errors_are_json_and_name_what_there_is() {
    let (address, _stop) = start(Some(vec![snapshot("orders", 3)])).await;
    let (status, answer) = get_json(address, "/api/v1/objects/shop/order").await;
    assert_eq!((status, &answer["error"]["reason"]), (404, &json!("ObjectNotFound")));
    assert_eq!(answer["error"]["known"], json!(["shop/orders"]));
    assert_eq!(answer["error"]["message"], "there is no object shop/order; known: shop/orders");
    let (status, answer) = get_json(address, "/api/v2").await;
    assert_eq!((status, &answer["error"]["reason"]), (404, &json!("PathNotFound")));
    let all = "there is no /api/v2; there are /healthz, /readyz, /metrics, /api/v1/objects and /api/v1/objects/NAMESPACE/NAME";
    assert_eq!(answer["error"]["message"], all);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(format!("http://{address}/metrics")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 405);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"]["reason"], "MethodNotAllowed");
}

#[tokio::test]
async fn a_refused_object_shows_its_findings() {
    let mut object = snapshot("orders", 3);
    let problem = Problem { path: "triggers".into(), value: None, allowed: "must have at least one entry".into() };
    object.phase = Phase::Refused(vec![Finding { problem, severity: Severity::Error }]);
    object.subject = None;
    let (address, _stop) = start(Some(vec![object])).await;
    let (_, one) = get_json(address, "/api/v1/objects/shop/orders").await;
    let finding = json!({"severity": "error", "path": "triggers", "allowed": "must have at least one entry"});
    assert_eq!((&one["phase"], &one["findings"]), (&json!("Refused"), &json!([finding])));
}

#[tokio::test]
async fn an_engine_that_has_ended_is_not_ready() {
    let (address, _stop) = start(None).await;
    let (status, answer) = get_json(address, "/readyz").await;
    assert_eq!((status, &answer["error"]["reason"]), (503, &json!("NotReady")));
    let (status, answer) = get_json(address, "/api/v1/objects").await;
    assert_eq!((status, &answer["error"]["reason"]), (503, &json!("EngineEnded")));
    assert_eq!(get_text(address, "/healthz").await.0, 200);
}

#[tokio::test]
async fn requests_beyond_the_bound_are_turned_away_and_health_still_answers() {
    let (address, _stop) = start_engine(Arc::new(Stuck), Duration::from_secs(2)).await;
    let requests: Vec<_> = (0..REQUESTS * 2).map(|_| tokio::spawn(get_text(address, "/metrics"))).collect();
    assert_eq!(get_text(address, "/healthz").await.0, 200);
    let (mut busy, mut late) = (0, 0);
    for request in requests {
        let (status, _, text) = request.await.unwrap();
        assert_eq!(status, 503, "{text}");
        busy += usize::from(text.contains("ServerBusy"));
        late += usize::from(text.contains("RequestTimeout"));
    }
    assert_eq!(busy + late, REQUESTS * 2);
    assert!(busy > 0 && late >= REQUESTS, "{busy} were turned away, {late} waited in vain");
}

#[tokio::test]
async fn the_server_ends_when_told_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = serve_engine(listener, Arc::new(Still(None)), Paths::All, REQUEST_TIME, async {});
    timeout(Duration::from_secs(10), served).await.unwrap().unwrap();
}

/// One object over a source that always says 790, on the real driver.
mod world {
    use std::time::Instant;

    use super::*;
    use jiff::Timestamp;
    use tidegate_calculator::memory::checkpoint::Checkpoint;
    use tidegate_calculator::observation::TargetState;
    use tidegate_calculator::source::{
        ConfigError, Deadline, EndpointId, Milli, Occasion, Parameters, ReadError, Readings, TriggerSpec, Wake,
    };
    use tidegate_calculator::time::{Now, Tick};
    use tidegate_engine::driver::World;
    use tidegate_engine::ports::{Clock, Journal, NoOperations, Objects, Resolver, Sources, Target};
    use tidegate_engine::protocol::{ApplyError, Change, Entry, Event, JournalError, Seen, TargetError, Version};
    use tidegate_engine::subject::{References, TargetRef};

    use crate::simulation::scripted::{Said, Scripted};

    pub(super) struct Told(pub(super) Vec<Change>);
    pub(super) struct Always;
    pub(super) struct Fixed(Instant);

    pub(super) fn world(changes: Vec<Change>) -> World<Told, Always, Always, Always, NoOperations, Always, Fixed> {
        let always = Arc::new(Always);
        let [sources, resolver] = [always.clone(), always.clone()];
        let [target, journal] = [always.clone(), always];
        let (operations, clock) = (Arc::new(NoOperations), Arc::new(Fixed(Instant::now())));
        World { objects: Told(changes), sources, resolver, target, operations, journal, clock }
    }

    pub(super) fn changes() -> Vec<Change> {
        let subject = super::super::fixtures::subject("orders");
        let target = Change::Target(subject.target.clone(), Ok(seen()));
        vec![Change::Set(subject.into(), Checkpoint::default()), target, Change::Synced]
    }

    fn seen() -> Seen {
        Seen { state: TargetState { replicas: 8, existing: 8, ready: Some(8) }, version: Version::default() }
    }

    #[async_trait]
    impl Objects for Told {
        async fn next(&mut self) -> Option<Change> {
            if self.0.is_empty() { std::future::pending().await } else { Some(self.0.remove(0)) }
        }
    }

    #[async_trait]
    impl Sources for Always {
        type Source = Scripted;
        type Watch = ();

        fn open(&self, spec: &TriggerSpec, _: &Parameters) -> Result<Scripted, ConfigError> {
            Scripted::of(spec)
        }

        fn endpoint(&self, _: &Scripted) -> Option<EndpointId> {
            None
        }

        async fn read(&self, source: &Scripted, _: Occasion, _: Deadline) -> Result<Readings, ReadError> {
            source.answer(Said::Number(Milli::units(790)), seen().state)
        }

        fn watch(&self, _: &Scripted, _: Wake) -> Option<()> {
            None
        }
    }

    #[async_trait]
    impl Resolver for Always {
        async fn resolve(&self, _: &References) -> Result<Parameters, ReadError> {
            Ok(Parameters::default())
        }
    }

    #[async_trait]
    impl Target for Always {
        async fn refresh(&self, _: &TargetRef) -> Result<Seen, TargetError> {
            Ok(seen())
        }

        async fn apply(&self, _: &TargetRef, _: u32, version: &Version) -> Result<Version, ApplyError> {
            Ok(version.clone())
        }
    }

    #[async_trait]
    impl Journal for Always {
        async fn store(&self, _: &ObjectId, _: &Entry) -> Result<(), JournalError> {
            Ok(())
        }

        fn announce(&self, _: &ObjectId, _: &Event) {}
    }

    #[async_trait]
    impl Clock for Fixed {
        fn now(&self) -> Now {
            Now { tick: Tick(i64::try_from(self.0.elapsed().as_millis()).unwrap()), wall: Timestamp::now() }
        }

        async fn until(&self, tick: Tick) {
            let wait = tick.0.saturating_sub(self.now().tick.0);
            tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(0))).await;
        }
    }
}

#[tokio::test]
async fn a_running_engine_is_served() {
    let (_tenure, held) = tokio::sync::watch::channel(tidegate_engine::protocol::Tenure::HELD);
    let (handle, engine) = tidegate_engine::driver::start(world::world(world::changes()), held);
    let engine = tokio::spawn(engine);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move {
        stopped.await.unwrap_or_default();
    };
    let server = tokio::spawn(serve(listener, handle.clone(), stopped));
    let running = async {
        loop {
            let (_, object) = get_json(address, "/api/v1/objects/shop/orders").await;
            if object["phase"] == "Running" && object["desiredReplicas"] == 8 {
                return object;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let object = timeout(Duration::from_secs(20), running).await.unwrap();
    assert_eq!(object["triggers"][0]["metrics"][0]["value"], 790);
    assert!(object["explanation"]["heading"].as_str().unwrap().contains("stays 8"), "{object}");
    assert_eq!(get_text(address, "/readyz").await.0, 200);
    let (_, _, text) = get_text(address, "/metrics").await;
    assert!(text.contains(r#"tidegate_desired_replicas{namespace="shop",scaledObject="orders"} 8.0"#), "{text}");
    handle.drain().await;
    timeout(Duration::from_secs(20), engine).await.unwrap().unwrap();
    assert_eq!(get_json(address, "/readyz").await.0, 503);
    drop(stop);
    timeout(Duration::from_secs(20), server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn an_address_of_some_paths_names_no_others() {
    for (paths, served) in [
        (Paths::Metrics, "/healthz, /readyz and /metrics; objects are served at --api-bind-address, if at all"),
        (Paths::Probes, "/healthz and /readyz"),
    ] {
        let (address, _stop) = start_paths(Arc::new(Still(Some(Vec::new()))), paths, REQUEST_TIME).await;
        let (status, answer) = get_json(address, "/api/v1/objects").await;
        let message = format!("there is no /api/v1/objects; there are {served}");
        assert_eq!((status, &answer["error"]["message"]), (404, &json!(message)));
    }
}
