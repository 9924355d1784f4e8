//! Reads single fields of a policy: quantities, durations, texts. What is wrong becomes a finding, and then there is no value.

use serde_json::Value;
use tidegate_calculator::hpa::quantity::Quantity;
use tidegate_calculator::rules::Condition;
use tidegate_calculator::source::Milli;
use tidegate_calculator::time::Span;

use super::super::findings::{Findings, shown};
use crate::manifests::path;

/// The longest duration of a policy: a week. What waits longer belongs into a schedule.
pub(super) const LONGEST: Span = Span::seconds(7 * 24 * 3600);
/// How long a second, a minute and an hour are, and a thousandth of a second, in milliseconds.
const UNITS: [(&str, i64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
/// The most digits of a duration behind the point that are read.
const PLACES: usize = 9;

/// The text of a field, if there is one; an empty one is a finding of the definition.
pub(super) fn text<'v>(entry: &'v Value, name: &str) -> Option<&'v str> {
    entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Whether a field is given; an empty list or map is as if it was not.
pub(super) fn is_given(entry: &Value, name: &str) -> bool {
    match entry.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(_) => true,
    }
}

/// The entries of a list.
pub(super) fn list<'v>(entry: &'v Value, name: &str) -> &'v [Value] {
    entry.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// `above` or `below` of an entry: exactly one of them.
pub(super) fn condition(entry: &Value, here: &str, findings: &mut Findings) -> Option<Condition> {
    match (is_given(entry, "above"), is_given(entry, "below")) {
        (true, false) => quantity(entry, "above", here, findings).map(Condition::Above),
        (false, true) => {
            let limit = quantity(entry, "below", here, findings)?;
            if limit.0 == 0 {
                let allowed = "never holds: no value is below 0";
                findings.warn(path::child(here, "below"), Some("0".to_owned()), allowed);
            }
            Some(Condition::Below(limit))
        }
        _ => {
            findings.refuse(here, None, "must have exactly one of above and below");
            None
        }
    }
}

/// A quantity of at least 0, in thousandths. Another type than a whole number or a text was named before, and so was a text that is none.
fn quantity(entry: &Value, name: &str, here: &str, findings: &mut Findings) -> Option<Milli> {
    let text = match entry.get(name)? {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() => number.to_string(),
        _ => return None,
    };
    let mut refuse = |allowed: &str| {
        findings.refuse(path::child(here, name), Some(shown(&text.as_str().into())), allowed);
        None
    };
    let quantity: Quantity = text.parse().ok()?;
    if quantity.nano() < 0 {
        return refuse("is not a quantity >= 0");
    }
    if quantity.nano() % 1_000_000 != 0 {
        return refuse("is finer than 0.001, the finest that is compared");
    }
    let milli = quantity.to_milli();
    if milli.is_none() { refuse("is too large: at most 9223372036854775 is compared") } else { milli }
}

/// A duration between two bounds, both included; none if it is absent or no such thing.
pub(super) fn duration(
    entry: &Value,
    name: &str,
    here: &str,
    bounds: (Span, Span),
    findings: &mut Findings,
) -> Option<Span> {
    let text = entry.get(name)?.as_str()?;
    let mut refuse = |allowed: String| {
        findings.refuse(path::child(here, name), Some(shown(&text.into())), allowed);
        None
    };
    let Some(span) = parse(text) else {
        return refuse("is not a duration, such as 90s or 1h30m".to_owned());
    };
    let (least, most) = bounds;
    if span < least {
        return refuse(format!("is too short: at least {} is needed", go(least)));
    }
    if span > most {
        return refuse(format!("is too long: at most {} is allowed", go(most)));
    }
    Some(span)
}

/// A duration from nothing to [`LONGEST`].
pub(super) fn wait(entry: &Value, name: &str, here: &str, findings: &mut Findings) -> Option<Span> {
    duration(entry, name, here, (Span::ZERO, LONGEST), findings)
}

/// Reads a duration in Go's form: numbers with units, the sum of which counts; `0` needs no unit. None for anything else, for what is
/// finer than a millisecond, and for what has a sign.
fn parse(text: &str) -> Option<Span> {
    if text == "0" {
        return Some(Span::ZERO);
    }
    let (mut rest, mut sum) = (text, 0_i64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(times(number, *length)?)?;
        rest = tail;
    }
    Some(Span(sum))
}

/// A decimal number times a count of milliseconds, if that is a whole number of them.
fn times(number: &str, length: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, fraction)| (whole, Some(fraction)));
    let whole = whole.parse::<i64>().ok()?.checked_mul(length)?;
    let Some(fraction) = fraction else { return Some(whole) };
    if fraction.is_empty() || fraction.len() > PLACES || fraction.contains('.') {
        return None;
    }
    let scale = 10_i64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<i64>().ok()?.checked_mul(length)?;
    if part % scale == 0 { whole.checked_add(part / scale) } else { None }
}

/// A duration as a user would write it.
fn go(span: Span) -> String {
    let unit = UNITS.iter().rev().find(|(_, length)| span.0 % length == 0 && span.0 >= *length);
    unit.map_or_else(|| "0s".to_owned(), |(name, length)| format!("{}{name}", span.0 / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_does() {
        let cases = [
            ("0", 0),
            ("0s", 0),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("0.001s", 1),
            ("250ms", 250),
            ("1m1s1ms", 61_001),
            ("30m1h", 5_400_000),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse(text), Some(Span(milliseconds)), "{text}");
        }
        let bad =
            ["", "5", "s", "5 s", "-5s", "+5s", "1d", "5S", "1.s", ".5s", "1.2.3s", "0.5ms", "10us", "9999999999999h"];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_written_as_a_user_would() {
        let texts = [0, 1, 1_000, 90_000, 3_600_000, LONGEST.0].map(|span| go(Span(span)));
        assert_eq!(texts, ["0s", "1ms", "1s", "90s", "1h", "168h"]);
    }
}
