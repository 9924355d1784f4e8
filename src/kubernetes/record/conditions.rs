//! The conditions of a ScaleRecord: the HorizontalPodAutoscaler's three, always, and ours, each only while it is the case.
//!
//! * `AbleToScale`, `ScalingActive`, `ScalingLimited` have the meaning and, where there is one, the reason that
//!   autoscaling/v2 gives them, so that what watches an HPA can watch a record.
//! * `Held`: something forbids touching the target; the reason says what, the message what to do.
//! * `Refused`: the text cannot be obeyed. `TargetFailed`: the target cannot be read. `TriggersFailed`: a trigger has no
//!   value. What an operation says, with its direction as the reason. `OperationUnreadable`: what is stored of operations cannot be read, so
//!   nothing that it may concern is done. `PolicyMissing` and `PolicyInvalid`: a policy that the object names takes no part, so nothing is
//!   lowered. `Quarantined`: deciding failed. `CheckpointLost`: the memory began anew within the last hour.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use tidegate_calculator::decision::{Health, Limit};
use tidegate_calculator::operation::Direction;
use tidegate_crds::scale_record::Target;
use tidegate_engine::protocol::Entry;
use tidegate_engine::snapshot::Phase;
use tidegate_engine::subject::{Fault, Hold};

use crate::kubernetes::status::scaling::{self, Said};
use crate::kubernetes::status::{LONGEST_MESSAGE, cut, refusal};

const TRUE: &str = "True";
const FALSE: &str = "False";
const UNKNOWN: &str = "Unknown";

const ABLE_TO_SCALE: &str = "AbleToScale";
const FAILED_UPDATE: &str = "FailedUpdateScale";
const CHECKPOINT_LOST: &str = "CheckpointLost";
const TRIGGERS_FAILED: &str = "TriggersFailed";

const OPERATION_UNREADABLE: &str = "OperationUnreadable";

const POLICY_MISSING: &str = "PolicyMissing";
const POLICY_INVALID: &str = "PolicyInvalid";

/// How long a lost memory is worth knowing: the longest window that it could have held.
const WORTH_KNOWING: SignedDuration = SignedDuration::from_hours(1);

/// All conditions after `entry`; a transition time moves only when the status does. `same` says whether those before are of the same target.
pub(super) fn next(
    target: &Target,
    entry: &Entry,
    (previous, same): (&[Condition], bool),
    lost: Option<&str>,
    now: &Time,
) -> Vec<Condition> {
    let mut said = vec![
        (ABLE_TO_SCALE, able_to_scale(target, entry)),
        ("ScalingActive", scaling::active(entry)),
        ("ScalingLimited", scaling_limited(entry)),
    ];
    said.extend(ours(entry));
    let conditions = said.into_iter().map(|(kind, said)| condition(kind, said, previous, now));
    let of_operations = entry.operation_conditions.iter().map(|told| {
        let said = (if told.holds { TRUE } else { FALSE }, told.direction.as_str(), told.message.clone());
        condition(&told.name, said, previous, now)
    });
    // Whoever cannot read what operations said takes none of it back.
    let told = |kind: &str| entry.operation_conditions.iter().any(|told| told.name == kind);
    let unread = previous.iter().filter(|_| same && entry.unreadable.is_some());
    let unread = unread.filter(|before| is_of_operation(before) && !told(&before.type_)).cloned();
    conditions.chain(of_operations).chain(unread).chain(checkpoint_lost(previous, lost, now)).collect()
}

/// Whether an operation has said this: its reason is a direction.
fn is_of_operation(condition: &Condition) -> bool {
    Direction::ALL.iter().any(|direction| direction.as_str() == condition.reason)
}

fn able_to_scale(target: &Target, entry: &Entry) -> Said {
    match &entry.phase {
        Phase::TargetFailed(error) => (FALSE, "FailedGetScale", error.to_string()),
        Phase::Held(hold) => (FALSE, hold.reason, hold.message.clone()),
        Phase::Refused(_) => (FALSE, "Refused", "the object's text cannot be obeyed".to_owned()),
        Phase::Quarantined(_) => (FALSE, "Quarantined", "deciding about the object failed".to_owned()),
        Phase::Starting | Phase::Running | Phase::Paused => {
            if let Some(error) = &entry.apply_error {
                return (FALSE, FAILED_UPDATE, error.to_string());
            }
            let message = format!("the scale of {}/{} can be read", target.kind, target.name);
            (TRUE, "SucceededGetScale", message)
        }
    }
}

fn scaling_limited(entry: &Entry) -> Said {
    let within = "the desired count is within the acceptable range";
    let (status, reason, message) = match entry.limited_by {
        None => (UNKNOWN, "Starting", "nothing has been decided yet"),
        Some(Limit::Metrics | Limit::Idle) => (FALSE, "DesiredWithinRange", within),
        Some(Limit::Minimum) => (TRUE, "TooFewReplicas", "the desired count is less than minReplicaCount"),
        Some(Limit::Maximum) => (TRUE, "TooManyReplicas", "the desired count is more than maxReplicaCount"),
        Some(Limit::ScaleUpRate) => (TRUE, "ScaleUpLimit", "the desired count is rising faster than the rate allows"),
        Some(Limit::ScaleDownRate) => {
            (TRUE, "ScaleDownLimit", "the desired count is falling faster than the rate allows")
        }
        Some(limit @ Limit::Stabilization) => (TRUE, limit.reason(), "a stabilization window holds the count"),
        Some(limit @ Limit::Cooldown) => (TRUE, limit.reason(), "the cooldown has not ended"),
        Some(limit @ Limit::Paused) => (TRUE, limit.reason(), "an annotation pauses the object"),
        Some(limit @ Limit::FailedTrigger) => (TRUE, limit.reason(), "a trigger has no value, so nothing is lowered"),
        Some(limit @ Limit::Settling) => {
            (TRUE, limit.reason(), "what a trigger measures has just begun, so nothing is lowered")
        }
        Some(limit @ Limit::PolicyMissing) => {
            (TRUE, limit.reason(), "a policy that the object names is missing, so nothing is lowered")
        }
        Some(limit @ Limit::PolicyInvalid) => {
            (TRUE, limit.reason(), "a policy that the object names is invalid, so nothing is lowered")
        }
        Some(limit @ Limit::Gate) => (TRUE, limit.reason(), "a gate forbids the change"),
        Some(limit @ Limit::DirectionCooldown) => {
            (TRUE, limit.reason(), "a change in the other direction is too recent")
        }
        Some(limit @ Limit::MaxParallelism) => {
            (TRUE, limit.reason(), "more replicas are of no use to the Flink jobs that run on them")
        }
        Some(limit @ Limit::Schedule) => (TRUE, limit.reason(), "a schedule bounds the desired count"),
    };
    (status, reason, message.to_owned())
}

/// What is the case of what should not be.
fn ours(entry: &Entry) -> Vec<(&'static str, Said)> {
    let mut ours = Vec::new();
    match &entry.phase {
        Phase::Held(hold) => ours.push(("Held", (TRUE, hold.reason, hold.message.clone()))),
        Phase::Refused(findings) => {
            ours.push(("Refused", (TRUE, "ScaledObjectCheckFailed", refusal(findings))));
        }
        Phase::TargetFailed(error) => ours.push(("TargetFailed", (TRUE, error.reason(), error.to_string()))),
        Phase::Quarantined(why) => ours.push(("Quarantined", (TRUE, "DecisionFailed", why.clone()))),
        Phase::Starting | Phase::Running | Phase::Paused => {}
    }
    ours.extend(of_policies(&entry.faults));
    if let Some(unreadable) = &entry.unreadable {
        ours.push((OPERATION_UNREADABLE, (TRUE, unreadable.reason, unreadable.message.clone())));
    }
    let looked = matches!(entry.phase, Phase::Starting | Phase::Running | Phase::Held(_));
    if let (true, Some(health @ (Health::Partial | Health::Failing))) = (looked, entry.health) {
        let lowered = if health == Health::Partial { "" } else { ", so nothing is lowered" };
        let message = format!("{}{lowered}; `tidegate explain` says why", scaling::trouble(entry));
        ours.push((TRIGGERS_FAILED, (TRUE, health.reason(), message)));
    }
    ours
}

/// The policies that take no part: those that are missing, and those that are invalid.
fn of_policies(faults: &[Fault]) -> Vec<(&'static str, Said)> {
    let of = |kind, missing| {
        let those: Vec<Fault> = faults.iter().filter(|fault| fault.kind.is_missing() == missing).cloned().collect();
        let message = format!("nothing is lowered until this is mended: {}", Fault::joined(&those));
        Some((kind, (TRUE, those.first()?.kind.reason(), message)))
    };
    [of(POLICY_MISSING, true), of(POLICY_INVALID, false)].into_iter().flatten().collect()
}

/// The first failing trigger, read back from the condition.
pub(super) fn failing(conditions: &[Condition]) -> Option<u8> {
    let told = conditions.iter().find(|condition| condition.type_ == TRIGGERS_FAILED)?;
    told.message.strip_prefix(scaling::TRIGGER)?.split_once(']')?.0.parse().ok()
}

/// How the triggers are, read back from the condition; none if it says something that we never say.
pub(super) fn health(conditions: &[Condition]) -> Option<Health> {
    let Some(told) = conditions.iter().find(|condition| condition.type_ == TRIGGERS_FAILED) else {
        return Some(Health::Good);
    };
    [Health::Partial, Health::Failing].into_iter().find(|health| health.reason() == told.reason)
}

/// Whether nothing is the case but this hold, if any. A write that failed is over with the process that tried it.
pub(super) fn are_of(conditions: &[Condition], hold: Option<&Hold>) -> bool {
    let is = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    ["Refused", "TargetFailed", "Quarantined"].into_iter().all(|kind| is(kind).is_none())
        && is(ABLE_TO_SCALE).is_none_or(|told| told.reason != FAILED_UPDATE)
        && match (is("Held"), hold) {
            (Some(told), Some(hold)) => told.reason == hold.reason && told.message == hold.message,
            (None, None) => true,
            _ => false,
        }
}

/// Whether just these policies take no part.
pub(super) fn are_of_policies(conditions: &[Condition], faults: &[Fault]) -> bool {
    let said = of_policies(faults);
    [POLICY_MISSING, POLICY_INVALID].into_iter().all(|kind| {
        let told = conditions.iter().find(|condition| condition.type_ == kind);
        let is = said.iter().find(|(of, _)| *of == kind).map(|(_, said)| said);
        match (told, is) {
            (Some(told), Some((_, reason, message))) => {
                told.reason == *reason && told.message == cut(message.clone(), LONGEST_MESSAGE)
            }
            (None, None) => true,
            _ => false,
        }
    })
}

/// Told when it happens, and for an hour after.
fn checkpoint_lost(previous: &[Condition], lost: Option<&str>, now: &Time) -> Option<Condition> {
    if let Some(why) = lost {
        let message =
            format!("the memory began anew: nothing is lowered for one window, the cooldown begins anew: {why}");
        return Some(condition(CHECKPOINT_LOST, (TRUE, "CheckpointUnreadable", message), previous, now));
    }
    let told = previous.iter().find(|condition| condition.type_ == CHECKPOINT_LOST)?;
    (now.0.duration_since(told.last_transition_time.0) < WORTH_KNOWING).then(|| told.clone())
}

fn condition(kind: &str, (status, reason, message): Said, previous: &[Condition], now: &Time) -> Condition {
    let before = previous.iter().find(|before| before.type_ == kind && before.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: cut(message, LONGEST_MESSAGE),
        last_transition_time: before.map_or_else(|| now.clone(), |before| before.last_transition_time.clone()),
        observed_generation: None,
    }
}
