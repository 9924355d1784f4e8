//! What holds for any input at all.

use proptest::prelude::*;
use tidegate_engine::subject::Severity;

use super::*;

/// Any JSON, with the field names that checks look at.
fn any_json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "spec",
        "metadata",
        "name",
        "annotations",
        "scaleTargetRef",
        "triggers",
        "type",
        "minReplicaCount",
        "idleReplicaCount",
        "advanced",
        "horizontalPodAutoscalerConfig",
        "behavior",
        "scaleUp",
        "policies",
        "tolerance",
        "authenticationRef",
        "fallback",
        "secretTargetRef",
        "key",
        "autoscaling.keda.sh/paused-replicas",
        "tidegate.dev/policies",
        "steps",
        "above",
        "below",
        "change",
        "gates",
        "release",
        "schedules",
        "start",
        "hooks",
        "preScale",
        "flink",
        "http",
        "url",
        "headers",
        "job",
        "template",
        "jobs",
        "list",
        "namePattern",
        "run",
        "jar",
        "onFailure",
        "x.y",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-9_i64..9).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9.\u{e9}-]{0,9}".prop_map(Value::from),
        Just(Value::from("redis")),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..5).prop_map(|map| map
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_gets_findings_and_never_a_panic(spec in any_json(), metadata in any_json(), whole in any_json()) {
        let object = json!({ "kind": "ScaledObject", "metadata": metadata, "spec": spec });
        for object in [&object, &whole, &with("/spec/advanced", spec.clone()), &with("/spec/triggers/0", spec)] {
            let validated = check(object);
            let refused = validated.findings.iter().any(|finding| finding.severity == Severity::Error);
            prop_assert!(refused || validated.subject.is_some(), "no error, no subject: {object}");
            trigger_authentication(object, &Nothing);
            scaling_policy(object);
        }
    }

    #[test]
    fn what_is_accepted_keeps_the_policys_promises(min in 0_i64..200, max in 1_i64..200, idle in prop::option::of(0_i64..9)) {
        let mut object = with("/spec/minReplicaCount", json!(min));
        set(&mut object, "/spec/maxReplicaCount", json!(max));
        set(&mut object, "/spec/idleReplicaCount", json!(idle));
        let subject = check(&object).subject;
        let expected = min <= max && idle.is_none_or(|idle| idle < min.max(1));
        prop_assert_eq!(subject.is_some(), expected);
        if let Some(subject) = subject {
            prop_assert!(subject.policy.floor() <= subject.policy.max);
            prop_assert_eq!(subject.triggers.len(), subject.policy.triggers.len());
        }
    }
}
