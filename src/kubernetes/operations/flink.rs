//! The objects of the Flink Kubernetes Operator: FlinkDeployments that are targets, and FlinkStateSnapshots.

use jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use serde_json::{Value, json};
use tidegate_calculator::operation::Failure;
use tidegate_calculator::operation::facts::{DeploymentFacts, UpgradeMode};
use tidegate_calculator::time::Span;
use tidegate_engine::subject::TargetRef;

use super::{ClusterOperations, failures, target};
use crate::hooks::SnapshotEnd;
use crate::kubernetes::calls::{CALL, within};
use crate::kubernetes::flink_scale::{GROUP, is_deployment};
use crate::kubernetes::target::MANAGER;

/// The label `type` of what the operator makes.
pub(super) const OPERATOR_TYPES: [&str; 2] = ["flink-native-kubernetes", "flink-standalone-kubernetes"];

/// How many snapshots of a namespace are looked through.
const SNAPSHOTS: u32 = 500;

fn snapshot_resource() -> ApiResource {
    let kind = GroupVersionKind::gvk(GROUP, "v1beta1", "FlinkStateSnapshot");
    ApiResource::from_gvk_with_plural(&kind, "flinkstatesnapshots")
}

impl ClusterOperations {
    /// The target as a FlinkDeployment; none if it is something else.
    pub(super) async fn read_deployment(&self, target: &TargetRef) -> Result<Option<DeploymentFacts>, Failure> {
        if !is_deployment(target) {
            return Ok(None);
        }
        let served = self.served(target).await?;
        let api = self.objects(target, &served);
        let (whole, snapshots) = tokio::join!(within(CALL, api.get(&target.name)), self.is_snapshotted(target));
        let whole = whole.map_err(|failure| failures::unread(&failure, &target::what("get", &served, "", target)))?;
        let generation = whole.metadata.generation;
        let facts = facts(generation, &whole.data);
        Ok(Some(DeploymentFacts { snapshot_in_progress: facts.snapshot_in_progress || snapshots?, ..facts }))
    }

    /// Whether a FlinkStateSnapshot of the target is in progress. Operators before 1.10 do not have them.
    async fn is_snapshotted(&self, target: &TargetRef) -> Result<bool, Failure> {
        let listed = within(CALL, self.snapshots(target).list(&ListParams::default().limit(SNAPSHOTS))).await;
        match listed {
            Ok(list) => Ok(list.items.iter().any(|one| works_on(&one.data, &target.name))),
            Err(failure) if failure.is_not_found() => Ok(false),
            Err(failure) => {
                Err(failures::unread(&failure, &format!("list of flinkstatesnapshots.{GROUP} {}", target.namespace)))
            }
        }
    }

    fn snapshots(&self, target: &TargetRef) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &target.namespace, &snapshot_resource())
    }

    /// Creates a FlinkStateSnapshot that takes a checkpoint. One of this name that is there already is the same one.
    pub(super) async fn make_snapshot(
        &self,
        target: &TargetRef,
        name: &str,
        backoff_limit: u32,
    ) -> Result<(), Failure> {
        let mut snapshot = DynamicObject::new(name, &snapshot_resource());
        snapshot.data = json!({ "spec": {
            "backoffLimit": backoff_limit,
            "jobReference": { "kind": "FlinkDeployment", "name": &*target.name },
            "checkpoint": {},
        } });
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match within(CALL, self.snapshots(target).create(&params, &snapshot)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == Some(409) => Ok(()),
            Err(failure) => {
                let what = format!("create of flinkstatesnapshots.{GROUP} {}/{name}", target.namespace);
                Err(failures::unwritten(&failure, &what))
            }
        }
    }

    pub(super) async fn read_snapshot(&self, target: &TargetRef, name: &str) -> Result<SnapshotEnd, Failure> {
        match within(CALL, self.snapshots(target).get(name)).await {
            Ok(one) => Ok(end(&one.data, Timestamp::now())),
            Err(failure) if failure.is_not_found() => Ok(SnapshotEnd::Absent),
            Err(failure) => {
                let what = format!("get of flinkstatesnapshots.{GROUP} {}/{name}", target.namespace);
                Err(failures::unread(&failure, &what))
            }
        }
    }
}

/// Whether a snapshot of this deployment is not at its end.
fn works_on(snapshot: &Value, deployment: &str) -> bool {
    let of = snapshot.pointer("/spec/jobReference");
    let same = of.is_some_and(|of| of["name"] == deployment && of["kind"] != "FlinkSessionJob");
    let state = snapshot.pointer("/status/state").and_then(Value::as_str);
    same && matches!(state, None | Some("TRIGGER_PENDING" | "IN_PROGRESS"))
}

/// How a snapshot stands. Its time is the operator's, and ours is taken for the same; one from the future has just completed.
fn end(snapshot: &Value, now: Timestamp) -> SnapshotEnd {
    let text = |field: &str| snapshot.pointer(&format!("/status/{field}")).and_then(Value::as_str);
    match text("state") {
        Some("COMPLETED") => {
            let since = text("resultTimestamp").and_then(|text| text.parse::<Timestamp>().ok());
            let age = since.map_or(0, |since| now.as_millisecond() - since.as_millisecond());
            SnapshotEnd::Completed { path: text("path").map(str::to_owned), age: Span(age.max(0)) }
        }
        Some("FAILED") => SnapshotEnd::Failed(format!(
            "the FlinkStateSnapshot failed: {}",
            text("error").unwrap_or("no cause is named")
        )),
        Some("ABANDONED") => SnapshotEnd::Abandoned,
        _ => SnapshotEnd::InProgress,
    }
}

/// What a FlinkDeployment says of itself.
fn facts(generation: Option<i64>, whole: &Value) -> DeploymentFacts {
    let text = |path: &str| whole.pointer(path).and_then(Value::as_str);
    let is = |key: &str, value: &str| setting(whole, key).is_some_and(|set| set.eq_ignore_ascii_case(value));
    let reconciled = text("/status/reconciliationStatus/state");
    let rolled_back = reconciled.filter(|state| matches!(*state, "ROLLED_BACK" | "ROLLING_BACK"));
    let error = text("/status/error").filter(|error| !error.is_empty()).or(rolled_back);
    let observed = whole.pointer("/status/observedGeneration").and_then(Value::as_i64);
    let legacy = text("/status/jobStatus/savepointInfo/triggerId").is_some_and(|id| !id.is_empty());
    let autoscaler = ["job.autoscaler", "kubernetes.operator.job.autoscaler"]
        .iter()
        .any(|prefix| is(&format!("{prefix}.enabled"), "true") && !is(&format!("{prefix}.scaling.enabled"), "false"));
    let seen = generation.is_some() && observed == generation;
    DeploymentFacts {
        upgrade_mode: match text("/spec/job/upgradeMode") {
            Some("savepoint") => UpgradeMode::Savepoint,
            Some("last-state") => UpgradeMode::LastState,
            _ => UpgradeMode::Stateless,
        },
        // Only then a new number of TaskManagers is no new deployment.
        in_place: text("/spec/mode") == Some("standalone") && is("scheduler-mode", "reactive"),
        running: text("/status/jobStatus/state") == Some("RUNNING"),
        suspended: text("/spec/job/state") == Some("suspended"),
        settled: seen && reconciled == Some("DEPLOYED") && !is_disobeyed(whole),
        // One of an earlier spec says nothing about this one.
        rolled_back: seen && reconciled == Some("ROLLED_BACK"),
        error: error.map(|error| error.chars().take(Failure::LONGEST).collect()),
        snapshot_in_progress: legacy,
        autoscaler,
        upgrade_savepoint: text("/status/jobStatus/upgradeSavepointPath").map(str::to_owned),
    }
}

/// Whether the operator goes by another number of TaskManagers than the spec's: it does not obey a spec that it finds wrong, whatever the generation.
fn is_disobeyed(whole: &Value) -> bool {
    let replicas = |whole: &Value| whole.pointer("/spec/taskManager/replicas").and_then(Value::as_i64);
    let text = whole.pointer("/status/reconciliationStatus/lastReconciledSpec").and_then(Value::as_str);
    let obeyed = text.and_then(|text| serde_json::from_str(text).ok()).and_then(|obeyed| replicas(&obeyed));
    obeyed.is_some_and(|obeyed| replicas(whole) != Some(obeyed))
}

/// A setting of `spec.flinkConfiguration`, which may be flat or nested.
fn setting(whole: &Value, key: &str) -> Option<String> {
    let all = whole.pointer("/spec/flinkConfiguration")?;
    let nested = || all.pointer(&format!("/{}", key.replace('.', "/")));
    let found = all.get(key).or_else(nested)?;
    match found {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}
