//! The control plane, the node and the audit log do what the scenarios build on. No operator runs here.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use super::control_plane::ControlPlane;
use super::objects::Deployment;
use super::space::Space;
use super::{SOON, trial};
use crate::harness::wait::eventually;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("self_test::pods_become_ready_and_go", pods_come_and_go),
        trial("self_test::pods_are_processes_with_a_grace", processes),
        trial("self_test::requests_are_counted_by_credential", audit),
        trial("self_test::a_namespace_goes_with_its_processes", namespace),
        trial("self_test::a_role_of_a_label_joins_another_one", aggregation),
        trial("self_test::the_api_server_comes_back_with_all_it_had", outage),
    ]
}

fn pods_come_and_go() {
    let space = Space::new("pods");
    let plane = space.plane();
    println!("control plane: up in {:.1?}; etcd, API server, controllers: {:?} MiB", plane.took(), plane.memory());
    space.deploy(&Deployment { name: "still", replicas: 3, startup: 1000, ..Deployment::default() });
    let asked = space.watch("still");
    let begun = Instant::now();
    space.until_ready("still", 3);
    println!("three pods that start in 1 s are ready after {:.1?}", begun.elapsed());
    for pod in space.list("pods") {
        assert_eq!(pod["status"]["phase"], "Running");
        assert_eq!(pod["status"]["podIP"], "127.0.0.1");
        assert!(pod["status"]["startTime"].is_string(), "{pod:#}");
    }
    space.scale("still", 0);
    let begun = Instant::now();
    space.until_ready("still", 0);
    println!("three pods are gone after {:.1?}", begun.elapsed());
    assert_eq!(asked.counts(), [3, 0]);
}

/// One worker ends when it is asked, the other one does not: it is killed after its grace of 3 s, with its child.
fn processes() {
    let space = Space::new("processes");
    let polite = "trap 'echo asked; exit 0' TERM; echo hello; while true; do sleep 0.1; done";
    space.deploy(&Deployment {
        name: "polite",
        replicas: 1,
        script: Some(polite),
        grace: 600,
        ..Deployment::default()
    });
    let stubborn = "trap '' TERM; sleep 3600 & echo stubborn; while true; do wait; sleep 0.1; done";
    space.deploy(&Deployment {
        name: "stubborn",
        replicas: 1,
        script: Some(stubborn),
        grace: 3,
        ..Deployment::default()
    });
    eventually(SOON, "the output of both", || {
        let output = space.plane().node().output(space.name());
        (output.contains("hello") && output.contains("stubborn")).then_some(())
    });

    space.scale("polite", 0);
    let gone = |name: &str| {
        let prefix = format!("{name}-");
        let named = |pod: &serde_json::Value| pod["metadata"]["name"].as_str().unwrap().starts_with(&prefix);
        eventually(SOON, &format!("the end of {name}"), || (!space.list("pods").iter().any(named)).then_some(()));
    };
    gone("polite");
    assert!(space.plane().node().output(space.name()).contains("asked"), "it had the time to say so");

    let begun = Instant::now();
    space.scale("stubborn", 0);
    gone("stubborn");
    assert!(begun.elapsed() >= Duration::from_secs(3), "it was killed before its grace was over");
    eventually(SOON, "the end of all processes", || space.processes().is_empty().then_some(()));
}

fn namespace() {
    let (space, watcher) = (Space::new("goes"), Space::new("stays"));
    space.deploy(&Deployment { replicas: 2, script: Some("exec sleep 3600"), ..Deployment::default() });
    space.until_ready("app", 2);
    assert_eq!(space.processes().len(), 2);
    watcher.kubectl(&["delete", "namespace", space.name(), "--wait=true", "--timeout=120s"]);
    eventually(SOON, "the end of its processes", || space.processes().is_empty().then_some(()));
}

/// By such a label an administrator opens further kinds to the operator.
fn aggregation() {
    let space = Space::new("aggregation");
    let role = |name: &str, label: &str, rest: &str| {
        let head = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: ";
        space.apply(&format!("{head}{name}\n  labels: {{{label}}}\n{rest}"));
    };
    role("tests-joined", "", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {joins: tests}}]}\nrules: []\n");
    role("tests-part", "joins: tests", "rules: [{apiGroups: [tests], resources: [things], verbs: [get]}]\n");
    eventually(SOON, "the joined rules", || {
        space.kubectl(&["get", "clusterrole", "tests-joined", "-o", "yaml"]).contains("things").then_some(())
    });
}

fn audit() {
    let space = Space::new("audit");
    let plane = space.plane();
    space.kubectl(&["create", "serviceaccount", "asker"]);
    let (kubeconfig, credential) = plane.sign_in(space.name(), "asker");
    let kubeconfig = kubeconfig.to_str().unwrap();
    let account = format!("{}:asker", space.name());
    space.kubectl(&["create", "role", "look", "--verb", "get,list,create", "--resource", "configmaps"]);
    space.kubectl(&["create", "rolebinding", "look", "--role", "look", "--serviceaccount", &account]);
    let ask = |arguments: &[&str]| {
        let all = [&["--kubeconfig", kubeconfig, "-n", space.name()], arguments].concat();
        plane.kubectl(&all, "").status.success()
    };
    let begun = plane.audit().now();
    assert!(eventually(SOON, "the role in force", || ask(&["get", "configmaps"]).then_some(true)));
    assert!(ask(&["create", "configmap", "one"]));
    assert!(!ask(&["create", "secret", "generic", "none"]), "the role does not allow it");
    assert!(!ask(&["delete", "configmap", "one"]), "the role does not allow it");

    let requests = plane.audit().since(begun, &credential);
    let writes = requests.writes();
    assert_eq!(writes.of("configmaps").counts().keys().collect::<Vec<_>>(), ["create configmaps", "delete configmaps"]);
    assert_eq!(writes.of("secrets").0[0].code, 403);
    assert_eq!(writes.count(), 3, "{writes}");
    assert!(requests.of("configmaps").count() >= 3, "{requests}");
    let (_, other) = plane.sign_in(space.name(), "asker");
    assert!(plane.audit().since(begun, &other).of("configmaps").0.is_empty(), "another credential of the same account");
    assert!(plane.audit().since(plane.audit().now(), &credential).0.is_empty());
}

/// A control plane of its own: the others would notice.
fn outage() {
    let plane = std::sync::Arc::new(ControlPlane::start());
    let space = Space::on(&plane, "outage");
    space.deploy(&Deployment { name: "kept", replicas: 2, ..Deployment::default() });
    space.until_ready("kept", 2);
    plane.kill_apiserver();
    assert_eq!(space.get("deployments", "kept"), None, "nobody answers");
    plane.start_apiserver();
    space.scale("kept", 1);
    space.until_ready("kept", 1);

    plane.freeze_apiserver();
    std::thread::sleep(Duration::from_secs(2));
    plane.thaw_apiserver();
    space.scale("kept", 2);
    space.until_ready("kept", 2);
}
