//! Where operations are played: a namespace with an operator behind a wire, and in it one object after the other, each with a scripted
//! JobManager of its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use super::scripted::{JobManager, now};
use super::scripted_gate::ScriptedGate;
use super::scripted_job::Manners;
use super::scripted_wire::Wire;
use super::scripted_world::{SLOTS, World};
use crate::cluster::node::STARTUP;
use crate::cluster::operator::{Account, Operator};
use crate::cluster::space::Space;
use crate::cluster::{SOON, wait_for};
use crate::harness::wait::eventually;

/// The name of every job.
pub(crate) const JOB: &str = "enrich";
/// How old a checkpoint may be when TaskManagers are taken away, in milliseconds.
const MAX_AGE: i64 = 60_000;
/// Its first id.
pub(crate) const FIRST: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaa0001";

/// A namespace, and the operator that works in it.
pub(crate) struct Lane {
    pub(crate) space: Space,
    pub(crate) wire: Wire,
    gate: ScriptedGate,
    account: Account,
    arguments: Vec<&'static str>,
    scenes: AtomicU32,
}

/// How a scene begins.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// How the cluster treats its jobs.
    pub(crate) manners: Manners,
    /// The replicas at the beginning.
    pub(crate) from: u32,
    /// `minReplicaCount`.
    pub(crate) least: u32,
    /// The hook's `flink` block, without its address.
    pub(crate) flink: Value,
    /// What stands beside the hook's `flink` block.
    pub(crate) item: Value,
    /// Whether the metrics may lower it above zero.
    pub(crate) lowers: bool,
    /// Who may ask the JobManager.
    pub(crate) user: Option<(String, String)>,
}

impl Default for Opening {
    /// One TaskManager, Flink's adaptive scheduler, no pause after a change.
    fn default() -> Self {
        let flink = json!({
            "strategy": "Auto",
            "jobs": {"list": [{"name": JOB, "run": {"jar": {"name": "enrich.jar"}, "programArgs": ["--name", JOB]}}]},
            "savepoint": {"directory": "s3://flink/savepoints"}, "verify": {"timeout": "90s"},
            "checkpoint": {"maxAge": format!("{}s", MAX_AGE / 1_000)},
        });
        let item = json!({"cooldown": "0s", "attempts": 3});
        Self { manners: Manners::default(), from: 1, least: 1, flink, item, lowers: true, user: None }
    }
}

impl Lane {
    /// A namespace whose operators act at once; `arguments` are further ones of theirs.
    pub(crate) fn new(purpose: &str, arguments: &[&'static str]) -> Self {
        let space = Space::new(purpose);
        let wire = Wire::new();
        let account = Account::new(&space);
        let gate = ScriptedGate::to(account.kubeconfig(), &wire);
        let account = account.at(gate.address());
        Self { space, wire, gate, account, arguments: arguments.to_vec(), scenes: AtomicU32::new(0) }
    }

    /// Starts an operator.
    pub(crate) fn operator(&self) -> Operator {
        self.account.start_with(&[&["--sync-period", "1s"], &*self.arguments].concat())
    }

    /// A new object with its target, its policy and its Flink, at rest.
    pub(crate) fn open(&self, opening: &Opening) -> Scene<'_> {
        let name = format!("job-{}", self.scenes.fetch_add(1, Ordering::Relaxed));
        let mut world = World::new(opening.manners, MAX_AGE);
        world.user.clone_from(&opening.user);
        let manager = JobManager::start(world, &self.wire, &self.space, &name);
        let scene = Scene { lane: self, name, manager };
        scene.create("deployments", &deployment(&scene.name, opening.from));
        let demand = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": scene.name},
            "data": {"demand": opening.from.to_string()},
        });
        scene.create("configmaps", &demand);
        let managers = opening.from as usize;
        eventually(SOON, "TaskManagers", || (scene.manager.world().managers.len() == managers).then_some(()));
        scene.manager.submit(FIRST, JOB, opening.from * SLOTS);
        scene.create("scalingpolicies", &policy(&scene.name, scene.manager.url(), opening));
        scene.create("scaledobjects", &object(&scene.name, opening));
        scene
    }
}

/// An object with its target, its policy and its Flink.
pub(crate) struct Scene<'a> {
    pub(crate) lane: &'a Lane,
    pub(crate) name: String,
    pub(crate) manager: JobManager,
}

/// How operations of an object ended: the newest of each direction, as the record keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) sequence: u64,
    /// Direction and phase.
    pub(crate) endings: Vec<(String, String)>,
}

impl Ended {
    /// The phase in which the newest one of this direction ended.
    pub(crate) fn phase(&self, direction: &str) -> Option<&str> {
        self.endings.iter().find(|(of, _)| of == direction).map(|(_, phase)| phase.as_str())
    }
}

impl Scene<'_> {
    pub(crate) fn create(&self, resource: &str, manifest: &Value) {
        let object: DynamicObject = serde_json::from_value(manifest.clone()).unwrap();
        let created = wait_for(self.lane.space.api(resource).create(&PostParams::default(), &object));
        created.unwrap_or_else(|error| panic!("{error}: {manifest:#}"));
    }

    /// Waits until the operator has decided to leave this many replicas.
    pub(crate) fn until_at_rest(&self, replicas: u32) {
        let what = format!("{replicas} replicas decided");
        self.until_record(SOON, &what, |record| record["status"]["desired"] == replicas);
    }

    /// Waits until something is true of the record.
    pub(crate) fn until_record(&self, limit: Duration, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(limit, what, || {
                let record = self.record().filter(&holds);
                if record.is_none() {
                    std::thread::sleep(Duration::from_millis(100));
                }
                record
            })
        }));
        found.unwrap_or_else(|_| panic!("not within {limit:?}: {what}; {:#}\n{}", json!(self.record()), self.story()))
    }

    /// The record.
    pub(crate) fn record(&self) -> Option<Value> {
        self.lane.space.get("scalerecords", &self.name)
    }

    /// Asks for so many replicas.
    pub(crate) fn demand(&self, replicas: u32) {
        let patch = json!({"data": {"demand": replicas.to_string()}});
        self.lane.space.merge("configmaps", &self.name, &patch);
    }

    /// From now on writes of the replicas of this object are looked at.
    pub(crate) fn guard(&self) {
        let world = self.manager.watcher();
        let from = i64::from(u32::try_from(self.manager.world().managers.len()).unwrap());
        let least = std::sync::atomic::AtomicI64::new(from);
        let hear = move |replicas| {
            if replicas < least.swap(replicas, Ordering::SeqCst) {
                world(replicas, now());
            }
        };
        self.lane.gate.listen(&self.name, Box::new(hear));
    }

    /// How its operations have ended; none while one is under way or none has begun.
    pub(crate) fn ended(&self) -> Option<Ended> {
        let record = self.record()?;
        let kept = &record["status"]["operation"];
        if kept["state"].is_string() {
            return None;
        }
        let aftermath: Value = serde_json::from_str(kept["aftermath"].as_str()?).unwrap();
        let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
        let endings = aftermath["endings"].as_array().into_iter().flatten();
        let endings = endings.map(|one| (text(one, "direction"), text(one, "phase"))).collect();
        Some(Ended { sequence: aftermath["sequence"].as_u64()?, endings })
    }

    /// Waits until an operation of this direction has ended and none is under way, and the cluster is as it should be: this many replicas
    /// and, unless there are none, one job on all of their slots. Gives the phase of its end.
    pub(crate) fn until_ended(&self, direction: &str, replicas: u32) -> String {
        let what = format!("the end of {direction} to {replicas}");
        let mut last = None;
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(SOON, &what, || {
                std::thread::sleep(Duration::from_millis(100));
                last = self.ended();
                let phase = last.as_ref()?.phase(direction)?.to_owned();
                (self.lane.space.replicas(&self.name) == Some(replicas.into()) && self.is_well(replicas))
                    .then_some(phase)
            })
        }));
        waited.unwrap_or_else(|_| panic!("{what} did not come: {last:?}; {:#}\n{}", json!(self.record()), self.story()))
    }

    fn is_well(&self, replicas: u32) -> bool {
        let mut world = self.manager.world();
        match replicas {
            0 => world.jobs.iter().all(|job| !job.state.live()),
            _ => world.runs(JOB, replicas * SLOTS, now()),
        }
    }

    /// What happened on the Flink cluster.
    pub(crate) fn story(&self) -> String {
        self.manager.world().story()
    }

    /// What must never happen and did.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.manager.world().violations.clone()
    }

    /// How many snapshots of the job were asked for, how often it restarted, and how often it was run again.
    pub(crate) fn counts(&self) -> (usize, u32, usize) {
        let world = self.manager.world();
        let snapshots = world.jobs.iter().map(|job| job.triggers.len()).sum();
        let restarts = world.jobs.iter().map(|job| job.restarts).sum();
        (snapshots, restarts, world.jobs.len() - 1)
    }

    /// Takes the object and its target away, and does not wait.
    pub(crate) fn close(self) {
        self.lane.gate.forget(&self.name);
        for resource in ["scaledobjects", "deployments"] {
            self.lane.space.delete(resource, &self.name);
        }
    }
}

fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": {STARTUP: "0"}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "taskmanager", "image": "example.com/flink:2.3"}],
                },
            },
        },
    })
}

fn policy(name: &str, url: &str, opening: &Opening) -> Value {
    let mut flink = opening.flink.clone();
    flink["restUrl"] = url.into();
    let mut item = opening.item.clone();
    item["name"] = "state".into();
    item["flink"] = flink;
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": {"name": name},
        "spec": {"hooks": {"preScale": [item]}},
    })
}

/// One replica for each of what a ConfigMap says, looked at every second and at once when it changes.
fn object(name: &str, opening: &Opening) -> Value {
    let down = if opening.lowers { "Max" } else { "Disabled" };
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": name, "annotations": {"tidegate.dev/policies": name}},
        "spec": {
            "scaleTargetRef": {"name": name}, "pollingInterval": 1, "cooldownPeriod": 0, "minReplicaCount": opening.least,
            "maxReplicaCount": 8,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {
                "scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": down}, "scaleUp": {"stabilizationWindowSeconds": 0},
            }}},
            "triggers": [{
                "type": "kubernetes-resource",
                "metadata": {"resourceKind": "ConfigMap", "resourceName": name, "key": "demand", "targetValue": "1"},
            }],
        },
    })
}
