//! A Flink Kubernetes Operator that acts by a script: it takes FlinkDeployments through their states and FlinkStateSnapshots to their ends, and
//! remembers from what every job was started.
//!
//! There is no Flink behind it. What counts is what is told of a job: how old the checkpoint was that it started from, or that it started empty.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::super::space::Space;
use super::super::{SOON, runtime};
use super::operator_definitions::{definitions, refused};
use crate::harness::wait::eventually;

/// How often it looks at its objects: the real one comes by again and again, too.
const PACE: Duration = Duration::from_millis(250);
/// How long jobs run between two periodic checkpoints.
const INTERVAL: Duration = Duration::from_hours(1);

/// The running operator; it ends when it is dropped.
pub(super) struct FlinkOperator {
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

/// What it does from now on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Script {
    /// How long the stop of a job takes, and the start of one.
    pub(super) takes: Duration,
    /// How upgrades to at most `room` TaskManagers go: well. How those to more go: so.
    pub(super) beyond: Ending,
    /// The most TaskManagers that there is room for.
    pub(super) room: i64,
    /// How snapshots go.
    pub(super) snapshots: Snapshots,
}

/// How an upgrade without room ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ending {
    /// It is taken back: the job runs as before.
    RolledBack,
    /// The job does not run.
    Broken,
}

/// How a snapshot ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Snapshots {
    /// It completes within a moment.
    Complete,
    /// It goes on until there is another script.
    Hang,
    /// It fails.
    Fail,
    /// It is given up.
    Abandon,
}

/// Something it has done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Deed {
    /// Told to change something, it stopped the job.
    Stopped,
    /// It has started the job with so many TaskManagers.
    Started(i64, Origin),
    /// The job runs.
    Runs,
    /// The job rests.
    Suspended,
    /// A snapshot of this name is complete.
    Snapshot(String),
    /// A spec that it does not obey.
    Refused,
}

/// What a job is started from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    /// A savepoint of the stop.
    Savepoint,
    /// A checkpoint of this age at the stop.
    Checkpoint(Duration),
    /// Nothing: what it had in its state is lost.
    Empty,
}

#[derive(Default)]
struct Shared {
    script: Script,
    deeds: Vec<(Timestamp, Deed)>,
}

impl Default for Script {
    fn default() -> Self {
        Self { takes: Duration::from_secs(1), beyond: Ending::RolledBack, room: 100, snapshots: Snapshots::Complete }
    }
}

/// One job.
struct Life {
    stage: Stage,
    until: Instant,
    /// The generation that was looked at last, and the spec that is obeyed.
    generation: i64,
    spec: Value,
    stable: Value,
    /// When a checkpoint was taken since the last start; the periodic one before is as old as it can be.
    checkpoint: Option<Instant>,
    origin: Origin,
    /// What is to be told of it.
    owed: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Stopping,
    Starting,
    Running,
    RollingBack,
    RolledBack,
    Suspended,
    Broken,
}

impl FlinkOperator {
    /// Starts it for the objects of a namespace, after their definitions.
    pub(super) fn start(space: &Space) -> Self {
        space.create_missing(&definitions().to_string());
        // They are served a moment after they are made.
        let served = |resource: &str| {
            let listed =
                space.plane().kubectl(&["get", &format!("{resource}.flink.apache.org"), "-n", space.name()], "");
            listed.status.success()
        };
        eventually(SOON, "definitions that are served", || {
            (served("flinkdeployments") && served("flinkstatesnapshots")).then_some(())
        });
        let shared = Arc::<Mutex<Shared>>::default();
        let (deployments, snapshots) = (space.api("flinkdeployments"), space.api("flinkstatesnapshots"));
        let task = runtime().spawn(work(deployments, snapshots, shared.clone()));
        Self { shared, task }
    }

    /// From now on it acts so.
    pub(super) fn play(&self, script: Script) {
        lock(&self.shared).script = script;
    }

    /// What it has done so far, and when.
    pub(super) fn deeds(&self) -> Vec<(Timestamp, Deed)> {
        lock(&self.shared).deeds.clone()
    }

    /// With how many TaskManagers it has started the job, and from what, each time but the first.
    pub(super) fn restarts(&self) -> Vec<(i64, Origin)> {
        let started = self.deeds().into_iter().filter_map(|(_, deed)| match deed {
            Deed::Started(replicas, origin) => Some((replicas, origin)),
            _ => None,
        });
        started.skip(1).collect()
    }
}

impl Drop for FlinkOperator {
    fn drop(&mut self) {
        self.task.abort();
        if std::thread::panicking() {
            eprintln!("the Flink operator did: {:#?}", lock(&self.shared).deeds);
        }
    }
}

async fn work(deployments: Api<DynamicObject>, snapshots: Api<DynamicObject>, shared: Arc<Mutex<Shared>>) {
    let mut lives: HashMap<String, Life> = HashMap::new();
    loop {
        sleep(PACE).await;
        // What cannot be read or written now can be the next time.
        let Ok(all) = deployments.list(&ListParams::default()).await else { continue };
        for object in all {
            let name = object.name_any();
            let life = lives.entry(name.clone()).or_insert_with(|| Life::begin(&object, &shared));
            if let Some(status) = life.look(&object, &shared) {
                life.owed = Some(status);
            }
            if let Some(status) = &life.owed {
                let patch = Patch::Merge(json!({ "status": status }));
                if deployments.patch_status(&name, &PatchParams::default(), &patch).await.is_ok() {
                    life.owed = None;
                }
            }
        }
        let Ok(all) = snapshots.list(&ListParams::default()).await else { continue };
        for object in all {
            if let Some(status) = advance(&object, &mut lives, &shared) {
                let patch = Patch::Merge(json!({ "status": status }));
                let _ = snapshots.patch_status(&object.name_any(), &PatchParams::default(), &patch).await;
            }
        }
    }
}

impl Life {
    fn begin(object: &DynamicObject, shared: &Mutex<Shared>) -> Self {
        let spec = object.data["spec"].clone();
        note(shared, Deed::Started(replicas(&spec), Origin::Empty));
        let mut life = Self {
            stage: Stage::Starting,
            until: Instant::now() + lock(shared).script.takes,
            generation: object.metadata.generation.unwrap_or_default(),
            stable: spec.clone(),
            spec,
            checkpoint: None,
            origin: Origin::Empty,
            owed: None,
        };
        life.owed = Some(life.status());
        life
    }

    /// What is told of it now; none if nothing has changed.
    fn look(&mut self, object: &DynamicObject, shared: &Mutex<Shared>) -> Option<Value> {
        let script = lock(shared).script;
        let generation = object.metadata.generation.unwrap_or_default();
        let at_rest = !matches!(self.stage, Stage::Stopping | Stage::Starting | Stage::RollingBack);
        if generation != self.generation && at_rest {
            self.generation = generation;
            return Some(self.take_up(&object.data["spec"], &script, shared));
        }
        if at_rest || Instant::now() < self.until {
            return None;
        }
        self.until = Instant::now() + script.takes;
        match self.stage {
            Stage::Stopping if is_suspended(&self.spec) => {
                self.stage = Stage::Suspended;
                note(shared, Deed::Suspended);
            }
            Stage::Stopping => {
                self.stage = Stage::Starting;
                note(shared, Deed::Started(replicas(&self.spec), self.origin.clone()));
            }
            Stage::Starting if replicas(&self.spec) > script.room && script.beyond == Ending::Broken => {
                self.stage = Stage::Broken;
            }
            Stage::Starting if replicas(&self.spec) > script.room => self.stage = Stage::RollingBack,
            Stage::RollingBack => {
                self.stage = Stage::RolledBack;
                self.checkpoint = None;
                note(shared, Deed::Started(replicas(&self.stable), self.origin.clone()));
            }
            _ => {
                self.stage = Stage::Running;
                self.stable = self.spec.clone();
                self.checkpoint = None;
                note(shared, Deed::Runs);
            }
        }
        Some(self.status())
    }

    /// A new spec: the job is stopped by its upgrade mode.
    fn take_up(&mut self, spec: &Value, script: &Script, shared: &Mutex<Shared>) -> Value {
        if let Some(why) = refused(spec) {
            note(shared, Deed::Refused);
            return json!({ "error": why, "observedGeneration": self.generation });
        }
        let same = *spec == self.spec && self.stage != Stage::RolledBack;
        if same && self.stage != Stage::Broken {
            return json!({ "error": "", "observedGeneration": self.generation });
        }
        if !matches!(self.stage, Stage::Suspended | Stage::Broken) {
            self.origin = match spec["job"]["upgradeMode"].as_str() {
                Some("savepoint") => Origin::Savepoint,
                Some("last-state") => Origin::Checkpoint(self.checkpoint.map_or(INTERVAL, |at| at.elapsed())),
                _ => Origin::Empty,
            };
            note(shared, Deed::Stopped);
        }
        self.spec = spec.clone();
        self.stage = Stage::Stopping;
        self.until = Instant::now() + script.takes;
        self.status()
    }

    fn status(&self) -> Value {
        let none = (0, "");
        let (reconciled, lifecycle, manager, job, (count, selector)) = match self.stage {
            Stage::Stopping => ("UPGRADING", "UPGRADING", "MISSING", self.stopped(), none),
            Stage::Starting => ("DEPLOYED", "DEPLOYED", "DEPLOYING", "CREATED", Self::managers(&self.spec)),
            Stage::Running => ("DEPLOYED", "STABLE", "READY", "RUNNING", Self::managers(&self.spec)),
            Stage::RollingBack => ("ROLLING_BACK", "ROLLING_BACK", "DEPLOYING", "RECONCILING", none),
            Stage::RolledBack => ("ROLLED_BACK", "ROLLED_BACK", "READY", "RUNNING", Self::managers(&self.stable)),
            Stage::Suspended => ("DEPLOYED", "SUSPENDED", "MISSING", self.stopped(), none),
            Stage::Broken => ("DEPLOYED", "FAILED", "ERROR", "RECONCILING", none),
        };
        let path = (self.origin == Origin::Savepoint).then(|| format!("s3://flink/savepoints/{}", self.generation));
        let reconciled_spec =
            json!({"spec": self.spec, "resource_metadata": {"metadata": {"generation": self.generation}}});
        json!({
            "error": if self.stage == Stage::Broken { "there is no room for so many TaskManagers" } else { "" },
            "observedGeneration": self.generation,
            "lifecycleState": lifecycle,
            "jobManagerDeploymentStatus": manager,
            "jobStatus": {"state": job, "jobName": "enrich", "upgradeSavepointPath": path},
            "reconciliationStatus": {
                "state": reconciled, "reconciliationTimestamp": Timestamp::now().as_millisecond(),
                "lastReconciledSpec": reconciled_spec.to_string(), "lastStableSpec": json!({"spec": self.stable}).to_string(),
            },
            "taskManager": {"replicas": count, "labelSelector": selector},
            "conditions": [{"type": "Running", "status": if job == "RUNNING" { "True" } else { "False" }, "reason": job}],
        })
    }

    /// What is told of a job that is stopped.
    fn stopped(&self) -> &'static str {
        if self.origin == Origin::Savepoint { "FINISHED" } else { "RECONCILING" }
    }

    fn managers(spec: &Value) -> (i64, &'static str) {
        (replicas(spec), "component=taskmanager,app=enrich")
    }
}

/// The next state of a snapshot; none if it stays as it is.
fn advance(object: &DynamicObject, lives: &mut HashMap<String, Life>, shared: &Mutex<Shared>) -> Option<Value> {
    let (status, now) = (&object.data["status"], Timestamp::now());
    let job = object.data["spec"]["jobReference"]["name"].as_str().and_then(|name| lives.get_mut(name));
    let runs = job.as_ref().is_some_and(|job| matches!(job.stage, Stage::Running | Stage::RolledBack));
    let end = if runs { lock(shared).script.snapshots } else { Snapshots::Abandon };
    let limit = object.data["spec"]["backoffLimit"].as_i64().unwrap_or(-1);
    match (status["state"].as_str(), end) {
        (None, _) => Some(json!({"state": "TRIGGER_PENDING", "failures": 0})),
        (Some("TRIGGER_PENDING"), _) => Some(json!({
            "state": "IN_PROGRESS", "triggerId": "8f2b", "triggerTimestamp": now.to_string(),
        })),
        (Some("IN_PROGRESS"), Snapshots::Complete) => {
            if let Some(job) = job {
                job.checkpoint = Some(Instant::now());
            }
            note(shared, Deed::Snapshot(object.name_any()));
            let path = format!("s3://flink/checkpoints/{}", object.name_any());
            Some(json!({"state": "COMPLETED", "path": path, "resultTimestamp": now.to_string()}))
        }
        // The real one tries as often as it is told, with pauses of 10 s and more.
        (Some("IN_PROGRESS"), Snapshots::Fail) => Some(
            json!({"state": "FAILED", "error": "the checkpoint expired before it was complete", "failures": limit + 1}),
        ),
        (Some("IN_PROGRESS"), Snapshots::Abandon) => {
            Some(json!({"state": "ABANDONED", "error": "the job does not run any more"}))
        }
        _ => None,
    }
}

fn replicas(spec: &Value) -> i64 {
    spec["taskManager"]["replicas"].as_i64().unwrap_or(1)
}

fn is_suspended(spec: &Value) -> bool {
    spec["job"]["state"] == "suspended"
}

fn note(shared: &Mutex<Shared>, deed: Deed) {
    lock(shared).deeds.push((Timestamp::now(), deed));
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
