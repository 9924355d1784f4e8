//! Compares what was expected with what came out, field by field.

use serde_json::{Map, Value};

use crate::Differences;

/// What came out: the fields of a result, or the text of an error.
pub(crate) enum Actual {
    Fields(Map<String, Value>),
    Error(String),
}

impl Actual {
    /// The fields of a JSON object.
    pub(crate) fn of(fields: Value) -> Self {
        match fields {
            Value::Object(fields) => Self::Fields(fields),
            other => Self::Error(format!("{other} is no object")),
        }
    }
}

/// A line for every expected field that nobody knows or that came out otherwise.
pub(crate) fn fields(expected: &Map<String, Value>, actual: &Actual) -> Differences {
    expected.iter().filter_map(|(field, expected)| difference(field, expected, actual)).collect()
}

fn difference(field: &str, expected: &Value, actual: &Actual) -> Option<String> {
    let differs = |actual: &str| Some(format!("{field}: expected {expected}, actual {actual}"));
    match (field, actual) {
        ("error", Actual::Error(error)) if expected.as_str() == Some(error) => None,
        ("error_contains", Actual::Error(error)) if expected.as_str().is_some_and(|part| error.contains(part)) => None,
        ("error" | "error_contains", Actual::Error(error)) => differs(&format!("{error:?}")),
        ("error" | "error_contains", Actual::Fields(fields)) if expected.is_null() || fields.contains_key(field) => {
            let actual = fields.get(field).unwrap_or(&Value::Null);
            (!same(expected, actual)).then(|| differs(&actual.to_string())).flatten()
        }
        ("error" | "error_contains", Actual::Fields(fields)) => {
            differs(&format!("no error, but {}", Value::Object(fields.clone())))
        }
        (_, Actual::Error(error)) => differs(&format!("the error {error:?}")),
        (_, Actual::Fields(fields)) => match fields.get(field) {
            None => Some(format!("expected field {field} is unknown")),
            Some(actual) if same(expected, actual) => None,
            Some(actual) => differs(&actual.to_string()),
        },
    }
}

/// Equal numbers are equal however they are written; objects of a list may be told in part, all others in whole.
pub(crate) fn same(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => one == other,
            _ => one.as_f64() == other.as_f64(),
        },
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| part(one, other))
        }
        (Value::Object(one), Value::Object(other)) => one.len() == other.len() && part(expected, actual),
        _ => expected == actual,
    }
}

/// Whether all that is told of an entry of a list is so.
fn part(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Object(one), Value::Object(other)) => {
            one.iter().all(|(key, value)| other.get(key).is_some_and(|actual| same(value, actual)))
        }
        // An event told by its reason alone, or as "type reason message".
        (Value::String(text), Value::Object(event)) => {
            let field = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
            *text == field("reason") || *text == format!("{} {} {}", field("type"), field("reason"), field("message"))
        }
        _ => same(expected, actual),
    }
}
