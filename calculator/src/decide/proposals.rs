//! Stage 6, first half: what each metric of each trigger proposes (hpa-algorithm §6).

use super::draft::Draft;
use super::fallback::{Heard, Hearing};
use super::pods;
use crate::behavior::whole;
use crate::decision::Step;
use crate::hpa::proposal::is_enough;
use crate::hpa::ratio::{Tolerance, as_f64};
use crate::observation::TargetState;
use crate::policy::Policy;
use crate::source::{Measured, MetricSpec, MetricType, Milli, ReadErrorKind, Reading};
use crate::time::Tick;

/// What the proposals come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Votes {
    /// The largest proposal; none if nothing could propose.
    pub(super) best: Option<u32>,
    /// How many triggers or metrics have no proposal.
    pub(super) failed: u8,
}

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

/// Lets every trigger propose; one step each. A trigger without a value counts as failed and proposes nothing, unless a fallback stands
/// for it.
pub(super) fn collect(ground: &Ground<'_>, hearing: &Hearing<'_>, draft: &mut Draft) -> Votes {
    let mut votes = Votes::default();
    for (index, trigger) in ground.policy.triggers.iter().enumerate() {
        if ground.from_zero && trigger.resource_like {
            continue;
        }
        let heard = hearing.of(index);
        let index = number(index);
        let Heard::Value { readings, at, .. } = heard else {
            votes.unheard(index, &heard, draft);
            continue;
        };
        for (metric, (spec, reading)) in readings.iter().enumerate() {
            match propose(ground, spec, reading, at, draft) {
                Ok(proposal) => {
                    votes.best = votes.best.max(Some(proposal.replicas));
                    draft.steps.push(proposal.step(index, number(metric), spec, reading, at));
                }
                Err((kind, message)) => {
                    draft.steps.push(Step::Failed { trigger: index, kind, message, since: at });
                    votes.failed = votes.failed.saturating_add(1);
                }
            }
        }
    }
    votes
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
    spec: &MetricSpec,
    reading: &Reading,
    at: Tick,
    draft: &mut Draft,
) -> Result<Proposal, Unusable> {
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
            if is_enough(existing, reading.value.total().0, spec.target.0, tolerance(ground.policy)) {
                // status.replicas, not the present count, as the HPA does.
                return Ok(Proposal { replicas: existing, within_tolerance: true, ..Proposal::default() });
            }
            Ok(Proposal::of(ratio))
        }
        MetricType::Value => by_ratio(ground, ratio, draft),
    }
}

/// A Value metric: the ratio multiplies the Ready pods.
fn by_ratio(ground: &Ground<'_>, ratio: f64, draft: &mut Draft) -> Result<Proposal, Unusable> {
    let replicas = ground.target.replicas;
    if tolerance(ground.policy).contains(ratio) {
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

pub(super) fn tolerance(policy: &Policy) -> Tolerance {
    let (up, down) = policy.tolerances();
    Tolerance { up, down }
}

impl Votes {
    /// Takes a trigger without readings: its fallback's count, or a failure.
    fn unheard(&mut self, trigger: u8, heard: &Heard<'_>, draft: &mut Draft) {
        match heard {
            Heard::Value { .. } => {}
            Heard::Substituted(replicas, silence) => {
                let (replicas, kind, since) = (*replicas, silence.kind, silence.since);
                self.best = self.best.max(Some(replicas));
                let message = silence.message.to_owned();
                draft.steps.push(Step::Substituted { trigger, replicas, kind, message, since });
            }
            Heard::Silent { silence, until } => {
                let (kind, message, since) = (silence.kind, silence.message.to_owned(), silence.since);
                self.failed = self.failed.saturating_add(1);
                draft.steps.push(Step::Failed { trigger, kind, message, since });
                draft.wake(*until);
                draft.steps.extend(until.map(|until| Step::FallbackWaits { trigger, until }));
            }
        }
    }
}

/// Positions are `u8`: validation admits no more than 255 triggers.
fn number(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}
