//! Stage 6, first half: what each metric of each trigger proposes (hpa-algorithm §6).

use super::draft::Draft;
use super::fallback::{Heard, Hearing};
use super::inverse::{self, is_inverse};
use super::pods;
use super::steps::{self, Ballot};
use super::votes::Votes;
use super::window::Watch;
use crate::behavior::whole;
use crate::decision::{Step, Vote};
use crate::hpa::proposal::is_enough;
use crate::hpa::ratio::{Tolerance, as_f64};
use crate::observation::TargetState;
use crate::policy::Policy;
use crate::rules::Change;
use crate::source::{Measured, MetricSpec, MetricType, Milli, ReadErrorKind, Reading};
use crate::time::Tick;

/// What proposals are made from, besides the readings.
pub(super) struct Ground<'a> {
    /// Triggers and tolerances.
    pub(super) policy: &'a Policy,
    /// Replicas and pods.
    pub(super) target: TargetState,
    /// Our last write.
    pub(super) last_write: Option<Tick>,
    /// Whether the object is at rest: then without tolerance, without pods, and without resource-like triggers.
    pub(super) from_zero: bool,
    /// The moment of the pass.
    pub(super) now: Tick,
}

/// Lets every trigger propose or vote; one step each metric or rule. A trigger without a value counts as failed and proposes nothing,
/// unless it settles, or a fallback, or what its `onError` says, stands for it.
pub(super) fn collect(
    ground: &Ground<'_>,
    hearing: &Hearing<'_>,
    mut watch: Option<&mut Watch>,
    draft: &mut Draft,
) -> Votes {
    let mut votes = Votes::default();
    for (index, trigger) in ground.policy.triggers.iter().enumerate() {
        if (ground.from_zero && trigger.resource_like) || ground.policy.rules.is_signal(index) {
            continue;
        }
        let rules = ground.policy.rules.of(index);
        let heard = hearing.of(index);
        let (readings, at, stale) = match &heard {
            Heard::Value { readings, at, .. } => (*readings, *at, false),
            Heard::Known { readings, at, .. } => {
                votes.unheard(number(index), &heard, rules.on_error, draft);
                (*readings, *at, true)
            }
            Heard::Settling(_) | Heard::Substituted(..) | Heard::Silent { .. } => {
                votes.unheard(number(index), &heard, rules.on_error, draft);
                continue;
            }
        };
        match watch.as_deref_mut().filter(|_| !rules.steps.is_empty()) {
            _ if rules.steps_lost && rules.steps.is_empty() => {
                let (trigger, replicas) = (number(index), ground.from());
                votes.vote(Vote::Hold(replicas));
                draft.steps.push(Step::StepsLost { trigger, replicas });
            }
            // No data never fires a rule.
            Some(_) if stale => votes.vote(Vote::Hold(ground.from())),
            Some(watch) => by_steps(ground, index, readings, watch, &mut votes, draft),
            None => {
                let outdated = stale && ground.changed_since(at, watch.as_deref());
                by_ratios(ground, index, (readings, at, outdated), &mut votes, draft);
            }
        }
    }
    if let Some(watch) = watch {
        keep_from_bouncing(ground, watch, &mut votes, draft);
    }
    votes
}

/// A trigger that votes by the ratio of each of its metrics. Once the replicas have changed, a ratio that is `outdated` must not multiply
/// them once more: then what counts pods proposes the present count.
fn by_ratios(
    ground: &Ground<'_>,
    index: usize,
    (readings, at, outdated): (&[(MetricSpec, Reading)], Tick, bool),
    votes: &mut Votes,
    draft: &mut Draft,
) {
    let inverse = is_inverse(ground.policy, index);
    let trigger = number(index);
    for (metric, (spec, reading)) in readings.iter().enumerate() {
        let by_pods = inverse || spec.metric_type == MetricType::Value || matches!(reading.value, Measured::PerPod(_));
        let proposed = if outdated && by_pods {
            Ok(Proposal { replicas: ground.target.replicas, ..Proposal::default() })
        } else {
            propose(ground, (spec, reading, inverse), at, draft)
        };
        match proposed {
            Ok(proposal) => {
                if proposal.waits.is_some() {
                    votes.wait(proposal.replicas);
                } else {
                    votes.propose(proposal.replicas);
                }
                draft.steps.push(proposal.step(trigger, number(metric), spec, reading, at));
            }
            Err(unusable) => cannot(ground, trigger, &unusable, at, votes, draft),
        }
    }
}

/// A trigger that votes by its rules.
fn by_steps(
    ground: &Ground<'_>,
    index: usize,
    readings: &[(MetricSpec, Reading)],
    watch: &mut Watch,
    votes: &mut Votes,
    draft: &mut Draft,
) {
    let (policy, trigger) = (ground.policy, number(index));
    let Some(seen) = watch.seen(index) else {
        if let Some(unusable) = watch.unusable(index).cloned() {
            cannot(ground, trigger, &unusable, ground.now, votes, draft);
        }
        return;
    };
    let wants_ratio = policy.rules.of(index).steps.iter().any(|rule| rule.change == Change::Ratio);
    let ratio = match readings.first().filter(|_| wants_ratio) {
        Some((spec, reading)) => {
            let plain = propose(ground, (spec, reading, is_inverse(policy, index)), seen.at, draft);
            let plain = plain.and_then(|plain| {
                if ground.from_zero {
                    return Ok(plain);
                }
                settled(ground, Some(plain), draft).ok_or_else(no_pods)
            });
            match plain {
                Ok(proposal) => Some(proposal.replicas),
                Err(unusable) => {
                    cannot(ground, trigger, &unusable, seen.at, votes, draft);
                    None
                }
            }
        }
        None => None,
    };
    let (replicas, from, now) = (ground.target.replicas, ground.from(), ground.now);
    let ballot = Ballot { policy, trigger, seen, replicas, from, ratio, now };
    votes.vote(ballot.vote(watch, draft));
}

/// Whether what all agree to lower to would make a rule raise again.
fn keep_from_bouncing(ground: &Ground<'_>, watch: &Watch, votes: &mut Votes, draft: &mut Draft) {
    let current = ground.target.replicas;
    let Some(fewer) = votes.best.map(|best| best.max(ground.policy.floor())).filter(|best| *best < current) else {
        return;
    };
    for index in (0..ground.policy.triggers.len()).filter(|index| !ground.policy.rules.is_signal(*index)) {
        let bounces = |seen| steps::bounces(ground.policy, index, seen, (current, fewer));
        if let Some(rule) = watch.seen(index).and_then(bounces) {
            draft.steps.push(Step::Bounces { trigger: number(index), rule, replicas: fewer });
            votes.vote(Vote::Hold(current));
        }
    }
}

/// A metric that cannot be used here.
fn cannot(
    ground: &Ground<'_>,
    trigger: u8,
    (kind, message): &Unusable,
    since: Tick,
    votes: &mut Votes,
    draft: &mut Draft,
) {
    draft.steps.push(Step::Failed { trigger, kind: *kind, message: message.clone(), since });
    votes.lack(trigger, ground.policy.rules.of(trigger.into()).on_error, draft);
}

/// What one metric proposes.
#[derive(Default)]
pub(super) struct Proposal {
    /// The count.
    pub(super) replicas: u32,
    /// Whether the ratio was near enough to 1.
    pub(super) within_tolerance: bool,
    /// The end of the sync period after our last write, if it proposes the present count until then.
    pub(super) waits: Option<Tick>,
    /// What was compared with the target; the total if none.
    pub(super) shown: Option<Milli>,
}

impl Proposal {
    fn step(&self, trigger: u8, metric: u8, spec: &MetricSpec, reading: &Reading, at: Tick) -> Step {
        Step::Proposal {
            trigger,
            metric,
            total: self.shown.unwrap_or_else(|| reading.value.total()),
            target: spec.target,
            metric_type: spec.metric_type,
            within_tolerance: self.within_tolerance,
            exact: spec.exact,
            waits: self.waits,
            active: reading.active,
            replicas: self.replicas,
            at,
        }
    }
}

/// Why a reading cannot be used here.
pub(super) type Unusable = (ReadErrorKind, String);

fn no_pods() -> Unusable {
    let why = "metricType Value multiplies the Ready pods, and there is none (or nobody counted them): nothing can be proposed";
    (ReadErrorKind::Protocol, why.to_owned())
}

fn no_requests() -> Unusable {
    let allowed = "metricType Utilization is not allowed for a total; allowed values are 'Value' or 'AverageValue'";
    (ReadErrorKind::Config, allowed.to_owned())
}

fn propose(
    ground: &Ground<'_>,
    (spec, reading, inverse): (&MetricSpec, &Reading, bool),
    at: Tick,
    draft: &mut Draft,
) -> Result<Proposal, Unusable> {
    if inverse {
        return inversely(ground, spec, reading, at, draft);
    }
    if let Measured::PerPod(samples) = &reading.value {
        let plain = pods::propose(ground, spec, samples, at, draft);
        // What failed goes on failing: the pods that a write makes have nothing to do with it.
        return plain.and_then(|plain| settled(ground, Some(plain), draft).ok_or_else(no_pods));
    }
    let (total, target) = (as_f64(reading.value.total().0), as_f64(spec.target.0));
    let ratio = total / target;
    match spec.metric_type {
        MetricType::Utilization => Err(no_requests()),
        MetricType::AverageValue | MetricType::Value if ground.from_zero => Ok(Proposal::of(ratio)),
        MetricType::AverageValue => {
            let existing = ground.target.existing;
            if is_enough(existing, reading.value.total().0, spec.target.0, tolerance(ground.policy, spec)) {
                // status.replicas, not the present count, as the HPA does.
                return Ok(Proposal { replicas: existing, within_tolerance: true, ..Proposal::default() });
            }
            Ok(Proposal::of(ratio))
        }
        MetricType::Value => by_ratio(ground, spec, ratio, draft),
    }
}

/// An inverse trigger: target / value multiplies the Ready pods, whatever its metricType.
fn inversely(
    ground: &Ground<'_>,
    spec: &MetricSpec,
    reading: &Reading,
    at: Tick,
    draft: &mut Draft,
) -> Result<Proposal, Unusable> {
    let value = match &reading.value {
        Measured::Total(_) => reading.value.total(),
        Measured::PerPod(samples) => pods::compared(ground.policy, ground.target, (spec, samples), ground.now - at)?.0,
    };
    if value.0 <= 0 {
        return Err((ReadErrorKind::Protocol, inverse::NO_DATA.to_owned()));
    }
    let ratio = inverse::ratio(value, spec.target);
    if ground.from_zero {
        return Ok(Proposal::of(ratio));
    }
    by_ratio(ground, spec, ratio, draft).map(|proposal| Proposal { shown: Some(value), ..proposal })
}

/// A Value metric: the ratio multiplies the Ready pods.
fn by_ratio(ground: &Ground<'_>, spec: &MetricSpec, ratio: f64, draft: &mut Draft) -> Result<Proposal, Unusable> {
    let replicas = ground.target.replicas;
    if tolerance(ground.policy, spec).contains(ratio) {
        return Ok(Proposal { replicas, within_tolerance: true, ..Proposal::default() });
    }
    let plain = ground.target.ready.filter(|ready| *ready > 0).map(|ready| Proposal::of(ratio * f64::from(ready)));
    settled(ground, plain, draft).ok_or_else(no_pods)
}

/// For one sync period after a write of ours a proposal that counts pods is the present count, because our passes come faster than the
/// HPA's and the new pods are not there yet.
fn settled(ground: &Ground<'_>, plain: Option<Proposal>, draft: &mut Draft) -> Option<Proposal> {
    let replicas = ground.target.replicas;
    let end = ground.last_write.map(|at| at + ground.policy.settings.sync_period).filter(|end| *end > ground.now);
    if end.is_none() || plain.as_ref().is_some_and(|plain| plain.replicas == replicas) {
        return plain;
    }
    draft.wake(end);
    let shown = plain.and_then(|plain| plain.shown);
    Some(Proposal { replicas, within_tolerance: false, waits: end, shown })
}

impl Proposal {
    /// The count that a quotient asks for: rounded up, saturating.
    fn of(quotient: f64) -> Self {
        Self { replicas: whole(quotient.ceil()), ..Self::default() }
    }
}

/// How far from 1 the ratio of a metric changes nothing. A metric whose source has a band of its own means every number that it says.
pub(super) fn tolerance(policy: &Policy, spec: &MetricSpec) -> Tolerance {
    if spec.exact {
        return Tolerance { up: 0.0, down: 0.0 };
    }
    let (up, down) = policy.tolerances();
    Tolerance { up, down }
}

impl Ground<'_> {
    /// Whether the replicas have changed since a reading: it was made of those of its moment. From rest nothing is multiplied.
    fn changed_since(&self, at: Tick, watch: Option<&Watch>) -> bool {
        let changed = watch.and_then(|watch| watch.rules.changed);
        !self.from_zero && changed.is_some_and(|changed| changed >= at)
    }

    /// What changes start from: the present count, or `max(1, min)` when the object leaves its rest.
    fn from(&self) -> u32 {
        if self.from_zero { self.policy.floor() } else { self.target.replicas }
    }
}

/// Positions are `u8`: validation admits no more than 255 triggers.
fn number(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}
