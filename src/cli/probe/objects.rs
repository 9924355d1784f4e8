//! Which objects and triggers are meant, and what is wrong with their texts.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_calculator::observation::TargetState;
use tidegate_calculator::policy::Settings;
use tidegate_calculator::source::TriggerSpec;
use tidegate_engine::subject::{Finding, ObjectId, Severity, Trigger};

use super::reads::Task;
use super::world::{self, World};
use super::{ProbeError, SCALED_OBJECT};
use crate::kubernetes::once::{Glance, Kind};
use crate::manifests::Document;
use crate::server::triggers::name;
use crate::validation::{self, Files, Nothing, Report};

/// `NAME` or `NAMESPACE/NAME`.
pub(in crate::cli) fn named(text: &str, namespace: &str) -> ObjectId {
    let (namespace, name) = text.split_once('/').unwrap_or((namespace, text));
    ObjectId::new(namespace, name)
}

/// The objects of the cluster that are named, or all of the namespace.
pub(in crate::cli) async fn fetch(
    cluster: &Glance,
    wanted: &[ObjectId],
    namespace: &str,
) -> Result<Vec<Document>, ProbeError> {
    let mut found = Vec::new();
    for id in wanted {
        match cluster.object(&Kind::ScaledObject, &id.namespace, &id.name).await {
            Ok(Some(object)) => found.push(object),
            Ok(None) => return Err(ProbeError::NoSuchObject { wanted: Some(id.clone()), known: Vec::new() }),
            Err(unseen) => return Err(ProbeError::Unseen { what: format!("{SCALED_OBJECT} {id}"), why: unseen.why }),
        }
    }
    if wanted.is_empty() {
        let what = format!("the {SCALED_OBJECT}s of namespace {namespace}");
        let listed = cluster.scaled_objects(namespace).await;
        found = listed.map_err(|unseen| ProbeError::Unseen { what, why: unseen.why })?;
        if found.is_empty() {
            return Err(ProbeError::NoneIn(namespace.to_owned()));
        }
    }
    let mut documents = Vec::new();
    for object in &found {
        let what = || format!("a {SCALED_OBJECT} of the cluster");
        documents.extend(world::parsed(object).map_err(|why| ProbeError::Unseen { what: what(), why })?);
    }
    Ok(documents)
}

/// The documents of these objects, or of all.
pub(in crate::cli) fn choose(documents: &[Document], wanted: &[ObjectId]) -> Result<Vec<Document>, ProbeError> {
    let all = || documents.iter().filter(|document| document.kind() == SCALED_OBJECT);
    let known = || all().map(|document| id(document).to_string()).collect();
    if let Some(missing) = wanted.iter().find(|wanted| !all().any(|document| id(document) == **wanted)) {
        return Err(ProbeError::NoSuchObject { wanted: Some(missing.clone()), known: known() });
    }
    let chosen: Vec<Document> =
        all().filter(|document| wanted.is_empty() || wanted.contains(&id(document))).cloned().collect();
    if chosen.is_empty() { Err(ProbeError::NoSuchObject { wanted: None, known: Vec::new() }) } else { Ok(chosen) }
}

/// What is to be read, and whether all objects are in order but for single triggers; what is wrong with others goes to standard error.
pub(super) async fn tasks(
    chosen: &[Document],
    world: &World,
    only: Option<&str>,
) -> Result<(Vec<Task>, bool), ProbeError> {
    let known = Files::new(world.documents()).for_cluster();
    let reports = validation::documents(world.documents(), &known, &Settings::default(), Timestamp::now());
    let (mut tasks, mut called, mut well) = (Vec::new(), Vec::new(), true);
    for document in chosen {
        let errors = errors(report(document, world, &reports));
        for finding in errors.iter().filter(|finding| trigger_of(finding).is_none()) {
            well = false;
            eprintln!("{} {finding}", place(document, finding));
        }
        let triggers = validation::triggers_of(&document.value, &Nothing);
        called.extend(triggers.iter().map(|trigger| calling(&trigger.spec)));
        let target = seen(world.cluster(), &triggers).await;
        let policy = report(document, world, &reports)
            .and_then(|report| report.scaled_object.as_ref()?.subject.as_ref())
            .map(|subject| Arc::new(subject.policy.clone()));
        let meant = triggers.into_iter().filter(|trigger| only.is_none_or(|only| is_called(&trigger.spec, only)));
        tasks.extend(meant.map(|trigger| {
            let flaw = flaw(&errors, trigger.spec.index.into());
            Task { object: id(document), trigger, flaw, policy: policy.clone(), target }
        }));
    }
    match only {
        Some(only) if tasks.is_empty() => Err(ProbeError::NoSuchTrigger { wanted: only.to_owned(), known: called }),
        _ => Ok((tasks, well)),
    }
}

fn id(document: &Document) -> ObjectId {
    ObjectId::new(document.namespace(), document.name())
}

/// What was said of a document.
pub(in crate::cli) fn report<'a>(document: &Document, world: &World, reports: &'a [Report]) -> Option<&'a Report> {
    let place = |document: &Document| (document.file.clone(), document.position(""), id(document));
    // All objects of a cluster stand at the same place of no file.
    let is_it = |other: &Document| other.kind() == SCALED_OBJECT && place(other) == place(document);
    let found = world.documents().iter().zip(reports).find(|(other, _)| is_it(other));
    found.map(|(_, report)| report)
}

pub(in crate::cli) fn errors(report: Option<&Report>) -> Vec<&Finding> {
    let findings = report.map(|report| report.findings.as_slice()).unwrap_or_default();
    findings.iter().filter(|finding| finding.severity == Severity::Error).collect()
}

/// Everything that is wrong with the text of one trigger.
fn flaw(errors: &[&Finding], trigger: usize) -> Option<String> {
    let own = errors.iter().filter(|finding| trigger_of(finding) == Some(trigger));
    let flaws: Vec<String> = own.map(|finding| finding.problem.to_string()).collect();
    (!flaws.is_empty()).then(|| flaws.join("; "))
}

/// The state of the triggers' target in the cluster; none if there is no cluster, or if it cannot be read, which is said.
async fn seen(cluster: Option<&Glance>, triggers: &[Trigger]) -> Option<TargetState> {
    match cluster?.target(&triggers.first()?.references.target).await {
        Ok(state) => Some(state),
        Err(error) => {
            eprintln!("warning: {error}; so nothing that depends on its pods can be said");
            None
        }
    }
}

/// The position of the trigger that a finding is about, if it is about one.
pub(super) fn trigger_of(finding: &Finding) -> Option<usize> {
    let (index, rest) = finding.problem.path.strip_prefix("triggers[")?.split_once(']')?;
    (rest.is_empty() || rest.starts_with(['.', '['])).then(|| index.parse().ok())?
}

/// The trigger's name, else what it counts, else its position.
pub(super) fn calling(spec: &TriggerSpec) -> String {
    name(spec).unwrap_or_else(|| spec.index.to_string())
}

/// Whether a trigger is meant by a name on the command line.
fn is_called(spec: &TriggerSpec, text: &str) -> bool {
    name(spec).as_deref() == Some(text) || spec.index.to_string() == text
}

/// Where a finding stands: its place in a file, or its object in a cluster.
pub(in crate::cli) fn place(document: &Document, finding: &Finding) -> String {
    if document.file == Path::new(world::CLUSTER) {
        return format!("{SCALED_OBJECT} {}", id(document));
    }
    let at = validation::place(document, finding).map(|at| format!(":{}:{}", at.line, at.column));
    format!("{}{}", document.file.display(), at.unwrap_or_default())
}
