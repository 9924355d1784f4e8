//! Passwords by reference: what is wrong with one is named, and once it is mended the object recovers without a restart.

use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::objects::{Deployment, ScaledObject};
use super::operator::Account;
use super::space::{Space, conditions};
use super::{SOON, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::eventually;

/// The password of the server.
const PASSWORD: &str = "open-sesame";

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("secrets::a_wrong_password_is_mended", wrong_password),
        trial_with_redis("secrets::a_key_is_absent", absent_key),
        trial_with_redis("secrets::a_password_from_the_pods_environment", environment),
    ]
}

/// The server refuses the password, a warning says so, and a new version of the Secret is enough.
fn wrong_password() {
    let redis = Redis::start(Some(PASSWORD));
    let space = Space::new("wrong-password");
    space.apply(&secret("password", "wrong"));
    space.apply(&authentication());
    authenticated(&space, &redis);
    let mut operator = Account::new(&space).start();
    until_said(&space, &["WRONGPASS"]);
    assert_eq!(space.replicas("app"), Some(1), "what cannot be read moves nothing");
    space.apply(&secret("password", PASSWORD));
    recovers(&space);
    assert!(operator.is_running(), "{}", operator.log());
    assert!(!operator.log().contains(PASSWORD), "no password is printed");
}

/// The warning names the Secret and the key; adding the key is enough.
fn absent_key() {
    let redis = Redis::start(Some(PASSWORD));
    let space = Space::new("absent-key");
    space.apply(&secret("user", "nobody"));
    space.apply(&authentication());
    authenticated(&space, &redis);
    let mut operator = Account::new(&space).start();
    until_said(&space, &["redis-login", "password"]);
    assert_eq!(space.replicas("app"), Some(1), "what cannot be read moves nothing");
    space.apply(&secret("password", PASSWORD));
    recovers(&space);
    assert!(operator.is_running(), "{}", operator.log());
}

/// `passwordFromEnv` names a variable of the target's container, which takes it from a Secret.
fn environment() {
    let redis = Redis::start(Some(PASSWORD));
    let space = Space::new("environment");
    space.apply(&secret("password", PASSWORD));
    let mut deployment = Deployment { replicas: 1, ..Deployment::default() }.manifest();
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] = json!([
        {"name": "REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "redis-login", "key": "password"}}},
    ]);
    space.apply(&deployment.to_string());
    let from_env = "      metadata:\n        passwordFromEnv: REDIS_PASSWORD\n";
    space.apply(&object(&redis).replace("      metadata:\n", from_env));
    redis.push("secrets", 40);
    let _operator = Account::new(&space).start();
    recovers(&space);
}

/// A Deployment, and an object whose trigger takes its password from the TriggerAuthentication. 40 items are 8 replicas.
fn authenticated(space: &Space, redis: &Redis) {
    space.deploy(&Deployment { replicas: 1, ..Deployment::default() });
    let reference = "      authenticationRef: {name: redis}\n      metadata:\n";
    space.apply(&object(redis).replace("      metadata:\n", reference));
    redis.push("secrets", 40);
}

fn object(redis: &Redis) -> String {
    let address = redis.address();
    ScaledObject { address: &address, list: "secrets", ..ScaledObject::default() }.manifest()
}

fn recovers(space: &Space) {
    let mended = Timestamp::now();
    space.until_replicas("app", 8);
    println!("8 replicas after {:#}", Timestamp::now().duration_since(mended));
    space.until_condition("app", "Ready", "True");
}

/// Waits until the object is not ready, its record says where to look, and a warning about it has all of these texts.
fn until_said(space: &Space, texts: &[&str]) {
    space.until_condition("app", "Ready", "False");
    space.until("scalerecords", "app", "a trigger that cannot be read", |record| {
        conditions(record).any(|one| one["reason"] == "TriggerError")
    });
    let warns = |event: &Value| {
        let note = event["note"].as_str().unwrap_or_default();
        event["type"] == "Warning"
            && event["regarding"]["name"] == "app"
            && texts.iter().all(|text| note.contains(text))
    };
    let warning = || space.list("events").into_iter().find(warns);
    let event = eventually(SOON, &format!("a warning with {texts:?}"), warning);
    println!("{}", event["note"]);
}

fn secret(key: &str, value: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "redis-login"}, "stringData": {key: value}})
        .to_string()
}

fn authentication() -> String {
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "metadata": {"name": "redis"},
        "spec": {"secretTargetRef": [{"parameter": "password", "name": "redis-login", "key": "password"}]},
    })
    .to_string()
}
