//! What can be said about an object at this moment: for the API, the metrics and the explanation.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_calculator::decision::Decision;
use tidegate_calculator::observation::{Evidence, TargetState};
use tidegate_calculator::operation::bounds::LastUseful;
use tidegate_calculator::operation::explain::Explanation;
use tidegate_calculator::operation::progress::Parked;
use tidegate_calculator::operation::summary::Summary;
use tidegate_calculator::operation::{self, Direction, Strategy};
use tidegate_calculator::time::{Now, Span, Tick};

use crate::protocol::{LastChange, OperationCondition, TargetError};
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
    /// What its hooks do; none if there is nothing to say.
    pub operations: Option<Box<Operations>>,
    /// Read errors by trigger since the start.
    pub errors: Vec<u64>,
    /// The moment of this snapshot: ages and countdowns are counted from it.
    pub now: Now,
}

/// What the hooks of an object do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operations {
    /// The operation that is under way.
    pub running: Option<OperationSeen>,
    /// Why a change that the last decision wanted has begun no operation yet.
    pub waits: Option<OperationWait>,
    /// Jobs that an operation stopped and that do not run.
    pub parked: Vec<Parked>,
    /// What operations say about the object.
    pub conditions: Vec<OperationCondition>,
    /// Whether a finalizer must keep the object.
    pub holds_object: bool,
    /// The operation that ended last.
    pub last: Option<Box<Summary>>,
    /// Jobs that we stopped, that do not run, and that should.
    pub stopped: Vec<StoppedJob>,
    /// Above how many replicas more are of no use, if that is known.
    pub useful: Option<LastUseful>,
}

/// A job that we stopped, that does not run, and that should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoppedJob {
    /// Its name.
    pub name: String,
    /// For how long: since its stop, or since something first wanted it to run again.
    pub lasting: Span,
}

/// An operation that is under way.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationSeen {
    /// Its id: 32 hex digits.
    pub id: String,
    /// Its direction.
    pub direction: Direction,
    /// The replicas before.
    pub from: u32,
    /// The replicas that are wanted.
    pub to: u32,
    /// Where it is.
    pub phase: operation::Phase,
    /// How it makes the change safe, once that is chosen.
    pub strategy: Option<Strategy>,
    /// In words: where it is, what it has and what it waits for.
    pub explanation: Explanation,
    /// In fields.
    pub summary: Summary,
}

/// What the next operation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationWait {
    /// The pause after an operation, until this moment.
    Until(Direction, Tick),
    /// A change of the object or of a policy: the last operation in this direction failed because of a setting.
    Changed(Direction),
    /// What is stored of an operation cannot be read: somebody must take it out of the record.
    Unreadable(Direction),
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
