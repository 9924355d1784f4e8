use serde_json::json;
use tidegate_calculator::decision::Health;
use tidegate_calculator::operation::Direction;
use tidegate_engine::protocol::{OperationCondition, TargetError, Unreadable};
use tidegate_engine::subject::{Fault, FaultKind, Severity};

use super::*;
use crate::kubernetes::status::fixtures::{active, cooling, facts, finding, hold, id, nothing};
use crate::server::fixtures::lowering;

const NOON: &str = "2026-03-01T12:00:01.5Z";
const LATER: &str = "2026-03-01T12:05:01Z";

fn at(entry: &Entry, previous: &ScaleRecordStatus, lost: Option<&str>, now: &str) -> ScaleRecordStatus {
    next(&facts().target, entry, previous, lost, now.parse().unwrap())
}

/// `type status reason since` of every condition.
fn conditions(status: &ScaleRecordStatus) -> Vec<String> {
    let line = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        let since = condition.last_transition_time.0.strftime("%H:%M:%S");
        format!("{} {} {} {since}", condition.type_, condition.status, condition.reason)
    };
    status.conditions.iter().map(line).collect()
}

#[test]
fn the_first_entry_fills_every_column() {
    let expected = json!({
        "target": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "worker" },
        "reference": "Deployment/worker",
        "replicas": 8, "desired": 8, "min": 0, "max": 10,
        "mode": "Scale",
        "lastChange": { "at": "2026-03-01T12:00:00Z", "from": 0, "to": 8, "why": "triggers[0] asks for 8: 40 at 5 each" },
        "checkpoint": r#"{"v":1,"n":8}"#,
        "conditions": [
            { "type": "AbleToScale", "status": "True", "reason": "SucceededGetScale",
              "message": "the scale of Deployment/worker can be read", "lastTransitionTime": "2026-03-01T12:00:01Z" },
            { "type": "ScalingActive", "status": "True", "reason": "ValidMetricFound",
              "message": "all triggers give values", "lastTransitionTime": "2026-03-01T12:00:01Z" },
            { "type": "ScalingLimited", "status": "False", "reason": "DesiredWithinRange",
              "message": "the desired count is within the acceptable range",
              "lastTransitionTime": "2026-03-01T12:00:01Z" },
        ],
    });
    let status = at(&active(), &ScaleRecordStatus::default(), None, NOON);
    assert_eq!(serde_json::to_value(&status).unwrap(), expected);
    assert_eq!(at(&active(), &status, None, LATER), status, "the same entry later changes nothing");
    let stored: ScaleRecordStatus = serde_json::from_value(expected).unwrap();
    assert_eq!(stored, status, "what comes back is what was written");
}

#[test]
fn transition_times_move_only_with_the_status() {
    let before = at(&active(), &ScaleRecordStatus::default(), None, NOON);
    let after = at(&cooling(), &before, None, LATER);
    let expected = [
        "AbleToScale True SucceededGetScale 12:00:01",
        "ScalingActive True ValidMetricFound 12:00:01",
        "ScalingLimited True Cooldown 12:05:01",
    ];
    assert_eq!(conditions(&after), expected);
    let partial = Entry { health: Some(Health::Partial), limited_by: Some(Limit::Maximum), ..active() };
    let last = at(&partial, &after, None, "2026-03-01T12:09:00Z");
    let expected = [
        "AbleToScale True SucceededGetScale 12:00:01",
        "ScalingActive True ValidMetricFound 12:00:01",
        "ScalingLimited True TooManyReplicas 12:05:01",
        "TriggersFailed True PartialTriggerError 12:09:00",
    ];
    assert_eq!(conditions(&last), expected, "another reason is no transition");
    assert_eq!(conditions(&at(&active(), &last, None, "2026-03-01T12:10:00Z")).len(), 3, "ours go when they end");
}

#[test]
fn each_phase_shows_its_mode_and_its_conditions() {
    let failed = Phase::TargetFailed(TargetError::NotScalable("CronTab shop/nightly".to_owned()));
    let refused = Phase::Refused(vec![finding(Severity::Error, "fallback", "is not supported yet")]);
    let in_phase = |phase| Entry { phase, ..active() };
    let limited = "ScalingLimited False DesiredWithinRange";
    let able = "AbleToScale True SucceededGetScale";
    let table: [(Entry, &str, &[&str]); 8] = [
        (
            nothing(Phase::Starting),
            "Scale",
            &[able, "ScalingActive Unknown Starting", "ScalingLimited Unknown Starting"],
        ),
        (in_phase(Phase::Paused), "Paused", &[able, "ScalingActive False ScalingDisabled", limited]),
        (
            in_phase(hold("Observe")),
            "Observe",
            &["AbleToScale False Observe", "ScalingActive True ValidMetricFound", limited, "Held True Observe"],
        ),
        (
            in_phase(hold("ForeignAutoscaler")),
            "Held",
            &[
                "AbleToScale False ForeignAutoscaler",
                "ScalingActive True ValidMetricFound",
                limited,
                "Held True ForeignAutoscaler",
            ],
        ),
        (
            in_phase(failed),
            "TargetFailed",
            &[
                "AbleToScale False FailedGetScale",
                "ScalingActive Unknown TargetFailed",
                limited,
                "TargetFailed True TargetNotScalable",
            ],
        ),
        (
            in_phase(refused),
            "Refused",
            &[
                "AbleToScale False Refused",
                "ScalingActive False Refused",
                limited,
                "Refused True ScaledObjectCheckFailed",
            ],
        ),
        (
            in_phase(Phase::Quarantined("overflow".to_owned())),
            "Quarantined",
            &[
                "AbleToScale False Quarantined",
                "ScalingActive False Quarantined",
                limited,
                "Quarantined True DecisionFailed",
            ],
        ),
        (
            Entry { health: Some(Health::Failing), ..active() },
            "Scale",
            &[able, "ScalingActive False FailedGetExternalMetric", limited, "TriggersFailed True TriggerError"],
        ),
    ];
    for (entry, mode, expected) in table {
        let status = at(&entry, &ScaleRecordStatus::default(), None, NOON);
        let expected: Vec<String> = expected.iter().map(|line| format!("{line} 12:00:01")).collect();
        assert_eq!((status.mode.as_deref(), conditions(&status)), (Some(mode), expected), "{:?}", entry.phase);
    }
}

#[test]
fn limits_have_the_reasons_of_the_autoscaler_where_it_has_one() {
    let of = |limit| at(&Entry { limited_by: Some(limit), ..active() }, &ScaleRecordStatus::default(), None, NOON);
    let reasons: Vec<String> = Limit::ALL.into_iter().map(|limit| of(limit).conditions[2].reason.clone()).collect();
    let expected = [
        "DesiredWithinRange",
        "TooFewReplicas",
        "TooManyReplicas",
        "ScaleUpLimit",
        "ScaleDownLimit",
        "Stabilization",
        "Cooldown",
        "DesiredWithinRange",
        "Paused",
        "FailedTrigger",
        "Settling",
        "PolicyMissing",
        "PolicyInvalid",
        "Gate",
        "DirectionCooldown",
        "Schedule",
        "MaxParallelismReached",
    ];
    assert_eq!(reasons, expected);
    assert_eq!((of(Limit::Metrics).limited_by, of(Limit::Maximum).limited_by), (None, Some("Maximum".to_owned())));
}

#[test]
fn policies_that_take_no_part_are_conditions_of_their_own() {
    let fault = |kind, message: &str| Fault { kind, message: message.to_owned() };
    let faults = vec![
        fault(FaultKind::HooksNotSupported, "ScalingPolicy shop/b: spec.hooks: is not supported yet"),
        fault(FaultKind::Missing, "ScalingPolicy shop/a is not in this cluster"),
        fault(FaultKind::Invalid, "ScalingPolicy shop/c: spec.mode: \"x\""),
    ];
    let entry = Entry { faults: faults.clone(), ..active() };
    let status = at(&entry, &ScaleRecordStatus::default(), None, NOON);
    let lines = conditions(&status);
    assert_eq!(
        lines[3..],
        ["PolicyMissing True PolicyNotFound 12:00:01", "PolicyInvalid True HooksNotSupported 12:00:01"]
    );
    let expected = "nothing is lowered until this is mended: ScalingPolicy shop/b: spec.hooks: is not supported yet; \
                    ScalingPolicy shop/c: spec.mode: \"x\"";
    assert_eq!(status.conditions[4].message, expected);
    assert!(is_about_policies(&status, &faults) && !is_about_policies(&status, &faults[1..]));
    let mended = at(&active(), &status, None, LATER);
    assert_eq!(conditions(&mended).len(), 3);
    assert!(is_about_policies(&mended, &[]) && !is_about_policies(&mended, &faults));
}

#[test]
fn what_was_observed_stays_unless_the_target_is_another() {
    let seen = |agreed, differed| Observed { agreed, differed };
    let first = at(&Entry { observed: seen(2, 1), ..active() }, &ScaleRecordStatus::default(), None, NOON);
    assert_eq!(serde_json::to_value(first.observed).unwrap(), json!({ "agreed": 2, "differed": 1 }));
    assert_eq!(observed(&first), Some(seen(2, 1)));
    assert_eq!(at(&active(), &first, None, LATER).observed, first.observed);
    let other = TargetRef { name: "other".into(), ..facts().target };
    assert_eq!(next(&other, &active(), &first, None, LATER.parse().unwrap()).observed, None);
}

#[test]
fn what_an_entry_does_not_know_stays_unless_the_target_is_another() {
    let before = at(&active(), &ScaleRecordStatus::default(), None, NOON);
    let after = at(&nothing(Phase::Starting), &before, None, LATER);
    assert_eq!((after.replicas, &after.last_change), (before.replicas, &before.last_change));
    assert_eq!(after.checkpoint, before.checkpoint);
    assert_eq!((after.desired, after.limited_by), (None, None), "a decision is not made up");
    let other = TargetRef { name: "other".into(), ..facts().target };
    let after = next(&other, &nothing(Phase::Starting), &before, None, LATER.parse().unwrap());
    assert_eq!((after.replicas, after.last_change), (None, None));
    assert_eq!(after.checkpoint, before.checkpoint, "only the engine gives up a memory");
}

#[test]
fn a_lost_checkpoint_is_told_for_an_hour() {
    let before = at(&active(), &ScaleRecordStatus::default(), None, "2026-03-01T11:00:00Z");
    let told = at(&active(), &before, Some("the checkpoint has version 9"), NOON);
    assert_eq!(conditions(&told)[3], "CheckpointLost True CheckpointUnreadable 12:00:01");
    assert!(told.conditions[3].message.ends_with("the checkpoint has version 9"));
    let later = at(&cooling(), &told, None, "2026-03-01T13:00:00Z");
    assert_eq!(later.conditions[3], told.conditions[3]);
    assert_eq!(at(&cooling(), &later, None, "2026-03-01T13:00:01Z").conditions.len(), 3);
}

#[test]
fn a_record_belongs_to_its_object_and_holds_it_up_never() {
    let expected = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScaleRecord",
        "metadata": {
            "name": "orders", "namespace": "shop",
            "ownerReferences": [{
                "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "orders", "uid": "uid-1",
                "controller": true, "blockOwnerDeletion": false,
            }],
        },
    });
    assert_eq!(record(&id(), "uid-1"), expected);
    let body = super::status(&id(), &at(&active(), &ScaleRecordStatus::default(), None, NOON));
    assert_eq!(body["metadata"], json!({ "name": "orders", "namespace": "shop" }));
    assert_eq!(body["status"]["replicas"], 8);
}

#[test]
fn operations_are_kept_read_back_and_told() {
    let condition = OperationCondition {
        name: "CheckpointsFailing".to_owned(),
        holds: true,
        message: "job enrich: three in a row".to_owned(),
        direction: Direction::ScaleDown,
    };
    let entry = Entry {
        operation: Some("{\"v\":1}".into()),
        aftermath: Some("{\"v\":1,\"sequence\":3}".into()),
        operation_conditions: vec![condition],
        ..active()
    };
    let first = at(&entry, &ScaleRecordStatus::default(), None, NOON);
    assert_eq!(operation(&first), (entry.operation.clone(), entry.aftermath.clone()));
    assert_eq!(conditions(&first).last().map(String::as_str), Some("CheckpointsFailing True ScaleDown 12:00:01"));
    assert_eq!(at(&entry, &first, None, LATER), first, "the same entry later changes nothing");
    let unread = Entry { checkpoint: None, ..active() };
    assert_eq!(
        at(&unread, &first, None, LATER).operation,
        first.operation,
        "a memory that was never loaded says nothing"
    );
    let ended = Entry { operation: None, operation_conditions: Vec::new(), ..entry };
    let after = at(&ended, &first, None, LATER);
    assert_eq!((operation(&after), conditions(&after).len()), ((None, ended.aftermath), 3));
    assert_eq!(operation(&at(&active(), &after, None, LATER)), (None, None));
}

#[test]
fn an_operation_is_shown_to_people_beside_its_stored_text() {
    let now = tidegate_calculator::time::Now {
        tick: tidegate_calculator::time::Tick(0),
        wall: "2026-03-01T12:00:00.700Z".parse().unwrap(),
    };
    let running = lowering(now);
    let entry = Entry {
        operation: Some("{\"v\":1}".into()),
        aftermath: Some("{\"v\":1,\"sequence\":3}".into()),
        summary: Some(Box::new(running.clone())),
        ..active()
    };
    let first = at(&entry, &ScaleRecordStatus::default(), None, NOON);
    let body = super::status(&id(), &first);
    let summary = json!({
        "id": "0a", "direction": "ScaleDown", "from": 8, "to": 3, "attempt": 2, "strategy": "StopRestore",
        "why": "the parallelism is fixed while a job runs", "phase": "Restoring",
        "began": "2026-03-01T11:58:00Z", "since": "2026-03-01T11:59:00Z",
        "waitsFor": "enrich to run from its savepoint",
        "jobs": [{
            "name": "enrich", "id": "0b", "state": "Starting",
            "snapshot": { "kind": "Savepoint", "path": "s3://b/1", "completed": "2026-03-01T11:58:30Z" },
        }],
    });
    let operation = json!({ "state": "{\"v\":1}", "aftermath": "{\"v\":1,\"sequence\":3}", "summary": summary });
    assert_eq!(body["status"]["operation"], operation);
    assert_eq!(at(&entry, &first, None, LATER), first, "no live number makes the same entry another one later");
    // It has ended: what is shown moves, and the stored text says what is left.
    let ended = Entry { operation: None, summary: None, last_operation: Some(Box::new(running)), ..entry };
    let after = at(&ended, &first, None, LATER);
    let body = super::status(&id(), &after);
    assert_eq!(body["status"]["operation"], json!({ "aftermath": "{\"v\":1,\"sequence\":3}" }));
    assert_eq!(body["status"]["lastOperation"], summary);
    // A memory that was never loaded says nothing of it, and one of another target is another one's.
    let unread = Entry { checkpoint: None, ..active() };
    assert_eq!(at(&unread, &after, None, LATER).last_operation, after.last_operation);
}

/// A version that was rolled back cannot read what the one after it has stored.
#[test]
fn what_was_shown_of_operations_stays_while_their_text_cannot_be_read() {
    let now = tidegate_calculator::time::Now {
        tick: tidegate_calculator::time::Tick(0),
        wall: "2026-03-01T12:00:00.700Z".parse().unwrap(),
    };
    let running = Box::new(lowering(now));
    let condition = OperationCondition {
        name: "JobStopped".to_owned(),
        holds: true,
        message: "enrich".to_owned(),
        direction: Direction::ScaleDown,
    };
    let newer = Entry {
        operation: Some("{\"v\":9}".into()),
        summary: Some(running.clone()),
        last_operation: Some(running),
        operation_conditions: vec![condition.clone()],
        holds_object: true,
        ..active()
    };
    let first = at(&newer, &ScaleRecordStatus::default(), None, NOON);
    let why = Unreadable { reason: "OperationVersion", message: "it has version 9; nothing is scaled".to_owned() };
    let older = Entry {
        summary: None,
        last_operation: None,
        operation_conditions: Vec::new(),
        unreadable: Some(why),
        ..newer.clone()
    };
    let after = at(&older, &first, None, LATER);
    assert_eq!((&after.operation, &after.last_operation), (&first.operation, &first.last_operation));
    let told = conditions(&after);
    assert_eq!(told[3..], ["OperationUnreadable True OperationVersion 12:05:01", "JobStopped True ScaleDown 12:00:01"]);
    // What can be read of it is not told twice.
    let partly = Entry { operation_conditions: vec![condition], ..older };
    assert_eq!(conditions(&at(&partly, &after, None, LATER)).len(), 5);
    // Another target's are not this one's; and once it can be read, what it says counts.
    let other = TargetRef { name: "other".into(), ..facts().target };
    let moved = next(&other, &partly, &after, None, LATER.parse().unwrap());
    assert_eq!(moved.operation.unwrap().summary, None);
    let ended = Entry { operation: None, summary: None, last_operation: None, holds_object: false, ..active() };
    let mended = at(&ended, &after, None, LATER);
    assert_eq!((conditions(&mended).len(), mended.operation, mended.last_operation), (3, None, after.last_operation));
}

/// A record as versions have written it that showed no operations.
#[test]
fn an_older_record_is_read_and_written_anew() {
    let older = json!({
        "target": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "worker" },
        "operation": { "state": "{\"v\":1}", "aftermath": "{\"v\":1,\"sequence\":3}" },
        "checkpoint": "{\"v\":1,\"n\":8}",
    });
    let status: ScaleRecordStatus = serde_json::from_value(older.clone()).unwrap();
    let texts = (Some("{\"v\":1}".into()), Some("{\"v\":1,\"sequence\":3}".into()));
    assert_eq!(operation(&status), texts);
    assert_eq!(serde_json::to_value(&status).unwrap(), older, "and nothing is made of what it does not say");
}
