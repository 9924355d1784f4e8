//! One decision: from what a policy asks, a memory knows and an observation shows to a count, and why.
//!
//! This file puts the stages in order; every stage has a file of its own and knows no other.

mod activity;
mod bounds;
mod draft;
mod fallback;
mod legacy;
mod pause;
mod pods;
mod proposals;
mod rate;
mod stabilize;
mod veto;
mod zero;

use crate::decision::{Decision, Effects, Health, Limit, Step, Veto};
use crate::hpa::combine::combine;
use crate::memory::Memory;
use crate::observation::Observation;
use crate::policy::Policy;
use crate::time::Tick;
use activity::Activity;
use draft::Draft;
use fallback::Hearing;
use proposals::{Ground, Votes};
use rate::Rate;
use stabilize::Stabilization;
use zero::{Facts, Row};

/// Decides, without changing anything: [`Memory::take`] takes up the effects, [`Memory::scaled`] a successful write.
///
/// While an inactive object stays at `max(1, min)` because it may not rest yet, what keeps it from rest counts as the last word
/// (the cooldown, a failed trigger or a veto): the user wonders why it is not at zero, not why it is not lower than the minimum.
pub fn decide(policy: &Policy, memory: &Memory, observed: &Observation<'_>, now: Tick) -> Decision {
    let current = observed.target.replicas;
    if let Some(decision) = pause::paused(policy.pause, current) {
        return decision;
    }
    let hearing = Hearing { policy, memory, observed, now };
    let activity = activity::look(policy, &hearing, now);
    let facts = Facts {
        current,
        active: activity.active,
        begun: activity.begun,
        last_active: memory.last_active.max(activity.at),
        created: observed.created,
    };
    let row = zero::row(policy, &facts, now);
    let mut draft = Draft::new(policy.triggers.len() + 5, now);
    let target = observed.target;
    let ground = Ground { policy, target, last_write: memory.last_write, from_zero: row.starts_at_zero(), now };
    let votes = proposals::collect(&ground, &hearing, &mut draft);
    if policy.force_activation {
        draft.steps.push(Step::Forced);
    }
    let outcome = Pass { policy, memory, current, now }.run(row, votes, activity.failed, &mut draft);
    // What only resource-like triggers lack is nothing to the zero stage.
    let unusable = votes.failed > 0 && !matches!(row, Row::Entering(..));
    let health = activity.health(unusable, votes.best.is_some());
    let mut decision = finish(current, row, &activity, health, outcome, draft);
    decision.effects.failing = hearing.failing();
    decision
}

/// What the stages come to.
#[derive(Clone, Copy)]
struct Outcome {
    replicas: u32,
    limit: Limit,
    by_metrics: bool,
    hold: Option<u32>,
    record: Option<u32>,
}

impl Outcome {
    fn new(replicas: u32, limit: Limit) -> Self {
        Self { replicas, limit, by_metrics: false, hold: None, record: None }
    }
}

fn finish(current: u32, row: Row, activity: &Activity, health: Health, outcome: Outcome, draft: Draft) -> Decision {
    Decision {
        write: (outcome.replicas != current).then_some(outcome.replicas),
        desired: outcome.replicas,
        limited_by: outcome.limit,
        lowers_by_metrics: outcome.by_metrics && outcome.replicas < current,
        fresh_after: row.end(),
        active: activity.active,
        health,
        next: draft.next,
        effects: Effects {
            hold: outcome.hold,
            record: outcome.record,
            active_at: activity.at,
            active: Some(activity.active),
            failing: None,
        },
        steps: draft.steps,
    }
}

/// What every stage from the zero stage on works with.
struct Pass<'a> {
    policy: &'a Policy,
    memory: &'a Memory,
    current: u32,
    now: Tick,
}

impl Pass<'_> {
    fn run(&self, row: Row, votes: Votes, failed: bool, draft: &mut Draft) -> Outcome {
        let kept_up = match row {
            Row::Leaving => return self.leave(votes, draft),
            Row::Resting(rest) => {
                draft.steps.push(Step::Resting { replicas: rest });
                return Outcome::new(rest, Limit::Idle);
            }
            Row::Entering(rest, _) => {
                if let Some(by) = veto::metrics(self.policy, self.current, rest) {
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
                Some(if failed { Limit::FailedTrigger } else { Limit::Cooldown })
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
        let record = combine(votes.best, votes.failed.into(), self.current);
        let hold = record.and_then(|_| stabilize::hold(&self.memory.recommendations, self.current, self.now));
        Outcome { by_metrics: true, hold, record, ..Outcome::new(rest, Limit::Idle) }
    }

    /// From rest to work in one step: the metrics' count within the bounds and the rate policies of `behavior`, which start from
    /// `max(1, min)`. Failed triggers are left out; without any value it is `max(1, min)`. The windows do not count.
    fn leave(&self, votes: Votes, draft: &mut Draft) -> Outcome {
        let wanted = votes.best.unwrap_or(0);
        let (bounded, bound) = self.bounded(wanted, draft);
        let (replicas, rate) = match &self.policy.behavior {
            Some(_) => self.rated(self.policy.floor(), bounded, draft),
            None => (bounded, None),
        };
        draft.steps.push(Step::Leaving { replicas });
        let mut outcome = Outcome::new(replicas, rate.or(bound).unwrap_or(Limit::Metrics));
        outcome.record = votes.best;
        self.unless_vetoed(outcome, draft)
    }

    /// A count outside of the bounds moves at once, whatever the metrics, the windows and the rates say.
    fn jump(&self, draft: &mut Draft) -> Option<Outcome> {
        let (replicas, bound) = bounds::clamp(self.policy, self.current);
        let limit = bound?;
        draft.steps.push(Step::Bounds { min: self.policy.floor(), max: self.policy.max, replicas, jump: true });
        if let Some(by) = veto::bounds(self.policy, self.current, replicas) {
            let limit = Self::vetoed(by, replicas, draft);
            return Some(Outcome::new(self.current, limit));
        }
        Some(Outcome::new(replicas, limit))
    }

    /// The HPA stage: one count from all proposals, then windows, bounds, rates and vetoes.
    fn scale(&self, votes: Votes, draft: &mut Draft) -> Outcome {
        let Some(desired) = combine(votes.best, votes.failed.into(), self.current) else {
            draft.steps.push(Step::FailureHold { failed: votes.failed, proposal: votes.best });
            return Outcome::new(self.current, Limit::FailedTrigger);
        };
        let recommendations = &self.memory.recommendations;
        let (policy, current, now) = (self.policy, self.current, self.now);
        let hold = stabilize::hold(recommendations, current, now);
        let stable = Stabilization { policy, recommendations, hold, current, desired, now }.apply();
        // Below the minimum the windows change nothing that the minimum would not: then it is the minimum that speaks.
        let floor = policy.floor();
        let (mut wanted, mut limit) = (desired, Limit::Metrics);
        if stable.replicas.max(floor) != desired.max(floor) {
            (wanted, limit) = (stable.replicas, Limit::Stabilization);
            draft.wake(stable.until);
            let (window, replicas, until) = (stable.window, stable.replicas, stable.until);
            draft.steps.push(Step::Stabilized { window, replicas, until });
        }
        let (bounded, bound) = self.bounded(wanted, draft);
        let (replicas, rate) = match &policy.behavior {
            Some(_) => self.rated(current, bounded, draft),
            None => self.doubled(bounded, draft),
        };
        let limit = rate.or(bound).unwrap_or(limit);
        let outcome = Outcome { replicas, limit, by_metrics: true, hold, record: Some(desired) };
        self.unless_vetoed(outcome, draft)
    }

    fn bounded(&self, wanted: u32, draft: &mut Draft) -> (u32, Option<Limit>) {
        let (replicas, bound) = bounds::clamp(self.policy, wanted);
        draft.steps.push(Step::Bounds { min: self.policy.floor(), max: self.policy.max, replicas, jump: false });
        (replicas, bound)
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

    /// The limit of an object without `behavior`.
    fn doubled(&self, wanted: u32, draft: &mut Draft) -> (u32, Option<Limit>) {
        let allowed = legacy::limit(self.policy, &self.memory.counts, self.current, wanted, self.now);
        if allowed.replicas == wanted {
            return (wanted, None);
        }
        draft.wake(allowed.changes);
        let (lowest, replicas, until) = (allowed.lowest, allowed.replicas, allowed.until);
        draft.steps.push(Step::LegacyLimit { lowest, wanted, replicas, until });
        (replicas, Some(Limit::ScaleUpRate))
    }

    fn unless_vetoed(&self, outcome: Outcome, draft: &mut Draft) -> Outcome {
        match veto::metrics(self.policy, self.current, outcome.replicas) {
            Some(by) => {
                let limit = Self::vetoed(by, outcome.replicas, draft);
                Outcome { replicas: self.current, limit, ..outcome }
            }
            None => outcome,
        }
    }

    fn vetoed(by: Veto, wanted: u32, draft: &mut Draft) -> Limit {
        draft.steps.push(Step::Vetoed { by, wanted });
        veto::limit(by)
    }
}
