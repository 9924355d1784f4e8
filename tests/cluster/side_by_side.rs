//! The same workload twice, once under a HorizontalPodAutoscaler and once under a ScaledObject: both get the same replicas.
//!
//! The first half is run by the real controller, the second one by `tidegate run`; both decide once a second, and both read the metrics
//! that the test serves. [`timelines`] has what happens, [`manifests`] says it in the words of both, [`compare`] says what is equal.

mod compare;
mod manifests;
mod timelines;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use self::compare::{Change, Course};
use self::timelines::{Act, Timeline};
use super::control_plane::ControlPlane;
use super::metrics_server::MetricsServer;
use super::node::UNREADY;
use super::operator::{Account, Operator, until_held};
use super::space::{Asked, Space, conditions};
use super::{SOON, trial, wait_for};
use crate::harness::wait::eventually;

/// The Deployment under the HorizontalPodAutoscaler.
const HPA: &str = "hpa";
/// The Deployment under the ScaledObject.
const TIDEGATE: &str = "tidegate";
/// How often both decide.
const SYNC: Duration = Duration::from_secs(1);
/// How long the highest recommendation counts where `behavior` says nothing else.
const WINDOW: &str = "12s";
/// What both need for a change that is due, in the API server, in watches and in the test: a machine that does much else is slow.
const DELAY: Duration = Duration::from_millis(800);
/// The longest that the controller may rest between two looks at a timeline. If a busy machine holds it up for longer, it may have missed
/// a step, and nothing can be said: the timeline is played again.
const REST: Duration = Duration::from_millis(2500);
/// How often a timeline is played at most.
const ATTEMPTS: usize = 3;
/// As whom the controller asks, and as whom the operator.
const USERS: [&str; 2] = ["admin", "system:serviceaccount:"];
/// How long both decide about a load that fits before anything happens.
const SETTLE: Duration = Duration::from_secs(3);

/// The comparison of the two halves.
pub(super) fn trials() -> Vec<Trial> {
    vec![trial("side_by_side::the_replicas_of_the_real_controller", same_replicas)]
}

/// What is the same and what is not: these need no cluster.
pub(super) fn comparisons() -> Vec<Trial> {
    compare::trials()
}

/// All timelines at the same time, each in a namespace of its own.
fn same_replicas() {
    let stage = Stage::start();
    let timelines = timelines::all();
    let outcomes: Vec<Result<String, String>> = std::thread::scope(|scope| {
        let stage = &stage;
        let play = |timeline| scope.spawn(move || stage.play(timeline));
        let players: Vec<_> = timelines.iter().map(play).collect();
        players.into_iter().map(|player| player.join().unwrap_or_else(|why| Err(compare::said(&why)))).collect()
    });
    let mut wrong = Vec::new();
    for (timeline, outcome) in timelines.iter().zip(outcomes) {
        match outcome {
            Ok(table) => println!("{}\n{table}", timeline.name),
            Err(why) => wrong.push(format!("{}\n{why}", timeline.name)),
        }
    }
    let asked = |user| {
        ["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"]
            .map(|group| stage.metrics.asked(user, group))
    };
    let [controller, operator] = USERS.map(asked);
    println!("questions to the metrics APIs: the controller {controller:?}, the operator {operator:?}");
    assert!(wrong.is_empty(), "{} of {} timelines differ:\n{}", wrong.len(), timelines.len(), wrong.join("\n"));
    assert!(controller.into_iter().chain(operator).all(|count| count > 0), "both halves read every API");
}

/// What all timelines share.
struct Stage {
    // Dropped in this order: whoever asks ends before those who answer.
    _operator: Operator,
    metrics: MetricsServer,
    _own: Space,
    plane: Arc<ControlPlane>,
}

impl Stage {
    fn start() -> Self {
        let window = format!("--horizontal-pod-autoscaler-downscale-stabilization={WINDOW}");
        let pace = ["--horizontal-pod-autoscaler-sync-period=1s", "--concurrent-horizontal-pod-autoscaler-syncs=20"];
        let plane = Arc::new(ControlPlane::start_with_arguments(&[pace[0], pace[1], &window]));
        let metrics = MetricsServer::start(&plane);
        let own = Space::on(&plane, "operator");
        let account = Account::cluster_wide(&own);
        let operator = account.start_with(&["--sync-period", "1s", "--downscale-stabilization", WINDOW]);
        until_held(&own, None);
        Self { _operator: operator, metrics, _own: own, plane }
    }

    /// Plays a timeline until something can be said about it: what it led to, side by side; an error if the halves differ, or are not
    /// what is expected.
    fn play(&self, timeline: &Timeline) -> Result<String, String> {
        let mut rested = Vec::new();
        for _ in 0..ATTEMPTS {
            let (pauses, outcome) = self.attempt(timeline);
            if pauses[0] <= REST {
                return outcome;
            }
            rested.push(pauses[0]);
        }
        Err(format!("this machine is too busy: the controller rested for {rested:.1?}, and not for {SYNC:?}"))
    }

    /// Plays a timeline for both halves: the longest pauses of the two, and how it went.
    fn attempt(&self, timeline: &Timeline) -> ([Duration; 2], Result<String, String>) {
        let space = Space::on(&self.plane, timeline.name);
        let asked = self.begin(&space, timeline);
        let (begun, started) = (Timestamp::now(), Instant::now());
        for (second, act) in &timeline.script {
            std::thread::sleep(Duration::from_secs(*second).saturating_sub(started.elapsed()));
            self.perform(&space, act);
        }
        std::thread::sleep(Duration::from_secs(timeline.length).saturating_sub(started.elapsed()));
        let [hpa, tidegate] = asked.map(|asked| course(&asked, begun));
        let pauses = USERS.map(|user| self.metrics.longest_pause(user, space.name(), started));
        (pauses, judge(timeline, &hpa, &tidegate, pauses))
    }

    /// Makes both halves of a timeline, and waits until they decide about a load that suits them.
    fn begin(&self, space: &Space, timeline: &Timeline) -> [Asked; 2] {
        for (metric, rule) in &timeline.before {
            self.metrics.say(space.name(), *metric, *rule);
        }
        for name in [HPA, TIDEGATE] {
            space.apply(&manifests::deployment(name, timeline).to_string());
        }
        for name in [HPA, TIDEGATE] {
            space.until_ready(name, timeline.replicas.into());
        }
        let asked = [HPA, TIDEGATE].map(|name| space.watch(name));
        space.apply(&manifests::both(timeline).to_string());
        until_both_decide(space);
        std::thread::sleep(SETTLE);
        asked
    }

    fn perform(&self, space: &Space, act: &Act) {
        match act {
            Act::Say(metric, rule) => self.metrics.say(space.name(), *metric, *rule),
            Act::Unready(count) => [HPA, TIDEGATE].iter().for_each(|name| make_unready(space, name, *count)),
            Act::Bounds(min, max) => {
                let [hpa, tidegate] = manifests::bounds((*min, *max));
                space.merge("horizontalpodautoscalers", HPA, &hpa);
                space.merge("scaledobjects", TIDEGATE, &tidegate);
            }
        }
    }
}

/// Whether the replicas are the same and what is expected. One sync period is as long as it was in fact.
fn judge(timeline: &Timeline, hpa: &[Change], tidegate: &[Change], pauses: [Duration; 2]) -> Result<String, String> {
    let table = compare::table(hpa, tidegate);
    let table = format!("{table}\n  the longest pauses between two looks: {:.2?} and {:.2?}", pauses[0], pauses[1]);
    let counts: Vec<i64> = hpa.iter().map(|change| change.replicas).collect();
    if counts != timeline.expected {
        return Err(format!("{table}\nthe controller led to {counts:?}, and not to {:?}", timeline.expected));
    }
    let limit = SignedDuration::try_from(pauses[0].max(SYNC) + DELAY).unwrap();
    match compare::compare(hpa, tidegate, timeline.chains, limit) {
        Ok(()) => Ok(table),
        Err(why) => Err(format!("{table}\n{why}")),
    }
}

/// Waits until both have decided once: the controller has computed a metric, and what the operator knows is recorded.
fn until_both_decide(space: &Space) {
    space.until("horizontalpodautoscalers", HPA, "a first decision of the controller", |object| {
        conditions(object).any(|one| one["type"] == "ScalingActive" && one["status"] == "True")
    });
    space.until_condition(TIDEGATE, "Ready", "True");
}

/// The oldest so many pods of a Deployment are not ready, all others are.
fn make_unready(space: &Space, name: &str, count: usize) {
    let selector = ListParams::default().labels(&format!("app={name}"));
    let mut pods = wait_for(space.api("pods").list(&selector)).unwrap().items;
    let age = |pod: &kube::api::DynamicObject| (pod.metadata.creation_timestamp.clone(), pod.metadata.name.clone());
    pods.sort_by_cached_key(age);
    for (place, pod) in pods.iter().enumerate() {
        let unready = if place < count { json!("true") } else { Value::Null };
        let name = pod.metadata.name.as_deref().unwrap();
        space.merge("pods", name, &json!({"metadata": {"annotations": {UNREADY: unready}}}));
    }
    let wanted = pods.len() - count;
    eventually(SOON, &format!("{wanted} ready pods of {name}"), || {
        (space.get("deployments", name)?["status"]["readyReplicas"].as_u64()? == u64::try_from(wanted).unwrap())
            .then_some(())
    });
}

/// What was asked of a Deployment, with the time since the beginning.
fn course(asked: &Asked, begun: Timestamp) -> Course {
    let change = |(at, replicas): (Timestamp, i64)| Change { at: at.duration_since(begun), replicas };
    asked.changes().into_iter().map(change).collect()
}
