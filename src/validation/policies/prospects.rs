//! What is probably not meant by the rules of an object, now that they stand beside its triggers.

use tidegate_calculator::operation::spec::HookSpec;
use tidegate_calculator::rules::{Change, Condition, Role, Rules, TriggerRules};
use tidegate_calculator::source::{MetricType, Milli};
use tidegate_crds::annotations::POLICIES;
use tidegate_engine::subject::Trigger;

use super::super::findings::Findings;
use super::super::surroundings::{Sight, Surroundings};
use super::super::triggers::is_resource_like;
use super::attach::Base;
use super::{Fit, HookReferences, hook_references};
use crate::manifests::path;

/// Where a percentage below it is probably meant as a fraction.
const ONE: Milli = Milli(1_000);

/// Says it. What is said of all rules together holds only if they are `complete`.
pub(super) fn look(rules: &Rules, triggers: &[Trigger], base: Base<'_>, complete: bool, findings: &mut Findings) {
    for (index, (of, trigger)) in rules.triggers.iter().zip(triggers).enumerate() {
        let name = trigger.spec.name.as_deref().unwrap_or_default();
        let mut warn = |text: String| findings.warn(place(), Some(name.to_owned()), text);
        let read = rules.gates.iter().any(|gate| usize::from(gate.trigger) == index);
        if of.window.is_some() && of.steps.is_empty() && !read {
            warn("has a window without effect: no step and no gate compares the trigger".to_owned());
        }
        if of.role == Role::Signal && !read && complete {
            warn("has role Signal, and no gate reads it".to_owned());
        }
        if is_resource_like(&trigger.spec.kind) && trigger.spec.metric_type == MetricType::Utilization {
            let gates = rules.gates.iter().filter(|gate| usize::from(gate.trigger) == index).map(|gate| gate.closes);
            let small = of.steps.iter().map(|step| step.condition).chain(gates).map(limit).find(|limit| *limit <= ONE);
            if let Some(limit) = small.filter(|limit| limit.0 > 0) {
                warn(format!("is compared in percent, so {limit} is {limit} %; is {} meant?", Milli(limit.0 * 100)));
            }
        }
        let by_ratio = of.steps.iter().any(|step| step.change == Change::Ratio);
        if !of.steps.is_empty() && !by_ratio {
            let text = "votes by the steps of its ScalingPolicy: its threshold is not compared";
            findings.tell(path::item("triggers", index), Some(name.to_owned()), text);
        }
    }
    if complete {
        without_demand(rules, triggers, base, findings);
        one_way(rules, triggers, base, findings);
    }
}

/// The same of hooks: whether the object can reach zero, and whether their credentials are there.
pub(super) fn of_hooks(
    hooks: &HookSpec,
    fit: Fit<'_>,
    namespace: &str,
    known: &dyn Surroundings,
    findings: &mut Findings,
) {
    if let Some(name) = super::hooks::stays_up(hooks, fit) {
        let text = "is a hook for Flink that cannot stop every job, because jobs.list[].run does not say how each is run again: while \
                    one is live the object does not go to zero; say how, or set minReplicaCount to 1 or more";
        findings.warn(place(), Some(name.to_owned()), text);
    }
    let Some(target) = fit.target else { return };
    for found in hook_references(hooks, target, None) {
        let Some(reference) = found.references.authentication else { continue };
        if known.authentication(namespace, &reference) == Sight::Absent {
            let kind = if reference.cluster { "ClusterTriggerAuthentication" } else { "TriggerAuthentication" };
            let HookReferences { list, item, field, .. } = found;
            let text = format!(
                "has a hook whose authenticationRef ({list}, {item}, {field}) names nothing: no such {kind} is {}",
                known.place()
            );
            findings.warn(place(), Some(reference.name.to_string()), text);
        }
    }
}

/// A fallback stands for triggers that propose replicas.
fn without_demand(rules: &Rules, triggers: &[Trigger], base: Base<'_>, findings: &mut Findings) {
    let counts =
        |(of, trigger): (&TriggerRules, &Trigger)| of.role == Role::Scale && !is_resource_like(&trigger.spec.kind);
    if base.fallback && !rules.triggers.is_empty() && !rules.triggers.iter().zip(triggers).any(counts) {
        let text = "stands for no trigger: all are of type cpu or memory, or have role Signal";
        findings.warn("fallback", None, text);
    }
}

/// Warns if nothing can ever lower the object, or nothing raise it: every trigger votes by steps, and all of one direction.
fn one_way(rules: &Rules, triggers: &[Trigger], base: Base<'_>, findings: &mut Findings) {
    let scale = || rules.triggers.iter().filter(|of| of.role == Role::Scale);
    let changes = || scale().flat_map(|of| &of.steps).map(|step| step.change);
    let by_steps = rules.triggers.len() == triggers.len() && scale().all(|of| !of.steps.is_empty());
    if !by_steps || scale().count() == 0 || base.rests {
        return;
    }
    if !changes().any(Change::lowers) && !rules.schedules.iter().any(|one| one.max.is_some_and(|max| max < base.max)) {
        let text = "OnlyRaises: no step lowers the object, so nothing ever does; a step with change -N is needed";
        findings.warn(place(), None, text);
    }
    if !changes().any(Change::raises) && !rules.schedules.iter().any(|one| one.min.is_some()) {
        let text = "OnlyLowers: no step raises the object, so nothing ever does; a step with change +N is needed";
        findings.warn(place(), None, text);
    }
}

const fn limit(condition: Condition) -> Milli {
    match condition {
        Condition::Above(limit) | Condition::Below(limit) => limit,
    }
}

fn place() -> String {
    path::child("metadata.annotations", POLICIES)
}
