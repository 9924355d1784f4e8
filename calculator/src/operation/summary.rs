//! An operation in a few fields: what a ScaleRecord, the API and the explanation show of the one that runs and of the one that ended last.
//!
//! It has a stored form, because the last one outlives its operation. Times are wall times and not ages, so that it stays true while nobody
//! writes it anew.

use serde::{Deserialize, Serialize};

use super::phase::{Direction, Phase, Strategy};
use super::progress::{self, Job, Taken};
use super::refusal::Cause;
use super::{Operation, explain};
use crate::time::{Now, Span, Tick};

/// Jobs that are shown; of more only the number is.
pub const MOST_JOBS: usize = 32;

/// An operation in a few fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Its id: 32 hex digits.
    pub id: String,
    /// Its direction.
    pub direction: Direction,
    /// The replicas before.
    pub from: u32,
    /// The replicas that are wanted.
    pub to: u32,
    /// How often in a row this direction was tried, this time included; from 1.
    pub attempt: u32,
    /// How it makes the change safe, once that is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Why that one; empty before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Where it is, or how it ended.
    pub phase: Phase,
    /// When it began, in milliseconds since 1970.
    pub began: i64,
    /// Since when it is there, or when it ended, in milliseconds since 1970.
    pub since: i64,
    /// What it waits for; absent once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// The jobs that it looks after, [`MOST_JOBS`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobSummary>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "none")]
    pub more_jobs: u32,
    /// The snapshot of a FlinkDeployment as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotSummary>,
    /// Why it went another way than planned: a stable reason. Absent if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One job of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobSummary {
    /// Its name.
    pub name: String,
    /// Its id: that of its run, if this operation has run it again. Empty for one that was never seen running.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// How it is.
    pub state: JobCondition,
    /// The attempt that takes its snapshot, while one is under way; 0 otherwise.
    #[serde(default, skip_serializing_if = "none")]
    pub snapshot_attempt: u32,
    /// What protects it: the savepoint that it was stopped with, else its checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotSummary>,
}

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobCondition {
    /// It runs as it was met.
    Running,
    /// It is stopped by us and does not run.
    Stopped,
    /// It was sent to run again, and was not seen running yet.
    Starting,
    /// It runs again from its snapshot.
    RunsAgain,
    /// It has ended by itself, or somebody else has run it.
    Gone,
}

/// A snapshot that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSummary {
    /// What it is.
    pub kind: SnapshotKind,
    /// Its id, if Flink gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Its path, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// When it was complete, in milliseconds since 1970; absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<i64>,
}

/// What a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotKind {
    /// A checkpoint.
    Checkpoint,
    /// A savepoint.
    Savepoint,
}

impl JobCondition {
    /// Its name in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Stopped => "Stopped",
            Self::Starting => "Starting",
            Self::RunsAgain => "RunsAgain",
            Self::Gone => "Gone",
        }
    }

    fn of(job: &Job) -> Self {
        match &job.run {
            _ if job.gone => Self::Gone,
            Some(run) if run.live => Self::RunsAgain,
            Some(_) => Self::Starting,
            None if job.stopped() => Self::Stopped,
            None => Self::Running,
        }
    }
}

impl SnapshotKind {
    /// Its name in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkpoint => "Checkpoint",
            Self::Savepoint => "Savepoint",
        }
    }
}

/// A job that is stopped and should run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Its name.
    pub name: String,
    /// Since when: its stop, or the beginning of the operation that should run it again.
    pub since: Tick,
}

impl Operation {
    /// The summary at `now`. `attempt` is how often in a row this direction was tried, which the object's memory knows.
    pub fn summary(&self, attempt: u32, now: Now) -> Summary {
        let state = &self.state;
        let wall = |span: Span| now.wall_of(self.origin + span).as_millisecond();
        let taken = |kind, taken: &Taken| SnapshotSummary {
            kind,
            id: taken.id,
            path: taken.path.clone(),
            completed: Some(wall(taken.completed)),
        };
        let told = state.cause.as_ref().or(state.rolling.as_ref()).or(state.proceeded.as_ref());
        let resource = state.resource.taken.as_ref();
        Summary {
            id: state.id.0.clone(),
            direction: state.direction,
            from: state.from,
            to: state.to,
            attempt,
            strategy: state.strategy,
            why: state.why.clone(),
            phase: state.phase,
            began: wall(Span::ZERO),
            since: wall(state.phase_since),
            waits_for: (!state.phase.ended()).then(|| explain::goes_on_with(self)),
            jobs: state.jobs.iter().take(MOST_JOBS).map(|job| job_summary(job, taken)).collect(),
            more_jobs: u32::try_from(state.jobs.len().saturating_sub(MOST_JOBS)).unwrap_or(u32::MAX),
            snapshot: resource.map(|resource| taken(SnapshotKind::Checkpoint, resource)),
            reason: told.map(|cause| cause.reason.reason().to_owned()),
            message: told.map(Cause::advice),
        }
    }

    /// How long it has been in its phase.
    pub fn in_phase_for(&self, now: Tick) -> Span {
        Span(self.at(now).0.saturating_sub(self.state.phase_since.0).max(0))
    }

    /// How old the oldest snapshot that protects this change is; none if nothing does.
    pub fn snapshot_age(&self, now: Tick) -> Option<Span> {
        let at = self.at(now);
        let age = |snapshot: &progress::Snapshot| {
            snapshot.taken.as_ref().map(|taken| Span(at.0.saturating_sub(taken.completed.0).max(0)))
        };
        let jobs = self.state.jobs.iter().filter(|job| !job.gone);
        let of_jobs = jobs.filter_map(|job| age(&job.stop).or_else(|| age(&job.checkpoint)));
        of_jobs.chain(age(&self.state.resource)).max()
    }

    /// The jobs that are stopped and should run: all that are stopped, but on the way to zero.
    pub fn stopped_jobs(&self) -> Vec<Stopped> {
        let zero = self.state.direction == Direction::ToZero && self.state.rolling.is_none();
        let stopped = |job: &&Job| job.stopped() && !job.gone && !job.runs_again();
        let since = |job: &Job| job.stop.taken.as_ref().map_or(Span::ZERO, |taken| taken.completed);
        let all = self.state.jobs.iter().filter(stopped).filter(|_| !zero);
        all.map(|job| Stopped { name: job.name.clone(), since: self.origin + since(job) }).collect()
    }
}

fn job_summary(job: &Job, taken: impl Fn(SnapshotKind, &Taken) -> SnapshotSummary) -> JobSummary {
    let of = |kind, snapshot: &progress::Snapshot| snapshot.taken.as_ref().map(|found| taken(kind, found));
    // The path of a job that was stopped before this operation is all that is known of its savepoint.
    let before = || {
        let path = Some(job.path.clone()?);
        Some(SnapshotSummary { kind: SnapshotKind::Savepoint, id: None, path, completed: None })
    };
    let pending = [&job.stop, &job.checkpoint].into_iter().find(|snapshot| snapshot.pending());
    JobSummary {
        name: job.name.clone(),
        id: job.run.as_ref().map_or(&job.id, |run| &run.id).clone(),
        state: JobCondition::of(job),
        snapshot_attempt: pending.map_or(0, |snapshot| snapshot.attempt),
        snapshot: of(SnapshotKind::Savepoint, &job.stop)
            .or_else(before)
            .or_else(|| of(SnapshotKind::Checkpoint, &job.checkpoint)),
    }
}

/// Whether there is nothing to count.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn none(count: &u32) -> bool {
    *count == 0
}
