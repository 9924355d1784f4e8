//! Tests on a real control plane: etcd, kube-apiserver and kube-controller-manager, with a small node that runs pods as processes.
//!
//! [`control_plane`] starts and ends it, [`node`] runs the pods, [`audit`] says what was asked, [`space`] is a namespace with what a
//! scenario does in it, [`operator`] is the real `tidegate run`, [`metrics_server`] serves the metrics APIs. The other modules say what
//! must hold.

mod audit;
mod authentications;
mod burst;
mod control_plane;
mod counted;
mod crash;
mod fallback;
mod flink;
mod foreign;
mod gate;
mod handover;
mod hooks;
mod hooks_server;
mod image;
pub(crate) mod kafka;
mod load;
mod metrics_server;
mod node;
mod objects;
mod operator;
mod overlays;
mod policies;
mod quiet;
mod refusals;
mod rules;
mod secrets;
mod self_test;
mod side_by_side;
pub(crate) mod sources;
mod space;
mod takeover;
mod trouble;
mod unwritable;
mod workloads;

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use libtest_mimic::Trial;
use tokio::runtime::Runtime;

use crate::harness::{missing, under_ci};
use control_plane::ControlPlane;

/// How long anything that should happen soon may take on a busy machine.
const SOON: Duration = Duration::from_mins(2);
/// How long one request of a test may take.
const REQUEST: Duration = Duration::from_mins(1);

/// What needs the machine for itself: it compares what two programs do within a second.
pub(crate) fn alone() -> Vec<Trial> {
    side_by_side::trials()
}

/// All other scenarios on a cluster, the longest first.
pub(crate) fn all() -> Vec<Trial> {
    let others = [
        flink::trials(),
        hooks::trials(),
        trouble::trials(),
        kafka::trials(),
        foreign::trials(),
        counted::trials(),
        sources::trials(),
        secrets::trials(),
        authentications::trials(),
        workloads::trials(),
        overlays::trials(),
        image::trials(),
        quiet::trials(),
        rules::trials(),
        fallback::trials(),
        policies::trials(),
        crash::trials(),
        burst::trials(),
        handover::trials(),
        takeover::trials(),
        unwritable::trials(),
        refusals::trials(),
        self_test::trials(),
        side_by_side::comparisons(),
        load::trials(),
        vec![trial("by_hand", by_hand).with_ignored_flag(true)],
    ];
    flink::among(others.into_iter().flatten().collect())
}

/// Ends what all scenarios shared.
pub(crate) fn end() {
    ControlPlane::end_shared();
}

/// A scenario that needs the control plane.
fn trial(name: &'static str, scenario: fn()) -> Trial {
    Trial::test(format!("cluster::{name}"), move || {
        match control_plane::programs() {
            Some(_) => scenario(),
            None if under_ci() => return Err("there is no control plane; `make tools` builds it".into()),
            None => println!("skipped: cluster::{name} needs a control plane; `make tools` builds it"),
        }
        Ok(())
    })
}

/// A scenario that needs the real Redis, too.
fn trial_with_redis(name: &'static str, scenario: fn()) -> Trial {
    match missing(&["redis-server", "redis-cli"]) {
        None => trial(name, scenario),
        Some(_) => crate::harness::trial_with_redis(name, scenario),
    }
}

/// A control plane for whoever wants to try something by hand: `cargo test --test integration -- --ignored --nocapture cluster::by_hand`.
fn by_hand() {
    println!("export KUBECONFIG={}/admin.kubeconfig", ControlPlane::shared().folder().display());
    println!("kubectl is in {}; this goes on until Ctrl-C", control_plane::programs().expect("it runs").display());
    std::thread::sleep(Duration::from_hours(12));
}

/// What asks and serves in the background: the node, watches, single requests.
fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
    &RUNTIME
}

/// Waits for an answer. One that does not come fails the scenario, and does not hang it.
fn wait_for<T>(answer: impl Future<Output = T>) -> T {
    runtime().block_on(async { tokio::time::timeout(REQUEST, answer).await }).expect("an answer within a minute")
}
