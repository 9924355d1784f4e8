//! Steps: the vote of a trigger that has rules with thresholds and durations instead of a ratio.
//!
//! A rule is asserted while its condition holds, has held for `for`, and the last write in its direction is `every` ago. A trigger raises
//! if a rule that raises is asserted, holds the present count while the condition of one holds that is not, lowers if a rule that lowers is
//! asserted, holds if it has such rules and none is, and abstains otherwise.

use std::cmp::Ordering;

use super::draft::Draft;
use super::window::{Seen, Watch};
use crate::decision::{Progress, Step, Vote};
use crate::memory::rules::{RuleMemory, Sight, Timer};
use crate::policy::Policy;
use crate::rules::{Change, Condition, StepRule};
use crate::source::Milli;
use crate::time::{Span, Tick};

/// The shortest default of `every`.
const EVERY: Span = Span::seconds(60);

/// What one trigger votes by.
pub(super) struct Ballot<'a> {
    /// The default of `for`, and the minimum.
    pub(super) policy: &'a Policy,
    /// The trigger.
    pub(super) trigger: u8,
    /// What is seen of it.
    pub(super) seen: Seen,
    /// `spec.replicas`, which totals are divided over.
    pub(super) replicas: u32,
    /// What changes start from: the present count, or `max(1, min)` when an object leaves its rest.
    pub(super) from: u32,
    /// What the ratio formula proposes; only for rules with `change: Ratio`.
    pub(super) ratio: Option<u32>,
    /// The moment of the pass.
    pub(super) now: Tick,
}

/// What the rules of a trigger come to, before one of them wins.
#[derive(Default)]
struct Tally {
    raise: Option<u32>,
    pending: bool,
    lower: Option<u32>,
    has_lowering: bool,
    stays: bool,
}

impl Ballot<'_> {
    /// The vote; the timers of the rules go on.
    pub(super) fn vote(&self, watch: &mut Watch, draft: &mut Draft) -> Vote {
        let mut tally = Tally::default();
        let first = watch.timers(self.trigger.into());
        for (index, rule) in self.policy.rules.of(self.trigger.into()).steps.iter().enumerate() {
            let Some(wanted) = rule.change.of(self.from).or(self.ratio) else {
                self.see_without_ratio(rule, first + index, &mut watch.rules);
                continue;
            };
            let direction = wanted.cmp(&self.from);
            let wanted =
                if direction == Ordering::Less { wanted.max(self.policy.floor()).min(self.from) } else { wanted };
            let value = self.value(rule, direction);
            let needed = self.needed(rule, direction);
            let holds = holds(rule.condition, value);
            // What lowers has not held before the window could tell.
            let counts = holds && (direction != Ordering::Less || self.seen.covered);
            let timer = self.see(counts, needed, first + index, &mut watch.rules);
            let progress = if holds {
                self.progress(rule, (wanted, direction), (needed, timer), &watch.rules)
            } else {
                Progress::Off
            };
            self.wake(progress, draft);
            tally.add(direction, progress);
            let (trigger, rule, condition) = (self.trigger, number(index), rule.condition);
            draft.steps.push(Step::Rule { trigger, rule, value: quotient(value), condition, needed, progress });
        }
        let vote = tally.vote(self.from, self.seen.covered);
        draft.steps.push(Step::Voted { trigger: self.trigger, vote, at: self.seen.at });
        vote
    }

    /// What a rule compares: a value and what it is divided by.
    fn value(&self, rule: &StepRule, direction: Ordering) -> (Milli, u32) {
        let compared = self.seen.compared;
        let value = if direction == Ordering::Less { compared.filled } else { compared.value };
        (value, if rule.per_replica && self.seen.total { self.replicas.max(1) } else { 1 })
    }

    fn needed(&self, rule: &StepRule, direction: Ordering) -> Span {
        let lowering = direction == Ordering::Less;
        let usual = if lowering { self.policy.settings.downscale_window } else { Span::ZERO };
        rule.held_for.unwrap_or(usual)
    }

    fn see(&self, holds: bool, needed: Span, index: usize, rules: &mut RuleMemory) -> Timer {
        let changed = rules.changed;
        let Some(timer) = rules.timers.get_mut(index) else { return Timer::default() };
        timer.see(Sight { holds, at: self.seen.at, broken: self.seen.broken }, changed);
        timer.mark(needed, self.seen.until(self.now));
        *timer
    }

    /// A rule whose ratio cannot be told votes nothing, but its condition goes on or ends all the same. Nobody knows its direction, so it
    /// must hold for both.
    fn see_without_ratio(&self, rule: &StepRule, index: usize, rules: &mut RuleMemory) {
        let meets = |direction| holds(rule.condition, self.value(rule, direction));
        let counts = meets(Ordering::Greater) && meets(Ordering::Less) && self.seen.covered;
        self.see(counts, self.needed(rule, Ordering::Less), index, rules);
    }

    /// How far a rule is whose condition holds.
    fn progress(
        &self,
        rule: &StepRule,
        (replicas, direction): (u32, Ordering),
        (needed, timer): (Span, Timer),
        rules: &RuleMemory,
    ) -> Progress {
        if direction == Ordering::Less && !self.seen.covered {
            return Progress::Filling;
        }
        let held = timer.held(self.seen.until(self.now)).unwrap_or(Span::ZERO);
        if held < needed {
            let until = timer.since.unwrap_or(self.now) + needed;
            return Progress::Pending { held, until };
        }
        let last = if direction == Ordering::Less { rules.last_down } else { rules.last_up };
        let every = rule.every.unwrap_or(needed.max(EVERY));
        match last.map(|last| last + every).filter(|until| *until > self.now && direction != Ordering::Equal) {
            Some(until) => Progress::Spaced { held, until },
            None => Progress::Asserted { held, replicas },
        }
    }

    fn wake(&self, progress: Progress, draft: &mut Draft) {
        match progress {
            Progress::Pending { until, .. } => draft.wake(self.seen.foresees(until)),
            Progress::Spaced { until, .. } => draft.wake(Some(until)),
            Progress::Off | Progress::Filling | Progress::Asserted { .. } => {}
        }
    }
}

impl Tally {
    fn add(&mut self, direction: Ordering, progress: Progress) {
        let asserted = match progress {
            Progress::Asserted { replicas, .. } => Some(replicas),
            _ => None,
        };
        match direction {
            Ordering::Greater => {
                self.raise = self.raise.max(asserted);
                self.pending |= progress != Progress::Off;
            }
            Ordering::Less => {
                self.lower = self.lower.into_iter().chain(asserted).min();
                self.has_lowering = true;
            }
            Ordering::Equal => self.stays |= progress != Progress::Off,
        }
    }

    /// Up beats down, the largest change wins. While a window fills, nobody knows what holds: then nobody abstains.
    fn vote(&self, from: u32, covered: bool) -> Vote {
        match (self.raise, self.lower) {
            (Some(replicas), _) => Vote::Raise(replicas),
            (None, _) if self.pending => Vote::Hold(from),
            (None, Some(replicas)) => Vote::Lower(replicas),
            (None, None) if self.has_lowering || self.stays || !covered => Vote::Hold(from),
            (None, None) => Vote::Abstain,
        }
    }
}

/// The rule that would raise again if `current` replicas became `fewer`, because the value of this trigger spreads over them: less of them
/// have more each.
pub(super) fn bounces(policy: &Policy, trigger: usize, seen: Seen, (current, fewer): (u32, u32)) -> Option<u8> {
    let of = policy.rules.of(trigger);
    let by_kind = policy.triggers.get(trigger).is_some_and(|of| matches!(of.kind.as_str(), "cpu" | "memory"));
    let bounces = |rule: &StepRule| {
        let spreads = of.spreads.unwrap_or(by_kind || (rule.per_replica && seen.total));
        let raises = rule.change == Change::Ratio || rule.change.of(fewer).is_some_and(|wanted| wanted > fewer);
        let all =
            i128::from(seen.compared.value.0) * i128::from(if rule.per_replica && seen.total { 1 } else { current });
        match rule.condition {
            Condition::Above(limit) => spreads && raises && all > i128::from(limit.0) * i128::from(fewer),
            Condition::Below(_) => false,
        }
    };
    of.steps.iter().position(bounces).map(number)
}

/// Whether a quotient meets a condition; exactly, whatever the division leaves over.
fn holds(condition: Condition, (value, divisor): (Milli, u32)) -> bool {
    let value = i128::from(value.0);
    match condition {
        Condition::Above(limit) => value > i128::from(limit.0) * i128::from(divisor),
        Condition::Below(limit) => value < i128::from(limit.0) * i128::from(divisor),
    }
}

fn quotient((value, divisor): (Milli, u32)) -> Milli {
    Milli(value.0 / i64::from(divisor.max(1)))
}

/// Positions are `u8`: no list of rules is longer.
fn number(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}
