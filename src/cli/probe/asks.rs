//! Says how many replicas one metric alone asks for, by the calculator's own rules.

use jiff::Timestamp;
use tidegate_calculator::decide::decide;
use tidegate_calculator::decision::Step;
use tidegate_calculator::memory::Memory;
use tidegate_calculator::observation::{Evidence, Observation, TargetState};
use tidegate_calculator::policy::{Pause, Policy};
use tidegate_calculator::rules::Direction;
use tidegate_calculator::source::{Measured, MetricSpec, MetricType, Milli, Reading, Readings};
use tidegate_calculator::time::Tick;

/// The moment of the decision.
const TICK: Tick = Tick(0);

/// What one metric asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asks {
    /// So many replicas.
    Replicas(u32),
    /// So many times the Ready pods, which nobody has counted here.
    Times(f64),
    /// What it asks for cannot be said from one reading, and why.
    Untold(String),
}

/// What the policy makes of one metric of a trigger.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    /// What is compared with the target: the total, or for a metric of the pods their average or their percentage.
    pub(super) shown: Milli,
    /// What follows from it.
    pub(super) asks: Asks,
}

/// What each metric of a trigger asks for as if it were the only one of its object: within the bounds, at rest while it is inactive.
/// `target` is what was seen of the target, if anything was.
pub(super) fn asks(policy: &Policy, trigger: usize, readings: &Readings, target: Option<TargetState>) -> Vec<Asked> {
    let scene = Scene::new(policy, trigger, readings, target);
    readings.iter().enumerate().map(|(metric, (spec, reading))| scene.asked(metric, spec, reading)).collect()
}

/// One decision about one trigger, and the bounds that were in force.
struct Scene<'a> {
    policy: &'a Policy,
    trigger: usize,
    seen: bool,
    steps: Vec<Step>,
    min: u32,
    max: u32,
}

impl<'a> Scene<'a> {
    fn new(policy: &'a Policy, trigger: usize, readings: &Readings, target: Option<TargetState>) -> Self {
        // Pauses end a decision before its metrics, and only what is active leaves its rest: both are looked at later.
        let asked = Policy { pause: Pause::No, force_activation: true, ..policy.clone() };
        let good = || Evidence::Good { readings: readings.clone(), begun: TICK, at: TICK };
        let evidence = |index: usize| if index == trigger { good() } else { Evidence::Unread };
        let evidence: Vec<Evidence> = (0..policy.triggers.len()).map(evidence).collect();
        let (target_state, wall) = (target.unwrap_or_default(), Timestamp::now());
        let observed = Observation { target: target_state, triggers: &evidence, created: TICK, wall, useful: None };
        let steps = decide(&asked, &Memory::default(), &observed, TICK).steps;
        let scheduled = steps.iter().fold((policy.min, policy.max), |bounds, step| match step {
            Step::Schedule { min, max, .. } => (min.unwrap_or(bounds.0), max.unwrap_or(bounds.1)),
            _ => bounds,
        });
        Self { policy, trigger, seen: target.is_some(), steps, min: scheduled.0, max: scheduled.1 }
    }

    fn asked(&self, metric: usize, spec: &MetricSpec, reading: &Reading) -> Asked {
        let proposal = self.steps.iter().find_map(|step| match step {
            Step::Proposal { trigger, metric: of, total, replicas, .. }
                if usize::from(*trigger) == self.trigger && usize::from(*of) == metric =>
            {
                Some((*total, *replicas))
            }
            _ => None,
        });
        let shown = proposal.map_or_else(|| reading.value.total(), |(shown, _)| shown);
        Asked { shown, asks: self.follows(spec, reading, shown, proposal.map(|(_, replicas)| replicas)) }
    }

    fn follows(&self, spec: &MetricSpec, reading: &Reading, shown: Milli, proposed: Option<u32>) -> Asks {
        let (policy, rules) = (self.policy, self.policy.rules.of(self.trigger));
        if policy.rules.is_signal(self.trigger) {
            return Asks::Untold("a Signal, which gates read".to_owned());
        }
        let of_pods = policy.triggers.get(self.trigger).is_some_and(|trigger| trigger.resource_like);
        if !reading.active
            && !policy.force_activation
            && !of_pods
            && let Some(rest) = policy.idle.or((self.min == 0).then_some(0))
        {
            return Asks::Replicas(rest);
        }
        if !rules.steps.is_empty() || rules.steps_lost {
            return Asks::Untold("it votes by steps, which need time".to_owned());
        }
        let inverse = rules.direction == Direction::Inverse;
        let by_pods = inverse || spec.metric_type == MetricType::Value || matches!(reading.value, Measured::PerPod(_));
        if by_pods && !self.seen {
            return times(shown, spec.target, inverse);
        }
        match proposed {
            Some(replicas) => Asks::Replicas(replicas.clamp(self.min.max(1).min(self.max), self.max)),
            None => Asks::Untold(self.why_not()),
        }
    }

    /// Why a reading proposes nothing.
    fn why_not(&self) -> String {
        let failure = self.steps.iter().find_map(|step| match step {
            Step::Failed { trigger, message, .. } if usize::from(*trigger) == self.trigger => Some(message.clone()),
            _ => None,
        });
        failure.unwrap_or_else(|| "nothing is proposed".to_owned())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio for people; beyond 2^53 thousandths the last digits do not matter"
)]
fn times(value: Milli, target: Milli, inverse: bool) -> Asks {
    let ratio = if inverse { target.0 as f64 / value.0 as f64 } else { value.0 as f64 / target.0 as f64 };
    if ratio.is_finite() { Asks::Times(ratio) } else { Asks::Untold("the ratio has no meaning".to_owned()) }
}

#[cfg(test)]
#[path = "asks_tests.rs"]
mod tests;
