use std::fs;
use std::path::Path;
use std::time::Duration;

use tidegate_engine::protocol::TargetError;
use tidegate_engine::snapshot::{Phase, Snapshot};
use tidegate_engine::subject::ObjectId;

use super::{Ending, Local, LocalError, Options, Output, default_state, start};

/// Nothing listens there: the trigger fails, and nothing may be lowered.
const OBJECTS: &str = "
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: orders, namespace: shop}
spec:
  scaleTargetRef: {name: orders}
  pollingInterval: 1
  triggers: [{type: redis, metadata: {address: '127.0.0.1:1', listName: jobs}}]
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: lost, namespace: shop}
spec:
  scaleTargetRef: {name: nowhere}
  triggers: [{type: redis, metadata: {address: '127.0.0.1:1', listName: jobs}}]
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: second, namespace: shop}
spec:
  scaleTargetRef: {name: orders}
  triggers: [{type: redis, metadata: {address: '127.0.0.1:1', listName: jobs}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  replicas: 2
  template: {spec: {containers: [{name: main, command: [sh, -c, 'echo hello; exec sleep 600']}]}}
";

fn options(folder: &Path) -> Options {
    let manifests = folder.join("manifests");
    fs::create_dir_all(&manifests).unwrap();
    fs::write(manifests.join("a.yaml"), OBJECTS).unwrap();
    fs::write(manifests.join("b.yaml"), "kind: [").unwrap();
    let options = Options::new(vec![manifests]);
    Options { state: folder.join("state"), output: Output::FilesOnly, poll: Duration::from_millis(20), ..options }
}

/// The snapshot of one object, once it is as expected.
async fn becomes(local: &Local, name: &str, expected: impl Fn(&Snapshot) -> bool) -> Snapshot {
    for _ in 0..3000 {
        let snapshots = local.handle.ask(Some(ObjectId::new("shop", name))).await.expect("the engine runs");
        if let Some(snapshot) = snapshots.into_iter().next().filter(&expected) {
            return snapshot;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} never became as expected");
}

#[tokio::test]
async fn what_is_wrong_costs_only_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let mut local = start(options(folder.path())).await.unwrap();
    let failing = |snapshot: &Snapshot| snapshot.errors.iter().sum::<u64>() > 0 && snapshot.decision.is_some();
    let orders = becomes(&local, "orders", failing).await;
    assert_eq!(orders.seen.unwrap().replicas, 2, "a trigger that fails lowers nothing");
    let lost = becomes(&local, "lost", |snapshot| matches!(snapshot.phase, Phase::TargetFailed(_))).await;
    assert_eq!(lost.phase, Phase::TargetFailed(TargetError::NotFound("Deployment shop/nowhere".to_owned())));
    let second = becomes(&local, "second", |snapshot| matches!(snapshot.phase, Phase::Refused(_))).await;
    let Phase::Refused(findings) = second.phase else { panic!("it is refused") };
    assert!(findings[0].to_string().contains("is scaled by ScaledObject shop/orders already"), "{}", findings[0]);
    assert!(fs::read_to_string(folder.path().join("state/logs/shop_orders-1.log")).unwrap().contains("hello"));

    // The second is heard once the first is gone.
    let text = OBJECTS.replacen("kind: ScaledObject", "kind: Ignored", 1);
    fs::write(folder.path().join("manifests/a.yaml"), text).unwrap();
    becomes(&local, "second", failing).await;
    local.stop(Ending::Graceful).await;
}

#[tokio::test]
async fn a_restart_moves_nothing_and_a_state_directory_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let mut local = start(options(folder.path())).await.unwrap();
    becomes(&local, "orders", |snapshot| snapshot.seen.is_some_and(|seen| seen.ready == Some(2))).await;
    let error = start(options(folder.path())).await.unwrap_err();
    assert_eq!(error.reason(), "StateLocked");
    let record = || fs::read_to_string(folder.path().join("state/deployments/shop_orders.json")).unwrap();
    let pids = |text: &str| text.lines().filter(|line| line.contains("\"pid\"")).map(str::to_owned).collect::<Vec<_>>();
    local.stop(Ending::Keep).await;
    let before = pids(&record());
    assert_eq!(before.len(), 2);
    drop(local);

    let mut local = start(options(folder.path())).await.unwrap();
    becomes(&local, "orders", |snapshot| snapshot.seen.is_some_and(|seen| seen.ready == Some(2))).await;
    assert_eq!(pids(&record()), before);
    local.stop(Ending::Kill).await;
    assert!(pids(&record()).is_empty());
    local.stop(Ending::Kill).await;
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.paths.push(folder.path().join("nowhere"));
    let error = start(options).await.unwrap_err();
    assert!(matches!(&error, LocalError::Path { path, .. } if path.ends_with("nowhere")), "{error}");
}

#[test]
fn the_state_directory_depends_on_the_paths_alone() {
    let state = |paths: &[&str]| default_state(&paths.iter().map(Into::into).collect::<Vec<_>>());
    assert_eq!(state(&["/tmp", "/"]), state(&["/", "/tmp/."]));
    assert_ne!(state(&["/tmp"]), state(&["/"]));
}
