//! What operations do, against an API server in this process.

use serde_json::{Value, json};
use tidegate_calculator::operation::Class;
use tidegate_calculator::operation::facts::UpgradeMode;
use tidegate_calculator::time::Span;

use super::*;
use crate::kubernetes::fake::{Fake, Fault};
use crate::kubernetes::known::ObjectFacts;

const TARGET: &str = "/apis/apps/v1/namespaces/shop/deployments/tm";
const FLINK: &str = "/apis/flink.apache.org/v1beta1/namespaces/shop/flinkdeployments/enrich";
const SNAPSHOTS: &str = "/apis/flink.apache.org/v1beta1/namespaces/shop/flinkstatesnapshots";
const JOB: &str = "/apis/batch/v1/namespaces/shop/jobs/tidegate-1-drain-1";
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

fn target() -> TargetRef {
    TargetRef { namespace: "shop".into(), api_version: "apps/v1".into(), kind: "Deployment".into(), name: "tm".into() }
}

fn deployment() -> TargetRef {
    TargetRef {
        api_version: "flink.apache.org/v1beta1".into(),
        kind: "FlinkDeployment".into(),
        name: "enrich".into(),
        ..target()
    }
}

fn id() -> ObjectId {
    ObjectId { namespace: "shop".into(), name: "orders".into() }
}

fn pod(name: &str, ip: &str, cost: Option<&str>) -> Value {
    let annotations = cost.map_or_else(|| json!({}), |cost| json!({ COST: cost }));
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "shop", "annotations": annotations },
        "spec": { "containers": [] }, "status": { "phase": "Running", "podIP": ip } })
}

/// A Deployment of three TaskManagers, one of which is about to end.
fn world() -> (Fake, ClusterOperations) {
    let fake = Fake::default();
    fake.put(
        TARGET,
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "tm", "namespace": "shop", "labels": {} },
            "spec": { "replicas": 2 }, "status": { "replicas": 2, "selector": "app=tm" } }),
    );
    let at = |name: &str| format!("/api/v1/namespaces/shop/pods/{name}");
    fake.put(&at("tm-a"), pod("tm-a", "10.0.0.1", None));
    fake.put(&at("tm-b"), pod("tm-b", "10.0.0.2", Some("5")));
    let mut leaving = pod("tm-c", "10.0.0.3", None);
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    fake.put(&at("tm-c"), leaving);
    let known = Known::default();
    let facts = ObjectFacts { uid: "u-1".to_owned(), ..ObjectFacts::of(target()) };
    known.insert(id(), facts);
    let operations = ClusterOperations::new(fake.client(), known);
    (fake, operations)
}

fn class<T: std::fmt::Debug>(result: Result<T, Failure>) -> Class {
    result.unwrap_err().class
}

#[tokio::test]
async fn a_target_is_seen_with_its_pods_and_its_owner() {
    let (fake, operations) = world();
    let seen = operations.target(&target()).await.unwrap();
    let pods: Vec<_> = seen.pods.iter().map(|pod| (pod.name.as_str(), pod.ip.as_deref())).collect();
    assert_eq!(pods, [("tm-a", Some("10.0.0.1")), ("tm-b", Some("10.0.0.2"))], "one is about to end");
    assert_eq!((seen.replicas, seen.owned_by_operator), (2, false));
    assert!(fake.requests("GET /api/v1/namespaces/shop/pods").iter().all(|line| line.contains("app%3Dtm")));
    assert_eq!(operations.deployment(&target()).await, Ok(None));
    let mut owned = fake.at(TARGET);
    owned["metadata"]["labels"]["type"] = "flink-standalone-kubernetes".into();
    fake.put(TARGET, owned);
    assert!(operations.target(&target()).await.unwrap().owned_by_operator);
    let mut blind = fake.at(TARGET);
    blind["status"]["selector"] = "".into();
    fake.put(TARGET, blind);
    assert_eq!(class(operations.target(&target()).await), Class::Config, "never all pods of the namespace");
    fake.delete(TARGET);
    assert_eq!(class(operations.target(&target()).await), Class::Config);
}

#[tokio::test]
async fn replicas_are_written_only_on_the_version_that_was_seen() {
    let (fake, operations) = world();
    let seen = operations.target(&target()).await.unwrap();
    operations.patch(&target(), 1, &seen.version).await.unwrap();
    assert_eq!(fake.at(TARGET)["spec"]["replicas"], 1);
    assert_eq!(class(operations.patch(&target(), 3, &seen.version).await), Class::Conflict);
    let seen = operations.target(&target()).await.unwrap();
    for (fault, expected) in [
        (Fault::Refuse(403), Class::Config),
        (Fault::Refuse(500), Class::Unavailable),
        (Fault::Refuse(422), Class::Config),
    ] {
        fake.fail("PUT", fault, 1);
        assert_eq!(class(operations.patch(&target(), 3, &seen.version).await), expected);
    }
    assert_eq!(fake.at(TARGET)["spec"]["replicas"], 1);
}

#[tokio::test]
async fn a_write_without_an_answer_is_lost() {
    let (fake, operations) = world();
    let seen = operations.target(&target()).await.unwrap();
    fake.fail("PUT", Fault::Silence, 1);
    assert_eq!(class(operations.patch(&target(), 1, &seen.version).await), Class::Lost);
    assert_eq!(fake.at(TARGET)["spec"]["replicas"], 1, "and had its effect");
}

#[tokio::test]
async fn victims_are_marked_and_others_keep_what_is_theirs() {
    let (fake, operations) = world();
    let cost =
        |name: &str| fake.at(&format!("/api/v1/namespaces/shop/pods/{name}"))["metadata"]["annotations"][COST].clone();
    operations.mark_victims(&target(), &["tm-a".to_owned(), "gone".to_owned()]).await.unwrap();
    assert_eq!((cost("tm-a"), cost("tm-b"), cost("tm-c")), ("-1000000".into(), "5".into(), Value::Null));
    let writes = || fake.requests("PATCH").len();
    assert_eq!(writes(), 1);
    operations.mark_victims(&target(), &["tm-a".to_owned()]).await.unwrap();
    assert_eq!(writes(), 1, "nothing is written twice");
    operations.mark_victims(&target(), &[]).await.unwrap();
    assert_eq!((cost("tm-a"), cost("tm-b")), (Value::Null, "5".into()), "ours is taken away, the other one stays");
}

#[tokio::test]
async fn the_annotation_comes_and_goes() {
    let (fake, operations) = world();
    let value = || fake.at(TARGET)["metadata"]["annotations"][SAVEPOINT_ANNOTATION].clone();
    operations.annotate(&target(), "enrich=s3://b/sp").await.unwrap();
    assert_eq!(value(), "enrich=s3://b/sp");
    operations.annotate(&target(), "").await.unwrap();
    assert_eq!(value(), Value::Null);
}

#[tokio::test]
async fn a_job_is_made_once_and_belongs_to_its_object() {
    let (fake, operations) = world();
    let name = "tidegate-1-drain-1";
    let template = json!({ "metadata": { "labels": { "team": "a" }, "name": "mine" },
        "spec": { "template": { "spec": { "containers": [], "restartPolicy": "Never" } } } });
    operations.create_job(&id(), name, &template.to_string()).await.unwrap();
    let job = fake.at(JOB);
    assert_eq!((&job["metadata"]["name"], &job["metadata"]["labels"]["team"]), (&name.into(), &"a".into()));
    assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "u-1");
    assert_eq!(job["spec"], template["spec"]);
    fake.fail("POST", Fault::Refuse(409), 1);
    operations.create_job(&id(), name, &template.to_string()).await.unwrap();
    assert_eq!(operations.job(&id(), name).await, Ok(JobEnd::InProgress));
    let condition = |kind: &str| json!([{ "type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "too often" }]);
    for (kind, end) in [
        ("Complete", JobEnd::Complete),
        ("Failed", JobEnd::Failed("the Job failed: too often (BackoffLimitExceeded)".to_owned())),
        ("Suspended", JobEnd::InProgress),
    ] {
        let mut job = fake.at(JOB);
        job["status"] = json!({ "conditions": condition(kind) });
        fake.put(JOB, job);
        assert_eq!(operations.job(&id(), name).await, Ok(end));
    }
    assert_eq!(operations.job(&id(), "other").await, Ok(JobEnd::Absent));
    for wrong in ["no", "{}", r#"{"spec":1}"#] {
        assert_eq!(class(operations.create_job(&id(), name, wrong).await), Class::Config, "{wrong}");
    }
}

fn flink(configuration: &Value, spec: &Value, status: &Value) -> Value {
    let mut whole = json!({ "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment",
        "metadata": { "name": "enrich", "namespace": "shop", "generation": 4 },
        "spec": { "flinkConfiguration": configuration, "job": {} }, "status": status });
    for (key, value) in spec.as_object().unwrap() {
        whole["spec"][key] = value.clone();
    }
    whole
}

#[tokio::test]
async fn a_flink_deployment_says_what_matters() {
    let (fake, operations) = world();
    fake.serve("flink.apache.org/v1beta1", "FlinkDeployment", "flinkdeployments", true);
    let status = json!({ "observedGeneration": 4, "reconciliationStatus": { "state": "DEPLOYED" },
        "jobStatus": { "state": "RUNNING", "upgradeSavepointPath": "s3://b/sp" } });
    let read = async || operations.deployment(&deployment()).await.unwrap().unwrap();
    fake.put(FLINK, flink(&json!({}), &json!({ "job": { "upgradeMode": "last-state" } }), &status));
    let seen = read().await;
    assert!(seen.running && seen.settled && !seen.suspended && !seen.autoscaler && !seen.in_place, "{seen:?}");
    assert_eq!((seen.upgrade_mode, seen.upgrade_savepoint.as_deref()), (UpgradeMode::LastState, Some("s3://b/sp")));
    assert_eq!((seen.error, seen.snapshot_in_progress), (None, false));

    let mut refused = status.clone();
    refused["error"] = "the spec is wrong".into();
    let three = json!({ "spec": { "taskManager": { "replicas": 3 } } }).to_string();
    refused["reconciliationStatus"]["lastReconciledSpec"] = three.as_str().into();
    let with = |replicas: u32| json!({ "taskManager": { "replicas": replicas } });
    fake.put(FLINK, flink(&json!({}), &with(3), &refused));
    assert!(read().await.settled);
    fake.put(FLINK, flink(&json!({}), &with(4), &refused));
    let seen = read().await;
    assert!(!seen.settled && seen.error.as_deref() == Some("the spec is wrong"), "{seen:?}");

    let reactive = json!({ "scheduler-mode": "reactive", "job": { "autoscaler": { "enabled": true } } });
    let behind = json!({ "observedGeneration": 3, "reconciliationStatus": { "state": "ROLLED_BACK" } });
    fake.put(FLINK, flink(&reactive, &json!({ "mode": "standalone", "job": { "state": "suspended" } }), &behind));
    let seen = read().await;
    assert!(seen.in_place && seen.autoscaler && seen.suspended && !seen.settled && !seen.running, "{seen:?}");
    assert_eq!((seen.upgrade_mode, seen.error.as_deref()), (UpgradeMode::Stateless, Some("ROLLED_BACK")));
    assert!(!seen.rolled_back, "that was an earlier spec");
    for (state, expected) in [("ROLLING_BACK", false), ("ROLLED_BACK", true), ("DEPLOYED", false)] {
        let seen = json!({ "observedGeneration": 4, "reconciliationStatus": { "state": state } });
        fake.put(FLINK, flink(&json!({}), &json!({}), &seen));
        assert_eq!(read().await.rolled_back, expected, "{state}");
    }
    let only_advice = json!({ "job.autoscaler.enabled": "true", "job.autoscaler.scaling.enabled": "false" });
    fake.put(FLINK, flink(&only_advice, &json!({}), &json!({})));
    assert!(!read().await.autoscaler, "it gives advice alone");
    assert_eq!(
        operations.target(&deployment()).await.unwrap().pods,
        [],
        "it shows no selector, so there are no pods yet"
    );
}

#[tokio::test]
async fn zero_of_a_flink_deployment_is_a_suspended_job() {
    let (fake, operations) = world();
    fake.serve("flink.apache.org/v1beta1", "FlinkDeployment", "flinkdeployments", true);
    let spec = json!({ "job": { "state": "running" }, "taskManager": { "replicas": 2 }, "replicas": 2 });
    fake.put(FLINK, flink(&json!({}), &spec, &json!({ "replicas": 2 })));
    let seen = operations.target(&deployment()).await.unwrap();
    operations.patch(&deployment(), 0, &seen.version).await.unwrap();
    let rests = fake.at(FLINK);
    assert_eq!(
        (&rests["spec"]["job"]["state"], &rests["spec"]["taskManager"]["replicas"]),
        (&"suspended".into(), &2.into())
    );
    let generation = rests["metadata"]["generation"].to_string();
    assert_eq!(rests["metadata"]["annotations"]["tidegate.dev/suspended"], generation, "it says which suspension");
    assert_eq!(class(operations.patch(&deployment(), 0, &seen.version).await), Class::Conflict);
    let seen = operations.target(&deployment()).await.unwrap();
    assert_eq!(seen.replicas, 0, "nothing runs");
    operations.patch(&deployment(), 3, &seen.version).await.unwrap();
    let runs = fake.at(FLINK);
    assert_eq!(
        (&runs["spec"]["job"]["state"], &runs["spec"]["taskManager"]["replicas"]),
        (&"running".into(), &3.into())
    );
    assert_eq!(runs["metadata"]["annotations"].get("tidegate.dev/suspended"), None);

    let by_hand = json!({ "job": { "state": "suspended" }, "taskManager": { "replicas": 4 }, "replicas": 4 });
    fake.put(FLINK, flink(&json!({}), &by_hand, &json!({ "replicas": 0 })));
    let seen = operations.target(&deployment()).await.unwrap();
    assert_eq!(seen.replicas, 4, "a person has suspended it: it has the replicas of its spec");
    let before = fake.at(FLINK);
    for replicas in [0, 5] {
        let refused = operations.patch(&deployment(), replicas, &seen.version).await;
        assert_eq!(class(refused), Class::Transient, "he may resume it at any time");
    }
    assert_eq!(fake.at(FLINK), before, "it is left alone");
}

#[tokio::test]
async fn a_snapshot_is_made_by_name_and_read_to_its_end() {
    let (fake, operations) = world();
    fake.serve("flink.apache.org/v1beta1", "FlinkDeployment", "flinkdeployments", true);
    fake.put(FLINK, flink(&json!({}), &json!({}), &json!({})));
    operations.create_snapshot(&deployment(), "snap", 2).await.unwrap();
    let at = format!("{SNAPSHOTS}/snap");
    let made = fake.at(&at);
    assert_eq!(
        made["spec"],
        json!({ "backoffLimit": 2, "jobReference": { "kind": "FlinkDeployment", "name": "enrich" }, "checkpoint": {} })
    );
    let busy = async || operations.deployment(&deployment()).await.unwrap().unwrap().snapshot_in_progress;
    assert!(busy().await, "the operator has not begun, but will");
    let told = async |status: Value| {
        let mut snapshot = made.clone();
        snapshot["status"] = status;
        fake.put(&at, snapshot);
        operations.snapshot(&deployment(), "snap").await.unwrap()
    };
    assert_eq!(told(json!({ "state": "IN_PROGRESS" })).await, SnapshotEnd::InProgress);
    assert_eq!(told(json!({ "state": "ABANDONED" })).await, SnapshotEnd::Abandoned);
    let failed = told(json!({ "state": "FAILED", "error": "no" })).await;
    assert_eq!(failed, SnapshotEnd::Failed("the FlinkStateSnapshot failed: no".to_owned()));
    let done = json!({ "state": "COMPLETED", "path": "s3://b/c", "resultTimestamp": "2020-01-01T00:00:00.000Z" });
    let SnapshotEnd::Completed { path, age } = told(done).await else { panic!("it is complete") };
    assert!(path.as_deref() == Some("s3://b/c") && age > Span::seconds(86_400));
    assert!(!busy().await);
    assert_eq!(operations.snapshot(&deployment(), "other").await, Ok(SnapshotEnd::Absent));
}
