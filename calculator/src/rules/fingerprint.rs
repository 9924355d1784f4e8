//! A short number for what a rule says, so that only the rule that started a timer goes on with it, also after a restart.
//!
//! It is stored, so it must be the same in every build: FNV-1a over the parts of the rule, in 32 bits.

use super::{Change, Condition, Direction, Gate, Schedule, StepRule, Take, Window};
use crate::policy::Policy;
use crate::source::{MetricSpec, MetricType};

/// Collects the parts of a rule.
#[derive(Clone, Copy)]
struct Parts(u32);

impl Parts {
    const fn new() -> Self {
        Self(0x811c_9dc5)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
        self
    }

    fn number(self, number: impl Into<i64>) -> Self {
        self.bytes(&number.into().to_le_bytes())
    }

    /// The length comes first: two texts in a row never read as two others.
    fn text(self, text: &str) -> Self {
        self.number(i64::try_from(text.len()).unwrap_or(i64::MAX)).bytes(text.as_bytes())
    }

    fn optional(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.number(1).number(number),
            None => self.number(0),
        }
    }

    fn condition(self, condition: Condition) -> Self {
        match condition {
            Condition::Above(limit) => self.number(1).number(limit.0),
            Condition::Below(limit) => self.number(2).number(limit.0),
        }
    }

    fn change(self, change: Change) -> Self {
        match change {
            Change::Add(by) => self.number(1).number(by),
            Change::Remove(by) => self.number(2).number(by),
            Change::AddPercent(by) => self.number(3).number(by),
            Change::RemovePercent(by) => self.number(4).number(by),
            Change::Set(to) => self.number(5).number(to),
            Change::Ratio => self.number(6),
        }
    }

    fn window(self, window: Option<Window>) -> Self {
        let Some(window) = window else { return self.number(0) };
        let take = match window.take {
            Take::Min => 1,
            Take::Max => 2,
            Take::Avg => 3,
        };
        self.number(take).number(window.over.0)
    }
}

/// What a trigger is to its rules: what it asks for, its name, else its place and its type; and what of its readings is compared.
pub(crate) fn trigger(policy: &Policy, index: usize) -> u32 {
    let parts = match policy.triggers.get(index) {
        Some(of) => match &of.name {
            Some(name) => Parts::new().text(&of.kind).text(name),
            None => Parts::new().text(&of.kind).number(i64::try_from(index).unwrap_or(i64::MAX)),
        },
        None => Parts::new(),
    };
    // Without a fingerprint of the query it is what it was before there were any: that is stored.
    let asks = policy.triggers.get(index).map(|of| of.fingerprint).filter(|asks| *asks != 0);
    let parts = asks.map_or(parts, |asks| parts.bytes(&asks.to_le_bytes()));
    let rules = policy.rules.of(index);
    parts.window(rules.window).number(i64::from(rules.direction == Direction::Inverse)).0
}

/// What a metric is to the rules of its trigger: only values of the same metric, measured alike, can be compared over time.
pub(crate) fn metric(spec: &MetricSpec) -> u32 {
    let kind = match spec.metric_type {
        MetricType::AverageValue => 1,
        MetricType::Value => 2,
        MetricType::Utilization => 3,
    };
    Parts::new().text(&spec.name).number(kind).0
}

/// One rule of a trigger with this fingerprint.
pub(crate) fn step(trigger: u32, rule: &StepRule) -> u32 {
    let parts = Parts(trigger).condition(rule.condition).number(i64::from(rule.per_replica)).change(rule.change);
    parts.optional(rule.held_for.map(|span| span.0)).optional(rule.every.map(|span| span.0)).0
}

/// One gate over a trigger with this fingerprint.
pub(crate) fn gate(trigger: u32, gate: &Gate) -> u32 {
    let parts = Parts(trigger).text(&gate.name).condition(gate.closes).number(gate.held_for.0);
    match gate.release {
        None => parts.number(0),
        Some(release) => parts.condition(release.condition).number(release.held_for.0),
    }
    .0
}

/// The bounds that a text gives, also by the calendar: when these change, somebody has edited them.
pub(crate) fn bounds(policy: &Policy) -> u32 {
    let base = Parts::new().number(policy.min).number(policy.max).optional(policy.idle.map(i64::from));
    let one = |parts: Parts, schedule: &Schedule| {
        let times = [&schedule.start, &schedule.end];
        let parts = times
            .into_iter()
            .fold(parts.text(&schedule.name), |parts, time| parts.text(time.expression()).text(time.zone()));
        parts.optional(schedule.min.map(i64::from)).optional(schedule.max.map(i64::from))
    };
    policy.rules.schedules.iter().fold(base, one).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::TriggerRules;
    use crate::source::Milli;
    use crate::time::Span;

    fn rule(condition: Condition) -> StepRule {
        StepRule { condition, per_replica: false, held_for: None, every: None, change: Change::Add(1) }
    }

    #[test]
    fn it_is_the_same_in_every_build() {
        let mut policy = Policy::with_defaults("redis");
        assert_eq!(trigger(&policy, 0), trigger(&policy, 0));
        let unnamed = trigger(&policy, 0);
        policy.triggers[0].name = Some("busy".to_owned());
        let named = trigger(&policy, 0);
        assert_ne!(named, unnamed);
        policy.triggers[0].fingerprint = 1;
        assert_ne!(trigger(&policy, 0), named, "another query");
        assert_eq!(Parts::new().bytes(b"foobar").0, 0xbf9c_f968, "the published value of FNV-1a");
    }

    #[test]
    fn other_rules_have_other_fingerprints() {
        let policy = Policy::with_defaults("redis");
        let of = trigger(&policy, 0);
        let above = rule(Condition::Above(Milli(800)));
        let others = [
            rule(Condition::Below(Milli(800))),
            rule(Condition::Above(Milli(801))),
            StepRule { per_replica: true, ..above },
            StepRule { held_for: Some(Span::ZERO), ..above },
            StepRule { every: Some(Span::ZERO), ..above },
            StepRule { change: Change::Set(1), ..above },
        ];
        for other in others {
            assert_ne!(step(of, &above), step(of, &other), "{other:?}");
        }
        let mut windowed = policy.clone();
        let window = Some(Window { take: Take::Min, over: Span::seconds(60) });
        windowed.rules.triggers = vec![TriggerRules { window, ..TriggerRules::default() }];
        assert_ne!(trigger(&windowed, 0), of, "another value is compared");
    }
}
