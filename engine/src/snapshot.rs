//! What can be said about an object at this moment: for the API, the metrics and the explanation.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_calculator::decision::Decision;
use tidegate_calculator::observation::{Evidence, TargetState};
use tidegate_calculator::time::{Now, Span, Tick};

use crate::protocol::{LastChange, TargetError};
use crate::subject::{Finding, Hold, ObjectId, Subject, TargetRef};

/// The state of one object.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which object.
    pub id: ObjectId,
    /// What it scales.
    pub target: TargetRef,
    /// The validated object; none while it is refused and never was accepted.
    pub subject: Option<Arc<Subject>>,
    /// What the object is doing.
    pub phase: Phase,
    /// The target as last seen.
    pub seen: Option<TargetState>,
    /// The last word of each trigger.
    pub evidence: Vec<Evidence>,
    /// What the metrics of each trigger were called when it gave readings last; empty while it gives some, and if it never did.
    pub metrics: Vec<Box<[String]>>,
    /// The last decision and when it was made.
    pub decision: Option<(Arc<Decision>, Tick)>,
    /// How late that decision was against its due time.
    pub decision_lag: Span,
    /// When the object is looked at next.
    pub next_check: Option<Tick>,
    /// KEDA's `lastActiveTime`.
    pub last_active: Option<Timestamp>,
    /// Our last change of the target.
    pub last_change: Option<LastChange>,
    /// Read errors by trigger since the start.
    pub errors: Vec<u64>,
    /// The moment of this snapshot: ages and countdowns are counted from it.
    pub now: Now,
}

/// What an object is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its target has not been seen yet, or a trigger has not answered yet.
    Starting,
    /// It is being scaled.
    Running,
    /// A pause annotation holds it.
    Paused,
    /// It is decided about, but its target is not touched.
    Held(Hold),
    /// Its text cannot be obeyed.
    Refused(Vec<Finding>),
    /// Its target cannot be read.
    TargetFailed(TargetError),
    /// Deciding about it panicked.
    Quarantined(String),
}

impl Phase {
    /// The stable name of the phase.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::Held(_) => "Held",
            Self::Refused(_) => "Refused",
            Self::TargetFailed(_) => "TargetFailed",
            Self::Quarantined(_) => "Quarantined",
        }
    }
}
