//! The objects of the benchmark and the lists that they look at.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::super::audit::Moment;
use super::super::control_plane::ControlPlane;
use super::super::operator::Operator;
use super::super::runtime;
use super::super::space::{Space, conditions};
use crate::harness::redis::Redis;

/// Requests under way while objects are created.
const ABREAST: usize = 32;
/// How often the audit log is looked at.
const PACE: Duration = Duration::from_millis(200);
/// How long all objects may take for one thing.
const LIMIT: Duration = Duration::from_mins(10);
/// Items that are put into a list; with five a replica they are five replicas.
const ITEMS: usize = 23;

/// How a trigger learns of items.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    Poll,
    Push,
}

/// A namespace with a Deployment and a ScaledObject for each list of a Redis server.
pub(super) struct Field {
    space: Space,
    redis: Redis,
    objects: usize,
}

/// When something was done to the list of each object.
pub(super) struct Acted(BTreeMap<String, Timestamp>);

/// The answers to the writes of each object's replicas, in seconds after something was done to its list.
pub(super) struct Writes {
    answers: BTreeMap<String, Vec<f64>>,
    /// Milliseconds that each write took at the API server.
    served: Vec<f64>,
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Poll => "polling",
            Self::Push => "push",
        })
    }
}

impl Field {
    pub(super) fn new(plane: &Arc<ControlPlane>, objects: usize) -> Self {
        Self { space: Space::on(plane, "load"), redis: Redis::start(None), objects }
    }

    pub(super) fn objects(&self) -> usize {
        self.objects
    }

    /// A few objects from all over, and all others.
    pub(super) fn split(&self, few: usize) -> (Range<usize>, Range<usize>) {
        (0..few, few..self.objects)
    }

    /// Creates the Deployments, at 0 replicas.
    pub(super) fn create_targets(&self) {
        self.create("deployments", target);
    }

    /// Creates the ScaledObjects: when the last one was there.
    pub(super) fn create_objects(&self) -> Timestamp {
        self.create("scaledobjects", |name| {
            json!({
                "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name},
                "spec": {
                    "scaleTargetRef": {"name": name}, "pollingInterval": 30, "cooldownPeriod": 10,
                    "minReplicaCount": 0, "maxReplicaCount": 20, "triggers": [self.trigger(name, Mode::Poll)],
                },
            })
        });
        Timestamp::now()
    }

    fn trigger(&self, name: &str, mode: Mode) -> Value {
        let mut metadata = json!({"address": self.redis.address(), "listName": name, "listLength": "5"});
        if matches!(mode, Mode::Push) {
            metadata["activation"] = "push".into();
        }
        json!({"type": "redis", "metadata": metadata})
    }

    fn create(&self, resource: &str, manifest: impl Fn(&str) -> Value) {
        create(&self.space, resource, (0..self.objects).map(|index| manifest(&name(index))));
    }

    /// Lets the triggers of all objects be pushed.
    pub(super) fn push_from_now_on(&self) {
        let (api, parameters) = (self.space.api("scaledobjects"), PatchParams::default());
        let patched = futures::stream::iter(0..self.objects)
            .map(|index| {
                let (api, parameters, name) = (api.clone(), parameters.clone(), name(index));
                let patch = Patch::Merge(json!({"spec": {"triggers": [self.trigger(&name, Mode::Push)]}}));
                async move { api.patch(&name, &parameters, &patch).await.map(drop) }
            })
            .buffer_unordered(ABREAST)
            .try_collect::<()>();
        runtime().block_on(patched).unwrap();
    }

    /// Waits until the Redis server tells of every list.
    pub(super) fn until_armed(&self) {
        let tracked = || {
            let text: String = self.redis.ask("INFO stats");
            let line = text.lines().find_map(|line| line.strip_prefix("tracking_total_keys:")).map(str::trim);
            line.and_then(|count| count.parse::<usize>().ok()).unwrap_or_default()
        };
        until("all lists are listened to", || (tracked() >= self.objects).then_some(()));
    }

    /// Waits until all objects are ready and read: when the last one's status was written.
    pub(super) fn until_ready(&self, operator: &Operator, moment: &mut Moment) -> Timestamp {
        let mut written = BTreeMap::new();
        until("all objects are ready", || {
            for request in operator.follow(moment).of("scaledobjects/status").0 {
                if request.code < 300 {
                    written.insert(request.name, request.done);
                }
            }
            let all =
                written.len() >= self.objects && all(&self.space, self.objects, "scaledobjects", is_ready_and_read);
            all.then(|| written.values().max().copied().unwrap())
        })
    }

    /// Puts items into the lists of some objects.
    pub(super) fn fill(&self, objects: Range<usize>) -> Acted {
        let items = (0..ITEMS).map(|item| item.to_string()).collect::<Vec<_>>();
        self.tell(objects, |query, name| {
            query.cmd("LPUSH").arg(name).arg(&items).ignore();
        })
    }

    /// Empties the lists of some objects.
    pub(super) fn clear(&self, objects: Range<usize>) -> Acted {
        self.tell(objects, |query, name| {
            query.cmd("DEL").arg(name).ignore();
        })
    }

    /// Sends one command for each object, all in one go. It counts from before the first one.
    fn tell(&self, objects: Range<usize>, command: impl Fn(&mut redis::Pipeline, &str)) -> Acted {
        let mut query = redis::pipe();
        for index in objects.clone() {
            command(&mut query, &name(index));
        }
        let begun = Timestamp::now();
        self.redis.ask_all(&query);
        Acted(objects.map(|index| (name(index), begun)).collect())
    }

    /// Waits until the replicas of these objects have been written and are as they should be.
    pub(super) fn until_scaled(
        &self,
        operator: &Operator,
        moment: &mut Moment,
        acted: &Acted,
        replicas: i64,
    ) -> Writes {
        let mut writes = Writes { answers: BTreeMap::new(), served: Vec::new() };
        until(&format!("{} objects have {replicas} replicas", acted.0.len()), || {
            for request in operator.follow(moment).writes().of("deployments/scale").0 {
                let Some(begun) = acted.0.get(&request.name).filter(|_| request.code < 300) else { continue };
                writes.served.push(request.done.duration_since(request.at).as_secs_f64() * 1000.0);
                let after = request.done.duration_since(*begun).as_secs_f64();
                writes.answers.entry(request.name).or_default().push(after);
            }
            let wanted = |object: &Value| {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                !acted.0.contains_key(name) || object["spec"]["replicas"] == replicas
            };
            (writes.answers.len() >= acted.0.len() && all(&self.space, self.objects, "deployments", wanted))
                .then_some(())
        });
        writes
    }
}

impl Writes {
    /// The first write of each object.
    pub(super) fn first(&self) -> Vec<f64> {
        self.answers.values().filter_map(|answers| answers.first().copied()).collect()
    }

    /// The last write of each object: then it had all that it should have.
    pub(super) fn last(&self) -> Vec<f64> {
        self.answers.values().filter_map(|answers| answers.last().copied()).collect()
    }

    /// Writes an object.
    pub(super) fn each(&self) -> f64 {
        super::figures::count(self.served.len()) / super::figures::count(self.answers.len().max(1))
    }

    /// Milliseconds that the writes took at the API server.
    pub(super) fn served(&self) -> &[f64] {
        &self.served
    }
}

/// A Deployment at 0 replicas.
pub(super) fn target(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "worker", "image": "example.com/worker:1"}]},
            },
        },
    })
}

/// Creates objects, as fast as the API server takes them.
pub(super) fn create(space: &Space, resource: &str, manifests: impl Iterator<Item = Value>) {
    let (api, parameters) = (space.api(resource), PostParams::default());
    let created = futures::stream::iter(manifests.map(|manifest| serde_json::from_value(manifest).unwrap()))
        .map(|object: DynamicObject| {
            let (api, parameters) = (api.clone(), parameters.clone());
            async move { api.create(&parameters, &object).await.map(drop) }
        })
        .buffer_unordered(ABREAST)
        .try_collect::<()>();
    runtime().block_on(created).unwrap_or_else(|error| panic!("{resource}: {error}"));
}

/// Whether something holds of all objects of a kind.
pub(super) fn all(space: &Space, objects: usize, resource: &str, holds: impl Fn(&Value) -> bool) -> bool {
    let api = space.api(resource);
    let found = runtime().block_on(api.list(&ListParams::default())).unwrap().items;
    found.len() == objects && found.iter().all(|object| holds(&serde_json::to_value(object).unwrap()))
}

/// The name of an object, of its target, and of its list.
fn name(index: usize) -> String {
    format!("app-{index}")
}

/// Ready, and what its list holds is known: before it is read, nobody says whether it is active.
pub(super) fn is_ready_and_read(object: &Value) -> bool {
    let has = |condition: &str, status: &str| {
        conditions(object).any(|one| one["type"] == condition && one["status"] == status)
    };
    has("Ready", "True") && has("Active", "False")
}

/// As `eventually`, at a pace that does not disturb what is measured.
pub(super) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(PACE);
    }
}
