//! The driver over a small world in memory, on tokio's paused clock: panics, hung sources, pushes, questions and the end.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's own tools may panic, too")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::{Evidence, TargetState};
use tidegate_calculator::operation::facts::{Inspection, TargetFacts};
use tidegate_calculator::operation::spec::{HookSpec, Http, Item, Work};
use tidegate_calculator::operation::{Action, Class, Failure, Outcome};
use tidegate_calculator::policy::{Policy, Settings};
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, MetricSpec, MetricType, Milli, Occasion, Parameters, ReadError,
    ReadErrorKind, Reading, Readings, TriggerSpec, Wake,
};
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::driver::{Handle, World, start};
use tidegate_engine::ports::{Clock, Journal, Objects, Operations, Resolver, Sources, Target};
use tidegate_engine::protocol::{ApplyError, Change, Entry, Event, JournalError, Seen, TargetError, Tenure, Version};
use tidegate_engine::subject::{ObjectId, References, Subject, TargetRef, Trigger};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Everything that the ports share.
#[derive(Default)]
struct Memory {
    replicas: BTreeMap<String, (u32, u64)>,
    /// What the list of each object holds; absent = the source panics, negative = it hangs.
    backlog: BTreeMap<String, i64>,
    entries: Vec<(String, Entry)>,
    events: Vec<(String, Event)>,
    wakes: BTreeMap<String, Wake>,
    changes: Option<mpsc::Sender<Change>>,
    /// How long the next parameters take to be found, one after the other; at once when this is empty.
    waits: VecDeque<Duration>,
    /// When hooks were called: the first call panics, the second one hangs.
    hooked: Vec<Instant>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Memory>>);

struct Incoming(mpsc::Receiver<Change>);

struct TestClock(Instant);

impl Shared {
    fn with<T>(&self, action: impl FnOnce(&mut Memory) -> T) -> T {
        action(&mut self.0.lock().unwrap())
    }

    fn seen(&self, name: &str) -> Result<Seen, TargetError> {
        self.with(|memory| {
            let (replicas, version) =
                memory.replicas.get(name).copied().ok_or_else(|| TargetError::NotFound(name.to_owned()))?;
            let state = TargetState { replicas, existing: replicas, ready: Some(replicas) };
            Ok(Seen { state, version: Version(version.to_string().into()) })
        })
    }
}

#[async_trait]
impl Objects for Incoming {
    async fn next(&mut self) -> Option<Change> {
        self.0.recv().await
    }
}

#[async_trait]
impl Sources for Shared {
    type Source = String;
    type Watch = ();

    fn open(&self, spec: &TriggerSpec, _: &Parameters) -> Result<String, ConfigError> {
        Ok(spec.metadata["listName"].clone())
    }

    fn endpoint(&self, _: &String) -> Option<EndpointId> {
        Some(EndpointId(1))
    }

    async fn read(&self, source: &String, _: Occasion, _: Deadline) -> Result<Readings, ReadError> {
        let total = self.with(|memory| memory.backlog.get(source).copied()).expect("a source with a defect");
        if total < 0 {
            std::future::pending::<()>().await;
        }
        let spec = MetricSpec {
            name: format!("s0-redis-{source}"),
            metric_type: MetricType::AverageValue,
            target: Milli::units(5),
            exact: false,
        };
        Ok(vec![(spec, Reading { value: Measured::Total(vec![Milli::units(total)]), active: total > 0 })])
    }

    fn watch(&self, source: &String, wake: Wake) -> Option<()> {
        self.with(|memory| memory.wakes.insert(source.clone(), wake));
        Some(())
    }
}

#[async_trait]
impl Resolver for Shared {
    async fn resolve(&self, _: &References) -> Result<Parameters, ReadError> {
        if let Some(wait) = self.with(|memory| memory.waits.pop_front()) {
            tokio::time::sleep(wait).await;
        }
        Ok(Parameters::default())
    }
}

#[async_trait]
impl Target for Shared {
    async fn refresh(&self, target: &TargetRef) -> Result<Seen, TargetError> {
        self.seen(&target.name)
    }

    async fn apply(&self, target: &TargetRef, replicas: u32, version: &Version) -> Result<Version, ApplyError> {
        self.with(|memory| {
            let entry = memory.replicas.get_mut(&*target.name).ok_or(ApplyError::Refused("it is gone".to_owned()))?;
            if *version.0 != entry.1.to_string() {
                return Err(ApplyError::Conflict);
            }
            *entry = (replicas, entry.1 + 1);
            Ok(Version(entry.1.to_string().into()))
        })
    }
}

#[async_trait]
impl Operations for Shared {
    async fn perform(&self, _: &ObjectId, target: &TargetRef, hooks: &HookSpec, action: &Action) -> Outcome {
        assert_eq!(hooks.pre_scale.len(), 1);
        match action {
            Action::Inspect => {
                let seen = self.seen(&target.name).expect("it is there");
                let (replicas, version) = (seen.state.replicas, seen.version.0.to_string());
                let target = TargetFacts { replicas, version, ..TargetFacts::default() };
                Outcome::Inspected(Box::new(Inspection { target, ..Inspection::default() }))
            }
            Action::CallHttp { .. } => {
                let calls = self.with(|memory| {
                    memory.hooked.push(Instant::now());
                    memory.hooked.len()
                });
                assert!(calls > 1, "a hook with a defect");
                if calls == 2 {
                    std::future::pending::<()>().await;
                }
                Outcome::Done
            }
            other => Outcome::Failed(Failure::new(Class::Config, &format!("nobody asks for {other:?} here"))),
        }
    }
}

#[async_trait]
impl Journal for Shared {
    async fn store(&self, id: &ObjectId, entry: &Entry) -> Result<(), JournalError> {
        self.with(|memory| memory.entries.push((id.name.to_string(), entry.clone())));
        Ok(())
    }

    fn announce(&self, id: &ObjectId, event: &Event) {
        self.with(|memory| memory.events.push((id.name.to_string(), event.clone())));
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Now {
        let tick = Tick(i64::try_from(self.0.elapsed().as_millis()).unwrap());
        Now { tick, wall: Timestamp::from_millisecond(1_767_225_600_000 + tick.0).unwrap() }
    }

    async fn until(&self, tick: Tick) {
        tokio::time::sleep_until(self.0 + Duration::from_millis(u64::try_from(tick.0).unwrap())).await;
    }
}

fn target(name: &str) -> TargetRef {
    TargetRef { namespace: "shop".into(), api_version: "apps/v1".into(), kind: "Deployment".into(), name: name.into() }
}

fn subject(name: &str, polling_seconds: i64) -> Subject {
    let metadata = BTreeMap::from([("listName".to_owned(), name.to_owned())]);
    let policy = Policy {
        polling_interval: Span::seconds(polling_seconds),
        cooldown: Span::seconds(10),
        ..Policy::with_defaults("redis")
    };
    Subject {
        id: ObjectId::new("shop", name),
        uid: name.into(),
        generation: 1,
        created: Timestamp::from_second(1_767_225_600).unwrap(),
        policy,
        triggers: vec![Trigger {
            spec: TriggerSpec { kind: "redis".to_owned(), metadata, ..TriggerSpec::default() },
            references: References { target: target(name), container: None, authentication: None },
        }],
        target: target(name),
        hold: None,
        faults: Vec::new(),
        hooks: None,
    }
}

/// Starts a driver over one Deployment at 0 for each object.
async fn world(objects: &[(&str, i64, Option<i64>)]) -> (Shared, Handle, JoinHandle<()>, watch::Sender<Tenure>) {
    let shared = Shared::default();
    let (sender, receiver) = mpsc::channel(16);
    let (hold, tenure) = watch::channel(Tenure::HELD);
    let world = World {
        objects: Incoming(receiver),
        sources: Arc::new(shared.clone()),
        resolver: Arc::new(shared.clone()),
        target: Arc::new(shared.clone()),
        operations: Arc::new(shared.clone()),
        journal: Arc::new(shared.clone()),
        clock: Arc::new(TestClock(Instant::now())),
    };
    let (handle, run) = start(world, tenure);
    let running = tokio::spawn(run);
    for (name, polling, backlog) in objects {
        shared.with(|memory| {
            memory.replicas.insert((*name).to_owned(), (0, 1));
            if let Some(backlog) = backlog {
                memory.backlog.insert((*name).to_owned(), *backlog);
            }
        });
        sender.send(Change::Set(subject(name, *polling).into(), Checkpoint::default())).await.unwrap();
        sender.send(Change::Target(target(name), shared.seen(name))).await.unwrap();
    }
    sender.send(Change::Synced).await.unwrap();
    shared.with(|memory| memory.changes = Some(sender));
    (shared, handle, running, hold)
}

fn replicas(shared: &Shared, name: &str) -> u32 {
    shared.with(|memory| memory.replicas[name].0)
}

#[tokio::test(start_paused = true)]
async fn it_scales_answers_and_stores_before_it_ends() {
    let (shared, handle, running, _hold) = world(&[("orders", 1, Some(40))]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(replicas(&shared, "orders"), 8);
    assert!(handle.synced().await);
    let snapshots = handle.ask(None).await.unwrap();
    assert_eq!(snapshots.len(), 1);
    assert_eq!(snapshots[0].last_change.as_ref().map(|change| (change.from, change.to)), Some((0, 8)));
    assert_eq!(handle.ask(Some(ObjectId::new("shop", "nobody"))).await.unwrap().len(), 0);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let before = shared.with(|memory| memory.entries.len());
    handle.drain().await;
    running.await.unwrap();
    let last = shared.with(|memory| memory.entries.last().cloned()).unwrap();
    assert_eq!((last.1.replicas, last.1.active), (Some(8), Some(true)));
    assert!(shared.with(|memory| memory.entries.len()) > before);
    assert!(handle.ask(None).await.is_none(), "it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_a_hung_source_cost_their_own_readings_alone() {
    let objects = [("broken", 1, None), ("hung", 1, Some(-1)), ("orders", 1, Some(40))];
    let (shared, handle, running, _hold) = world(&objects).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((replicas(&shared, "orders"), replicas(&shared, "broken"), replicas(&shared, "hung")), (8, 0, 0));
    let kind = |name: &str| {
        let wanted = name.to_owned();
        let handle = handle.clone();
        async move {
            let snapshots = handle.ask(Some(ObjectId::new("shop", &wanted))).await.unwrap();
            match &snapshots[0].evidence[0] {
                Evidence::Failed { error, .. } => error.clone(),
                other => panic!("{other:?}"),
            }
        }
    };
    let broken = kind("broken").await;
    assert_eq!(broken.kind, ReadErrorKind::Protocol);
    assert!(broken.message.contains("a source with a defect"), "{broken}");
    assert_eq!(kind("hung").await.kind, ReadErrorKind::Timeout);
    shared.with(|memory| {
        memory.backlog.extend([("broken".to_owned(), 5), ("hung".to_owned(), 10)]);
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((replicas(&shared, "broken"), replicas(&shared, "hung")), (1, 2), "both recover by themselves");
    handle.drain().await;
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_push_is_read_at_once() {
    let (shared, handle, running, _hold) = world(&[("orders", 30, Some(0))]).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let wake = shared.with(|memory| {
        memory.backlog.insert("orders".to_owned(), 23);
        memory.wakes["orders"].clone()
    });
    let pushed = Instant::now();
    wake();
    while replicas(&shared, "orders") == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(pushed.elapsed() < Duration::from_millis(100), "{:?}", pushed.elapsed());
    assert_eq!(replicas(&shared, "orders"), 5);
    handle.drain().await;
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_standby_acts_when_its_tenure_begins_and_the_end_of_the_objects_ends_it() {
    let (shared, handle, running, hold) = world(&[]).await;
    hold.send(Tenure::Standby).unwrap();
    let sender = shared.with(|memory| {
        memory.replicas.insert("orders".to_owned(), (0, 1));
        memory.backlog.insert("orders".to_owned(), 40);
        memory.changes.take().unwrap()
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    sender.send(Change::Set(subject("orders", 1).into(), Checkpoint::default())).await.unwrap();
    sender.send(Change::Target(target("orders"), shared.seen("orders"))).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(replicas(&shared, "orders"), 0);
    hold.send(Tenure::HELD).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(replicas(&shared, "orders"), 8);
    drop(sender);
    running.await.unwrap();
    drop(handle);
}

#[tokio::test(start_paused = true)]
async fn a_late_failure_of_an_older_opening_leaves_the_newer_source_alone() {
    let (shared, handle, running, _hold) = world(&[]).await;
    let sender = shared.with(|memory| {
        memory.replicas.insert("orders".to_owned(), (0, 1));
        memory.backlog.insert("orders".to_owned(), 0);
        // The first opening hangs until its deadline.
        memory.waits.push_back(Duration::from_hours(1));
        memory.changes.take().unwrap()
    });
    sender.send(Change::Set(subject("orders", 1).into(), Checkpoint::default())).await.unwrap();
    sender.send(Change::Target(target("orders"), shared.seen("orders"))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The object is edited meanwhile; what is opened for the new text works.
    sender.send(Change::Set(subject("orders", 2).into(), Checkpoint::default())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    shared.with(|memory| memory.backlog.insert("orders".to_owned(), 40));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let snapshot = handle.ask(None).await.unwrap().remove(0);
    assert_eq!(replicas(&shared, "orders"), 8, "{:?}", snapshot.evidence);
    handle.drain().await;
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_standby_with_a_refused_object_ends_at_once() {
    let (shared, handle, running, hold) = world(&[]).await;
    hold.send(Tenure::Standby).unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let sender = shared.with(|memory| memory.changes.take().unwrap());
    let refused =
        |name: &str| Change::Refused(ObjectId::new("shop", name), target(name), Vec::new(), Checkpoint::default());
    sender.send(refused("broken")).await.unwrap();
    sender.send(Change::Set(subject("lost", 1).into(), Checkpoint::default())).await.unwrap();
    sender.send(Change::Target(target("lost"), Err(TargetError::NotFound("lost".to_owned())))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = Instant::now();
    handle.drain().await;
    running.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_or_hangs_is_lost_and_goes_again() {
    let (shared, handle, running, _hold) = world(&[]).await;
    let sender = shared.with(|memory| {
        memory.replicas.insert("orders".to_owned(), (3, 1));
        memory.backlog.insert("orders".to_owned(), 10);
        memory.changes.take().unwrap()
    });
    let item = Item { name: "drain".to_owned(), work: Work::Http(Http::default()), ..Item::default() };
    let hooks = HookSpec { pre_scale: vec![item], post_scale: Vec::new() };
    let mut subject = Subject { hooks: Some(Arc::new(hooks)), ..subject("orders", 1) };
    subject.policy.settings = Settings { downscale_window: Span::ZERO, ..Settings::default() };
    sender.send(Change::Set(subject.into(), Checkpoint::default())).await.unwrap();
    sender.send(Change::Target(target("orders"), shared.seen("orders"))).await.unwrap();
    let begun = Instant::now();
    while replicas(&shared, "orders") == 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(begun.elapsed() < Duration::from_mins(5), "{:?}", shared.with(|memory| memory.hooked.clone()));
    }
    assert_eq!(replicas(&shared, "orders"), 2);
    let calls = shared.with(|memory| memory.hooked.clone());
    assert_eq!(calls.len(), 3);
    // The second hangs for 90 s and rests for 5 s.
    let hung = calls[2] - calls[1];
    assert!(hung >= Duration::from_secs(95) && hung < Duration::from_secs(97), "{hung:?}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let snapshot = handle.ask(None).await.unwrap().remove(0);
    assert_eq!(snapshot.last_change.map(|change| (change.from, change.to)), Some((3, 2)));
    assert!(snapshot.operations.is_none_or(|operations| operations.running.is_none()));
    handle.drain().await;
    running.await.unwrap();
}
