//! Takes one snapshot of a job: trigger, poll, and find out what became of it when its result is lost. The same for checkpoints, plain
//! savepoints and stops.

use super::Operation;
use super::action::Action;
use super::event::{Class, Failure, Outcome};
use super::facts::{JobState, Look, SnapshotFacts};
use super::failure::back_off;
use super::flight::{Mark, POLL};
use super::ids::{self, Kind};
use super::progress::{Job, Taken};
use super::refusal::{Cause, Reason, Refusal};
use crate::time::Span;

/// A job must be away for so long before it counts as gone: a JobManager that takes over does not know its jobs at once.
pub(super) const GONE_AFTER: Span = Span::seconds(60);

/// How long a job that restarts is left alone before the next attempt.
const RESTART_PAUSE: Span = Span::seconds(10);

/// Flink's REST answers are up to 3 s old: what follows a change is looked for later than that.
pub(super) const STALE: Span = Span::seconds(4);

/// How often a job may have restarted under snapshots before it counts as a failure.
const RESTARTS_FORGIVEN: u32 = 30;

impl Operation {
    /// Begins a snapshot of every live job.
    pub(super) fn begin_snapshots(&mut self, kind: Kind, at: Span) {
        for job in self.state.jobs.iter_mut().filter(|job| job.live_id().is_some()) {
            job.snapshot_mut(kind).begin(at);
        }
    }

    /// The calls that snapshots of this kind need now.
    pub(super) fn snapshots_wanted(&self, kind: Kind, at: Span) -> Vec<Action> {
        let mut wanted = Vec::new();
        for job in self.state.jobs.iter().filter(|job| !job.gone) {
            let snapshot = job.snapshot(kind);
            if !snapshot.pending() || snapshot.since.is_none_or(|since| since > at) {
                continue;
            }
            let id = snapshot_job(job);
            let trigger = ids::trigger(&self.state.id, &id, kind, snapshot.attempt);
            wanted.push(match self.flight.mark(&trigger) {
                Some(Mark::Looking) => Action::LookForSnapshot { job: id, kind },
                Some(_) if matches!(kind, Kind::Backup | Kind::Stop) => Action::PollSavepoint { job: id, trigger },
                Some(_) => Action::PollCheckpoint { job: id, trigger },
                None => self.trigger_action(kind, id, trigger),
            });
        }
        wanted
    }

    fn trigger_action(&self, kind: Kind, job: String, trigger: String) -> Action {
        let flink = self.flink();
        let directory = flink.savepoint.directory.as_deref().map(|base| ids::directory(base, &self.state.id));
        let format = flink.savepoint.format;
        match kind {
            Kind::Backup => Action::TriggerSavepoint { job, trigger, directory, format },
            Kind::Stop => Action::StopWithSavepoint { job, trigger, directory, format },
            Kind::Checkpoint | Kind::Release | Kind::Verify | Kind::Resource => {
                Action::TriggerCheckpoint { job, trigger, kind: flink.checkpoint.kind }
            }
        }
    }

    /// Finds the snapshot that an action is about: the job's index, its kind, its trigger id.
    fn snapshot_of(&self, action: &Action) -> Option<(usize, Kind, String)> {
        let kinds = [Kind::Checkpoint, Kind::Backup, Kind::Stop, Kind::Release, Kind::Verify];
        let mut all = self.state.jobs.iter().enumerate().flat_map(|(index, job)| kinds.map(|kind| (index, job, kind)));
        let (wanted_id, wanted_kind, wanted_job) = match action {
            Action::LookForSnapshot { job, kind } => (None, Some(*kind), job),
            Action::TriggerCheckpoint { job, trigger, .. }
            | Action::TriggerSavepoint { job, trigger, .. }
            | Action::StopWithSavepoint { job, trigger, .. }
            | Action::PollCheckpoint { job, trigger }
            | Action::PollSavepoint { job, trigger } => (Some(trigger), None, job),
            _ => return None,
        };
        all.find_map(|(index, job, kind)| {
            let snapshot = job.snapshot(kind);
            let id = snapshot_job(job);
            let trigger = ids::trigger(&self.state.id, &id, kind, snapshot.attempt);
            let same = id == *wanted_job
                && wanted_id.is_none_or(|wanted| *wanted == trigger)
                && wanted_kind.is_none_or(|wanted| wanted == kind);
            (same && snapshot.pending()).then_some((index, kind, trigger))
        })
    }

    /// What an answer about a snapshot means.
    pub(super) fn absorb_snapshot(&mut self, action: Action, outcome: Outcome, sent: Span, at: Span) {
        let Some((index, kind, trigger)) = self.snapshot_of(&action) else { return };
        let looking = matches!(action, Action::LookForSnapshot { .. });
        let polling = matches!(action, Action::PollCheckpoint { .. } | Action::PollSavepoint { .. });
        match outcome {
            Outcome::Completed { id, path, age } => {
                self.snapshot_taken(index, kind, Taken { id, path, completed: Span(sent.0.saturating_sub(age.0)) });
            }
            Outcome::Looked(look) => self.snapshot_looked(index, kind, &look, sent, at),
            Outcome::NotFound if polling => self.flight.set(&trigger, Mark::Looking),
            Outcome::Failed(failure) => self.snapshot_failed(index, kind, &trigger, &failure, looking, action, at),
            Outcome::Done if !polling && !looking => self.flight.set(&trigger, Mark::Accepted),
            _ => self.flight.rest(action, Span(at.0 + POLL.0)),
        }
    }

    /// A snapshot is complete. The path of a stop is what the job must be run from.
    fn snapshot_taken(&mut self, index: usize, kind: Kind, taken: Taken) {
        let Some(job) = self.state.jobs.get_mut(index) else { return };
        if kind == Kind::Stop && taken.path.is_none() {
            // A stop without a path cannot be restored: find it.
            let trigger = ids::trigger(&self.state.id, job.key(), kind, job.stop.attempt);
            self.flight.set(&trigger, Mark::Looking);
            return;
        }
        if kind == Kind::Stop {
            job.path.clone_from(&taken.path);
            let (name, path) = (job.name.clone(), taken.path.clone().unwrap_or_default());
            job.stop.taken = Some(taken);
            self.announce("JobStopped", format!("job {name} is stopped; its savepoint is {path}"), false);
            return;
        }
        job.snapshot_mut(kind).taken = Some(taken);
    }

    #[allow(clippy::too_many_arguments, reason = "one failure of one call, with what it was about")]
    fn snapshot_failed(
        &mut self,
        index: usize,
        kind: Kind,
        trigger: &str,
        failure: &Failure,
        looking: bool,
        action: Action,
        at: Span,
    ) {
        match failure.class {
            Class::Unavailable | Class::Lost | Class::Conflict => {
                self.flight.rest(action, Span(at.0 + 2 * POLL.0));
            }
            _ if looking => self.flight.rest(action, Span(at.0 + STALE.0)),
            Class::Stopping if kind == Kind::Stop && failure.path.is_some() => {
                self.snapshot_taken(index, kind, Taken { id: None, path: failure.path.clone(), completed: at });
            }
            // A stop that failed may have stopped the job all the same: look before anything is decided.
            _ if kind == Kind::Stop && failure.class != Class::Config => {
                self.flight.failed.insert(trigger.to_owned(), failure.text.clone());
                self.look_for(index, kind, trigger, at);
            }
            Class::Gone => self.look_for(index, kind, trigger, at),
            Class::Config => {
                let cause = Cause::config(Reason::SnapshotFailed, failure.text.clone());
                self.give_up(index, kind, cause);
            }
            Class::Restarting => self.restarting(index, kind, at),
            Class::Transient | Class::Stopping | Class::LeftAlone => {
                self.count_failure(index, kind, &failure.text, at);
            }
        }
    }

    fn look_for(&mut self, index: usize, kind: Kind, trigger: &str, at: Span) {
        self.flight.set(trigger, Mark::Looking);
        let Some(job) = self.state.jobs.get(index) else { return };
        let look = Action::LookForSnapshot { job: snapshot_job(job), kind };
        self.flight.rest(look, Span(at.0 + STALE.0));
    }

    /// The job restarts: it says nothing about the snapshot, so a new attempt costs nothing; but not for ever.
    fn restarting(&mut self, index: usize, kind: Kind, at: Span) {
        let Some(job) = self.state.jobs.get_mut(index) else { return };
        let snapshot = job.snapshot_mut(kind);
        if kind == Kind::Release {
            // A job that restarts has begun its rescale.
            snapshot.since = None;
            return;
        }
        if snapshot.attempt >= RESTARTS_FORGIVEN {
            return self.count_failure(index, kind, "the job restarts again and again", at);
        }
        snapshot.again(Span(at.0 + RESTART_PAUSE.0));
    }

    /// One failure that counts: another attempt after 10, 20, 40 s, or none.
    fn count_failure(&mut self, index: usize, kind: Kind, text: &str, at: Span) {
        let attempts = self.attempts();
        let Some(job) = self.state.jobs.get_mut(index) else { return };
        let name = job.name.clone();
        let snapshot = job.snapshot_mut(kind);
        snapshot.failures = snapshot.failures.saturating_add(1);
        if snapshot.failures >= attempts {
            let cause = Cause::new(Reason::SnapshotFailed, format!("job {name}: {text}"));
            return self.give_up(index, kind, cause);
        }
        let pause = back_off(snapshot.failures);
        snapshot.again(Span(at.0 + pause.0));
    }

    fn give_up(&mut self, index: usize, kind: Kind, cause: Cause) {
        if let Some(job) = self.state.jobs.get_mut(index) {
            job.snapshot_mut(kind).given_up = Some(cause);
        }
    }

    /// What was found of a snapshot whose result is lost.
    fn snapshot_looked(&mut self, index: usize, kind: Kind, look: &Look, sent: Span, at: Span) {
        let Some(job) = self.state.jobs.get(index) else { return };
        let id = snapshot_job(job);
        let ours = self.adoptable(kind, look, sent);
        let ended = look.state.is_some_and(|state| !state.live());
        match (ours, look.state) {
            // A checkpoint that was triggered since is as good as ours. A stop counts only once the job has ended.
            (Some(taken), _) if kind != Kind::Stop || ended => self.snapshot_taken(index, kind, taken),
            (_, Some(state)) if state.live() => {
                self.flight.missing.remove(&id);
                self.lost(index, kind, at);
            }
            (ours, None) => self.missing(index, kind, ours, at),
            // The state and the list of snapshots are answers of their own: the list may be from before the end.
            (_, Some(_)) if kind == Kind::Stop && !self.flight.missing_for(&format!("savepoint:{id}"), at, STALE) => {
                self.flight.rest(Action::LookForSnapshot { job: id, kind }, Span(at.0 + STALE.0));
            }
            (_, Some(state)) => self.ended_without(index, kind, state),
        }
    }

    /// The snapshot in a look that this operation may take for its own.
    fn adoptable(&self, kind: Kind, look: &Look, sent: Span) -> Option<Taken> {
        let since = |facts: &SnapshotFacts| sent.0 >= facts.triggered.0;
        let taken = |facts: &SnapshotFacts| Taken {
            id: facts.id,
            path: facts.path.clone(),
            completed: Span(sent.0.saturating_sub(facts.completed.0)),
        };
        if !matches!(kind, Kind::Stop | Kind::Backup) {
            return look.completed.as_ref().filter(|facts| since(facts)).map(taken);
        }
        let own = self.flink().savepoint.directory.as_deref().map(|base| ids::directory(base, &self.state.id));
        let found = look.savepoint.as_ref().filter(|facts| facts.path.is_some())?;
        let below = |directory: &String| found.path.as_deref().is_some_and(|path| path.starts_with(directory.as_str()));
        // With a directory of its own a path says whose it is; without one the time must do.
        own.as_ref().map_or_else(|| since(found), below).then(|| taken(found))
    }

    /// The result is lost and the job lives: a new attempt with a new id. After a stop that failed it counts.
    fn lost(&mut self, index: usize, kind: Kind, at: Span) {
        if kind != Kind::Stop {
            return self.restarting(index, kind, at);
        }
        let Some(job) = self.state.jobs.get(index) else { return };
        let trigger = ids::trigger(&self.state.id, &snapshot_job(job), kind, job.stop.attempt);
        let text = match self.flight.failed.remove(&trigger) {
            Some(said) => format!("stop with a savepoint failed, and the job runs on: {said}"),
            None => "stop with a savepoint failed, and the job runs on".to_owned(),
        };
        self.count_failure(index, kind, &text, at);
    }

    /// The JobManager does not know the job. It may be about to take over; after a while the job is gone. In application mode the cluster
    /// ends with the job: a savepoint in our directory is enough then.
    fn missing(&mut self, index: usize, kind: Kind, ours: Option<Taken>, at: Span) {
        let Some(job) = self.state.jobs.get(index) else { return };
        let (id, name) = (snapshot_job(job), job.name.clone());
        if !self.flight.missing_for(&id, at, GONE_AFTER) {
            self.flight.rest(Action::LookForSnapshot { job: id, kind }, Span(at.0 + 5 * POLL.0));
            return;
        }
        if let Some(taken) = ours {
            return self.snapshot_taken(index, kind, taken);
        }
        if kind == Kind::Stop
            && let Some(job) = self.state.jobs.get_mut(index)
        {
            job.ended = true;
        }
        let mut text = format!("the JobManager does not know job {name}");
        if let (Kind::Stop, Some(base)) = (kind, self.flink().savepoint.directory.as_deref()) {
            // The JobManager has forgotten the stop; where its savepoint would be is known all the same.
            text = format!("{text}; look for its savepoint below {}", ids::directory(base, &self.state.id));
        }
        self.give_up(index, kind, Cause::new(Reason::JobGone, text));
    }

    /// The job has ended, and there is no snapshot of ours.
    fn ended_without(&mut self, index: usize, kind: Kind, state: JobState) {
        let Some(job) = self.state.jobs.get_mut(index) else { return };
        if kind == Kind::Stop {
            // It has ended under our stop, and nobody says where its state is: never run it from empty state.
            job.ended = true;
            let cause = Cause::refused(Refusal::SavepointUnknown, &format!("job {}", job.name));
            return self.give_up(index, kind, cause);
        }
        if matches!(state, JobState::Finished | JobState::Canceled) {
            // It came to its end, or somebody ended it: it is not ours to run again.
            job.gone = true;
            job.snapshot_mut(kind).since = None;
            return;
        }
        let text = format!("job {} has failed", job.name);
        self.give_up(index, kind, Cause::new(Reason::JobGone, text));
    }

    /// Ends attempts that took longer than the job's own time-out and 30 s.
    pub(super) fn expire_snapshots(&mut self, kind: Kind, at: Span) {
        for index in 0..self.state.jobs.len() {
            let Some(job) = self.state.jobs.get(index) else { continue };
            let snapshot = job.snapshot(kind);
            let over = snapshot.since.is_some_and(|since| at.0 - since.0 >= job.wait.0);
            if !snapshot.pending() || !over {
                continue;
            }
            let trigger = ids::trigger(&self.state.id, &snapshot_job(job), kind, snapshot.attempt);
            if kind != Kind::Stop {
                self.count_failure(index, kind, "it took longer than the job's own time-out and 30 s", at);
            } else if self.flight.mark(&trigger) != Some(Mark::Looking) {
                self.look_for(index, kind, &trigger, at);
            }
        }
    }
}

/// The id of the job that a snapshot is of.
fn snapshot_job(job: &Job) -> String {
    job.live_id().unwrap_or(&job.id).to_owned()
}
