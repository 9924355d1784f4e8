//! The stages from zero on, in their order: what one pass makes of the votes.

use super::bounds;
use super::draft::Draft;
use super::legacy;
use super::rate::Rate;
use super::schedule::Ceiling;
use super::stabilize::{self, Stabilization, Stabilized};
use super::veto::{self, Vetoes};
use super::votes::Votes;
use super::zero::Row;
use crate::decision::{Limit, Step, Veto};
use crate::memory::Memory;
use crate::operation::bounds::LastUseful;
use crate::policy::Policy;
use crate::time::{Span, Tick};

/// What the stages come to.
#[derive(Clone, Copy)]
pub(super) struct Outcome {
    pub(super) replicas: u32,
    pub(super) limit: Limit,
    pub(super) by_metrics: bool,
    pub(super) hold: Option<u32>,
    pub(super) record: Option<u32>,
}

impl Outcome {
    fn new(replicas: u32, limit: Limit) -> Self {
        Self { replicas, limit, by_metrics: false, hold: None, record: None }
    }
}

/// What every stage from the zero stage on works with.
pub(super) struct Pass<'a> {
    pub(super) policy: &'a Policy,
    pub(super) memory: &'a Memory,
    pub(super) vetoes: Vetoes<'a>,
    pub(super) ceiling: Ceiling,
    /// Above how many replicas more are of no use.
    pub(super) useful: Option<LastUseful>,
    pub(super) current: u32,
    pub(super) now: Tick,
}

impl Pass<'_> {
    /// The count that this pass stands for. `awaited` is what keeps an inactive object from its rest after the cooldown.
    pub(super) fn run(&self, row: Row, votes: Votes, awaited: Limit, draft: &mut Draft) -> Outcome {
        let kept_up = match row {
            Row::Leaving => return self.leave(votes, draft),
            Row::Resting(rest) => {
                draft.steps.push(Step::Resting { replicas: rest });
                return Outcome::new(rest, Limit::Idle);
            }
            Row::Entering(rest, _) => {
                if let Some(by) = self.vetoes.metrics(self.current, rest) {
                    Some(Self::vetoed(by, rest, draft))
                } else {
                    draft.steps.push(Step::Entering { replicas: rest });
                    return self.enter(rest, votes);
                }
            }
            Row::Cooling(until) => {
                draft.steps.push(Step::Cooldown { last_active: self.memory.last_active, until });
                draft.wake(Some(until));
                Some(Limit::Cooldown)
            }
            Row::Awaiting(_) => {
                draft.steps.push(Step::Awaiting);
                Some(awaited)
            }
            Row::Working => None,
        };
        if let Some(outcome) = self.jump(draft) {
            return outcome;
        }
        let mut outcome = self.scale(votes, draft);
        let floor_speaks = matches!(outcome.limit, Limit::Metrics | Limit::Minimum);
        if let Some(limit) = kept_up.filter(|_| floor_speaks && outcome.replicas == self.policy.floor()) {
            outcome.limit = limit;
        }
        outcome
    }

    /// To rest in one step. What the metrics recommend is recorded all the same: the write clears it, and if the write fails, the
    /// memory is that of any other pass.
    fn enter(&self, rest: u32, votes: Votes) -> Outcome {
        let wish = self.capped(votes.wish(self.current)).0;
        let hold = wish.and_then(|_| stabilize::hold(&self.memory.recommendations, self.current, self.now));
        let record = wish.filter(|_| !votes.only_waits());
        Outcome { by_metrics: true, hold, record, ..Outcome::new(rest, Limit::Idle) }
    }

    /// From rest to work in one step: the metrics' count within the bounds and the rate policies of `behavior`, which start from
    /// `max(1, min)`. Failed triggers and those that settle are left out; without any value it is `max(1, min)`. The windows do not count.
    fn leave(&self, votes: Votes, draft: &mut Draft) -> Outcome {
        let wanted = votes.best.unwrap_or(0);
        let (bounded, bound) = self.bounded(wanted, draft);
        let (replicas, rate) = match &self.policy.behavior {
            Some(_) => self.rated(self.policy.floor(), bounded, draft),
            None => (bounded, None),
        };
        draft.steps.push(Step::Leaving { replicas });
        let (replicas, end) = self.of_use(replicas, draft);
        let mut outcome = Outcome::new(replicas, end.or(rate).or(bound).unwrap_or(Limit::Metrics));
        outcome.record = votes.best.map(|best| self.ceiling.cap.map_or(best, |cap| best.min(cap)));
        let by = self.vetoes.leaving(self.current, replicas);
        self.unless(by, outcome, draft)
    }

    /// A count outside of the bounds moves at once, whatever the metrics, the windows and the rates say.
    fn jump(&self, draft: &mut Draft) -> Option<Outcome> {
        let (replicas, bound) = bounds::clamp(self.policy, self.most(), self.current);
        let limit = self.named(bound?);
        draft.steps.push(Step::Bounds { min: self.policy.floor(), max: self.policy.max, replicas, jump: true });
        if let Some(by) = self.vetoes.bounds(self.current, replicas) {
            let limit = Self::vetoed(by, replicas, draft);
            return Some(Outcome::new(self.current, limit));
        }
        Some(Outcome::new(replicas, limit))
    }

    /// The HPA stage: one count from all proposals, then windows, bounds, rates and vetoes.
    fn scale(&self, votes: Votes, draft: &mut Draft) -> Outcome {
        let wish = votes.wish(self.current);
        let (desired, capped) = self.capped(wish);
        if wish.is_none() {
            draft.steps.push(votes.held());
        }
        let Some(desired) = desired else {
            let limit = if votes.only_settle() { Limit::Settling } else { Limit::FailedTrigger };
            return Outcome::new(self.current, limit);
        };
        if capped {
            draft.steps.push(Step::Capped { wanted: wish, max: desired });
        }
        let (policy, current, now) = (self.policy, self.current, self.now);
        let hold = stabilize::hold(&self.memory.recommendations, current, now);
        let stable = self.stabilized(desired, hold, capped || votes.by_fallback.is_some());
        // Below the minimum the windows change nothing that the minimum would not: then it is the minimum that speaks.
        let floor = policy.floor();
        let (mut wanted, mut limit) = (desired, if capped { self.named(Limit::Maximum) } else { Limit::Metrics });
        if stable.replicas.max(floor) != desired.max(floor) {
            (wanted, limit) = (stable.replicas, Limit::Stabilization);
            draft.wake(stable.until);
            let (window, replicas, until) = (stable.window, stable.replicas, stable.until);
            draft.steps.push(Step::Stabilized { window, replicas, until });
        }
        let (bounded, bound) = self.bounded(wanted, draft);
        let (replicas, rate) = match &policy.behavior {
            Some(_) => self.rated(current, bounded, draft),
            None => self.doubled(bounded, votes.by_steps, draft),
        };
        let (replicas, end) = self.of_use(replicas, draft);
        let limit = end.or(rate).or(bound).unwrap_or(limit);
        // Down to a maximum that the clock has lowered needs no metrics.
        let by_metrics = !self.ceiling.by_clock || replicas < policy.max;
        let record = Some(desired).filter(|_| !votes.only_waits());
        let outcome = Outcome { replicas, limit, by_metrics, hold, record };
        let by = self.vetoes.metrics(current, replicas);
        self.unless(by, outcome, draft)
    }

    /// What is wanted, capped by the maximum of a schedule; also if nothing can be wanted, because a trigger failed.
    fn capped(&self, wish: Option<u32>) -> (Option<u32>, bool) {
        match (wish, self.ceiling.cap) {
            (Some(wish), Some(cap)) if wish > cap => (Some(cap), true),
            (None, Some(cap)) if self.ceiling.by_clock => (Some(cap), true),
            _ => (wish, false),
        }
    }

    /// The windows. They are zero if every trigger votes by steps and nobody gave one, unless there is something that has no duration of its
    /// own: a maximum of a schedule or the count of a fallback.
    fn stabilized(&self, desired: u32, hold: Option<u32>, waits: bool) -> Stabilized {
        let (policy, current, now) = (self.policy, self.current, self.now);
        let given = policy.behavior.as_ref().is_some_and(|behavior| behavior.windows_given);
        if !given && !waits && policy.votes_by_steps_alone() {
            return Stabilized { replicas: desired, window: Span::ZERO, until: None };
        }
        let recommendations = &self.memory.recommendations;
        Stabilization { policy, recommendations, hold, current, desired, now }.apply()
    }

    /// Raises no further than replicas are of use; what the minimum asks for counts as of use. It lowers nothing, and what is recorded is
    /// what was wanted: should more be of use tomorrow, the history is right.
    fn of_use(&self, wanted: u32, draft: &mut Draft) -> (u32, Option<Limit>) {
        let Some(useful) = self.useful.filter(|_| wanted > self.current) else { return (wanted, None) };
        let replicas = wanted.min(useful.replicas.max(self.policy.floor()).max(self.current));
        if replicas == wanted {
            return (wanted, None);
        }
        draft.steps.push(Step::NoUse { wanted, replicas, useful });
        (replicas, Some(Limit::MaxParallelism))
    }

    /// The highest count that the bounds let stand.
    fn most(&self) -> u32 {
        if self.ceiling.by_clock { self.policy.max.max(self.current) } else { self.policy.max }
    }

    /// A bound, by the name of what set it.
    fn named(&self, bound: Limit) -> Limit {
        match bound {
            Limit::Minimum if self.ceiling.sets_min => Limit::Schedule,
            Limit::Maximum if self.ceiling.sets_max => Limit::Schedule,
            other => other,
        }
    }

    fn bounded(&self, wanted: u32, draft: &mut Draft) -> (u32, Option<Limit>) {
        let (replicas, bound) = bounds::clamp(self.policy, self.most(), wanted);
        draft.steps.push(Step::Bounds { min: self.policy.floor(), max: self.policy.max, replicas, jump: false });
        (replicas, bound.map(|bound| self.named(bound)))
    }

    /// The rate policies of `behavior`, for a change from `current`.
    fn rated(&self, current: u32, wanted: u32, draft: &mut Draft) -> (u32, Option<Limit>) {
        let Some(behavior) = &self.policy.behavior else {
            return (wanted, None);
        };
        let past = (&self.memory.ups, &self.memory.downs);
        let allowed = Rate::new(behavior, past, (current, wanted), self.now).apply();
        draft.wake(allowed.changes);
        if allowed.replicas == wanted {
            return (wanted, None);
        }
        let (policy, replicas, until) = (allowed.policy, allowed.replicas, allowed.until);
        draft.steps.push(Step::Rate { policy, wanted, replicas, until });
        (replicas, Some(if wanted > current { Limit::ScaleUpRate } else { Limit::ScaleDownRate }))
    }

    /// The limit of an object without `behavior`; what rules with thresholds vote happens as it is written.
    fn doubled(&self, wanted: u32, by_steps: Option<u32>, draft: &mut Draft) -> (u32, Option<Limit>) {
        let free = by_steps.map_or(0, |steps| steps.min(wanted));
        if free == wanted {
            return (wanted, None);
        }
        let allowed = legacy::limit(self.policy, &self.memory.counts, self.current, wanted, self.now);
        if allowed.replicas == wanted {
            return (wanted, None);
        }
        draft.wake(allowed.changes);
        let (lowest, replicas, until) = (allowed.lowest, allowed.replicas.max(free), allowed.until);
        draft.steps.push(Step::LegacyLimit { lowest, wanted, replicas, until });
        (replicas, Some(Limit::ScaleUpRate))
    }

    fn unless(&self, by: Option<Veto>, outcome: Outcome, draft: &mut Draft) -> Outcome {
        let Some(by) = by else { return outcome };
        let limit = Self::vetoed(by, outcome.replicas, draft);
        Outcome { replicas: self.current, limit, ..outcome }
    }

    fn vetoed(by: Veto, wanted: u32, draft: &mut Draft) -> Limit {
        draft.steps.push(Step::Vetoed { by, wanted });
        if let Veto::DirectionCooldown { until } = by {
            draft.wake(Some(until));
        }
        veto::limit(by)
    }
}
