//! Operations: what a user's hooks make of a change of the replicas. Each runs inside its object, beside the passes.
//!
//! The steps themselves are `tidegate_calculator::operation`, a pure state machine. This folder begins one where a decision would write
//! ([`begin`]), stores it before it acts and tells it what happened ([`steps`]), performs or answers what it asks for ([`calls`]), tells it
//! what the passes want meanwhile ([`wish`]), reads it back after a restart ([`load`]), keeps what outlives it ([`aftermath`]), and disposes of
//! savepoints that nobody needs any more ([`tidy`]). How many replicas are of use is in [`useful`].

pub(crate) mod aftermath;
mod begin;
mod calls;
mod load;
mod sight;
mod steps;
mod tidy;
mod useful;
mod wish;

use std::sync::Arc;

use tidegate_calculator::operation::spec::HookSpec;
use tidegate_calculator::operation::{Operation, Phase};
use tidegate_calculator::time::{Span, Tick};

use crate::object::Object;
use crate::protocol::{Ticket, Unreadable};
use crate::subject::TargetRef;
use aftermath::Aftermath;
pub use aftermath::{AftermathError, Left, Rest};
use begin::Wait;
use tidy::Tidying;
use useful::Look;

/// How long the performing of one action may take.
pub const PERFORM_DEADLINE: Span = Span::seconds(90);

/// What an object knows of its operations.
#[derive(Debug, Default)]
pub(crate) struct Operating {
    /// The one that is under way.
    pub(crate) running: Option<Box<Running>>,
    /// What earlier ones have left behind.
    pub(crate) aftermath: Aftermath,
    /// What is stored, until it is read: when this process acts and has seen the target.
    recalled: Option<Recalled>,
    /// What is stored and cannot be read. It is kept as it is, and no operation begins.
    unreadable: Option<Kept>,
    /// Why the last decision began no operation.
    waits: Option<Wait>,
    /// Old savepoints that are being disposed of, until the next operation begins.
    tidying: Option<Tidying>,
    /// The last look at the jobs while more replicas would be of no use.
    look: Option<Look>,
}

/// The stored texts.
#[derive(Clone, Debug, Default, PartialEq)]
struct Recalled {
    operation: Option<Arc<str>>,
    aftermath: Option<Arc<str>>,
}

/// Stored texts that are kept because one of them cannot be read.
#[derive(Debug)]
struct Kept {
    texts: Recalled,
    why: Unreadable,
}

/// An operation that is under way.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) operation: Operation,
    /// The hooks that it began with.
    hooks: Arc<HookSpec>,
    /// The target that it began with.
    target: TargetRef,
    /// Names its calls: a new text of the object does not make answers to them late.
    ticket: Ticket,
    /// The number of the object's last call before it: an answer to an earlier one is none of its own.
    first: u32,
    /// When it wants to be woken.
    wake: Option<Tick>,
    /// When it asked for the wish, until a pass that is due since has told it.
    wish: Option<Tick>,
    /// The same for the gates.
    gates: Option<Tick>,
    /// It met a defect, and is left as it is stored until the object's text changes.
    broken: bool,
    /// How often a write of the replicas was refused.
    refused: u32,
    /// Why the replicas change.
    why: String,
}

impl Object {
    /// The operation that is under way.
    pub(crate) fn running(&self) -> Option<&Running> {
        self.operating.as_ref()?.running.as_deref()
    }

    fn running_mut(&mut self) -> Option<&mut Running> {
        self.operating.as_mut()?.running.as_deref_mut()
    }

    /// What is known of operations, made if nothing was.
    fn operating(&mut self) -> &mut Operating {
        self.operating.get_or_insert_default()
    }

    /// When the operation wants to be looked at.
    pub(crate) fn operation_wake(&self) -> Option<Tick> {
        self.running().and_then(|running| running.wake)
    }

    /// The revision of the operation that a store holds now; 0 without one.
    pub(crate) fn revision(&self) -> u64 {
        self.running().map_or(0, |running| running.operation.revision())
    }

    /// Whether gates must not close, because what their triggers see is our own doing.
    pub(crate) fn disturbs_gates(&self) -> bool {
        let phase = self.running().map(|running| running.operation.state().phase);
        matches!(phase, Some(Phase::Snapshotting | Phase::Applying | Phase::Restoring | Phase::Verifying))
    }

    /// How long a trigger may settle while an operation restores or verifies: its verify time-out.
    pub(crate) fn settling_limit(&self) -> Option<Span> {
        let state = self.running()?.operation.state();
        let flink = state.spec.flink(state.direction).map(|(_, flink)| flink.verify.timeout);
        flink.filter(|_| matches!(state.phase, Phase::Restoring | Phase::Verifying))
    }

    /// Whether a trigger reads a job that we stopped: then it is inactive, whatever was read.
    pub(crate) fn reads_stopped_job(&self, index: usize) -> bool {
        let Some(operating) = self.operating.as_ref().filter(|operating| !operating.aftermath.parked.is_empty()) else {
            return false;
        };
        let trigger = self.subject.as_ref().and_then(|subject| subject.triggers.get(index));
        let job = trigger.filter(|of| of.spec.kind == "flink").and_then(|of| of.spec.metadata.get("job"));
        job.is_some_and(|job| operating.aftermath.parked.iter().any(|parked| [&parked.name, &parked.id].contains(&job)))
    }
}
