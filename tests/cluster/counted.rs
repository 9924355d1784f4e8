//! The pods of a target of somebody else's kind: found by the selector of its `/scale`, and counted with the operator's own rights.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::objects::{Deployment, ScaledObject};
use super::operator::{Account, until_held};
use super::space::Space;
use super::trial_with_redis;
use super::trouble::{definition, targets_named};
use crate::harness::redis::Redis;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_redis("counted::ready_pods_of_any_kind_multiply_a_value", ready_pods)]
}

fn ready_pods() {
    let redis = Redis::shared();
    let space = Space::new("counted");
    let mut flock: Value = serde_json::from_str(&definition("Flock", "flocks", true)).unwrap();
    flock["spec"]["versions"][0]["subresources"]["scale"]["labelSelectorPath"] = json!(".status.selector");
    space.apply(&flock.to_string());
    space.kubectl(&["wait", "--for", "condition=Established", "--timeout=60s", "crd/flocks.tests.tidegate.dev"]);
    let object = json!({
        "apiVersion": "tests.tidegate.dev/v1", "kind": "Flock", "metadata": {"name": "app"}, "spec": {"replicas": 2},
    });
    space.apply(&object.to_string());
    let status = json!({"status": {"replicas": 2, "selector": "app=birds"}}).to_string();
    space.kubectl(&["patch", "flocks", "app", "--subresource", "status", "--type", "merge", "-p", &status]);
    // The birds of the flock, and somebody who is none.
    space.deploy(&Deployment { name: "birds", replicas: 2, ..Deployment::default() });
    space.deploy(&Deployment { name: "cats", replicas: 1, ..Deployment::default() });
    space.until_ready("birds", 2);
    space.until_ready("cats", 1);
    let app = ScaledObject { address: &redis.address(), list: "counted", ..ScaledObject::default() };
    let target = "scaleTargetRef:\n    apiVersion: tests.tidegate.dev/v1\n    kind: Flock\n    name: app";
    let manifest = app.manifest().replace("scaleTargetRef:\n    name: app", target);
    space.apply(&manifest.replace("- type: redis", "- type: redis\n      metricType: Value"));
    redis.push("counted", 10);
    let account = Account::new(&space);
    space.apply(&targets_named("tests-flocks", "flocks"));
    let operator = account.start();
    until_held(&space, None);
    // 10 items are twice the target of 5: twice the 2 Ready birds.
    space.until("flocks", "app", "4 replicas of a flock", |object| object["spec"]["replicas"] == 4);
    // Nobody changes the flock itself, so only its pods can say that there are 3 Ready ones: 6 replicas.
    space.scale("birds", 3);
    space.until("flocks", "app", "6 replicas of a flock", |object| object["spec"]["replicas"] == 6);
    // What became of the write is recorded first.
    std::thread::sleep(Duration::from_secs(5));
    let begun = space.plane().audit().now();
    std::thread::sleep(Duration::from_secs(20));
    let requests = operator.requests(begun);
    println!("asked in 20 s while nothing changed: {:?}", requests.counts());
    assert!(requests.of("pods").count() <= 1, "a watch that is asked anew, and no list: {requests}");
    assert!(requests.0.iter().all(|request| request.code != 403), "{requests}");
    assert_eq!(requests.writes().without_lease().count(), 0, "{requests}\n{}", operator.log());
}
