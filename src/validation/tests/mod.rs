//! Tables of good and bad input, each finding exactly as a user reads it.

mod accepted;
mod attached;
mod documents;
mod flink_page;
mod hooks;
mod hooks_fit;
#[cfg(feature = "cluster-metrics")]
mod pods;
mod policies;
mod properties;
mod refusals;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_calculator::policy::Settings;
use tidegate_engine::subject::Subject;

use super::*;

/// An object that nothing is wrong with.
fn good() -> Value {
    json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": { "name": "orders", "namespace": "shop" },
        "spec": {
            "scaleTargetRef": { "name": "orders" },
            "triggers": [{ "type": "redis", "metadata": { "address": "redis:6379", "listName": "jobs", "listLength": "5" } }],
        },
    })
}

/// The good object with `value` at the JSON pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut object = good();
    set(&mut object, pointer, value);
    object
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    if object.pointer(parent).is_none() {
        set(object, parent, json!({}));
    }
    match object.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        map => map[key] = value,
    }
}

fn check(object: &Value) -> Validated {
    scaled_object(object, &Nothing, &Settings::default(), Timestamp::UNIX_EPOCH)
}

fn texts(validated: &Validated) -> Vec<String> {
    validated.findings.iter().map(ToString::to_string).collect()
}

fn accepted(object: &Value) -> Subject {
    let validated = check(object);
    *validated.subject.clone().unwrap_or_else(|| panic!("{:?}", texts(&validated)))
}

const ANNOTATION: &str = "/metadata/annotations/autoscaling.keda.sh~1";
const UP: &str = "/spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleUp";
const UP_TEXT: &str = "advanced.horizontalPodAutoscalerConfig.behavior.scaleUp";
