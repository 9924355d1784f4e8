//! Follows the cluster: what the API server has, the index knows, and the engine hears of what matters.
//!
//! * [`streams`] run the watches and say what is there and what is gone.
//! * [`index`] is pure: it takes these words one by one and tells the engine, through a feed that never waits.
//! * [`kinds`] find out where a target's kind is served.
//!
//! Kinds, policies, Secrets and ConfigMaps are watched from the moment something refers to them.

pub(super) mod attention;
pub(super) mod directory;
pub(super) mod event;
mod failing;
mod index;
pub(super) mod judge;
pub(super) mod kinds;
mod latest;
mod policies;
mod streams;
mod targets;
#[cfg(test)]
mod tests;
pub(super) mod views;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tidegate_engine::protocol::TargetError;
use tidegate_engine::subject::{Hold, TargetRef};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use self::attention::Attention;
use self::directory::{Directory, Place};
use self::event::{Event, Order, What};
use self::index::{Index, Outlets};
use self::kinds::{KindKey, Kinds, Served};
use self::latest::Latest;
use self::streams::{Events, Watch};
use super::flink_scale::is_deployment;
use super::holds::{Holds, OBSERVE, Whom};
use super::kept::Kept;
use super::known::Known;
use super::objects::ClusterObjects;
use super::patience::Patience;
use super::resolver::ClusterResolver;
use super::settings::{Mode, Settings};
use super::surroundings::ClusterSurroundings;
use super::surroundings::counter::Counter;
use super::target::{self, ScaleTarget};

/// Events that wait for the index: the streams wait beyond that.
const EVENTS: usize = 1024;

/// Reads of targets that no watch shows, at the same time.
const READS: usize = 16;

/// The followed cluster: the ports, and what the other parts share. It is followed until this is dropped.
pub struct Following {
    /// The port through which the engine hears of objects and targets.
    pub objects: ClusterObjects,
    /// The port through which it reads and writes targets.
    pub target: Arc<ScaleTarget>,
    /// The port through which it finds the values of parameters.
    pub resolver: Arc<ClusterResolver>,
    /// What is known of each object.
    pub known: Known,
    /// Who must not be scaled.
    pub holds: Holds,
    /// Who should be looked at by whoever cares for finalizers.
    pub attention: Attention,
    /// Which objects must not go away.
    pub kept: Kept,
    /// What triggers see of the cluster.
    pub(super) surroundings: ClusterSurroundings,
    /// What the engine must hear before it acts.
    pub(super) latest: Latest,
    /// Everything that runs for it; aborted when it is dropped.
    pub tasks: JoinSet<()>,
}

/// Follows a cluster. It needs a tokio runtime; nothing here fails: what cannot be read is tried again and logged.
pub fn follow(client: &Client, settings: &Settings) -> Following {
    follow_with(client, settings, Patience::default())
}

fn follow_with(client: &Client, settings: &Settings, patience: Patience) -> Following {
    let (events, inbox) = mpsc::channel(EVENTS);
    let out = Outlets::default();
    let kinds = Kinds::new(client.clone());
    if settings.mode == Mode::Observe {
        let message =
            "this operator observes only (--mode Observe): it decides and records, and scales nothing".to_owned();
        out.holds.set(Whom::All, Hold { reason: OBSERVE, message });
    }
    let surroundings = ClusterSurroundings::new(client);
    let counter = surroundings.counter(out.counts.clone());
    let mut runner = Runner {
        client: client.clone(),
        patience,
        kinds: kinds.clone(),
        counter: counter.clone(),
        directory: out.directory.clone(),
        namespaces: namespaces(settings),
        labels: settings.label_selector.clone(),
        reads: Arc::new(Semaphore::new(READS)),
        events: events.clone(),
        tasks: JoinSet::new(),
        holders: HashMap::new(),
    };
    runner.tasks.spawn(counter.clone().run(events.clone()));
    let latest = Latest {
        client: client.clone(),
        namespaces: runner.namespaces.clone(),
        events: events.clone(),
        feed: out.feed.clone(),
    };
    let index = Index::new(out.clone(), settings.calculator, runner.namespaces.len());
    let mut tasks = JoinSet::new();
    tasks.spawn(runner.run(index, out.holds.clone(), inbox));
    let target = Arc::new(ScaleTarget::new(client.clone(), kinds, counter, events.clone()));
    let namespace = settings.cluster_object_namespace.clone();
    let resolver = ClusterResolver::new(client.clone(), out.directory, events, namespace, target.clone());
    Following {
        objects: ClusterObjects(out.feed.clone()),
        target,
        resolver: Arc::new(resolver),
        known: out.known,
        holds: out.holds,
        attention: out.attention,
        kept: out.kept,
        surroundings,
        latest,
        tasks,
    }
}

/// The namespaces of each stream: one for all, or one each.
fn namespaces(settings: &Settings) -> Vec<Option<Arc<str>>> {
    let mut namespaces: Vec<Option<Arc<str>>> =
        settings.namespaces.iter().map(|namespace| Some(namespace.as_str().into())).collect();
    namespaces.sort();
    namespaces.dedup();
    if namespaces.is_empty() { vec![None] } else { namespaces }
}

/// Feeds the index and does what it orders.
struct Runner {
    client: Client,
    patience: Patience,
    kinds: Kinds,
    counter: Counter,
    directory: Directory,
    namespaces: Vec<Option<Arc<str>>>,
    labels: Option<String>,
    reads: Arc<Semaphore>,
    events: Events,
    tasks: JoinSet<()>,
    /// How the watches of Secrets and ConfigMaps are ended.
    holders: HashMap<Place, AbortHandle>,
}

impl Runner {
    /// Runs until a part of it has ended that must not: whoever waits for it starts the process anew.
    async fn run(mut self, mut index: Index, holds: Holds, mut inbox: mpsc::Receiver<Event>) {
        for what in [What::Objects, What::Records, What::Authentications] {
            let labels = if what == What::Objects { self.labels.clone() } else { None };
            for namespace in self.namespaces.clone() {
                self.watch(what.clone(), namespace, labels.clone());
            }
        }
        self.watch(What::ClusterAuthentications, None, None);
        let mut orders = Vec::new();
        loop {
            tokio::select! {
                Some(event) = inbox.recv() => index.apply(event, &mut orders),
                whose = holds.changed() => index.held(&whose, &mut orders),
                Some(ended) = self.tasks.join_next() => {
                    // Watches never end, but for those that are not needed any more; whoever waits for a read would wait for ever.
                    if ended.is_err_and(|error| error.is_panic()) {
                        tracing::error!("a watch or a read has ended by a panic");
                        return;
                    }
                }
            }
            for order in orders.drain(..) {
                self.perform(order);
            }
        }
    }

    fn watch(&mut self, what: What, namespace: Option<Arc<str>>, labels: Option<String>) {
        let resource = streams::resource(&what);
        let watch = Watch { what, resource, namespace, labels };
        self.tasks.spawn(watch.run(self.client.clone(), self.patience.clone(), None, self.events.clone()));
    }

    fn perform(&mut self, order: Order) {
        match order {
            Order::WatchHolders(place) => self.watch_holders(place),
            Order::WatchDefinitions => self.watch(What::Definitions, None, None),
            Order::WatchPolicies { cluster: true } => self.watch(What::ClusterPolicies, None, None),
            Order::WatchPolicies { cluster: false } => {
                for namespace in self.namespaces.clone() {
                    self.watch(What::Policies, namespace, None);
                }
            }
            Order::WatchKind(kind) => {
                let (client, patience) = (self.client.clone(), self.patience.clone());
                let (kinds, namespaces) = (self.kinds.clone(), self.namespaces.clone());
                self.tasks.spawn(KindWork { kind, client, patience, kinds, namespaces }.run(self.events.clone()));
            }
            Order::Read(target, environment) => {
                let (client, kinds, counter) = (self.client.clone(), self.kinds.clone(), self.counter.clone());
                let read = read(client, kinds, counter, target, environment);
                let (reads, events) = (self.reads.clone(), self.events.clone());
                self.tasks.spawn(async move {
                    let Ok(_permit) = reads.acquire().await else { return };
                    for event in read.await.into_iter().flatten() {
                        // Nobody listens any more at the end of the process.
                        let _ = events.send(event).await;
                    }
                });
            }
            Order::DropHolders(place) => {
                if let Some(watch) = self.holders.remove(&place) {
                    watch.abort();
                }
            }
            Order::Remind(target, pause) => {
                let events = self.events.clone();
                self.tasks.spawn(async move {
                    tokio::time::sleep(pause).await;
                    // Nobody listens any more at the end of the process.
                    let _ = events.send(Event::Again(target)).await;
                });
            }
        }
    }

    fn watch_holders(&mut self, place: Place) {
        if self.directory.sight(&place).is_none() {
            // Whoever wanted it is gone already.
            return;
        }
        let namespace = Some(place.namespace.clone());
        let what = What::Holders(place.clone());
        let watch = Watch { resource: streams::resource(&what), what, namespace, labels: None };
        let watch = self.tasks.spawn(watch.run(self.client.clone(), self.patience.clone(), None, self.events.clone()));
        if let Some(before) = self.holders.insert(place, watch) {
            // It was wanted, given up and wanted again before we came to it.
            before.abort();
        }
    }
}

/// Finds a kind, then watches its objects.
struct KindWork {
    kind: KindKey,
    client: Client,
    patience: Patience,
    kinds: Kinds,
    namespaces: Vec<Option<Arc<str>>>,
}

impl KindWork {
    /// Where the kind is served; none if it is not there, or nobody listens any more. A kind that has just been defined is served a moment
    /// later, so it is looked for a few times.
    async fn find(&self, events: &Events) -> Option<Served> {
        let (mut pause, mut absent) = (Duration::from_secs(1), 0);
        while absent < 4 {
            self.kinds.forget(&self.kind);
            let result = self.kinds.resolve(&self.kind).await;
            if events.send(Event::Kind(self.kind.clone(), result.clone())).await.is_err() {
                return None;
            }
            match result {
                Ok(served) => return Some(served),
                Err(TargetError::Unavailable(why)) => tracing::warn!("{why}"),
                Err(_) => absent += 1,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(30));
        }
        None
    }

    async fn run(self, events: Events) {
        let Some(served) = self.find(&events).await else {
            // Whoever finds it later says so.
            let _ = events.send(Event::GivenUp(self.kind)).await;
            return;
        };
        let mut streams = JoinSet::new();
        for namespace in self.namespaces {
            let watch = Watch {
                what: What::Targets(self.kind.clone()),
                resource: served.resource.clone(),
                namespace,
                labels: None,
            };
            streams.spawn(watch.run(self.client.clone(), self.patience.clone(), Some(served.clone()), events.clone()));
        }
        streams.join_all().await;
        self.kinds.forget(&self.kind);
    }
}

/// Reads a target whose scale no watch shows. Whether it may be scaled comes before how it is, so that nobody acts on that first.
async fn read(
    client: Client,
    kinds: Kinds,
    counter: Counter,
    target: TargetRef,
    environment: bool,
) -> [Option<Event>; 2] {
    let result = target::look(&client, &kinds, &counter, &target).await;
    let print = if environment && result.is_ok() { target::environment(&client, &kinds, &target).await } else { None };
    let (result, aside) = match result {
        Ok((seen, hold)) => (Ok(seen), is_deployment(&target).then(|| Event::Aside(target.clone(), hold))),
        Err(error) => (Err(error), None),
    };
    [aside, Some(Event::Read(target, result, print))]
}

/// The facts and the subject of an object's text, for tests.
#[cfg(test)]
pub(super) fn judged(
    id: &tidegate_engine::subject::ObjectId,
    object: &serde_json::Value,
    settings: &tidegate_calculator::policy::Settings,
) -> (super::known::ObjectFacts, Option<Box<tidegate_engine::subject::Subject>>) {
    let view = serde::Deserialize::deserialize(object).unwrap();
    let judged = judge::judge(id, &view, settings, &policies::Policies::default());
    (judged.facts, judged.subject.map(|subject| Box::new(Arc::unwrap_or_clone(subject))))
}
