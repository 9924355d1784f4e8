//! A namespace of one scenario, and what people do in it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::control_plane::ControlPlane;
use super::node::NAMESPACE;
use super::objects::{Deployment, ScaledObject};
use super::{SOON, runtime, wait_for};
use crate::harness::children::{carrying, kill_all};
use crate::harness::wait::eventually;

/// How often an object is looked at: twelve scenarios that look side by side should not be the API server's main load.
const PACE: Duration = Duration::from_millis(150);

/// How much is printed of what is there when a scenario fails: some have thousands of objects.
const LONGEST: usize = 200_000;

/// A namespace. It is deleted with all that is in it when this is dropped, and its processes are killed.
pub(crate) struct Space {
    plane: Arc<ControlPlane>,
    name: String,
}

/// Every number of replicas that somebody asked of an object, in order, as a watch tells it.
pub(crate) struct Asked {
    counts: Arc<Mutex<Vec<(Timestamp, i64)>>>,
    task: JoinHandle<()>,
}

impl Space {
    /// A new namespace on the shared control plane.
    pub(crate) fn new(purpose: &str) -> Self {
        Self::on(&ControlPlane::shared(), purpose)
    }

    /// A new namespace on this control plane.
    pub(crate) fn on(plane: &Arc<ControlPlane>, purpose: &str) -> Self {
        let space = Self { plane: plane.clone(), name: format!("{purpose}-{}", plane.next_space()) };
        space.kubectl(&["create", "namespace", &space.name]);
        space
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub(crate) fn plane(&self) -> &Arc<ControlPlane> {
        &self.plane
    }

    /// Applies manifests, as people do it. Those without a namespace go here.
    pub(crate) fn apply(&self, manifests: &str) {
        self.try_apply(manifests).unwrap_or_else(|refusal| panic!("{refusal}\n{manifests}"));
    }

    /// Creates what is not there yet, in any namespace, and leaves alone what is.
    pub(crate) fn create_missing(&self, manifests: &str) {
        let output = self.plane.kubectl(&["create", "-f", "-"], manifests);
        let refusals = String::from_utf8_lossy(&output.stderr);
        assert!(refusals.lines().all(|line| line.contains("(AlreadyExists)")), "{refusals}\n{manifests}");
    }

    /// Applies manifests: what kubectl prints if they are refused.
    pub(crate) fn try_apply(&self, manifests: &str) -> Result<(), String> {
        let output = self.plane.kubectl(&["apply", "-n", &self.name, "-f", "-"], manifests);
        let refusal = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(refusal) }
    }

    /// Applies a Deployment.
    pub(crate) fn deploy(&self, deployment: &Deployment<'_>) {
        self.apply(&deployment.manifest().to_string());
    }

    /// Applies a ScaledObject.
    pub(crate) fn scale_by(&self, object: &ScaledObject<'_>) {
        self.apply(&object.manifest());
    }

    /// What a kubectl command prints about this namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.plane.print(&[&["-n", &self.name], arguments].concat())
    }

    /// An object; none if it is not there. While the API server does not answer there is none, too.
    pub(crate) fn get(&self, resource: &str, name: &str) -> Option<Value> {
        let object = wait_for(self.api(resource).get_opt(name)).ok().flatten()?;
        Some(serde_json::to_value(object).unwrap())
    }

    /// All objects of a kind.
    pub(crate) fn list(&self, resource: &str) -> Vec<Value> {
        let objects = wait_for(self.api(resource).list(&ListParams::default())).unwrap();
        objects.items.into_iter().map(|object| serde_json::to_value(object).unwrap()).collect()
    }

    /// Merges something into an object.
    pub(crate) fn merge(&self, resource: &str, name: &str, patch: &Value) {
        let patch = Patch::Merge(patch);
        wait_for(self.api(resource).patch(name, &PatchParams::default(), &patch)).unwrap();
    }

    /// Deletes an object, and does not wait until it is gone.
    pub(crate) fn delete(&self, resource: &str, name: &str) {
        wait_for(self.api(resource).delete(name, &DeleteParams::default())).unwrap();
    }

    /// Asks for this many replicas of a Deployment, as `kubectl scale` does.
    pub(crate) fn scale(&self, name: &str, replicas: u32) {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        wait_for(self.api("deployments").patch_scale(name, &PatchParams::default(), &patch)).unwrap();
    }

    /// The replicas that are asked of a Deployment.
    pub(crate) fn replicas(&self, name: &str) -> Option<i64> {
        self.get("deployments", name)?["spec"]["replicas"].as_i64()
    }

    /// Waits until `holds` is true of an object.
    pub(crate) fn until(&self, resource: &str, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(SOON, what, || {
                last = self.get(resource, name);
                let found = last.clone().filter(&holds);
                if found.is_none() {
                    std::thread::sleep(PACE);
                }
                found
            })
        }));
        found.unwrap_or_else(|_| panic!("not within {SOON:?}: {what}; {resource} {name} was last {last:#?}"))
    }

    /// Waits until this many replicas are asked of a Deployment.
    pub(crate) fn until_replicas(&self, name: &str, replicas: i64) {
        let what = format!("{replicas} replicas asked of {name}");
        self.until("deployments", name, &what, |object| object["spec"]["replicas"] == replicas);
    }

    /// Waits until a Deployment has this many ready pods and no other.
    pub(crate) fn until_ready(&self, name: &str, replicas: i64) {
        let what = format!("{replicas} ready pods of {name}");
        self.until("deployments", name, &what, |object| {
            let count = |field: &str| object["status"][field].as_i64().unwrap_or(0);
            count("replicas") == replicas && count("readyReplicas") == replicas
        });
        let selector = ListParams::default().labels(&format!("app={name}"));
        let pods = || wait_for(self.api("pods").list(&selector)).map(|pods| pods.items.len()).ok();
        eventually(SOON, &what, || (pods() == usize::try_from(replicas).ok()).then_some(()));
    }

    /// Waits until a condition of a ScaledObject has this status.
    pub(crate) fn until_condition(&self, name: &str, condition: &str, status: &str) -> Value {
        self.until("scaledobjects", name, &format!("{condition}={status} of {name}"), |object| {
            conditions(object).any(|one| one["type"] == condition && one["status"] == status)
        })
    }

    /// Watches the replicas that are asked of a Deployment from now on.
    pub(crate) fn watch(&self, name: &str) -> Asked {
        let api = self.api("deployments");
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let counts = Arc::new(Mutex::new(Vec::new()));
        let seen = counts.clone();
        let task = runtime().spawn(async move {
            let mut objects = watcher(api, config).default_backoff().applied_objects().boxed();
            while let Some(object) = objects.next().await {
                let Some(count) = object.ok().and_then(|object| object.data["spec"]["replicas"].as_i64()) else {
                    continue;
                };
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if seen.last().is_none_or(|(_, last)| *last != count) {
                    seen.push((Timestamp::now(), count));
                }
            }
        });
        let asked = Asked { counts, task };
        eventually(SOON, "the first news of a watch", || (!asked.counts().is_empty()).then_some(()));
        asked
    }

    /// The processes of this namespace's pods, and their children.
    pub(crate) fn processes(&self) -> Vec<i32> {
        carrying(NAMESPACE, &self.name)
    }

    /// The objects of a kind, for whoever asks much at a time.
    pub(crate) fn api(&self, resource: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.plane.client().clone(), &self.name, &kind(resource))
    }

    /// What people would look at.
    fn describe(&self) -> String {
        let kinds = "deployments,pods,scaledobjects,scalerecords,leases,hpa";
        let commands: [&[&str]; 4] = [
            &["get", kinds, "-o", "wide"],
            &["get", "scaledobjects,scalerecords", "-o", "yaml"],
            &["get", "events", "--sort-by", ".lastTimestamp"],
            &["describe", "pods"],
        ];
        let print = |arguments: &&[&str]| {
            let output = self.plane.kubectl(&[&["-n", &self.name], *arguments].concat(), "");
            let text: String = String::from_utf8_lossy(&output.stdout).chars().take(LONGEST).collect();
            format!("$ kubectl {}\n{text}", arguments.join(" "))
        };
        commands.iter().map(print).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.describe());
        }
        let _ = self.plane.kubectl(&["delete", "namespace", &self.name, "--wait=false"], "");
        kill_all(&self.processes());
    }
}

impl Asked {
    /// The counts so far; the first one is what was there at the start.
    pub(crate) fn counts(&self) -> Vec<i64> {
        self.changes().into_iter().map(|(_, count)| count).collect()
    }

    /// The counts so far, with the time at which each was heard of.
    pub(crate) fn changes(&self) -> Vec<(Timestamp, i64)> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The conditions of a ScaledObject or a ScaleRecord.
pub(crate) fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object["status"]["conditions"].as_array().into_iter().flatten()
}

/// The kinds that scenarios ask for, by their plural.
fn kind(resource: &str) -> ApiResource {
    let (group, version, kind) = match resource {
        "configmaps" => ("", "v1", "ConfigMap"),
        "pods" => ("", "v1", "Pod"),
        "secrets" => ("", "v1", "Secret"),
        "deployments" => ("apps", "v1", "Deployment"),
        "replicasets" => ("apps", "v1", "ReplicaSet"),
        "events" => ("events.k8s.io", "v1", "Event"),
        "leases" => ("coordination.k8s.io", "v1", "Lease"),
        "horizontalpodautoscalers" => ("autoscaling", "v2", "HorizontalPodAutoscaler"),
        "scaledobjects" => ("keda.sh", "v1alpha1", "ScaledObject"),
        "triggerauthentications" => ("keda.sh", "v1alpha1", "TriggerAuthentication"),
        "scalerecords" => ("tidegate.dev", "v1alpha1", "ScaleRecord"),
        "scalingpolicies" => ("tidegate.dev", "v1alpha1", "ScalingPolicy"),
        "jobs" => ("batch", "v1", "Job"),
        "flinkdeployments" => ("flink.apache.org", "v1beta1", "FlinkDeployment"),
        "flinkstatesnapshots" => ("flink.apache.org", "v1beta1", "FlinkStateSnapshot"),
        "comets" => ("tests.tidegate.dev", "v1", "Comet"),
        "flocks" => ("tests.tidegate.dev", "v1", "Flock"),
        "workers" => ("tests.tidegate.dev", "v1", "Worker"),
        other => panic!("no scenario has asked for {other} yet"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), resource)
}
