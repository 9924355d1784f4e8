use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidegate_engine::ports::Objects as _;
use tidegate_engine::protocol::Change;
use tokio::task::JoinHandle;

use super::super::Machine;
use super::super::feed::Inbox;
use super::super::fleet::Fleet;
use super::super::objects::ObjectRecords;
use super::super::testing::{Run, eventually};
use super::{Files, Fingerprint, fingerprint};

const OBJECT: &str = "
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: orders, namespace: shop}
spec:
  scaleTargetRef: {name: orders}
  maxReplicaCount: 10
  triggers:
  - type: redis
    metadata: {addressFromEnv: REDIS, listName: jobs, listLength: '5'}
    authenticationRef: {name: redis}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: redis, namespace: shop}
spec: {secretTargetRef: [{parameter: password, name: redis, key: password}]}
";

const SECRET: &str =
    "{apiVersion: v1, kind: Secret, metadata: {name: redis, namespace: shop}, stringData: {password: one}}";

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  replicas: 0
  template: {spec: {containers: [{name: main, command: [sleep, '600'], env: [{name: REDIS, value: 'localhost:1'}]}]}}
";

struct Watched {
    folder: tempfile::TempDir,
    _state: tempfile::TempDir,
    machine: Arc<Machine>,
    fleet: Arc<Fleet>,
    task: JoinHandle<()>,
}

impl Watched {
    fn start(files: &[(&str, &str)]) -> Self {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let Run { machine, fleet, .. } = Run::new(state.path());
        let fleet = Arc::new(fleet);
        let records = Arc::new(ObjectRecords::new(machine.state.clone()));
        let paths = vec![folder.path().to_owned()];
        let files = Files::new(paths, machine.clone(), fleet.clone(), records, "keda".to_owned(), Vec::new());
        let task = tokio::spawn(files.run(Duration::from_millis(20)));
        Self { folder, _state: state, machine, fleet, task }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// The next change, in short.
    async fn told(&self) -> String {
        let next = tokio::time::timeout(Duration::from_mins(1), Inbox(self.machine.feed.clone()).next_change());
        match next.await.expect("a change within a minute") {
            Change::Set(subject, _) => {
                let faults: Vec<&str> = subject.faults.iter().map(|fault| fault.kind.reason()).collect();
                let hold = subject.hold.as_ref().map(|hold| format!(" {}", hold.reason)).unwrap_or_default();
                let space = if faults.is_empty() { "" } else { " " };
                format!("set {} max {}{space}{}{hold}", subject.id, subject.policy.max, faults.join(" "))
            }
            Change::Gone(id) => format!("gone {id}"),
            Change::Refused(id, _, findings, _) => {
                let errors = findings.iter().map(ToString::to_string).filter(|text| text.starts_with("error"));
                format!("refused {id}: {}", errors.collect::<Vec<_>>().join("; "))
            }
            Change::ParametersChanged(id) => format!("parameters {id}"),
            Change::Target(target, Ok(seen)) => format!("{target} {}", seen.state.replicas),
            Change::Target(_, Err(error)) => error.to_string(),
            Change::Stored(id, _) => format!("stored {id}"),
            Change::Synced => "synced".to_owned(),
        }
    }

    async fn all(&self, count: usize) -> Vec<String> {
        let mut told = Vec::new();
        for _ in 0..count {
            told.push(self.told().await);
        }
        told
    }
}

impl Inbox {
    async fn next_change(mut self) -> Change {
        self.next().await.unwrap()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn everything_is_told_once_and_then_only_what_changes() {
    let watched = Watched::start(&[("a.yaml", OBJECT), ("b.yaml", SECRET), ("c.yaml", DEPLOYMENT)]);
    assert_eq!(watched.all(3).await, ["set shop/orders max 10", "Deployment/orders 0", "synced"]);

    watched.write("b.yaml", &SECRET.replace("one", "two"));
    assert_eq!(watched.told().await, "parameters shop/orders", "a new password");
    watched.write("c.yaml", &DEPLOYMENT.replace("localhost:1", "localhost:2"));
    assert_eq!(watched.told().await, "parameters shop/orders", "a new environment");
    watched.write("a.yaml", &OBJECT.replace("10", "20"));
    assert_eq!(watched.all(2).await, ["set shop/orders max 20", "Deployment/orders 0"]);
    watched.write("a.yaml", &OBJECT.replace("listLength", "listSize").replace("10", "zero"));
    let told = watched.told().await;
    assert!(told.starts_with("refused shop/orders: error maxReplicaCount"), "{told}");
    assert_eq!(watched.told().await, "Deployment/orders 0");
    fs::remove_file(watched.folder.path().join("c.yaml")).unwrap();
    // It is told again: what there is to say about it has become more.
    assert_eq!(watched.all(2).await[1], "Deployment shop/orders does not exist");
    fs::remove_file(watched.folder.path().join("a.yaml")).unwrap();
    assert_eq!(watched.told().await, "gone shop/orders");
    watched.fleet.kill().await;
}

/// A policy of another file acts at once, when it comes, changes and goes.
#[tokio::test]
async fn policies_are_read_from_the_same_files() {
    let named = OBJECT.replacen("namespace: shop}", "namespace: shop, annotations: {tidegate.dev/policies: calm}}", 1);
    let watched = Watched::start(&[("a.yaml", &named), ("b.yaml", SECRET), ("c.yaml", DEPLOYMENT)]);
    assert_eq!(watched.all(3).await[0], "set shop/orders max 10 PolicyNotFound");
    let policy = |spec: &str| {
        format!(
            "{{apiVersion: tidegate.dev/v1alpha1, kind: ScalingPolicy, metadata: {{name: calm, namespace: shop}}, spec: {spec}}}"
        )
    };
    watched.write("p.yaml", &policy("{directionCooldown: {scaleDownAfterScaleUp: 1m}}"));
    assert_eq!(watched.all(2).await[0], "set shop/orders max 10");
    watched.write("p.yaml", &policy("{mode: Observe}"));
    assert_eq!(watched.all(2).await[0], "set shop/orders max 10 Observe");
    fs::remove_file(watched.folder.path().join("p.yaml")).unwrap();
    assert_eq!(watched.all(2).await[0], "set shop/orders max 10 PolicyNotFound");
    watched.fleet.kill().await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_costs_no_other_file() {
    let watched = Watched::start(&[("a.yaml", OBJECT), ("c.yaml", DEPLOYMENT)]);
    assert_eq!(watched.all(3).await, ["set shop/orders max 10", "Deployment/orders 0", "synced"]);
    watched.write("a.yaml", "kind: [");
    watched.write("c.yaml", "\tno yaml: {");
    watched.write("b.yaml", SECRET);
    assert_eq!(watched.told().await, "parameters shop/orders", "the others are taken up");
    watched.write("a.yaml", &OBJECT.replace("10", "20"));
    assert_eq!(watched.all(2).await, ["set shop/orders max 20", "Deployment/orders 0"]);
}

#[tokio::test]
async fn an_object_that_was_never_accepted_is_set_once_it_is_mended() {
    let watched = Watched::start(&[("a.yaml", &OBJECT.replace("10", "-1")), ("c.yaml", DEPLOYMENT)]);
    let told = watched.all(3).await;
    assert!(told[0].starts_with("refused shop/orders: error maxReplicaCount"), "{}", told[0]);
    watched.write("a.yaml", OBJECT);
    assert_eq!(watched.all(2).await, ["set shop/orders max 10", "Deployment/orders 0"]);
}

#[tokio::test]
async fn a_deployment_that_cannot_run_is_no_target() {
    let watched = Watched::start(&[("a.yaml", OBJECT), ("c.yaml", &DEPLOYMENT.replace("command", "commands"))]);
    let told = watched.all(3).await;
    assert!(
        told[1].starts_with("Deployment shop/orders cannot run here: template.spec.containers[0].command"),
        "{}",
        told[1]
    );
}

#[test]
fn a_fingerprint_sees_edits_new_files_and_links() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let look = || -> Fingerprint { fingerprint(&[folder.path().to_owned(), PathBuf::from("/nowhere")]) };
    fs::create_dir(path("sub")).unwrap();
    fs::write(path("sub/a.yaml"), "one").unwrap();
    let first = look();
    assert_eq!(first.keys().map(PathBuf::as_path).collect::<Vec<&Path>>(), [path("sub/a.yaml")]);
    assert_eq!(look(), first);
    fs::write(path("sub/a.yaml"), "longer").unwrap();
    assert_ne!(look(), first);
    let second = look();
    fs::write(path(".hidden"), "x").unwrap();
    assert_eq!(look(), second);
    std::os::unix::fs::symlink(path("sub/a.yaml"), path("b.yaml")).unwrap();
    assert_eq!(look().len(), 2);
}

#[tokio::test]
async fn the_first_sight_of_an_object_is_its_creation() {
    let watched = Watched::start(&[("a.yaml", OBJECT)]);
    watched.all(3).await;
    let record = || fs::read_to_string(watched.machine.state.object("shop", "orders")).unwrap_or_default();
    eventually(|| record().contains("first_seen")).await;
}
