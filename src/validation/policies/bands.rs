//! `gates`, `directionCooldown` and `schedules` of a policy.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_calculator::calendar::{Calendar, CalendarError};
use tidegate_calculator::rules::{Block, Condition, DirectionCooldown, Gate, Release, Schedule};

use super::super::findings::{Findings, shown};
use super::fields::{condition, is_given, list, text, wait};
use crate::manifests::path;

/// A gate and the name of its trigger; its position is known only together with an object.
pub(super) type NamedGate = (Arc<str>, Gate);

/// Reads `gates`. Only of use when no error was found.
pub(super) fn gates(spec: &Value, findings: &mut Findings) -> Vec<NamedGate> {
    let entries = list(spec, "gates").iter().enumerate().filter(|(_, entry)| entry.is_object());
    entries.filter_map(|(index, entry)| gate(entry, &path::item("gates", index), findings)).collect()
}

fn gate(entry: &Value, here: &str, findings: &mut Findings) -> Option<NamedGate> {
    let closes = condition(entry, here, findings);
    let held_for = wait(entry, "for", here, findings).unwrap_or_default();
    let release = release(entry, closes, here, findings);
    let block = match text(entry, "block")? {
        "ScaleDown" => Block::ScaleDown,
        "ScaleUp" => Block::ScaleUp,
        "Both" => Block::Both,
        _ => return None,
    };
    let name = text(entry, "name")?.into();
    Some((text(entry, "trigger")?.into(), Gate { name, trigger: 0, closes: closes?, held_for, release, block }))
}

/// What opens a gate must lie on the other side of what closes it, or both would hold at once.
fn release(entry: &Value, closes: Option<Condition>, here: &str, findings: &mut Findings) -> Option<Release> {
    let block = entry.get("release").filter(|block| block.is_object())?;
    let here = path::child(here, "release");
    let release = condition(block, &here, findings);
    let held_for = wait(block, "for", &here, findings).unwrap_or_default();
    let condition = release?;
    let wrong = match (closes?, condition) {
        (Condition::Above(close), Condition::Below(open)) if open > close => {
            Some(("below", open, format!("is above what closes the gate ({close}); below <= above is needed")))
        }
        (Condition::Below(close), Condition::Above(open)) if open < close => {
            Some(("above", open, format!("is below what closes the gate ({close}); above >= below is needed")))
        }
        (Condition::Above(_), Condition::Above(open)) => {
            Some(("above", open, "is on the same side as what closes the gate; below is needed".to_owned()))
        }
        (Condition::Below(_), Condition::Below(open)) => {
            Some(("below", open, "is on the same side as what closes the gate; above is needed".to_owned()))
        }
        _ => None,
    };
    if let Some((side, value, allowed)) = wrong {
        findings.refuse(path::child(&here, side), Some(value.to_string()), allowed);
    }
    Some(Release { condition, held_for })
}

/// Reads `directionCooldown`; none if there is none.
pub(super) fn cooldown(spec: &Value, findings: &mut Findings) -> Option<DirectionCooldown> {
    let here = "directionCooldown";
    let block = spec.get(here).filter(|block| block.is_object())?;
    let names = ["scaleDownAfterScaleUp", "scaleUpAfterScaleDown"];
    if !names.iter().any(|name| is_given(block, name)) {
        findings.warn(here, None, format!("has no effect without {} or {}", names[0], names[1]));
    }
    let [down_after_up, up_after_down] = names.map(|name| wait(block, name, here, findings).unwrap_or_default());
    Some(DirectionCooldown { down_after_up, up_after_down })
}

/// Reads `schedules`. Only of use when no error was found.
pub(super) fn schedules(spec: &Value, findings: &mut Findings) -> Vec<Schedule> {
    let entries = list(spec, "schedules").iter().enumerate().filter(|(_, entry)| entry.is_object());
    entries.filter_map(|(index, entry)| schedule(entry, &path::item("schedules", index), findings)).collect()
}

fn schedule(entry: &Value, here: &str, findings: &mut Findings) -> Option<Schedule> {
    let count = |name: &str| entry.get(name).and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
    let (min, max) = (count("minReplicaCount"), count("maxReplicaCount"));
    if !is_given(entry, "minReplicaCount") && !is_given(entry, "maxReplicaCount") {
        findings.refuse(here, None, "must have minReplicaCount or maxReplicaCount");
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let allowed = format!("is above maxReplicaCount ({max}); minReplicaCount <= maxReplicaCount is needed");
        findings.refuse(path::child(here, "minReplicaCount"), Some(min.to_string()), allowed);
    }
    let words = |name: &str| text(entry, name).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    if let (Some(start), Some(end)) = (words("start"), words("end"))
        && start == end
    {
        findings.refuse(path::child(here, "end"), Some(shown(&end.into())), "is the same as start; they must differ");
    }
    let zone = text(entry, "timeZone");
    let mut known = zone.is_some();
    let mut calendar = |name: &str| calendar(entry, name, zone, &mut known, here, findings);
    let (start, end) = (calendar("start"), calendar("end"));
    Some(Schedule { name: text(entry, "name")?.into(), start: start?, end: end?, min, max })
}

/// Reads a cron expression. An unknown zone is named once, at its own field.
fn calendar(
    entry: &Value,
    name: &str,
    zone: Option<&str>,
    known: &mut bool,
    here: &str,
    findings: &mut Findings,
) -> Option<Calendar> {
    let (expression, place) = (text(entry, name)?, path::child(here, name));
    if expression.contains('=') {
        let allowed = "names a time zone; timeZone is the place for it";
        findings.refuse(place, Some(shown(&expression.into())), allowed);
        return None;
    }
    match Calendar::new(expression, zone.unwrap_or("UTC")) {
        Ok(calendar) if calendar.next_after(Timestamp::UNIX_EPOCH).is_none() => {
            findings.refuse(place, Some(shown(&expression.into())), "never happens");
            None
        }
        Ok(calendar) => Some(calendar),
        Err(error @ CalendarError::Zone) => {
            if std::mem::take(known) {
                let place = path::child(here, "timeZone");
                findings.refuse(place, zone.map(|zone| shown(&zone.into())), error.to_string());
            }
            None
        }
        Err(error @ CalendarError::Expression(_)) => {
            findings.refuse(place, Some(shown(&expression.into())), error.to_string());
            None
        }
    }
}
