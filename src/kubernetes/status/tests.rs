use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_calculator::decision::Health;
use tidegate_calculator::source::ReadErrorKind;
use tidegate_crds::annotations::{FORCE_ACTIVATION, PAUSED, PAUSED_SCALE_OUT};
use tidegate_crds::trigger::Condition;
use tidegate_engine::protocol::{FailingTrigger, TargetError};
use tidegate_engine::subject::Severity;

use super::fixtures::{active, annotated, cooling, facts, finding, hold, nothing, patched};
use super::*;

/// The status after an entry; a patch that would do something else than say so fails.
fn after(facts: &ObjectFacts, entry: &Entry, previous: &StatusView) -> StatusView {
    let Some(change) = change(facts, entry, previous) else {
        return previous.clone();
    };
    assert_eq!(patched(previous, &change.patch), change.status);
    assert_eq!(super::change(facts, entry, &change.status), None, "the second time there is nothing to write");
    change.status
}

fn patch(facts: &ObjectFacts, entry: &Entry, previous: &StatusView) -> Value {
    change(facts, entry, previous).expect("something to write").patch
}

fn one(status: &StatusView, kind: &str) -> Value {
    let found = status.conditions.iter().find(|condition| condition.kind == kind);
    serde_json::to_value(found.expect("a condition of this type")).unwrap()
}

fn told(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": reason, "message": message })
}

#[test]
fn the_first_entry_writes_every_field_as_keda_does() {
    let expected = json!({ "status": {
        "scaleTargetKind": "apps/v1.Deployment",
        "scaleTargetGVKR": { "group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments" },
        "originalReplicaCount": 0,
        "lastActiveTime": "2026-03-01T12:00:00Z",
        "externalMetricNames": ["s0-redis-orders", "s1-redis-returns"],
        "triggersTypes": "redis",
        "authenticationsTypes": "redis-auth",
        "triggersActivity": { "s0-redis-orders": { "isActive": true }, "s1-redis-returns": { "isActive": false } },
        "conditions": [
            { "type": "Ready", "status": "True", "reason": "ScaledObjectReady",
              "message": "ScaledObject is defined correctly and is ready for scaling" },
            { "type": "Active", "status": "True", "reason": "ScalerActive",
              "message": "Scaling is performed because triggers are active" },
            { "type": "Fallback", "status": "False", "reason": "NoFallbackFound",
              "message": "No fallbacks are active on this scaled object" },
            { "type": "Paused", "status": "False" },
            { "type": "HPAActive", "status": "True", "reason": "HPAActive", "message": "HPA is actively scaling" },
        ],
    }});
    assert_eq!(patch(&facts(), &active(), &StatusView::default()), expected);
}

#[test]
fn a_flip_writes_what_flipped_and_nothing_else() {
    let before = after(&facts(), &active(), &StatusView::default());
    let expected = json!({ "status": {
        "lastActiveTime": "2026-03-01T12:05:00Z",
        "triggersActivity": { "s0-redis-orders": { "isActive": false } },
        "conditions": [
            { "type": "Ready", "status": "True", "reason": "ScaledObjectReady",
              "message": "ScaledObject is defined correctly and is ready for scaling" },
            { "type": "Active", "status": "False", "reason": "ScalerCooldown",
              "message": "Scaler cooling down because triggers are not active" },
            { "type": "Fallback", "status": "False", "reason": "NoFallbackFound",
              "message": "No fallbacks are active on this scaled object" },
            { "type": "Paused", "status": "False" },
            { "type": "HPAActive", "status": "True", "reason": "HPAActive", "message": "HPA is actively scaling" },
        ],
    }});
    assert_eq!(patch(&facts(), &cooling(), &before), expected);
}

#[test]
fn the_last_activity_moves_only_when_the_condition_does() {
    let before = after(&facts(), &active(), &StatusView::default());
    let later = Entry { last_active: Some("2026-03-01T13:00:00Z".parse().unwrap()), replicas: Some(9), ..active() };
    assert_eq!(change(&facts(), &later, &before), None, "it is active all the time");
    let forgotten = Entry { last_active: None, ..cooling() };
    assert_eq!(after(&facts(), &forgotten, &before).last_active_time, before.last_active_time);
    let older = Entry { last_active: Some("2026-03-01T11:00:00Z".parse().unwrap()), ..cooling() };
    assert_eq!(after(&facts(), &older, &before).last_active_time, before.last_active_time, "never back");
}

#[test]
fn conditions_have_the_reasons_and_messages_of_keda() {
    let unavailable = Phase::TargetFailed(TargetError::Unavailable("no answer came".to_owned()));
    let absent = Phase::TargetFailed(TargetError::NotFound("Deployment shop/worker".to_owned()));
    let ready = "ScaledObject is defined correctly and is ready for scaling";
    let unknown = told("Active", "Unknown", "UnknownState", "ScaledObject check failed");
    let is_active = told("Active", "True", "ScalerActive", "Scaling is performed because triggers are active");
    let resting = Entry { limited_by: Some(tidegate_calculator::decision::Limit::Idle), ..cooling() };
    let idle = told("Active", "False", "ScalerNotActive", "Scaling is not performed because triggers are not active");
    let partial = "Some triggers defined in ScaledObject are not working correctly";
    let failing = "Triggers defined in ScaledObject are not working correctly";
    let current = "Error getting current replicas count for ScaleTarget: no answer came";
    let prefix =
        "ScaledObject doesn't have correct scaleTargetRef specification: Deployment shop/worker does not exist";
    let in_phase = |phase| Entry { phase, ..active() };
    let with = |health| Entry { health: Some(health), ..active() };
    let quarantined = "deciding failed, and the object is left alone until its text changes: overflow";
    let table = [
        (resting, told("Ready", "True", "ScaledObjectReady", ready), idle),
        (with(Health::Partial), told("Ready", "Unknown", "PartialTriggerError", partial), is_active.clone()),
        (with(Health::Failing), told("Ready", "False", "TriggerError", failing), is_active.clone()),
        (in_phase(unavailable), told("Ready", "False", "ErrorGettingCurrentReplicas", current), is_active.clone()),
        (in_phase(absent), told("Ready", "False", "ScaledObjectCheckFailed", prefix), unknown.clone()),
        (
            in_phase(Phase::Quarantined("overflow".to_owned())),
            told("Ready", "False", "ScaledObjectCheckFailed", quarantined),
            unknown,
        ),
        (in_phase(hold("Observe")), told("Ready", "True", "ScaledObjectReady", ready), is_active.clone()),
        (
            in_phase(hold("ForeignAutoscaler")),
            told("Ready", "False", "ForeignAutoscaler", "because of ForeignAutoscaler"),
            is_active,
        ),
        (
            nothing(Phase::Starting),
            json!({ "type": "Ready", "status": "Unknown" }),
            json!({ "type": "Active", "status": "Unknown" }),
        ),
    ];
    for (entry, ready, active) in table {
        let status = after(&facts(), &entry, &StatusView::default());
        assert_eq!((one(&status, "Ready"), one(&status, "Active")), (ready, active), "{:?}", entry.phase);
    }
}

#[test]
fn a_refused_object_names_every_finding_under_the_stage_of_keda() {
    let before = after(&facts(), &active(), &StatusView::default());
    let findings = vec![
        finding(Severity::Warning, "scaleTargetRef.name", "names nothing"),
        finding(Severity::Error, "triggers[1].type", "is unknown"),
        finding(Severity::Error, "idleReplicaCount", "is not below minReplicaCount"),
        finding(Severity::Info, "advanced.horizontalPodAutoscalerConfig.name", "has no effect"),
        finding(Severity::Error, "triggers[0].metadata.listLength", "is not a number"),
        finding(Severity::Error, "fallback", "is not supported yet"),
    ];
    let status = after(&facts(), &Entry { phase: Phase::Refused(findings), ..nothing(Phase::Starting) }, &before);
    let message = "ScaledObject doesn't have correct triggers specification: triggers[1].type: is unknown; \
                   triggers[0].metadata.listLength: is not a number; \
                   ScaledObject doesn't have correct Idle/Min/Max Replica Counts specification: \
                   idleReplicaCount: is not below minReplicaCount; fallback: is not supported yet; \
                   ScaledObject doesn't have correct scaleTargetRef specification: scaleTargetRef.name: names nothing";
    assert_eq!(one(&status, "Ready"), told("Ready", "False", "ScaledObjectCheckFailed", message));
    assert_eq!(one(&status, "Active"), told("Active", "Unknown", "UnknownState", "ScaledObject check failed"));
    assert_eq!(StatusView { conditions: before.conditions.clone(), ..status }, before, "everything else stays");
}

#[test]
fn a_pause_shows_while_it_lasts_and_its_end_is_told() {
    let before = after(&facts(), &active(), &StatusView::default());
    let paused = annotated(PAUSED_REPLICAS, "3");
    let entry = Entry { phase: Phase::Paused, replicas: Some(3), active: Some(false), ..active() };
    let expected = json!({ "status": {
        "pausedReplicaCount": 3,
        "conditions": [
            { "type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "ScaledObject is paused" },
            { "type": "Active", "status": "True", "reason": "ScalerActive",
              "message": "Scaling is performed because triggers are active" },
            { "type": "Fallback", "status": "False", "reason": "NoFallbackFound",
              "message": "No fallbacks are active on this scaled object" },
            { "type": "Paused", "status": "True", "reason": "ScaledObjectPaused", "message": "ScaledObject is paused" },
            { "type": "HPAActive", "status": "True", "reason": "HPAActive", "message": "HPA is actively scaling" },
        ],
    }});
    assert_eq!(patch(&paused, &entry, &before), expected);
    let held = after(&paused, &entry, &before);
    let ended = patch(&facts(), &active(), &held);
    assert_eq!(ended["status"]["pausedReplicaCount"], Value::Null);
    assert!(ended["status"].as_object().unwrap().contains_key("pausedReplicaCount"), "null removes it");
    let status = after(&facts(), &active(), &held);
    let unpaused = told("Paused", "False", "ScaledObjectUnpaused", "pause annotation removed for ScaledObject");
    assert_eq!(one(&status, "Paused"), unpaused);
    assert_eq!(change(&facts(), &active(), &status), None, "it goes on saying so");
}

#[test]
fn metrics_that_only_readings_name_are_called_as_they_were_read_last() {
    let mut facts = facts();
    facts.metric_names = vec![vec!["s0-redis-orders".to_owned()], Vec::new()];
    let named = |second: &[&str]| Entry {
        metrics: vec![vec!["other".to_owned()], second.iter().map(|name| (*name).to_owned()).collect()],
        failures: vec![Some(0), Some(4)],
        ..active()
    };
    let unread = after(&facts, &active(), &StatusView::default());
    assert_eq!(unread.external_metric_names, ["s0-redis-orders"], "nothing was read yet");
    let read = after(&facts, &named(&["s1-lag", "s1-age"]), &unread);
    assert_eq!(read.external_metric_names, ["s0-redis-orders", "s1-lag", "s1-age"], "a text that says them counts");
    let keys = |status: &StatusView| status.triggers_activity.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&read), ["s0-redis-orders", "s1-age", "s1-lag"]);
    assert_eq!(read.health["s1-age"].number_of_failures, Some(4));
    assert!(is_about(&read, &facts));
    // Another process whose first read fails has not heard of any.
    assert_eq!(after(&facts, &named(&[]), &read).external_metric_names, read.external_metric_names);
    let renamed = after(&facts, &named(&["s1-age"]), &read);
    assert_eq!((keys(&renamed).len(), renamed.health.len()), (2, 2));
    assert_eq!(renamed.external_metric_names, ["s0-redis-orders", "s1-age"]);
    // With other triggers the names at the same places say nothing.
    facts.trigger_types = "redis,external".to_owned();
    assert_eq!(after(&facts, &named(&[]), &read).external_metric_names, ["s0-redis-orders"]);
    assert!(!is_about(&read, &facts));
}

#[test]
fn a_pause_of_one_direction_is_a_pause_that_scales() {
    let status = after(&annotated(PAUSED_SCALE_OUT, "true"), &active(), &StatusView::default());
    assert_eq!(
        (one(&status, "Paused")["status"].clone(), one(&status, "Ready")["message"].clone()),
        (json!("True"), json!("ScaledObject is defined correctly and is ready for scaling"))
    );
    let status = after(&annotated(PAUSED, "false"), &active(), &StatusView::default());
    assert_eq!(one(&status, "Paused"), json!({ "type": "Paused", "status": "False" }));
}

#[test]
fn forced_activation_is_named_when_no_trigger_is_active() {
    let forced = annotated(FORCE_ACTIVATION, "true");
    let entry = Entry { triggers: vec![false, false], ..active() };
    let message = |entry: &Entry| one(&after(&forced, entry, &StatusView::default()), "Active")["message"].clone();
    assert_eq!(message(&entry), "Scaling is performed because activation is being forced by annotation");
    assert_eq!(message(&active()), "Scaling is performed because triggers are active");
}

#[test]
fn what_keda_left_stays_but_what_it_said_of_its_autoscaler() {
    let condition = |kind: &str| Condition { kind: kind.to_owned(), status: "True".to_owned(), ..Condition::default() };
    let keda = StatusView {
        original_replica_count: Some(4),
        hpa_name: Some("keda-hpa-orders".to_owned()),
        composite_scaler_name: Some("composite-metric".to_owned()),
        resource_metric_names: vec!["cpu".to_owned()],
        triggers_activity: BTreeMap::from([("s0-kafka-old".to_owned(), TriggerActivity { is_active: Some(true) })]),
        conditions: vec![condition("HPAActive"), condition("Fallback"), condition("Other")],
        ..StatusView::default()
    };
    let patch = patch(&facts(), &active(), &keda);
    let fields: Vec<&str> = patch["status"].as_object().unwrap().keys().map(String::as_str).collect();
    for kept in ["hpaName", "compositeScalerName", "originalReplicaCount"] {
        assert!(!fields.contains(&kept), "{kept}");
    }
    assert_eq!(
        patch["status"]["triggersActivity"],
        json!({
            "s0-kafka-old": null, "s0-redis-orders": { "isActive": true }, "s1-redis-returns": { "isActive": false },
        })
    );
    let kinds = |status: &StatusView| -> Vec<String> {
        status.conditions.iter().map(|condition| condition.kind.clone()).collect()
    };
    assert_eq!(patch["status"]["resourceMetricNames"], Value::Null, "no trigger is on cpu any more");
    let expected = ["Ready", "Active", "Fallback", "Paused", "HPAActive", "Other"];
    let said = |phase| after(&facts(), &Entry { phase, ..active() }, &keda);
    assert_eq!(kinds(&said(Phase::Running)), expected);
    assert_eq!(one(&said(Phase::Running), "HPAActive")["message"], "HPA is actively scaling");
    assert_eq!(kinds(&said(hold("ForeignAutoscaler"))), expected);
    assert_eq!(one(&said(hold("ForeignAutoscaler")), "HPAActive"), one(&keda, "HPAActive"), "it is theirs");
}

#[test]
fn hpa_active_says_what_an_autoscaler_would() {
    let said = |entry: &Entry| one(&after(&facts(), entry, &StatusView::default()), "HPAActive");
    assert_eq!(said(&active()), told("HPAActive", "True", "HPAActive", "HPA is actively scaling"));
    let idle = "scaling is disabled since the replica count of the target is zero";
    let zero = Entry { replicas: Some(0), ..cooling() };
    assert_eq!(said(&zero), told("HPAActive", "True", "ScalingDisabled", idle));
    let why = "HPA is not actively scaling: no trigger that gives a value is active; triggers[1] (TriggerTimeout) cannot be read";
    let fails = |of: &str| {
        let failing = Some(FailingTrigger { index: 1, kind: ReadErrorKind::Timeout, of: of.to_owned() });
        said(&Entry { health: Some(Health::Failing), failing, ..active() })
    };
    for (of, reason) in [
        ("cpu", "FailedGetResourceMetric"),
        ("pods-metric", "FailedGetPodsMetric"),
        ("object-metric", "FailedGetObjectMetric"),
        ("redis", "FailedGetExternalMetric"),
    ] {
        assert_eq!(fails(of), told("HPAActive", "False", reason, why));
    }
    let starting = after(&facts(), &nothing(Phase::Starting), &StatusView::default());
    assert!(starting.conditions.iter().all(|condition| condition.kind != "HPAActive"), "nothing is known yet");
}

#[test]
fn an_unknown_resource_leaves_the_target_unsaid_and_the_core_group_has_no_name() {
    let mut facts = facts();
    facts.target_resource = String::new();
    let status = after(&facts, &active(), &StatusView::default());
    assert_eq!((status.scale_target_kind, status.scale_target_gvkr), (None, None));
    facts.target.api_version = "v1".into();
    facts.target.kind = "ReplicationController".into();
    facts.target_resource = "replicationcontrollers".to_owned();
    let status = after(&facts, &active(), &StatusView::default());
    assert_eq!(status.scale_target_kind.as_deref(), Some("/v1.ReplicationController"));
    assert_eq!(status.scale_target_gvkr.unwrap().group, "");
}

#[test]
fn the_original_count_is_written_once() {
    let seen = Entry { last_change: None, replicas: Some(5), ..active() };
    let status = after(&facts(), &seen, &StatusView::default());
    assert_eq!(status.original_replica_count, Some(5));
    assert_eq!(after(&facts(), &active(), &status).original_replica_count, Some(5));
}

#[test]
fn activity_is_not_told_while_nobody_looks() {
    let before = after(&facts(), &active(), &StatusView::default());
    for phase in [Phase::Paused, Phase::Starting] {
        let entry = Entry { health: None, triggers: vec![false, false], ..nothing(phase) };
        assert_eq!(after(&facts(), &entry, &before).triggers_activity, before.triggers_activity);
    }
}

#[test]
fn long_messages_are_cut_between_characters() {
    assert_eq!(cut("äöü".to_owned(), 6), "äöü");
    assert_eq!(cut("äöüß".to_owned(), 7), "äö...");
    assert_eq!(cut("äöüß".to_owned(), 6), "ä...");
    let many = (0..500).map(|index| finding(Severity::Error, &format!("triggers[{index}].type"), "is unknown"));
    assert!(refusal(&many.collect::<Vec<_>>()).len() <= LONGEST_MESSAGE);
}

#[test]
fn becoming_ready_is_news_once_and_a_pause_is_none() {
    let ready = after(&facts(), &active(), &StatusView::default()).conditions;
    let failing = Entry { health: Some(Health::Failing), ..active() };
    let failing = after(&facts(), &failing, &StatusView::default()).conditions;
    let paused = Entry { phase: Phase::Paused, ..active() };
    let paused = after(&annotated(PAUSED, "true"), &paused, &StatusView::default()).conditions;
    assert!(has_become_ready(&[], &ready) && has_become_ready(&failing, &ready));
    assert!(!has_become_ready(&ready, &ready) && !has_become_ready(&ready, &failing));
    assert!(!has_become_ready(&failing, &paused) && !has_become_ready(&paused, &ready));
}

/// The second trigger fails; its fallback acts if `failures` says more than the threshold.
fn failing(failures: u32, acts: bool) -> Entry {
    Entry { failures: vec![Some(0), Some(failures)], fallbacks: if acts { vec![1] } else { Vec::new() }, ..active() }
}

#[test]
fn a_fallback_is_shown_as_keda_does() {
    let before = after(&facts(), &failing(0, false), &StatusView::default());
    let health = json!({
        "s0-redis-orders": { "numberOfFailures": 0, "status": "Happy" },
        "s1-redis-returns": { "numberOfFailures": 0, "status": "Happy" },
    });
    assert_eq!(serde_json::to_value(&before.health).unwrap(), health);
    let expected =
        json!({ "status": { "health": { "s1-redis-returns": { "numberOfFailures": 1, "status": "Failing" } } } });
    assert_eq!(patch(&facts(), &failing(1, false), &before), expected);
    let acting = patch(&facts(), &failing(4, true), &before);
    assert_eq!(
        acting["status"]["conditions"][2],
        told("Fallback", "True", "FallbackExists", "At least one trigger is falling back on this scaled object")
    );
    assert_eq!(
        acting["status"]["health"],
        json!({ "s1-redis-returns": { "numberOfFailures": 4, "status": "Failing" } })
    );
    let acting = after(&facts(), &failing(4, true), &before);
    assert_eq!(after(&facts(), &failing(0, false), &acting), before);
    // While it waits, the object is ready, unless something is active.
    let waits = Entry { health: Some(Health::Failing), active: Some(false), ..failing(1, false) };
    let ready = |entry: &Entry| after(&facts(), entry, &before).conditions[0].status.clone();
    assert_eq!(ready(&waits), "True");
    assert_eq!(ready(&Entry { health: Some(Health::Partial), ..failing(1, false) }), "Unknown");
    assert_eq!(ready(&Entry { failures: Vec::new(), ..waits }), "False");
    // A pause looks at nothing, and an object that is not obeyed falls back on nothing.
    let paused = Entry { phase: Phase::Paused, failures: Vec::new(), ..failing(4, true) };
    assert_eq!(after(&facts(), &paused, &acting).health, acting.health);
    let refused = Entry { phase: Phase::Refused(Vec::new()), ..failing(4, true) };
    assert!(!conditions::falls_back(&after(&facts(), &refused, &acting).conditions));
    // Without a fallback nothing is counted, and what was counted goes.
    assert_eq!(patch(&facts(), &active(), &before), json!({ "status": { "health": null } }));
}

#[test]
fn what_is_shown_of_failures_is_read_back() {
    let read = |entry: &Entry| failures(&after(&facts(), entry, &StatusView::default()), &facts(), 3);
    assert_eq!(read(&failing(0, false)), Some((0, 0)));
    assert_eq!(read(&failing(1, false)), Some((0b10, 0)));
    assert_eq!(read(&failing(4, true)), Some((0b10, 0b10)));
    assert_eq!(read(&active()), None, "nothing was counted yet");
    let mut status = after(&facts(), &failing(4, true), &StatusView::default());
    assert_eq!(failures(&status, &facts(), 4), None, "another threshold: the condition says something else");
    status.health.remove("s0-redis-orders");
    assert_eq!(failures(&status, &facts(), 3), None);
}
