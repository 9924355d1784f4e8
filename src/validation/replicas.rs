//! The bounds of an object: minimum, maximum, idle (keda-semantics §6.1 rules 1 and 2) and its periods.

use serde_json::Value;
use tidegate_calculator::policy::Settings;
use tidegate_calculator::time::Span;
use tidegate_crds::scaled_object::{DEFAULT_COOLDOWN_PERIOD, DEFAULT_MAX_REPLICA_COUNT, DEFAULT_POLLING_INTERVAL};

use super::findings::Findings;

/// Bounds and periods, complete. Only of use when no error was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) idle: Option<u32>,
    pub(super) polling_interval: Span,
    pub(super) cooldown: Span,
    pub(super) initial_cooldown: Span,
}

/// Reads the bounds and says where they contradict each other. Single values were compared with the definition before.
pub(super) fn read(spec: &Value, settings: &Settings, findings: &mut Findings) -> Bounds {
    let count = |name: &str| spec.get(name).and_then(Value::as_i64).and_then(|count| u32::try_from(count).ok());
    let seconds = |name: &str, default: i32| Span::seconds(count(name).map_or(i64::from(default), i64::from));
    let given_max = count("maxReplicaCount");
    let (min, max) = (count("minReplicaCount"), given_max.unwrap_or(DEFAULT_MAX_REPLICA_COUNT.unsigned_abs()));
    let bounds = Bounds {
        min: min.unwrap_or(0),
        max,
        idle: count("idleReplicaCount"),
        polling_interval: seconds("pollingInterval", DEFAULT_POLLING_INTERVAL),
        cooldown: seconds("cooldownPeriod", DEFAULT_COOLDOWN_PERIOD),
        initial_cooldown: seconds("initialCooldownPeriod", 0),
    };
    if bounds.min > max {
        let whose = if given_max.is_some() { "" } else { ", the default" };
        let allowed = format!("is above maxReplicaCount ({max}{whose}); minReplicaCount <= maxReplicaCount is needed");
        findings.refuse("minReplicaCount", Some(bounds.min.to_string()), allowed);
    }
    if let Some(idle) = bounds.idle {
        check_idle(idle, min, findings);
    }
    if bounds.min > 0 && bounds.idle.is_none() {
        without_effect(spec, &bounds, settings, findings);
    }
    bounds
}

/// KEDA takes an explicit minimum of 0 as 1 here, and an absent one as 0: with the first, idle 0 is allowed.
fn check_idle(idle: u32, min: Option<u32>, findings: &mut Findings) {
    let above = match min {
        Some(min) => min.max(1),
        None => 0,
    };
    if idle >= above {
        let allowed = match min {
            None => "is not below minReplicaCount, which is absent and counts as 0".to_owned(),
            Some(0) => "is not below minReplicaCount (0, which counts as 1 here)".to_owned(),
            Some(min) => format!("is not below minReplicaCount ({min})"),
        };
        findings.refuse("idleReplicaCount", Some(idle.to_string()), allowed);
    }
}

/// An object that never rests below its minimum has no use for the periods of the zero stage.
fn without_effect(spec: &Value, bounds: &Bounds, settings: &Settings, findings: &mut Findings) {
    let reason = "has no effect: minReplicaCount is above 0 and there is no idleReplicaCount";
    for name in ["cooldownPeriod", "initialCooldownPeriod"] {
        if spec.get(name).is_some_and(Value::is_number) {
            findings.warn(name, None, reason);
        }
    }
    // A fallback counts polling intervals, and a trigger with `useCachedMetrics` is read once in each.
    let triggers = spec.get("triggers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let cached = triggers.iter().any(|trigger| trigger.get("useCachedMetrics") == Some(&Value::Bool(true)));
    let counts = cached || spec.get("fallback").is_some_and(Value::is_object);
    let given = spec.get("pollingInterval").is_some_and(Value::is_number);
    if given && !counts && bounds.polling_interval >= settings.sync_period {
        let pace = settings.sync_period;
        findings.warn("pollingInterval", None, format!("{reason}, so triggers are read every {pace}"));
    }
}
