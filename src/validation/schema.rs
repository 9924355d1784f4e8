//! Compares an object with the definition of its kind, and says every difference.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use tidegate_crds::printer;

use super::findings::{Findings, guess, shown};
use super::quantity;
use crate::manifests::path;

/// What the `spec` of each kind may hold. Each is made when it is first needed and then kept, so only that part is, and no description.
static SPECS: [(&str, LazyLock<Option<Value>>); 5] = [
    ("ScaledObject", LazyLock::new(|| spec("ScaledObject"))),
    ("ScalingPolicy", LazyLock::new(|| spec("ScalingPolicy"))),
    ("ClusterScalingPolicy", LazyLock::new(|| spec("ClusterScalingPolicy"))),
    ("TriggerAuthentication", LazyLock::new(|| spec("TriggerAuthentication"))),
    ("ClusterTriggerAuthentication", LazyLock::new(|| spec("ClusterTriggerAuthentication"))),
];

/// The rules of `metadata`, which a definition leaves to the API server.
static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    json!({
        "type": "object",
        "required": ["name"],
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "name": { "type": "string", "minLength": 1 },
            "namespace": { "type": "string" },
            "annotations": texts,
            "labels": texts,
            "generation": { "type": "integer", "format": "int64" },
            "creationTimestamp": { "type": "string" },
        },
    })
});

/// What a `HorizontalPodAutoscaler` calls the fields of a `ScaledObject`'s spec.
const AUTOSCALER_WORDS: [(&str, &str); 4] = [
    ("minReplicas", "minReplicaCount"),
    ("maxReplicas", "maxReplicaCount"),
    ("behavior", "advanced.horizontalPodAutoscalerConfig.behavior"),
    ("metrics", "triggers"),
];

/// Integers that count seconds, beside those whose names end with `Seconds`.
const SECONDS: [&str; 3] = ["pollingInterval", "cooldownPeriod", "initialCooldownPeriod"];

/// Checks `metadata` and `spec` of an object of this kind; other fields of the root that do not belong there are named.
pub(super) fn check(kind: &str, object: &Value, findings: &mut Findings) {
    let Some(schema) = SPECS.iter().find(|(known, _)| *known == kind).and_then(|(_, spec)| spec.as_ref()) else {
        findings.refuse("kind", Some(kind.to_owned()), "has no definition to compare with");
        return;
    };
    let mut walk = Walk { kind, findings };
    let root = ["apiVersion", "kind", "metadata", "spec", "status"];
    for key in object.as_object().into_iter().flat_map(Map::keys).filter(|key| !root.contains(&key.as_str())) {
        walk.unknown(&path::child("", key), key, root);
    }
    let part = |name: &str| object.get(name).filter(|value| !value.is_null());
    match part("metadata") {
        Some(metadata) => walk.value(&METADATA, metadata, "metadata"),
        None => walk.findings.refuse("metadata", None, "is required"),
    }
    match part("spec") {
        Some(spec) => walk.value(schema, spec, ""),
        None => walk.findings.refuse("spec", None, "is required"),
    }
}

/// None if the crate that makes the definitions has a mistake.
fn spec(kind: &str) -> Option<Value> {
    printer::spec(kind).ok().flatten()
}

/// One walk over an object.
struct Walk<'a> {
    kind: &'a str,
    findings: &'a mut Findings,
}

impl Walk<'_> {
    fn value(&mut self, schema: &Value, value: &Value, here: &str) {
        if let Some(wrong) = wrong_type(schema, value) {
            let here = if here.is_empty() { "spec" } else { here };
            // A map or a list is long, says nothing more than what it is, and may hold a password.
            let seen = (!value.is_object() && !value.is_array()).then(|| shown(value));
            let unit = if wrong.contains(';') { "" } else { unit(here, schema) };
            self.findings.refuse(here, seen, format!("{wrong}{unit}"));
            return;
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array)
            && !words.contains(value)
        {
            let known = words.iter().filter_map(Value::as_str);
            let list = known.clone().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ");
            let guess = value.as_str().map(|text| guess(text, known)).unwrap_or_default();
            self.findings.refuse(here, Some(shown(value)), format!("is not one of {list}{guess}"));
        }
        match value {
            Value::Object(fields) => self.map(schema, fields, here),
            Value::Array(items) => self.list(schema, items, here),
            Value::String(text) => self.text(schema, text, here),
            Value::Number(_) => self.number(schema, value, here),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn map(&mut self, schema: &Value, fields: &Map<String, Value>, here: &str) {
        self.most("maxProperties", schema, fields.len(), "entries", here);
        let properties = schema.get("properties").and_then(Value::as_object);
        let keeps_unknown = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        let required =
            || schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for name in required().filter(|name| fields.get(*name).is_none_or(Value::is_null)) {
            self.findings.refuse(path::child(here, name), None, "is required");
        }
        for (key, value) in
            fields.iter().filter(|(key, value)| !(value.is_null() && required().any(|name| name == *key)))
        {
            let there = path::child(here, key);
            let declared = properties.and_then(|properties| properties.get(key));
            match declared.or_else(|| schema.get("additionalProperties").filter(|values| values.is_object())) {
                // An API server drops a null where none is allowed.
                Some(_) if value.is_null() => self.findings.warn(there, None, "is empty and counts as absent"),
                Some(schema) => self.value(schema, value, &there),
                None if keeps_unknown => {}
                None => self.unknown(&there, key, properties.into_iter().flat_map(Map::keys).map(String::as_str)),
            }
        }
    }

    fn unknown<'k>(&mut self, there: &str, key: &str, known: impl IntoIterator<Item = &'k str>) {
        let guess = match AUTOSCALER_WORDS.iter().find(|(word, _)| self.kind == "ScaledObject" && *word == there) {
            Some((_, meant)) => format!("; did you mean {meant}?"),
            None => guess(key, known),
        };
        self.findings.warn(there, None, format!("is not a known field and has no effect{guess}"));
    }

    fn list(&mut self, schema: &Value, items: &[Value], here: &str) {
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = schema.get("items") {
                self.value(schema, item, &path::item(here, index));
            }
        }
        if let Some(least) = bound(schema, "minItems")
            && items.len() < usize::try_from(least).unwrap_or(0)
        {
            self.findings.refuse(here, None, "must have at least one entry");
        }
        self.most("maxItems", schema, items.len(), "entries", here);
        self.repetitions(schema, items, here);
    }

    /// Entries with one key, where the definition says that a key stands once, and equal entries of a set.
    fn repetitions(&mut self, schema: &Value, items: &[Value], here: &str) {
        let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let key = keys.filter(|keys| keys.len() == 1).and_then(|keys| keys.first()?.as_str());
        let set = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("set");
        if key.is_none() && !set {
            return;
        }
        let of = |item| key.map_or(Some(item), |key| Value::get(item, key));
        for (index, item) in items.iter().enumerate() {
            let Some(value) = of(item).filter(|value| !value.is_null()) else { continue };
            if let Some(first) = items.iter().take(index).position(|earlier| of(earlier) == Some(value)) {
                let there = path::item(here, index);
                let place = key.map_or_else(|| there.clone(), |key| path::child(&there, key));
                self.findings.refuse(place, Some(shown(value)), format!("stands in {here}[{first}] already"));
            }
        }
    }

    fn most(&mut self, keyword: &str, schema: &Value, count: usize, of: &str, here: &str) {
        if let Some(most) = bound(schema, keyword).and_then(|most| usize::try_from(most).ok())
            && count > most
        {
            self.findings.refuse(here, None, format!("has {count} {of}; at most {most} are allowed"));
        }
    }

    fn text(&mut self, schema: &Value, text: &str, here: &str) {
        if text.is_empty() && bound(schema, "minLength").is_some_and(|least| least > 0) {
            self.findings.refuse(here, Some(String::new()), "must not be empty");
        }
        self.most("maxLength", schema, text.chars().count(), "characters", here);
        // Other patterns, of durations and addresses, belong to whoever reads the field.
        let is_quantity = schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
        if is_quantity && schema.get("pattern").is_some() && quantity::number(text).is_none() {
            self.findings.refuse(here, Some(shown(&text.into())), "is not a quantity, such as \"0.1\" or \"100m\"");
        }
    }

    fn number(&mut self, schema: &Value, value: &Value, here: &str) {
        let Some(number) = value.as_i64() else { return };
        let narrow = schema.get("format").and_then(Value::as_str) == Some("int32");
        let least = bound(schema, "minimum").or_else(|| narrow.then_some(i64::from(i32::MIN)));
        let most = bound(schema, "maximum").or_else(|| narrow.then_some(i64::from(i32::MAX)));
        let below = least.is_some_and(|least| number < least);
        let above = most.is_some_and(|most| number > most);
        if below || above {
            let allowed = match (least, most) {
                (Some(least), Some(most)) if bound(schema, "maximum").is_some() => format!("from {least} to {most}"),
                (Some(least), _) if below => format!(">= {least}"),
                (_, most) => format!("<= {}", most.unwrap_or(i64::MAX)),
            };
            self.findings.refuse(here, Some(shown(value)), format!("is not an integer {allowed}"));
        }
    }
}

fn bound(schema: &Value, name: &str) -> Option<i64> {
    schema.get(name).and_then(Value::as_i64)
}

/// What is wrong with the type of a value, as the end of a sentence.
fn wrong_type(schema: &Value, value: &Value) -> Option<String> {
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        let fits = value.is_string() || is_integer(value);
        return (!fits).then(|| format!("is {}, not an integer or a text{}", noun(value), quotes(value)));
    }
    let (fits, wanted, hint) = match schema.get("type").and_then(Value::as_str)? {
        "object" => (value.is_object(), "a map", ""),
        "array" => (value.is_array(), "a list", ""),
        "string" => (value.is_string(), "a text", quotes(value)),
        "boolean" => (value.is_boolean(), "true or false", bare(value, |text| matches!(text, "true" | "false"))),
        "integer" => (is_integer(value), "an integer", bare(value, |text| text.parse::<i64>().is_ok())),
        "number" => (value.is_number(), "a number", bare(value, |text| text.parse::<f64>().is_ok())),
        _ => return None,
    };
    (!fits).then(|| format!("is {}, not {wanted}{hint}", noun(value)))
}

/// The unit of an integer whose name tells it, where a text stands: people write `5m` there.
fn unit(here: &str, schema: &Value) -> &'static str {
    let name = here.rsplit('.').next().unwrap_or(here);
    let counts = SECONDS.contains(&name) || name.ends_with("Seconds");
    if counts && schema.get("type").and_then(Value::as_str) == Some("integer") {
        "; it is a number of seconds"
    } else {
        ""
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64()
}

/// What kind of value this is, in words.
fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(number) if number.is_i64() => "an integer",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// The advice for a number or a truth value where a text must be.
fn quotes(value: &Value) -> &'static str {
    match value {
        Value::Number(_) => "; put it in quotes",
        Value::Bool(_) => "; put it in quotes, as true, yes, on, y and their opposites need",
        _ => "",
    }
}

/// The advice for a text that would fit without its quotes.
fn bare(value: &Value, fits: impl Fn(&str) -> bool) -> &'static str {
    if value.as_str().is_some_and(fits) { "; take the quotes away" } else { "" }
}
