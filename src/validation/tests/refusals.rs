//! What takes the subject away.

use super::*;

/// Each of these takes the subject away, with exactly these findings.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn object_level_errors_are_named_exactly() {
    let long = "a".repeat(64);
    let one = |pointer: &str, value: Value, text: &str| (with(pointer, value), vec![text.to_owned()]);
    let cases = vec![
        one(
            "/spec/minReplicaCount",
            json!("1"),
            "error minReplicaCount: \"1\" is a text, not an integer; take the quotes away",
        ),
        one("/spec/minReplicaCount", json!(1.5), "error minReplicaCount: \"1.5\" is a number, not an integer"),
        one("/spec/minReplicaCount", json!(-1), "error minReplicaCount: \"-1\" is not an integer >= 0"),
        one("/spec/maxReplicaCount", json!(0), "error maxReplicaCount: \"0\" is not an integer >= 1"),
        one(
            "/spec/maxReplicaCount",
            json!(3_000_000_000_i64),
            "error maxReplicaCount: \"3000000000\" is not an integer <= 2147483647",
        ),
        one("/spec/pollingInterval", json!(0), "error pollingInterval: \"0\" is not an integer >= 1"),
        one(
            "/spec/pollingInterval",
            json!("5 minutes"),
            "error pollingInterval: \"5 minutes\" is a text, not an integer; it is a number of seconds",
        ),
        one(
            "/spec/pollingInterval",
            json!("30"),
            "error pollingInterval: \"30\" is a text, not an integer; take the quotes away",
        ),
        one(
            "/spec/cooldownPeriod",
            json!([1]),
            "error cooldownPeriod: is a list, not an integer; it is a number of seconds",
        ),
        one(
            "/spec/scaleTargetRef/kind",
            json!("deployment"),
            "error scaleTargetRef.kind: \"deployment\" is not a kind of apps/v1 that can be scaled; there are Deployment, StatefulSet, \
             ReplicaSet; another kind needs its apiVersion; did you mean Deployment?",
        ),
        one(
            "/spec/scaleTargetRef/kind",
            json!("Rollout"),
            "error scaleTargetRef.kind: \"Rollout\" is not a kind of apps/v1 that can be scaled; there are Deployment, StatefulSet, \
             ReplicaSet; another kind needs its apiVersion",
        ),
        // A whole block is not shown: it may hold a password.
        one(
            "/spec/triggers",
            json!({ "type": "redis", "metadata": { "password": "s3cret" } }),
            "error triggers: is a map, not a list",
        ),
        one(
            "/spec/minReplicaCount",
            json!(101),
            "error minReplicaCount: \"101\" is above maxReplicaCount (100, the default); minReplicaCount <= maxReplicaCount is needed",
        ),
        one(
            "/spec/idleReplicaCount",
            json!(0),
            "error idleReplicaCount: \"0\" is not below minReplicaCount, which is absent and counts as 0",
        ),
        one("/spec/scaleTargetRef", json!({}), "error scaleTargetRef.name: is required"),
        one("/spec/scaleTargetRef", json!({ "name": "" }), "error scaleTargetRef.name: \"\" must not be empty"),
        one("/spec/scaleTargetRef", json!("orders"), "error scaleTargetRef: \"orders\" is a text, not a map"),
        one("/spec/triggers", json!([]), "error triggers: must have at least one entry"),
        one("/spec/triggers", json!(null), "error triggers: is required"),
        one("/spec/triggers/0", json!("redis"), "error triggers[0]: \"redis\" is a text, not a map"),
        one("/spec/triggers/0/type", json!(""), "error triggers[0].type: \"\" must not be empty"),
        one(
            "/spec/triggers/0/metadata/listLength",
            json!(5),
            "error triggers[0].metadata.listLength: \"5\" is an integer, not a text; put it in quotes",
        ),
        one(
            "/spec/triggers/0/metadata/password",
            json!(5),
            "error triggers[0].metadata.password: is an integer, not a text; put it in quotes",
        ),
        one(
            "/spec/triggers/0/metricType",
            json!("value"),
            "error triggers[0].metricType: \"value\" is not one of AverageValue, Value; did you mean Value?",
        ),
        one(
            "/spec/triggers/0/useCachedMetrics",
            json!("true"),
            "error triggers[0].useCachedMetrics: \"true\" is a text, not true or false; take the quotes away",
        ),
        one("/spec/triggers/0/authenticationRef", json!({}), "error triggers[0].authenticationRef.name: is required"),
        one(
            "/spec/triggers/0/authenticationRef",
            json!({ "name": "a", "kind": "TriggerAuthentification" }),
            "error triggers[0].authenticationRef.kind: \"TriggerAuthentification\" is not one of TriggerAuthentication, \
             ClusterTriggerAuthentication; did you mean TriggerAuthentication?",
        ),
        one(
            "/spec/fallback",
            json!({ "failureThreshold": 3, "replicas": 6, "behavior": "scalingModifiers" }),
            "error fallback.behavior: \"scalingModifiers\" is not supported yet; static, currentReplicas, currentReplicasIfHigher and \
             currentReplicasIfLower are",
        ),
        one(
            "/spec/fallback",
            json!({ "failureThreshold": -1, "replicas": 6 }),
            "error fallback.failureThreshold: \"-1\" is not an integer >= 0",
        ),
        one(
            "/spec/fallback",
            json!({ "failureThreshold": 3, "replicas": -1 }),
            "error fallback.replicas: \"-1\" is not an integer >= 0",
        ),
        one("/spec/fallback", json!({ "failureThreshold": 3 }), "error fallback.replicas: is required"),
        one(
            "/spec/fallback",
            json!({ "failureThreshold": 3, "replicas": 6, "behavior": "Static" }),
            "error fallback.behavior: \"Static\" is not one of static, currentReplicas, currentReplicasIfHigher, \
             currentReplicasIfLower, scalingModifiers; did you mean static?",
        ),
        one("/spec/fallback", json!(3), "error fallback: \"3\" is an integer, not a map"),
        one(
            "/spec/advanced/restoreToOriginalReplicaCount",
            json!(true),
            "error advanced.restoreToOriginalReplicaCount: \"true\" is honoured on a cluster only; here replicas stay as they are \
             when the object is deleted",
        ),
        one(
            "/spec/advanced/scalingModifiers",
            json!({ "formula": "a + b" }),
            "error advanced.scalingModifiers: is not supported yet; without it, the trigger that asks for most replicas decides",
        ),
        one(
            &format!("{ANNOTATION}paused-replicas"),
            json!("two"),
            "error metadata.annotations[autoscaling.keda.sh/paused-replicas]: \"two\" is not an integer >= 0",
        ),
        one(
            &format!("{ANNOTATION}paused-replicas"),
            json!(2),
            "error metadata.annotations[autoscaling.keda.sh/paused-replicas]: \"2\" is an integer, not a text; put it in quotes",
        ),
        one(
            "/metadata/name",
            json!("Orders_1"),
            "error metadata.name: \"Orders_1\" is not a name: lower-case letters, digits, - and . are allowed, a letter or digit \
             first and last",
        ),
        one("/metadata", json!({}), "error metadata.name: is required"),
        one("/metadata", json!(null), "error metadata: is required"),
        one("/spec", json!([]), "error spec: is a list, not a map"),
    ];
    for (object, expected) in cases {
        let validated = check(&object);
        assert_eq!(texts(&validated), expected);
        assert!(validated.subject.is_none(), "{expected:?}");
    }
    let validated = check(&with("/metadata/name", json!(long)));
    assert!(texts(&validated)[0].ends_with("has 64 characters; at most 63 are allowed"), "{:?}", texts(&validated));
    assert!(validated.subject.is_none());
}

#[test]
fn all_errors_of_an_object_are_named_at_once() {
    let object = json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": { "name": "orders" },
        "spec": {
            "scaleTargetRef": {},
            "minReplicaCount": 5,
            "maxReplicaCount": 3,
            "idleReplicaCount": 7,
            "triggers": [
                { "type": "reddis", "name": "t", "metadata": {} },
                { "type": "redis", "name": "t", "metadata": { "address": "r:1", "listName": "l", "listLength": "1O" } },
            ],
        },
    });
    let expected = [
        "error scaleTargetRef.name: is required",
        "error minReplicaCount: \"5\" is above maxReplicaCount (3); minReplicaCount <= maxReplicaCount is needed",
        "error idleReplicaCount: \"7\" is not below minReplicaCount (5)",
        "error triggers[1].name: \"t\" is the name of triggers[0] already",
        "error triggers[0].type: \"reddis\" is not a trigger type; did you mean redis?",
        "error triggers[1].metadata.listLength: \"1O\" is not an integer >= 0",
    ];
    assert_eq!(texts(&check(&object)), expected);
}

#[test]
fn behavior_is_checked_as_an_api_server_does() {
    let cases = [
        ("/policies", json!([]), "/policies: must have at least one entry; leave it away for the default policies"),
        ("/selectPolicy", json!("max"), "/selectPolicy: \"max\" is not one of Max, Min, Disabled; did you mean Max?"),
        (
            "/stabilizationWindowSeconds",
            json!(3601),
            "/stabilizationWindowSeconds: \"3601\" is not an integer from 0 to 3600",
        ),
        ("/tolerance", json!("-0.1"), "/tolerance: \"-0.1\" is not a quantity >= 0"),
        ("/tolerance", json!("ten"), "/tolerance: \"ten\" is not a quantity, such as \"0.1\" or \"100m\""),
        ("/tolerance", json!(0.1), "/tolerance: \"0.1\" is a number, not an integer or a text; put it in quotes"),
        (
            "/policies",
            json!([{ "type": "Pods", "value": 0, "periodSeconds": 60 }]),
            "/policies[0].value: \"0\" is not an integer >= 1",
        ),
        (
            "/policies",
            json!([{ "type": "Pods", "value": 1, "periodSeconds": 1801 }]),
            "/policies[0].periodSeconds: \"1801\" is not an integer from 1 to 1800",
        ),
        (
            "/policies",
            json!([{ "type": "pod", "value": 1, "periodSeconds": 60 }]),
            "/policies[0].type: \"pod\" is not one of Pods, Percent; did you mean Pods?",
        ),
        ("/policies", json!([{ "type": "Pods", "value": 1 }]), "/policies[0].periodSeconds: is required"),
    ];
    for (pointer, value, expected) in cases {
        let validated = check(&with(&format!("{UP}{pointer}"), value));
        let expected = format!("error {UP_TEXT}.{}", &expected[1..]);
        assert_eq!(texts(&validated), [expected]);
        assert!(validated.subject.is_none());
    }
}

#[test]
fn idle_follows_kedas_rule_for_an_explicit_minimum_of_zero() {
    // Explicit minimum, idle, allowed: KEDA takes an explicit 0 as 1.
    for (min, idle, allowed) in [(0, 0, true), (0, 1, false), (1, 0, true), (1, 1, false), (5, 4, true)] {
        let mut object = with("/spec/minReplicaCount", json!(min));
        set(&mut object, "/spec/idleReplicaCount", json!(idle));
        assert_eq!(check(&object).subject.is_some(), allowed, "min {min}, idle {idle}");
    }
    let mut object = with("/spec/minReplicaCount", json!(100));
    assert!(check(&object).subject.is_some(), "the default maximum is 100");
    set(&mut object, "/spec/maxReplicaCount", json!(100));
    assert!(check(&object).subject.is_some());
}

#[test]
fn a_value_metric_needs_pods_that_are_counted() {
    let mut object = with("/spec/triggers/0/metricType", json!("Value"));
    for (target, refused) in [
        (json!({ "apiVersion": "x.io/v1", "kind": "Thing", "name": "t" }), Some("Thing")),
        (json!({ "apiVersion": "x.io/v1", "kind": "Deployment", "name": "t" }), Some("Deployment")),
        (json!({ "kind": "ReplicaSet", "name": "t" }), None),
    ] {
        set(&mut object, "/spec/scaleTargetRef", target);
        let expected = refused.map(|kind| {
            format!(
                "error triggers[0].metricType: \"Value\" is not supported here for kind {kind}, whose Ready pods are counted \
                 on a cluster only; use AverageValue"
            )
        });
        let errors = |found: &Validated| -> Vec<String> {
            let is_error = |finding: &&tidegate_engine::subject::Finding| {
                finding.severity == tidegate_engine::subject::Severity::Error
            };
            found.findings.iter().filter(is_error).map(ToString::to_string).collect()
        };
        let machine = scaled_object(&object, &Files::new(&[]), &Settings::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(
            errors(&machine),
            expected.into_iter().collect::<Vec<_>>(),
            "one machine counts its own Deployments"
        );
        assert_eq!(machine.subject.is_none(), refused.is_some());
        let cluster = Files::new(&[]).for_cluster();
        for found in [check(&object), scaled_object(&object, &cluster, &Settings::default(), Timestamp::UNIX_EPOCH)] {
            assert!(
                errors(&found).is_empty() && found.subject.is_some(),
                "a cluster counts them all: {:?}",
                texts(&found)
            );
        }
    }
}

#[test]
fn what_is_cached_or_has_a_fallback_must_be_external() {
    for kind in ["cpu", "memory", "cron", "redis"] {
        let mut object = with("/spec/triggers/0/type", json!(kind));
        set(&mut object, "/spec/triggers/0/useCachedMetrics", json!(true));
        let expected = format!(
            "error triggers[0].useCachedMetrics: \"true\" is not allowed for a trigger of type {kind}; take it away, or say false"
        );
        assert_eq!(texts(&check(&object)).contains(&expected), kind != "redis", "{kind}: {:?}", texts(&check(&object)));
        set(&mut object, "/spec/triggers/0/useCachedMetrics", json!(false));
        assert!(!texts(&check(&object)).contains(&expected), "{kind}");
    }
    let fallback = json!({ "failureThreshold": 3, "replicas": 6 });
    let useless = "error fallback: stands for no trigger: all are of type cpu, memory or pods-metric; a trigger of another type is needed";
    let cpu = json!({ "type": "cpu", "metricType": "Utilization", "metadata": { "value": "50" } });
    let redis = good()["spec"]["triggers"][0].clone();
    for (triggers, refused) in [(json!([cpu]), true), (json!([cpu, redis]), false), (json!([]), false)] {
        let mut object = with("/spec/triggers", triggers);
        set(&mut object, "/spec/fallback", fallback.clone());
        let found = check(&object);
        assert_eq!(texts(&found).contains(&useless.to_owned()), refused, "{:?}", texts(&found));
        assert!(!refused || found.subject.is_none());
    }
}
