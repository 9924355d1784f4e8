//! Pods that answer queries, scaled by the operations that wait inside MongoDB.
//!
//! The server is scripted: none that tests can install has a `globalLock`.

use libtest_mimic::Trial;
use serde_json::json;

use super::super::objects::Deployment;
use super::super::operator::Account;
use super::super::space::Space;
use super::super::{trial, wait_for};
use super::scaled_object;
use crate::harness::scripted_mongodb::{Script, Stub};

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("sources::mongodb_operations_that_wait_add_query_pods", operations)]
}

/// 900 waiting operations are for one pod, 2,500 for three; a server that does not say how many there are changes nothing.
fn operations() {
    let (stub, space) = (wait_for(Stub::start(Script::queue(800, 100))), Space::new("operations"));
    space.deploy(&Deployment { replicas: 1, ..Deployment::default() });
    let address = format!("mongodb://{}/?directConnection=true", stub.address());
    let trigger = json!([{
        "type": "mongodb-ops-queue", "metadata": {"connectionString": address, "targetValue": "1000"},
    }]);
    space.apply(&scaled_object(&json!({"minReplicaCount": 1}), &trigger).to_string());
    let operator = Account::new(&space).start();
    space.until_condition("app", "Ready", "True");
    space.until_condition("app", "Active", "True");
    let asked = space.watch("app");

    stub.set(|script| script.set_queue(2000, 500));
    space.until_ready("app", 3);
    stub.set(|script| {
        script.status.remove("globalLock");
    });
    space.until_condition("app", "Ready", "False");
    assert_eq!(asked.counts(), [1, 3], "unknown is not zero: {}", operator.log());
    stub.set(|script| script.set_queue(10, 0));
    space.until_replicas("app", 1);
    space.until_condition("app", "Ready", "True");
    assert_eq!(asked.counts(), [1, 3, 1], "{}", operator.log());
}
