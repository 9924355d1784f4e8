//! What happens to clusters: the API server is away, a namespace is deleted, objects are edited and deleted, targets are of other kinds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::control_plane::ControlPlane;
use super::objects::{Deployment, ScaledObject};
use super::operator::{Account, until_held};
use super::space::{Space, conditions};
use super::{SOON, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("trouble::the_api_server_is_away_for_a_minute", away),
        trial_with_redis("trouble::an_object_is_edited_a_thousand_times", edits),
        trial_with_redis("trouble::a_namespace_is_deleted_under_load", namespace_deleted),
        trial_with_redis("trouble::an_object_is_deleted", object_deleted),
        trial_with_redis("trouble::targets_of_other_kinds", other_kinds),
        trial_with_redis("trouble::a_kind_comes_and_goes_while_the_operator_runs", kind_comes_and_goes),
        trial_with_redis("trouble::of_three_namespaces_two_are_watched", two_of_three),
    ]
}

/// A control plane of its own: the others would notice.
fn away() {
    const LIST: &str = "trouble-away";
    let redis = Redis::shared();
    let plane = Arc::new(ControlPlane::start());
    let space = Space::on(&plane, "away");
    space.deploy(&Deployment::default());
    let address = redis.address();
    space.scale_by(&ScaledObject { address: &address, list: LIST, ..ScaledObject::default() });
    let account = Account::cluster_wide(&space);
    let mut operator = account.start();
    redis.push(LIST, 40);
    space.until_replicas("app", 8);

    // The watch is there before, so that it shows a drop; what it cannot show while it is cut off, the audit does.
    let asked = space.watch("app");
    let before = plane.audit().now();
    plane.kill_apiserver();
    std::thread::sleep(Duration::from_mins(1));
    redis.push(LIST, 10);
    plane.start_apiserver();
    // Who cannot renew the Lease ends; a cluster starts it again.
    if !operator.is_running() {
        operator = account.start();
    }
    space.until_replicas("app", 10);
    eventually(SOON, "the end of what the watch shows", || (asked.counts().last() == Some(&10)).then_some(()));
    throughout(Duration::from_secs(10), || {
        let counts = asked.counts();
        if counts == [8, 10] { Ok(()) } else { Err(format!("{counts:?}\n{}", operator.log())) }
    });
    let writes = operator.requests(before).writes().of("deployments/scale");
    assert_eq!(writes.done().count(), 1, "one write, from 8 to 10: {writes}\n{}", operator.log());
}

/// A thousand generations, of which only the last one counts. Nothing moves, and what nobody sees is not written.
fn edits() {
    const LIST: &str = "trouble-edits";
    let redis = Redis::shared();
    let space = Space::new("edits");
    space.deploy(&Deployment::default());
    let address = redis.address();
    space.scale_by(&ScaledObject { address: &address, list: LIST, ..ScaledObject::default() });
    let mut operator = Account::new(&space).start();
    redis.push(LIST, 10);
    space.until_replicas("app", 2);
    space.until_condition("app", "Active", "True");
    let asked = space.watch("app");
    let audit = space.plane().audit();
    let begun = audit.now();
    for edit in 0..900_u32 {
        space.merge(
            "scaledobjects",
            "app",
            &json!({"spec": {"pollingInterval": 1 + edit % 2, "cooldownPeriod": 10 + edit}}),
        );
    }
    let unseen = operator.requests(begun).writes().without_lease();
    println!("writes during 900 edits: {:?}; {} MiB", unseen.counts(), operator.memory());
    assert!(unseen.count() < 50, "an edit that changes nothing people see is not stored: {:?}", unseen.counts());

    // The bounds stand in the record.
    let begun = audit.now();
    for edit in 0..100_u32 {
        space.merge("scaledobjects", "app", &json!({"spec": {"maxReplicaCount": 10 + edit % 5}}));
    }
    space.merge("scaledobjects", "app", &json!({"spec": {"pollingInterval": 1, "maxReplicaCount": 3}}));
    space.until("scalerecords", "app", "the last maximum in the record", |record| record["status"]["max"] == 3);
    let seen = operator.requests(begun).writes().without_lease();
    println!("writes during 100 edits of a bound: {:?}", seen.counts());
    assert!(seen.count() < 150, "{:?}", seen.counts());
    assert_eq!(asked.counts(), [2], "no edit is a reason to scale");

    redis.push(LIST, 40);
    space.until_replicas("app", 3);
    assert!(operator.is_running());
}

/// Two namespaces, and one of them goes while its object is busy. The other one is scaled as ever.
fn namespace_deleted() {
    let redis = Redis::shared();
    let (kept, doomed) = (Space::new("kept"), Space::new("doomed"));
    let address = redis.address();
    for (space, list) in [(&kept, "trouble-kept"), (&doomed, "trouble-doomed")] {
        space.deploy(&Deployment::default());
        space.scale_by(&ScaledObject { address: &address, list, ..ScaledObject::default() });
    }
    let mut operator = Account::over(&[&kept, &doomed]).start();
    redis.push("trouble-doomed", 40);
    doomed.until_replicas("app", 8);
    doomed.until_ready("app", 8);
    kept.kubectl(&["delete", "namespace", doomed.name(), "--wait=true", "--timeout=120s"]);
    redis.push("trouble-kept", 10);
    kept.until_replicas("app", 2);
    assert!(operator.is_running(), "{}", operator.log());
}

/// The replicas stay, unless the object says that those from before it are to be restored. Nothing of ours holds up the deletion.
fn object_deleted() {
    let redis = Redis::shared();
    let space = Space::new("deleted");
    let address = redis.address();
    let app = ScaledObject { address: &address, ..ScaledObject::default() };
    let restores = "  advanced: {restoreToOriginalReplicaCount: true}";
    space.deploy(&Deployment { name: "stays", ..Deployment::default() });
    space.deploy(&Deployment { name: "restored", replicas: 3, ..Deployment::default() });
    space.scale_by(&ScaledObject { name: "stays", list: "trouble-stays", ..app });
    space.scale_by(&ScaledObject { name: "restored", list: "trouble-restored", spec: restores, ..app });
    let _operator = Account::new(&space).start();
    for name in ["stays", "restored"] {
        redis.push(&format!("trouble-{name}"), 40);
        space.until_replicas(name, 8);
        let object = space.until_condition(name, "Active", "True");
        let finalizers: Vec<&str> =
            object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let wanted = if name == "restored" { &["tidegate.dev/finalizer"][..] } else { &[] };
        assert_eq!(finalizers, wanted, "{name}");
        space.delete("scaledobjects", name);
        eventually(SOON, &format!("the end of {name}"), || space.get("scaledobjects", name).is_none().then_some(()));
        eventually(SOON, &format!("the end of its record {name}"), || {
            space.get("scalerecords", name).is_none().then_some(())
        });
    }
    space.until_replicas("restored", 3);
    assert_eq!(space.replicas("stays"), Some(8));
}

/// A custom kind with /scale is scaled; one without it, and one that does not exist, are named in a condition.
fn other_kinds() {
    let redis = Redis::shared();
    let space = Space::new("kinds");
    space.apply(&definition("Worker", "workers", true));
    space.apply(&definition("Stone", "stones", false));
    let names = "crd/workers.tests.tidegate.dev,crd/stones.tests.tidegate.dev".replace(',', " ");
    let mut wait = vec!["wait", "--for", "condition=Established", "--timeout=60s"];
    wait.extend(names.split(' '));
    space.kubectl(&wait);
    let custom = |kind: &str, name: &str| {
        json!({"apiVersion": "tests.tidegate.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": {"replicas": 0}}).to_string()
    };
    space.apply(&custom("Worker", "app"));
    space.apply(&custom("Stone", "app"));
    let address = redis.address();
    for (name, kind) in [("worker", "Worker"), ("stone", "Stone"), ("dream", "Dream")] {
        let app = ScaledObject { name, address: &address, list: "trouble-kinds", ..ScaledObject::default() };
        let target = format!("scaleTargetRef:\n    apiVersion: tests.tidegate.dev/v1\n    kind: {kind}\n    name: app");
        space.apply(&app.manifest().replace(&format!("scaleTargetRef:\n    name: {name}"), &target));
    }
    redis.push("trouble-kinds", 40);
    let account = Account::new(&space);
    // As an administrator opens further kinds: a role that the control plane joins to the operator's.
    space.apply(&targets("workers,stones"));
    let operator = account.start();
    until_held(&space, None);
    space.until("workers", "app", "8 replicas asked of a custom kind", |object| object["spec"]["replicas"] == 8);
    for (name, kind) in [("stone", "Stone"), ("dream", "Dream")] {
        let object = space.until_condition(name, "Ready", "False");
        let messages: Vec<&str> = conditions(&object).filter_map(|one| one["message"].as_str()).collect();
        println!("{name}: {messages:?}");
        assert!(
            messages.iter().any(|message| message.contains(kind)),
            "no condition names {kind}: {messages:?}\n{}",
            operator.log()
        );
    }
}

/// The object is there before the kind of its target. Its polling is too slow to find it by.
fn kind_comes_and_goes() {
    let redis = Redis::shared();
    let space = Space::new("comes");
    let address = redis.address();
    let app = ScaledObject { address: &address, list: "trouble-comes", polling: 600, ..ScaledObject::default() };
    let target = "scaleTargetRef:\n    apiVersion: tests.tidegate.dev/v1\n    kind: Comet\n    name: app";
    space.apply(&app.manifest().replace("scaleTargetRef:\n    name: app", target));
    redis.push("trouble-comes", 40);
    let account = Account::new(&space);
    space.apply(&targets_named("tests-comets", "comets"));
    let mut operator = account.start();
    until_held(&space, None);
    space.until_condition("app", "Ready", "False");
    // The operator has given up looking.
    std::thread::sleep(Duration::from_secs(20));

    let comet = json!({"apiVersion": "tests.tidegate.dev/v1", "kind": "Comet", "metadata": {"name": "app"}, "spec": {"replicas": 0}});
    for round in 1..=2 {
        space.apply(&definition("Comet", "comets", true));
        space.kubectl(&["wait", "--for", "condition=Established", "--timeout=60s", "crd/comets.tests.tidegate.dev"]);
        eventually(SOON, "a kind that is served", || space.try_apply(&comet.to_string()).ok());
        let applied = Instant::now();
        space.until("comets", "app", "8 replicas asked of a kind that came late", |object| {
            object["spec"]["replicas"] == 8
        });
        println!("round {round}: {:.1?} after its object was there it was scaled", applied.elapsed());
        assert!(applied.elapsed() < Duration::from_secs(30), "{:?}\n{}", applied.elapsed(), operator.log());
        space.until_condition("app", "Ready", "True");

        let begun = space.plane().audit().now();
        space.kubectl(&["delete", "crd", "comets.tests.tidegate.dev", "--timeout=60s"]);
        space.until_condition("app", "Ready", "False");
        std::thread::sleep(Duration::from_secs(20));
        let requests = operator.requests(begun);
        println!("round {round}: asked after the kind was gone: {:?}", requests.counts());
        assert!(requests.of("comets").count() <= 5, "{requests}");
        assert!(operator.is_running(), "{}", operator.log());
    }
}

/// `WATCH_NAMESPACE=a,b` with the roles for both: nothing is asked about a third one.
fn two_of_three() {
    let redis = Redis::shared();
    let spaces = [Space::new("watched-a"), Space::new("watched-b"), Space::new("unwatched")];
    let address = redis.address();
    for space in &spaces {
        let list = format!("trouble-{}", space.name());
        space.deploy(&Deployment::default());
        space.scale_by(&ScaledObject { address: &address, list: &list, ..ScaledObject::default() });
        redis.push(&list, 40);
    }
    let [first, second, third] = &spaces;
    let account = Account::over(&[first, second]);
    let begun = first.plane().audit().now();
    let operator = account.start();
    for space in [first, second] {
        space.until_replicas("app", 8);
        space.until_condition("app", "Active", "True");
    }
    std::thread::sleep(Duration::from_secs(10));
    let requests = operator.requests(begun);
    println!("{:?}", requests.counts());
    let outside: Vec<_> = requests.0.iter().filter(|request| request.namespace == third.name()).collect();
    assert!(outside.is_empty(), "{outside:?}");
    // Nor is anything of a namespace asked of the whole cluster, and nothing was refused.
    let everywhere: Vec<&str> =
        requests.0.iter().filter(|one| one.namespace.is_empty()).map(|one| one.resource.as_str()).collect();
    assert!(everywhere.iter().all(|resource| *resource == "clustertriggerauthentications"), "{everywhere:?}");
    assert!(requests.0.iter().all(|request| request.code != 403), "{requests}");
    assert_eq!(third.replicas("app"), Some(0));
    assert!(third.get("scalerecords", "app").is_none());
    let untouched = third.get("scaledobjects", "app").expect("an object");
    assert!(untouched.get("status").is_none(), "{untouched:#}");
}

/// A ClusterRole that opens kinds of the tests as targets.
fn targets(plurals: &str) -> String {
    targets_named("tests-targets", plurals)
}

/// The same under a name of its own.
pub(super) fn targets_named(name: &str, plurals: &str) -> String {
    let scales: Vec<String> = plurals.split(',').map(|plural| format!("{plural}/scale")).collect();
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {"tidegate.dev/aggregate-to-operator": "true"}},
        "rules": [
            {"apiGroups": ["tests.tidegate.dev"], "resources": plurals.split(',').collect::<Vec<_>>(), "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["tests.tidegate.dev"], "resources": scales, "verbs": ["get", "patch", "update"]},
        ],
    })
    .to_string()
}

/// A definition of a kind of the tests.
pub(super) fn definition(kind: &str, plural: &str, scalable: bool) -> String {
    let mut subresources = json!({"status": {}});
    if scalable {
        subresources["scale"] = json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"});
    }
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.tests.tidegate.dev")},
        "spec": {
            "group": "tests.tidegate.dev", "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": subresources,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema, "status": schema}}},
            }],
        },
    })
    .to_string()
}
