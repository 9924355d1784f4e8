//! Reads `horizontalPodAutoscalerConfig.behavior` within the bounds that an API server sets (hpa-algorithm §1).

use serde_json::Value;
use tidegate_calculator::behavior::{Behavior, GivenRules, RatePolicy, Select, Unit};
use tidegate_calculator::policy::Settings;
use tidegate_calculator::time::Span;

use super::findings::{Findings, guess, shown};
use super::quantity;
use crate::manifests::path;

/// Where it stands.
const PLACE: &str = "advanced.horizontalPodAutoscalerConfig.behavior";
/// The longest period of a policy, in seconds.
const LONGEST_PERIOD: i64 = 1800;

/// The behavior with all defaults, or none if the object has none. Only of use when no error was found.
pub(super) fn read(spec: &Value, settings: &Settings, findings: &mut Findings) -> Option<Behavior> {
    let behavior = spec.pointer("/advanced/horizontalPodAutoscalerConfig/behavior")?.as_object()?;
    let mut direction = |name: &str| {
        let rules = behavior.get(name).filter(|rules| rules.is_object());
        rules.map(|rules| given(rules, &path::child(PLACE, name), findings)).unwrap_or_default()
    };
    let (up, down) = (direction("scaleUp"), direction("scaleDown"));
    Some(Behavior::filled(up, down, settings))
}

fn given(rules: &Value, here: &str, findings: &mut Findings) -> GivenRules {
    let window = rules.get("stabilizationWindowSeconds").and_then(Value::as_i64);
    GivenRules {
        window: window.map(Span::seconds),
        select: select(rules, here, findings),
        policies: policies(rules, here, findings),
        tolerance: tolerance(rules, here, findings),
    }
}

fn select(rules: &Value, here: &str, findings: &mut Findings) -> Option<Select> {
    let text = rules.get("selectPolicy")?.as_str()?;
    let place = path::child(here, "selectPolicy");
    word(text, &[("Max", Select::Max), ("Min", Select::Min), ("Disabled", Select::Disabled)], place, findings)
}

/// A given list replaces the default list, so an empty one would allow nothing; the API server refuses it.
fn policies(rules: &Value, here: &str, findings: &mut Findings) -> Option<Vec<RatePolicy>> {
    let entries = rules.get("policies")?.as_array()?;
    let place = path::child(here, "policies");
    if entries.is_empty() {
        findings.refuse(place, None, "must have at least one entry; leave it away for the default policies");
        return None;
    }
    let mut all = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        all.extend(policy(entry, &path::item(&place, index), findings));
    }
    Some(all)
}

fn policy(entry: &Value, here: &str, findings: &mut Findings) -> Option<RatePolicy> {
    let unit = entry.get("type").and_then(Value::as_str).and_then(|text| {
        word(text, &[("Pods", Unit::Pods), ("Percent", Unit::Percent)], path::child(here, "type"), findings)
    });
    let value = within(entry, "value", i64::from(i32::MAX), here, findings);
    let period = within(entry, "periodSeconds", LONGEST_PERIOD, here, findings);
    Some(RatePolicy { unit: unit?, value: u32::try_from(value?).ok()?, period: Span::seconds(period?) })
}

/// An integer of at least 1 and at most `most`. Another type, and what needs more than 32 bits, was named before.
fn within(entry: &Value, name: &str, most: i64, here: &str, findings: &mut Findings) -> Option<i64> {
    let number = entry.get(name)?.as_i64()?;
    if i32::try_from(number).is_ok() && !(1..=most).contains(&number) {
        let allowed = if most == i64::from(i32::MAX) {
            "is not an integer >= 1".to_owned()
        } else {
            format!("is not an integer from 1 to {most}")
        };
        findings.refuse(path::child(here, name), Some(number.to_string()), allowed);
    }
    Some(number)
}

fn tolerance(rules: &Value, here: &str, findings: &mut Findings) -> Option<f64> {
    let text = match rules.get("tolerance")? {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() => number.to_string(),
        _ => return None,
    };
    let number = quantity::number(&text)?;
    if number < 0.0 {
        findings.refuse(path::child(here, "tolerance"), Some(text), "is not a quantity >= 0");
    }
    Some(number)
}

/// The meaning of one of a few words.
fn word<T: Copy>(text: &str, words: &[(&str, T)], place: String, findings: &mut Findings) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let known = || words.iter().map(|(word, _)| *word);
        let list = known().collect::<Vec<_>>().join(", ");
        let allowed = format!("is not one of {list}{}", guess(text, known()));
        findings.refuse(place, Some(shown(&text.into())), allowed);
    }
    found.map(|(_, meaning)| *meaning)
}
