//! An object, entries and a merge, for the tests of everything that writes.

use serde_json::{Map, Value};
use tidegate_calculator::decision::{Health, Limit};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::source::Problem;
use tidegate_engine::protocol::{Entry, LastChange, Observed};
use tidegate_engine::snapshot::Phase;
use tidegate_engine::subject::{Finding, Hold, ObjectId, Severity, TargetRef};

use crate::kubernetes::known::{ObjectFacts, StatusView};

pub(in crate::kubernetes) fn id() -> ObjectId {
    ObjectId::new("shop", "orders")
}

/// `shop/orders` with two triggers that scales `Deployment/worker`.
pub(in crate::kubernetes) fn facts() -> ObjectFacts {
    let target = TargetRef {
        namespace: "shop".into(),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "worker".into(),
    };
    ObjectFacts {
        uid: "uid-1".to_owned(),
        resource_version: "100".to_owned(),
        generation: 1,
        metric_names: vec![vec!["s0-redis-orders".to_owned()], vec!["s1-redis-returns".to_owned()]],
        trigger_types: "redis".to_owned(),
        authentications: "redis-auth".to_owned(),
        target_resource: "deployments".to_owned(),
        ..ObjectFacts::of(target)
    }
}

pub(in crate::kubernetes) fn annotated(name: &str, value: &str) -> ObjectFacts {
    let mut facts = facts();
    facts.annotations.insert(name.to_owned(), value.to_owned());
    facts
}

/// Eight replicas for the first trigger, after a first write from zero.
pub(in crate::kubernetes) fn active() -> Entry {
    Entry {
        phase: Phase::Running,
        replicas: Some(8),
        desired: Some(8),
        bounds: Some((0, 10)),
        limited_by: Some(Limit::Metrics),
        last_change: Some(LastChange {
            at: "2026-03-01T12:00:00.250Z".parse().unwrap(),
            from: 0,
            to: 8,
            why: "triggers[0] asks for 8: 40 at 5 each".to_owned(),
        }),
        apply_error: None,
        active: Some(true),
        last_active: Some("2026-03-01T12:00:00.2Z".parse().unwrap()),
        health: Some(Health::Good),
        triggers: vec![true, false],
        metrics: Vec::new(),
        failing: None,
        failures: Vec::new(),
        fallbacks: Vec::new(),
        faults: Vec::new(),
        observed: Observed::default(),
        operation: None,
        aftermath: None,
        summary: None,
        last_operation: None,
        operation_conditions: Vec::new(),
        unreadable: None,
        holds_object: false,
        checkpoint: Some(Checkpoint(r#"{"v":1,"n":8}"#.to_owned())),
    }
}

/// No trigger is active, and the cooldown runs.
pub(in crate::kubernetes) fn cooling() -> Entry {
    Entry {
        limited_by: Some(Limit::Cooldown),
        active: Some(false),
        last_active: Some("2026-03-01T12:05:00.9Z".parse().unwrap()),
        triggers: vec![false, false],
        ..active()
    }
}

/// Nothing has been decided.
pub(in crate::kubernetes) fn nothing(phase: Phase) -> Entry {
    Entry {
        phase,
        replicas: None,
        desired: None,
        bounds: None,
        limited_by: None,
        last_change: None,
        apply_error: None,
        active: None,
        last_active: None,
        health: None,
        triggers: Vec::new(),
        metrics: Vec::new(),
        failing: None,
        failures: Vec::new(),
        fallbacks: Vec::new(),
        faults: Vec::new(),
        observed: Observed::default(),
        operation: None,
        aftermath: None,
        summary: None,
        last_operation: None,
        operation_conditions: Vec::new(),
        unreadable: None,
        holds_object: false,
        checkpoint: None,
    }
}

pub(in crate::kubernetes) fn hold(reason: &'static str) -> Phase {
    Phase::Held(Hold { reason, message: format!("because of {reason}") })
}

pub(in crate::kubernetes) fn finding(severity: Severity, path: &str, allowed: &str) -> Finding {
    Finding { problem: Problem { path: path.to_owned(), value: None, allowed: allowed.to_owned() }, severity }
}

/// The status that a patch makes of another, as the API server does it.
pub(in crate::kubernetes) fn patched(status: &StatusView, patch: &Value) -> StatusView {
    let mut object = serde_json::json!({ "status": status });
    merge(&mut object, patch);
    serde_json::from_value(object["status"].take()).unwrap()
}

/// RFC 7386, section 2.
pub(in crate::kubernetes) fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    for (name, value) in fields {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(name);
        } else {
            merge(into.as_object_mut().unwrap().entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
