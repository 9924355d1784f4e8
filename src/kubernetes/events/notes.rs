//! The texts of events: KEDA's where KEDA has one, the HorizontalPodAutoscaler's for a change of replicas.

use std::hash::{DefaultHasher, Hash, Hasher};

use tidegate_engine::protocol::Event;
use tidegate_engine::subject::Fault;

use crate::kubernetes::known::ObjectFacts;
use crate::kubernetes::status::{is_force_activated, metric_names, refusal, scale_target_kind};

/// What happened, in a sentence.
pub(super) fn note(facts: &ObjectFacts, event: &Event) -> String {
    match event {
        Event::Scaled(change) => format!("New size: {} (was {}); reason: {}", change.to, change.from, change.why),
        Event::Activated { from, to } => {
            format!("Scaled {} from {from} to {to}{}", target(facts), cause(facts))
        }
        Event::Deactivated { from, to } => format!("Deactivated {} from {from} to {to}", target(facts)),
        Event::TriggerFailed { trigger, error } => {
            format!("{}: {} ({})", named(facts, *trigger), error.message, error.reason())
        }
        Event::TriggerRecovered { trigger } => format!("{} gives values again", named(facts, *trigger)),
        Event::Refused(findings) => refusal(findings),
        Event::TargetFailed(error) => error.to_string(),
        Event::TargetFound => format!("{} can be read again", target(facts)),
        Event::ApplyFailed(error) => format!("Failed to scale {}: {error}", target(facts)),
        Event::ForeignChange { from, to } => {
            format!("Somebody else changed {} from {from} to {to}", target(facts))
        }
        Event::Paused(true) => "ScaledObject is paused".to_owned(),
        Event::Paused(false) => "pause annotation removed for ScaledObject".to_owned(),
        Event::Fallback(true) => "ScaledObject fallback is active".to_owned(),
        Event::Fallback(false) => "ScaledObject fallback is no longer active".to_owned(),
        Event::Policies(faults) if faults.is_empty() => "All policies that the object names are obeyed".to_owned(),
        Event::Policies(faults) => {
            format!("Nothing is lowered until its policies are mended: {}", Fault::joined(faults))
        }
        Event::Quarantined(why) => {
            format!("Deciding failed, and the object is left alone until its text changes: {why}")
        }
        Event::CheckpointLost(why) => {
            format!(
                "The memory of this object begins anew: nothing is lowered for one window, the cooldown begins anew: {why}"
            )
        }
        Event::Operation { message, .. } => message.clone(),
    }
}

/// What was done, in a word for programs. Events with the same reason and action are joined into one series, which keeps
/// the first note: so what makes notes differ stands in the action, if need be as a hash.
pub(super) fn action(event: &Event) -> String {
    match event {
        Event::Scaled(change) => format!("ScaleFrom{}To{}", change.from, change.to),
        Event::Activated { from, to } => format!("ActivateFrom{from}To{to}"),
        Event::Deactivated { from, to } => format!("DeactivateFrom{from}To{to}"),
        Event::TriggerFailed { trigger, error } => format!("ReadTrigger{trigger}{}", error.reason()),
        Event::TriggerRecovered { trigger } => format!("ReadTrigger{trigger}"),
        Event::Refused(findings) => hashed("Check", &refusal(findings)),
        Event::TargetFailed(error) => hashed("GetScale", &error.to_string()),
        Event::TargetFound => "GetScale".to_owned(),
        Event::ApplyFailed(error) => hashed("Scale", &error.to_string()),
        Event::ForeignChange { from, to } => format!("SeeFrom{from}To{to}"),
        Event::Paused(_) => "Pause".to_owned(),
        Event::Fallback(_) => "FallBack".to_owned(),
        Event::Policies(faults) => hashed("ReadPolicies", &Fault::joined(faults)),
        Event::Quarantined(why) => hashed("Decide", why),
        Event::CheckpointLost(why) => hashed("Load", why),
        Event::Operation { message, .. } => hashed("Operate", message),
    }
}

fn hashed(action: &str, text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{action}-{:016x}", hasher.finish())
}

/// KEDA's `<kind> <namespace>/<name>`.
fn target(facts: &ObjectFacts) -> String {
    format!("{} {}/{}", scale_target_kind(&facts.target), facts.target.namespace, facts.target.name)
}

/// Why an object left zero. Of several triggers it is not known here which were active, so all are named.
fn cause(facts: &ObjectFacts) -> String {
    if is_force_activated(&facts.annotations) {
        return ", caused by forced activation annotation".to_owned();
    }
    let names = metric_names(facts, &[], &facts.status.open());
    let names: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
    match names.as_slice() {
        [] => String::new(),
        [name] => format!(", triggered by {name}"),
        names => format!(", triggered by one or more of {}", names.join(";")),
    }
}

/// A trigger by its place and, if it is known, its metric.
fn named(facts: &ObjectFacts, trigger: u8) -> String {
    match metric_names(facts, &[], &facts.status.open()).get(usize::from(trigger)).and_then(|names| names.first()) {
        Some(name) => format!("triggers[{trigger}] ({name})"),
        None => format!("triggers[{trigger}]"),
    }
}
