//! How single facts read: a trigger, a quotient, a policy, a time.

use crate::behavior::{RatePolicy, Unit};
use crate::decision::Veto;
use crate::observation::Evidence;
use crate::policy::Policy;
use crate::rules::Condition;
use crate::source::{MetricType, Milli};
use crate::time::{Now, Span, Tick};

/// Beyond this the day is told too.
const DAY: Span = Span::seconds(24 * 3600);

/// What a trigger is called: its type and its name, else the type and what the metric's name says beyond KEDA's prefix.
pub(super) fn trigger(policy: &Policy, evidence: &[Evidence], trigger: u8, metric: Option<u8>) -> String {
    let Some(of) = policy.triggers.get(usize::from(trigger)) else {
        return format!("triggers[{trigger}]");
    };
    let readings = evidence.get(usize::from(trigger)).and_then(Evidence::readings).unwrap_or_default();
    let spec = readings.get(usize::from(metric.unwrap_or(0))).map(|(spec, _)| spec.name.as_str());
    let part = spec.map(|name| metric_part(name, &of.kind)).filter(|part| !part.is_empty() && *part != of.kind);
    match (&of.name, part) {
        (Some(name), Some(part)) if readings.len() > 1 && metric.is_some() => format!("{} {name} {part}", of.kind),
        (Some(name), _) => format!("{} {name}", of.kind),
        (None, Some(part)) => format!("{} {part}", of.kind),
        (None, None) if policy.triggers.len() > 1 => format!("{} triggers[{trigger}]", of.kind),
        (None, None) => of.kind.clone(),
    }
}

/// `s0-redis-jobs` of a `redis` trigger is `jobs`.
fn metric_part<'a>(name: &'a str, kind: &str) -> &'a str {
    let digits = name.strip_prefix('s').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let bare = digits.and_then(|rest| rest.strip_prefix('-')).unwrap_or(name);
    bare.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-')).unwrap_or(bare)
}

/// `790 / 100 a replica` for a total that is divided over the replicas, `790 / 100` for a ratio.
pub(super) fn quotient(total: Milli, target: Milli, metric_type: MetricType) -> String {
    match metric_type {
        MetricType::AverageValue => format!("{total} / {target} a replica"),
        MetricType::Value | MetricType::Utilization => format!("{total} / {target}"),
    }
}

/// What the number of a quotient is; the average of the pods' own metrics is no backlog.
pub(super) const fn noun(metric_type: MetricType, of_pods: bool) -> &'static str {
    match metric_type {
        MetricType::AverageValue if of_pods => "average",
        MetricType::AverageValue => "backlog",
        MetricType::Value => "value",
        MetricType::Utilization => "utilization",
    }
}

/// `4 pods / 15 s`, `100 % / 15 s`, or that the direction is disabled.
pub(super) fn rate(policy: Option<RatePolicy>) -> String {
    match policy {
        None => "selectPolicy Disabled".to_owned(),
        Some(RatePolicy { unit: Unit::Percent, value, period }) => format!("{value} % / {period}"),
        Some(RatePolicy { unit: Unit::Pods, value: 1, period }) => format!("1 pod / {period}"),
        Some(RatePolicy { unit: Unit::Pods, value, period }) => format!("{value} pods / {period}"),
    }
}

/// What forbade a change.
pub(super) fn veto(policy: &Policy, evidence: &[Evidence], by: Veto) -> String {
    match by {
        Veto::PausedScaleIn => "paused-scale-in".to_owned(),
        Veto::PausedScaleOut => "paused-scale-out".to_owned(),
        Veto::PolicyMissing => "a missing policy".to_owned(),
        Veto::PolicyInvalid => "an invalid policy".to_owned(),
        Veto::OnError { trigger: index } => format!("onError Hold of {}", trigger(policy, evidence, index, None)),
        Veto::Gate { gate } => {
            let name = policy.rules.gates.get(usize::from(gate)).map_or("", |gate| &gate.name);
            format!("gate {name}")
        }
        Veto::DirectionCooldown { .. } => "directionCooldown".to_owned(),
    }
}

/// `> 0.8`, `< 0.3`.
pub(super) fn condition(condition: Condition) -> String {
    match condition {
        Condition::Above(limit) => format!("> {limit}"),
        Condition::Below(limit) => format!("< {limit}"),
    }
}

/// The wall time of a moment in UTC; with the day if it is more than one away.
pub(super) fn time(at: Tick, now: Now) -> String {
    let far = Span((at.0.saturating_sub(now.tick.0)).saturating_abs()) >= DAY;
    now.wall_of(at).strftime(if far { "%Y-%m-%d %H:%M:%S" } else { "%H:%M:%S" }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_name_loses_position_and_type() {
        for (name, part) in
            [("s0-redis-jobs", "jobs"), ("s12-redis-my-list", "my-list"), ("s0-cron", "cron"), ("odd", "odd")]
        {
            assert_eq!(metric_part(name, "redis"), part);
        }
    }

    #[test]
    fn far_times_tell_the_day() {
        let now = Now { tick: Tick(0), wall: "2026-05-04T12:00:00Z".parse().unwrap() };
        assert_eq!(time(Tick(61_000), now), "12:01:01");
        assert_eq!(time(Tick(-DAY.0), now), "2026-05-03 12:00:00");
        assert_eq!(time(Tick(DAY.0), now), "2026-05-05 12:00:00");
        assert_eq!(time(Tick(DAY.0 - 1), now), "11:59:59");
    }
}
