//! The strategy `Checkpoint`: a Flink checkpoint of every job, then the change in place.
//!
//! Growing: checkpoint, replicas, wait until the TaskManagers have registered, upper bounds, and one more checkpoint, which lets the
//! scheduler rescale at once instead of at the next periodic one. Shrinking: checkpoint, replicas, then upper bounds, or the bounds directly
//! before the replicas where the scheduler would wait long after a loss. In reactive mode the parallelism follows by itself.

use super::action::Action;
use super::ids::Kind;
use super::phase::{Direction, Stage};
use super::progress::{Job, Taken};
use super::refusal::{Cause, Reason};
use super::spec::Order;
use super::{Next, Operation};
use crate::time::Span;

/// A stabilization above this makes the requirements come first.
const LONG_STABILIZATION: Span = Span::seconds(3);

/// The stages of a change. `order` is resolved by [`order`].
pub(super) fn plan(direction: Direction, reactive: bool, order: Order) -> Vec<Stage> {
    use Stage::{Checkpoints, Confirm, Items, Mark, Patch, Post, Registered, Release, Requirements, Settle, Verify};
    match (direction, reactive, order) {
        (Direction::ScaleUp | Direction::FromZero, true, _) => {
            vec![Items, Checkpoints, Confirm, Patch, Registered, Release, Verify, Post]
        }
        (Direction::ScaleUp | Direction::FromZero, false, _) => {
            vec![Items, Checkpoints, Confirm, Patch, Registered, Requirements, Release, Verify, Post]
        }
        (_, true, _) => vec![Items, Checkpoints, Confirm, Mark, Patch, Settle, Verify, Post],
        (_, false, Order::RequirementsFirst) => {
            vec![Items, Checkpoints, Confirm, Mark, Requirements, Patch, Verify, Post]
        }
        (_, false, _) => vec![Items, Checkpoints, Confirm, Mark, Patch, Settle, Requirements, Verify, Post],
    }
}

/// The stages back. `bounds`: requirements can be changed and may have been.
pub(super) fn way_back(direction: Direction, patching: bool, bounds: bool) -> Vec<Stage> {
    use Stage::{Checkpoints, Mark, Patch, Registered, Requirements, Verify};
    let mut plan = match (patching, direction.lowers()) {
        (false, _) => Vec::new(),
        (true, true) => vec![Patch, Registered],
        // Taking the new TaskManagers away is a lowering like any other: some of them may be in use.
        (true, false) => vec![Checkpoints, Mark, Patch],
    };
    if bounds {
        plan.push(Requirements);
    }
    plan.push(Verify);
    plan
}

/// What comes first when lowering, where the user left it open.
pub(super) fn order(written: Order, stabilization: Option<Span>) -> Order {
    match written {
        // What is not known is taken for the short one: then one restart is certain.
        Order::Auto if stabilization.is_some_and(|span| span > LONG_STABILIZATION) => Order::RequirementsFirst,
        Order::Auto => Order::RemoveFirst,
        written => written,
    }
}

impl Operation {
    /// Begins a checkpoint of every live job, unless one is there that is young enough.
    pub(super) fn begin_checkpoints(&mut self, at: Span) {
        let options = self.flink().checkpoint.clone();
        let backup = self.flink().savepoint.backup && self.state.rolling.is_none();
        let found = self.flight.facts.clone();
        for job in &mut self.state.jobs {
            let Some(id) = job.live_id().map(str::to_owned) else { continue };
            let facts = found.as_ref().and_then(|(facts, sent)| {
                let jobs = facts.cluster.as_ref().map(|cluster| &cluster.jobs);
                let job = jobs.and_then(|jobs| jobs.iter().find(|job| job.id == id));
                job.and_then(|job| job.completed.as_ref()).map(|completed| (completed, *sent))
            });
            let young = facts.map(|(completed, sent)| Taken {
                id: completed.id,
                path: completed.path.clone(),
                completed: Span(sent.0.saturating_sub(completed.completed.0)),
            });
            job.checkpoint.begin(at);
            job.checkpoint.taken = young.filter(|taken| options.serves(Span(at.0.saturating_sub(taken.completed.0))));
            if backup && job.backup.taken.is_none() {
                job.backup.begin(at);
            }
        }
    }

    pub(super) fn checkpoints_next(&mut self, at: Span) -> Next {
        self.expire_snapshots(Kind::Checkpoint, at);
        self.expire_snapshots(Kind::Backup, at);
        let live = self.state.jobs.iter().filter(|job| job.live_id().is_some());
        let all: Vec<&super::progress::Snapshot> = live.flat_map(|job| [&job.checkpoint, &job.backup]).collect();
        let given_up = all.iter().find_map(|snapshot| snapshot.given_up.clone());
        if all.iter().any(|snapshot| snapshot.pending()) {
            return Next::Stay;
        }
        let Some(cause) = given_up else { return Next::Done };
        if self.proceeds() {
            self.proceed(cause);
            return Next::Done;
        }
        Next::Fail(cause)
    }

    pub(super) fn checkpoints_wanted(&self, at: Span) -> Vec<Action> {
        let mut wanted = self.snapshots_wanted(Kind::Checkpoint, at);
        wanted.extend(self.snapshots_wanted(Kind::Backup, at));
        wanted
    }

    /// The release only saves time: whatever becomes of it, the verification tells.
    pub(super) fn release_next(&mut self, at: Span) -> Next {
        self.expire_snapshots(Kind::Release, at);
        let pending = self.state.jobs.iter().any(|job| job.live_id().is_some() && job.release.pending());
        if pending { Next::Stay } else { Next::Done }
    }

    /// Whether every live job that was listed is protected at `at`; if not, what to do about it.
    pub(super) fn guard(&mut self, at: Span) -> Option<Next> {
        let options = self.flink().checkpoint.clone();
        if let Some(next) = self.newcomers() {
            return Some(next);
        }
        if self.state.proceeded.is_some() && self.proceeds() {
            return None;
        }
        let old = |job: &Job| {
            let taken = job.checkpoint.taken.as_ref();
            taken.is_none_or(|taken| !options.serves(Span(at.0.saturating_sub(taken.completed.0))))
        };
        if !self.state.jobs.iter().any(|job| job.live_id().is_some() && old(job)) {
            return None;
        }
        self.state.rounds = self.state.rounds.saturating_add(1);
        if self.state.rounds > self.attempts() {
            let text = "snapshots were too old each time replicas could have been written";
            let cause = Cause::new(Reason::SnapshotTooOld, text);
            if !self.proceeds() {
                return Some(Next::Fail(cause));
            }
            self.proceed(cause);
            return None;
        }
        Some(Next::Before(vec![Stage::Checkpoints]))
    }
}
