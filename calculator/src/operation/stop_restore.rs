//! The strategy `StopRestore`: stop every job with a savepoint, run it again from its path at the new size.
//!
//! Growing: replicas, wait until the TaskManagers have registered, then stop and run, so the pause is short. Shrinking: stop, replicas, run. The
//! replicas come before the run because nothing is in use while all jobs are stopped: the run then gets TaskManagers that stay, and there is
//! one restart only. To zero: stop, replicas, and the paths are kept; from zero: replicas, run from the paths.
//!
//! From the first stop on nothing is abandoned: a stopped job runs again from its path, or the operation ends Failed with the path kept.

use super::action::Action;
use super::event::Outcome;
use super::facts::JobState;
use super::failure::back_off;
use super::flight::{Mark, POLL};
use super::ids::Kind;
use super::phase::{Direction, Stage};
use super::progress::Job;
use super::refusal::{Cause, Reason, Refusal};
use super::{Next, Operation};
use crate::time::Span;

/// How long a job may take to end after its stop is complete; then it is cancelled, because it would run twice.
const END_AFTER: Span = Span::seconds(60);

/// How long a JobManager may not know a stopped job until that counts as its end.
const UNKNOWN: Span = Span::seconds(10);

/// The stages of a change.
pub(super) fn plan(direction: Direction) -> Vec<Stage> {
    use Stage::{Confirm, Items, Left, Patch, Plan, Post, Registered, Run, Stop, Verify};
    match direction {
        Direction::ScaleUp => vec![Plan, Items, Confirm, Patch, Registered, Stop, Run, Verify, Post],
        Direction::ScaleDown => vec![Plan, Items, Confirm, Stop, Patch, Left, Run, Verify, Post],
        Direction::ToZero => vec![Plan, Items, Confirm, Stop, Patch, Post],
        Direction::FromZero => vec![Items, Confirm, Patch, Registered, Run, Verify, Post],
    }
}

/// The stages back; none if there is no way: what remains is kept and told.
pub(super) fn way_back(direction: Direction, patching: bool, stopped: bool, ran: bool) -> Option<Vec<Stage>> {
    use Stage::{Checkpoints, Mark, Patch, Registered, Run, Verify};
    Some(match (direction, patching, stopped) {
        (Direction::FromZero, true, _) if !ran => vec![Patch],
        (Direction::FromZero, _, _) => return None,
        (Direction::ScaleDown | Direction::ToZero, true, _) => vec![Patch, Registered, Run, Verify],
        (Direction::ScaleUp, true, true) => vec![Run, Verify, Checkpoints, Mark, Patch, Verify],
        (Direction::ScaleUp, true, false) => vec![Checkpoints, Mark, Patch, Verify],
        (_, false, _) => vec![Run, Verify],
    })
}

impl Operation {
    pub(super) fn plan_wanted(&self) -> Vec<Action> {
        let slots = self.slots();
        let plan = |(job, slots): (&Job, u32)| {
            if self.flight.mark(&format!("plan:{}", job.key())).is_some() || job.gone {
                return None;
            }
            let parallelism = self.run_parallelism(job, slots.max(1));
            self.run_request(job, parallelism).map(|run| Action::PlanJar { job: job.name.clone(), run })
        };
        self.state.jobs.iter().zip(slots).filter_map(plan).collect()
    }

    pub(super) fn plan_next(&mut self) -> Next {
        let open = |job: &Job| !job.gone && self.flight.mark(&format!("plan:{}", job.key())).is_none();
        if self.state.jobs.iter().any(open) { Next::Stay } else { Next::Done }
    }

    pub(super) fn absorb_plan(&mut self, action: &Action, outcome: Outcome, at: Span) {
        let Action::PlanJar { job: name, .. } = action else { return };
        let Outcome::Failed(failure) = outcome else {
            let same = self.state.jobs.iter().filter(|job| job.name == *name);
            let keys: Vec<String> = same.map(|job| format!("plan:{}", job.key())).collect();
            for key in keys {
                self.flight.set(&key, Mark::Done);
            }
            return;
        };
        if let Some(refusal) = Refusal::of_plan(failure.class) {
            self.state.trouble = Some(Cause::refused(refusal, &format!("job {name}: {}", failure.text)));
            return;
        }
        self.state.failures = self.state.failures.saturating_add(1);
        self.state.resting = Span(at.0 + back_off(self.state.failures).0);
        if self.state.failures >= self.attempts() {
            self.state.trouble = Some(Cause::new(Reason::JobManagerUnavailable, failure.text));
        }
    }

    pub(super) fn begin_stops(&mut self, at: Span) {
        for job in self.state.jobs.iter_mut().filter(|job| job.live_id().is_some() && !job.stop.pending()) {
            job.stop.begin(at);
        }
    }

    /// Over when every job has ended and its path is known. One that cannot be stopped ends the stage, but only once no other is under way.
    pub(super) fn stop_next(&mut self, at: Span) -> Next {
        self.expire_snapshots(Kind::Stop, at);
        let failed = self.state.jobs.iter().find_map(|job| job.stop.given_up.clone());
        if let Some(cause) = &failed {
            self.hold_unsent_stops(cause, at);
        }
        let open = |job: &Job| job.stop.pending() || (job.stop.taken.is_some() && !job.ended);
        match failed {
            _ if self.state.jobs.iter().any(|job| !job.gone && open(job)) => Next::Stay,
            Some(cause) => Next::Fail(cause),
            None => Next::Done,
        }
    }

    /// Attempts whose pause is not over were surely not sent: each would stop another job for a change that will not come.
    fn hold_unsent_stops(&mut self, cause: &Cause, at: Span) {
        let unsent = |job: &&mut Job| job.stop.pending() && job.stop.since.is_some_and(|since| since > at);
        for job in self.state.jobs.iter_mut().filter(unsent) {
            job.stop.given_up = Some(cause.clone());
        }
    }

    pub(super) fn stop_wanted(&self, at: Span) -> Vec<Action> {
        let mut wanted = self.snapshots_wanted(Kind::Stop, at);
        for job in self.state.jobs.iter().filter(|job| !job.ended && !job.gone) {
            let Some(taken) = &job.stop.taken else { continue };
            let id = job.id.clone();
            let over = at.0 - taken.completed.0 >= END_AFTER.0;
            let again = self.flight.mark(&format!("end:{id}")) == Some(Mark::Looking);
            wanted.push(if over || again {
                Action::CancelJob { job: id.clone() }
            } else {
                Action::JobStatus { job: id.clone() }
            });
            if over || again {
                wanted.push(Action::JobStatus { job: id });
            }
        }
        wanted
    }

    /// What the state of a job that was stopped means. True if the answer was about one.
    pub(super) fn absorb_end(&mut self, id: &str, outcome: &Outcome, action: &Action, at: Span) -> bool {
        let stopped = |job: &Job| job.id == id && job.stop.taken.is_some() && !job.ended;
        let Some(index) = self.state.jobs.iter().position(stopped) else { return false };
        let ended = match outcome {
            Outcome::Status(JobState::Restarting) => {
                // Its savepoint is complete, and the job comes back by itself: it must not run twice.
                self.flight.set(&format!("end:{id}"), Mark::Looking);
                false
            }
            Outcome::Status(state) => !state.live(),
            Outcome::NotFound => self.flight.missing_for(id, at, UNKNOWN),
            _ => false,
        };
        if ended && let Some(job) = self.state.jobs.get_mut(index) {
            job.ended = true;
        } else {
            self.flight.rest(action.clone(), Span(at.0 + POLL.0));
        }
        true
    }
}
