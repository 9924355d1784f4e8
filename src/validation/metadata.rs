//! Who an object is: its name, its namespace, its birth, its annotations.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_engine::subject::ObjectId;

use super::findings::{Findings, shown};

/// The longest name of a `ScaledObject` (keda-semantics §6.1 rule 3): it becomes the value of labels.
const LONGEST_NAME: usize = 63;

/// The object's id; none without a name. An absent namespace is `default`, as for `kubectl`.
pub(super) fn id(object: &Value) -> Option<ObjectId> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    Some(ObjectId::new(text("/metadata/namespace").unwrap_or("default"), text("/metadata/name")?))
}

/// Checks the name: an API server takes lower-case letters, digits, `-` and `.`.
pub(super) fn check_name(object: &Value, findings: &mut Findings) {
    let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
        return;
    };
    let value = || Some(shown(&name.into()));
    if name.len() > LONGEST_NAME {
        let allowed = format!("has {} characters; at most {LONGEST_NAME} are allowed", name.chars().count());
        findings.refuse("metadata.name", value(), allowed);
    }
    if !is_subdomain(name) {
        let allowed =
            "is not a name: lower-case letters, digits, - and . are allowed, a letter or digit first and last";
        findings.refuse("metadata.name", value(), allowed);
    }
}

/// Whether a text is a name as an API server takes it.
pub(super) fn is_subdomain(name: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
    };
    name.split('.').all(label)
}

/// What stays the same for the object's whole life; its id where nothing says more.
pub(super) fn uid(object: &Value, id: &ObjectId) -> Arc<str> {
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| !uid.is_empty());
    uid.map_or_else(|| id.to_string().into(), Into::into)
}

/// When the object was created; `otherwise` if it does not say.
pub(super) fn created(object: &Value, otherwise: Timestamp) -> Timestamp {
    let text = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The annotations that are texts, as an API server keeps them.
pub(super) fn annotations(object: &Value) -> BTreeMap<String, String> {
    let all = object.pointer("/metadata/annotations").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    all.into_iter().flatten().filter_map(text).collect()
}
