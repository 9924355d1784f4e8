//! Says what a ScaledObject's `/status` should hold, in KEDA's fields and words, so that KEDA's tools go on working.
//!
//! Everything here is pure: facts, an entry of the engine and the status before go in, the status after and the merge patch
//! between the two come out. The rules are keda-semantics §1.2 and §1.4. `hpaName` is never written, and `compositeScalerName` stays
//! as it is.
//!
//! `lastActiveTime` moves only when the Active condition does: while an object is active, the condition itself says that
//! the last activity is now.

mod conditions;
pub(super) mod scaling;
mod words;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};
use tidegate_crds::TriggerActivity;
use tidegate_crds::annotations::PAUSED_REPLICAS;
use tidegate_crds::scaled_object::{GroupVersionKindResource, Health};
use tidegate_engine::protocol::{Activity, Entry};
use tidegate_engine::snapshot::Phase;
use tidegate_engine::subject::TargetRef;

use super::known::{ObjectFacts, StatusView};

pub(super) use conditions::{has_become_ready, is_force_activated, is_observing, is_ready_because};
pub(super) use words::{LONGEST_MESSAGE, count, cut, refusal, seconds};

/// What `health.status` may say.
const HAPPY: &str = "Happy";
const FAILING: &str = "Failing";

/// A status that differs from the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusChange {
    /// The JSON merge patch (RFC 7386) of the whole object: `{"status": {...}}`, with the fields that differ alone.
    pub patch: Value,
    /// The status once the patch is applied.
    pub status: StatusView,
}

/// What must be written into the status of an object that shows `previous`; none if it says everything already.
pub fn change(facts: &ObjectFacts, entry: &Entry, previous: &StatusView) -> Option<StatusChange> {
    let status = next(facts, entry, previous);
    let difference = difference(previous, &status)?;
    Some(StatusChange { patch: json!({ "status": difference }), status })
}

/// The whole status after `entry`. What this entry says nothing about stays as it was.
fn next(facts: &ObjectFacts, entry: &Entry, previous: &StatusView) -> StatusView {
    let mut status = previous.clone();
    if !facts.target_resource.is_empty() {
        let target = resource(&facts.target, &facts.target_resource);
        status.scale_target_kind = Some(scale_target_kind(&facts.target));
        status.scale_target_gvkr = Some(target);
    }
    if status.original_replica_count.is_none() {
        status.original_replica_count = original(entry);
    }
    if !matches!(entry.phase, Phase::Refused(_) | Phase::Quarantined(_)) {
        status.resource_metric_names.clone_from(&facts.resource_metric_names);
        let names = metric_names(facts, &entry.metrics, previous);
        status.external_metric_names = names.iter().flatten().cloned().collect();
        status.triggers_types = Some(facts.trigger_types.clone());
        status.authentications_types = Some(facts.authentications.clone());
        status.triggers_activity = activity(&names, entry, &previous.triggers_activity);
        status.health = health(&names, entry, &previous.health);
        status.paused_replica_count = paused_at(facts, entry, previous);
    }
    status.conditions = conditions::next(facts, entry, &previous.conditions);
    if conditions::active(&status.conditions) != conditions::active(&previous.conditions)
        || status.last_active_time.is_none()
    {
        // The later of two counts: a memory that was lost must not shorten a cooldown.
        let seen = entry.last_active.map(|at| Time(seconds(at)));
        status.last_active_time = seen.max(status.last_active_time);
    }
    status
}

/// Whether the fields that follow from an object's text are about its present text.
pub(super) fn is_about(status: &StatusView, facts: &ObjectFacts) -> bool {
    let paused_at = facts.annotations.get(PAUSED_REPLICAS).and_then(|text| text.trim().parse::<i32>().ok());
    status.scale_target_kind.as_deref() == Some(&*scale_target_kind(&facts.target))
        && status.original_replica_count.is_some()
        && status.resource_metric_names == facts.resource_metric_names
        && status.external_metric_names.iter().eq(metric_names(facts, &[], status).iter().flatten())
        && status.triggers_types.as_ref() == Some(&facts.trigger_types)
        && status.authentications_types.as_ref() == Some(&facts.authentications)
        && status.paused_replica_count == paused_at
        && conditions::shows_pause(&status.conditions, &facts.annotations)
}

/// The names of the external metrics by trigger: what its text says; else what was read of it; else what the status shows of a trigger at its
/// place, as long as the types of the triggers are the same.
pub(super) fn metric_names(facts: &ObjectFacts, read: &[Vec<String>], status: &StatusView) -> Vec<Vec<String>> {
    let same = status.triggers_types.as_ref() == Some(&facts.trigger_types);
    let shown = |index: usize| {
        let place = format!("s{index}-");
        let all = status.external_metric_names.iter().filter(move |name| same && name.starts_with(&place));
        all.cloned().collect::<Vec<String>>()
    };
    let of = |(index, declared): (usize, &Vec<String>)| match read.get(index) {
        _ if !declared.is_empty() => declared.clone(),
        Some(names) if !names.is_empty() => names.clone(),
        _ => shown(index),
    };
    facts.metric_names.iter().enumerate().map(of).collect()
}

/// What the status shows of the metrics whose names no text says, by trigger; nothing at all if there are none.
pub(super) fn read_metric_names(facts: &ObjectFacts) -> Vec<Vec<String>> {
    let names = metric_names(facts, &[], &facts.status.open()).into_iter().zip(&facts.metric_names);
    let read = names.map(|(names, declared)| if declared.is_empty() { names } else { Vec::new() });
    let read: Vec<Vec<String>> = read.collect();
    if read.iter().all(Vec::is_empty) { Vec::new() } else { read }
}

/// What the Active condition says; none if it does not know, or is not there.
pub(super) fn is_active(status: &StatusView) -> Option<bool> {
    match conditions::active(&status.conditions)? {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

/// What a status says of the activity.
pub(super) fn last_activity(status: &StatusView) -> Activity {
    Activity { last: status.last_active_time.as_ref().map(|time| time.0), lasts: is_active(status) == Some(true) }
}

/// KEDA's `<group>/<version>.<Kind>`; the core group has no name before the slash.
pub(super) fn scale_target_kind(target: &TargetRef) -> String {
    let (group, version) = group_and_version(target);
    format!("{group}/{version}.{}", target.kind)
}

fn resource(target: &TargetRef, plural: &str) -> GroupVersionKindResource {
    let (group, version) = group_and_version(target);
    GroupVersionKindResource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: target.kind.to_string(),
        resource: plural.to_owned(),
    }
}

fn group_and_version(target: &TargetRef) -> (&str, &str) {
    target.api_version.rsplit_once('/').unwrap_or(("", &target.api_version))
}

/// The replicas before anything was changed: the first entry comes after the first write, which knows where it began.
fn original(entry: &Entry) -> Option<i32> {
    entry.last_change.as_ref().map(|last| last.from).or(entry.replicas).map(count)
}

/// Which metrics are active. A pause looks at no trigger, and before the first decision there is nothing to say.
fn activity(
    names: &[Vec<String>],
    entry: &Entry,
    previous: &BTreeMap<String, TriggerActivity>,
) -> BTreeMap<String, TriggerActivity> {
    let names = names.iter().enumerate();
    let looked = entry.health.is_some() && entry.phase != Phase::Paused;
    let activity = names.flat_map(|(index, names)| {
        let is_active = entry.triggers.get(index).copied().filter(|_| looked);
        names.iter().filter_map(move |name| {
            let now = is_active.map(|is_active| TriggerActivity { is_active: Some(is_active) });
            Some((name.clone(), now.or_else(|| previous.get(name).copied())?))
        })
    });
    activity.collect()
}

/// How often triggers have failed in a row, as their last flip says it; kept by objects with a fallback alone.
fn health(names: &[Vec<String>], entry: &Entry, previous: &BTreeMap<String, Health>) -> BTreeMap<String, Health> {
    let names = names.iter().enumerate();
    let looked = entry.health.is_some() && entry.phase != Phase::Paused;
    let health = names.flat_map(|(index, names)| {
        let now = entry.failures.get(index).copied().flatten().map(health_after);
        names.iter().filter_map(move |name| {
            let health = if looked { now.clone() } else { previous.get(name).cloned() };
            Some((name.clone(), health?))
        })
    });
    health.collect()
}

fn health_after(failures: u32) -> Health {
    let status = if failures == 0 { HAPPY } else { FAILING };
    Health { number_of_failures: Some(count(failures)), status: Some(status.to_owned()) }
}

/// The triggers that fail, and those of them that have failed more than `threshold` times; one bit a trigger. None if the status does
/// not say it of every metric of these facts, and of no other.
pub(super) fn failures(status: &StatusView, facts: &ObjectFacts, threshold: u32) -> Option<(u64, u64)> {
    let known = metric_names(facts, &[], status);
    if known.iter().flatten().count() != status.health.len() {
        return None;
    }
    let (mut failing, mut acting) = (0, 0);
    for (names, index) in known.iter().zip(0_u32..) {
        let bit = 1_u64.checked_shl(index).unwrap_or(0);
        for name in names {
            let health = status.health.get(name)?;
            if health.status.as_deref() == Some(FAILING) {
                failing |= bit;
                let more = health.number_of_failures.is_some_and(|failures| i64::from(failures) > i64::from(threshold));
                acting |= if more { bit } else { 0 };
            }
        }
    }
    (conditions::falls_back(&status.conditions) == (acting != 0)).then_some((failing, acting))
}

/// `paused-replicas` while it holds the object.
fn paused_at(facts: &ObjectFacts, entry: &Entry, previous: &StatusView) -> Option<i32> {
    let given = facts.annotations.get(PAUSED_REPLICAS)?.trim().parse::<i32>().ok()?;
    match entry.phase {
        Phase::Paused => Some(given),
        _ => previous.paused_replica_count,
    }
}

/// The merge patch from one status to another; none if they are equal.
fn difference(from: &StatusView, to: &StatusView) -> Option<Value> {
    if from == to {
        return None;
    }
    // Both are plain structs of texts and numbers, which always have a JSON form.
    let form = |status: &StatusView| serde_json::to_value(status).unwrap_or_default();
    merge_patch(&form(from), &form(to))
}

/// RFC 7386: objects are merged, everything else is replaced, and null removes.
fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return (from != to).then(|| to.clone());
    };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        let changed = match old.get(name) {
            Some(before) => merge_patch(before, value),
            None => Some(value.clone()),
        };
        if let Some(changed) = changed {
            patch.insert(name.clone(), changed);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
pub(super) mod fixtures;
#[cfg(test)]
mod tests;
