//! Decides once about an object of a file, on what the command line says that its triggers and its target show.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_calculator::decide::decide;
use tidegate_calculator::decision::Decision;
use tidegate_calculator::memory::Memory;
use tidegate_calculator::observation::{Evidence, Observation, TargetState};
use tidegate_calculator::policy::{Pause, Policy, Settings};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::snapshot::{Phase, Snapshot};
use tidegate_engine::subject::{Finding, ObjectId, Severity, Subject, TargetRef, Trigger};

use super::{ExplainError, Scene};
use crate::manifests::{self, Document};
use crate::server::api::ObjectView;
use crate::simulation::scripted::{self, Said, Scripted};
use crate::validation::{self, Files, PolicyRef, Sight, Surroundings, Validated};

/// The moment of the decision.
const TICK: Tick = Tick(0);

/// The object in the API's form. What is worth knowing beside the decision goes to standard error.
pub(super) fn explain(files: &[PathBuf], wanted: Option<&ObjectId>, scene: &Scene) -> Result<Value, ExplainError> {
    let loaded = manifests::load(files);
    if let Some(broken) = loaded.broken.into_iter().next() {
        return Err(ExplainError::Broken(broken));
    }
    let document = choose(&loaded.documents, wanted)?;
    // Without a time of its own the object was created long ago, so `initialCooldownPeriod` is over.
    let created = Timestamp::UNIX_EPOCH;
    let known = Policies(Files::new(&loaded.documents));
    let validated = validation::scaled_object(&document.value, &known, &Settings::default(), created);
    let now = Now { tick: TICK, wall: scene.at.unwrap_or_else(Timestamp::now) };
    let snapshot = match &validated.subject {
        Some(subject) => {
            report(document, &validated.findings);
            eprintln!("note: decided without history, as right after a first start");
            decided(subject, scene, now)?
        }
        None => refused(document, validated, target(scene)?, now),
    };
    Ok(serde_json::to_value(ObjectView::full(&snapshot)).unwrap_or_default())
}

/// What is looked at besides the object: its policies, from the same files. All else may stand elsewhere.
struct Policies<'a>(Files<'a>);

impl Surroundings for Policies<'_> {
    fn place(&self) -> &'static str {
        self.0.place()
    }

    fn policy(&self, namespace: &str, name: &PolicyRef) -> Sight<Arc<Value>> {
        self.0.policy(namespace, name)
    }
}

/// The one ScaledObject that is meant.
fn choose<'a>(documents: &'a [Document], wanted: Option<&ObjectId>) -> Result<&'a Document, ExplainError> {
    let all: Vec<&Document> = documents.iter().filter(|document| document.kind() == "ScaledObject").collect();
    let id = |document: &Document| ObjectId::new(document.namespace(), document.name());
    let names = || all.iter().map(|document| id(document).to_string()).collect();
    match (wanted, &all[..]) {
        (Some(wanted), _) => {
            let found = all.iter().find(|document| id(document) == *wanted);
            found.copied().ok_or_else(|| ExplainError::NoSuchObject { wanted: Some(wanted.clone()), known: names() })
        }
        (None, [one]) => Ok(one),
        (None, []) => Err(ExplainError::NoSuchObject { wanted: None, known: Vec::new() }),
        (None, _) => Err(ExplainError::Several(names())),
    }
}

/// What does not keep the object from being decided, but should be known.
fn report(document: &Document, findings: &[Finding]) {
    for finding in findings.iter().filter(|finding| finding.severity >= Severity::Warning) {
        let place = document.position(&validation::location(&finding.problem.path));
        let place = place.map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column));
        eprintln!("{}{place} {finding}", document.file.display());
    }
}

fn decided(subject: &Subject, scene: &Scene, now: Now) -> Result<Snapshot, ExplainError> {
    let target = target(scene)?;
    let evidence = evidence(subject, &scene.settings, target)?;
    let created = now.tick_of(subject.created);
    let observed = Observation { target, triggers: &evidence, created, wall: now.wall, useful: None };
    let decision = decide(&subject.policy, &Memory::default(), &observed, now.tick);
    let next_check = next_check(&subject.policy, &decision, target.replicas, now.tick);
    let phase = match &subject.hold {
        Some(hold) => Phase::Held(hold.clone()),
        None if subject.policy.pause == Pause::No => Phase::Running,
        None => Phase::Paused,
    };
    Ok(Snapshot {
        id: subject.id.clone(),
        target: subject.target.clone(),
        subject: Some(Arc::new(subject.clone())),
        phase,
        seen: Some(target),
        errors: vec![0; evidence.len()],
        metrics: Vec::new(),
        evidence,
        decision: Some((Arc::new(decision), now.tick)),
        decision_lag: Span::ZERO,
        next_check: Some(next_check),
        last_active: None,
        last_change: None,
        operations: None,
        now,
    })
}

/// An object that is not obeyed: nothing is decided, and the explanation says why.
fn refused(document: &Document, validated: Validated, seen: TargetState, now: Now) -> Snapshot {
    let namespace = document.namespace();
    let unnamed = || TargetRef {
        namespace: namespace.into(),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "?".into(),
    };
    Snapshot {
        id: validated.id.unwrap_or_else(|| ObjectId::new(namespace, "?")),
        target: validated.target.unwrap_or_else(unnamed),
        subject: None,
        phase: Phase::Refused(validated.findings),
        seen: Some(seen),
        evidence: Vec::new(),
        metrics: Vec::new(),
        decision: None,
        decision_lag: Span::ZERO,
        next_check: None,
        last_active: None,
        last_change: None,
        operations: None,
        errors: Vec::new(),
        now,
    }
}

/// The target as the command line describes it.
fn target(scene: &Scene) -> Result<TargetState, ExplainError> {
    let replicas = scene.replicas.unwrap_or(0);
    let existing = scene.existing.unwrap_or(replicas);
    let ready = scene.ready.unwrap_or(existing);
    if ready > existing {
        return Err(ExplainError::Ready { ready, existing });
    }
    Ok(TargetState { replicas, existing, ready: Some(ready) })
}

/// What each trigger said: what was set, or a failure that says that nothing was set.
fn evidence(
    subject: &Subject,
    settings: &[(String, Said)],
    target: TargetState,
) -> Result<Vec<Evidence>, ExplainError> {
    let scripts: Vec<_> = subject.triggers.iter().map(|trigger| Scripted::of(&trigger.spec)).collect();
    let called = |(trigger, script): (&Trigger, &Result<Scripted, _>)| match script {
        Ok(script) => script.keys().to_vec(),
        Err(_) => scripted::keys(&trigger.spec, &[]),
    };
    let keys: Vec<Vec<String>> = subject.triggers.iter().zip(&scripts).map(called).collect();
    if let Some((key, _)) = settings.iter().find(|(key, _)| !keys.iter().flatten().any(|known| known == key)) {
        let allowed = keys.iter().map(|keys| keys.join(" or ")).collect();
        return Err(ExplainError::UnknownTrigger { key: key.clone(), allowed });
    }
    let mut evidence = Vec::new();
    for (script, keys) in scripts.into_iter().zip(&keys) {
        let said = settings.iter().rev().find(|(key, _)| keys.contains(key)).map(|(_, said)| *said);
        let read = match (script, said) {
            (Err(error), _) => Err(ReadError::from(error)),
            (Ok(script), Some(said)) => script.answer(said, target),
            (Ok(_), None) => {
                let name = keys.first().map_or("TRIGGER", String::as_str);
                let message = format!("no value was given; add --set {name}=NUMBER");
                Err(ReadError::query(ReadErrorKind::Unavailable, message))
            }
        };
        evidence.push(match read {
            Ok(readings) => Evidence::Good { readings, begun: TICK, at: TICK },
            Err(error) => Evidence::Unread.after(error, TICK),
        });
    }
    Ok(evidence)
}

/// When the engine would look again: at the end of its interval, or when time alone changes the decision.
fn next_check(policy: &Policy, decision: &Decision, replicas: u32, now: Tick) -> Tick {
    let resting = !decision.active && Some(replicas) == policy.resting();
    let interval =
        if resting { policy.polling_interval } else { policy.polling_interval.min(policy.settings.sync_period) };
    let regular = now + interval;
    decision.next.map_or(regular, |next| next.min(regular))
}
