//! FlinkDeployments: a change waits for the operator's rest, and its job's state is saved.

use std::time::Duration;

use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::super::audit::Moment;
use super::super::operator::{Account, Operator};
use super::super::space::{Space, conditions};
use super::super::{SOON, trial};
use super::operator::{Deed, FlinkOperator, Origin, Script, Snapshots};
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("flink::deployment::a_change_waits_until_the_operator_is_at_rest", gated),
        trial("flink::deployment::last_state_starts_from_a_checkpoint_of_the_change", last_state),
    ]
}

/// What a FlinkDeployment needs: the operator, the object, a ScaledObject that wants what a ConfigMap says, and a policy.
pub(super) struct Enrich {
    pub(super) space: Space,
    pub(super) flink: FlinkOperator,
    pub(super) account: Account,
    pub(super) begun: Moment,
}

/// How it is set up.
pub(super) struct Setup<'a> {
    pub(super) upgrade_mode: &'a str,
    pub(super) replicas: i64,
    /// `minReplicaCount`.
    pub(super) min: u32,
    /// Further settings of Flink.
    pub(super) configuration: Value,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self { upgrade_mode: "last-state", replicas: 2, min: 1, configuration: json!({}) }
    }
}

impl Enrich {
    /// The job runs, and as many TaskManagers are wanted as there are.
    pub(super) fn new(purpose: &str, setup: &Setup<'_>, hook: &Value) -> Self {
        let space = Space::new(purpose);
        let flink = FlinkOperator::start(&space);
        let mut configuration = setup.configuration.clone();
        configuration["taskmanager.numberOfTaskSlots"] = "2".into();
        let deployment = json!({
            "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "enrich"},
            "spec": {
                "mode": "native", "flinkVersion": "v1_20", "image": "flink:1.20", "flinkConfiguration": configuration,
                "jobManager": {"replicas": 1}, "taskManager": {"replicas": setup.replicas},
                "job": {"jarURI": "local:///opt/enrich.jar", "state": "running", "upgradeMode": setup.upgrade_mode},
            },
        });
        space.apply(&deployment.to_string());
        space.apply(&plan(setup.replicas).to_string());
        let account = Account::new(&space);
        let enrich = Self { begun: space.plane().audit().now(), space, flink, account };
        enrich.until_running(setup.replicas);
        enrich.hook(hook);
        enrich.space.apply(&scaled(setup.min).to_string());
        enrich
    }

    /// Starts an operator.
    pub(super) fn start(&self) -> Operator {
        self.account.start()
    }

    /// Applies the policy with one hook for Flink: `hook` holds what is said beyond its name.
    pub(super) fn hook(&self, hook: &Value) {
        let mut whole = json!({"name": "state", "cooldown": "1s", "flink": {"verify": {"timeout": "60s"}}});
        for (key, value) in hook.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let policy = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": {"name": "flink-safe"},
            "spec": {"hooks": {"preScale": [whole]}},
        });
        self.space.apply(&policy.to_string());
    }

    /// From now on so many TaskManagers are wanted.
    pub(super) fn want(&self, replicas: i64) {
        self.space.apply(&plan(replicas).to_string());
    }

    /// The FlinkDeployment.
    pub(super) fn deployment(&self) -> Value {
        self.space.get("flinkdeployments", "enrich").expect("a FlinkDeployment")
    }

    /// The replicas that its spec names.
    pub(super) fn asked(&self) -> Value {
        self.deployment()["spec"]["taskManager"]["replicas"].clone()
    }

    /// Waits until the job runs with so many TaskManagers, and the operator is at rest.
    pub(super) fn until_running(&self, replicas: i64) -> Value {
        let what = format!("a job that runs on {replicas} TaskManagers");
        self.space.until("flinkdeployments", "enrich", &what, |object| {
            object["spec"]["taskManager"]["replicas"] == replicas
                && object["status"]["taskManager"]["replicas"] == replicas
                && object["status"]["jobStatus"]["state"] == "RUNNING"
                && object["status"]["observedGeneration"] == object["metadata"]["generation"]
        })
    }

    /// Waits until an operation in this direction has ended in this phase, and no other is under way: how often in a row one in this
    /// direction has failed.
    pub(super) fn until_ended(&self, direction: &str, phase: &str) -> i64 {
        let ended = |record: &Value| {
            let all = left_behind(record)["endings"].as_array().cloned().unwrap_or_default();
            all.into_iter().find(|one| one["direction"] == direction && one["phase"] == phase)
        };
        let what = format!("a {direction} that ended {phase}");
        let record = self.space.until("scalerecords", "enrich", &what, |record| {
            ended(record).is_some() && record["status"]["operation"]["state"].is_null()
        });
        ended(&record).unwrap()["failures"].as_i64().unwrap()
    }

    /// Waits until an operation is in this phase.
    pub(super) fn until_phase(&self, phase: &str) {
        self.space.until("scalerecords", "enrich", &format!("an operation in {phase}"), |record| {
            phase_of(record).as_deref() == Some(phase)
        });
    }

    /// Waits for a condition of the record whose message holds this text.
    pub(super) fn until_said(&self, condition: &str, text: &str) {
        self.space.until("scalerecords", "enrich", &format!("{condition}: {text}"), |record| {
            conditions(record).any(|one| {
                one["type"] == condition
                    && one["status"] == "True"
                    && one["message"].as_str().is_some_and(|message| message.contains(text))
            })
        });
    }

    /// Waits until no condition of this type stands.
    pub(super) fn until_unsaid(&self, condition: &str) {
        self.space.until("scalerecords", "enrich", &format!("no {condition}"), |record| {
            !conditions(record).any(|one| one["type"] == condition)
        });
    }

    /// Waits for an event.
    pub(super) fn until_event(&self, reason: &str) {
        let told = |event: &Value| event["reason"] == reason;
        eventually(SOON, reason, || self.space.list("events").iter().any(told).then_some(()));
    }

    /// When the replicas were written, each time.
    pub(super) fn writes(&self, operator: &Operator) -> Vec<Timestamp> {
        let writes = operator.requests(self.begun).writes().of("flinkdeployments/scale").done();
        writes.0.iter().map(|request| request.at).collect()
    }

    /// For a while nothing is changed in what the FlinkDeployment asks for.
    pub(super) fn untouched(&self, span: Duration) {
        let before = self.deployment()["spec"].clone();
        throughout(span, || {
            let spec = self.deployment()["spec"].clone();
            if spec == before { Ok(()) } else { Err(format!("{before:#} became {spec:#}")) }
        });
    }

    /// Everything that was asked is opened by the printed roles.
    pub(super) fn was_permitted(&self, operator: &Operator) {
        let requests = operator.requests(self.begun);
        assert!(requests.0.iter().all(|request| request.code != 403), "{requests}\n{}", operator.log());
    }

    /// The names of the FlinkStateSnapshots that are there.
    pub(super) fn snapshots(&self) -> Vec<String> {
        let all = self.space.list("flinkstatesnapshots");
        all.iter().map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// What operations have left behind.
fn left_behind(record: &Value) -> Value {
    let text = record["status"]["operation"]["aftermath"].as_str().unwrap_or("null");
    serde_json::from_str(text).unwrap()
}

/// The phase of the operation that is under way.
fn phase_of(record: &Value) -> Option<String> {
    let whole: Value = serde_json::from_str(record["status"]["operation"]["state"].as_str()?).unwrap();
    // Beside its version and its time there is the state itself.
    let state = whole.as_object()?.values().find(|value| value["phase"].is_string())?;
    Some(state["phase"].as_str()?.to_owned())
}

fn plan(replicas: i64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plan"}, "data": {"wanted": replicas.to_string()},
    })
}

/// It looks every second, lowers at once, and wants as many replicas as the plan says.
pub(super) fn scaled(min: u32) -> Value {
    let number = json!({"resourceKind": "ConfigMap", "resourceName": "plan", "key": "wanted", "targetValue": "1"});
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": "enrich", "annotations": {"tidegate.dev/policies": "flink-safe"}},
        "spec": {
            "scaleTargetRef": {"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "name": "enrich"},
            "pollingInterval": 1, "cooldownPeriod": 0, "minReplicaCount": min, "maxReplicaCount": 10,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}},
            "triggers": [{"type": "kubernetes-resource", "metadata": number}],
        },
    })
}

/// While the operator upgrades, and while a snapshot of somebody is in progress, nothing is changed. The operator takes its savepoint itself.
fn gated() {
    let enrich = Enrich::new("gated", &Setup { upgrade_mode: "savepoint", ..Setup::default() }, &json!({}));
    enrich.flink.play(Script { takes: Duration::from_secs(4), ..Script::default() });
    let operator = enrich.start();
    enrich.space.until_condition("enrich", "Ready", "True");
    enrich.space.merge("flinkdeployments", "enrich", &json!({"spec": {"image": "flink:1.20.1"}}));
    enrich.want(4);
    enrich.until_running(4);
    assert_eq!(enrich.until_ended("ScaleUp", "Done"), 0);
    let runs = |nth: usize| {
        let deeds = enrich.flink.deeds().into_iter().filter(|(_, deed)| *deed == Deed::Runs);
        deeds.map(|(at, _)| at).nth(nth).expect("it runs")
    };
    let written = enrich.writes(&operator);
    println!("the new image ran at {}, the replicas were written at {written:?}", runs(1));
    assert!(written.len() == 1 && written[0] > runs(1), "{written:?} and not before {}", runs(1));

    enrich.flink.play(Script { snapshots: Snapshots::Hang, ..Script::default() });
    let by_hand = json!({
        "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkStateSnapshot", "metadata": {"name": "by-hand"},
        "spec": {"jobReference": {"kind": "FlinkDeployment", "name": "enrich"}, "savepoint": {}},
    });
    enrich.space.apply(&by_hand.to_string());
    enrich.want(3);
    enrich.until_phase("Preflight");
    enrich.untouched(Duration::from_secs(8));
    enrich.flink.play(Script::default());
    enrich.until_running(3);
    assert_eq!(enrich.until_ended("ScaleDown", "Done"), 0);
    let restarts = enrich.flink.restarts();
    assert_eq!(restarts.iter().map(|(replicas, _)| *replicas).collect::<Vec<_>>(), [2, 4, 3]);
    assert!(restarts.iter().all(|(_, origin)| *origin == Origin::Savepoint), "{restarts:?}");
    assert_eq!(enrich.snapshots(), ["by-hand"], "the operator takes its own savepoint");
    assert_eq!(enrich.writes(&operator).len(), 2, "one write a change");
    enrich.was_permitted(&operator);
}

/// Checkpoints are an hour apart. With one of the change's own next to nothing is done twice; without it an hour.
fn last_state() {
    let enrich = Enrich::new("laststate", &Setup { replicas: 4, ..Setup::default() }, &json!({}));
    let operator = enrich.start();
    enrich.want(2);
    enrich.until_running(2);
    assert_eq!(enrich.until_ended("ScaleDown", "Done"), 0);
    let snapshots = enrich.space.list("flinkstatesnapshots");
    let [snapshot] = snapshots.as_slice() else { panic!("{snapshots:#?}") };
    let of = json!({"kind": "FlinkDeployment", "name": "enrich"});
    assert_eq!(snapshot["spec"], json!({"backoffLimit": 2, "jobReference": of, "checkpoint": {}}));
    let [(2, Origin::Checkpoint(age))] = enrich.flink.restarts()[..] else { panic!("{:?}", enrich.flink.restarts()) };
    println!("lowered to 2: the job started from a checkpoint that was {age:?} old");
    assert!(age < Duration::from_secs(30), "{age:?}");

    enrich.hook(&json!({"flink": {"flinkDeployment": {"lastState": "AsIs"}}}));
    enrich.want(3);
    enrich.until_running(3);
    assert_eq!(enrich.until_ended("ScaleUp", "Done"), 0);
    assert_eq!(enrich.flink.restarts()[1], (3, Origin::Checkpoint(Duration::from_hours(1))), "its user wants that");
    assert_eq!(enrich.snapshots().len(), 1);
    assert_eq!(enrich.writes(&operator).len(), 2, "one write a change");
    enrich.was_permitted(&operator);
}
