//! `triggers` of a policy: roles, errors, steps and windows.

use std::sync::Arc;

use serde_json::Value;
use tidegate_calculator::rules::{Change, Condition, Direction, OnError, Role, StepRule, Take, TriggerRules, Window};
use tidegate_calculator::time::Span;

use super::super::findings::{Findings, shown};
use super::fields::{LONGEST, condition, duration, is_given, list, text, wait};
use crate::manifests::path;

/// The longest window over readings, as long as the longest stabilization window of `behavior`.
const LONGEST_WINDOW: Span = Span::seconds(3600);
/// What a trigger that only signals cannot say: it neither votes nor fails.
const OF_SCALE: [&str; 4] = ["onError", "direction", "steps", "spreads"];
/// The end of a refusal of what is not there yet.
pub(super) const NOT_YET: &str = "is not supported yet";

/// Reads the list. Only of use when no error was found.
pub(super) fn read(spec: &Value, findings: &mut Findings) -> Vec<(Arc<str>, TriggerRules)> {
    let mut all = Vec::new();
    for (index, entry) in list(spec, "triggers").iter().enumerate() {
        let rules = trigger(entry, &path::item("triggers", index), findings);
        if let Some(name) = text(entry, "name") {
            all.push((name.into(), rules));
        }
    }
    all
}

/// The triggers that have steps, also if these cannot be read.
pub(super) fn stepped(spec: &Value) -> Vec<Arc<str>> {
    let entries = list(spec, "triggers").iter().filter(|entry| is_given(entry, "steps"));
    entries.filter_map(|entry| text(entry, "name")).map(Into::into).collect()
}

fn trigger(entry: &Value, here: &str, findings: &mut Findings) -> TriggerRules {
    let role = if text(entry, "role") == Some("Signal") { Role::Signal } else { Role::Scale };
    let direction = if text(entry, "direction") == Some("Inverse") { Direction::Inverse } else { Direction::Normal };
    if role == Role::Signal {
        for name in OF_SCALE.iter().filter(|name| is_given(entry, name)) {
            let allowed = "is not allowed with role Signal: such a trigger is only read by gates";
            findings.refuse(path::child(here, name), None, allowed);
        }
    }
    if is_given(entry, "forecast") {
        findings.refuse(path::child(here, "forecast"), None, NOT_YET);
    }
    let fields = entry.as_object().into_iter().flatten();
    if fields.filter(|(name, value)| *name != "name" && !value.is_null()).count() == 0 {
        findings.warn(here, None, "says nothing about the trigger that it names");
    }
    let steps = steps(entry, direction, here, findings);
    if entry.get("spreads").is_some_and(Value::is_boolean) && steps.is_empty() && role == Role::Scale {
        findings.warn(path::child(here, "spreads"), None, "has no effect without steps");
    }
    TriggerRules {
        role,
        on_error: on_error(entry, here, findings),
        direction,
        steps,
        window: window(entry, here, findings),
        spreads: entry.get("spreads").and_then(Value::as_bool),
        steps_lost: false,
    }
}

fn on_error(entry: &Value, here: &str, findings: &mut Findings) -> OnError {
    let last_known = text(entry, "onError") == Some("LastKnown");
    if last_known != is_given(entry, "lastKnownFor") {
        let allowed = if last_known { "is required with onError LastKnown" } else { "is only for onError LastKnown" };
        findings.refuse(path::child(here, "lastKnownFor"), None, allowed);
    }
    let known_for = duration(entry, "lastKnownFor", here, (Span::seconds(1), LONGEST), findings);
    match text(entry, "onError") {
        Some("Hold") => OnError::Hold,
        Some("Ignore") => OnError::Ignore,
        Some("LastKnown") => OnError::LastKnown(known_for.unwrap_or_default()),
        _ => OnError::RaiseOnly,
    }
}

fn window(entry: &Value, here: &str, findings: &mut Findings) -> Option<Window> {
    let block = entry.get("window").filter(|block| block.is_object())?;
    let over = duration(block, "over", &path::child(here, "window"), (Span::seconds(1), LONGEST_WINDOW), findings);
    let take = match text(block, "take")? {
        "Min" => Take::Min,
        "Max" => Take::Max,
        "Avg" => Take::Avg,
        _ => return None,
    };
    Some(Window { take, over: over? })
}

fn steps(entry: &Value, direction: Direction, here: &str, findings: &mut Findings) -> Vec<StepRule> {
    let (place, mut all) = (path::child(here, "steps"), Vec::new());
    for (index, entry) in list(entry, "steps").iter().enumerate().filter(|(_, entry)| entry.is_object()) {
        let here = path::item(&place, index);
        if let Some(rule) = step(entry, &here, findings) {
            look(&rule, &all, direction, &here, findings);
            all.push((index, rule));
        }
    }
    all.into_iter().map(|(_, rule)| rule).collect()
}

fn step(entry: &Value, here: &str, findings: &mut Findings) -> Option<StepRule> {
    if text(entry, "of") == Some("Forecast") {
        findings.refuse(path::child(here, "of"), Some("Forecast".to_owned()), NOT_YET);
    }
    let condition = condition(entry, here, findings);
    let (held_for, every) = (wait(entry, "for", here, findings), wait(entry, "every", here, findings));
    let change = change(entry, here, findings);
    Some(StepRule {
        condition: condition?,
        per_replica: text(entry, "per") == Some("Replica"),
        held_for,
        every,
        change: change?,
    })
}

fn change(entry: &Value, here: &str, findings: &mut Findings) -> Option<Change> {
    let text = text(entry, "change")?;
    let found = parse(text);
    if found.is_none() {
        let allowed = "is not +N, -N, +N%, -N% (at most 100%), =N or Ratio, with N from 1 (=N from 0) to 9999999";
        findings.refuse(path::child(here, "change"), Some(shown(&text.into())), allowed);
    }
    found
}

/// Reads a change: a sign, a count without leading zeros, perhaps a percent sign.
fn parse(text: &str) -> Option<Change> {
    if text == "Ratio" {
        return Some(Change::Ratio);
    }
    let (sign, rest) = text.split_at_checked(1)?;
    let (digits, percent) = rest.strip_suffix('%').map_or((rest, false), |digits| (digits, true));
    let plain = !digits.is_empty() && digits.len() <= 7 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let count: u32 = digits.parse().ok().filter(|_| plain)?;
    let counts = count > 0 && !digits.starts_with('0');
    match (sign, percent) {
        ("+", false) if counts => Some(Change::Add(count)),
        ("-", false) if counts => Some(Change::Remove(count)),
        ("+", true) if counts => Some(Change::AddPercent(count)),
        ("-", true) if counts && count <= 100 => Some(Change::RemovePercent(count)),
        ("=", false) => Some(Change::Set(count)),
        _ => None,
    }
}

/// Warns of a step that does the opposite of what its direction makes one expect, and of one that holds together with its opposite.
fn look(rule: &StepRule, before: &[(usize, StepRule)], direction: Direction, here: &str, findings: &mut Findings) {
    let (only_raises, only_lowers) = (!rule.change.lowers(), !rule.change.raises());
    let is_above = matches!(rule.condition, Condition::Above(_));
    let wants_more = is_above == (direction == Direction::Normal);
    if (wants_more && only_lowers) || (!wants_more && only_raises) {
        let (side, does) = (if is_above { "above" } else { "below" }, if only_raises { "raises" } else { "lowers" });
        let word = if direction == Direction::Normal { "Normal" } else { "Inverse" };
        findings.warn(here, None, format!("{does} on {side}, although the direction of its trigger is {word}"));
    }
    for (index, other) in before.iter().filter(|(_, other)| other.per_replica == rule.per_replica) {
        let (Condition::Above(low), Condition::Below(high)) = ordered(other.condition, rule.condition) else {
            continue;
        };
        let opposite = |one: Change, other: Change| !one.lowers() && !other.raises();
        if high.0 > low.0.saturating_add(1)
            && (opposite(rule.change, other.change) || opposite(other.change, rule.change))
        {
            let allowed = format!("holds together with steps[{index}] between {low} and {high}; then the raise counts");
            findings.warn(here, None, allowed);
        }
    }
}

/// Two conditions, one that is met above something first.
const fn ordered(one: Condition, other: Condition) -> (Condition, Condition) {
    if matches!(one, Condition::Above(_)) { (one, other) } else { (other, one) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read() {
        let good = [
            ("+2", Change::Add(2)),
            ("-1", Change::Remove(1)),
            ("+250%", Change::AddPercent(250)),
            ("-100%", Change::RemovePercent(100)),
            ("=10", Change::Set(10)),
            ("=0", Change::Set(0)),
            ("Ratio", Change::Ratio),
        ];
        for (text, change) in good {
            assert_eq!(parse(text), Some(change), "{text}");
        }
        let bad =
            ["", "1", "+", "+0", "-0", "+01", "-101%", "=5%", "+1.5", "+-1", "ratio", "*2", "+12345678", "\u{b1}1"];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
