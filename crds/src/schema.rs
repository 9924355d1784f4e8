//! Finds in a manifest all that an API server would refuse by the definition of its kind.
//!
//! A file that is run without a cluster has met no API server, and reading it into a type stops at the first mistake and
//! cannot say where it is. This looks at types, required fields, sets of values, bounds and lengths, and names fields that
//! nobody knows. It does not evaluate CEL rules and patterns: the one rule (minimum and maximum) is checked with the other
//! rules about replicas.

use serde_json::{Map, Value};

use crate::printer::{PrintError, normal, root, scaled_job, scaled_object};
use crate::{ClusterTriggerAuthentication, TriggerAuthentication};

/// Longer values are cut in a [`Violation`].
const SHOWN: usize = 80;

/// One thing that does not fit the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where, for example `spec.triggers[0].metadata.listLength`.
    pub path: String,
    /// What stands there, as JSON and cut after 80 characters; none if the field is absent.
    pub value: Option<String>,
    /// What may stand there, in words.
    pub allowed: String,
    /// What kind of mistake it is.
    pub problem: Problem,
}

/// What kind of mistake a [`Violation`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A field that must be there is absent.
    Required,
    /// The value has another type.
    Type,
    /// The value is none of the allowed ones.
    Unsupported,
    /// A number is out of bounds.
    Range,
    /// A text or a list is too short or too long.
    Length,
    /// The definition does not name the field. An API server drops it without a word.
    Unknown,
}

impl Problem {
    /// A stable word for the kind of mistake.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "Required",
            Self::Type => "InvalidType",
            Self::Unsupported => "NotSupported",
            Self::Range => "OutOfRange",
            Self::Length => "InvalidLength",
            Self::Unknown => "UnknownField",
        }
    }
}

/// The schema of one kind.
#[derive(Clone, Debug)]
pub struct Schema {
    root: Value,
}

impl Schema {
    /// The schema of a `ScaledObject`.
    pub fn scaled_object() -> Result<Self, PrintError> {
        Self::of(scaled_object()?)
    }

    /// The schema of a `ScaledJob`. It holds the schema of a pod and takes some megabytes: drop it after use.
    pub fn scaled_job() -> Result<Self, PrintError> {
        Self::of(scaled_job()?)
    }

    /// The schema of a `TriggerAuthentication`.
    pub fn trigger_authentication() -> Result<Self, PrintError> {
        Self::of(normal::<TriggerAuthentication>()?)
    }

    /// The schema of a `ClusterTriggerAuthentication`.
    pub fn cluster_trigger_authentication() -> Result<Self, PrintError> {
        Self::of(normal::<ClusterTriggerAuthentication>()?)
    }

    fn of(mut definition: Value) -> Result<Self, PrintError> {
        Ok(Self { root: Value::Object(std::mem::take(root(&mut definition)?)) })
    }

    /// Does to `object` what an API server does before it looks: a field that is null counts as absent, and defaults of
    /// the definition are filled in.
    pub fn complete(&self, object: &mut Value) {
        complete(&self.root, object);
    }

    /// All that does not fit. [Complete](Self::complete) the object first. If nothing but unknown fields is found the object
    /// can be read as its type, as long as its metadata and its times are what they should be: those are not looked into.
    pub fn check(&self, object: &Value) -> Vec<Violation> {
        let mut found = Vec::new();
        check(&self.root, object, "", &mut found);
        found
    }
}

fn complete(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(default) = property.get("default") {
                    fields.entry(name.as_str()).or_insert_with(|| default.clone());
                }
            }
            for (name, value) in fields {
                complete(inner(schema, name).unwrap_or(&Value::Null), value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| complete(&schema["items"], item)),
        _ => {}
    }
}

/// The schema of the field `name`, if the definition has one for it.
fn inner<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema["properties"].get(name).or_else(|| schema.get("additionalProperties"))
}

fn check(schema: &Value, value: &Value, path: &str, found: &mut Vec<Violation>) {
    if !fits(schema, value) {
        return found.push(violation(path, Some(value), allowed(schema), Problem::Type));
    }
    match value {
        Value::Object(fields) => check_fields(schema, fields, path, found),
        Value::Array(items) => {
            check_length(schema, items.len(), ["minItems", "maxItems"], path, value, found);
            for (index, item) in items.iter().enumerate() {
                check(&schema["items"], item, &format!("{path}[{index}]"), found);
            }
        }
        Value::String(text) => {
            check_length(schema, text.chars().count(), ["minLength", "maxLength"], path, value, found);
            if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
                found.push(violation(path, Some(value), allowed(schema), Problem::Unsupported));
            }
        }
        Value::Number(_) => check_number(schema, value, path, found),
        _ => {}
    }
}

fn check_fields(schema: &Value, fields: &Map<String, Value>, path: &str, found: &mut Vec<Violation>) {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if fields.get(name).is_none_or(Value::is_null) {
            let allowed = allowed(&schema["properties"][name]);
            found.push(violation(&join(path, name), None, allowed, Problem::Required));
        }
    }
    // The root's metadata and whatever may hold anything are not looked into.
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true || (path == "metadata");
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        match inner(schema, name) {
            Some(inner) => check(inner, value, &join(path, name), found),
            None if open => {}
            None => found.push(violation(&join(path, name), Some(value), known(schema), Problem::Unknown)),
        }
    }
}

fn check_length(
    schema: &Value,
    length: usize,
    bounds: [&str; 2],
    path: &str,
    value: &Value,
    found: &mut Vec<Violation>,
) {
    let [min, max] = bounds.map(|bound| schema[bound].as_u64());
    let length = length as u64;
    if min.is_some_and(|min| length < min) || max.is_some_and(|max| length > max) {
        found.push(violation(path, Some(value), allowed(schema), Problem::Length));
    }
}

fn check_number(schema: &Value, value: &Value, path: &str, found: &mut Vec<Violation>) {
    let bound = |name: &str, otherwise: i32| schema[name].as_f64().unwrap_or_else(|| f64::from(otherwise));
    let bits = schema["format"] == "int32";
    let (min, max) = (bound("minimum", i32::MIN), bound("maximum", i32::MAX));
    let outside = value.as_f64().is_some_and(|number| {
        let bounded = |name: &str| bits || schema[name].is_number();
        (bounded("minimum") && number < min) || (bounded("maximum") && number > max)
    });
    if outside {
        let allowed = if bits { format!("a whole number from {min} to {max}") } else { allowed(schema) };
        found.push(violation(path, Some(value), allowed, Problem::Range));
    }
}

/// Whether the value has the type that the schema asks for.
fn fits(schema: &Value, value: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"] == true {
        return value.is_i64() || value.is_u64() || value.is_string();
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => true,
    }
}

/// What the schema asks for, in words.
fn allowed(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "a whole number or a text".to_owned();
    }
    if let Some(values) = schema["enum"].as_array() {
        return format!("one of {}", values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    let (base, bounds) = match schema["type"].as_str() {
        Some("string") if schema["minLength"] == 1 => ("a text that is not empty", None),
        Some("string") => ("a text (numbers and booleans need quotes)", None),
        Some("boolean") => ("true or false", None),
        Some("integer") => ("a whole number", Some(["minimum", "maximum"])),
        Some("number") => ("a number", Some(["minimum", "maximum"])),
        Some("array") => ("a list", Some(["minItems", "maxItems"])),
        Some("object") => ("a map", None),
        _ => ("a value", None),
    };
    match bounds.map(|bounds| bounds.map(|bound| &schema[bound])) {
        Some([Value::Number(min), Value::Number(max)]) => format!("{base} from {min} to {max}"),
        Some([Value::Number(min), _]) if schema["type"] == "array" => format!("{base} of at least {min}"),
        Some([Value::Number(min), _]) => format!("{base}, at least {min}"),
        _ => base.to_owned(),
    }
}

/// The names of the fields that there are.
fn known(schema: &Value) -> String {
    let names: Vec<_> = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() { "no fields".to_owned() } else { format!("the fields {}", names.join(", ")) }
}

fn violation(path: &str, value: Option<&Value>, allowed: String, problem: Problem) -> Violation {
    let value = value.map(|value| {
        let text = value.to_string();
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    });
    Violation { path: path.to_owned(), value, allowed, problem }
}

fn join(path: &str, name: &str) -> String {
    match (path.is_empty(), name.contains(['.', '/', '['])) {
        (_, true) => format!("{path}[\"{name}\"]"),
        (true, false) => name.to_owned(),
        (false, false) => format!("{path}.{name}"),
    }
}
