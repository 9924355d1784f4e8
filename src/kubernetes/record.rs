//! Says what an object's ScaleRecord should hold: what `kubectl get sr` shows, and what the next start needs to know.
//!
//! Everything here is pure. The status is written whole by server-side apply, as field manager [`FIELD_MANAGER`] and by
//! force: nobody else writes a record. Its numbers are those of the last write, never live ones.

mod conditions;
mod operations;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};
use tidegate_calculator::decision::{Health, Limit};
use tidegate_calculator::policy::Pause;
use tidegate_crds::scale_record::{self, LastChange, Target};
use tidegate_crds::{KEDA_GROUP, ScaleRecordStatus, TIDEGATE_GROUP, VERSION};
use tidegate_engine::protocol::{Entry, Observed};
use tidegate_engine::snapshot::Phase;
use tidegate_engine::subject::{Fault, ObjectId, Subject, TargetRef};

use super::status::{LONGEST_MESSAGE, count, cut, seconds};

/// Where the operation that is under way stands in a record's `operation`.
const STATE: &str = "state";
/// Where what operations have left behind stands there.
const AFTERMATH: &str = "aftermath";
/// Whether the object must be kept stands there.
const KEPT: &str = "keepsObject";

/// Who owns the fields that we write.
pub const FIELD_MANAGER: &str = "tidegate";

/// The status of a record after `entry`, at `now`. What this entry says nothing about stays as it was.
///
/// `lost` is why the stored checkpoint could not be read, if that has just happened.
pub fn next(
    target: &TargetRef,
    entry: &Entry,
    previous: &ScaleRecordStatus,
    lost: Option<&str>,
    now: Timestamp,
) -> ScaleRecordStatus {
    let now = Time(seconds(now));
    let reference = Some(target.to_string());
    let target = of(target);
    // What is told of another target says nothing about this one.
    let same = previous.target.as_ref() == Some(&target);
    let last_change = entry.last_change.as_ref().map(|last| LastChange {
        at: Time(seconds(last.at)),
        from: count(last.from),
        to: count(last.to),
        why: Some(cut(last.why.clone(), LONGEST_MESSAGE)),
    });
    let ended = entry.last_operation.as_deref().map(operations::shown);
    let checkpoint = entry.checkpoint.as_ref().map(|checkpoint| checkpoint.0.as_str().into());
    ScaleRecordStatus {
        replicas: entry.replicas.map(count).or(previous.replicas.filter(|_| same)),
        desired: entry.desired.map(count),
        min: entry.bounds.map(|(min, _)| count(min)),
        max: entry.bounds.map(|(_, max)| count(max)),
        limited_by: entry.limited_by.filter(|limit| *limit != Limit::Metrics).map(|limit| limit.reason().to_owned()),
        mode: Some(mode(&entry.phase).to_owned()),
        last_change: last_change.or_else(|| previous.last_change.clone().filter(|_| same)),
        operation: operation_of(entry, previous.operation.as_ref().filter(|_| same))
            .or_else(|| previous.operation.clone().filter(|_| same && checkpoint.is_none())),
        // That it was the last stays true as long as none has ended since, also for whoever cannot read what is stored of it.
        last_operation: ended.or_else(|| previous.last_operation.clone().filter(|_| same)),
        observed: observed_of(entry.observed).or_else(|| previous.observed.filter(|_| same)),
        checkpoint: checkpoint.or_else(|| previous.checkpoint.clone()),
        conditions: conditions::next(&target, entry, (&previous.conditions, same), lost, &now),
        target: Some(target),
        reference,
    }
}

/// Whether a record is about this subject: its target, its bounds and how it is run.
pub fn is_about(record: &ScaleRecordStatus, subject: &Subject) -> bool {
    let phase = match &subject.hold {
        Some(hold) => Phase::Held(hold.clone()),
        None if subject.policy.pause != Pause::No => Phase::Paused,
        None => Phase::Running,
    };
    record.target.as_ref().is_some_and(|named| is_of(named, &subject.target))
        && record.reference.as_ref() == Some(&subject.target.to_string())
        && record.min == Some(count(subject.policy.min))
        && record.max == Some(count(subject.policy.max))
        && record.mode.as_deref() == Some(mode(&phase))
        && conditions::are_of(&record.conditions, subject.hold.as_ref())
        && is_about_policies(record, &subject.faults)
}

/// Whether a record tells of just these policies that take no part.
pub fn is_about_policies(record: &ScaleRecordStatus, faults: &[Fault]) -> bool {
    conditions::are_of_policies(&record.conditions, faults)
}

/// What other writers did while the object was held, as a record tells.
pub fn observed(record: &ScaleRecordStatus) -> Option<Observed> {
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    record.observed.map(|seen| Observed { agreed: count(seen.agreed), differed: count(seen.differed) })
}

/// The stored form; nothing as long as nothing was seen.
fn observed_of(seen: Observed) -> Option<scale_record::Observed> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let stored = scale_record::Observed { agreed: count(seen.agreed), differed: count(seen.differed) };
    (seen != Observed::default()).then_some(stored)
}

/// The operation that is under way and what operations have left behind, as a record keeps them.
pub fn operation(record: &ScaleRecordStatus) -> (Option<Arc<str>>, Option<Arc<str>>) {
    let text = |field: &str| Some(record.operation.as_ref()?.stored.get(field)?.as_str()?.into());
    (text(STATE), text(AFTERMATH))
}

/// The stored form, with what people see of it; nothing for an object without any. What was shown of one that cannot be read stays.
fn operation_of(entry: &Entry, previous: Option<&scale_record::Operation>) -> Option<scale_record::Operation> {
    let fields = [(STATE, &entry.operation), (AFTERMATH, &entry.aftermath)];
    let texts = fields.into_iter().filter_map(|(field, text)| Some((field.to_owned(), text.as_deref()?.into())));
    let kept = entry.holds_object.then(|| (KEPT.to_owned(), true.into()));
    let stored: Map<String, Value> = texts.chain(kept).collect();
    let hidden = previous.filter(|_| entry.unreadable.is_some()).and_then(|before| before.summary.clone());
    let summary = entry.summary.as_deref().map(operations::shown).or(hidden);
    (!stored.is_empty()).then_some(scale_record::Operation { summary, stored })
}

/// Whether a record says that its object must not go away.
pub fn is_kept(record: &ScaleRecordStatus) -> bool {
    record.operation.as_ref().is_some_and(|operation| operation.stored.get(KEPT) == Some(&Value::Bool(true)))
}

/// Whether a record that is only looked at loosely says that its object must not go away.
pub fn keeps_object(record: &Value) -> bool {
    record.pointer("/status/operation").and_then(|operation| operation.get(KEPT)) == Some(&Value::Bool(true))
}

/// The first failing trigger that a record tells of.
pub fn failing(record: &ScaleRecordStatus) -> Option<u8> {
    conditions::failing(&record.conditions)
}

/// How the triggers are, as a record tells; none if it cannot be read back.
pub fn health(record: &ScaleRecordStatus) -> Option<Health> {
    conditions::health(&record.conditions)
}

/// Whether what a record names is this target.
pub fn is_of(named: &Target, target: &TargetRef) -> bool {
    *named == of(target)
}

fn of(target: &TargetRef) -> Target {
    Target { api_version: target.api_version.to_string(), kind: target.kind.to_string(), name: target.name.to_string() }
}

/// How an object is run, in one word.
fn mode(phase: &Phase) -> &'static str {
    match phase {
        Phase::Starting | Phase::Running => "Scale",
        Phase::Held(hold) if matches!(hold.reason, "Observe" | "LiveKeda") => "Observe",
        Phase::Held(_) | Phase::Paused | Phase::Refused(_) | Phase::TargetFailed(_) | Phase::Quarantined(_) => {
            phase.reason()
        }
    }
}

/// The record itself, to be applied before its status can be: it belongs to its ScaledObject and goes with it.
pub fn record(id: &ObjectId, owner_uid: &str) -> Value {
    json!({
        "apiVersion": format!("{TIDEGATE_GROUP}/{VERSION}"),
        "kind": "ScaleRecord",
        "metadata": {
            "name": &*id.name,
            "namespace": &*id.namespace,
            "ownerReferences": [{
                "apiVersion": format!("{KEDA_GROUP}/{VERSION}"),
                "kind": "ScaledObject",
                "name": &*id.name,
                "uid": owner_uid,
                "controller": true,
                // Deleting the ScaledObject must never wait for its record.
                "blockOwnerDeletion": false,
            }],
        },
    })
}

/// The status of a record, to be applied to its `/status`.
pub fn status(id: &ObjectId, status: &ScaleRecordStatus) -> Value {
    json!({
        "apiVersion": format!("{TIDEGATE_GROUP}/{VERSION}"),
        "kind": "ScaleRecord",
        "metadata": { "name": &*id.name, "namespace": &*id.namespace },
        "status": status,
    })
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod write_tests;
