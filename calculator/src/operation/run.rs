//! Runs a stopped job from its path: one id for each attempt, and after a lost answer the JobManager says what became of it.

use super::action::{Action, Run};
use super::event::{Class, Outcome};
use super::facts::JobState;
use super::failure::back_off;
use super::flight::{Mark, POLL};
use super::ids;
use super::phase::Direction;
use super::progress::{Job, RunProgress};
use super::refusal::{Cause, Reason};
use super::spec::RunTemplate;
use super::{Next, Operation};
use crate::time::Span;

/// A list of jobs older than this says nothing about who runs now.
const FRESH: Span = Span::seconds(10);

impl Operation {
    /// How a job is run, if the spec says it.
    pub(super) fn template(&self, job: &Job) -> Option<&RunTemplate> {
        self.flink().template(&job.name, &job.id, &job.patterns)
    }

    /// The request that runs a job from its path.
    pub(super) fn run_request(&self, job: &Job, parallelism: u32) -> Option<Run> {
        let flink = self.flink();
        self.template(job).map(|template| Run::of(template, flink, parallelism, job.path.clone()))
    }

    /// The parallelism of a run: what the job had before on the way back, else what its shape becomes with these slots.
    pub(super) fn run_parallelism(&self, job: &Job, slots: u32) -> u32 {
        if self.state.rolling.is_some() && job.parallelism_before > 0 {
            return job.parallelism_before;
        }
        job.parallelism(slots)
    }

    /// Begins a run of every stopped job that has a path. One without a path is never run: its state would be lost.
    pub(super) fn begin_runs(&mut self, at: Span) {
        if let Some((facts, _)) = self.flight.facts.clone().filter(|(_, sent)| at.0 - sent.0 < FRESH.0) {
            self.drop_jobs_that_run(&facts);
        }
        let slots = self.slots();
        for (index, slots) in slots.into_iter().enumerate() {
            let Some(job) = self.state.jobs.get(index) else { continue };
            let startable = job.path.is_some() || self.starts_empty(job);
            if !job.stopped() || job.gone || job.runs_again() || !startable {
                continue;
            }
            if job.run.is_some() {
                continue;
            }
            let attempt = job.run_attempts.saturating_add(1);
            let id = ids::run(&self.state.id, job.key(), attempt);
            let parallelism = self.run_parallelism(job, slots.max(1));
            let run = RunProgress { attempt, id, failures: 0, parallelism, since: at, live: false, given_up: None };
            if let Some(job) = self.state.jobs.get_mut(index) {
                job.run = Some(run);
            }
        }
    }

    /// Forgets runs that were given up: the way back has attempts of its own, with new ids.
    pub(super) fn forget_failed_runs(&mut self) {
        for job in &mut self.state.jobs {
            if let Some(run) = job.run.take_if(|run| run.given_up.is_some()) {
                job.run_attempts = run.attempt;
            }
        }
    }

    /// Over when every run is live; given up only once none is undecided.
    pub(super) fn run_next(&mut self, at: Span) -> Next {
        self.failed_runs(at);
        let runs = || self.state.jobs.iter().filter_map(|job| job.run.as_ref());
        if runs().any(|run| !run.live && run.given_up.is_none()) {
            return Next::Stay;
        }
        match runs().find_map(|run| run.given_up.clone()) {
            // A run of another job that was live may have failed meanwhile: nothing ends before that is known.
            Some(_) if self.flight.facts_since(self.state.entered).is_none() => Next::Stay,
            // Where there is no other way back the runs that are live are looked after to the end; what does not run makes it a failure.
            Some(_) if self.last_way() && self.state.jobs.iter().any(Job::runs_again) => Next::Done,
            Some(cause) => Next::Fail(cause),
            None => Next::Done,
        }
    }

    /// Whether a run that is given up here is given up for good.
    fn last_way(&self) -> bool {
        self.state.rolling.is_some() || self.state.direction == Direction::FromZero
    }

    pub(super) fn run_wanted(&self, at: Span) -> Vec<Action> {
        let mut wanted = vec![Action::Inspect];
        for job in &self.state.jobs {
            let Some(run) = job.run.as_ref().filter(|run| !run.live && run.given_up.is_none()) else { continue };
            if run.since > at {
                continue;
            }
            let start =
                (self.flight.mark(&run.id) == Some(Mark::Missing)).then(|| self.run_request(job, run.parallelism));
            wanted.push(match start.flatten() {
                Some(request) => Action::RunJar { job: job.name.clone(), id: run.id.clone(), run: request },
                None => Action::JobStatus { job: run.id.clone() },
            });
        }
        wanted
    }

    /// What an answer about a run, or about the end of a stopped job, means.
    pub(super) fn absorb_run(&mut self, action: Action, outcome: Outcome, at: Span) {
        let id = match &action {
            Action::RunJar { id, .. } => id.clone(),
            Action::JobStatus { job } | Action::CancelJob { job } => job.clone(),
            _ => return,
        };
        if self.absorb_end(&id, &outcome, &action, at) {
            return;
        }
        let open = |job: &Job| job.run.as_ref().is_some_and(|run| run.id == id && !run.live && run.given_up.is_none());
        let Some(index) = self.state.jobs.iter().position(open) else { return };
        match (action, outcome) {
            (Action::RunJar { .. }, Outcome::Started { job }) => self.started(index, &job),
            (Action::RunJar { .. }, Outcome::Failed(failure)) => {
                // Only the JobManager's list says whether something was started.
                self.flight.marks.remove(&id);
                let counts = matches!(failure.class, Class::Config | Class::Transient | Class::Gone);
                self.run_rejected(index, counts.then_some(failure.text), at);
            }
            (_, Outcome::NotFound) => self.run_missing(index, &id),
            (_, Outcome::Status(state)) => self.run_state(index, state, at),
            (action, _) => self.flight.rest(action, Span(at.0 + 2 * POLL.0)),
        }
    }

    /// The JobManager has started the job, under our id or one of its own.
    fn started(&mut self, index: usize, id: &str) {
        let Some(run) = self.state.jobs.get_mut(index).and_then(|job| job.run.as_mut()) else { return };
        id.clone_into(&mut run.id);
        self.flight.set(id, Mark::Accepted);
    }

    fn run_rejected(&mut self, index: usize, text: Option<String>, at: Span) {
        let Some(run) = self.state.jobs.get_mut(index).and_then(|job| job.run.as_mut()) else { return };
        match text {
            Some(text) => {
                run.failures = run.failures.saturating_add(1);
                run.since = Span(at.0 + back_off(run.failures).0);
                self.state.trouble = None;
                self.flight.notes.push(super::Note::Announce {
                    reason: "RunRejected".to_owned(),
                    message: text,
                    warning: true,
                });
            }
            None => run.since = Span(at.0 + 2 * POLL.0),
        }
    }

    /// Nothing runs under this id: send it, unless it was rejected too often.
    fn run_missing(&mut self, index: usize, id: &str) {
        let attempts = self.attempts();
        let Some(job) = self.state.jobs.get_mut(index) else { return };
        let Some(run) = job.run.as_mut() else { return };
        if run.failures >= attempts {
            let text = format!("job {} could not be run from its savepoint", job.name);
            run.given_up = Some(Cause::new(Reason::RunFailed, text));
            return;
        }
        self.flight.set(id, Mark::Missing);
    }

    fn run_state(&mut self, index: usize, state: JobState, at: Span) {
        let attempts = self.attempts();
        let id = self.state.id.clone();
        let Some(job) = self.state.jobs.get_mut(index) else { return };
        let key = job.key().to_owned();
        let Some(run) = job.run.as_mut() else { return };
        match state {
            JobState::Cancelling => run.since = Span(at.0 + 2 * POLL.0),
            JobState::Failed | JobState::Canceled => {
                run.failures = run.failures.saturating_add(1);
                if run.failures >= attempts {
                    let text = format!("job {} failed each time it was run from its savepoint", job.name);
                    run.given_up = Some(Cause::new(Reason::RunFailed, text));
                    return;
                }
                // The id is burned: the next attempt has its own.
                run.attempt = run.attempt.saturating_add(1);
                run.id = ids::run(&id, &key, run.attempt);
                run.since = Span(at.0 + back_off(run.failures).0);
            }
            _ => {
                run.live = true;
                run.since = at;
            }
        }
    }

    /// Runs that were live and have failed since: each gets its next attempt, or none. True if there were any.
    pub(super) fn failed_runs(&mut self, at: Span) -> bool {
        let facts = self.flight.facts.as_ref().filter(|(_, sent)| *sent >= self.state.entered);
        let Some((cluster, sent)) = facts.and_then(|(facts, sent)| Some((facts.cluster.clone()?, *sent))) else {
            return false;
        };
        let mut any = false;
        for index in 0..self.state.jobs.len() {
            let Some(job) = self.state.jobs.get_mut(index).filter(|job| !job.gone) else { continue };
            let Some(run) = job.run.as_mut().filter(|run| run.live && run.since <= sent) else { continue };
            let state = cluster.jobs.iter().find(|met| met.id == run.id).map(|met| met.state);
            if let Some(state) = state.filter(|state| matches!(state, JobState::Failed | JobState::Canceled)) {
                run.live = false;
                self.run_state(index, state, at);
                any = true;
            }
        }
        any
    }
}
