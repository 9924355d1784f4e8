//! Triggers on what the pods show: `cpu`, `memory` and `pods-metric`.

use tidegate_calculator::source::MetricType;
use tidegate_engine::subject::Severity;

use super::*;

/// The good object with these triggers alone.
fn of(triggers: Value) -> Value {
    with("/spec/triggers", triggers)
}

fn cpu() -> Value {
    json!({ "type": "cpu", "metricType": "Utilization", "metadata": { "value": "50" } })
}

fn pods_metric() -> Value {
    json!({ "type": "pods-metric", "metadata": { "metricName": "load", "targetValue": "500m" } })
}

fn redis() -> Value {
    good()["spec"]["triggers"][0].clone()
}

#[test]
fn they_are_resource_like_and_the_others_are_not() {
    let external = json!({ "type": "external-metric", "metadata": { "metricName": "m", "targetValue": "1" } });
    let object = of(json!([cpu(), pods_metric(), external, redis()]));
    assert_eq!(texts(&check(&object)), Vec::<String>::new());
    let subject = accepted(&object);
    let triggers = &subject.policy.triggers;
    assert_eq!(triggers.iter().map(|it| it.resource_like).collect::<Vec<_>>(), [true, true, false, false]);
    assert_eq!(triggers[0].metric_type, MetricType::Utilization);
    assert_eq!(&*subject.triggers[1].spec.target.name, "orders");
}

#[test]
fn cpu_and_memory_must_say_what_their_value_is() {
    for kind in ["cpu", "memory"] {
        let found = check(&of(json!([{ "type": kind, "metadata": { "value": "50" } }, redis()])));
        let required = format!(
            "error triggers[0].metricType: is required for {kind}; allowed values are 'Utilization' or 'AverageValue'"
        );
        assert_eq!(texts(&found), [required]);
        assert!(found.subject.is_none(), "KEDA builds none of the triggers");
    }
    let mut object = of(json!([cpu(), redis()]));
    set(&mut object, "/spec/triggers/0/metricType", json!("Utilisation"));
    let misspelt = "error triggers[0].metricType: \"Utilisation\" is not one of AverageValue, Utilization; did you mean Utilization?";
    assert_eq!(texts(&check(&object)), [misspelt]);
    for (field, value, expected) in [
        (
            "metricType",
            json!("Value"),
            "metricType: \"Value\" is not allowed for cpu; allowed values are 'Utilization' or 'AverageValue'",
        ),
        ("metadata", json!({ "value": "0" }), "metadata.value: \"0\" is not a whole percentage from 1 to 2147483647"),
        (
            "metadata",
            json!({ "value": "50", "type": "Utilization" }),
            "metadata.type: \"Utilization\" is not supported any more; say it as metricType of the trigger, beside its type",
        ),
    ] {
        let mut object = of(json!([cpu(), redis()]));
        set(&mut object, &format!("/spec/triggers/0/{field}"), value);
        let found = check(&object);
        assert_eq!(texts(&found), [format!("error triggers[0].{expected}")]);
        assert!(found.subject.is_some(), "the other trigger may still raise");
    }
}

/// KEDA's webhook refuses a minimum of 0 with such triggers alone, for Deployments and `StatefulSets`; its operator keeps one replica.
#[test]
fn a_minimum_of_zero_needs_a_trigger_of_another_type() {
    let why = "all triggers are of type cpu, memory or pods-metric, which say nothing about zero; set it to 1 or more, or add a trigger \
               of another type";
    let explicit = format!("minReplicaCount: \"0\" is not enough: {why}");
    let absent = format!("minReplicaCount: is absent, which counts as 0: {why}");
    let cases = [
        (json!([cpu()]), None, Some(&absent)),
        (json!([cpu(), pods_metric()]), Some(0), Some(&explicit)),
        (json!([pods_metric()]), Some(1), None),
        (json!([cpu(), redis()]), None, None),
    ];
    for (triggers, min, expected) in cases {
        let mut object = of(triggers);
        if let Some(min) = min {
            set(&mut object, "/spec/minReplicaCount", json!(min));
        }
        for (kind, severity) in
            [("Deployment", Severity::Error), ("StatefulSet", Severity::Error), ("ReplicaSet", Severity::Warning)]
        {
            set(&mut object, "/spec/scaleTargetRef", json!({ "name": "orders", "kind": kind }));
            let found = check(&object);
            let expected: Vec<_> = expected.into_iter().cloned().collect();
            assert_eq!(found.findings.iter().map(|finding| finding.problem.to_string()).collect::<Vec<_>>(), expected);
            assert!(found.findings.iter().all(|finding| finding.severity == severity));
            assert!(found.subject.is_some(), "it is obeyed all the same");
        }
    }
}

/// Connections that pods count wake nobody from zero. Beside a trigger that does, they keep the replicas from it; alone they would never
/// be asked for again.
#[test]
fn connections_that_pods_count_never_rest_at_zero_alone() {
    let why = "all triggers are of type cpu, memory, pods-metric or websocket (source pods), which say nothing about zero; set it to 1 or \
               more, or add a trigger of another type";
    let error = format!("error minReplicaCount: is absent, which counts as 0: {why}");
    let resource_like = |triggers: Value, min: Option<u32>, idle: Option<u32>, expected: &[&str]| {
        let mut object = of(triggers);
        for (name, count) in [("minReplicaCount", min), ("idleReplicaCount", idle)] {
            if let Some(count) = count {
                set(&mut object, &format!("/spec/{name}"), json!(count));
            }
        }
        let found = check(&object);
        assert_eq!(texts(&found), expected);
        found.subject.unwrap().policy.triggers.iter().map(|of| of.resource_like).collect::<Vec<_>>()
    };
    assert_eq!(resource_like(json!([websocket("pods")]), None, None, &[&error]), [true]);
    assert_eq!(resource_like(json!([websocket("pods"), cpu()]), None, None, &[&error]), [true, true]);
    assert_eq!(resource_like(json!([websocket("pods")]), Some(1), None, &[]), [false]);
    assert_eq!(resource_like(json!([websocket("pods")]), Some(2), Some(0), &[]), [true]);
    assert_eq!(resource_like(json!([websocket("pods")]), Some(2), Some(1), &[]), [false]);
    assert_eq!(resource_like(json!([websocket("pods"), redis()]), None, None, &[]), [false, false]);
    assert_eq!(resource_like(json!([websocket("stream")]), None, None, &[]), [false]);
}

fn websocket(source: &str) -> Value {
    let place = if source == "pods" { ("port", "9090") } else { ("url", "ws://gateway/stats") };
    let mut metadata = json!({ "source": source, "valueLocation": "open", "targetValue": "100" });
    metadata[place.0] = json!(place.1);
    json!({ "type": "websocket", "metadata": metadata })
}

#[test]
fn a_fallback_needs_a_trigger_of_another_type_and_a_pods_metric_may_be_cached() {
    let fallback = json!({ "failureThreshold": 3, "replicas": 6 });
    let mut object = of(json!([cpu(), pods_metric()]));
    set(&mut object, "/spec/minReplicaCount", json!(1));
    set(&mut object, "/spec/fallback", fallback);
    let useless = "error fallback: stands for no trigger: all are of type cpu, memory or pods-metric; a trigger of another type is needed";
    assert_eq!(texts(&check(&object)), [useless]);
    let mut cached = pods_metric();
    cached["useCachedMetrics"] = json!(true);
    assert!(accepted(&of(json!([cached, redis()]))).policy.triggers[0].cached);
}
