//! KEDA's conditions, with its exact reasons and messages (keda-semantics §1.4).
//!
//! `HPAActive` speaks of KEDA's own HorizontalPodAutoscaler. We make none, so it says of us what that would: what ScalingActive of the
//! ScaleRecord says. While the object is held for another writer, it stays as it is. Conditions of types that we do not know stay too.

use std::collections::BTreeMap;

use tidegate_calculator::decision::{Health, Limit};
use tidegate_crds::annotations::{
    FORCE_ACTIVATION, PAUSED, PAUSED_REPLICAS, PAUSED_SCALE_IN, PAUSED_SCALE_OUT, switch,
};
use tidegate_crds::trigger::Condition;
use tidegate_engine::protocol::{Entry, TargetError};
use tidegate_engine::snapshot::Phase;
use tidegate_engine::subject::Hold;

use super::scaling;
use super::words::{LONGEST_MESSAGE, cut, refusal, target_refusal};
use crate::kubernetes::known::{ObjectFacts, StatusView};

const READY: &str = "Ready";
const ACTIVE: &str = "Active";
const FALLBACK: &str = "Fallback";
const PAUSED_TYPE: &str = "Paused";
const HPA_ACTIVE: &str = "HPAActive";

const TRUE: &str = "True";
const FALSE: &str = "False";
const UNKNOWN: &str = "Unknown";

const IS_READY: &str = "ScaledObject is defined correctly and is ready for scaling";

/// The reasons of holds under which another writer is no obstacle: we watch on purpose.
const OBSERVING: [&str; 2] = ["Observe", "LiveKeda"];

/// All conditions after `entry`, KEDA's four first.
pub(super) fn next(facts: &ObjectFacts, entry: &Entry, previous: &[Condition]) -> Vec<Condition> {
    let before = |kind: &str| previous.iter().find(|condition| condition.kind == kind);
    let mut conditions = vec![
        ready(facts, entry, before(READY)),
        active_condition(facts, entry, before(ACTIVE)),
        fallback(entry),
        paused(&facts.annotations, before(PAUSED_TYPE)),
    ];
    conditions.extend(hpa_active(entry, before(HPA_ACTIVE)));
    let ours = [READY, ACTIVE, FALLBACK, PAUSED_TYPE, HPA_ACTIVE];
    conditions.extend(previous.iter().filter(|condition| !ours.contains(&condition.kind.as_str())).cloned());
    conditions
}

/// The status of the Active condition; none if there is no such condition.
pub(super) fn active(conditions: &[Condition]) -> Option<&str> {
    conditions.iter().find(|condition| condition.kind == ACTIVE).map(|condition| condition.status.as_str())
}

/// Whether the Fallback condition says that a fallback acts.
pub(super) fn falls_back(conditions: &[Condition]) -> bool {
    conditions.iter().any(|condition| condition.kind == FALLBACK && condition.status == TRUE)
}

/// Whether the object is ready for scaling now and was not before: then KEDA tells people. A pause is no such news.
pub(in crate::kubernetes) fn has_become_ready(previous: &[Condition], now: &[Condition]) -> bool {
    let ready = |conditions: &[Condition]| {
        let found = conditions.iter().find(|condition| condition.kind == READY && condition.status == TRUE);
        found.map(|condition| condition.message.as_deref() == Some(IS_READY))
    };
    ready(previous).is_none() && ready(now) == Some(true)
}

/// Whether an annotation makes the object count as active whatever its triggers say.
pub(in crate::kubernetes) fn is_force_activated(annotations: &BTreeMap<String, String>) -> bool {
    switch(Some(annotations), FORCE_ACTIVATION)
}

/// Whether the Ready condition has this reason.
pub(in crate::kubernetes) fn is_ready_because(status: &StatusView, reason: &str) -> bool {
    let found = status.conditions.iter().find(|condition| condition.kind == READY);
    found.is_some_and(|condition| condition.reason.as_deref() == Some(reason))
}

/// Whether a hold is there to watch on purpose, so that another writer is no obstacle.
pub(in crate::kubernetes) fn is_observing(hold: &Hold) -> bool {
    OBSERVING.contains(&hold.reason)
}

/// Whether the Paused condition says what the annotations say.
pub(super) fn shows_pause(conditions: &[Condition], annotations: &BTreeMap<String, String>) -> bool {
    let before = conditions.iter().find(|condition| condition.kind == PAUSED_TYPE);
    before == Some(&paused(annotations, before))
}

fn ready(facts: &ObjectFacts, entry: &Entry, before: Option<&Condition>) -> Condition {
    let failed = |reason, message: &str| condition(READY, FALSE, reason, message);
    match &entry.phase {
        Phase::Refused(findings) => failed("ScaledObjectCheckFailed", &refusal(findings)),
        Phase::Quarantined(why) => {
            let message = format!("deciding failed, and the object is left alone until its text changes: {why}");
            failed("ScaledObjectCheckFailed", &message)
        }
        Phase::TargetFailed(TargetError::Unavailable(why)) => {
            let message = format!("Error getting current replicas count for ScaleTarget: {why}");
            failed("ErrorGettingCurrentReplicas", &message)
        }
        Phase::TargetFailed(error) => failed("ScaledObjectCheckFailed", &target_refusal(&error.to_string())),
        Phase::Held(hold) if !is_observing(hold) => failed(hold.reason, &hold.message),
        Phase::Starting | Phase::Running | Phase::Paused | Phase::Held(_) => {
            if is_paused(&facts.annotations) || entry.phase == Phase::Paused {
                return condition(READY, TRUE, "ScaledObjectReady", "ScaledObject is paused");
            }
            match &entry.apply_error {
                Some(error) => failed("FailedUpdateScale", &error.to_string()),
                None if waits_for_fallback(entry) => healthy(Some(Health::Good), before),
                None => healthy(entry.health, before),
            }
        }
    }
}

/// Nothing acts while the object is not obeyed.
fn fallback(entry: &Entry) -> Condition {
    let obeyed = !matches!(entry.phase, Phase::Refused(_) | Phase::Quarantined(_));
    if obeyed && !entry.fallbacks.is_empty() {
        return condition(
            FALLBACK,
            TRUE,
            "FallbackExists",
            "At least one trigger is falling back on this scaled object",
        );
    }
    condition(FALLBACK, FALSE, "NoFallbackFound", "No fallbacks are active on this scaled object")
}

/// Nothing is active, and what fails has a fallback that does not act yet: to KEDA that is no trouble (keda-semantics §4.10).
fn waits_for_fallback(entry: &Entry) -> bool {
    let fails = entry.failures.iter().flatten().any(|failures| *failures > 0);
    entry.health == Some(Health::Failing) && entry.active == Some(false) && fails
}

/// Ready as the triggers say it. Before the first decision it stays as it was.
fn healthy(health: Option<Health>, before: Option<&Condition>) -> Condition {
    let Some(health) = health else {
        return kept(READY, before);
    };
    let (status, message) = match health {
        Health::Good => (TRUE, IS_READY),
        Health::Partial => (UNKNOWN, "Some triggers defined in ScaledObject are not working correctly"),
        Health::Failing => (FALSE, "Triggers defined in ScaledObject are not working correctly"),
    };
    condition(READY, status, health.reason(), message)
}

fn active_condition(facts: &ObjectFacts, entry: &Entry, before: Option<&Condition>) -> Condition {
    match &entry.phase {
        Phase::Refused(_)
        | Phase::Quarantined(_)
        | Phase::TargetFailed(TargetError::NotFound(_) | TargetError::NotScalable(_)) => {
            return condition(ACTIVE, UNKNOWN, "UnknownState", "ScaledObject check failed");
        }
        // A pause looks at no trigger.
        Phase::Paused => return kept(ACTIVE, before),
        Phase::Starting | Phase::Running | Phase::Held(_) | Phase::TargetFailed(_) => {}
    }
    let forced = !entry.triggers.contains(&true) && is_force_activated(&facts.annotations);
    let (status, reason, message) = match (entry.active, entry.limited_by) {
        (None, _) => return kept(ACTIVE, before),
        (Some(true), _) if forced => {
            (TRUE, "ScalerActive", "Scaling is performed because activation is being forced by annotation")
        }
        (Some(true), _) => (TRUE, "ScalerActive", "Scaling is performed because triggers are active"),
        (Some(false), Some(Limit::Cooldown)) => {
            (FALSE, "ScalerCooldown", "Scaler cooling down because triggers are not active")
        }
        (Some(false), _) => (FALSE, "ScalerNotActive", "Scaling is not performed because triggers are not active"),
    };
    condition(ACTIVE, status, reason, message)
}

/// Any of the pause annotations counts, those of one direction too. The end of a pause is told once there was one.
fn paused(annotations: &BTreeMap<String, String>, before: Option<&Condition>) -> Condition {
    let one_way = [PAUSED_SCALE_IN, PAUSED_SCALE_OUT].iter().any(|name| switch(Some(annotations), name));
    if is_paused(annotations) || one_way {
        return condition(PAUSED_TYPE, TRUE, "ScaledObjectPaused", "ScaledObject is paused");
    }
    match before {
        Some(before) if before.status == FALSE => before.clone(),
        Some(_) => condition(PAUSED_TYPE, FALSE, "ScaledObjectUnpaused", "pause annotation removed for ScaledObject"),
        None => Condition { kind: PAUSED_TYPE.to_owned(), status: FALSE.to_owned(), ..Condition::default() },
    }
}

/// Whether an annotation stops the whole object.
fn is_paused(annotations: &BTreeMap<String, String>) -> bool {
    switch(Some(annotations), PAUSED) || annotations.contains_key(PAUSED_REPLICAS)
}

/// What KEDA would say of its HorizontalPodAutoscaler. At zero that is idle, which is no trouble.
fn hpa_active(entry: &Entry, before: Option<&Condition>) -> Option<Condition> {
    let (status, reason, message) = scaling::active(entry);
    match status {
        // A pause is no trouble of its metrics.
        _ if matches!(entry.phase, Phase::Held(_) | Phase::Paused) => before.cloned(),
        UNKNOWN => before.cloned(),
        TRUE if entry.replicas == Some(0) => {
            let message = "scaling is disabled since the replica count of the target is zero";
            Some(condition(HPA_ACTIVE, TRUE, "ScalingDisabled", message))
        }
        TRUE => Some(condition(HPA_ACTIVE, TRUE, HPA_ACTIVE, "HPA is actively scaling")),
        _ => Some(condition(HPA_ACTIVE, FALSE, reason, &format!("HPA is not actively scaling: {message}"))),
    }
}

/// The condition as it was; Unknown without a reason, as KEDA begins, if there was none.
fn kept(kind: &str, before: Option<&Condition>) -> Condition {
    let fresh = || Condition { kind: kind.to_owned(), status: UNKNOWN.to_owned(), ..Condition::default() };
    before.cloned().unwrap_or_else(fresh)
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(cut(message.to_owned(), LONGEST_MESSAGE)),
    }
}
