//! KEDA's fallback on a cluster: the condition Fallback, `status.health` and the events, and nothing else written while it lasts.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::objects::{Deployment, ScaledObject};
use super::operator::Account;
use super::space::{Space, conditions};
use super::{SOON, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::eventually;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_redis("fallback::it_is_shown_as_keda_does", shown)]
}

const METRIC: &str = "s0-redis-jobs";

fn shown() {
    let mut redis = Redis::start(None);
    let space = Space::new("fallback");
    let address = redis.address();
    space.deploy(&Deployment::default());
    let spec = "  fallback: {failureThreshold: 3, replicas: 6, behavior: currentReplicasIfHigher}";
    space.scale_by(&ScaledObject { address: &address, polling: 2, spec, ..ScaledObject::default() });
    let account = Account::new(&space);
    let operator = account.start();
    redis.push("jobs", 10);
    space.until_replicas("app", 2);
    let object = space.until_condition("app", "Fallback", "False");
    assert_eq!(health(&object), json!({"numberOfFailures": 0, "status": "Happy"}));

    redis.stop();
    let failing = until_failures(&space, 1);
    assert_eq!(health(&failing), json!({"numberOfFailures": 1, "status": "Failing"}));
    let object = space.until_condition("app", "Fallback", "True");
    let condition = conditions(&object).find(|one| one["type"] == "Fallback").expect("the condition");
    assert_eq!(
        (&condition["reason"], &condition["message"]),
        (&json!("FallbackExists"), &json!("At least one trigger is falling back on this scaled object"))
    );
    assert_eq!(health(&object), json!({"numberOfFailures": 4, "status": "Failing"}));
    assert_eq!(object["status"]["triggersActivity"][METRIC]["isActive"], true);
    space.until_replicas("app", 6);
    until_event(&space, "ScaledObjectFallbackActivated", "ScaledObject fallback is active");
    let record = space.until("scalerecords", "app", "a record of the fallback", |record| {
        record.to_string().contains("the fallback stands for triggers[0]")
    });
    assert!(record["status"].to_string().contains("falls back to 6"), "{record:#}");
    println!("{}", space.kubectl(&["get", "so", "app"]));

    // While it lasts, nothing is written; nor after a restart in the middle of it.
    let quiet = |begun, operator: &super::operator::Operator| {
        std::thread::sleep(Duration::from_secs(15));
        let writes = operator.requests(begun).writes().without_lease();
        assert_eq!(writes.count(), 0, "{writes}\n{}", operator.log());
    };
    std::thread::sleep(Duration::from_secs(5));
    let audit = space.plane().audit();
    quiet(audit.now(), &operator);
    operator.kill();
    let begun = audit.now();
    let operator = account.start();
    std::thread::sleep(Duration::from_secs(20));
    quiet(begun, &operator);
    assert_eq!(space.replicas("app"), Some(6));

    redis.start_again();
    let object = space.until_condition("app", "Fallback", "False");
    assert_eq!(health(&object), json!({"numberOfFailures": 0, "status": "Happy"}));
    until_event(&space, "ScaledObjectFallbackDeactivated", "ScaledObject fallback is no longer active");
}

fn health(object: &Value) -> Value {
    object["status"]["health"][METRIC].clone()
}

fn until_failures(space: &Space, failures: u32) -> Value {
    space.until("scaledobjects", "app", "a count of failures", |object| health(object)["numberOfFailures"] == failures)
}

fn until_event(space: &Space, reason: &str, note: &str) {
    let told = |event: &Value| event["reason"] == reason && event["note"] == note && event["type"] == "Normal";
    eventually(SOON, reason, || space.list("events").iter().any(told).then_some(()));
}
