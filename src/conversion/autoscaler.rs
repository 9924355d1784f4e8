//! Reads a HorizontalPodAutoscaler of any version into one form, with the defaults of its API.

use serde_json::Value;

use super::fields::{Fields, Found};
use super::metrics::{self, Dialect, Metric};
use crate::manifests::{Document, path};

/// Where versions before v2 keep what they have no field for.
pub(super) const METRICS_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/metrics";
/// Likewise.
pub(super) const BEHAVIOR_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/behavior";
/// The versions that are read.
const VERSIONS: [&str; 4] = ["autoscaling/v2", "autoscaling/v2beta2", "autoscaling/v2beta1", "autoscaling/v1"];
/// Versions in which workloads once were, all of them `apps/v1` today.
const FORMER: [&str; 3] = ["extensions/v1beta1", "apps/v1beta1", "apps/v1beta2"];
/// Kinds of `apps/v1` that an autoscaler may name without a version.
const OF_APPS: [&str; 3] = ["Deployment", "StatefulSet", "ReplicaSet"];

/// An autoscaler's spec.
#[derive(Debug)]
pub(super) struct Autoscaler {
    pub(super) target: Target,
    /// `minReplicas`; 1 if absent.
    pub(super) min: i64,
    pub(super) max: i64,
    /// Never empty.
    pub(super) metrics: Vec<Metric>,
    /// Whether `metrics` is the API's default, because there were none.
    pub(super) metrics_by_default: bool,
    /// `behavior`, as it is written.
    pub(super) behavior: Option<Value>,
}

/// `scaleTargetRef`.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
}

/// Reads a document of this kind. Only of use when no problem was found.
pub(super) fn read(document: &Document, found: &mut Found) -> Option<Autoscaler> {
    let version = document.api_version();
    if !VERSIONS.contains(&version) {
        found.refuse("apiVersion", document.value.get("apiVersion"), format!("is not one of {}", VERSIONS.join(", ")));
        return None;
    }
    let root = found.map(&document.value, String::new())?;
    root.only(&["apiVersion", "kind", "metadata", "spec", "status"], found);
    if document.name().is_empty() {
        found.refuse("metadata.name", document.value.pointer("/metadata/name"), "is required");
    }
    if root.child("metadata", found).is_some_and(|metadata| metadata.get("ownerReferences").is_some()) {
        found.notes.push("Left out: metadata.ownerReferences; the owner may make the autoscaler again.".to_owned());
    }
    let spec = root.required_child("spec", found)?;
    let target = spec.required_child("scaleTargetRef", found).and_then(|target| self::target(&target, found));
    let (min, max) = (spec.integer("minReplicas", 0, found).unwrap_or(1), spec.integer("maxReplicas", 1, found));
    spec.require("maxReplicas", found);
    let mut metrics = all_metrics(document, &spec, found);
    let metrics_by_default = metrics.is_empty();
    if metrics_by_default {
        metrics.push(Metric::cpu(80));
    }
    let behavior = behavior(document, &spec, found);
    let autoscaler = Autoscaler { target: target?, min, max: max?, metrics, metrics_by_default, behavior };
    bounds(&autoscaler, &spec, found);
    Some(autoscaler)
}

fn bounds(autoscaler: &Autoscaler, spec: &Fields<'_>, found: &mut Found) {
    let Autoscaler { min, max, metrics, .. } = autoscaler;
    if min > max {
        let allowed = format!("is above maxReplicas ({max}); minReplicas <= maxReplicas is needed");
        found.refuse(spec.at("minReplicas"), Some(&(*min).into()), allowed);
    }
    if *min == 0 && !metrics.iter().any(Metric::is_without_pods) {
        let allowed = "needs a metric of type Object or External, for without pods there are no others; use 1 or more";
        found.refuse(spec.at("minReplicas"), Some(&0.into()), allowed);
    }
}

fn target(fields: &Fields<'_>, found: &mut Found) -> Option<Target> {
    fields.only(&["apiVersion", "kind", "name"], found);
    let (kind, name) = (fields.required_text("kind", found), fields.required_text("name", found));
    let given = fields.text("apiVersion", found);
    let (kind, name) = (kind?, name?);
    let api_version = match given {
        Some(former) if FORMER.contains(&former.as_str()) => {
            found.notes.push(format!("Changed: {} {former} is apps/v1 today.", fields.at("apiVersion")));
            "apps/v1".to_owned()
        }
        Some(given) => given,
        None if OF_APPS.contains(&kind.as_str()) => "apps/v1".to_owned(),
        None if kind == "ReplicationController" => "v1".to_owned(),
        None => {
            found.refuse(fields.at("apiVersion"), None, format!("is required for the kind {kind}"));
            return None;
        }
    };
    Some(Target { api_version, kind, name })
}

/// The metrics of the spec; before v2beta1 those of the annotation, and then the percentage of the cpu.
fn all_metrics(document: &Document, spec: &Fields<'_>, found: &mut Found) -> Vec<Metric> {
    let common = ["scaleTargetRef", "minReplicas", "maxReplicas"];
    match document.api_version() {
        "autoscaling/v1" => {
            spec.only(&[&common[..], &["targetCPUUtilizationPercentage"]].concat(), found);
            let annotated = annotation(document, METRICS_ANNOTATION, found);
            let mut metrics = annotated.map_or_else(Vec::new, |(list, at)| {
                let entries = found.maps(&list, &at);
                entries.iter().filter_map(|entry| metrics::read(entry, Dialect::Old, found)).collect()
            });
            metrics.extend(spec.integer("targetCPUUtilizationPercentage", 1, found).map(Metric::cpu));
            metrics
        }
        version => {
            let before_behavior = version == "autoscaling/v2beta1";
            let dialect = if before_behavior { Dialect::Old } else { Dialect::New };
            let further: &[&str] = if before_behavior { &["metrics"] } else { &["metrics", "behavior"] };
            spec.only(&[&common[..], further].concat(), found);
            let entries = spec.children("metrics", found);
            entries.iter().filter_map(|entry| metrics::read(entry, dialect, found)).collect()
        }
    }
}

/// The behavior, which is copied as it is: a ScaledObject says it in the same words.
fn behavior(document: &Document, spec: &Fields<'_>, found: &mut Found) -> Option<Value> {
    if matches!(document.api_version(), "autoscaling/v1" | "autoscaling/v2beta1") {
        let (value, at) = annotation(document, BEHAVIOR_ANNOTATION, found)?;
        found.map(&value, at)?;
        return Some(value);
    }
    spec.child("behavior", found)?;
    spec.get("behavior").cloned()
}

/// The JSON in an annotation, and where it stands.
fn annotation(document: &Document, name: &str, found: &mut Found) -> Option<(Value, String)> {
    let text = document.value.get("metadata")?.get("annotations")?.get(name)?;
    let at = path::child("metadata.annotations", name);
    match text.as_str().map(serde_json::from_str::<Value>) {
        Some(Ok(Value::Null)) => None,
        Some(Ok(value)) => Some((value, at)),
        _ => {
            found.refuse(
                at,
                Some(text),
                "is not JSON, so that an API server passes it over; correct it or take it away",
            );
            None
        }
    }
}
