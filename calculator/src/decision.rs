//! What was decided, what limited it, when to look again, and every step on the way, as plain data.

use std::sync::Arc;

use crate::behavior::RatePolicy;
use crate::memory::failing::Failing;
use crate::memory::rules::RuleMemory;
use crate::operation::bounds::LastUseful;
use crate::rules::{Block, Condition, OnError};
use crate::source::{MetricType, Milli, ReadErrorKind};
use crate::time::{Span, Tick};

/// The result of one pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The count to write, if it differs from the present one and nothing forbids it.
    pub write: Option<u32>,
    /// The count that this pass stands for: `write`, else the present one.
    pub desired: u32,
    /// What had the last word on `desired`.
    pub limited_by: Limit,
    /// Whether the write lowers because of what the triggers said (rather than bounds or a pause): then every trigger must be fresh.
    pub lowers_by_metrics: bool,
    /// Readings begun before this moment must not lower to zero or idle; set while entering and while a cooldown runs.
    pub fresh_after: Option<Tick>,
    /// Whether the object counts as active.
    pub active: bool,
    /// How the triggers are, as KEDA's Ready condition says it.
    pub health: Health,
    /// The next moment, after now, at which time alone can change the result: the end of a window, a cooldown or a period.
    ///
    /// Nothing changes before it as long as what was observed stays the same and this pass was taken up by the memory. At that
    /// moment a stage changes its mind; a later stage may still hide it. A gap of more than 60 s without a pass is not foreseen:
    /// the pass after it holds the present count.
    pub next: Option<Tick>,
    /// What the memory must take up once the pass counts.
    pub effects: Effects,
    /// Every step, in order.
    pub steps: Vec<Step>,
}

/// What had the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Nothing: the metrics' own proposal.
    Metrics,
    /// `minReplicaCount` (the HPA's `TooFewReplicas`).
    Minimum,
    /// `maxReplicaCount` (the HPA's `TooManyReplicas`).
    Maximum,
    /// A rate policy of `behavior`, or the legacy limit (the HPA's `ScaleUpLimit`).
    ScaleUpRate,
    /// A rate policy of `behavior` (the HPA's `ScaleDownLimit`).
    ScaleDownRate,
    /// A stabilization window.
    Stabilization,
    /// The cooldown before zero or idle.
    Cooldown,
    /// The zero or idle count itself: the object rests, or goes to rest.
    Idle,
    /// A pause annotation.
    Paused,
    /// A trigger that failed, so nothing may be lowered.
    FailedTrigger,
    /// A trigger that settles, so nothing may be lowered.
    Settling,
    /// A policy that the object names is not there, so nothing may be lowered.
    PolicyMissing,
    /// A policy that the object names cannot be obeyed, so nothing may be lowered.
    PolicyInvalid,
    /// A gate of a ScalingPolicy.
    Gate,
    /// The direction cooldown of a ScalingPolicy.
    DirectionCooldown,
    /// The minimum or the maximum of a schedule of a ScalingPolicy.
    Schedule,
    /// More replicas are of no use to the Flink jobs that run on them.
    MaxParallelism,
}

/// How the triggers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// All gave readings.
    Good,
    /// Some failed and the object is active (KEDA: `PartialTriggerError`), or some metrics cannot be used and others can.
    Partial,
    /// Some failed and nothing that answered is active (KEDA: `TriggerError`), or no metric can be used.
    Failing,
}

/// What a pass adds to the memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The present count, recorded first because the newest recommendation is too old to speak for it.
    pub hold: Option<u32>,
    /// The raw recommendation of the metrics.
    pub record: Option<u32>,
    /// The moment of the last activity, if this pass saw one.
    pub active_at: Option<Tick>,
    /// Whether the object is active now; none if the pass did not look.
    pub active: Option<bool>,
    /// The triggers that fail, if an object with a fallback has news of them.
    pub failing: Option<Failing>,
    /// What rules remember from now on; only with rules.
    pub rules: Option<Box<RuleMemory>>,
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A pause annotation ended the decision.
    Paused {
        /// `paused-replicas`, if given.
        at: Option<u32>,
    },
    /// A metric of a trigger proposed a count.
    Proposal {
        /// Position of the trigger.
        trigger: u8,
        /// Position of the metric within the trigger.
        metric: u8,
        /// The total, in thousandths.
        total: Milli,
        /// The target, in thousandths.
        target: Milli,
        /// How the two were compared.
        metric_type: MetricType,
        /// Whether the ratio was within the tolerance, so that the present count was proposed.
        within_tolerance: bool,
        /// Whether the metric knows no tolerance, because its source has a band of its own ([`crate::source::MetricSpec::exact`]).
        exact: bool,
        /// The end of the sync period after our last write, until which a Value metric proposes the present count; none if it did not.
        waits: Option<Tick>,
        /// Whether the source counts as active.
        active: bool,
        /// The count proposed.
        replicas: u32,
        /// When the reading came.
        at: Tick,
    },
    /// A trigger has no value.
    Failed {
        /// Position of the trigger.
        trigger: u8,
        /// The class of the failure.
        kind: ReadErrorKind,
        /// Why.
        message: String,
        /// Since when.
        since: Tick,
    },
    /// A trigger has no value, because what it measures has just begun: it proposes nothing, nothing is lowered by metrics, and it is no failure
    /// yet.
    Settling {
        /// Position of the trigger.
        trigger: u8,
        /// What has just begun.
        message: String,
        /// When the first such answer in a row came.
        since: Tick,
        /// When it is a failure, if no other answer comes.
        until: Tick,
    },
    /// A trigger has failed for so long that its fallback stands for it.
    Substituted {
        /// Position of the trigger.
        trigger: u8,
        /// The count that it stands for.
        replicas: u32,
        /// The class of the failure.
        kind: ReadErrorKind,
        /// Why.
        message: String,
        /// Since when, not counting time in which nobody looked.
        since: Tick,
    },
    /// A trigger that has failed has a fallback, which does not act yet.
    FallbackWaits {
        /// Position of the trigger.
        trigger: u8,
        /// When it acts if nothing else happens.
        until: Tick,
    },
    /// The annotation force-activation made the object active.
    Forced,
    /// The object leaves zero or idle.
    Leaving {
        /// The count after the metrics and the limits.
        replicas: u32,
    },
    /// The object is inactive and its cooldown runs.
    Cooldown {
        /// The last activity; none if there never was one and `initialCooldownPeriod` counts.
        last_active: Option<Tick>,
        /// The first moment at which zero or idle may be entered.
        until: Tick,
    },
    /// The cooldown is over and the object goes to zero or idle.
    Entering {
        /// Zero or idle.
        replicas: u32,
    },
    /// The cooldown is over, but a trigger has no value, settles, or has none that was read after the cooldown.
    Awaiting,
    /// The object is inactive at its resting count.
    Resting {
        /// Zero or idle.
        replicas: u32,
    },
    /// Lowering stopped because a trigger failed (the HPA's failure rule).
    FailureHold {
        /// How many triggers failed.
        failed: u8,
        /// What the others proposed, if any did.
        proposal: Option<u32>,
    },
    /// Lowering stopped because a trigger settles, and none failed.
    SettlingHold {
        /// How many triggers settle.
        settling: u8,
        /// What the others proposed, if any did.
        proposal: Option<u32>,
    },
    /// A stabilization window changed the proposal.
    Stabilized {
        /// How long the window is.
        window: Span,
        /// The count after it.
        replicas: u32,
        /// When the recommendation that holds it leaves the window.
        until: Option<Tick>,
    },
    /// A rate policy of `behavior` changed the count.
    Rate {
        /// The policy that set the limit; none if its direction is disabled.
        policy: Option<RatePolicy>,
        /// What was wanted.
        wanted: u32,
        /// The count after it.
        replicas: u32,
        /// When the limit gives way, once this write has happened, and the count that it lets through then.
        until: Option<(Tick, u32)>,
    },
    /// The legacy limit, twice the lowest count of the last sync period but at least 4, changed the count.
    LegacyLimit {
        /// The lowest count of the last sync period.
        lowest: u32,
        /// What was wanted.
        wanted: u32,
        /// The count after it.
        replicas: u32,
        /// When the limit rises, once this write has happened, and the count that it lets through then.
        until: Option<(Tick, u32)>,
    },
    /// The bounds, which count whether or not they changed anything.
    Bounds {
        /// The lowest count: `max(1, minReplicaCount)` outside the zero stage.
        min: u32,
        /// `maxReplicaCount`.
        max: u32,
        /// The count after them.
        replicas: u32,
        /// Whether the present count was outside of them and moves at once, without metrics.
        jump: bool,
    },
    /// A schedule is in force.
    Schedule {
        /// Its name.
        name: Arc<str>,
        /// The minimum that it sets, if it sets one.
        min: Option<u32>,
        /// The maximum that it sets, if it sets one.
        max: Option<u32>,
        /// When it ends; none if it never does.
        until: Option<Tick>,
    },
    /// A rule of a trigger with steps.
    Rule {
        /// Position of the trigger.
        trigger: u8,
        /// Position of the rule within it.
        rule: u8,
        /// What it compares.
        value: Milli,
        /// What it compares with.
        condition: Condition,
        /// How long the condition must have held.
        needed: Span,
        /// How far it is.
        progress: Progress,
    },
    /// The steps of a trigger stand in an invalid policy, so it keeps the present count.
    StepsLost {
        /// Position of the trigger.
        trigger: u8,
        /// The present count.
        replicas: u32,
    },
    /// What the rules of a trigger come to.
    Voted {
        /// Position of the trigger.
        trigger: u8,
        /// Its vote.
        vote: Vote,
        /// When the reading came.
        at: Tick,
    },
    /// Nothing is lowered because a value that spreads over the replicas would then make a rule raise again.
    Bounces {
        /// Position of the trigger.
        trigger: u8,
        /// Position of the rule within it.
        rule: u8,
        /// The count that would be too few.
        replicas: u32,
    },
    /// What is done about a trigger without a value, where its `onError` is not `RaiseOnly`.
    OnError {
        /// Position of the trigger.
        trigger: u8,
        /// Its `onError`.
        on_error: OnError,
        /// For `LastKnown`: until when the last reading counts.
        until: Option<Tick>,
    },
    /// A gate.
    Gate {
        /// Its name.
        name: Arc<str>,
        /// Position of its trigger.
        trigger: u8,
        /// What it compares; none without a value.
        value: Option<Milli>,
        /// What it is.
        state: DoorState,
        /// What it forbids when it is closed.
        block: Block,
        /// When it turns if nothing else happens.
        until: Option<Tick>,
    },
    /// The maximum of a schedule, or one that a schedule has ended at, caps what the metrics want.
    Capped {
        /// What was wanted; none if nothing could want anything.
        wanted: Option<u32>,
        /// The maximum.
        max: u32,
    },
    /// Raising stopped where more replicas are of no use.
    NoUse {
        /// What was wanted.
        wanted: u32,
        /// The count after it: the last one of use, the minimum or the present count, whichever is highest.
        replicas: u32,
        /// Where it stops being of use.
        useful: LastUseful,
    },
    /// A veto kept the present count.
    Vetoed {
        /// What forbade it.
        by: Veto,
        /// What was wanted.
        wanted: u32,
    },
}

/// What can forbid a change that the metrics want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Veto {
    /// `autoscaling.keda.sh/paused-scale-in`.
    PausedScaleIn,
    /// `autoscaling.keda.sh/paused-scale-out`.
    PausedScaleOut,
    /// A policy named in `tidegate.dev/policies` is missing.
    PolicyMissing,
    /// A policy named in `tidegate.dev/policies` cannot be obeyed.
    PolicyInvalid,
    /// A trigger without a value, whose `onError` is `Hold`.
    OnError {
        /// Position of the trigger.
        trigger: u8,
    },
    /// A gate that is closed, or may be.
    Gate {
        /// Position of the gate among those of the object.
        gate: u8,
    },
    /// A change in the other direction is too recent (`directionCooldown`).
    DirectionCooldown {
        /// When this direction may change again.
        until: Tick,
    },
}

/// How far one rule of a trigger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Its condition does not hold.
    Off,
    /// Its condition holds, but the readings of its window do not reach back far enough yet for a rule that lowers.
    Filling,
    /// Its condition holds, but not for long enough.
    Pending {
        /// For how long it has held.
        held: Span,
        /// When it has held for long enough if nothing else happens.
        until: Tick,
    },
    /// Its condition has held for long enough, but the last write in its direction is too recent.
    Spaced {
        /// For how long it has held.
        held: Span,
        /// When the next one may come.
        until: Tick,
    },
    /// It is asserted, and wants this many replicas.
    Asserted {
        /// For how long its condition has held.
        held: Span,
        /// The count.
        replicas: u32,
    },
}

/// What a trigger with steps says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// A rule that raises is asserted.
    Raise(u32),
    /// The present count.
    Hold(u32),
    /// A rule that lowers is asserted, and none that raises has its condition.
    Lower(u32),
    /// Nothing: only rules that raise, and the condition of none holds.
    Abstain,
}

/// What a gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorState {
    /// It forbids nothing.
    Open,
    /// It forbids what it blocks.
    Closed,
    /// Nothing has told yet: it forbids lowering and lets everything rise.
    Unknown,
    /// Its trigger has no value, or settles: it forbids lowering, lets everything rise, and stays what it was.
    Blind,
}

impl Vote {
    /// The count; none if it abstains.
    pub const fn replicas(self) -> Option<u32> {
        match self {
            Self::Raise(replicas) | Self::Hold(replicas) | Self::Lower(replicas) => Some(replicas),
            Self::Abstain => None,
        }
    }
}

impl Decision {
    /// The triggers that a fallback stands for (KEDA's condition Fallback: `FallbackExists` if there is any).
    pub fn fallbacks(&self) -> impl Iterator<Item = u8> {
        self.steps.iter().filter_map(|step| match step {
            Step::Substituted { trigger, .. } => Some(*trigger),
            _ => None,
        })
    }
}

impl Limit {
    /// The stable name, for metrics and records.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Metrics => "Metrics",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
            Self::ScaleUpRate => "ScaleUpRate",
            Self::ScaleDownRate => "ScaleDownRate",
            Self::Stabilization => "Stabilization",
            Self::Cooldown => "Cooldown",
            Self::Idle => "Idle",
            Self::Paused => "Paused",
            Self::FailedTrigger => "FailedTrigger",
            Self::Settling => "Settling",
            Self::PolicyMissing => "PolicyMissing",
            Self::PolicyInvalid => "PolicyInvalid",
            Self::Gate => "Gate",
            Self::DirectionCooldown => "DirectionCooldown",
            Self::Schedule => "Schedule",
            Self::MaxParallelism => "MaxParallelismReached",
        }
    }

    /// All of them, for closed sets of labels.
    pub const ALL: [Self; 17] = [
        Self::Metrics,
        Self::Minimum,
        Self::Maximum,
        Self::ScaleUpRate,
        Self::ScaleDownRate,
        Self::Stabilization,
        Self::Cooldown,
        Self::Idle,
        Self::Paused,
        Self::FailedTrigger,
        Self::Settling,
        Self::PolicyMissing,
        Self::PolicyInvalid,
        Self::Gate,
        Self::DirectionCooldown,
        Self::Schedule,
        Self::MaxParallelism,
    ];
}

impl Health {
    /// The reason of KEDA's Ready condition.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Good => "ScaledObjectReady",
            Self::Partial => "PartialTriggerError",
            Self::Failing => "TriggerError",
        }
    }
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
