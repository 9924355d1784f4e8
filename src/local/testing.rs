//! What several tests of this module need.

use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tidegate_engine::ports::Target as _;
use tidegate_engine::protocol::{ApplyError, Seen, TargetError, Version};
use tidegate_engine::subject::ObjectId;

use super::deployment::Record;
use super::directory::StateDirectory;
use super::fleet::Fleet;
use super::logs::{FULL, Logs};
use super::ports::{Deployments, ProcessTarget};
use super::workload::{Workload, target};
use super::{Machine, identity};
use crate::manifests::parse;

/// Waits until something is true; a minute is far more than anything here takes.
pub(super) async fn eventually(mut condition: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(tokio::time::Instant::now() < end, "it did not become true");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The Deployment of these tests.
pub(super) fn orders() -> ObjectId {
    ObjectId::new("shop", "orders")
}

/// A Deployment `shop/orders` that runs a shell script; `spec` is more of its spec, with a comma at its end.
pub(super) fn workload(spec: &str, script: &str) -> Workload {
    let script = serde_json::to_string(script).unwrap();
    let text = format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: orders, namespace: shop}}, spec: {{{spec} \
         template: {{spec: {{containers: [{{name: main, command: [sh, -c, {script}]}}]}}}}}}}}"
    );
    Workload::read(&parse(Path::new("/tmp/orders.yaml"), &text).unwrap()[0]).unwrap()
}

/// One run of the program, as far as Deployments are concerned.
pub(super) struct Run {
    pub(super) machine: Arc<Machine>,
    pub(super) fleet: Fleet,
    target: ProcessTarget,
}

impl Run {
    pub(super) fn new(state: &Path) -> Self {
        let machine = Arc::new(Machine {
            state: Arc::new(StateDirectory::open(state).unwrap()),
            feed: Arc::default(),
            logs: Arc::new(Logs::new(None, FULL)),
            boot: identity::boot(),
            grace: Duration::from_secs(30),
            inventory: RwLock::default(),
        });
        let deployments = Arc::new(Deployments::default());
        Self { fleet: Fleet::new(machine.clone(), deployments.clone()), target: ProcessTarget(deployments), machine }
    }

    /// Ends it as a `kill -9` does.
    pub(super) async fn kill(self) {
        self.fleet.kill().await;
        // A write that has begun goes on to its end.
        eventually(|| Arc::strong_count(&self.machine.state) == 1).await;
    }

    /// Runs a text of the Deployment, from the record that an earlier run left.
    pub(super) async fn deploy(&self, workload: Workload) {
        let record =
            self.machine.state.deployments::<Record>().unwrap().into_iter().find(|record| record.id() == orders());
        self.fleet.run(&orders(), record, Some(workload)).await;
    }

    pub(super) async fn seen(&self) -> Result<Seen, TargetError> {
        self.target.refresh(&target(&orders())).await
    }

    pub(super) async fn apply(&self, replicas: u32, version: &Version) -> Result<Version, ApplyError> {
        self.target.apply(&target(&orders()), replicas, version).await
    }

    /// Sets the replicas whatever the version.
    pub(super) async fn scale(&self, replicas: u32) {
        let version = self.seen().await.unwrap().version;
        self.apply(replicas, &version).await.unwrap();
    }

    /// Waits until so many replicas are ready and no other exists.
    pub(super) async fn ready(&self, count: u32) {
        for _ in 0..3000 {
            let state = self.seen().await.unwrap().state;
            if state.existing == count && state.ready == Some(count) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("there were never {count} ready replicas");
    }
}
