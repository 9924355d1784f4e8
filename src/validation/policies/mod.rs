//! ScalingPolicies: judges each by itself, and joins those that a `ScaledObject` names in its annotation.
//!
//! A policy that is absent or that cannot be obeyed takes no part: its object is decided by KEDA's rules and by the other policies, may
//! be raised, and is never lowered until the policy is there. Three words of such a policy count all the same, because none moves
//! anything: `mode: Observe`; `role: Signal` of a trigger, whose number is no demand; and that a trigger has `steps`, which then holds the
//! present count, because its ratio is no demand either.

mod attach;
mod bands;
mod fields;
mod hooks;
mod names;
mod prospects;
mod readable;
mod triggers;

use std::sync::Arc;

use serde_json::Value;
use tidegate_calculator::rules::{DirectionCooldown, Schedule, TriggerRules};
use tidegate_crds::scaling_policy;
use tidegate_engine::subject::Finding;

use super::findings::Findings;
use super::{metadata, schema};
use bands::NamedGate;
use hooks::Hooks;

pub use attach::observing;
pub(super) use attach::{Attached, Base, attach};
pub(super) use hooks::Fit;
pub use hooks::{HookReferences, hook_authentication, hook_references, is_state_path, name_pattern};
pub use names::{PolicyRef, named};
pub use readable::Policy;

/// What one policy says.
#[derive(Clone, Debug, Default)]
struct Written {
    /// `mode` is `Observe`.
    observe: bool,
    /// By the names of triggers.
    triggers: Vec<(Arc<str>, TriggerRules)>,
    /// The names of those that have steps, also if these cannot be read.
    stepped: Vec<Arc<str>>,
    gates: Vec<NamedGate>,
    cooldown: Option<DirectionCooldown>,
    schedules: Vec<Schedule>,
    hooks: Hooks,
}

/// Everything that is wrong with a `ScalingPolicy` or a `ClusterScalingPolicy` (the object's `kind` says which).
pub fn scaling_policy(object: &Value) -> Vec<Finding> {
    read(object).1.list
}

/// Reads a policy. What it says is only of use when no error was found.
fn read(object: &Value) -> (Written, Findings) {
    let mut findings = Findings::default();
    let cluster = object.get("kind").and_then(Value::as_str) == Some("ClusterScalingPolicy");
    schema::check(if cluster { "ClusterScalingPolicy" } else { "ScalingPolicy" }, object, &mut findings);
    metadata::check_name(object, &mut findings);
    let spec = object.get("spec").unwrap_or(&Value::Null);
    for name in scaling_policy::NOT_YET.iter().filter(|name| fields::is_given(spec, name)) {
        findings.refuse(*name, None, triggers::NOT_YET);
    }
    let written = Written {
        observe: fields::text(spec, "mode") == Some("Observe"),
        triggers: triggers::read(spec, &mut findings),
        stepped: triggers::stepped(spec),
        gates: bands::gates(spec, &mut findings),
        cooldown: bands::cooldown(spec, &mut findings),
        schedules: bands::schedules(spec, &mut findings),
        // The last: what no operation could begin with is looked for only where nothing else is wrong.
        hooks: hooks::read(spec, &mut findings),
    };
    (written, findings)
}
