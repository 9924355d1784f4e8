//! Writes the replicas: marks the pods that should leave, looks at everything once more, and patches the version that was looked at.

use super::action::Action;
use super::event::{Class, Outcome};
use super::facts::Inspection;
use super::flight::POLL;
use super::phase::{Phase, Stage, Strategy};
use super::progress::Job;
use super::refusal::{Cause, Reason};
use super::{Next, Operation, victims};
use crate::time::Span;

/// An inspection older than this is made again before replicas are written.
const FRESH: Span = Span::seconds(10);

/// How long a stopped cluster waits for TaskManagers to leave before jobs are run again.
const LEAVE: Span = Span::seconds(60);

/// How often marking is tried; it only steers.
const MARKING: u32 = 3;

/// How long a write rests that somebody else's change is in the way of: that takes as long as they like.
const LEFT_ALONE: Span = Span::seconds(10);

impl Operation {
    fn victims(&self) -> Vec<String> {
        let Some((facts, _)) = &self.flight.facts else { return Vec::new() };
        let Some(cluster) = &facts.cluster else { return Vec::new() };
        let count = facts.target.replicas.saturating_sub(self.state.goal());
        victims::choose(cluster, &facts.target.pods, usize::try_from(count).unwrap_or(usize::MAX))
    }

    pub(super) fn mark_next(&mut self) -> Next {
        let Some(facts) = self.flight.facts_since(self.state.entered) else { return Next::Stay };
        let nothing = facts.target.replicas <= self.state.goal() || facts.target.pods.is_empty();
        if nothing || self.state.failures >= MARKING || self.flight.mark("marked").is_some() {
            self.flight.marks.remove("marked");
            return Next::Done;
        }
        Next::Stay
    }

    pub(super) fn mark_wanted(&self) -> Vec<Action> {
        match self.flight.facts_since(self.state.entered) {
            Some(_) => vec![Action::MarkVictims { pods: self.victims() }],
            None => vec![Action::Inspect],
        }
    }

    pub(super) fn absorb_marking(&mut self, action: Action, outcome: &Outcome, at: Span) {
        if *outcome == Outcome::Done {
            self.flight.set("marked", super::flight::Mark::Done);
        } else {
            self.state.failures = self.state.failures.saturating_add(1);
            self.flight.rest(action, Span(at.0 + 2 * POLL.0));
        }
    }

    /// The inspection that a write may rest on: made in this stage, not long ago, and not while a write was under way.
    fn patch_facts(&self, at: Span) -> Option<&Inspection> {
        let since = self.state.entered.max(Span(at.0 - FRESH.0));
        self.flight.facts_since(since).filter(|_| !self.flight.patches())
    }

    pub(super) fn patch_next(&mut self, at: Span) -> Next {
        let Some(facts) = self.patch_facts(at) else { return Next::Stay };
        let (replicas, goal, source) = (facts.target.replicas, self.state.goal(), self.state.source());
        if replicas == goal {
            self.flight.patch_sent = true;
            return Next::Done;
        }
        if replicas != source {
            return self.foreign(replicas);
        }
        let guarded = matches!(self.state.strategy, Some(Strategy::Checkpoint | Strategy::StopRestore));
        if self.state.lowering()
            && guarded
            && let Some(next) = self.guard(at)
        {
            if matches!(next, Next::Fail(_)) {
                self.nothing_written();
            }
            return next;
        }
        if self.resource_too_old(at) {
            return Next::Before(vec![Stage::Resource]);
        }
        self.look_back();
        Next::Stay
    }

    /// What the jobs were restored from until now, and how often they restarted: only what follows the write is due to it.
    fn look_back(&mut self) {
        let Some(cluster) = self.flight.facts.as_ref().and_then(|(facts, _)| facts.cluster.clone()) else { return };
        for job in &mut self.state.jobs {
            let Some(facts) = super::registered::listed(&cluster, job).filter(|facts| facts.ready()) else { continue };
            job.restarts = facts.restarts.or(job.restarts);
            job.restored = facts.restored.as_ref().map(|restored| restored.id).or(job.restored);
        }
    }

    /// Nothing was written yet, if this process has sent no write.
    fn nothing_written(&mut self) {
        if !self.flight.patch_sent && self.state.rolling.is_none() {
            self.state.patching = false;
        }
    }

    /// Whether the way can only be gone to its end: a job is stopped, or it is the way back.
    fn must_be_written(&self) -> bool {
        self.state.in_danger() || self.state.rolling.is_some()
    }

    /// Somebody else changed the replicas. While a job is stopped it must run again, whatever the count is.
    fn foreign(&mut self, replicas: u32) -> Next {
        let text = format!("somebody changed the replicas to {replicas}");
        if self.must_be_written() {
            self.announce("TargetChanged", text, true);
            return Next::Done;
        }
        self.nothing_written();
        Next::End(Phase::Cancelled, Cause::new(Reason::TargetChanged, text))
    }

    pub(super) fn patch_wanted(&self, at: Span) -> Vec<Action> {
        match self.patch_facts(at) {
            Some(facts) if facts.target.replicas == self.state.source() => {
                vec![Action::Patch { to: self.state.goal(), version: facts.target.version.clone() }]
            }
            Some(_) => Vec::new(),
            None => vec![Action::Inspect],
        }
    }

    pub(super) fn absorb_patch(&mut self, action: Action, outcome: Outcome, at: Span) {
        self.flight.wake(&Action::Inspect);
        self.flight.facts = None;
        match outcome {
            Outcome::Failed(failure) if failure.class == Class::Config => {
                self.state.trouble = Some(Cause::config(Reason::ChangeRefused, failure.text));
            }
            // The count is that of a wish from before: whoever has changed the target decides anew once it may be written again.
            Outcome::Failed(failure) if failure.class == Class::LeftAlone && !self.must_be_written() => {
                self.state.patching = false;
                self.end(Phase::Cancelled, Some(Cause::new(Reason::TargetChanged, failure.text)), at);
            }
            Outcome::Failed(failure) if failure.class == Class::LeftAlone => {
                self.flight.rest(action, Span(at.0 + LEFT_ALONE.0));
                self.flight.rest(Action::Inspect, Span(at.0 + LEFT_ALONE.0));
            }
            Outcome::Failed(failure) if failure.class != Class::Conflict => {
                self.flight.rest(action, Span(at.0 + 2 * POLL.0));
                self.flight.rest(Action::Inspect, Span(at.0 + 2 * POLL.0));
            }
            _ => {}
        }
    }

    /// Waits until the TaskManagers that leave have left: a job that is run now must not get their slots.
    pub(super) fn left_next(&mut self, at: Span) -> Next {
        let facts = self.flight.facts_since(self.state.entered);
        let goal = usize::try_from(self.state.goal()).unwrap_or(usize::MAX);
        let left =
            facts.and_then(|facts| facts.cluster.as_ref()).is_some_and(|cluster| cluster.task_managers.len() <= goal);
        if left || at.0 - self.state.entered.0 >= LEAVE.0 { Next::Done } else { Next::Stay }
    }

    /// Jobs that came since the last look: what takes TaskManagers away protects them, too.
    pub(super) fn newcomers(&mut self) -> Option<Next> {
        let facts = self.flight.facts.as_ref().map(|(facts, _)| facts.clone())?;
        let cluster = facts.cluster.as_ref()?;
        let mut came = false;
        let after: Vec<&super::facts::JobFacts> = cluster.jobs.iter().filter(|job| self.looks_after(job)).collect();
        for met in after {
            let known = |job: &Job| job.id == met.id || job.run.as_ref().is_some_and(|run| run.id == met.id);
            if !self.state.jobs.iter().any(known) {
                let job = self.meet(met);
                self.state.jobs.push(job);
                came = true;
            }
        }
        for job in &mut self.state.jobs {
            let listed = |id: &str| cluster.jobs.iter().find(|met| met.id == id);
            // One that came to its end needs no protection any more.
            if job.live_id().and_then(listed).is_some_and(|met| !met.state.live()) && !job.stopped() {
                job.gone = true;
            }
        }
        came.then(|| Next::Before(vec![Stage::Checkpoints]))
    }
}
