//! Looks whether the change is good: every vertex runs, at the right size, restored from the right snapshot, not in a loop of restarts, and a
//! new checkpoint is complete.

use super::action::Action;
use super::facts::{JobFacts, Restored};
use super::ids::Kind;
use super::phase::{Phase, Stage, Strategy};
use super::progress::{Job, Snapshot, Taken};
use super::refusal::{Cause, Reason};
use super::registered::listed;
use super::snapshot::STALE;
use super::spec::VerifyCheckpoint;
use super::{Next, Operation};
use crate::time::Span;

/// How long the scheduler is given to get its new slots before a checkpoint should let it rescale. Seen on a real Flink 2.3: one that completed
/// 60 ms after the requirements had changed came too early.
pub(super) const SLOTS_COME: Span = Span::seconds(1);

/// How long after such a checkpoint another one is taken, if nothing has come of it: longer than Flink's answers may be old.
const RELEASE_AGAIN: Span = Span::seconds(5);

impl Operation {
    pub(super) fn begin_verify(&mut self) {
        for job in &mut self.state.jobs {
            job.verify = Snapshot { attempt: job.verify.attempt, ..Snapshot::default() };
        }
    }

    pub(super) fn verify_wanted(&self, at: Span) -> Vec<Action> {
        let mut wanted = vec![Action::Inspect];
        wanted.extend(self.snapshots_wanted(Kind::Verify, at));
        wanted.extend(self.snapshots_wanted(Kind::Release, at));
        wanted
    }

    pub(super) fn verify_next(&mut self, at: Span) -> Next {
        if self.state.jobs.iter().all(|job| job.live_id().is_none()) {
            return Next::Done;
        }
        if self.failed_runs(at) {
            return Next::Before(vec![Stage::Run]);
        }
        if let Some(cause) = self.gone_job(at) {
            return Next::End(Phase::Failed, cause);
        }
        if let Some(cause) = self.looping() {
            return Next::End(Phase::Failed, cause);
        }
        self.expire_snapshots(Kind::Verify, at);
        self.expire_snapshots(Kind::Release, at);
        let mut open: Option<Cause> = None;
        for index in 0..self.state.jobs.len() {
            match self.verify_job(index, at) {
                Ok(()) => {}
                Err(cause) => open = open.or(Some(cause)),
            }
        }
        let since = Span(self.state.entered.0.saturating_add(STALE.0));
        let Some(cause) = open else {
            return if self.flight.facts_since(since).is_some() { Next::Done } else { Next::Stay };
        };
        // Whether a job is gone is judged by the list of jobs alone, which says for a run that failed what its next attempt is.
        let mut given_up = self.state.jobs.iter().filter_map(|job| job.verify.given_up.clone());
        let given_up = given_up.find(|cause| cause.reason != Reason::JobGone);
        if let Some(cause) = given_up {
            return self.not_well(cause);
        }
        // Time that the jobs were not run in yet does not count: it began when this stage did.
        if at.0 - self.state.entered.0 >= self.verify_timeout().0 { self.not_well(cause) } else { Next::Stay }
    }

    /// A change in place can be taken back. A job that was run from its savepoint runs: stopping it once more would help nobody. The wrong
    /// snapshot stays the wrong one.
    fn not_well(&self, cause: Cause) -> Next {
        let stays = self.state.jobs.iter().any(Job::runs_again) || cause.reason == Reason::RestoredUnexpected;
        if stays { Next::End(Phase::Failed, cause) } else { Next::Fail(cause) }
    }

    /// Whether one job is well; if not, why not yet.
    fn verify_job(&mut self, index: usize, at: Span) -> Result<(), Cause> {
        let slots = self.slots().get(index).copied().unwrap_or(1);
        let Some(job) = self.state.jobs.get(index) else { return Ok(()) };
        if job.live_id().is_none() {
            return Ok(());
        }
        let about = |text: &str| format!("job {} {text}", job.name);
        let cluster = self.flight.facts_since(self.state.entered).and_then(|facts| facts.cluster.as_ref());
        let Some(facts) = cluster.and_then(|cluster| listed(cluster, job)) else {
            return Err(Cause::new(Reason::VerifyTimedOut, about("could not be looked at")));
        };
        if !facts.ready() {
            return Err(Cause::new(Reason::VerifyTimedOut, about("does not run wholly")));
        }
        if !self.right_size(job, facts, slots) {
            let cause = Cause::new(Reason::VerifyTimedOut, about("does not run at its new size"));
            self.release_again(index, at);
            return Err(cause);
        }
        if !rightly_restored(job, facts.restored.as_ref()) {
            return Err(Cause::new(
                Reason::RestoredUnexpected,
                about("was not restored from the snapshot of this operation"),
            ));
        }
        let periodic = self.flink().verify.checkpoint == VerifyCheckpoint::Wait;
        let newer = self.newer_checkpoint(facts);
        let missing = Cause::new(Reason::VerifyTimedOut, about("has completed no checkpoint since"));
        let Some(job) = self.state.jobs.get_mut(index) else { return Ok(()) };
        if job.verify.taken.is_some() {
            return Ok(());
        }
        match newer {
            Some(taken) if periodic => job.verify.taken = Some(taken),
            _ if !periodic && !job.verify.pending() && job.verify.given_up.is_none() => job.verify.begin(at),
            _ => {}
        }
        if job.verify.taken.is_some() { Ok(()) } else { Err(missing) }
    }

    /// A scheduler that is not ready to rescale (its slots have not come, or it rests after another rescale) passes over a checkpoint, and waits
    /// for the next one: by itself that is an interval away, which may be an hour.
    fn release_again(&mut self, index: usize, at: Span) {
        if self.state.strategy != Some(Strategy::Checkpoint) || self.state.lowering() {
            return;
        }
        let entered = self.state.entered;
        let Some(release) = self.state.jobs.get_mut(index).map(|job| &mut job.release) else { return };
        let last = release.since.unwrap_or(entered);
        // Where there are no slots for the new size none of them helps: the pause grows to four times.
        let pause = RELEASE_AGAIN.0 << release.attempt.saturating_sub(1).min(2);
        if !release.pending() && at.0 - last.0 >= pause {
            release.begin(at);
        }
    }

    /// The first job that restarts again and again: one more change would be one more restart.
    pub(super) fn looping(&self) -> Option<Cause> {
        let cluster = self.flight.facts_since(self.state.entered).and_then(|facts| facts.cluster.as_ref())?;
        let loops = |job: &&Job| listed(cluster, job).is_some_and(|facts| self.loops(job, facts));
        self.state.jobs.iter().find(loops).map(|job| {
            let text = format!("job {} restarts again and again without a new checkpoint", job.name);
            Cause::new(Reason::ScalingUnhealthy, text)
        })
    }

    /// More restarts than the change itself and those that the user allows.
    fn loops(&self, job: &Job, facts: &JobFacts) -> bool {
        // A run begins at zero; a change in place restarts the job once.
        let before = if job.runs_again() { Some(0) } else { job.restarts };
        let allowed = self.flink().verify.max_restarts.saturating_add(u32::from(!job.runs_again()));
        match (before, facts.restarts) {
            (Some(before), Some(now)) => now.saturating_sub(before) > allowed,
            _ => false,
        }
    }

    fn right_size(&self, job: &Job, facts: &JobFacts, slots: u32) -> bool {
        // A run has the parallelism that it was given; its program may set others.
        if job.runs_again() || self.state.strategy != Some(Strategy::Checkpoint) {
            return true;
        }
        let back = self.state.rolling.is_some() && job.parallelism_before > 0;
        let expected = match &job.shape {
            _ if back => job.parallelism_before,
            Some(shape) if self.state.reactive => {
                let most = shape.vertices.iter().map(|vertex| vertex.max).max().unwrap_or(u32::MAX);
                self.state.slots_per.unwrap_or(1).saturating_mul(self.state.goal()).min(most)
            }
            Some(shape) => shape.parallelism(slots, &job.raise),
            None => return true,
        };
        let present = facts.parallelism();
        if self.state.lowering() { present <= expected } else { present >= expected.min(slots.max(1)) }
    }

    /// A checkpoint that was triggered since this stage began.
    fn newer_checkpoint(&self, facts: &JobFacts) -> Option<Taken> {
        let (_, sent) = self.flight.facts.as_ref()?;
        let completed = facts.completed.as_ref()?;
        let triggered = sent.0.saturating_sub(completed.triggered.0);
        (triggered >= self.state.entered.0).then(|| Taken {
            id: completed.id,
            path: completed.path.clone(),
            completed: Span(sent.0.saturating_sub(completed.completed.0)),
        })
    }
}

/// Whether a job runs from what it should: in place from the hook's checkpoint or a newer one, after a stop from its path.
fn rightly_restored(job: &Job, restored: Option<&Restored>) -> bool {
    if job.runs_again() {
        let Some(path) = job.path.as_deref() else { return true };
        let same = |other: &str| other.trim_end_matches('/') == path.trim_end_matches('/');
        // A later restart restores a checkpoint of this run, which came after the savepoint.
        return restored.is_some_and(|restored| !restored.savepoint || restored.path.as_deref().is_some_and(same));
    }
    let Some(hook) = job.checkpoint.taken.as_ref().and_then(|taken| taken.id) else { return true };
    let Some(restored) = restored else { return job.restored.is_none() };
    Some(restored.id) == job.restored || restored.id >= hook
}
