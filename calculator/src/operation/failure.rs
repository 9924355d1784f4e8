//! What happens when something goes wrong, how an operation ends, and what people are told about it.

use super::action::{Action, Note};
use super::event::Outcome;
use super::flight::POLL;
use super::phase::{Phase, Stage, Strategy};
use super::progress::{Job, Parked};
use super::refusal::{Cause, Reason};
use super::spec::{Flink, OnFailure, StrategyChoice};
use super::{Operation, bounds, checkpoint, flink_deployment, retention, stop_restore};
use crate::time::{Now, Span};

/// How often the annotation is tried; what it says stands in the record as well.
const ANNOTATION_TRIES: u32 = 5;

/// The condition and the event that tell of a failure after the change.
pub(super) const POST_HOOK_FAILED: &str = "PostHookFailed";

/// The pause after the n-th failure: 10, 20, 40 s, and no longer.
pub(super) fn back_off(failures: u32) -> Span {
    Span::seconds(10 << failures.saturating_sub(1).min(2))
}

/// What holds when no flink item takes part.
static NO_FLINK: std::sync::LazyLock<Flink> = std::sync::LazyLock::new(Flink::default);

/// What is told of a failure that the user wants to be passed over.
fn passed_over(cause: &Cause) -> String {
    format!("the change happens all the same: {}", cause.advice())
}

impl Operation {
    /// The flink item's part of the spec; defaults if none takes part.
    pub(super) fn flink(&self) -> &Flink {
        self.state.spec.flink(self.state.direction).map_or_else(|| &*NO_FLINK, |(_, flink)| flink)
    }

    pub(super) fn attempts(&self) -> u32 {
        self.state.spec.flink(self.state.direction).map_or(3, |(item, _)| item.attempts.max(1))
    }

    pub(super) fn verify_timeout(&self) -> Span {
        self.flink().verify.timeout
    }

    /// When the whole operation has taken too long.
    pub(super) fn limit(&self) -> Span {
        self.state.spec.timeout(self.state.direction)
    }

    /// Whether the change happens although something before it failed.
    pub(super) fn proceeds(&self) -> bool {
        let direction = self.state.direction;
        let assumed = match self.state.spec.flink(direction) {
            Some((_, flink)) if flink.strategy == StrategyChoice::StopRestore => Strategy::StopRestore,
            _ => self.state.strategy.unwrap_or(Strategy::Checkpoint),
        };
        let item = self.state.spec.flink(direction).map(|(item, _)| item);
        // What takes TaskManagers away on the way back is never done without protection.
        let forward = self.state.rolling.is_none();
        forward && item.is_some_and(|item| item.on_failure.effective(direction, assumed) == OnFailure::Proceed)
    }

    /// Passes over a failure, and says so.
    pub(super) fn proceed(&mut self, cause: Cause) {
        let text = passed_over(&cause);
        self.condition(cause.reason.reason(), true, &text);
        self.announce("ProceededUnprotected", text, true);
        self.state.proceeded = Some(cause);
    }

    /// The stage has failed: back if something was changed, else the end.
    pub(super) fn fail(&mut self, cause: Cause, at: Span) {
        self.state.trouble = None;
        if self.state.rolling.is_some() {
            return match self.later_run() {
                Some(run) => {
                    self.announce(cause.reason.reason(), cause.text.clone(), true);
                    self.state.cause = Some(cause);
                    self.enter(run, at);
                }
                None => self.end(Phase::Failed, Some(cause), at),
            };
        }
        if !self.state.changed() {
            let phase = if cause.config { Phase::Failed } else { Phase::Aborted };
            return self.end(phase, Some(cause), at);
        }
        match self.way_back() {
            Some(plan) => {
                self.announce("RollingBack", cause.text.clone(), true);
                self.state.rolling = Some(cause);
                self.state.rounds = 0;
                self.forget_failed_runs();
                self.state.plan = plan;
                self.enter(0, at);
            }
            None => self.end(Phase::Failed, Some(cause), at),
        }
    }

    /// The next run of the plan while a job is stopped: whatever else fails on the way back, the job runs again.
    fn later_run(&self) -> Option<usize> {
        let rest = self.state.plan.iter().enumerate().skip(self.state.at.saturating_add(1));
        let mut runs = rest.filter(|(_, stage)| **stage == Stage::Run).map(|(index, _)| index);
        runs.next().filter(|_| self.state.in_danger())
    }

    fn way_back(&self) -> Option<Vec<Stage>> {
        let (direction, patching) = (self.state.direction, self.state.patching);
        let stopped = self.state.jobs.iter().any(|job| job.stop.taken.is_some() || job.ended);
        match self.state.strategy? {
            Strategy::Checkpoint => {
                let bounds = !self.state.reactive;
                let mut plan = checkpoint::way_back(direction, patching, bounds);
                if self.state.in_danger() {
                    plan.insert(plan.len().saturating_sub(1), Stage::Run);
                }
                Some(plan)
            }
            Strategy::StopRestore => {
                let ran = self.state.jobs.iter().any(|job| job.run.is_some());
                stop_restore::way_back(direction, patching, stopped, ran)
            }
            Strategy::FlinkDeployment => {
                flink_deployment::way_back(direction, patching, self.is_saved_on_the_way_back())
            }
            Strategy::None => None,
        }
    }

    /// Looks at the time-out of the whole operation. True if nothing more is to be done now. Once a job is stopped it only alarms.
    pub(super) fn over_time(&mut self, at: Span) -> bool {
        let limit = self.limit();
        if at < limit || self.state.stage() == Stage::Post {
            return false;
        }
        let late = Cause::new(Reason::TimedOut, "the operation took too long");
        if self.state.in_danger() {
            if !self.state.alarmed {
                self.state.alarmed = true;
                let text = "the operation takes too long while a job is stopped; it goes on until the job runs again";
                self.condition(Reason::TimedOut.reason(), true, text);
                self.announce(Reason::TimedOut.reason(), text.to_owned(), true);
            }
            return false;
        }
        if self.state.jobs.iter().any(Job::runs_again) {
            // What is left has time-outs of its own.
            return false;
        }
        if self.state.rolling.is_none() {
            // A verification has its own time-out, and going back from it late is no better.
            if self.state.phase != Phase::Verifying || at.0 >= limit.0.saturating_mul(2) {
                self.fail(late, at);
            }
        } else if at.0 >= limit.0.saturating_mul(2) {
            self.end(Phase::Failed, Some(late), at);
        }
        self.state.phase.ended()
    }

    /// The end. A job that is stopped and does not run makes it a failure, except at zero.
    pub(super) fn end(&mut self, phase: Phase, cause: Option<Cause>, at: Span) {
        let stopped: Vec<String> = self
            .parked()
            .iter()
            .map(|job| format!("{} ({})", job.name, job.path.as_deref().unwrap_or("path unknown")))
            .collect();
        let zero = self.state.to == 0 && phase == Phase::Done;
        let untouched = matches!(phase, Phase::Cancelled | Phase::Aborted)
            || self.state.jobs.iter().all(|job| job.stop.attempt == 0 && job.run.is_none());
        let untouched = untouched && !self.state.jobs.iter().any(Job::lost);
        let lost = !stopped.is_empty() && !zero && !untouched;
        let phase = if lost { Phase::Failed } else { phase };
        self.state.phase = phase;
        self.state.phase_since = at;
        self.state.trouble = None;
        let given_up = || self.state.jobs.iter().find_map(|job| job.run.as_ref().and_then(|run| run.given_up.clone()));
        self.state.cause = cause.or_else(|| given_up().filter(|_| lost));
        if lost {
            let text = format!("stopped and not running: {}", stopped.join(", "));
            self.condition("JobStopped", true, &text);
            self.announce("JobStopped", text, true);
        }
        self.tell_end();
    }

    fn tell_end(&mut self) {
        let (phase, cause) = (self.state.phase, self.state.cause.clone());
        if let (Phase::Done, None) = (phase, &self.state.proceeded) {
            self.flight.notes.push(Note::Clear(self.state.direction));
        }
        self.tell_post_failures();
        let Some(cause) = cause else {
            return self.announce("OperationDone", format!("{} to {}", self.state.from, self.state.to), false);
        };
        let quiet = phase == Phase::Cancelled;
        if !quiet {
            self.condition(cause.reason.reason(), true, &cause.advice());
        }
        let text = format!("{}: {}", cause.reason.reason(), cause.text);
        self.announce(&format!("Operation{}", phase.as_str()), text, !quiet);
    }

    /// The change is there, but what should have followed it failed: that stands until the next change.
    fn tell_post_failures(&mut self) {
        let failed = self.state.items.iter().filter(|item| item.post).filter_map(|item| {
            let cause = item.cause.as_ref()?;
            Some(format!("{}: {}", item.name, cause.text))
        });
        let failed: Vec<String> = failed.collect();
        if !failed.is_empty() {
            self.condition(POST_HOOK_FAILED, true, &failed.join("; "));
        }
    }

    /// After a restart conditions are told once more: they may have been lost. Equal ones change nothing.
    pub(super) fn repeat_notes(&mut self) {
        if self.state.phase.ended() {
            self.tell_end();
        } else if let Some(cause) = self.state.proceeded.clone() {
            self.condition(cause.reason.reason(), true, &passed_over(&cause));
        }
    }

    pub(super) fn announce(&mut self, reason: &str, message: String, warning: bool) {
        self.flight.notes.push(Note::Announce { reason: reason.to_owned(), message, warning });
    }

    pub(super) fn condition(&mut self, name: &str, holds: bool, message: &str) {
        self.flight.notes.push(Note::Condition { name: name.to_owned(), holds, message: message.to_owned() });
    }

    /// What the annotation of the target should say: the path, or for several jobs an object of names and paths. None while this
    /// operation has nothing to do with it.
    fn annotation(&self) -> Option<String> {
        let touches = |job: &Job| job.stop.taken.is_some() || (job.parked && (job.run.is_some() || job.gone));
        if !self.state.jobs.iter().any(touches) {
            return None;
        }
        let parked = self.parked();
        Some(match parked.as_slice() {
            [] => String::new(),
            [job] => job.path.clone().unwrap_or_default(),
            jobs => {
                let paths: std::collections::BTreeMap<&str, Option<&str>> =
                    jobs.iter().map(|job| (job.name.as_str(), job.path.as_deref())).collect();
                serde_json::to_string(&paths).unwrap_or_default()
            }
        })
    }

    pub(super) fn annotation_wanted(&self) -> Vec<Action> {
        let wanted = self.annotation().filter(|value| self.flight.annotated.as_ref() != Some(value));
        let tries = self.flight.annotation_failures < ANNOTATION_TRIES;
        wanted.filter(|_| tries).map(|value| Action::Annotate { value }).into_iter().collect()
    }

    pub(super) fn absorb_annotation(&mut self, action: Action, outcome: &Outcome, at: Span) {
        let Action::Annotate { value } = &action else { return };
        if *outcome == Outcome::Done {
            self.flight.annotated = Some(value.clone());
            self.flight.annotation_failures = 0;
        } else {
            self.flight.annotation_failures = self.flight.annotation_failures.saturating_add(1);
            self.flight.rest(action, Span(at.0 + 5 * POLL.0));
        }
    }

    /// Moments when a stage may change by time alone.
    pub(super) fn stage_moments(&self) -> Vec<Span> {
        let after = |span: Span| Span(self.state.entered.0.saturating_add(span.0));
        let mut moments = vec![after(self.verify_timeout()), after(Span::seconds(60))];
        for job in &self.state.jobs {
            for snapshot in [&job.checkpoint, &job.backup, &job.stop, &job.release, &job.verify] {
                let since = snapshot.since.filter(|_| snapshot.pending());
                moments.extend(since.into_iter().flat_map(|since| [since, Span(since.0.saturating_add(job.wait.0))]));
            }
            moments.extend(job.run.as_ref().map(|run| run.since));
        }
        moments.extend(self.state.items.iter().filter(|item| !item.over).map(|item| item.since));
        moments.extend(self.state.resource.since);
        moments
    }

    /// Whether the operation has ended, its end is stored, and nothing is left to write.
    pub fn finished(&self) -> bool {
        self.state.phase.ended() && self.flight.stored >= self.revision && self.annotation_wanted().is_empty()
    }

    /// Whether a finalizer must keep the object: something may have been changed, or a job is stopped by us.
    pub fn holds_object(&self) -> bool {
        !self.parked().is_empty() || (!self.state.phase.ended() && (self.state.changed() || self.state.in_danger()))
    }

    /// The jobs that are stopped by us and do not run: what the object's memory keeps for the next operation.
    pub fn parked(&self) -> Vec<Parked> {
        let stopped = |job: &&Job| job.stopped() && !job.gone && !job.runs_again() && !job.id.is_empty();
        let parked = |job: &Job| Parked {
            name: job.name.clone(),
            id: job.id.clone(),
            patterns: job.patterns.clone(),
            path: job.path.clone(),
            parallelism: job.parallelism_before,
            shape: job.shape.clone(),
        };
        self.state.jobs.iter().filter(stopped).map(parked).collect()
    }

    /// The declared shapes of the jobs it met: remembered for the next operations.
    pub fn shapes(&self) -> Vec<bounds::Shape> {
        let met: Vec<bounds::Shape> = self.state.jobs.iter().filter_map(|job| job.shape.clone()).collect();
        let others = self.shapes.iter().filter(|shape| !met.iter().any(|other| other.job == shape.job)).cloned();
        others.chain(met.iter().cloned()).collect()
    }

    /// The savepoints it took, for [`retention`].
    pub fn savepoints(&self, now: Now) -> Vec<retention::Kept> {
        let taken = self.state.jobs.iter().flat_map(|job| {
            let all = [&job.backup, &job.stop].into_iter().filter_map(|snapshot| snapshot.taken.as_ref());
            all.filter_map(|taken| {
                let at = now.wall_of(self.origin + taken.completed).as_millisecond();
                taken.path.clone().map(|path| retention::Kept { job: job.name.clone(), path, at })
            })
        });
        taken.collect()
    }
}
