//! What ScalingPolicies say beyond KEDA, on a real control plane and with numbers that the test says: steps that wait, gates, schedules.
//!
//! [`table`] is the table that people use for Flink, [`restart`] kills the operator in the middle of it, [`changes`] has policies that come
//! and go under load, [`observe`] touches nothing, and [`schedule`] waits for the clock.

mod changes;
mod observe;
mod restart;
mod schedule;
mod table;

use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::control_plane::ControlPlane;
use super::metrics_server::{Metric, MetricsServer, Rule};
use super::objects::Deployment;
use super::operator::{Account, Operator};
use super::space::{Asked, Space, conditions};
use super::{SOON, trial};
use crate::harness::tidegate::{printed, run};
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("rules::a_schedule_raises_at_the_minute_it_begins", schedule::begins),
        trial("rules::the_table_of_busy_pending_and_backpressure", table::acts),
        trial("rules::what_cannot_be_read_never_lowers", table::unreadable),
        trial("rules::a_short_duration_begins_anew_after_a_kill", restart::short_duration),
        trial("rules::a_direction_cooldown_goes_on_after_a_kill", restart::direction_cooldown),
        trial("rules::a_policy_goes_comes_and_changes_under_load", changes::under_load),
        trial("rules::a_policy_that_observes_decides_and_touches_nothing", observe::touches_nothing),
    ]
}

/// How late a change may be that is due: a read a second, the writes, and a machine that does much else.
const LATE: SignedDuration = SignedDuration::from_secs(10);
/// How much a time between two changes may be off: both are those at which this test heard of them.
const HEARD: SignedDuration = SignedDuration::from_secs(1);

/// How busy the tasks are, from 0 to 1.
const BUSY: Metric = Metric::External("busy");
/// How many records wait.
const PENDING: Metric = Metric::External("pending");
/// Which part of the time tasks cannot send, from 0 to 1.
const BACKPRESSURE: Metric = Metric::External("backpressure");
/// What one number says.
const LOAD: Metric = Metric::External("load");

/// A control plane with the metrics that these scenarios share: no other scenario's cluster has metrics APIs. It ends with its last user.
struct Stage {
    // Dropped in this order: whoever asks ends before those who answer.
    metrics: MetricsServer,
    plane: Arc<ControlPlane>,
}

impl Stage {
    fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Mutex<Weak<Stage>>> = LazyLock::new(Mutex::default);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let plane = Arc::new(ControlPlane::start());
            let stage = Arc::new(Self { metrics: MetricsServer::start(&plane), plane });
            *shared = Arc::downgrade(&stage);
            stage
        })
    }
}

/// One scenario: its namespace, and what its metrics say.
struct Scene {
    // Dropped in this order: the namespace is on the stage.
    space: Space,
    stage: Arc<Stage>,
}

/// What a ScaledObject says in these scenarios.
#[derive(Clone, Copy)]
struct Scaled<'a> {
    /// Its name, and that of its Deployment.
    name: &'a str,
    /// The metrics of its triggers, each with what one replica takes care of: without steps that is a ratio.
    triggers: &'a [(Metric, &'a str)],
    /// The ScalingPolicy that it names.
    policy: &'a str,
    /// `pollingInterval`, seconds.
    polling: u32,
    /// `maxReplicaCount`.
    max: u32,
    /// Whether the usual window of 5 min holds what ratios want to lower.
    windows: bool,
}

impl Default for Scaled<'_> {
    fn default() -> Self {
        Self { name: "app", triggers: &[(LOAD, "100")], policy: "rules", polling: 1, max: 10, windows: true }
    }
}

impl Scene {
    fn new(purpose: &str) -> Self {
        let stage = Stage::shared();
        Self { space: Space::on(&stage.plane, purpose), stage }
    }

    /// From now on a metric says this, in thousandths: the time just before.
    fn say(&self, metric: Metric, value: i64) -> Timestamp {
        self.rule(metric, Rule::Whole(value))
    }

    /// From now on whoever asks for a metric gets an error: the time just before.
    fn fail(&self, metric: Metric) -> Timestamp {
        self.rule(metric, Rule::Failing)
    }

    fn rule(&self, metric: Metric, rule: Rule) -> Timestamp {
        let before = Timestamp::now();
        self.stage.metrics.say(self.space.name(), metric, rule);
        before
    }

    /// Applies the ScalingPolicy `rules`.
    fn policy(&self, spec: &Value) {
        let policy = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": {"name": "rules"}, "spec": spec,
        });
        self.space.apply(&policy.to_string());
    }

    /// Applies a Deployment of so many replicas and a ScaledObject for it, and waits until the pods are ready: a series of a metric is
    /// there for applications that have pods.
    fn scale(&self, object: Scaled<'_>, replicas: u32) {
        let Scaled { name, policy, polling, max, .. } = object;
        self.space.deploy(&Deployment { name, replicas, ..Deployment::default() });
        self.space.until_ready(name, replicas.into());
        let trigger = |(metric, target): &(Metric, &str)| {
            let Metric::External(metric) = metric else { panic!("{metric:?} is no external metric") };
            let metadata =
                json!({"metricName": metric, "metricSelector": format!("app={name}"), "targetValue": target});
            json!({"type": "external-metric", "name": metric, "metadata": metadata})
        };
        let triggers: Vec<Value> = object.triggers.iter().map(trigger).collect();
        let mut manifest = json!({
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
            "metadata": {"name": name, "annotations": {"tidegate.dev/policies": policy}},
            "spec": {
                "scaleTargetRef": {"name": name}, "pollingInterval": polling,
                "minReplicaCount": 1, "maxReplicaCount": max, "triggers": triggers,
            },
        });
        if !object.windows {
            let behavior = json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
            manifest["spec"]["advanced"] = json!({"horizontalPodAutoscalerConfig": {"behavior": behavior}});
        }
        self.space.apply(&manifest.to_string());
    }

    fn account(&self) -> Account {
        Account::new(&self.space)
    }

    /// What `tidegate explain` prints of an object; empty while it is not known.
    fn explained(&self, operator: &Operator, name: &str) -> String {
        self.explained_as(operator, name, "text")
    }

    fn explained_as(&self, operator: &Operator, name: &str, format: &str) -> String {
        let object = format!("{}/{name}", self.space.name());
        let address = eventually(SOON, "the address of the API in the log", || api(&operator.log()));
        printed(&run(&["explain", &object, "--server", &address, "-o", format])).0
    }

    /// Waits until the explanation of an object has all of these.
    fn until_explained(&self, operator: &Operator, name: &str, words: &[&str]) -> String {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(SOON, "an explanation", || {
                last = self.explained(operator, name);
                let found = words.iter().all(|word| last.contains(word)).then(|| last.clone());
                if found.is_none() {
                    std::thread::sleep(Duration::from_millis(150));
                }
                found
            })
        }));
        found.unwrap_or_else(|_| panic!("{words:?} are not explained; this is:\n{last}"))
    }

    /// Waits until an event about an object has this reason and all of these in its text.
    fn until_event(&self, name: &str, reason: &str, words: &[&str]) {
        let told = |event: &Value| {
            let note = event["note"].as_str().unwrap_or_default();
            event["reason"] == reason
                && event["regarding"]["name"] == name
                && words.iter().all(|word| note.contains(word))
        };
        eventually(SOON, &format!("the event {reason} of {name} with {words:?}"), || {
            self.space.list("events").iter().any(told).then_some(())
        });
    }

    /// Waits until a condition of an object's record has this reason and all of these in its text.
    fn until_condition(&self, name: &str, condition: &str, reason: &str, words: &[&str]) {
        self.space.until("scalerecords", name, &format!("{condition} with {words:?}"), |record| {
            conditions(record).any(|one| {
                let message = one["message"].as_str().unwrap_or_default();
                one["type"] == condition && one["reason"] == reason && words.iter().all(|word| message.contains(word))
            })
        });
    }

    /// Waits until no policy of an object is missing or invalid.
    fn until_obeyed(&self, name: &str) {
        self.space.until("scalerecords", name, "no fault of a policy", |record| {
            !conditions(record).any(|one| one["type"].as_str().unwrap_or_default().starts_with("Policy"))
        });
    }
}

/// The address of the operator's API, `host:port`.
pub(super) fn api(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("/api/v1/objects"))?;
    Some(line.split_once("http://")?.1.split(' ').next()?.to_owned())
}

/// Waits until these are all counts that were asked of a Deployment: when each of them was heard of.
fn until_counts(asked: &Asked, counts: &[i64]) -> Vec<Timestamp> {
    let what = format!("the counts {counts:?}");
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(SOON, &what, || (asked.counts().len() >= counts.len()).then(|| asked.changes()))
    }));
    let changes = found.unwrap_or_else(|_| panic!("not {what}, but {:?}", asked.counts()));
    assert_eq!(changes.iter().map(|(_, count)| *count).collect::<Vec<_>>(), counts);
    changes.into_iter().map(|(at, _)| at).collect()
}

/// Nobody asks for anything else for so many seconds.
fn stays(asked: &Asked, operator: &Operator, seconds: u64) {
    let counts = asked.counts();
    throughout(Duration::from_secs(seconds), || {
        let now = asked.counts();
        if now == counts { Ok(()) } else { Err(format!("{now:?} instead of {counts:?}\n{}", operator.log())) }
    });
}

/// Something was due so many seconds after a moment: not earlier, and not much later.
fn due(what: &str, at: Timestamp, since: Timestamp, seconds: i64, tolerance: SignedDuration) {
    let (after, due) = (at.duration_since(since), SignedDuration::from_secs(seconds));
    println!("{what}: after {after:#}, due after {due:#}");
    assert!(after >= due - tolerance, "{what}: after {after:#}, and that is before {due:#}");
    assert!(after <= due + LATE, "{what}: only after {after:#}, due after {due:#}");
}
