//! What leaves the subject, and what is in it.

use tidegate_calculator::behavior::{RatePolicy, Select, Unit};
use tidegate_calculator::policy::{Consent, Pause};
use tidegate_calculator::source::MetricType;
use tidegate_calculator::time::Span;

use super::*;

#[test]
fn a_plain_object_takes_kedas_defaults() {
    let validated = check(&good());
    assert_eq!(texts(&validated), Vec::<String>::new());
    let subject = accepted(&good());
    assert_eq!(subject.id.to_string(), "shop/orders");
    assert_eq!((subject.target.to_string(), &*subject.target.api_version), ("Deployment/orders".to_owned(), "apps/v1"));
    let policy = &subject.policy;
    assert_eq!((policy.min, policy.max, policy.idle), (0, 100, None));
    assert_eq!((policy.polling_interval, policy.cooldown), (Span::seconds(30), Span::seconds(300)));
    assert_eq!((policy.initial_cooldown, policy.behavior.clone()), (Span::ZERO, None));
    assert_eq!((policy.pause, policy.consent), (Pause::No, Consent::Full));
    assert_eq!((policy.triggers[0].kind.as_str(), policy.triggers[0].resource_like), ("redis", false));
    assert_eq!(subject.triggers[0].spec.metric_type, MetricType::AverageValue);
    assert_eq!(subject.triggers[0].references.target, subject.target);
}

#[test]
fn everything_that_is_said_arrives_in_the_subject() {
    let mut object = good();
    let fields = [
        ("/metadata/generation", json!(7)),
        ("/metadata/creationTimestamp", json!("2026-01-02T03:04:05Z")),
        (
            "/spec/scaleTargetRef",
            json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "t", "envSourceContainerName": "c" }),
        ),
        ("/spec/pollingInterval", json!(5)),
        ("/spec/cooldownPeriod", json!(60)),
        ("/spec/initialCooldownPeriod", json!(10)),
        ("/spec/idleReplicaCount", json!(1)),
        ("/spec/minReplicaCount", json!(2)),
        ("/spec/maxReplicaCount", json!(9)),
        ("/spec/triggers/0/name", json!("first")),
        ("/spec/triggers/0/metricType", json!("Value")),
        ("/spec/triggers/0/authenticationRef", json!({ "name": "a", "kind": "ClusterTriggerAuthentication" })),
        (
            "/metadata/annotations",
            json!({ "autoscaling.keda.sh/paused-scale-in": "T", "autoscaling.keda.sh/force-activation": "1" }),
        ),
    ];
    for (pointer, value) in fields {
        set(&mut object, pointer, value);
    }
    let subject = accepted(&object);
    assert_eq!((subject.generation, subject.created.to_string()), (7, "2026-01-02T03:04:05Z".to_owned()));
    let target = &subject.target;
    assert_eq!((&*target.api_version, &*target.kind, &*target.name), ("apps/v1", "StatefulSet", "t"));
    let policy = &subject.policy;
    assert_eq!((policy.min, policy.max, policy.idle), (2, 9, Some(1)));
    assert_eq!((policy.polling_interval, policy.cooldown), (Span::seconds(5), Span::seconds(60)));
    assert_eq!(policy.initial_cooldown, Span::seconds(10));
    assert!(policy.paused_scale_in && policy.force_activation && !policy.paused_scale_out);
    let trigger = &subject.triggers[0];
    assert_eq!((trigger.spec.name.as_deref(), trigger.spec.metric_type), (Some("first"), MetricType::Value));
    assert_eq!(trigger.references.container.as_deref(), Some("c"));
    assert!(
        trigger
            .references
            .authentication
            .as_ref()
            .is_some_and(|reference| reference.cluster && &*reference.name == "a")
    );
}

#[test]
fn behavior_is_filled_with_defaults() {
    let rules = json!({
        "policies": [{ "type": "Pods", "value": 2, "periodSeconds": 60 }],
        "selectPolicy": "Min",
        "tolerance": "50m",
    });
    let behavior = accepted(&with(UP, rules)).policy.behavior.unwrap();
    let policy = RatePolicy { unit: Unit::Pods, value: 2, period: Span::seconds(60) };
    assert_eq!(
        (behavior.up.policies, behavior.up.select, behavior.up.tolerance),
        (vec![policy], Select::Min, Some(0.05))
    );
    assert_eq!((behavior.up.window, behavior.down.window), (Span::ZERO, Span::seconds(300)));
    let policy = RatePolicy { unit: Unit::Percent, value: 100, period: Span::seconds(15) };
    assert_eq!(behavior.down.policies, [policy]);
    let behavior = accepted(&with(&format!("{UP}/tolerance"), json!(0))).policy.behavior.unwrap();
    assert_eq!(behavior.up.tolerance, Some(0.0));
    assert_eq!(accepted(&with("/spec/advanced/horizontalPodAutoscalerConfig", json!({}))).policy.behavior, None);
}

/// Each of these is an error of one trigger; the object is still obeyed.
#[test]
fn trigger_level_errors_leave_the_subject() {
    let trigger = |field: &str| format!("/spec/triggers/0/{field}");
    let supported = tidegate_scalers::trigger_types().iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
    let solr = format!("error triggers[0].type: \"solr\" is not supported yet; supported: {supported}");
    let cases = [
        (trigger("type"), json!("solr"), solr.as_str()),
        (
            trigger("type"),
            json!("Redis"),
            "error triggers[0].type: \"Redis\" is not a trigger type; did you mean redis?",
        ),
        (
            trigger("metadata/listLength"),
            json!("1O"),
            "error triggers[0].metadata.listLength: \"1O\" is not an integer >= 0",
        ),
        (
            trigger("metadata/listName"),
            json!(""),
            "error triggers[0].metadata.listName: is required; it is read from metadata",
        ),
        (
            trigger("metricType"),
            json!("Utilization"),
            "error triggers[0].metricType: \"Utilization\" is not allowed for redis; allowed values are 'Value' or 'AverageValue'",
        ),
    ];
    for (pointer, value, expected) in cases {
        let validated = check(&with(&pointer, value));
        assert_eq!(texts(&validated), [expected]);
        assert!(validated.subject.is_some(), "{expected}");
    }
}

#[test]
fn warnings_and_information_leave_the_subject() {
    let reason = "has no effect: minReplicaCount is above 0 and there is no idleReplicaCount";
    let cases = vec![
        ("/spec/triggers/0/metadata/lsitName", json!("x"), "warning triggers[0].metadata.lsitName: is not a parameter of redis and has no effect; did you mean listName?".to_owned()),
        ("/spec/minReplicas", json!(1), "warning minReplicas: is not a known field and has no effect; did you mean minReplicaCount?".to_owned()),
        ("/spec/coolDownPeriod", json!(1), "warning coolDownPeriod: is not a known field and has no effect; did you mean cooldownPeriod?".to_owned()),
        ("/spec/triggers/0/tpye", json!("x"), "warning triggers[0].tpye: is not a known field and has no effect; did you mean type?".to_owned()),
        ("/data", json!({}), "warning data: is not a known field and has no effect".to_owned()),
        ("/spec/cooldownPeriod", json!(null), "warning cooldownPeriod: is empty and counts as absent".to_owned()),
        ("/spec/triggers/0/authenticationRef", json!({ "name": "" }), "warning triggers[0].authenticationRef.name: \"\" is empty: no authentication is used".to_owned()),
        ("/spec/advanced/horizontalPodAutoscalerConfig/name", json!("mine"), "info advanced.horizontalPodAutoscalerConfig.name: \"mine\" has no effect: no HorizontalPodAutoscaler is made".to_owned()),
        ("/metadata/annotations/scaledobject.keda.sh~1transfer-hpa-ownership", json!("true"), "info metadata.annotations[scaledobject.keda.sh/transfer-hpa-ownership]: has no effect: no HorizontalPodAutoscaler is made".to_owned()),
        ("/metadata/annotations/autoscaling.keda.sh~1paused", json!("yes"), "warning metadata.annotations[autoscaling.keda.sh/paused]: \"yes\" is not true or false and counts as true".to_owned()),
        ("/metadata/annotations/autoscaling.keda.sh~1pause", json!("true"), "warning metadata.annotations[autoscaling.keda.sh/pause]: is not a known annotation and has no effect; did you mean autoscaling.keda.sh/paused?".to_owned()),
        ("/metadata/annotations/tidegate.dev~1policies", json!("night"), "warning metadata.annotations[tidegate.dev/policies]: \"night\" names nothing: ScalingPolicy shop/night cannot be seen: policies cannot be looked at here; until then the object is raised but never lowered".to_owned()),
    ];
    for (pointer, value, expected) in cases {
        let validated = check(&with(pointer, value));
        assert_eq!(texts(&validated), std::slice::from_ref(&expected));
        assert!(validated.subject.is_some(), "{expected}");
    }
    let mut object = with("/spec/minReplicaCount", json!(1));
    set(&mut object, "/spec/cooldownPeriod", json!(60));
    set(&mut object, "/spec/pollingInterval", json!(15));
    let expected = [
        format!("warning cooldownPeriod: {reason}"),
        format!("warning pollingInterval: {reason}, so triggers are read every 15 s"),
    ];
    assert_eq!(texts(&check(&object)), expected);
}

#[test]
fn annotations_steer() {
    let policy = |name: &str, text: &str| accepted(&with(&format!("{ANNOTATION}{name}"), json!(text))).policy;
    assert_eq!(policy("paused", "true").pause, Pause::Plain);
    assert_eq!(policy("paused", "maybe").pause, Pause::Plain);
    assert_eq!(policy("paused", "false").pause, Pause::No);
    assert_eq!(policy("paused-replicas", "3").pause, Pause::At(3));
    let both = json!({ "autoscaling.keda.sh/paused": "false", "autoscaling.keda.sh/paused-replicas": "0" });
    assert_eq!(accepted(&with("/metadata/annotations", both)).policy.pause, Pause::At(0));
    assert!(policy("paused-scale-out", "true").paused_scale_out);
    let object = with("/metadata/annotations/tidegate.dev~1policies", json!("night"));
    assert_eq!(accepted(&object).policy.consent, Consent::PolicyMissing);
}

#[test]
fn locations_put_the_spec_back() {
    let cases = [
        ("triggers[0].metadata.x", "spec.triggers[0].metadata.x"),
        ("metadata.annotations[a.b/c]", "metadata.annotations[a.b/c]"),
        ("spec", "spec"),
        ("kind", "kind"),
        ("", ""),
    ];
    for (path, expected) in cases {
        assert_eq!(location(path), expected);
    }
}

#[test]
fn fallback_and_cached_metrics_reach_the_policy() {
    use tidegate_calculator::policy::{Fallback, FallbackBehavior};
    let plain = accepted(&good()).policy;
    assert_eq!((plain.fallback, plain.triggers[0].cached), (None, false));
    let cases = [
        (json!({ "failureThreshold": 3, "replicas": 6 }), 3, 6, FallbackBehavior::Static),
        (json!({ "failureThreshold": 0, "replicas": 0, "behavior": "static" }), 0, 0, FallbackBehavior::Static),
        (
            json!({ "failureThreshold": 1, "replicas": 2, "behavior": "currentReplicas" }),
            1,
            2,
            FallbackBehavior::CurrentReplicas,
        ),
        (
            json!({ "failureThreshold": 1, "replicas": 2, "behavior": "currentReplicasIfHigher" }),
            1,
            2,
            FallbackBehavior::CurrentReplicasIfHigher,
        ),
        (
            json!({ "failureThreshold": 1, "replicas": 2, "behavior": "currentReplicasIfLower" }),
            1,
            2,
            FallbackBehavior::CurrentReplicasIfLower,
        ),
    ];
    for (block, threshold, replicas, behavior) in cases {
        let policy = accepted(&with("/spec/fallback", block)).policy;
        assert_eq!(policy.fallback, Some(Fallback { threshold, replicas, behavior }));
    }
    let trigger = good()["spec"]["triggers"][0].clone();
    let mut object = with("/spec/triggers", json!([trigger, trigger]));
    set(&mut object, "/spec/triggers/1/useCachedMetrics", json!(true));
    let cached: Vec<bool> = accepted(&object).policy.triggers.iter().map(|trigger| trigger.cached).collect();
    assert_eq!(cached, [false, true]);
}

#[test]
fn a_polling_interval_has_an_effect_where_it_is_counted() {
    let warned = |object: &Value| texts(&check(object)).iter().any(|text| text.starts_with("warning pollingInterval"));
    let mut object = with("/spec/minReplicaCount", json!(1));
    set(&mut object, "/spec/pollingInterval", json!(60));
    assert!(warned(&object));
    let mut cached = object.clone();
    set(&mut cached, "/spec/triggers/0/useCachedMetrics", json!(true));
    set(&mut object, "/spec/fallback", json!({ "failureThreshold": 3, "replicas": 6 }));
    assert!(!warned(&cached) && !warned(&object));
}
