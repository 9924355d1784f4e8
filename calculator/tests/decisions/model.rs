//! The rules again, as plainly as they are written and over whole lists: `decide` must say the same for any history.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as the HPA computes"
)]

use proptest::prelude::*;
use tidegate_calculator::behavior::{RatePolicy, Rules, Select, Unit};
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::policy::{Consent, FallbackBehavior, Policy};
use tidegate_calculator::source::MetricType;
use tidegate_calculator::time::{Span, Tick};

use crate::random::{Happening, moves, world};
use crate::world::World;

/// Everything that ever happened to an object.
#[derive(Default)]
struct History {
    /// Recommendations and held counts: when, how many, whether held.
    recommended: Vec<(Tick, u32, bool)>,
    /// Replicas added (positive) and removed (negative).
    events: Vec<(Tick, i64)>,
    /// Counts that our own writes ended, since the last change by others.
    ended: Vec<(Tick, u32)>,
    last_active: Option<Tick>,
    last_write: Option<Tick>,
}

struct Verdict {
    desired: u32,
    hold: bool,
    record: Option<u32>,
    active_at: Option<Tick>,
}

impl History {
    fn judge(&self, world: &World, now: Tick) -> Verdict {
        let (policy, current) = (&world.policy, world.target.replicas);
        let floor = policy.min.max(1);
        let mut verdict = Verdict { desired: current, hold: false, record: None, active_at: active_at(world, now) };
        let active = verdict.active_at.is_some();
        let rest = policy.idle.or((policy.min == 0).then_some(0));
        if active && (current == 0 || (policy.idle.is_some() && current < policy.min)) {
            verdict.record = best(&self.votes(world, true, now).into_iter().map(|(vote, _)| vote).collect::<Vec<_>>());
            let wanted = verdict.record.unwrap_or(0).clamp(floor, policy.max);
            let limit = policy.behavior.as_ref().map_or(u32::MAX, |b| self.limit(&b.up, floor, true, now));
            verdict.desired = if policy.paused_scale_out { current } else { wanted.min(limit) };
            return verdict;
        }
        let (votes, waits): (Vec<_>, Vec<_>) = self.votes(world, false, now).into_iter().unzip();
        let desired = best(&votes).filter(|best| votes.iter().all(Option::is_some) || *best >= current);
        // A metric that only waits for the pods of the last write recommends nothing.
        let firm = votes.iter().zip(&waits).filter(|(_, waits)| !**waits).filter_map(|(vote, _)| *vote).max();
        let record = desired.filter(|_| firm >= best(&votes));
        let newest = self.recommended.iter().filter(|(_, _, held)| !held).map(|(at, _, _)| *at).max();
        let hold = desired.is_some() && newest.is_none_or(|at| now.0 - at.0 > 60_000);
        if let Some(rest) = rest.filter(|_| !active) {
            let end = match self.last_active {
                Some(at) => at.0 + policy.cooldown.0,
                None => world.created.0 + policy.initial_cooldown.0,
            };
            let fresh = (0..world.triggers.len()).all(|index| {
                let read = world.triggers[index].begun().is_some_and(|begun| begun.0 > end);
                read || substitute(world, index, now).is_some()
            });
            let forbidden = policy.paused_scale_in || policy.consent == Consent::PolicyMissing;
            if current <= rest {
                verdict.desired = rest;
                return verdict;
            }
            if now.0 > end && fresh && !forbidden {
                return Verdict { desired: rest, hold, record, ..verdict };
            }
        }
        if !(floor..=policy.max).contains(&current) {
            let missing = current > policy.max && policy.consent == Consent::PolicyMissing;
            verdict.desired = if missing { current } else { current.clamp(floor, policy.max) };
            return verdict;
        }
        let Some(desired) = desired else { return verdict };
        (verdict.hold, verdict.record) = (hold, record);
        let stable = self.stabilized(policy, current, desired, verdict.hold, now);
        let wanted = self.limited(policy, current, stable.clamp(floor, policy.max), now);
        let down = wanted < current && (policy.paused_scale_in || policy.consent == Consent::PolicyMissing);
        verdict.desired = if down || (wanted > current && policy.paused_scale_out) { current } else { wanted };
        verdict
    }

    /// What each trigger proposes, and whether that is only the present count while the pods of the last write are awaited.
    fn votes(&self, world: &World, from_zero: bool, now: Tick) -> Vec<(Option<u32>, bool)> {
        let target = world.target;
        let (up, down) = world.policy.tolerances();
        let near = |ratio: f64| 1.0 - down <= ratio && ratio <= 1.0 + up;
        let vote = |(trigger, evidence): (usize, &Evidence)| {
            let Evidence::Good { readings, .. } = evidence else { return (substitute(world, trigger, now), false) };
            let (spec, reading) = &readings[0];
            let (total, goal) = (reading.value.total().0 as f64, spec.target.0 as f64);
            let quotient = total / goal;
            let by_pods = || target.ready.filter(|n| *n > 0).map(|n| (quotient * f64::from(n)).ceil() as u32);
            match spec.metric_type {
                _ if from_zero => (Some(quotient.ceil() as u32), false),
                MetricType::AverageValue if near(total / (goal * f64::from(target.existing))) => {
                    (Some(target.existing), false)
                }
                MetricType::AverageValue => (Some(quotient.ceil() as u32), false),
                _ if near(quotient) => (Some(target.replicas), false),
                _ if self.last_write.is_some_and(|at| now.0 - at.0 < world.policy.settings.sync_period.0) => {
                    (Some(target.replicas), by_pods() != Some(target.replicas))
                }
                _ => (by_pods(), false),
            }
        };
        world.triggers.iter().enumerate().map(vote).collect()
    }

    fn stabilized(&self, policy: &Policy, current: u32, desired: u32, hold: bool, now: Tick) -> u32 {
        let mut all = self.recommended.clone();
        if hold {
            all.push((now, current, true));
        }
        all.push((now, desired, false));
        let Some(behavior) = &policy.behavior else {
            let window = policy.settings.downscale_window.0;
            let young = all.iter().filter(|(at, _, _)| now.0 - at.0 <= window).map(|(_, n, _)| *n);
            return young.max().unwrap_or(0).max(desired).min(current.max(desired));
        };
        let young = |window: Span| all.iter().filter(move |(at, _, _)| now.0 - at.0 < window.0);
        let low = young(behavior.up.window).filter(|(_, _, held)| !held).map(|(_, n, _)| *n).fold(desired, u32::min);
        let high = young(behavior.down.window).map(|(_, n, _)| *n).fold(desired, u32::max);
        if current < low { low } else { current.min(high) }
    }

    fn limited(&self, policy: &Policy, current: u32, wanted: u32, now: Tick) -> u32 {
        match &policy.behavior {
            Some(behavior) if wanted > current => wanted.min(self.limit(&behavior.up, current, true, now)),
            Some(behavior) if wanted < current => wanted.max(self.limit(&behavior.down, current, false, now)),
            None if wanted > current => {
                let young = |(at, _): &&(Tick, u32)| now.0 - at.0 < policy.settings.sync_period.0;
                let counts = self.ended.iter().filter(young).map(|(_, n)| (*n).max(policy.min.max(1)));
                let lowest = counts.fold(current, u32::min);
                wanted.min(current.max(2 * lowest).max(4))
            }
            _ => wanted,
        }
    }

    fn limit(&self, rules: &Rules, current: u32, up: bool, now: Tick) -> u32 {
        let of = |policy: &RatePolicy| {
            let young = self.events.iter().filter(|(at, _)| now.0 - at.0 < policy.period.0);
            let start = (i64::from(current) - young.map(|(_, change)| *change).sum::<i64>()) as f64;
            let value = f64::from(policy.value);
            match (policy.unit, up) {
                (Unit::Pods, true) => start + value,
                (Unit::Pods, false) => start - value,
                (Unit::Percent, true) => (start * (1.0 + value / 100.0)).ceil(),
                (Unit::Percent, false) => (start * (1.0 - value / 100.0)).trunc(),
            }
        };
        let (least, most) = rules.policies.iter().map(of).fold((f64::MAX, f64::MIN), |(l, m), n| (l.min(n), m.max(n)));
        let limit = match (rules.select, up) {
            (Select::Disabled, _) => return current,
            (Select::Max, true) | (Select::Min, false) => most as u32,
            (Select::Min, true) | (Select::Max, false) => least as u32,
        };
        if up { limit.max(current) } else { limit.min(current) }
    }

    fn take(&mut self, verdict: &Verdict, current: u32, now: Tick) {
        self.recommended.extend(verdict.hold.then_some((now, current, true)));
        self.recommended.extend(verdict.record.map(|desired| (now, desired, false)));
        self.last_active = self.last_active.max(verdict.active_at);
    }

    fn scaled(&mut self, policy: &Policy, from: u32, to: u32, now: Tick) {
        let rest = policy.idle.or((policy.min == 0).then_some(0));
        let leaving = from == 0 || (policy.idle.is_some() && from < policy.min);
        if rest == Some(to) && to < from {
            self.recommended.clear();
            self.events.clear();
        } else if rest != Some(to) {
            let start = if leaving && to > from { policy.min.max(1) } else { from };
            self.events.push((now, i64::from(to) - i64::from(start)));
            if leaving && to > from {
                self.last_active = self.last_active.max(Some(now));
            }
        }
        self.ended.push((now, from));
        self.last_write = Some(now);
    }
}

fn active_at(world: &World, now: Tick) -> Option<Tick> {
    if world.policy.force_activation {
        return Some(now);
    }
    let active = world.triggers.iter().enumerate().filter_map(|(index, evidence)| match evidence {
        Evidence::Good { readings, at, .. } if readings[0].1.active => Some(*at),
        _ => substitute(world, index, now).filter(|replicas| *replicas > 0).map(|_| now),
    });
    active.max()
}

/// What a fallback stands for, once the trigger has failed for `threshold` polling intervals.
fn substitute(world: &World, trigger: usize, now: Tick) -> Option<u32> {
    let (fallback, current) = (world.policy.fallback?, world.target.replicas);
    let Evidence::Failed { since, .. } = &world.triggers[trigger] else { return None };
    if now.0 - since.0 < i64::from(fallback.threshold) * world.policy.polling_interval.0 {
        return None;
    }
    let rests = current == 0 || (world.policy.idle.is_some() && current < world.policy.min);
    if world.specs[trigger].metric_type == MetricType::Value && world.target.ready.unwrap_or(0) == 0 && !rests {
        return None;
    }
    Some(match fallback.behavior {
        FallbackBehavior::Static => fallback.replicas,
        FallbackBehavior::CurrentReplicas => current,
        FallbackBehavior::CurrentReplicasIfHigher => current.max(fallback.replicas),
        FallbackBehavior::CurrentReplicasIfLower => current.min(fallback.replicas),
    })
}

fn best(votes: &[Option<u32>]) -> Option<u32> {
    votes.iter().flatten().max().copied()
}

proptest! {
    #![proptest_config(crate::cases(2_000))]

    #[test]
    fn decide_says_what_the_rules_say(mut world in world(), moves in moves(60), pause in prop::option::weighted(0.1, 0_usize..60)) {
        let (mut history, mut now) = (History::default(), Tick(0));
        for (index, step) in moves.into_iter().enumerate() {
            // Sometimes nobody looks for a while.
            now = now + Span(if pause == Some(index) { 61_000 } else { step.gap });
            if matches!(step.happening, Happening::Foreign(replicas) if replicas != world.target.replicas) {
                history.ended.clear();
            }
            world.happens(step.happening, now);
            let current = world.target.replicas;
            let verdict = history.judge(&world, now);
            let decision = if step.writes { world.act(now) } else { world.pass(now) };
            prop_assert_eq!(decision.desired, verdict.desired, "move {} at {:?}: {:?}", index, now, decision);
            prop_assert_eq!(decision.effects.record, verdict.record);
            prop_assert_eq!(decision.effects.hold.is_some(), verdict.hold);
            prop_assert_eq!(decision.effects.active_at, verdict.active_at);
            history.take(&verdict, current, now);
            if step.writes && verdict.desired != current {
                history.scaled(&world.policy, current, verdict.desired, now);
            }
        }
    }
}
