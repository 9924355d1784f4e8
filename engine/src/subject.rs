//! What the engine is told about one object: its policy, its triggers and its target, already validated.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_calculator::operation::spec::HookSpec;
use tidegate_calculator::policy::Policy;
pub use tidegate_calculator::source::TargetRef;
use tidegate_calculator::source::{Problem, TriggerSpec};

/// Names one object: `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

/// The validated form of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Which object this is.
    pub id: ObjectId,
    /// Stays the same for the object's whole life and is never used again, also not for a later one of the same name: `metadata.uid`. Ids of
    /// what operations do are made from it. A world that runs no operations may say the id.
    pub uid: Arc<str>,
    /// Changes whenever the spec or an annotation that matters changes: `metadata.generation`, or a hash of the text.
    pub generation: u64,
    /// When the object was created: `initialCooldownPeriod` counts from it.
    pub created: Timestamp,
    /// What decisions obey.
    pub policy: Policy,
    /// The triggers, as many as `policy.triggers`.
    pub triggers: Vec<Trigger>,
    /// What is scaled.
    pub target: TargetRef,
    /// Why the object is decided about but not acted on, if it is not.
    pub hold: Option<Hold>,
    /// The policies that the object names and that take no part; nothing is lowered while there are any (`policy.consent`).
    pub faults: Vec<Fault>,
    /// What happens around a change of the replicas; none if nothing does.
    pub hooks: Option<Arc<HookSpec>>,
}

/// A ScalingPolicy that an object names and that takes no part in its decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Of what kind it is.
    pub kind: FaultKind,
    /// Which policy, where in it, and what is wrong there.
    pub message: String,
}

/// Why a policy takes no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// It is not there.
    Missing,
    /// It is not known whether it is there.
    Unseen,
    /// It cannot be obeyed, or not by this object.
    Invalid,
    /// It has hooks, and nobody performs any here: they need a cluster.
    HooksNotSupported,
}

/// Why an object is decided, explained and recorded, while its target is not touched: the observing mode, or another writer that
/// must not be fought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The stable reason, such as `Observe` or `ForeignAutoscaler`.
    pub reason: &'static str,
    /// Who or what it is, and what to do about it.
    pub message: String,
}

/// One trigger with what its parameters refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// The entry of `spec.triggers`.
    pub spec: TriggerSpec,
    /// Where values outside of its metadata come from.
    pub references: References,
}

/// What a trigger's parameters come from besides its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct References {
    /// The target, whose container gives the environment.
    pub target: TargetRef,
    /// `scaleTargetRef.envSourceContainerName`; the first container if none.
    pub container: Option<Arc<str>>,
    /// `triggers[].authenticationRef`, if given.
    pub authentication: Option<AuthenticationRef>,
}

/// Names a TriggerAuthentication or a ClusterTriggerAuthentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticationRef {
    /// Whether it is a ClusterTriggerAuthentication.
    pub cluster: bool,
    /// Its name.
    pub name: Arc<str>,
}

/// One thing to say about an object's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where, what stands there and what is allowed; the path starts at `spec`'s fields or at `metadata.annotations`.
    pub problem: Problem,
    /// How bad it is.
    pub severity: Severity,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing, has no effect on scaling.
    Info,
    /// Accepted, but probably not what was meant.
    Warning,
    /// The object, or the trigger, cannot work.
    Error,
}

impl ObjectId {
    /// An id from its two parts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Fault {
    /// What is wrong with all of these, in one line.
    pub fn joined(faults: &[Self]) -> String {
        faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("; ")
    }
}

impl FaultKind {
    /// The stable reason.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "PolicyNotFound",
            Self::Unseen => "PolicyUnseen",
            Self::Invalid => "PolicyCheckFailed",
            Self::HooksNotSupported => "HooksNotSupported",
        }
    }

    /// Whether the policy is not there, as far as can be seen; otherwise it is invalid.
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::Missing | Self::Unseen)
    }
}

impl Severity {
    /// The word in front of a finding.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.severity.word(), self.problem)
    }
}
