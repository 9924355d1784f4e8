//! The index, fed by hand.

mod policies;
mod recovery;

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_calculator::observation::TargetState;
use tidegate_calculator::policy;
use tidegate_engine::protocol::{Change, Seen, TargetError, Version};
use tidegate_engine::subject::{Hold, ObjectId, TargetRef};

use super::super::event::{Event, Order, What};
use super::super::index::{Index, Outlets};
use super::super::kinds::{KindKey, Served};
use super::super::streams;
use crate::kubernetes::holds::{TargetKey, Whom};
use crate::kubernetes::known::RecordFacts;
use crate::kubernetes::packed::Packed;
use crate::resolution::Answer;

struct Bench {
    index: Index,
    out: Outlets,
    orders: Vec<Order>,
}

fn id(name: &str) -> ObjectId {
    ObjectId::new("shop", name)
}

fn target(name: &str) -> TargetRef {
    TargetRef { namespace: "shop".into(), api_version: "apps/v1".into(), kind: "Deployment".into(), name: name.into() }
}

fn deployments() -> KindKey {
    KindKey::of(&target("any"))
}

fn seen(replicas: u32, version: &str) -> Seen {
    let state = TargetState { replicas, existing: replicas, ready: Some(replicas) };
    Seen { state, version: Version(version.into()) }
}

/// An object that scales the Deployment `on`, created at that second of an hour.
fn object(name: &str, on: &str, second: u32) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1, "resourceVersion": "1",
            "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
        },
        "spec": {
            "scaleTargetRef": { "name": on },
            "maxReplicaCount": 9,
            "triggers": [{
                "type": "redis",
                "metadata": { "address": "redis:6379", "listName": "orders", "listLength": "5" },
                "authenticationRef": { "name": "redis" },
            }],
        },
    })
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

impl Bench {
    fn new() -> Self {
        let out = Outlets::default();
        Self { index: Index::new(out.clone(), policy::Settings::default(), 1), out, orders: Vec::new() }
    }

    fn give(&mut self, event: Event) {
        self.index.apply(event, &mut self.orders);
    }

    fn object(&mut self, value: &Value) {
        self.give(Event::Object(Box::new(serde_json::from_value(value.clone()).unwrap())));
    }

    /// The record of the object `a`, with a memory, owned by this uid.
    fn record(&mut self, owner: &str) {
        let status = Packed::new(&serde_json::from_value(json!({ "checkpoint": " {memory}" })).unwrap());
        let record = RecordFacts { owner: Some(owner.to_owned()), status, ..RecordFacts::default() };
        self.give(Event::Record(id("a"), Box::new(record)));
    }

    fn deployment(&mut self, name: &str, replicas: u32, version: &str, print: u64) {
        self.give(Event::Workload(deployments(), id(name), seen(replicas, version), print));
    }

    fn base_listed(&mut self) {
        for what in [What::Records, What::Authentications, What::ClusterAuthentications, What::Objects] {
            self.give(Event::Listed(what, None));
        }
    }

    fn deployments_listed(&mut self) {
        let resource =
            kube::core::ApiResource { plural: "deployments".to_owned(), ..streams::resource(&What::Objects) };
        self.give(Event::Kind(deployments(), Ok(Served { resource, workload: true })));
        self.give(Event::Listed(What::Targets(deployments()), None));
    }

    /// A bench on which an object `a` scales Deployment `x`, told to the engine.
    fn running() -> Self {
        let mut bench = Self::new();
        bench.object(&object("a", "x", 1));
        bench.base_listed();
        bench.deployments_listed();
        bench.deployment("x", 1, "7", 0);
        bench.told();
        bench.orders.clear();
        bench
    }

    /// What the engine hears, one line each.
    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.out.feed.take())
            .map(|change| match change {
                Change::Set(subject, checkpoint) => {
                    let hold = subject.hold.as_ref().map(|hold| format!(" held by {}", hold.reason));
                    format!(
                        "set {} max {}{}{}",
                        subject.id.name,
                        subject.policy.max,
                        checkpoint.0,
                        hold.unwrap_or_default()
                    )
                }
                Change::Refused(id, _, findings, checkpoint) => {
                    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
                    format!("refused {}{}: {}", id.name, checkpoint.0, findings.join("; "))
                }
                Change::Stored(id, stored) => {
                    let active = stored.activity.last.map(|at| format!(" active {at}")).unwrap_or_default();
                    let still = if stored.activity.lasts { ", still" } else { "" };
                    let shown = if stored.shown.is_some() { ", shown" } else { "" };
                    format!("stored {}{}{active}{still}{shown}", id.name, stored.checkpoint.0)
                }
                Change::Gone(id) => format!("gone {}", id.name),
                Change::ParametersChanged(id) => format!("parameters {}", id.name),
                Change::Target(target, Ok(seen)) => format!("{} has {}", target.name, seen.state.replicas),
                Change::Target(_, Err(error)) => error.to_string(),
                Change::Synced => "synced".to_owned(),
            })
            .collect()
    }
}

#[test]
fn an_object_is_told_with_its_record_and_its_target_once_all_is_listed() {
    let mut bench = Bench::new();
    bench.object(&object("a", "x", 1));
    assert_eq!(bench.orders, [Order::WatchKind(deployments())]);
    bench.record("uid-a");
    bench.base_listed();
    assert!(bench.told().is_empty(), "its target may come yet");
    bench.deployment("x", 3, "7", 0);
    bench.deployments_listed();
    assert_eq!(bench.told(), ["set a max 9 {memory}", "stored a {memory}", "x has 3", "synced"]);
    let facts = bench.out.known.get(&id("a")).unwrap();
    assert_eq!(facts.metric_names, [["s0-redis-orders"]]);
    assert_eq!((facts.target_resource.as_str(), facts.trigger_types.as_str()), ("deployments", "redis"));
    assert_eq!((facts.authentications.as_str(), facts.max), ("redis", Some(9)));
}

#[test]
fn the_record_of_an_earlier_object_is_not_loaded() {
    let mut bench = Bench::new();
    bench.object(&object("a", "x", 1));
    bench.record("uid-before");
    bench.base_listed();
    bench.deployments_listed();
    assert_eq!(bench.told()[0], "set a max 9");
}

#[test]
fn our_own_writes_and_labels_change_nothing() {
    let mut bench = Bench::running();
    let mut value = object("a", "x", 1);
    value["status"] = json!({ "lastActiveTime": "2026-01-01T00:01:00Z", "conditions": "odd", "hpaName": "h" });
    value["metadata"]["resourceVersion"] = json!("9");
    bench.object(&value);
    bench.record("uid-a");
    bench.deployment("x", 1, "7", 0);
    // That is of use to whoever does not act yet; for others it is an echo.
    assert_eq!(bench.told(), ["stored a {memory} active 2026-01-01T00:01:00Z"]);
    bench.object(&value);
    bench.record("uid-a");
    assert!(bench.told().is_empty());
    let facts = bench.out.known.get(&id("a")).unwrap();
    assert_eq!(facts.resource_version, "9");
    assert_eq!(facts.status.open().hpa_name.as_deref(), Some("h"), "one odd field costs itself");
    assert!(facts.record.is_some());
    bench.deployment("x", 4, "8", 0);
    assert_eq!(bench.told(), ["x has 4"]);
}

#[test]
fn a_new_text_or_annotation_is_told_and_a_broken_one_refused() {
    let mut bench = Bench::running();
    let mut value = with(object("a", "x", 1), "/spec/maxReplicaCount", json!(5));
    value["metadata"]["generation"] = json!(2);
    bench.object(&value);
    assert_eq!(bench.told(), ["set a max 5", "x has 1"]);
    value["metadata"]["annotations"] = json!({ "autoscaling.keda.sh/paused": "true", "note": "x" });
    bench.object(&value);
    assert_eq!(bench.told(), ["set a max 5", "x has 1"]);
    value["metadata"]["annotations"]["note"] = json!("y");
    bench.object(&value);
    assert!(bench.told().is_empty());
    value["spec"]["minReplicaCount"] = json!(7);
    value["metadata"]["generation"] = json!(3);
    bench.object(&value);
    let told = bench.told();
    assert!(told[0].starts_with("refused a: error minReplicaCount"), "{told:?}");
    value["spec"] = json!("odd");
    value["metadata"]["generation"] = json!(4);
    bench.object(&value);
    assert!(bench.told()[0].starts_with("refused a: error"), "an object that is all wrong is refused like any other");
}

#[test]
fn the_oldest_object_wins_a_target_and_the_next_one_inherits_it() {
    let mut bench = Bench::running();
    bench.object(&object("b", "x", 2));
    let refused = "refused b: error scaleTargetRef.name: \"x\" is scaled by ScaledObject shop/a already, which is older; \
                   one object a target";
    assert_eq!(bench.told(), [refused, "x has 1"]);
    // Editing the winner does not let the loser in, not even for a moment.
    let mut value = with(object("a", "x", 1), "/spec/maxReplicaCount", json!(5));
    value["metadata"]["generation"] = json!(2);
    bench.object(&value);
    assert_eq!(bench.told(), ["set a max 5", "x has 1"]);
    bench.give(Event::ObjectGone(id("a")));
    assert_eq!(bench.told(), ["gone a", "set b max 9", "x has 1"]);
    bench.object(&object("c", "x", 0));
    let told = bench.told();
    assert!(
        told.iter().any(|line| line.starts_with("refused b")) && told.contains(&"set c max 9".to_owned()),
        "{told:?}"
    );
}

#[test]
fn an_object_that_is_being_deleted_acts_no_more_and_is_looked_at() {
    let mut bench = Bench::running();
    let mut value = object("a", "x", 1);
    value["metadata"]["deletionTimestamp"] = json!("2026-01-01T01:00:00Z");
    value["metadata"]["finalizers"] = json!(["finalizer.keda.sh"]);
    bench.object(&value);
    assert_eq!(bench.told(), ["gone a"]);
    let facts = bench.out.known.get(&id("a")).unwrap();
    assert!(facts.deleting && facts.finalizers == ["finalizer.keda.sh"]);
    bench.object(&value);
    bench.give(Event::ObjectGone(id("a")));
    assert!(bench.told().is_empty(), "told once");
    assert!(bench.out.known.is_empty());
}

#[test]
fn an_object_that_went_and_came_between_two_events_is_another_one() {
    let mut bench = Bench::running();
    bench.object(&with(object("a", "x", 9), "/metadata/uid", json!("another")));
    assert_eq!(bench.told(), ["gone a", "set a max 9", "x has 1"]);
}

#[test]
fn a_hold_is_told_and_lifted() {
    let mut bench = Bench::running();
    let hold = |reason| Hold { reason, message: String::new() };
    let whom = Whom::Target(TargetKey::of(&target("x")));
    bench.out.holds.set(whom.clone(), hold("ForeignAutoscaler"));
    bench.index.held(&[whom.clone(), Whom::Object(id("nobody"))].into(), &mut bench.orders);
    assert_eq!(bench.told(), ["set a max 9 held by ForeignAutoscaler", "x has 1"]);
    bench.out.holds.set(Whom::All, hold("LiveKeda"));
    bench.index.held(&[Whom::All].into(), &mut bench.orders);
    bench.index.held(&[Whom::All].into(), &mut bench.orders);
    assert_eq!(bench.told(), ["set a max 9 held by LiveKeda", "x has 1"]);
    bench.out.holds.lift(&Whom::All, "LiveKeda");
    bench.out.holds.lift(&whom, "ForeignAutoscaler");
    bench.index.held(&[Whom::All, whom].into(), &mut bench.orders);
    assert_eq!(bench.told(), ["set a max 9", "x has 1"]);
}

#[test]
fn a_changed_authentication_is_looked_at_again() {
    let mut bench = Bench::running();
    let key = |name: &str| (Some(Arc::from("shop")), Arc::from(name));
    let answer = |value: Value| Some(Box::new(Answer::Found(serde_json::from_value(value).unwrap())));
    let spec = json!({ "secretTargetRef": [{ "parameter": "password", "name": "redis", "key": "password" }] });
    bench.give(Event::Authentication(key("redis"), answer(spec.clone())));
    bench.give(Event::Authentication(key("redis"), answer(spec)));
    bench.give(Event::Authentication(key("other"), answer(json!({}))));
    assert_eq!(bench.told(), ["parameters a"]);
    let spec = json!({ "env": [{ "parameter": "password", "name": "PASSWORD" }] });
    bench.give(Event::Authentication(key("redis"), answer(spec)));
    assert!(bench.out.directory.needs_environment(&target("x")));
    bench.give(Event::Authentication(key("redis"), None));
    assert!(!bench.out.directory.needs_environment(&target("x")));
    assert_eq!(bench.told(), ["parameters a"]);
}

#[test]
fn a_changed_environment_matters_only_to_those_who_read_it() {
    let mut bench = Bench::running();
    bench.deployment("x", 1, "8", 1);
    assert_eq!(bench.told(), ["x has 1"]);
    let metadata = json!({ "addressFromEnv": "REDIS", "listName": "orders", "listLength": "5" });
    let mut value = with(object("a", "x", 1), "/spec/triggers/0/metadata", metadata);
    value["metadata"]["generation"] = json!(2);
    bench.object(&value);
    bench.told();
    bench.deployment("x", 2, "9", 1);
    assert_eq!(bench.told(), ["x has 2"]);
    bench.deployment("x", 2, "10", 2);
    assert_eq!(bench.told(), ["parameters a", "x has 2"]);
}

#[test]
fn a_target_that_goes_or_comes_is_told() {
    let mut bench = Bench::running();
    bench.give(Event::TargetGone(deployments(), id("x")));
    assert_eq!(bench.told(), ["Deployment shop/x does not exist"]);
    bench.deployment("y", 1, "8", 0);
    assert!(bench.told().is_empty(), "nobody scales it");
    bench.deployment("x", 2, "9", 0);
    assert_eq!(bench.told(), ["x has 2"]);
}

#[test]
fn a_kind_that_cannot_be_watched_costs_its_own_objects_only() {
    let mut bench = Bench::new();
    bench.object(&object("a", "x", 1));
    bench.object(&with(
        object("b", "y", 1),
        "/spec/scaleTargetRef",
        json!({ "name": "y", "kind": "Shelf", "apiVersion": "shop.test/v1" }),
    ));
    bench.base_listed();
    bench.deployment("x", 1, "7", 0);
    bench.deployments_listed();
    assert_eq!(bench.told(), ["set a max 9", "x has 1"]);
    let shelves = KindKey { api_version: "shop.test/v1".into(), kind: "Shelf".into() };
    let why = "kind Shelf of the API shop.test/v1";
    bench.give(Event::Kind(shelves.clone(), Err(TargetError::NotScalable(why.to_owned()))));
    assert_eq!(bench.told(), ["set b max 9", "kind Shelf of the API shop.test/v1 has no scale subresource", "synced"]);
    bench.orders.clear();
    bench.give(Event::Found(deployments()));
    bench.give(Event::Found(shelves.clone()));
    assert_eq!(bench.orders, [Order::WatchKind(shelves.clone())]);
    let resource = streams::resource(&What::Objects);
    bench.give(Event::Kind(shelves.clone(), Ok(Served { resource, workload: false })));
    bench.give(Event::Moved(shelves.clone(), id("y"), "3".into()));
    bench.give(Event::Listed(What::Targets(shelves.clone()), None));
    bench.give(Event::Moved(shelves, id("y"), "4".into()));
    let y = TargetRef { api_version: "shop.test/v1".into(), kind: "Shelf".into(), ..target("y") };
    assert_eq!(bench.orders[1..], [Order::Read(y.clone(), false)]);
    assert!(bench.told().is_empty());
    bench.give(Event::Read(y.clone(), Ok(seen(2, "4")), None));
    assert_eq!(bench.told(), ["y has 2"]);
    assert_eq!(bench.orders[2..], [Order::Read(y.clone(), false)], "it moved while it was read");
    bench.give(Event::Read(y.clone(), Err(TargetError::Unavailable("busy".to_owned())), None));
    bench.give(Event::Read(y, Ok(seen(2, "4")), None));
    assert!(bench.told().is_empty(), "nothing new");
}

#[test]
fn nothing_waits_for_authentications_that_cannot_be_seen() {
    let mut bench = Bench::new();
    bench.object(&object("a", "x", 1));
    bench.deployments_listed();
    for what in [What::Records, What::Objects, What::Authentications] {
        bench.give(Event::Listed(what, None));
    }
    assert!(bench.told().is_empty());
    let why = TargetError::Unavailable("forbidden".to_owned());
    bench.give(Event::Failed(What::ClusterAuthentications, None, why));
    assert_eq!(bench.told(), ["set a max 9", "Deployment shop/x does not exist", "synced"]);
    let cluster = bench.out.directory.authentication(&(None, "redis".into()));
    assert_eq!(cluster, Answer::Unseen("forbidden".to_owned()));
}

#[test]
fn an_object_without_a_target_is_refused() {
    let mut bench = Bench::running();
    bench.object(&with(object("b", "x", 2), "/spec", json!({})));
    let told = bench.told();
    assert!(told.len() == 1 && told[0].starts_with("refused b: error"), "{told:?}");
}

#[test]
fn what_another_process_stores_is_told_until_somebody_else_owns_it() {
    let mut bench = Bench::running();
    bench.record("uid-before");
    assert_eq!(bench.told(), ["stored a"], "the memory of an earlier object is nothing to this one");
    bench.record("uid-a");
    assert_eq!(bench.told(), ["stored a {memory}"]);
    let status = json!({
        "checkpoint": " {other}",
        "target": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "y" },
    });
    let record =
        RecordFacts { status: Packed::new(&serde_json::from_value(status).unwrap()), ..RecordFacts::default() };
    bench.give(Event::Record(id("a"), Box::new(record)));
    assert_eq!(bench.told(), ["stored a"], "nor is what was remembered of another target");
    bench.give(Event::RecordGone(id("a")));
    bench.record("uid-a");
    bench.give(Event::ObjectGone(id("a")));
    assert_eq!(bench.told(), ["gone a"]);
    bench.record("uid-a");
    assert!(bench.told().is_empty());
}

#[test]
fn what_keda_knows_of_the_activity_is_told_with_an_object() {
    let mut bench = Bench::new();
    let mut value = object("a", "x", 1);
    value["status"] = json!({
        "lastActiveTime": "2026-01-01T00:01:00Z",
        "conditions": [{ "type": "Active", "status": "True" }],
    });
    bench.object(&value);
    bench.base_listed();
    bench.deployments_listed();
    assert_eq!(bench.told()[..2], ["set a max 9", "stored a active 2026-01-01T00:01:00Z, still"]);
    value["status"]["conditions"][0]["status"] = json!("False");
    bench.object(&value);
    assert_eq!(bench.told(), ["stored a active 2026-01-01T00:01:00Z"]);
}
