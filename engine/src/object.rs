//! What the engine keeps of one object.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_calculator::decision::Decision;
use tidegate_calculator::memory::Memory;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::source::EndpointId;
use tidegate_calculator::time::{Span, Tick};

use crate::operate::Operating;
use crate::protocol::{Activity, ApplyError, Call, LastChange, Observed, Seen, Shown, TargetError, Ticket, Version};
use crate::subject::{Finding, ObjectId, Subject, TargetRef};

/// One object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) id: ObjectId,
    pub(crate) ticket: Ticket,
    /// The number of the last call made; calls are numbered so that an answer given up on is told from the one awaited.
    pub(crate) calls: u32,
    pub(crate) target: TargetRef,
    pub(crate) subject: Option<Arc<Subject>>,
    pub(crate) standing: Standing,
    pub(crate) memory: Loaded,
    pub(crate) seen: Option<Result<Seen, TargetError>>,
    pub(crate) refresh: Refresh,
    pub(crate) triggers: Vec<Trigger>,
    /// The last word of each trigger; as many as there are triggers.
    pub(crate) evidence: Vec<Evidence>,
    /// When the object was created, on our clock: fixed when its text comes, so that a jump of the wall clock moves nothing.
    pub(crate) created: Tick,
    /// When the next pass begins.
    pub(crate) next_pass: Tick,
    /// The pass that waits for answers.
    pub(crate) pass: Option<Pass>,
    /// A pass could not decide because a write was under way: one begins as soon as it has ended.
    pub(crate) missed: bool,
    pub(crate) writing: Writing,
    /// Our last write, until the target's watch has shown it.
    pub(crate) echo: Option<Echo>,
    /// A write whose answer was lost and which had not landed when we looked: if its number shows up later, it was ours.
    pub(crate) doubt: Option<(u32, u32)>,
    pub(crate) record: Record,
    /// The text has changed: what people see is stored after the next decision, even if that shows the same.
    pub(crate) renewed: bool,
    pub(crate) told: Told,
    pub(crate) last: Option<Last>,
    pub(crate) last_change: Option<LastChange>,
    /// What is known of operations; none for an object that never had any.
    pub(crate) operating: Option<Box<Operating>>,
    /// The moment in the engine's ordered set of due moments.
    pub(crate) due: Option<Tick>,
}

/// Whether the object is obeyed.
#[derive(Debug, PartialEq)]
pub(crate) enum Standing {
    Obeyed,
    Refused(Vec<Finding>),
    Quarantined(String),
}

/// The memory, which waits for the first sight of the target to be restored.
#[derive(Debug)]
pub(crate) enum Loaded {
    Waiting(Checkpoint),
    Ready(Box<Memory>),
}

/// One trigger.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they do not depend on each other")]
pub(crate) struct Trigger {
    /// Whether the driver holds a source for it.
    pub(crate) open: bool,
    pub(crate) endpoint: Option<EndpointId>,
    /// When the read that was answered last, well or not, was begun.
    pub(crate) answered: Option<Tick>,
    pub(crate) flight: Option<Flight>,
    /// When the pass was due in which it was polled last.
    pub(crate) polled: Option<Tick>,
    /// When to read because of a push that came too soon after a read.
    pub(crate) pushed: Option<Tick>,
    /// The pass that began last did not ask it: what it said before stands (`useCachedMetrics`).
    pub(crate) spared: bool,
    /// Read once more as soon as the present read has ended.
    pub(crate) again: bool,
    /// Its parameters have changed since the present read, or the building of its source, was begun.
    pub(crate) outdated: bool,
    pub(crate) errors: u64,
    /// It has failed, and has given no readings since.
    pub(crate) failing: bool,
    /// What its metrics were called when it gave readings last, while it gives none: some sources say it with every reading only.
    pub(crate) metrics: Box<[String]>,
}

/// A read on its way.
#[derive(Debug)]
pub(crate) enum Flight {
    /// It waits for room at its endpoint.
    Queued,
    /// The source is being built, or read.
    Running { number: u32, opening: bool, lane: Option<EndpointId>, begun: Tick, expires: Tick },
}

/// A pass that waits for answers.
#[derive(Debug)]
pub(crate) struct Pass {
    /// When it was due: lowering needs readings begun no earlier.
    pub(crate) due: Tick,
    /// From then on what is there may raise, without waiting for a slow neighbour.
    pub(crate) patience: Tick,
    /// Whether that was done.
    pub(crate) hurried: bool,
}

/// Reading the target anew.
#[derive(Debug)]
pub(crate) enum Refresh {
    Idle,
    /// At this moment, after this many failures in a row.
    At(Tick, u32),
    /// On its way.
    Running {
        number: u32,
        expires: Tick,
        failures: u32,
    },
}

/// A write of the replicas.
#[derive(Debug, PartialEq)]
pub(crate) enum Writing {
    Idle,
    /// It waits until what was there before it is stored.
    Withheld(Write),
    /// It waits for room.
    Queued(Write),
    /// On its way.
    Running {
        write: Write,
        number: u32,
        expires: Tick,
    },
    /// Somebody else wrote; the target is read anew to see whether the same number still stands.
    Conflicted(Write),
    /// No answer came; the target is read anew to see whether it landed.
    Doubtful(Write),
}

/// What is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) tries: u32,
    pub(crate) why: String,
    /// The call of an operation that wants it; then it is written to the version that the operation has looked at.
    pub(crate) patch: Option<Patch>,
}

/// A write that an operation asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Patch {
    /// The number of its call.
    pub(crate) call: u32,
    /// The version that must still hold.
    pub(crate) version: Version,
}

/// Our last write, not yet shown by the watch.
#[derive(Debug)]
pub(crate) struct Echo {
    pub(crate) to: u32,
    pub(crate) version: Version,
    pub(crate) until: Tick,
}

/// What is stored of the object, and what is not yet.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they do not depend on each other")]
pub(crate) struct Record {
    /// Something that must be stored has changed.
    pub(crate) dirty: bool,
    /// The memory has changed since the last store, in a way that may wait.
    pub(crate) stale: bool,
    /// A store waits for room.
    pub(crate) queued: bool,
    /// A store is on its way.
    pub(crate) running: Option<(u32, Tick)>,
    /// The revision of the operation that the running store holds; 0 without one.
    pub(crate) revision: u64,
    /// Not before this moment, after this many failures in a row.
    pub(crate) retry: Option<Tick>,
    pub(crate) failures: u32,
    pub(crate) shown: Option<Shown>,
    /// The replicas at the last store before this process acted.
    pub(crate) replicas: Option<u32>,
    /// The count that the decision at the last store stood for.
    pub(crate) desired: Option<u32>,
    /// When something was last stored only because a held object's decision stood for another count.
    pub(crate) wished: Option<Tick>,
    /// What other writers did while the object was held.
    pub(crate) observed: Observed,
    /// What was stored of the activity apart from the checkpoint; used when the memory is loaded.
    pub(crate) activity: Activity,
    /// Whether something is stored, or was tried to be: nothing is written to a target before that.
    pub(crate) begun: bool,
}

/// What people were told last, so that they are told once a flip.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The target cannot be read.
    pub(crate) target_failed: bool,
    /// Why the last write failed, until one succeeds or none is wanted any more.
    pub(crate) apply_error: Option<ApplyError>,
}

/// The last decision.
#[derive(Debug)]
pub(crate) struct Last {
    pub(crate) decision: Arc<Decision>,
    pub(crate) at: Tick,
    pub(crate) lag: Span,
}

impl Object {
    /// An object that knows nothing yet.
    pub(crate) fn new(id: ObjectId, target: TargetRef, ticket: Ticket, checkpoint: Checkpoint, now: Tick) -> Self {
        Self {
            id,
            ticket,
            calls: 0,
            target,
            subject: None,
            standing: Standing::Obeyed,
            memory: Loaded::Waiting(checkpoint),
            seen: None,
            refresh: Refresh::first(now),
            triggers: Vec::new(),
            evidence: Vec::new(),
            created: now,
            next_pass: now,
            pass: None,
            missed: false,
            writing: Writing::Idle,
            echo: None,
            doubt: None,
            record: Record::default(),
            renewed: false,
            told: Told::default(),
            last: None,
            last_change: None,
            operating: None,
            due: None,
        }
    }

    /// Names a new call.
    pub(crate) fn call(&mut self) -> Call {
        self.calls = self.calls.wrapping_add(1);
        Call { ticket: self.ticket, number: self.calls }
    }

    /// The target as last seen, if it can be read.
    pub(crate) fn target_seen(&self) -> Option<&Seen> {
        self.seen.as_ref().and_then(|seen| seen.as_ref().ok())
    }

    /// KEDA's `lastActiveTime` on the wall clock.
    pub(crate) fn last_active(&self, now: tidegate_calculator::time::Now) -> Option<Timestamp> {
        match &self.memory {
            Loaded::Ready(memory) => memory.last_active.map(|at| now.wall_of(at)),
            Loaded::Waiting(_) => None,
        }
    }

    /// The next moment at which this object wants to be looked at, whatever happens; `acting` says whether passes may begin.
    pub(crate) fn wanted(&self, acting: bool) -> Option<Tick> {
        let pass = match &self.pass {
            Some(pass) => (!pass.hurried).then_some(pass.patience),
            None => (acting && self.standing == Standing::Obeyed).then_some(self.next_pass),
        };
        let refresh = match &self.refresh {
            Refresh::Idle => None,
            Refresh::At(at, _) => Some(*at),
            Refresh::Running { expires, .. } => Some(*expires),
        };
        let writing = match &self.writing {
            Writing::Running { expires, .. } => Some(*expires),
            _ => None,
        };
        let store = match self.record.running {
            Some((_, expires)) => Some(expires),
            None => self.record.retry.filter(|_| self.record.dirty),
        };
        let echo = self.echo.as_ref().map(|echo| echo.until);
        let reads = self.triggers.iter().filter_map(Trigger::expires).min();
        let pushes = self.triggers.iter().filter_map(|trigger| trigger.pushed).min();
        let operation = self.operation_wake().filter(|_| acting);
        [pass, refresh, writing, store, echo, reads, pushes, operation].into_iter().flatten().min()
    }
}

impl Refresh {
    /// The first look at a target. Its watch usually tells it right after the object, which costs no call.
    pub(crate) fn first(now: Tick) -> Self {
        Self::At(now + Span::seconds(1), 0)
    }
}

impl Trigger {
    /// A trigger that was never read.
    pub(crate) fn new() -> Self {
        Self {
            open: false,
            endpoint: None,
            answered: None,
            flight: None,
            polled: None,
            pushed: None,
            spared: false,
            again: false,
            outdated: false,
            errors: 0,
            failing: false,
            metrics: Box::default(),
        }
    }

    fn expires(&self) -> Option<Tick> {
        match &self.flight {
            Some(Flight::Running { expires, .. }) => Some(*expires),
            _ => None,
        }
    }
}
