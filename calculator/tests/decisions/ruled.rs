//! Worlds with rules: short names for what a ScalingPolicy says, and what they come to.

use tidegate_calculator::calendar::Calendar;
use tidegate_calculator::decision::{Decision, Progress, Step, Vote};
use tidegate_calculator::rules::{
    Block, Change, Condition, Gate, OnError, Release, Role, Schedule, StepRule, TriggerRules,
};
use tidegate_calculator::source::Milli;
use tidegate_calculator::time::{Span, Tick};

use crate::world::{World, at};

pub(crate) fn above(units: i64) -> Condition {
    Condition::Above(Milli::units(units))
}

pub(crate) fn below(units: i64) -> Condition {
    Condition::Below(Milli::units(units))
}

/// A rule without `for` and `every`.
pub(crate) fn rule(condition: Condition, change: Change) -> StepRule {
    StepRule { condition, per_replica: false, held_for: None, every: None, change }
}

/// A rule whose condition must have held for so many seconds.
pub(crate) fn held(condition: Condition, change: Change, seconds: i64) -> StepRule {
    StepRule { held_for: Some(Span::seconds(seconds)), ..rule(condition, change) }
}

pub(crate) fn per_replica(rule: StepRule) -> StepRule {
    StepRule { per_replica: true, ..rule }
}

/// A gate that closes at once above `closes` and opens at once when that ends.
pub(crate) fn gate(trigger: u8, closes: Condition, block: Block) -> Gate {
    Gate { name: "pressure".into(), trigger, closes, held_for: Span::ZERO, release: None, block }
}

#[expect(clippy::unnecessary_wraps, reason = "a gate carries an option")]
pub(crate) fn release(condition: Condition, seconds: i64) -> Option<Release> {
    Some(Release { condition, held_for: Span::seconds(seconds) })
}

/// From one hour to another, every day in UTC; the world begins at midnight.
pub(crate) fn daily(name: &str, from: i64, to: i64, min: Option<u32>, max: Option<u32>) -> Schedule {
    let at = |hour: i64| Calendar::new(&format!("0 {hour} * * *"), "UTC").unwrap();
    Schedule { name: name.into(), start: at(from), end: at(to), min, max }
}

/// So many hours after the start.
pub(crate) fn hours(hours: i64) -> Tick {
    at(hours * 3_600)
}

impl World {
    /// `replicas` and triggers that vote by these rules, one list a trigger; all have just read 0 and count as active.
    pub(crate) fn ruled(replicas: u32, rules: &[&[StepRule]]) -> Self {
        let mut world = Self::new(replicas, 100, &vec![0; rules.len()]);
        world.policy.min = 1;
        for (trigger, steps) in rules.iter().enumerate() {
            world.rules(trigger).steps = steps.to_vec();
        }
        world
    }

    /// What is said of a trigger, to be changed.
    pub(crate) fn rules(&mut self, trigger: usize) -> &mut TriggerRules {
        let triggers = self.policy.triggers.len();
        self.policy.rules.triggers.resize_with(triggers, TriggerRules::default);
        &mut self.policy.rules.triggers[trigger]
    }

    pub(crate) fn on_error(&mut self, trigger: usize, on_error: OnError) {
        self.rules(trigger).on_error = on_error;
    }

    pub(crate) fn signal(&mut self, trigger: usize) {
        self.rules(trigger).role = Role::Signal;
    }

    /// Reads these totals every 15 s from `from` to `to`, both included, and acts each time; the last decision.
    pub(crate) fn run(&mut self, totals: &[i64], from: i64, to: i64) -> Decision {
        let mut decision = self.step(totals, at(from));
        for second in (from + 15..=to).step_by(15) {
            decision = self.step(totals, at(second));
        }
        decision
    }

    /// The vote of a trigger in a decision that is made now.
    pub(crate) fn vote(&self, trigger: u8, now: Tick) -> Vote {
        vote(&self.look(now), trigger)
    }
}

pub(crate) fn vote(decision: &Decision, trigger: u8) -> Vote {
    let found = decision.steps.iter().find_map(|step| match step {
        Step::Voted { trigger: of, vote, .. } if *of == trigger => Some(*vote),
        _ => None,
    });
    found.unwrap()
}

pub(crate) fn progress(decision: &Decision, trigger: u8, rule: u8) -> Progress {
    let found = decision.steps.iter().find_map(|step| match step {
        Step::Rule { trigger: of, rule: number, progress, .. } if (*of, *number) == (trigger, rule) => Some(*progress),
        _ => None,
    });
    found.unwrap()
}
