//! Stage 6, first half: what each metric of each trigger proposes (hpa-algorithm §6.3 and §6.4).

use super::draft::Draft;
use crate::behavior::whole;
use crate::decision::Step;
use crate::observation::{Evidence, Observation, TargetState};
use crate::policy::Policy;
use crate::source::{MetricSpec, MetricType, ReadErrorKind, Reading};
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

/// Lets every trigger propose; one step each. A trigger without a value counts as failed and proposes nothing.
pub(super) fn collect(ground: &Ground<'_>, observed: &Observation<'_>, draft: &mut Draft) -> Votes {
    let mut votes = Votes::default();
    for (index, trigger) in ground.policy.triggers.iter().enumerate() {
        if ground.from_zero && trigger.resource_like {
            continue;
        }
        let index = number(index);
        let evidence = observed.evidence(usize::from(index));
        let (Some(readings), Evidence::Good { at, .. }) = (evidence.readings(), evidence) else {
            draft.steps.push(failure(index, evidence, ground.now));
            votes.failed = votes.failed.saturating_add(1);
            continue;
        };
        for (metric, (spec, reading)) in readings.iter().enumerate() {
            match propose(ground, spec, reading, draft) {
                Ok(proposal) => {
                    votes.best = votes.best.max(Some(proposal.replicas));
                    draft.steps.push(proposal.step(index, number(metric), spec, reading, *at));
                }
                Err((kind, message)) => {
                    draft.steps.push(Step::Failed { trigger: index, kind, message: message.to_owned(), since: *at });
                    votes.failed = votes.failed.saturating_add(1);
                }
            }
        }
    }
    votes
}

/// What one metric proposes.
#[derive(Default)]
struct Proposal {
    replicas: u32,
    within_tolerance: bool,
    waits: Option<Tick>,
}

impl Proposal {
    fn step(&self, trigger: u8, metric: u8, spec: &MetricSpec, reading: &Reading, at: Tick) -> Step {
        Step::Proposal {
            trigger,
            metric,
            total: reading.value.total(),
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
type Unusable = (ReadErrorKind, &'static str);

const NO_PODS: Unusable = (
    ReadErrorKind::Protocol,
    "metricType Value multiplies the Ready pods, and there is none (or nobody counted them): nothing can be proposed",
);
const NO_REQUESTS: Unusable = (
    ReadErrorKind::Config,
    "metricType Utilization is not allowed for a total; allowed values are 'Value' or 'AverageValue'",
);

fn propose(ground: &Ground<'_>, spec: &MetricSpec, reading: &Reading, draft: &mut Draft) -> Result<Proposal, Unusable> {
    let (total, target) = (milli(reading.value.total().0), milli(spec.target.0));
    let ratio = total / target;
    match spec.metric_type {
        MetricType::Utilization => Err(NO_REQUESTS),
        MetricType::AverageValue | MetricType::Value if ground.from_zero => Ok(Proposal::of(ratio)),
        MetricType::AverageValue => {
            let existing = ground.target.existing;
            if within(ground.policy, total / (target * f64::from(existing))) {
                // status.replicas, not the present count, as the HPA does.
                return Ok(Proposal { replicas: existing, within_tolerance: true, waits: None });
            }
            Ok(Proposal::of(ratio))
        }
        MetricType::Value => by_ratio(ground, ratio, draft),
    }
}

/// A Value metric: the ratio multiplies the Ready pods. For one sync period after a write of ours it proposes the present count,
/// because our passes come faster than the HPA's and the new pods are not Ready yet.
fn by_ratio(ground: &Ground<'_>, ratio: f64, draft: &mut Draft) -> Result<Proposal, Unusable> {
    let replicas = ground.target.replicas;
    if within(ground.policy, ratio) {
        return Ok(Proposal { replicas, within_tolerance: true, waits: None });
    }
    let plain = ground.target.ready.filter(|ready| *ready > 0).map(|ready| Proposal::of(ratio * f64::from(ready)));
    let end = ground.last_write.map(|at| at + ground.policy.settings.sync_period).filter(|end| *end > ground.now);
    if end.is_none() || plain.as_ref().is_some_and(|plain| plain.replicas == replicas) {
        return plain.ok_or(NO_PODS);
    }
    draft.wake(end);
    Ok(Proposal { replicas, within_tolerance: false, waits: end })
}

impl Proposal {
    /// The count that a quotient asks for: rounded up, saturating.
    fn of(quotient: f64) -> Self {
        Self { replicas: whole(quotient.ceil()), ..Self::default() }
    }
}

/// Both edges are inside; neither an infinite nor an undefined ratio is (hpa-algorithm §2).
fn within(policy: &Policy, ratio: f64) -> bool {
    let (up, down) = policy.tolerances();
    (1.0 - down..=1.0 + up).contains(&ratio)
}

fn failure(trigger: u8, evidence: &Evidence, now: Tick) -> Step {
    let (kind, message, since) = match evidence {
        Evidence::Failed { error, since, .. } => (error.kind, error.message.clone(), *since),
        Evidence::Good { at, .. } => (ReadErrorKind::Protocol, "the answer holds no metric".to_owned(), *at),
        Evidence::Unread => (ReadErrorKind::Unavailable, "it has not been read yet".to_owned(), now),
    };
    Step::Failed { trigger, kind, message, since }
}

/// Positions are `u8`: validation admits no more than 255 triggers.
fn number(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "the HPA divides i64 thousandths as f64")]
fn milli(value: i64) -> f64 {
    value as f64
}
