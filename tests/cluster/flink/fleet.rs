//! A real Flink on the test control plane: the JobManager is a process beside it, the TaskManagers are the pods of a Deployment.
//!
//! Each pod runs a real TaskManager whose resource id is the name of the pod. The replicas follow the ScaledObject `taskmanager`, either by
//! triggers of the scenario's own or by a number that the scenario says ([`Fleet::want`]).

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::real_operations::Operations;
use super::real_records::Records;
use crate::cluster::SOON;
use crate::cluster::objects::Deployment;
use crate::cluster::operator::{Account, Operator, until_held};
use crate::cluster::rules::api;
use crate::cluster::space::Space;
use crate::flink::server::{Flink, PATIENCE, Plan};
use crate::harness::tidegate::{printed, run};
use crate::harness::wait::eventually;

/// The Deployment and the ScaledObject.
pub(super) const NAME: &str = "taskmanager";
/// The ScalingPolicy.
pub(super) const POLICY: &str = "flink-safe";
/// The name of the job.
pub(super) const JOB: &str = "enrich";
/// The records that arrive in a second, over all partitions, unless a scenario says otherwise.
pub(super) const RATE: u32 = 400;

/// How many of these clusters run at a time: each is four or five Java processes, and there are machines with two processors.
const AT_ONCE: usize = 2;

/// A cluster with its operator. The fields stand in the order in which they must be dropped.
pub(super) struct Fleet {
    operator: Option<Operator>,
    pub(super) operations: Operations,
    account: Account,
    pub(super) space: Space,
    pub(super) flink: Flink,
    _turn: Turn,
}

impl Fleet {
    /// A JobManager and this many TaskManagers; no job, no ScaledObject, no operator yet.
    pub(super) fn start(purpose: &str, plan: &Plan, task_managers: u32) -> Self {
        let turn = Turn::take();
        let flink = Flink::start(plan, 0);
        let space = Space::new(purpose);
        let script = script(&flink);
        space.deploy(&Deployment {
            name: NAME,
            replicas: task_managers,
            script: Some(&script),
            grace: 20,
            ..Deployment::default()
        });
        space.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plan"}, "data": {"replicas": task_managers.to_string()}}).to_string());
        let account = Account::new(&space);
        let fleet = Self { operator: None, operations: Operations::watch(&space), account, space, flink, _turn: turn };
        fleet.flink.wait_for_slots(task_managers * plan.slots);
        fleet
    }

    /// Runs the job, which leaves each record in a file exactly once, and waits until all of it runs: its id.
    pub(super) fn submit(&self, parallelism: u32, configuration: &Value) -> String {
        let request = json!({"parallelism": parallelism, "flinkConfiguration": configuration});
        let arguments = self.arguments();
        // The harness adds the folder of the knobs by itself.
        let options: Vec<&str> = arguments.iter().skip(2).map(String::as_str).collect();
        let job = self.flink.run(&request, &options);
        self.flink.wait_until_running(&job);
        job
    }

    /// The arguments of the job, as `run.programArgs` of a policy names them.
    pub(super) fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.flink.path(name).display().to_string();
        let (knobs, out, seen, rate) = (path("knobs"), path("out"), path("seen"), RATE.to_string());
        let all = ["--dir", &knobs, "--name", JOB, "--rate", &rate, "--work", "500", "--out", &out, "--seen", &seen];
        all.map(str::to_owned).into()
    }

    /// What the job has left behind.
    pub(super) fn records(&self) -> Records {
        Records::new(&self.flink)
    }

    /// A ScaledObject whose replicas are the number that the scenario says. `policies` is the annotation.
    pub(super) fn scale_by_number(&self, policies: Option<&str>, min: u32, max: u32) {
        let trigger = json!({
            "type": "kubernetes-resource", "name": "plan",
            "metadata": {"resourceKind": "ConfigMap", "resourceName": "plan", "key": "replicas", "targetValue": "1"},
        });
        self.scale_by(policies, (min, max), &json!([trigger]));
    }

    /// A ScaledObject that looks every second, and lowers without a window.
    pub(super) fn scale_by(&self, policies: Option<&str>, (min, max): (u32, u32), triggers: &Value) {
        let object = json!({
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
            "metadata": {"name": NAME, "annotations": {"tidegate.dev/policies": policies.unwrap_or_default()}},
            "spec": {
                "scaleTargetRef": {"name": NAME}, "pollingInterval": 1, "cooldownPeriod": 3,
                "minReplicaCount": min, "maxReplicaCount": max,
                "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}},
                "triggers": triggers,
            },
        });
        self.space.apply(&object.to_string());
    }

    /// Deletes the ScaledObject, and waits until its record is gone as well: nothing of it is remembered.
    pub(super) fn scale_by_nothing(&self) {
        self.space.delete("scaledobjects", NAME);
        let gone = || self.space.get("scaledobjects", NAME).is_none() && self.space.get("scalerecords", NAME).is_none();
        eventually(SOON, "the end of a ScaledObject and its record", || gone().then_some(()));
        self.operations.forget();
    }

    /// Applies the policy; `flink` is its block of that name.
    pub(super) fn policy(&self, flink: &Value) {
        self.policy_with(flink, &json!({}));
    }

    /// The same with more blocks.
    pub(super) fn policy_with(&self, flink: &Value, blocks: &Value) {
        let mut spec = blocks.clone();
        spec["hooks"] = json!({"preScale": [
            {"name": "state", "timeout": "5m", "attempts": 3, "cooldown": "2s", "flink": flink},
        ]});
        let policy = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": {"name": POLICY}, "spec": spec,
        });
        self.space.apply(&policy.to_string());
    }

    /// From now on so many replicas are wanted.
    pub(super) fn want(&self, replicas: u32) {
        self.space.merge("configmaps", "plan", &json!({"data": {"replicas": replicas.to_string()}}));
    }

    /// Starts the operator, and waits until it leads.
    pub(super) fn start_operator(&mut self) {
        assert!(self.operator.is_none(), "one at a time");
        let before = crate::cluster::operator::holder(&self.space);
        self.operator = Some(self.account.start());
        until_held(&self.space, before.as_deref());
    }

    /// Kills the operator, as `kill -9` does.
    pub(super) fn kill_operator(&mut self) {
        self.operator.take().expect("the operator runs").kill();
    }

    /// What the operator has printed.
    pub(super) fn log(&self) -> String {
        self.operator.as_ref().map(Operator::log).unwrap_or_default()
    }

    /// Waits until the explanation of the object has all of these.
    pub(super) fn until_explained(&self, words: &[&str]) {
        let mut last = String::new();
        let object = format!("{}/{NAME}", self.space.name());
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(SOON, "an explanation", || {
                let address = api(&self.log())?;
                last = printed(&run(&["explain", &object, "--server", &address])).0;
                std::thread::sleep(Duration::from_millis(200));
                words.iter().all(|word| last.contains(word)).then_some(())
            });
        }));
        assert!(found.is_ok(), "{words:?} are not explained; this is:\n{last}");
    }

    /// Waits until so many TaskManagers are registered, and as many pods are there.
    pub(super) fn until_size(&self, task_managers: u32) {
        self.space.until_ready(NAME, task_managers.into());
        let what = format!("{task_managers} registered TaskManagers");
        let registered = || self.flink.try_get("/taskmanagers").ok()?["taskmanagers"].as_array().map(Vec::len);
        eventually(SOON, &what, || (registered() == usize::try_from(task_managers).ok()).then_some(()));
    }

    /// The parallelism of every vertex of a job.
    pub(super) fn parallelism(&self, job: &str) -> Vec<u64> {
        let detail = self.flink.get(&format!("/jobs/{job}"));
        detail["vertices"].as_array().unwrap().iter().map(|vertex| vertex["parallelism"].as_u64().unwrap()).collect()
    }

    /// Waits until all vertices of a job run with this parallelism.
    pub(super) fn until_parallelism(&self, job: &str, parallelism: u64) {
        let what = format!("job {job} runs with a parallelism of {parallelism}");
        self.flink.eventually(&what, || {
            let detail = self.flink.try_get(&format!("/jobs/{job}")).ok()?;
            let runs =
                |vertex: &Value| vertex["parallelism"] == parallelism && vertex["tasks"]["RUNNING"] == parallelism;
            let vertices = detail["vertices"].as_array()?;
            (detail["state"] == "RUNNING" && !vertices.is_empty() && vertices.iter().all(runs)).then_some(())
        });
    }

    /// What a job says of its checkpoints.
    pub(super) fn checkpoints(&self, job: &str) -> Value {
        self.flink.get(&format!("/jobs/{job}/checkpoints"))
    }

    /// Takes a checkpoint by hand: its number.
    pub(super) fn checkpoint(&self, job: &str) -> u64 {
        let begun = std::time::Instant::now();
        loop {
            let answer = self.flink.post(&format!("/jobs/{job}/checkpoints"), &json!({"checkpointType": "CONFIGURED"}));
            if let Some(trigger) = answer["request-id"].as_str() {
                let path = format!("/jobs/{job}/checkpoints/{trigger}");
                let ended = self.flink.eventually("the end of a checkpoint", || {
                    let seen = self.flink.try_get(&path).ok()?;
                    (seen["status"]["id"] == "COMPLETED").then_some(seen)
                });
                if let Some(id) = ended["operation"]["checkpointId"].as_u64() {
                    return id;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "no checkpoint: {answer}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// The jobs that are not at their end.
    pub(super) fn live(&self) -> Vec<String> {
        let all = self.flink.get("/jobs/overview");
        let live =
            |job: &&Value| !["FINISHED", "CANCELED", "FAILED"].contains(&job["state"].as_str().unwrap_or_default());
        all["jobs"].as_array().unwrap().iter().filter(live).map(|job| job["jid"].as_str().unwrap().to_owned()).collect()
    }

    /// The log ends, the job reads what is left of it, and its checkpoint is complete: then each record was left exactly once. How many.
    pub(super) fn counts_exactly_once(&self, job: &str) -> u64 {
        self.flink.knob("rate", "0");
        let mut before = None;
        eventually(SOON, "a job that has read everything", || {
            std::thread::sleep(Duration::from_secs(1));
            self.checkpoint(job);
            let left = self.records().left();
            // A job that has just restarted has left nothing new for a while.
            (before.replace(left) == Some(left) && self.records().unfinished() == 0).then_some(())
        });
        let total = self.records().exactly_once();
        assert_eq!(Some(total), before, "{}", self.log());
        total
    }
}

/// The shell script of a TaskManager's pod.
fn script(flink: &Flink) -> String {
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let command = flink.task_manager("pod");
    let arguments: Vec<String> = command.get_args().map(quoted).collect();
    // The last one is the resource id.
    let (_, arguments) = arguments.split_last().unwrap();
    let environment = command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, quoted(value?))));
    let environment: Vec<String> = environment.map(|(name, value)| format!("{name}={value}")).collect();
    format!("{} exec java {} -Dtaskmanager.resource-id=\"$HOSTNAME\"", environment.join(" "), arguments.join(" "))
}

/// Leave to run a cluster.
struct Turn;

static TURNS: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

impl Turn {
    fn take() -> Self {
        let mut taken = TURNS.0.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= AT_ONCE {
            taken = TURNS.1.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        TURNS.1.notify_one();
    }
}
