//! The conditions of an autoscaler's status (hpa-algorithm §9).

use std::fmt;

use crate::hpa::words::Word;
use crate::time::Tick;

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub kind: ConditionType,
    /// Whether it holds; none is `Unknown`.
    pub status: Option<bool>,
    /// The stable reason.
    pub reason: String,
    /// What people read.
    pub message: String,
    /// When the status changed last; none if nobody said.
    pub since: Option<Tick>,
}

/// What a condition is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// Whether the target can be scaled.
    AbleToScale,
    /// Whether there is a count to scale to.
    ScalingActive,
    /// Whether bounds or rates changed the count.
    ScalingLimited,
    /// Whether this autoscaler scaled its target to zero (with the gate HPAScaleToZero).
    ScaledToZero,
    /// One that somebody else has set.
    Other(String),
}

/// The conditions of one status, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions(pub Vec<Condition>);

impl Conditions {
    /// Whether a condition is there and holds.
    pub fn holds(&self, kind: &ConditionType) -> bool {
        self.0.iter().any(|condition| condition.kind == *kind && condition.status == Some(true))
    }

    /// Sets a condition to what a reason always says.
    pub(super) fn set(&mut self, kind: ConditionType, status: bool, reason: Word, now: Tick) {
        self.say(kind, status, reason, reason.message().to_owned(), now);
    }

    /// Sets a condition: it keeps its place, a new one comes last. Its time moves only with its status.
    pub(super) fn say(&mut self, kind: ConditionType, status: bool, reason: Word, message: String, now: Tick) {
        let (reason, since) = (reason.reason(), Some(now));
        let new = Condition { kind, status: Some(status), reason, message, since };
        match self.0.iter_mut().find(|condition| condition.kind == new.kind) {
            Some(old) if old.status == new.status => *old = Condition { since: old.since, ..new },
            Some(old) => *old = new,
            None => self.0.push(new),
        }
    }

    /// Takes a condition away.
    pub(super) fn remove(&mut self, kind: &ConditionType) {
        self.0.retain(|condition| condition.kind != *kind);
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => f.write_str(name),
            known => write!(f, "{known:?}"),
        }
    }
}

impl From<&str> for ConditionType {
    fn from(name: &str) -> Self {
        match name {
            "AbleToScale" => Self::AbleToScale,
            "ScalingActive" => Self::ScalingActive,
            "ScalingLimited" => Self::ScalingLimited,
            "ScaledToZero" => Self::ScaledToZero,
            other => Self::Other(other.to_owned()),
        }
    }
}
