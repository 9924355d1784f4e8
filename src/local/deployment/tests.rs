use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate_engine::protocol::{ApplyError, TargetError, Version};

use super::super::identity::Identity;
use super::super::testing::{Run, eventually, orders, workload};
use super::Ending;

/// A worker that writes its name and ends when it is told to.
const WORKER: &str = "echo $POD_NAME; trap 'exit 0' TERM; while :; do sleep 0.05; done";

/// The record on the disk.
fn record(state: &Path) -> Value {
    let text = fs::read_to_string(state.join("deployments/shop_orders.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The recorded processes that run.
fn processes(state: &Path) -> BTreeSet<i64> {
    let record = record(state);
    let all = record["processes"].as_array().unwrap().iter();
    let running = all.filter_map(|slot| serde_json::from_value::<Option<Identity>>(slot["process"].clone()).unwrap());
    running.filter(Identity::runs).map(|identity| i64::from(identity.pid)).collect()
}

fn edit(state: &Path, change: impl FnOnce(&mut Value)) {
    let mut record = record(state);
    change(&mut record);
    fs::write(state.join("deployments/shop_orders.json"), record.to_string()).unwrap();
}

async fn end(run: Run) {
    run.fleet.stop(Ending::Graceful).await;
    run.fleet.ended().await;
}

#[tokio::test]
async fn replicas_follow_the_scale_and_the_youngest_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    run.deploy(workload("", WORKER)).await;
    run.ready(1).await;
    let first = processes(folder.path());
    run.scale(3).await;
    run.ready(3).await;
    assert_eq!(processes(folder.path()).len(), 3);
    run.scale(1).await;
    run.ready(1).await;
    eventually(|| processes(folder.path()) == first).await;
    run.scale(0).await;
    run.ready(0).await;
    end(run).await;
}

#[tokio::test]
async fn a_write_names_the_version_it_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    run.deploy(workload("replicas: 0,", WORKER)).await;
    let seen = run.seen().await.unwrap();
    let next = run.apply(1, &seen.version).await.unwrap();
    assert_ne!(next, seen.version);
    assert_eq!(run.apply(2, &seen.version).await, Err(ApplyError::Conflict));
    assert_eq!(run.seen().await.unwrap().version, next);
    // Edits of the file's number are writes of somebody else.
    run.deploy(workload("replicas: 2,", WORKER)).await;
    let edited = run.seen().await.unwrap();
    assert_eq!(edited.state.replicas, 2);
    assert_eq!(run.apply(3, &next).await, Err(ApplyError::Conflict));
    run.deploy(workload("replicas: 2, minReadySeconds: 0,", WORKER)).await;
    assert_eq!(run.seen().await.unwrap().version, edited.version, "nothing was written");
    end(run).await;
}

#[tokio::test]
async fn a_crashed_process_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    run.deploy(workload("", "echo started; exit 1")).await;
    let log = folder.path().join("logs/shop_orders-0.log");
    eventually(|| fs::read_to_string(&log).unwrap_or_default().matches("started").count() >= 2).await;
    assert_eq!(run.seen().await.unwrap().state.replicas, 1);
    end(run).await;
}

#[tokio::test]
async fn workers_outlive_a_kill_and_are_adopted() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    run.deploy(workload("replicas: 3,", WORKER)).await;
    run.ready(3).await;
    run.scale(2).await;
    run.ready(2).await;
    let before = run.seen().await.unwrap();
    eventually(|| processes(folder.path()).len() == 2).await;
    let workers = processes(folder.path());
    run.kill().await;

    let run = Run::new(folder.path());
    run.deploy(workload("replicas: 3,", WORKER)).await;
    let after = run.seen().await.unwrap();
    assert_eq!((after.state.replicas, &after.version), (2, &before.version), "a restart is no write");
    run.ready(2).await;
    assert_eq!(processes(folder.path()), workers);
    // Adopted ones are no children of ours, but they end like them.
    run.scale(0).await;
    run.ready(0).await;
    eventually(|| processes(folder.path()).is_empty()).await;
    end(run).await;
}

#[tokio::test]
async fn workers_that_died_meanwhile_are_started_again_and_unrecorded_ones_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    run.deploy(workload("replicas: 2,", WORKER)).await;
    run.ready(2).await;
    let slots = record(folder.path())["processes"].clone();
    run.kill().await;
    let identity = |slot: usize| serde_json::from_value::<Identity>(slots[slot]["process"].clone()).unwrap();
    identity(0).signal(Signal::KILL);
    eventually(|| !identity(0).runs()).await;
    edit(folder.path(), |record| record["processes"][1]["process"] = Value::Null);

    let run = Run::new(folder.path());
    run.deploy(workload("replicas: 2,", WORKER)).await;
    run.ready(2).await;
    let now = processes(folder.path());
    assert!(now.contains(&i64::from(identity(1).pid)), "it carries its mark");
    assert!(!now.contains(&i64::from(identity(0).pid)));
    end(run).await;
}

#[tokio::test]
async fn a_process_that_only_has_the_pid_of_a_worker_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    run.deploy(workload("replicas: 0,", WORKER)).await;
    run.ready(0).await;
    run.kill().await;
    let mut command = Command::new("sleep");
    std::os::unix::process::CommandExt::process_group(command.arg("600"), 0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut bystander = command.spawn().unwrap();
    let identity = Identity::of(i32::try_from(bystander.id()).unwrap()).unwrap();
    let slot = |started: u64, ending: bool| {
        json!({"index": 0, "number": 1, "revision": 0, "grace_seconds": 0, "printed": 0, "ending": ending,
               "process": {"pid": identity.pid, "started": started}})
    };
    edit(folder.path(), |record| {
        record["replicas"] = json!(1);
        record["processes"] = json!([slot(identity.started + 1, false), slot(identity.started + 1, true)]);
    });

    let run = Run::new(folder.path());
    run.deploy(workload("replicas: 0,", WORKER)).await;
    run.ready(1).await;
    assert!(!processes(folder.path()).contains(&i64::from(identity.pid)));
    end(run).await;
    assert!(identity.runs());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn a_new_template_replaces_processes_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    run.deploy(workload("replicas: 3,", WORKER)).await;
    run.ready(3).await;
    let before = (processes(folder.path()), run.seen().await.unwrap().version);
    run.deploy(workload("replicas: 3,", &format!("echo new; {WORKER}"))).await;
    let mut fewest = 3;
    for _ in 0..3000 {
        let state = run.seen().await.unwrap().state;
        assert_eq!((state.replicas, state.existing), (3, 3));
        fewest = fewest.min(state.ready.unwrap());
        if processes(folder.path()).is_disjoint(&before.0) && state.ready == Some(3) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(processes(folder.path()).is_disjoint(&before.0));
    assert!(fewest >= 2, "only one at a time was missing");
    assert_eq!(run.seen().await.unwrap().version, before.1);
    end(run).await;
}

#[tokio::test]
async fn a_deployment_that_is_gone_ends_its_processes_and_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    run.deploy(workload("replicas: 2,", WORKER)).await;
    run.ready(2).await;
    let workers = record(folder.path())["processes"].clone();
    run.fleet.run(&orders(), None, None).await;
    assert_eq!(run.seen().await, Err(TargetError::NotFound("Deployment shop/orders".to_owned())));
    assert!(matches!(run.apply(1, &Version::default()).await, Err(ApplyError::Refused(_))));
    let runs = |slot: &Value| serde_json::from_value::<Identity>(slot["process"].clone()).unwrap().runs();
    eventually(|| !workers.as_array().unwrap().iter().any(runs)).await;
    eventually(|| !folder.path().join("deployments/shop_orders.json").exists()).await;
    // The same name later is another Deployment.
    run.deploy(workload("replicas: 1,", WORKER)).await;
    run.ready(1).await;
    end(run).await;
}

#[tokio::test]
async fn replicas_come_back_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    run.deploy(workload("", WORKER)).await;
    run.scale(2).await;
    run.ready(2).await;
    run.fleet.stop(Ending::Graceful).await;
    run.fleet.ended().await;
    assert!(processes(folder.path()).is_empty());
    assert!(matches!(run.seen().await, Err(TargetError::Unavailable(_))));
    run.kill().await;
    let run = Run::new(folder.path());
    run.deploy(workload("", WORKER)).await;
    run.ready(2).await;
    end(run).await;
}

#[tokio::test]
async fn workers_that_are_kept_are_adopted_and_a_second_stop_kills() {
    let folder = tempfile::tempdir().unwrap();
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let run = Run::new(folder.path());
    run.deploy(workload("", stubborn)).await;
    run.ready(1).await;
    let log = folder.path().join("logs/shop_orders-0.log");
    eventually(|| fs::read_to_string(&log).unwrap_or_default().contains("ready")).await;
    run.fleet.stop(Ending::Keep).await;
    run.fleet.ended().await;
    let workers = processes(folder.path());
    assert_eq!(workers.len(), 1);
    run.kill().await;

    let run = Run::new(folder.path());
    run.deploy(workload("", stubborn)).await;
    run.ready(1).await;
    assert_eq!(processes(folder.path()), workers);
    run.fleet.stop(Ending::Graceful).await;
    assert!(tokio::time::timeout(Duration::from_millis(300), run.fleet.ended()).await.is_err(), "it has 30 s");
    run.fleet.stop(Ending::Kill).await;
    run.fleet.ended().await;
    assert!(processes(folder.path()).is_empty());
}

#[tokio::test]
async fn a_process_that_cannot_start_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    let program = folder.path().join("worker.sh");
    let mut broken = workload("", WORKER);
    broken = broken.with_program(&program.display().to_string());
    run.deploy(broken).await;
    let state = run.seen().await.unwrap().state;
    assert_eq!((state.existing, state.ready), (1, Some(0)));
    fs::write(&program, format!("#!/bin/sh\n{WORKER}")).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    run.fleet.tell(&orders(), super::Message::Retry).await;
    run.ready(1).await;
    end(run).await;
}
