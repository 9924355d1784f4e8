//! The triggers of an object: its list, and what each scaler says of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use tidegate_calculator::policy::TriggerPolicy;
use tidegate_calculator::source::{MetricType, Problem, TriggerSpec};
use tidegate_engine::subject::{AuthenticationRef, References, Severity, TargetRef, Trigger};
use tidegate_scalers::parameters::Source;
use tidegate_scalers::{Known, TriggerType, kinds};

use super::authentication::{self, Provided};
use super::findings::{Findings, guess, shown};
use super::fingerprint;
use super::surroundings::{Sight, Surroundings};
use crate::manifests::path;

/// The most triggers of one object: their position is part of the metric's name and one byte in the engine.
const MOST: usize = 256;
/// What a metric type may be called.
const METRIC_TYPES: [(&str, MetricType); 3] = [
    ("AverageValue", MetricType::AverageValue),
    ("Value", MetricType::Value),
    ("Utilization", MetricType::Utilization),
];
/// Kinds of `apps/v1` whose Ready pods are known.
const COUNTED: [&str; 3] = ["Deployment", "StatefulSet", "ReplicaSet"];
/// Kinds of `apps/v1` whose minimum KEDA looks at when they have triggers on their pods alone (keda-semantics §6.1 rule 15).
const JUDGED: [&str; 2] = ["Deployment", "StatefulSet"];
/// Triggers whose `metricType` has no default.
const TYPED: [&str; 2] = ["cpu", "memory"];
/// Triggers that have no use for `useCachedMetrics`.
const NEVER_CACHED: [&str; 3] = ["cpu", "memory", "cron"];

/// Reads the triggers and says everything that is wrong with them. Only of use when no object-level error was found.
pub(super) fn read(
    spec: &Value,
    target: Option<&TargetRef>,
    container: Option<&str>,
    known: &dyn Surroundings,
    findings: &mut Findings,
) -> Vec<Trigger> {
    let entries = spec.get("triggers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if entries.len() > MOST {
        findings.refuse("triggers", None, format!("has {} entries; at most {MOST} are allowed", entries.len()));
    }
    duplicate_names(entries, findings);
    let environment = target.map_or(Sight::Unseen, |target| known.environment(target, container));
    let mut triggers = Vec::with_capacity(entries.len().min(MOST));
    for (index, entry) in entries.iter().take(MOST).enumerate() {
        let Some(fields) = entry.as_object() else { continue };
        let here = path::item("triggers", index);
        let trigger = read_spec(fields, u8::try_from(index).unwrap_or(u8::MAX), &here, findings);
        if let Some(target) = target.filter(|_| !known.counts_pods()) {
            pods_are_counted(&trigger, target, &here, findings);
        }
        let authentication = reference(fields, &here, findings);
        let provided = match (&authentication, target) {
            (Some(reference), Some(target)) => look(reference, target, &here, known, findings),
            (None, _) => Provided::Names(BTreeSet::new()),
            _ => Provided::Unknown,
        };
        // Without a map of parameters, which is said already, every required one would be missing.
        if !trigger.kind.is_empty() && fields.get("metadata").is_some_and(Value::is_object) {
            check(&trigger, &environment, &provided, &here, findings);
        }
        if let Some(target) = target {
            let container = container.map(Into::into);
            let references = References { target: target.clone(), container, authentication };
            triggers.push(Trigger { spec: trigger, references });
        }
    }
    triggers
}

/// Whether triggers of this type have no fallback and no activity of their own.
pub(super) fn is_resource_like(kind: &str) -> bool {
    kinds::is_of_pods(kind)
}

/// Whether there are triggers, and all of them are on what the pods show.
pub(super) fn all_are_resource_like(spec: &Value) -> bool {
    let entries = spec.get("triggers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let kind = |entry: &Value| entry.get("type").and_then(Value::as_str).is_some_and(is_resource_like);
    !entries.is_empty() && entries.iter().all(kind)
}

/// Whether there are triggers, and all of them read nothing but pods.
fn all_need_pods(spec: &Value) -> bool {
    let entries = spec.get("triggers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let needs = |entry: &Value| {
        let source = entry.pointer("/metadata/source").and_then(Value::as_str);
        entry.get("type").and_then(Value::as_str).is_some_and(|kind| kinds::needs_pods(kind, source))
    };
    !entries.is_empty() && entries.iter().all(needs)
}

/// Triggers on the pods alone say nothing about zero (keda-semantics §6.1 rule 15). KEDA's webhook refuses such an object, while its
/// operator keeps one replica of it; so it is an error that leaves the object to be obeyed.
pub(super) fn zero_needs_another(spec: &Value, target: &TargetRef, findings: &mut Findings) {
    let min = spec.get("minReplicaCount").and_then(Value::as_u64);
    if min.unwrap_or(0) > 0 || !all_need_pods(spec) {
        return;
    }
    let types = if all_are_resource_like(spec) {
        "cpu, memory or pods-metric"
    } else {
        "cpu, memory, pods-metric or websocket (source pods)"
    };
    let judged = &*target.api_version == "apps/v1" && JUDGED.contains(&&*target.kind);
    let is = if min.is_some() { "is not enough" } else { "is absent, which counts as 0" };
    let allowed = format!(
        "{is}: all triggers are of type {types}, which say nothing about zero; set it to 1 or more, or add a trigger of \
         another type"
    );
    let problem = Problem { path: "minReplicaCount".to_owned(), value: min.map(|min| min.to_string()), allowed };
    findings.say(if judged { Severity::Error } else { Severity::Warning }, problem);
}

/// Which triggers say `useCachedMetrics`, by position (keda-semantics §6.1 rule 6).
pub(super) fn cached(spec: &Value, findings: &mut Findings) -> Vec<bool> {
    let entries = spec.get("triggers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_cached = |(index, entry): (usize, &Value)| {
        let cached = entry.get("useCachedMetrics") == Some(&Value::Bool(true));
        let kind = entry.get("type").and_then(Value::as_str).unwrap_or_default();
        if cached && NEVER_CACHED.contains(&kind) {
            let place = path::child(&path::item("triggers", index), "useCachedMetrics");
            let allowed = format!("is not allowed for a trigger of type {kind}; take it away, or say false");
            findings.refuse(place, Some("true".to_owned()), allowed);
        }
        cached
    };
    entries.iter().enumerate().map(is_cached).collect()
}

/// What a decision needs to know of triggers; `cached` is by position, `rests_at_zero` says whether the object rests at zero.
///
/// Where nothing could wake it from there, connections that pods count are no reason to rest: the object is always active.
pub(super) fn policies(triggers: &[Trigger], cached: &[bool], rests_at_zero: bool) -> Vec<TriggerPolicy> {
    let needs_pods =
        |of: &Trigger| kinds::needs_pods(&of.spec.kind, of.spec.metadata.get("source").map(String::as_str));
    let stuck = rests_at_zero && triggers.iter().all(needs_pods);
    let policy = |(trigger, cached): (&Trigger, &bool)| TriggerPolicy {
        kind: trigger.spec.kind.clone(),
        name: trigger.spec.name.clone(),
        resource_like: stuck || is_resource_like(&trigger.spec.kind),
        metric_type: trigger.spec.metric_type,
        cached: *cached,
        fingerprint: fingerprint::of_trigger(&trigger.spec, trigger.references.authentication.as_ref()),
    };
    triggers.iter().zip(cached).map(policy).collect()
}

/// Takes values of metadata out of the findings about structure, but for those that the trigger's type declares as no
/// secret: a password without quotes may be a number.
pub(super) fn hide_secrets(spec: &Value, findings: &mut Findings) {
    for finding in &mut findings.list {
        let Some((entry, rest)) = finding.problem.path.split_once("].metadata") else { continue };
        let index = entry.strip_prefix("triggers[").and_then(|index| index.parse::<usize>().ok());
        let kind = index.and_then(|index| spec.pointer(&format!("/triggers/{index}/type"))).and_then(Value::as_str);
        let declared = kind.and_then(tidegate_scalers::trigger_type).and_then(|kind| {
            let key = rest.strip_prefix('.')?;
            let name = key.strip_suffix("FromEnv").unwrap_or(key);
            kind.parameters.iter().find(|parameter| parameter.names.contains(&name))
        });
        if declared.is_none_or(|parameter| parameter.secret) {
            finding.problem.value = None;
        }
    }
}

fn duplicate_names(entries: &[Value], findings: &mut Findings) {
    let mut seen = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(name) = entry.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else { continue };
        if let Some(first) = seen.insert(name, index) {
            let place = path::child(&path::item("triggers", index), "name");
            findings.refuse(place, Some(shown(&name.into())), format!("is the name of triggers[{first}] already"));
        }
    }
}

fn read_spec(fields: &Map<String, Value>, index: u8, here: &str, findings: &mut Findings) -> TriggerSpec {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let metadata = fields.get("metadata").and_then(Value::as_object);
    TriggerSpec {
        owner: Arc::default(),
        target: Arc::default(),
        kind: text("type").unwrap_or_default().to_owned(),
        index,
        name: text("name").map(str::to_owned),
        metadata: metadata.into_iter().flatten().filter_map(parameter).collect(),
        metric_type: metric_type(text("metricType"), text("type").unwrap_or_default(), here, findings),
    }
}

/// A value that should be a text was named before; it is judged here as the text that was meant.
fn parameter((key, value): (&String, &Value)) -> Option<(String, String)> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return None,
    };
    Some((key.clone(), text))
}

/// KEDA leaves a wrong one to the API server, which refuses its `HorizontalPodAutoscaler` and so the whole object; for `cpu` and
/// `memory` it refuses the object itself, also if there is none: a percentage must not be taken for cores or bytes.
fn metric_type(text: Option<&str>, kind: &str, here: &str, findings: &mut Findings) -> MetricType {
    let place = || path::child(here, "metricType");
    let Some(text) = text else {
        if TYPED.contains(&kind) {
            let allowed = format!("is required for {kind}; allowed values are 'Utilization' or 'AverageValue'");
            findings.refuse(place(), None, allowed);
        }
        return MetricType::default();
    };
    if let Some((_, metric_type)) = METRIC_TYPES.iter().find(|(name, _)| *name == text) {
        return *metric_type;
    }
    let guess = guess(text, METRIC_TYPES.map(|(name, _)| name));
    let fits = |(_, metric_type): &&(&str, MetricType)| kinds::metric_types(kind).contains(metric_type);
    let names: Vec<&str> = METRIC_TYPES.iter().filter(fits).map(|(name, _)| *name).collect();
    findings.refuse(place(), Some(shown(&text.into())), format!("is not one of {}{guess}", names.join(", ")));
    MetricType::default()
}

/// `Value` multiplies the Ready pods, which a workload of Kubernetes itself shows in its status. Those of others are counted on a cluster
/// only.
fn pods_are_counted(trigger: &TriggerSpec, target: &TargetRef, here: &str, findings: &mut Findings) {
    let counted = &*target.api_version == "apps/v1" && COUNTED.contains(&&*target.kind);
    if trigger.metric_type == MetricType::Value && !counted {
        let place = path::child(here, "metricType");
        let kind = &target.kind;
        let allowed = format!(
            "is not supported here for kind {kind}, whose Ready pods are counted on a cluster only; use AverageValue"
        );
        findings.refuse(place, Some(shown(&"Value".into())), allowed);
    }
}

fn reference(fields: &Map<String, Value>, here: &str, findings: &mut Findings) -> Option<AuthenticationRef> {
    let reference = fields.get("authenticationRef")?.as_object()?;
    let name = reference.get("name")?.as_str()?;
    if name.is_empty() {
        findings.warn(
            format!("{here}.authenticationRef.name"),
            Some(String::new()),
            "is empty: no authentication is used",
        );
        return None;
    }
    let cluster = reference.get("kind").and_then(Value::as_str) == Some("ClusterTriggerAuthentication");
    Some(AuthenticationRef { cluster, name: name.into() })
}

/// What the trigger's authentication provides. That it is absent is only warned of: it may stand elsewhere.
fn look(
    reference: &AuthenticationRef,
    target: &TargetRef,
    here: &str,
    known: &dyn Surroundings,
    findings: &mut Findings,
) -> Provided {
    match known.authentication(&target.namespace, reference) {
        Sight::Here(spec) => authentication::provided(&spec),
        Sight::Unseen => Provided::Unknown,
        Sight::Absent => {
            let kind = if reference.cluster { "ClusterTriggerAuthentication" } else { "TriggerAuthentication" };
            let allowed = format!("names nothing: no such {kind} is {}", known.place());
            findings.warn(format!("{here}.authenticationRef.name"), Some(reference.name.to_string()), allowed);
            Provided::Unknown
        }
    }
}

/// Lets the scaler judge, and puts its paths below the trigger.
fn check(
    trigger: &TriggerSpec,
    environment: &Sight<BTreeSet<String>>,
    provided: &Provided,
    here: &str,
    findings: &mut Findings,
) {
    let env = match environment {
        Sight::Here(names) => Known::Names(names),
        Sight::Absent | Sight::Unseen => Known::Nothing,
    };
    let auth = match provided {
        Provided::Names(names) => Known::Names(names),
        Provided::Unknown => Known::Nothing,
    };
    let below = |problem: Problem| Problem { path: format!("{here}.{}", problem.path), ..problem };
    let checked = tidegate_scalers::check(trigger, env, auth);
    let repeated = |warning: &Problem| checked.errors.contains(warning);
    for problem in checked.errors.iter().cloned() {
        findings.say(Severity::Error, below(problem));
    }
    for problem in checked.warnings.iter().filter(|warning| !repeated(warning)).cloned() {
        findings.say(Severity::Warning, below(problem));
    }
    if let Provided::Names(names) = provided {
        misspelt(&trigger.kind, names, here, findings);
    }
}

/// Parameters of the authentication that are nearly called like one of this type: a password under such a name would be missed without a
/// word. Those that other types read are left out, because several triggers may share an authentication.
fn misspelt(kind: &str, names: &BTreeSet<String>, here: &str, findings: &mut Findings) {
    let read = |of: &'static TriggerType| {
        let parameters = of.parameters.iter().filter(|parameter| parameter.reads(Source::Authentication));
        parameters.flat_map(|parameter| parameter.names).copied()
    };
    let Some(known) = tidegate_scalers::trigger_type(kind) else { return };
    let is_read = |name: &String| tidegate_scalers::trigger_types().iter().flat_map(read).any(|known| known == name);
    for name in names.iter().filter(|name| !is_read(name)) {
        let guess = guess(name, read(known));
        if !guess.is_empty() {
            let place = path::child(&path::child(here, "authenticationRef"), name);
            findings.warn(place, None, format!("is not a parameter of {kind} and has no effect{guess}"));
        }
    }
}
