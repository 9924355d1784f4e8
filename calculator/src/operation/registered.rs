//! Waits for the cluster to follow: TaskManagers that register, and jobs that run on what is left.

use super::facts::{ClusterFacts, JobFacts, JobState};
use super::phase::Phase;
use super::progress::Job;
use super::refusal::{Cause, Reason};
use super::snapshot::{GONE_AFTER, STALE};
use super::{Next, Operation};
use crate::time::Span;

impl Operation {
    pub(super) fn registered_next(&mut self, at: Span) -> Next {
        let goal = usize::try_from(self.state.goal()).unwrap_or(usize::MAX);
        let cluster = self.flight.facts_since(self.state.entered).and_then(|facts| facts.cluster.as_ref());
        if let Some(cluster) = cluster.filter(|cluster| cluster.reported() >= goal) {
            let slots = cluster.slots_per();
            if self
                .state
                .spec
                .flink(self.state.direction)
                .is_some_and(|(_, flink)| flink.slots_per_task_manager.is_none())
            {
                self.state.slots_per = slots.or(self.state.slots_per);
            }
            return Next::Done;
        }
        if at.0 - self.state.entered.0 >= self.verify_timeout().0 {
            let text = "TaskManagers did not register in time";
            return Next::Fail(Cause::new(Reason::NotRegistered, text));
        }
        Next::Stay
    }

    /// Every job runs again on the TaskManagers that are left.
    pub(super) fn settle_next(&mut self, at: Span) -> Next {
        if let Some(cause) = self.gone_job(at) {
            return Next::Fail(cause);
        }
        if let Some(cause) = self.looping() {
            return Next::End(Phase::Failed, cause);
        }
        let goal = usize::try_from(self.state.goal()).unwrap_or(usize::MAX);
        let since = Span(self.state.entered.0.saturating_add(STALE.0));
        let facts = self.flight.facts_since(since).and_then(|facts| facts.cluster.as_ref());
        let settled = facts.is_some_and(|cluster| {
            let live = self.state.jobs.iter().filter(|job| job.live_id().is_some());
            cluster.task_managers.len() <= goal
                && live.clone().all(|job| listed(cluster, job).is_some_and(JobFacts::ready))
        });
        if settled {
            return Next::Done;
        }
        if at.0 - self.state.entered.0 >= self.verify_timeout().0 {
            let text = "the jobs did not run in time on the TaskManagers that are left";
            return Next::Fail(Cause::new(Reason::VerifyTimedOut, text));
        }
        Next::Stay
    }

    /// Counts how long live jobs are missing from the list.
    pub(super) fn count_missing(&mut self, at: Span) {
        let Some((facts, _)) = &self.flight.facts else { return };
        let Some(cluster) = facts.cluster.clone() else { return };
        let ids: Vec<String> = self.state.jobs.iter().filter_map(|job| job.live_id().map(str::to_owned)).collect();
        for id in ids {
            if cluster.jobs.iter().any(|met| met.id == id) {
                self.flight.missing.remove(&id);
            } else {
                self.flight.missing.entry(id).or_insert(at);
            }
        }
    }

    /// A live job of ours that has failed, or that the JobManager has not listed for a while. Jobs that came to their end are let go; one
    /// that this operation had run again counts as stopped once more, so that its path is kept.
    pub(super) fn gone_job(&mut self, at: Span) -> Option<Cause> {
        let cluster = self.flight.facts_since(self.state.entered).and_then(|facts| facts.cluster.clone())?;
        for job in &mut self.state.jobs {
            let Some(id) = job.live_id().map(str::to_owned) else { continue };
            let missing = self.flight.missing.get(&id).is_some_and(|since| at.0 - since.0 >= GONE_AFTER.0);
            let text = match cluster.jobs.iter().find(|met| met.id == id).map(|met| met.state) {
                Some(JobState::Failed) => format!("job {} has failed", job.name),
                Some(state) if !state.live() => {
                    job.gone = true;
                    continue;
                }
                None if missing => format!("the JobManager does not know job {} any more", job.name),
                _ => continue,
            };
            if let Some(run) = &mut job.run {
                run.live = false;
            }
            return Some(Cause::new(Reason::JobGone, text));
        }
        None
    }
}

/// The facts of a live job.
pub(super) fn listed<'a>(cluster: &'a ClusterFacts, job: &Job) -> Option<&'a JobFacts> {
    let id = job.live_id()?;
    cluster.jobs.iter().find(|met| met.id == id)
}
