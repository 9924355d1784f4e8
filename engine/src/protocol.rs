//! The language between the engine and its driver: inputs go in, commands come out, and every answer names its call.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_calculator::decision::{Health, Limit};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::TargetState;
use tidegate_calculator::operation::spec::HookSpec;
use tidegate_calculator::operation::summary::Summary;
use tidegate_calculator::operation::{self, Direction, Outcome};
use tidegate_calculator::source::{EndpointId, Occasion, ReadError, ReadErrorKind, Readings};
use tidegate_calculator::time::Span;

use crate::snapshot::{Phase, Snapshot};
use crate::subject::{Fault, Finding, ObjectId, Subject, TargetRef};
use crate::tally::Measure;

/// Names one object of the engine for as long as its spec stays the same; an answer to an older epoch is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// The object's place.
    pub slot: u32,
    /// Grows with every change of the spec and every reuse of the place.
    pub epoch: u32,
}

/// Names one call: the answer to a call that the engine has given up is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// Whose call.
    pub ticket: Ticket,
    /// Which one.
    pub number: u32,
}

/// The version of a target's scale, opaque: the resourceVersion on a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version(pub Arc<str>);

/// A target as its watch or a fresh read shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Replicas and pods.
    pub state: TargetState,
    /// The version that a write must name.
    pub version: Version,
}

/// Asks for a snapshot; the reply carries the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// A change in what the engine should do.
#[derive(Clone, Debug)]
pub enum Change {
    /// An object is there, or has changed. The checkpoint counts only when the engine does not know the object yet.
    Set(Arc<Subject>, Checkpoint),
    /// An object is gone; its target keeps its replicas.
    Gone(ObjectId),
    /// An object cannot be obeyed: it keeps its replicas and its memory, and nothing is decided until it is mended. The checkpoint
    /// counts as in [`Change::Set`].
    Refused(ObjectId, TargetRef, Vec<Finding>, Checkpoint),
    /// A Secret, a ConfigMap or an environment that triggers of this object use has changed.
    ParametersChanged(ObjectId),
    /// What the world keeps of an object: stored before this process began, or by the one that acts. It counts until the memory is
    /// loaded, so it comes after the object and before its target.
    Stored(ObjectId, Box<Stored>),
    /// A target's watch saw it, or saw that it is gone.
    Target(TargetRef, Result<Seen, TargetError>),
    /// Everything that exists has been told at least once.
    Synced,
}

/// What a world keeps of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// The memory.
    pub checkpoint: Checkpoint,
    /// What is known of the activity apart from the memory.
    pub activity: Activity,
    /// The replicas of the target at the last store, if they are known.
    pub replicas: Option<u32>,
    /// The count that the decision at the last store stood for, if it is known.
    pub desired: Option<u32>,
    /// What people see, if it is about the object's present text; then nothing is stored until it flips.
    pub shown: Option<Shown>,
    /// What other writers did while the object was held.
    pub observed: Observed,
    /// The names of each trigger's metrics at the last store, where its readings alone say them; empty otherwise.
    pub metrics: Vec<Vec<String>>,
    /// [`Entry::operation`] of the last store.
    pub operation: Option<Arc<str>>,
    /// [`Entry::aftermath`] of the last store.
    pub aftermath: Option<Arc<str>>,
}

/// What other writers of the replicas did while an object was held: whoever only watches learns from it whether it would have done the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// How often another writer set the count that the last decision stood for.
    pub agreed: u64,
    /// How often another writer set another count.
    pub differed: u64,
}

/// What KEDA's status says of the activity, whoever wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// KEDA's `lastActiveTime`: of two last activities the later counts.
    pub last: Option<Timestamp>,
    /// KEDA's Active condition: an activity of which no memory knows the end is taken to have lasted until the memory is loaded.
    pub lasts: bool,
}

/// What people see of an object's decisions; it is stored when it flips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Whether the object is active.
    pub active: bool,
    /// How its triggers are.
    pub health: Health,
    /// Whether an annotation pauses it.
    pub paused: bool,
    /// One bit a trigger: whether it is active. Triggers beyond the 64th show no activity of their own.
    pub triggers: u64,
    /// The first trigger that fails, if any does.
    pub failing: Option<u8>,
    /// One bit a trigger: whether it fails, and a fallback counts how often. None is set without a fallback.
    pub failures: u64,
    /// One bit a trigger: whether a fallback stands for it.
    pub fallbacks: u64,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Something changed.
    Object(Change),
    /// Answer to [`Command::Open`].
    Opened(Call, Result<Option<EndpointId>, ReadError>),
    /// Answer to [`Command::Read`].
    Read(Call, Result<Readings, ReadError>),
    /// Answer to [`Command::Read`]: there is no source to read, so it must be built anew.
    NotOpen(Call),
    /// Answer to [`Command::Refresh`].
    Refreshed(Call, Result<Seen, TargetError>),
    /// Answer to [`Command::Apply`].
    Applied(Call, Result<Version, ApplyError>),
    /// Answer to [`Command::Store`].
    Stored(Call, Result<(), JournalError>),
    /// Answer to [`Command::Perform`]: how the operation's call of this number ended.
    Performed(Call, u32, Box<Outcome>),
    /// A trigger's source says that it changed: read it now.
    Woken(Ticket, u8),
    /// Whether this process may act.
    Tenure(Tenure),
    /// Somebody asks for a snapshot of all objects, or of one.
    Ask(QueryId, Option<ObjectId>),
    /// The process wants to end: no new pass; flush what is not stored.
    Drain,
    /// Time has passed; nothing else happened.
    Tick,
}

/// What the driver must do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Resolve a trigger's parameters and build its source; it takes the place of an older one of the same trigger.
    Open(Call, Arc<Subject>, u8),
    /// Read a trigger's source within this time.
    Read(Call, u8, Occasion, Span),
    /// Read a target anew.
    Refresh(Call, TargetRef),
    /// Set a target's replicas if it still has this version.
    Apply(Call, TargetRef, u32, Version),
    /// Store what has changed about an object.
    Store(Call, ObjectId, Box<Entry>),
    /// Do what an operation asks for. No answer within [`crate::PERFORM_DEADLINE`] is a lost one.
    Perform(Call, Box<Work>),
    /// Tell people what happened; may be lost.
    Announce(ObjectId, Event),
    /// Count what an operation did; may be lost.
    Measured(Measure),
    /// Drop all sources of this object.
    Close(Ticket),
    /// Answer a question.
    Reply(QueryId, Vec<Snapshot>),
}

/// One call of an operation, with all that is needed to perform it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Whose operation.
    pub id: ObjectId,
    /// The target as the operation knows it.
    pub target: TargetRef,
    /// The hooks that the operation began with, which may be older than those of the object.
    pub hooks: Arc<HookSpec>,
    /// What to do, with the number that the answer names.
    pub call: operation::Call,
}

/// What an operation says about its object until the next one in its direction succeeds: a condition of the ScaleRecord.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OperationCondition {
    /// Its type, which is a reason of an operation.
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
    /// One sentence.
    pub message: String,
    /// The direction of the operation.
    pub direction: Direction,
}

/// Why a stored text of operations cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The stable reason, such as `OperationVersion`.
    pub reason: &'static str,
    /// One sentence that says what is wrong, and what is not done until it is mended.
    pub message: String,
}

/// Whether this process may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// Another process acts: watch, but read and write nothing.
    Standby,
    /// This process acts.
    Held {
        /// When the process before it is known to have been at work last, such as its last renewal of the lease: timers of rules go on
        /// over what is missing since. None if nobody knows; then it is the moment of its last store, as it is for an object that was
        /// paused, or of which a trigger failed, when it was stored last.
        alive: Option<Timestamp>,
    },
}

impl Tenure {
    /// This process acts, and nothing is known of another one before it.
    pub const HELD: Self = Self::Held { alive: None };

    /// Whether this process acts.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Held { .. })
    }
}

/// What is stored of an object, in one merged write.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What the object is doing.
    pub phase: Phase,
    /// Replicas after our last write, or as last seen; none if the target was never seen.
    pub replicas: Option<u32>,
    /// What the last decision stood for; none before the first.
    pub desired: Option<u32>,
    /// The lowest and the highest count of the policy; none if no text was ever accepted.
    pub bounds: Option<(u32, u32)>,
    /// What had the last word; none before the first decision.
    pub limited_by: Option<Limit>,
    /// Our last change, if there was one since the start.
    pub last_change: Option<LastChange>,
    /// Why the last write of the replicas failed, until one succeeds or none is wanted any more.
    pub apply_error: Option<ApplyError>,
    /// KEDA's Active condition; none before the first decision.
    pub active: Option<bool>,
    /// KEDA's `lastActiveTime`.
    pub last_active: Option<Timestamp>,
    /// How the triggers are, for KEDA's Ready condition; none before the first decision.
    pub health: Option<Health>,
    /// Which triggers are active, in their order (KEDA's `triggersActivity`).
    pub triggers: Vec<bool>,
    /// The names of the metrics that each trigger read last, in their order (KEDA's `externalMetricNames`). Empty for one that was not read
    /// yet, and for one on what pods use.
    pub metrics: Vec<Vec<String>>,
    /// The first trigger that fails, or whose value cannot be used.
    pub failing: Option<FailingTrigger>,
    /// How often in a row each trigger had failed when that flipped last, in their order: 0, 1, or one more than `failureThreshold` once
    /// the fallback acts (KEDA's `health`). None for a trigger that no fallback counts for; empty without a fallback, and before the
    /// first decision.
    pub failures: Vec<Option<u32>>,
    /// The triggers that a fallback stands for, in their order (KEDA's condition Fallback).
    pub fallbacks: Vec<u8>,
    /// The policies that the object names and that take no part.
    pub faults: Vec<Fault>,
    /// What other writers did while the object was held.
    pub observed: Observed,
    /// The operation that is under way ([`tidegate_calculator::operation::stored`]); none if none is. As long as there is no `checkpoint`
    /// either, nobody has looked: then what is stored stays, and so for `aftermath` and `holds_object`.
    pub operation: Option<Arc<str>>,
    /// What operations have left behind, in a form of our own; none if there is nothing.
    pub aftermath: Option<Arc<str>>,
    /// The operation that is under way, in a few fields for people.
    pub summary: Option<Box<Summary>>,
    /// The operation that ended last, likewise; none if there was none.
    pub last_operation: Option<Box<Summary>>,
    /// What operations say about the object.
    pub operation_conditions: Vec<OperationCondition>,
    /// Why what is stored of operations cannot be read, so that nothing is known of them but their texts; none if nothing is wrong with it.
    /// Then what was shown of them stays as well.
    pub unreadable: Option<Unreadable>,
    /// Whether a finalizer must keep the object: an operation has changed something that it must bring to an end, or a job is stopped by us.
    pub holds_object: bool,
    /// The memory; none if it was never loaded: then what is stored stays.
    pub checkpoint: Option<Checkpoint>,
}

/// A trigger without a value that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingTrigger {
    /// Its position in `spec.triggers`.
    pub index: u8,
    /// The class of its failure.
    pub kind: ReadErrorKind,
    /// Its type, such as `redis`.
    pub of: String,
}

/// Our last change of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastChange {
    /// When the write succeeded.
    pub at: Timestamp,
    /// The count before.
    pub from: u32,
    /// The count after.
    pub to: u32,
    /// One line that says why, with the numbers of that moment.
    pub why: String,
}

/// What people are told, once a flip.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The replicas were changed.
    Scaled(LastChange),
    /// The object left zero or idle (KEDA: KEDAScaleTargetActivated).
    Activated {
        /// The count before.
        from: u32,
        /// The count after.
        to: u32,
    },
    /// The object went to zero or idle (KEDA: KEDAScaleTargetDeactivated).
    Deactivated {
        /// The count before.
        from: u32,
        /// The count after.
        to: u32,
    },
    /// A trigger failed that had worked (KEDA: KEDAScalerFailed).
    TriggerFailed {
        /// Position of the trigger.
        trigger: u8,
        /// Why.
        error: ReadError,
    },
    /// A trigger works that had failed.
    TriggerRecovered {
        /// Position of the trigger.
        trigger: u8,
    },
    /// The object cannot be obeyed.
    Refused(Vec<Finding>),
    /// The target cannot be read.
    TargetFailed(TargetError),
    /// The target can be read again.
    TargetFound,
    /// A write of the replicas failed.
    ApplyFailed(ApplyError),
    /// Somebody else changed the replicas.
    ForeignChange {
        /// What we knew.
        from: u32,
        /// What is there now.
        to: u32,
    },
    /// Pausing began or ended.
    Paused(bool),
    /// A fallback stands for a trigger, or for none any more (KEDA: ScaledObjectFallbackActivated and ScaledObjectFallbackDeactivated).
    Fallback(bool),
    /// These policies that the object names take no part, so nothing is lowered; with none, all take part again.
    Policies(Vec<Fault>),
    /// Deciding about this object panicked; it is left alone until its spec changes.
    Quarantined(String),
    /// The stored checkpoint could not be read; the memory starts anew: nothing is lowered for one window, and the cooldown begins anew.
    CheckpointLost(String),
    /// An operation tells something.
    Operation {
        /// A stable reason in camel case.
        reason: String,
        /// One sentence.
        message: String,
        /// Whether somebody should look.
        warning: bool,
    },
}

/// A target that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// It exists but cannot be scaled.
    #[error("{0} has no scale subresource")]
    NotScalable(String),
    /// It could not be read this time.
    #[error("{0}")]
    Unavailable(String),
}

/// A write of the replicas that did not succeed for certain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else wrote since the version that we named.
    #[error("the target has changed since it was read")]
    Conflict,
    /// It was refused: nothing was written.
    #[error("{0}")]
    Refused(String),
    /// The target must be left alone for now, and says why: nothing was written, and the same write may succeed later.
    #[error("{0}")]
    LeftAlone(String),
    /// No answer came: it may have been written, or not.
    #[error("{0}")]
    Unknown(String),
}

/// A store that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// It could not be written this time.
    #[error("{0}")]
    Unavailable(String),
}

impl TargetError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "TargetNotFound",
            Self::NotScalable(_) => "TargetNotScalable",
            Self::Unavailable(_) => "TargetUnavailable",
        }
    }
}

impl ApplyError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Conflict => "ApplyConflict",
            Self::Refused(_) => "ApplyRefused",
            Self::LeftAlone(_) => "TargetLeftAlone",
            Self::Unknown(_) => "ApplyUnknown",
        }
    }
}

impl JournalError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "JournalUnavailable",
        }
    }
}

impl Event {
    /// The stable reason: KEDA's where KEDA has one.
    pub fn reason(&self) -> &str {
        match self {
            Self::Scaled(_) => "SuccessfulRescale",
            Self::Activated { .. } => "KEDAScaleTargetActivated",
            Self::Deactivated { .. } => "KEDAScaleTargetDeactivated",
            Self::TriggerFailed { .. } => "KEDAScalerFailed",
            Self::TriggerRecovered { .. } => "TriggerRecovered",
            Self::Refused(_) => "ScaledObjectCheckFailed",
            Self::TargetFailed(error) => error.reason(),
            Self::TargetFound => "TargetFound",
            Self::ApplyFailed(error) => error.reason(),
            Self::ForeignChange { .. } => "ForeignChange",
            Self::Paused(true) => "ScaledObjectPaused",
            Self::Paused(false) => "ScaledObjectUnpaused",
            Self::Fallback(true) => "ScaledObjectFallbackActivated",
            Self::Fallback(false) => "ScaledObjectFallbackDeactivated",
            Self::Policies(faults) => match faults.first() {
                Some(fault) if fault.kind.is_missing() => "PolicyMissing",
                Some(_) => "PolicyInvalid",
                None => "PoliciesObeyed",
            },
            Self::Quarantined(_) => "Quarantined",
            Self::CheckpointLost(_) => "CheckpointLost",
            Self::Operation { reason, .. } => reason,
        }
    }

    /// Whether people should worry.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Policies(faults) => return !faults.is_empty(),
            Self::Operation { warning, .. } => return *warning,
            _ => {}
        }
        matches!(
            self,
            Self::TriggerFailed { .. }
                | Self::Refused(_)
                | Self::TargetFailed(_)
                | Self::ApplyFailed(_)
                | Self::ForeignChange { .. }
                | Self::Quarantined(_)
                | Self::CheckpointLost(_)
        )
    }
}
