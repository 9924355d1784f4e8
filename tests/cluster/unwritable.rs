//! A role without the verb that scales: the object says so, and scales as soon as the verb is there.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::objects::{Deployment, ScaledObject};
use super::operator::{Account, until_held};
use super::space::{Space, conditions};
use super::trial_with_redis;
use crate::harness::redis::Redis;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_redis("unwritable::a_missing_verb_is_named_until_it_is_there", missing_verb)]
}

/// The namespace's roles that name a scale, as they are, and without the right to write one.
fn roles(space: &Space) -> Vec<(Value, Value)> {
    let list: Value = serde_json::from_str(&space.kubectl(&["get", "roles", "-o", "json"])).unwrap();
    let scale = |rule: &Value| {
        let named = rule["resources"].as_array().into_iter().flatten();
        named.filter_map(Value::as_str).any(|name| name.ends_with("/scale"))
    };
    let mut found = Vec::new();
    for role in list["items"].as_array().unwrap() {
        let mut whole = role.clone();
        whole["metadata"] = json!({ "name": role["metadata"]["name"], "namespace": space.name() });
        let mut less = whole.clone();
        for rule in less["rules"].as_array_mut().unwrap().iter_mut().filter(|rule| scale(rule)) {
            rule["verbs"] = json!(["get"]);
        }
        if less != whole {
            found.push((whole, less));
        }
    }
    assert!(!found.is_empty(), "{list:#}");
    found
}

fn replace<'a>(space: &Space, roles: impl Iterator<Item = &'a Value>) {
    for role in roles {
        let output = space.plane().kubectl(&["replace", "-f", "-"], &role.to_string());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn missing_verb() {
    const LIST: &str = "unwritable";
    let redis = Redis::shared();
    let space = Space::new(LIST);
    let address = redis.address();
    space.deploy(&Deployment::default());
    space.scale_by(&ScaledObject { address: &address, list: LIST, ..ScaledObject::default() });
    let account = Account::new(&space);
    let operator = account.start();
    until_held(&space, None);
    space.until_condition("app", "Ready", "True");
    let roles = roles(&space);
    replace(&space, roles.iter().map(|(_, less)| less));
    // The API server takes a moment until it forbids.
    let who = format!("system:serviceaccount:{}:tidegate", space.name());
    crate::harness::wait::eventually(super::SOON, "the smaller role in force", || {
        let asked = ["auth", "can-i", "update", "deployments/scale", "--as", &who, "-n", space.name()];
        let output = space.plane().kubectl(&asked, "");
        String::from_utf8_lossy(&output.stdout).trim().starts_with("no").then_some(())
    });
    redis.push(LIST, 40);
    let object = space.until_condition("app", "Ready", "False");
    let ready = conditions(&object).find(|one| one["type"] == "Ready").unwrap();
    assert_eq!(ready["reason"], "FailedUpdateScale");
    let message = ready["message"].as_str().unwrap();
    assert!(message.contains("update of deployments.apps/scale"), "{message}");
    space.until("scalerecords", "app", "AbleToScale=False", |record| {
        conditions(record).any(|one| one["type"] == "AbleToScale" && one["reason"] == "FailedUpdateScale")
    });
    assert_eq!(space.replicas("app"), Some(0), "{}", operator.log());
    // Told once, however often it is tried.
    std::thread::sleep(std::time::Duration::from_secs(5));
    let now = space.plane().audit().now();
    std::thread::sleep(std::time::Duration::from_secs(5));
    let writes = operator.requests(now).writes().without_lease();
    assert!(writes.0.iter().all(|write| write.resource == "deployments/scale" && write.code == 403), "{writes}");
    assert!(writes.count() > 0, "it goes on trying");

    replace(&space, roles.iter().map(|(whole, _)| whole));
    space.until_replicas("app", 8);
    space.until_condition("app", "Ready", "True");
}
