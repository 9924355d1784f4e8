//! `TriggerAuthentication` and `ClusterTriggerAuthentication`: their structure, and which sources are there yet.

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate_engine::subject::Finding;

use super::findings::Findings;
use super::metadata;
use super::schema;
use super::surroundings::{KeysOf, Sight, Surroundings};
use crate::manifests::path;

/// The sources that are read.
const SUPPORTED: &str = "secretTargetRef, configMapTargetRef and env";
/// The sources that KEDA has and that are refused by name.
const NOT_YET: [&str; 7] = [
    "boundServiceAccountToken",
    "oauth2",
    "filePath",
    "hashiCorpVault",
    "azureKeyVault",
    "gcpSecretManager",
    "awsSecretManager",
];

const PROVIDER: &str = "podIdentity.provider";

/// The parameters that an authentication provides.
pub(super) enum Provided {
    /// Exactly these.
    Names(BTreeSet<String>),
    /// It cannot be told.
    Unknown,
}

/// The parameters of an authentication's `spec`.
pub(super) fn provided(spec: &Value) -> Provided {
    if NOT_YET.iter().any(|source| present(spec, source)) {
        return Provided::Unknown;
    }
    let sources = ["secretTargetRef", "configMapTargetRef", "env"];
    let entries = sources.iter().filter_map(|source| spec.get(source)?.as_array()).flatten();
    Provided::Names(entries.filter_map(|entry| Some(entry.get("parameter")?.as_str()?.to_owned())).collect())
}

/// Everything that is wrong with a `TriggerAuthentication` or a `ClusterTriggerAuthentication` (the object's `kind` says
/// which).
pub fn trigger_authentication(object: &Value, known: &dyn Surroundings) -> Vec<Finding> {
    let mut findings = Findings::default();
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let cluster = kind == "ClusterTriggerAuthentication";
    schema::check(if cluster { kind } else { "TriggerAuthentication" }, object, &mut findings);
    metadata::check_name(object, &mut findings);
    let Some(spec) = object.get("spec") else { return findings.list };
    refuse_sources(spec, cluster, &mut findings);
    let id = metadata::id(object);
    let namespace = id.as_ref().filter(|_| !cluster).map(|id| &*id.namespace);
    for (source, of) in [("secretTargetRef", KeysOf::Secret), ("configMapTargetRef", KeysOf::ConfigMap)] {
        for (index, entry) in spec.get(source).and_then(Value::as_array).into_iter().flatten().enumerate() {
            look(entry, of, namespace, &path::item(source, index), known, &mut findings);
        }
    }
    findings.list
}

fn refuse_sources(spec: &Value, cluster: bool, findings: &mut Findings) {
    let allowed = format!("is not supported yet; supported: {SUPPORTED}");
    for source in NOT_YET.iter().filter(|source| present(spec, source)) {
        // What is missing inside of it is of no use to anybody.
        let within = format!("{source}.");
        findings.list.retain(|finding| !finding.problem.path.starts_with(&within));
        if *source == "filePath" && !cluster {
            findings.refuse(*source, None, "is only allowed in a ClusterTriggerAuthentication");
        } else {
            findings.refuse(*source, None, allowed.clone());
        }
    }
    let provider = spec.pointer("/podIdentity/provider").and_then(Value::as_str).filter(|text| *text != "none");
    // One that KEDA does not know is named already.
    let named = findings.list.iter().any(|finding| finding.problem.path == PROVIDER);
    if let Some(provider) = provider.filter(|_| !named) {
        findings.refuse(PROVIDER, Some(provider.to_owned()), allowed);
    }
}

/// Whether a source is given; an empty list or map is none.
fn present(spec: &Value, source: &str) -> bool {
    match spec.get(source) {
        None | Some(Value::Null) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}

/// Warns of a Secret, a `ConfigMap` or a key that is not where it could be seen.
fn look(
    entry: &Value,
    of: KeysOf,
    namespace: Option<&str>,
    here: &str,
    known: &dyn Surroundings,
    findings: &mut Findings,
) {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let (Some(name), Some(key)) = (text("name"), text("key")) else { return };
    let (kind, place) = (of.kind(), known.place());
    match known.keys(of, namespace, name) {
        Sight::Absent => {
            let allowed = format!("names nothing: no such {kind} is {place}");
            findings.warn(path::child(here, "name"), Some(name.to_owned()), allowed);
        }
        Sight::Here(keys) if !keys.contains(key) => {
            let guess = super::findings::guess(key, keys.iter().map(String::as_str));
            let allowed = format!("is not a key of {kind} {name} {place}{guess}");
            findings.warn(path::child(here, "key"), Some(key.to_owned()), allowed);
        }
        Sight::Here(_) | Sight::Unseen => {}
    }
}
