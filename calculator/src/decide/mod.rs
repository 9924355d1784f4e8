//! One decision: from what a policy asks, a memory knows and an observation shows to a count, and why.
//!
//! This file puts the stages in order; every stage has a file of its own and knows no other.

mod activity;
mod bounds;
mod direction;
mod draft;
mod fallback;
mod gates;
mod inverse;
mod legacy;
mod onerror;
mod pass;
mod pause;
mod pods;
mod proposals;
mod rate;
mod schedule;
mod settling;
mod stabilize;
mod steps;
mod veto;
mod votes;
mod window;
mod zero;

use crate::decision::{Decision, Effects, Health, Step};
use crate::memory::Memory;
use crate::memory::rules::{Bounds, RuleMemory};
use crate::observation::Observation;
use crate::policy::Policy;
use crate::time::{Now, Tick};
use activity::Activity;
use draft::Draft;
use fallback::Hearing;
use pass::{Outcome, Pass};
use proposals::Ground;
use schedule::Timetable;
use veto::Vetoes;
use window::Watch;
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
    let timetable = Timetable::new(policy, observed.wall);
    let policy = &*timetable.policy;
    let mut draft = Draft::new(policy.triggers.len() + timetable.len() + 5, now);
    timetable.tell(Now { tick: now, wall: observed.wall }, &mut draft);
    let hearing = Hearing { policy, memory, observed, now };
    let mut watch = (!policy.rules.is_empty()).then(|| Watch::new(&hearing));
    let activity = activity::look(policy, &hearing, now);
    let facts = Facts {
        current,
        active: activity.active,
        begun: activity.begun,
        last_active: memory.last_active.max(activity.at),
        created: observed.created,
    };
    let row = zero::row(policy, &facts, now);
    let target = observed.target;
    let ground = Ground { policy, target, last_write: memory.last_write, from_zero: row.starts_at_zero(), now };
    let votes = proposals::collect(&ground, &hearing, watch.as_mut(), &mut draft);
    let blocks = watch.as_mut().map(|watch| gates::look(policy, watch, now, &mut draft)).unwrap_or_default();
    if policy.force_activation {
        draft.steps.push(Step::Forced);
    }
    let known = watch.as_ref().map_or(Bounds::default(), |watch| watch.rules.bounds);
    let (ceiling, bounds) = timetable.ceiling(current, known);
    let rules = watch.as_ref().map(|watch| &watch.rules);
    let (held_by, by_fallback) = (votes.held_by, votes.led_by_fallback());
    let vetoes = Vetoes { policy, rules, blocks, held_by, by_fallback, now };
    let outcome = Pass { policy, memory, vetoes, ceiling, useful: observed.useful, current, now }.run(
        row,
        votes,
        activity.keeps_from_rest(),
        &mut draft,
    );
    // What only resource-like triggers lack is nothing to the zero stage.
    let unusable = votes.failed > 0 && !matches!(row, Row::Entering(..));
    let health = activity.health(unusable, votes.best.is_some());
    let mut decision = finish(current, row, &activity, health, outcome, draft);
    decision.effects.failing = hearing.failing();
    decision.effects.rules = remembered(policy, memory, watch.map(|watch| RuleMemory { bounds, ..watch.rules }));
    decision
}

/// What rules remember after the pass. Without rules what an earlier text's rules remembered is forgotten, unless they may come again.
fn remembered(policy: &Policy, memory: &Memory, rules: Option<RuleMemory>) -> Option<Box<RuleMemory>> {
    match rules {
        Some(rules) => Some(Box::new(rules)),
        None => (memory.rules.is_some() && !policy.lacks_rules()).then(Box::default),
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
            rules: None,
        },
        steps: draft.steps,
    }
}
