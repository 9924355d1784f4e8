//! ScalingPolicies on a cluster: the API server takes what is right, and a policy that comes, changes or goes acts on its objects at once.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::objects::{Deployment, ScaledObject};
use super::operator::Account;
use super::space::{Space, conditions};
use super::{SOON, trial, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::eventually;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("policies::nothing_is_lowered_until_a_policy_is_there", awaited),
        trial_with_redis("policies::mode_observe_touches_nothing_and_counts_other_writers", observed),
        trial("policies::the_api_server_says_what_is_wrong", refused),
    ]
}

const LIST: &str = "policies";

/// An object that names the policy `night`, lowers without a window, and never goes to zero.
fn scaled(space: &Space, redis: &Redis, list: &str) {
    let spec = "  minReplicaCount: 1
  advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleDown: {stabilizationWindowSeconds: 0}}}}";
    space.scale_by(&ScaledObject { address: &redis.address(), list, spec, ..ScaledObject::default() });
    annotate(space, Some("night"));
}

fn annotate(space: &Space, policies: Option<&str>) {
    space.merge(
        "scaledobjects",
        "app",
        &json!({ "metadata": { "annotations": { "tidegate.dev/policies": policies } } }),
    );
}

fn policy(space: &Space, spec: &Value) {
    let policy = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": { "name": "night" }, "spec": spec,
    });
    space.apply(&policy.to_string());
}

/// Waits for the record's condition about policies to have this reason and text.
fn until_fault(space: &Space, condition: &str, reason: &str, text: &str) {
    space.until("scalerecords", "app", reason, |record| {
        conditions(record).any(|one| {
            one["type"] == condition && one["reason"] == reason && one["message"].as_str().unwrap().contains(text)
        })
    });
}

fn until_event(space: &Space, reason: &str) {
    let told = |event: &Value| event["reason"] == reason;
    eventually(SOON, reason, || space.list("events").iter().any(told).then_some(()));
}

fn until_obeyed(space: &Space) {
    space.until("scalerecords", "app", "no fault of a policy", |record| {
        !conditions(record).any(|one| one["type"].as_str().unwrap().starts_with("Policy"))
    });
}

fn awaited() {
    let redis = Redis::shared();
    let space = Space::new("policies");
    space.deploy(&Deployment { replicas: 4, ..Deployment::default() });
    scaled(&space, &redis, LIST);
    let operator = Account::new(&space).start();
    until_fault(&space, "PolicyMissing", "PolicyNotFound", "is not in this cluster");
    until_event(&space, "PolicyMissing");
    redis.push(LIST, 30);
    space.until_replicas("app", 6);
    redis.ask::<u32>(&format!("DEL {LIST}"));
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(space.replicas("app"), Some(6), "raised, and not lowered: {}", operator.log());

    policy(&space, &json!({ "triggers": [{ "name": "lag", "onError": "Hold" }] }));
    until_fault(&space, "PolicyInvalid", "PolicyCheckFailed", "\"lag\" is no trigger of the object");
    policy(&space, &json!({ "hooks": { "preScale": [{ "name": "state", "flink": {} }] } }));
    until_fault(&space, "PolicyInvalid", "PolicyCheckFailed", "restUrl or service is required");
    assert_eq!(space.replicas("app"), Some(6));

    space.merge("scalingpolicies", "night", &json!({ "spec": { "hooks": null } }));
    space.until_replicas("app", 1);
    until_obeyed(&space);
    until_event(&space, "PoliciesObeyed");
    space.delete("scalingpolicies", "night");
    until_fault(&space, "PolicyMissing", "PolicyNotFound", "is not in this cluster");
    annotate(&space, None);
    until_obeyed(&space);
}

fn observed() {
    const LIST: &str = "policies-observed";
    let redis = Redis::shared();
    let space = Space::new("observed");
    space.deploy(&Deployment { replicas: 4, ..Deployment::default() });
    policy(&space, &json!({ "mode": "Observe" }));
    scaled(&space, &redis, LIST);
    redis.push(LIST, 40);
    let begun = space.plane().audit().now();
    let operator = Account::new(&space).start();
    let wants = |record: &Value| record["status"]["mode"] == "Observe" && record["status"]["desired"] == 8;
    space.until("scalerecords", "app", "a record that wants 8", wants);
    space.scale("app", 8);
    let counted = |agreed: u32, differed: u32| {
        space.until("scalerecords", "app", "what was observed", |record| {
            record["status"]["observed"] == json!({ "agreed": agreed, "differed": differed })
        });
    };
    counted(1, 0);
    space.scale("app", 5);
    counted(1, 1);
    let writes = operator.requests(begun).writes();
    assert_eq!(writes.of("deployments/scale").count(), 0, "{writes}\n{}", operator.log());
    policy(&space, &json!({ "mode": "Auto" }));
    space.until_replicas("app", 8);
}

fn refused() {
    let space = Space::new("policy-text");
    let of = |spec: &Value| {
        let policy = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": { "name": "a" }, "spec": spec,
        });
        space.try_apply(&policy.to_string())
    };
    let step = |step: Value| json!({ "triggers": [{ "name": "a", "steps": [step] }] });
    let gate = |release: Value| json!({ "gates": [{ "name": "a", "trigger": "b", "above": "0.7", "release": release, "block": "Both" }] });
    let schedule = |min: u32, end: &str| {
        json!({ "schedules": [{
        "name": "a", "start": "0 1 * * *", "end": end, "timeZone": "UTC", "minReplicaCount": min, "maxReplicaCount": 5,
    }] })
    };
    let hook = |said: Value, flink: Value| {
        let mut hook = json!({ "name": "a", "flink": flink });
        hook.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        json!({ "hooks": { "preScale": [hook] } })
    };
    let good = [
        step(json!({ "above": "0.8", "for": "1h30m", "change": "+50%" })),
        gate(json!({ "below": 0 })),
        schedule(5, "0 2 * * *"),
        json!({ "vertical": [{ "container": "a" }], "victims": { "idle": {} } }),
        hook(json!({ "onFailure": { "scaleUp": "Proceed", "toZero": "Abort" } }), json!({ "strategy": "Auto" })),
    ];
    for spec in good {
        of(&spec).unwrap_or_else(|why| panic!("{spec}: {why}"));
    }
    let twice = json!({ "triggers": [{ "name": "a", "role": "Signal" }, { "name": "a", "onError": "Hold" }] });
    let bad = [
        (step(json!({ "change": "+1" })), "exactly one of above and below is needed"),
        (step(json!({ "above": 1, "below": 0, "change": "+1" })), "exactly one of above and below is needed"),
        (step(json!({ "above": 1, "change": "2" })), "must be +N, -N, +N%, -N%, =N or Ratio"),
        (step(json!({ "above": 1, "change": "+1", "for": "5 min" })), "should match"),
        (step(json!({ "above": 0.8, "change": "+1" })), "must be of type integer,string"),
        (json!({ "triggers": [{ "name": "a", "onError": "LastKnown" }] }), "lastKnownFor is needed"),
        (gate(json!({ "above": 1 })), "release must be on the other side"),
        (schedule(6, "0 2 * * *"), "minReplicaCount must be less than or equal to maxReplicaCount"),
        (schedule(1, "0 1 * * *"), "start and end must differ"),
        (twice, "uplicate"),
        (json!({ "hooks": { "preScale": [{ "name": "a" }] } }), "exactly one of flink, http and job is needed"),
        (
            hook(json!({ "onFailure": { "toZero": "Proceed" } }), json!({})),
            "only Abort is possible for toZero and fromZero",
        ),
        (
            hook(json!({ "onFailure": { "scaleUp": "Proceed" } }), json!({ "strategy": "StopRestore" })),
            "with strategy StopRestore only Abort is possible",
        ),
        (
            hook(json!({}), json!({ "jobs": { "list": [{ "name": "a", "run": { "jar": { "url": "https://x" } } }] } })),
            "sha256 is needed with url",
        ),
        (
            hook(json!({}), json!({ "jobs": { "list": [{ "name": "a", "raiseVertices": ["source"] }] } })),
            "should match",
        ),
        (json!({ "hooks": { "postScale": [{ "name": "a", "flink": {} }] } }), "a hook after a change is http or job"),
    ];
    for (spec, why) in bad {
        let said = of(&spec).expect_err(&spec.to_string());
        assert!(said.contains(why), "{spec}: {said}");
    }
}
