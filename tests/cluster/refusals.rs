//! Bad objects: what the definitions refuse is refused at apply; what comes past them costs a condition, and nobody else notices.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::Value;

use super::control_plane::ControlPlane;
use super::objects::{Deployment, ScaledObject};
use super::operator::Account;
use super::space::{Space, conditions};
use super::{SOON, trial, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::eventually;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("refusals::what_comes_past_the_definitions_costs_a_condition", past_the_definitions),
        trial("refusals::the_definitions_refuse_in_words_for_people", at_apply),
    ]
}

/// What kubectl prints when the API server refuses.
fn at_apply() {
    let space = Space::new("refusals");
    let cases = [
        ("  minReplicaCount: 20", "minReplicaCount must be less than or equal to maxReplicaCount"),
        ("  idleReplicaCount: -1", "spec.idleReplicaCount"),
        ("  fallback: {failureThreshold: three, replicas: 1}", "spec.fallback.failureThreshold"),
        ("  minReplicas: 1", "unknown field \"spec.minReplicas\""),
    ];
    for (spec, message) in cases {
        let refusal = space.try_apply(&ScaledObject { spec, ..ScaledObject::default() }.manifest()).unwrap_err();
        println!("{refusal}");
        assert!(refusal.contains(message), "{spec:?} was refused with {refusal}");
    }
}

/// A control plane of its own, whose definition takes everything.
fn past_the_definitions() {
    let redis = Redis::shared();
    let plane = Arc::new(ControlPlane::start());
    let space = Space::on(&plane, "lax");
    let anything = r#"[{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema",
        "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}]"#;
    space.kubectl(&["patch", "crd", "scaledobjects.keda.sh", "--type", "json", "-p", anything]);
    let address = redis.address();
    let good = ScaledObject { name: "good", address: &address, list: "lax-good", ..ScaledObject::default() };
    let wrong = [
        ("wrong-type", "maxReplicaCount: 10", "maxReplicaCount: ten", "maxReplicaCount"),
        ("wrong-bounds", "maxReplicaCount: 10", "maxReplicaCount: 10\n  minReplicaCount: 20", "minReplicaCount"),
        ("no-triggers", "triggers:", "other:", "triggers"),
        ("no-target", "scaleTargetRef:", "scaleTarget:", "scaleTargetRef"),
        ("a-text", "triggers:", "triggers: some\n  other:", "triggers"),
    ];
    space.deploy(&Deployment { name: "good", ..Deployment::default() });
    // The API server takes a moment until it asks no more of objects than the new definition does.
    let mut made: Vec<&str> = Vec::new();
    eventually(SOON, "the lax definition in force", || {
        for (name, from, to, _) in wrong {
            let manifest = ScaledObject { name, ..good }.manifest().replace(from, to);
            if !made.contains(&name) && space.try_apply(&manifest).is_ok() {
                made.push(name);
            }
        }
        (made.len() == wrong.len()).then_some(())
    });
    space.scale_by(&good);
    let mut operator = Account::cluster_wide(&space).start();
    redis.push("lax-good", 40);
    space.until_replicas("good", 8);
    // One that comes while the operator is at work, beside those that it found.
    space
        .apply(&ScaledObject { name: "late", ..good }.manifest().replace("maxReplicaCount: 10", "maxReplicaCount: -1"));
    let all = [("late", "maxReplicaCount")].into_iter().chain(wrong.map(|(name, _, _, field)| (name, field)));
    for (name, field) in all {
        let object = space.until_condition(name, "Ready", "False");
        let messages: Vec<&str> = conditions(&object).filter_map(|one| one["message"].as_str()).collect();
        println!("{name}: {messages:?}");
        assert!(messages.iter().any(|message| message.contains(field)), "{name}: {messages:?}");
        let warned = |event: &Value| event["type"] == "Warning" && event["regarding"]["name"] == name;
        eventually(SOON, &format!("a warning about {name}"), || space.list("events").iter().any(warned).then_some(()));
    }
    assert!(operator.is_running(), "{}", operator.log());
}
