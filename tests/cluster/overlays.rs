//! What stands in `deploy/`, applied as people do it: both overlays and all samples, and the real operator under the roles that they bring.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::json;

use super::control_plane::ControlPlane;
use super::operator::Account;
use super::space::Space;
use super::{SOON, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::{eventually, throughout};

/// The operator's namespace and account, as the overlays name them.
const SYSTEM: &str = "tidegate-system";
const ACCOUNT: &str = "system:serviceaccount:tidegate-system:tidegate";
const LIST: &str = "overlays-orders";

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_redis("overlays::both_overlays_and_all_samples", both)]
}

/// A control plane of its own: what is cluster-wide would change the roles of other scenarios.
fn both() {
    let redis = Redis::shared();
    let plane = Arc::new(ControlPlane::start());
    let other = Space::on(&plane, "other");
    redis.push(LIST, 40);

    // For one namespace.
    apply(&plane, "namespaced");
    let pod = "jsonpath={.spec.template.spec.serviceAccountName} {.spec.template.spec.containers[0].env[*].name}";
    let pod = plane.print(&["-n", SYSTEM, "get", "deployment", "tidegate", "-o", pod]);
    assert_eq!(pod, "tidegate POD_NAME POD_NAMESPACE WATCH_NAMESPACE");
    for namespace in ["default", other.name()] {
        sample(&plane, namespace, &redis.address());
    }
    let account = Account::deployed(&plane, "default");
    let mut operator = account.start();
    until_replicas(&plane, "default", "8");
    throughout(Duration::from_secs(3), || {
        let replicas = replicas(&plane, other.name());
        if replicas == "1" { Ok(()) } else { Err(format!("{replicas} replicas where nobody may scale")) }
    });
    assert!(may(&plane, "default", "update", "deployments.apps/scale"));
    assert!(!may(&plane, other.name(), "update", "deployments.apps/scale"));
    operator.terminate();
    assert_eq!(operator.wait(), Some(0), "{}", operator.log());

    // For all.
    apply(&plane, "cluster");
    let operator = Account::deployed(&plane, "").start();
    until_replicas(&plane, other.name(), "8");
    eventually(SOON, "the sample that opens a further kind", || {
        may(&plane, other.name(), "update", "rollouts.argoproj.io/scale").then_some(())
    });
    assert!(!may(&plane, other.name(), "delete", "deployments.apps"), "{}", operator.log());

    // Whoever takes it away takes no ScaledObject with it.
    plane.print(&["delete", "-k", &folder("overlays/cluster"), "--wait=false"]);
    assert_eq!(
        plane.print(&["-n", other.name(), "get", "scaledobject", "orders", "-o", "name"]).trim(),
        "scaledobject.keda.sh/orders"
    );
}

fn folder(name: &str) -> String {
    format!("{}/deploy/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn apply(plane: &ControlPlane, overlay: &str) {
    println!("{}", plane.print(&["apply", "-k", &folder(&format!("overlays/{overlay}"))]));
}

/// Applies the samples as they stand, then the same with the server of this scenario.
fn sample(plane: &ControlPlane, namespace: &str, address: &str) {
    println!("{}", plane.print(&["-n", namespace, "apply", "-f", &folder("samples")]));
    let text = std::fs::read_to_string(folder("samples/redis-list.yaml")).unwrap();
    let here =
        text.replace("redis.default.svc:6379", address).replace("listName: orders", &format!("listName: {LIST}"));
    assert_ne!(here, text);
    let output = plane.kubectl(&["-n", namespace, "apply", "-f", "-"], &here);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn replicas(plane: &ControlPlane, namespace: &str) -> String {
    plane.print(&["-n", namespace, "get", "deployment", "orders", "-o", "jsonpath={.spec.replicas}"])
}

fn until_replicas(plane: &ControlPlane, namespace: &str, wanted: &str) {
    let what = format!("{wanted} replicas of the sample in {namespace}");
    eventually(SOON, &what, || {
        let found = replicas(plane, namespace) == wanted;
        if !found {
            std::thread::sleep(Duration::from_millis(500));
        }
        found.then_some(())
    });
}

/// Whether the account of the overlays may do something with a resource such as `deployments.apps/scale`, whether or not it is served.
fn may(plane: &ControlPlane, namespace: &str, verb: &str, resource: &str) -> bool {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": ACCOUNT, "resourceAttributes": {
            "namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource,
        }},
    });
    let output = plane.kubectl(&["create", "-f", "-", "-o", "jsonpath={.status.allowed}"], &review.to_string());
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().unwrap_or_else(|_| panic!("{said}: {}", String::from_utf8_lossy(&output.stderr)))
}
