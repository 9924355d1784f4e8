//! Judges the text of one ScaledObject of the cluster, and notes what those who write it want to know. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tidegate_calculator::policy;
use tidegate_crds::annotations::POLICIES;
use tidegate_crds::{KEDA_GROUP, VERSION};
use tidegate_engine::subject::{Finding, ObjectId, Severity, Subject, TargetRef};
use tidegate_scalers::Known;

use super::directory::{AuthenticationKey, authentication_key};
use super::policies::Policies;
use super::views::{self, Loose};
use crate::kubernetes::known::{ObjectFacts, RecordFacts, StatusView};
use crate::kubernetes::packed::Packed;
use crate::validation::{self, Policy, PolicyRef, Sight, Surroundings, hook_references};

/// The groups of annotations that are kept.
const GROUPS: [&str; 3] = ["autoscaling.keda.sh/", "scaledobject.keda.sh/", "tidegate.dev/"];

/// What validation may know of a cluster: its policies. What else is absent there may come at any time, and then the watches say so.
#[derive(Clone, Copy, Debug)]
struct Cluster<'a>(&'a Policies);

/// What came of a text.
pub(super) struct Judged {
    /// What it scales; without a name if it does not say.
    pub(super) target: TargetRef,
    /// The object as the engine obeys it, if it can be obeyed.
    pub(super) subject: Option<Arc<Subject>>,
    /// What is wrong with it.
    pub(super) findings: Vec<Finding>,
    /// What is accepted, but is probably not what was meant.
    pub(super) warnings: Vec<Finding>,
    /// Whether a trigger takes values from the environment of the target's pods.
    pub(super) environment: bool,
    /// The authentications that its triggers and its hooks name.
    pub(super) authentications: BTreeSet<AuthenticationKey>,
    /// What the writers want to know.
    pub(super) facts: ObjectFacts,
}

/// Judges a text.
pub(super) fn judge(id: &ObjectId, view: &Loose, settings: &policy::Settings, policies: &Policies) -> Judged {
    let annotations = annotations(view);
    let spec = view.spec.as_ref().unwrap_or(&Value::Null);
    let created = views::created(&view.metadata);
    let whole = json!({
        "apiVersion": format!("{KEDA_GROUP}/{VERSION}"),
        "kind": "ScaledObject",
        "metadata": {
            "name": &*id.name,
            "namespace": &*id.namespace,
            "uid": view.metadata.uid,
            "generation": view.metadata.generation,
            "creationTimestamp": created.to_string(),
            "annotations": annotations,
        },
        "spec": spec,
    });
    let validated = validation::scaled_object(&whole, &Cluster(policies), settings, created);
    let of =
        |severity| validated.findings.iter().filter(move |finding| finding.severity == severity).cloned().collect();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let target = validated.target.unwrap_or_else(|| nameless(id));
    let mut facts = facts(spec, view, target.clone());
    facts.annotations = annotations;
    // A policy that takes no part may have had some.
    let unsure = facts.annotations.contains_key(POLICIES);
    let hooked = |subject: &Subject| subject.hooks.is_some() || !subject.faults.is_empty();
    facts.hooks = validated.subject.as_deref().map_or(unsure, hooked);
    facts.metric_names = validated.subject.iter().flat_map(|subject| &subject.triggers).map(metric_names).collect();
    Judged {
        target,
        environment: validated.subject.as_deref().is_some_and(reads_environment),
        authentications: validated.subject.iter().flat_map(|subject| authentications(&id.namespace, subject)).collect(),
        subject: validated.subject.map(Arc::from),
        findings: errors,
        warnings,
        facts,
    }
}

/// The annotations that are kept. A change of one of them is a change of the object.
pub(super) fn annotations(view: &Loose) -> BTreeMap<String, String> {
    let all = view.metadata.annotations.iter().flatten();
    let kept = all.filter(|(name, _)| GROUPS.iter().any(|group| name.starts_with(group)));
    kept.map(|(name, text)| (name.clone(), text.clone())).collect()
}

/// KEDA's status fields; a field that is not as it should be is as if absent.
pub(super) fn status(view: &Loose) -> Packed<StatusView> {
    view.status.as_ref().map(|status| Packed::new(&lenient(status))).unwrap_or_default()
}

/// The facts with what is known of the object's record.
pub(super) fn with_record(mut facts: ObjectFacts, record: Option<RecordFacts>) -> ObjectFacts {
    facts.record = record;
    facts
}

/// The facts with what changes without a new text: as it was seen before, or else as the object shows it.
pub(super) fn with_seen(mut facts: ObjectFacts, before: Option<&ObjectFacts>, view: &Loose) -> ObjectFacts {
    let Some(before) = before else {
        facts.finalizers = view.metadata.finalizers.clone().unwrap_or_default();
        facts.deleting = view.metadata.deletion_timestamp.is_some();
        facts.resource_version = view.metadata.resource_version.clone().unwrap_or_default();
        facts.status = status(view);
        return facts;
    };
    facts.finalizers.clone_from(&before.finalizers);
    facts.deleting = before.deleting;
    facts.resource_version.clone_from(&before.resource_version);
    facts.status.clone_from(&before.status);
    if facts.target == before.target {
        facts.target_resource.clone_from(&before.target_resource);
    }
    facts
}

/// Reads an object whose fields are all optional; those that do not fit are left out.
pub(in crate::kubernetes) fn lenient<T: DeserializeOwned + Default>(value: &Value) -> T {
    if let Ok(whole) = T::deserialize(value) {
        return whole;
    }
    let fields = value.as_object().into_iter().flatten();
    let fit = fields.filter(|(name, field)| T::deserialize(json!({ name.as_str(): field })).is_ok());
    let fit: serde_json::Map<String, Value> = fit.map(|(name, field)| (name.clone(), field.clone())).collect();
    T::deserialize(Value::Object(fit)).unwrap_or_default()
}

fn nameless(id: &ObjectId) -> TargetRef {
    TargetRef {
        namespace: id.namespace.clone(),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "".into(),
    }
}

fn facts(spec: &Value, view: &Loose, target: TargetRef) -> ObjectFacts {
    let number = |name: &str| spec.get(name).and_then(Value::as_i64);
    let entries = || spec.get("triggers").and_then(Value::as_array).into_iter().flatten();
    let restore = spec.pointer("/advanced/restoreToOriginalReplicaCount").and_then(Value::as_bool);
    ObjectFacts {
        uid: view.metadata.uid.clone().unwrap_or_default(),
        generation: view.metadata.generation.unwrap_or_default(),
        trigger_types: joined(entries().filter_map(|entry| entry.get("type")?.as_str())),
        authentications: joined(entries().filter_map(|entry| entry.pointer("/authenticationRef/name")?.as_str())),
        restore: restore.unwrap_or(false),
        min: number("minReplicaCount"),
        max: number("maxReplicaCount"),
        idle: number("idleReplicaCount"),
        ..ObjectFacts::of(target)
    }
}

/// KEDA's lists: without repetition, in the order of their first appearance.
fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut list: Vec<&str> = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        if !list.contains(&name) {
            list.push(name);
        }
    }
    list.join(",")
}

/// Metrics of the pods are no external ones: KEDA shows neither them nor their activity.
fn metric_names(trigger: &tidegate_engine::subject::Trigger) -> Vec<String> {
    if tidegate_scalers::kinds::is_of_pods(&trigger.spec.kind) {
        return Vec::new();
    }
    let checked = tidegate_scalers::check(&trigger.spec, Known::Nothing, Known::Nothing);
    checked.metrics.into_iter().map(|metric| metric.name).collect()
}

/// What an object's triggers and hooks refer to.
fn authentications(namespace: &Arc<str>, subject: &Subject) -> BTreeSet<AuthenticationKey> {
    let of_triggers = subject.triggers.iter().map(|trigger| trigger.references.authentication.clone());
    let hooks = subject.hooks.iter().flat_map(|hooks| hook_references(hooks, &subject.target, None));
    let of_hooks = hooks.map(|hook| hook.references.authentication);
    of_triggers.chain(of_hooks).flatten().map(|reference| authentication_key(namespace, &reference)).collect()
}

fn reads_environment(subject: &Subject) -> bool {
    subject.triggers.iter().any(|trigger| trigger.spec.metadata.keys().any(|key| key.ends_with("FromEnv")))
}

impl Surroundings for Cluster<'_> {
    fn place(&self) -> &'static str {
        "in this cluster"
    }

    fn restores(&self) -> bool {
        true
    }

    fn performs_hooks(&self) -> bool {
        true
    }

    fn readable(&self, namespace: &str, name: &PolicyRef) -> Sight<Arc<Policy>> {
        self.0.find(namespace, name)
    }

    fn why_unseen(&self, namespace: &str, name: &PolicyRef) -> Option<String> {
        self.0.why(namespace, name)
    }
}
