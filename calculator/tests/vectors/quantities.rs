//! The four lists of quantities.

use serde_json::{Value, json};
use tidegate_calculator::hpa::quantity::{Format, Quantity};
use tidegate_calculator::source::Milli;

use crate::Differences;
use crate::compare::{Actual, fields};

/// What they are called.
pub(crate) const LISTS: [&str; 4] = ["parse", "invalid", "parse_then_print", "new_milli_then_print"];

/// One entry of a list.
pub(crate) fn check(list: &str, entry: &Value) -> Differences {
    match list {
        "parse" => parse(entry),
        "invalid" => match entry.as_str().map(str::parse::<Quantity>) {
            Some(Err(_)) => Vec::new(),
            Some(Ok(quantity)) => vec![format!("expected an error, actual {quantity}")],
            None => vec!["it is no text".to_owned()],
        },
        "parse_then_print" => print(entry),
        "new_milli_then_print" => from_milli(entry),
        other => vec![format!("the list {other} is unknown")],
    }
}

fn parse(entry: &Value) -> Differences {
    let Some(Value::Object(expected)) = entry.get("expected") else {
        return vec!["it expects nothing".to_owned()];
    };
    match read(entry, "input") {
        Ok(quantity) => {
            let milli = quantity.to_milli().map(|milli| milli.0);
            let actual = json!({
                "format": quantity.format().to_string(),
                "nano": quantity.nano().to_string(),
                "derived_milli_value": milli,
            });
            fields(expected, &Actual::of(actual))
        }
        Err(error) => vec![error],
    }
}

fn print(entry: &Value) -> Differences {
    let only = known(entry, &["input", "canonical", "name", "source"]);
    match read(entry, "input") {
        Ok(quantity) if entry.get("canonical").and_then(Value::as_str) == Some(&quantity.to_string()) => only,
        Ok(quantity) => vec![format!("canonical: expected {:?}, actual {quantity}", entry.get("canonical"))],
        Err(error) => vec![error],
    }
}

/// An `exact` text gives the same quantity and format again, any other the same quantity.
fn from_milli(entry: &Value) -> Differences {
    let mut differences = known(entry, &["milli", "format", "string", "exact", "name", "source"]);
    let format = match entry.get("format").and_then(Value::as_str) {
        Some("DecimalSI") => Format::DecimalSi,
        Some("BinarySI") => Format::BinarySi,
        // What nobody knows is printed as an exponent.
        _ => Format::DecimalExponent,
    };
    let Some(milli) = entry.get("milli").and_then(Value::as_i64) else {
        return vec!["milli is not a whole number".to_owned()];
    };
    let quantity = Quantity::milli(Milli(milli), format);
    let text = quantity.to_string();
    if entry.get("string").and_then(Value::as_str) != Some(&text) {
        differences.push(format!("string: expected {:?}, actual {text:?}", entry.get("string")));
    }
    let again = text.parse::<Quantity>();
    let exact = again.as_ref().is_ok_and(|again| again.format() == format);
    if again.as_ref() != Ok(&quantity) {
        differences.push(format!("{text:?} is not the same again: {again:?}"));
    }
    if entry.get("exact").and_then(Value::as_bool).is_some_and(|expected| expected != exact) {
        differences.push(format!("exact: expected {:?}, actual {exact}", entry.get("exact")));
    }
    differences
}

fn known(entry: &Value, fields: &[&str]) -> Differences {
    let unknown = entry.as_object().into_iter().flatten().filter(|(field, _)| !fields.contains(&field.as_str()));
    unknown.map(|(field, _)| format!("field {field} is unknown")).collect()
}

fn read(entry: &Value, field: &str) -> Result<Quantity, String> {
    let text = entry.get(field).and_then(Value::as_str).ok_or_else(|| format!("{field} is no text"))?;
    text.parse::<Quantity>().map_err(|error| error.to_string())
}
