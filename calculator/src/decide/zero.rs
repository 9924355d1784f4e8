//! Stage 4: leaving and entering zero or idle, which windows and rate policies do not slow (keda-semantics §4.3, §4.4).

use crate::policy::Policy;
use crate::time::Tick;

/// What the zero stage looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// The present count.
    pub(super) current: u32,
    /// Whether the object counts as active.
    pub(super) active: bool,
    /// When the oldest of the readings was begun; none if a trigger has no value, or settles.
    pub(super) begun: Option<Tick>,
    /// The last activity ever seen.
    pub(super) last_active: Option<Tick>,
    /// When the object was created.
    pub(super) created: Tick,
}

/// What the zero stage makes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// Active at 0, or below the minimum with idle set: it gets to work in one step (A1).
    Leaving,
    /// Inactive at its resting count, or below idle and raised to it at once (I4): that ends the decision, also while a trigger fails.
    Resting(u32),
    /// Inactive above its resting count, and the cooldown runs until this moment (I3).
    Cooling(Tick),
    /// The cooldown ended at this moment, but a trigger has no value (I2), settles, or has none that was read since.
    Awaiting(Tick),
    /// The cooldown ended at this moment and every trigger has been read since: zero or idle may be entered (I3).
    Entering(u32, Tick),
    /// Not for this stage to decide (A2, A3, I5).
    Working,
}

/// Finds the row. The cooldown is strict: its end is the first moment after `last activity + cooldownPeriod`.
pub(super) fn row(policy: &Policy, facts: &Facts, now: Tick) -> Row {
    if facts.active {
        return if policy.at_rest(facts.current) { Row::Leaving } else { Row::Working };
    }
    let Some(rest) = policy.resting() else {
        return Row::Working;
    };
    if facts.current <= rest {
        return Row::Resting(rest);
    }
    // KEDA compares with `<`, so the moment itself is still too early.
    let end = match facts.last_active {
        Some(at) => at + policy.cooldown,
        None => facts.created + policy.initial_cooldown,
    };
    let end = end.next();
    if now < end {
        Row::Cooling(end)
    } else if facts.begun.is_none_or(|begun| begun < end) {
        Row::Awaiting(end)
    } else {
        Row::Entering(rest, end)
    }
}

impl Row {
    /// The first moment at which zero or idle may be entered, where the object could go there.
    pub(super) fn end(self) -> Option<Tick> {
        match self {
            Self::Cooling(end) | Self::Awaiting(end) | Self::Entering(_, end) => Some(end),
            Self::Leaving | Self::Resting(_) | Self::Working => None,
        }
    }

    /// Whether the triggers' proposals are those from zero: without tolerance and without pods.
    pub(super) fn starts_at_zero(self) -> bool {
        matches!(self, Self::Leaving | Self::Resting(_))
    }
}
