//! From the text of a `ScaledObject` to what the engine obeys.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_calculator::operation::spec::HookSpec;
use tidegate_calculator::policy::{Consent, Policy, Settings};
use tidegate_calculator::rules::Rules;
use tidegate_crds::annotations::POLICIES;
use tidegate_engine::subject::{Finding, ObjectId, Subject, TargetRef, Trigger};

use super::annotations::Steering;
use super::findings::Findings;
use super::policies::{self, Attached, Base, Fit};
use super::replicas::Bounds;
use super::surroundings::Surroundings;
use super::{annotations, behavior, fallback, fingerprint, metadata, refused, replicas, schema, target, triggers};

/// What came of a check.
#[derive(Clone, Debug, Default)]
pub struct Validated {
    /// Which object it is; none without a name.
    pub id: Option<ObjectId>,
    /// What it wants to scale, even if it is refused; none if it does not say.
    pub target: Option<TargetRef>,
    /// When it was created: `metadata.creationTimestamp`, else what the caller gave.
    pub created: Timestamp,
    /// The object as the engine obeys it; none if and only if an object-level error is among the findings.
    pub subject: Option<Box<Subject>>,
    /// The hooks of all its policies that take part, for the subject: a change of its replicas is an operation where they take part.
    /// None without any.
    pub hooks: Option<Arc<HookSpec>>,
    /// Everything that there is to say about it.
    pub findings: Vec<Finding>,
}

/// Checks one `ScaledObject`.
///
/// `created` is when the object came to be, for one that does not say so itself: a file has no `creationTimestamp`.
/// Absent triggers' authentications, targets and Secrets are warnings only, since they may come later.
pub fn scaled_object(value: &Value, known: &dyn Surroundings, settings: &Settings, created: Timestamp) -> Validated {
    let mut findings = Findings::default();
    let spec = value.get("spec").unwrap_or(&Value::Null);
    schema::check("ScaledObject", value, &mut findings);
    triggers::hide_secrets(spec, &mut findings);
    metadata::check_name(value, &mut findings);
    let all_annotations = metadata::annotations(value);
    let steering = annotations::read(&all_annotations, &mut findings);
    let bounds = replicas::read(spec, settings, &mut findings);
    let behavior = behavior::read(spec, settings, &mut findings);
    let fallback = fallback::read(spec, &mut findings);
    let cached = triggers::cached(spec, &mut findings);
    refused::check(spec, known, &mut findings);

    let id = metadata::id(value);
    let target = id.as_ref().and_then(|id| target::read(spec, id));
    let container = target::container(spec);
    if let Some(target) = &target {
        target::look(target, container, known, &mut findings);
        triggers::zero_needs_another(spec, target, &mut findings);
    }
    let triggers = own_triggers(spec, id.as_ref(), target.as_ref(), known, &mut findings);

    let attached = id.as_ref().map_or_else(Attached::default, |id| {
        let rests = (bounds.min == 0 || bounds.idle.is_some()) && !steering.force_activation;
        let zero = bounds.idle.unwrap_or(bounds.min) == 0 && !steering.force_activation;
        let fit = Fit { target: target.as_ref(), zero };
        let base = Base { max: bounds.max, rests, fallback: fallback.is_some(), fit };
        let names = all_annotations.get(POLICIES).map(String::as_str);
        policies::attach(names, id, &triggers, base, known, &mut findings)
    });

    let created = metadata::created(value, created);
    let subject = match (&id, &target) {
        (Some(id), Some(target)) if !findings.refused => Some(Box::new(Subject {
            id: id.clone(),
            uid: metadata::uid(value, id),
            generation: fingerprint::with_policies(fingerprint::generation(value, &all_annotations), attached.print),
            created,
            policy: Policy {
                behavior,
                fallback,
                triggers: triggers::policies(&triggers, &cached, bounds.idle.unwrap_or(bounds.min) == 0),
                rules: attached.rules,
                consent: attached.consent,
                ..policy(&bounds, &steering, settings)
            },
            triggers,
            target: target.clone(),
            hold: attached.hold,
            faults: attached.faults,
            hooks: attached.hooks.clone(),
        })),
        _ => None,
    };
    Validated { id, target, created, subject, hooks: attached.hooks, findings: findings.list }
}

/// The triggers of a `ScaledObject`, whatever else is wrong with it; none if it has no name or does not say what it scales.
pub fn triggers_of(value: &Value, known: &dyn Surroundings) -> Vec<Trigger> {
    let spec = value.get("spec").unwrap_or(&Value::Null);
    let id = metadata::id(value);
    let target = id.as_ref().and_then(|id| target::read(spec, id));
    own_triggers(spec, id.as_ref(), target.as_ref(), known, &mut Findings::default())
}

fn own_triggers(
    spec: &Value,
    id: Option<&ObjectId>,
    target: Option<&TargetRef>,
    known: &dyn Surroundings,
    findings: &mut Findings,
) -> Vec<Trigger> {
    let mut triggers = triggers::read(spec, target, target::container(spec), known, findings);
    if let (Some(id), Some(target)) = (id, target) {
        let (owner, target): (Arc<str>, _) = (id.to_string().into(), Arc::new(target.clone()));
        for trigger in &mut triggers {
            trigger.spec.owner = Arc::clone(&owner);
            trigger.spec.target = Arc::clone(&target);
        }
    }
    triggers
}

/// The policy but for its triggers, what is said of them, and what its ScalingPolicies say.
fn policy(bounds: &Bounds, steering: &Steering, settings: &Settings) -> Policy {
    Policy {
        min: bounds.min,
        max: bounds.max,
        idle: bounds.idle,
        polling_interval: bounds.polling_interval,
        cooldown: bounds.cooldown,
        initial_cooldown: bounds.initial_cooldown,
        triggers: Vec::new(),
        behavior: None,
        rules: Rules::default(),
        fallback: None,
        pause: steering.pause,
        paused_scale_in: steering.paused_scale_in,
        paused_scale_out: steering.paused_scale_out,
        force_activation: steering.force_activation,
        consent: Consent::default(),
        settings: *settings,
    }
}
