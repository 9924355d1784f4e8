//! What a ScalingPolicy adds to an object: rules with thresholds and durations, gates, cooldowns and schedules, checked and complete.
//!
//! These are only words: validation makes them, each stage of [`crate::decide`] that obeys one of them has a file of its own. An object
//! without a ScalingPolicy has [`Rules::default`], and everything is as KEDA says.

pub(crate) mod fingerprint;
mod obey;

use std::sync::Arc;

use crate::calendar::Calendar;
use crate::source::Milli;
use crate::time::Span;

/// Everything that the ScalingPolicies of one object say, joined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// `spec.triggers`: one entry a trigger of the object, in the order of its triggers; empty if no policy says anything of any.
    pub triggers: Vec<TriggerRules>,
    /// `spec.gates`, in the order of the policies and of their lists.
    pub gates: Vec<Gate>,
    /// `spec.directionCooldown`.
    pub direction_cooldown: DirectionCooldown,
    /// `spec.schedules`, in the order of the policies and of their lists.
    pub schedules: Vec<Schedule>,
}

/// `spec.triggers[]`: what is said of one trigger beyond its ScaledObject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerRules {
    /// `role`.
    pub role: Role,
    /// `onError` with `lastKnownFor`.
    pub on_error: OnError,
    /// `direction`.
    pub direction: Direction,
    /// `steps`: with any, the trigger votes by them instead of by its ratio.
    pub steps: Vec<StepRule>,
    /// `window`: what steps and gates compare instead of the last reading.
    pub window: Option<Window>,
    /// `spreads`: whether the value spreads over the replicas; none for the default (`busy`, cpu, memory, `per: Replica`).
    pub spreads: Option<bool>,
    /// Its `steps` stand in a policy that cannot be obeyed: until that is mended it holds the present count, because its ratio, whose
    /// threshold nobody looked at while it had steps, is no demand.
    pub steps_lost: bool,
}

/// `role`: what a trigger is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It proposes replicas.
    #[default]
    Scale,
    /// Gates and formulas read it; it counts for neither activity, errors nor fallback.
    Signal,
}

/// `onError`: what a Scale trigger without a value does, until its fallback acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The HPA's rule: others may raise, nothing is lowered.
    #[default]
    RaiseOnly,
    /// No change either way.
    Hold,
    /// The trigger drops out; if all did, nothing changes.
    Ignore,
    /// Its last good reading counts for so long (`lastKnownFor`), then as `RaiseOnly`.
    LastKnown(Span),
}

/// `direction`: whether more of the metric wants more replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// More wants more.
    #[default]
    Normal,
    /// Less wants more (a cache's hit ratio): the ratio is target / value, and a value of 0 is no data.
    Inverse,
}

/// `steps[]`: one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepRule {
    /// `above` or `below`.
    pub condition: Condition,
    /// `per: Replica`: the total is divided by max(1, spec.replicas) before it is compared.
    pub per_replica: bool,
    /// `for`: how long the condition must have held; none for the default, which depends on the direction.
    pub held_for: Option<Span>,
    /// `every`: the shortest time between two writes in its direction; none for max(for, 60 s).
    pub every: Option<Span>,
    /// `change`.
    pub change: Change,
}

/// `above` or `below`: a strict comparison, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The value is greater.
    Above(Milli),
    /// The value is less.
    Below(Milli),
}

/// `change`: what a rule does to the present count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `+N`, N at least 1.
    Add(u32),
    /// `-N`, N at least 1.
    Remove(u32),
    /// `+N%`: rounded up, at least 1.
    AddPercent(u32),
    /// `-N%`: rounded toward zero, at least 1. At most 100.
    RemovePercent(u32),
    /// `=N`.
    Set(u32),
    /// `Ratio`: the ratio formula with the trigger's own target.
    Ratio,
}

/// `window`: what of the readings of a while is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// `take`.
    pub take: Take,
    /// `over`: above zero.
    pub over: Span,
}

/// `window.take`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The lowest.
    Min,
    /// The highest.
    Max,
    /// The average by time.
    Avg,
}

/// `gates[]`: a condition that forbids a direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// `name`.
    pub name: Arc<str>,
    /// The position of its `trigger` in the object.
    pub trigger: u8,
    /// `above` or `below`: what closes it.
    pub closes: Condition,
    /// `for`: how long that must have held.
    pub held_for: Span,
    /// `release`: what opens it; none for the end of what closes it.
    pub release: Option<Release>,
    /// `block`.
    pub block: Block,
}

/// `gates[].release`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// `above` or `below`: the other side of what closes the gate.
    pub condition: Condition,
    /// `for`: how long that must have held.
    pub held_for: Span,
}

/// `gates[].block`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Nothing is lowered.
    ScaleDown,
    /// Nothing is raised.
    ScaleUp,
    /// Neither.
    Both,
}

/// `directionCooldown`: how long one direction waits for the other. Zero is no wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectionCooldown {
    /// `scaleDownAfterScaleUp`.
    pub down_after_up: Span,
    /// `scaleUpAfterScaleDown`.
    pub up_after_down: Span,
}

/// `schedules[]`: bounds for a part of the day, the week or the year.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// `name`.
    pub name: Arc<str>,
    /// `start`: when its window begins.
    pub start: Calendar,
    /// `end`: when it ends.
    pub end: Calendar,
    /// `minReplicaCount`, which replaces the object's; none keeps it.
    pub min: Option<u32>,
    /// `maxReplicaCount`, likewise; at least 1.
    pub max: Option<u32>,
}

impl Change {
    /// Whether it can raise; `=N` and `Ratio` can do both.
    pub const fn raises(self) -> bool {
        !matches!(self, Self::Remove(_) | Self::RemovePercent(_))
    }

    /// Whether it can lower; `=N` and `Ratio` can do both.
    pub const fn lowers(self) -> bool {
        !matches!(self, Self::Add(_) | Self::AddPercent(_))
    }
}

impl Condition {
    /// Whether this value, in thousandths, meets it.
    pub const fn holds(self, value: Milli) -> bool {
        match self {
            Self::Above(limit) => value.0 > limit.0,
            Self::Below(limit) => value.0 < limit.0,
        }
    }
}
