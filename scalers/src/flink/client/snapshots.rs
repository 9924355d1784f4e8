//! Takes checkpoints and savepoints, stops jobs with one, and asks what became of it.
//!
//! Each has a trigger id that we choose. Repeating a trigger with the same id is one snapshot, as long as the JobManager remembers the id:
//! for `rest.async.store-duration` (5 min) after the end, and not over its own restart. Flink takes every trigger and tells in the poll what
//! went wrong, as a completed operation with a cause.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidegate_calculator::operation::Failure;
use tidegate_calculator::operation::facts::{Look, SnapshotFacts};
use tidegate_calculator::operation::spec::{CheckpointType, SavepointFormat};
use tidegate_calculator::source::Deadline;
use tidegate_calculator::time::Span;

use super::checkpoints::{Checkpoint, CheckpointStatus};
use super::ids::{JobId, NotAnId};
use super::orders::{Content, class_of_snapshot};
use super::{FlinkClient, FlinkError};

/// The name of one snapshot to be: 32 hexadecimal digits of our choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerId(JobId);

impl std::str::FromStr for TriggerId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        text.parse().map(Self)
    }
}

impl std::fmt::Display for TriggerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What became of an operation that Flink works on by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// It goes on.
    InProgress,
    /// It is complete, with its result.
    Completed(T),
    /// It failed.
    Failed(Failure),
    /// Nobody knows this id: it was never heard of, is too old, or its JobManager is gone.
    Unknown,
}

impl<T> Progress<T> {
    /// The same with another result.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Progress<U> {
        match self {
            Self::InProgress => Progress::InProgress,
            Self::Completed(result) => Progress::Completed(change(result)),
            Self::Failed(failure) => Progress::Failed(failure),
            Self::Unknown => Progress::Unknown,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Accepted {
    request_id: String,
}

#[derive(Deserialize)]
struct Told {
    status: State,
    #[serde(default)]
    operation: Option<Operation>,
}

#[derive(Deserialize)]
struct State {
    id: String,
}

/// The result, the failure, or nothing at all where that is the result. Savepoints and checkpoints spell the failure differently.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    #[serde(default)]
    location: Option<String>,
    #[serde(default)]
    checkpoint_id: Option<u64>,
    #[serde(default, alias = "failure-cause")]
    failure_cause: Option<Trace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Trace {
    #[serde(default)]
    class: String,
    #[serde(default)]
    stack_trace: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StopRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    target_directory: Option<&'a str>,
    /// Never drained: that would fire all timers and end all windows.
    drain: bool,
    format_type: &'static str,
    trigger_id: String,
}

#[derive(Serialize)]
struct SavepointRequest<'a> {
    #[serde(rename = "target-directory", skip_serializing_if = "Option::is_none")]
    target_directory: Option<&'a str>,
    #[serde(rename = "cancel-job")]
    cancel_job: bool,
    #[serde(rename = "formatType")]
    format_type: &'static str,
    #[serde(rename = "triggerId")]
    trigger_id: String,
}

fn format(format: SavepointFormat) -> &'static str {
    match format {
        SavepointFormat::Native => "NATIVE",
        SavepointFormat::Canonical => "CANONICAL",
    }
}

impl Told {
    fn progress(self) -> Progress<Operation> {
        let ("COMPLETED", Some(operation)) = (self.status.id.as_str(), self.operation) else {
            return Progress::InProgress;
        };
        match &operation.failure_cause {
            Some(Trace { class, stack_trace }) if stack_trace.is_empty() => Progress::Failed(class_of_snapshot(class)),
            Some(Trace { stack_trace, .. }) => Progress::Failed(class_of_snapshot(stack_trace)),
            None => Progress::Completed(operation),
        }
    }
}

impl FlinkClient {
    /// Takes a checkpoint; Flink 1.17 and later.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`]; this holds for every question and order of this client.
    pub async fn trigger_checkpoint(
        &self,
        job: &JobId,
        trigger: &TriggerId,
        kind: CheckpointType,
        patience: Deadline,
    ) -> Result<(), FlinkError> {
        let kind = match kind {
            CheckpointType::Configured => "CONFIGURED",
            CheckpointType::Full => "FULL",
        };
        let body = json!({ "checkpointType": kind, "triggerId": trigger.to_string() });
        self.trigger(&format!("/jobs/{job}/checkpoints"), trigger, Content::json(&body), patience).await
    }

    /// Takes a savepoint below `directory`, or where the cluster's settings say.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn trigger_savepoint(
        &self,
        job: &JobId,
        trigger: &TriggerId,
        (directory, kind): (Option<&str>, SavepointFormat),
        patience: Deadline,
    ) -> Result<(), FlinkError> {
        let body = SavepointRequest {
            target_directory: directory,
            cancel_job: false,
            format_type: format(kind),
            trigger_id: trigger.to_string(),
        };
        self.trigger(&format!("/jobs/{job}/savepoints"), trigger, Content::json(&body), patience).await
    }

    /// Stops a job with a savepoint, without draining it. One that fails may have restarted the job.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn stop(
        &self,
        job: &JobId,
        trigger: &TriggerId,
        (directory, kind): (Option<&str>, SavepointFormat),
        patience: Deadline,
    ) -> Result<(), FlinkError> {
        let body = StopRequest {
            target_directory: directory,
            drain: false,
            format_type: format(kind),
            trigger_id: trigger.to_string(),
        };
        self.trigger(&format!("/jobs/{job}/stop"), trigger, Content::json(&body), patience).await
    }

    async fn trigger(
        &self,
        path: &str,
        trigger: &TriggerId,
        content: Content,
        patience: Deadline,
    ) -> Result<(), FlinkError> {
        let Accepted { request_id } = self.order(Method::POST, path, content, patience).await?;
        // A version that chooses the id itself would take a snapshot at every repetition.
        let own = request_id.eq_ignore_ascii_case(&trigger.to_string());
        if own { Ok(()) } else { Err(self.unfit("does not take trigger ids; Flink 1.15 or later is needed")) }
    }

    /// What became of a checkpoint: its number.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn poll_checkpoint(
        &self,
        job: &JobId,
        trigger: &TriggerId,
        patience: Deadline,
    ) -> Result<Progress<Option<u64>>, FlinkError> {
        let told = self.poll(&format!("/jobs/{job}/checkpoints/{trigger}"), patience).await?;
        Ok(told.map(|operation| operation.checkpoint_id))
    }

    /// What became of a savepoint, or of a stop: its path.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn poll_savepoint(
        &self,
        job: &JobId,
        trigger: &TriggerId,
        patience: Deadline,
    ) -> Result<Progress<Option<String>>, FlinkError> {
        let told = self.poll(&format!("/jobs/{job}/savepoints/{trigger}"), patience).await?;
        Ok(told.map(|operation| operation.location))
    }

    async fn poll(&self, path: &str, patience: Deadline) -> Result<Progress<Operation>, FlinkError> {
        match self.get::<Told>(path, patience).await {
            Ok(told) => Ok(told.progress()),
            Err(FlinkError::NotFound { .. }) => Ok(Progress::Unknown),
            Err(error) => Err(error),
        }
    }

    /// What became of a checkpoint, as an operation wants to know it: with its path and its age. As long as the list of checkpoints, which
    /// may be 3 s old, does not show it, it is in progress.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn checkpoint_taken(
        &self,
        job: &JobId,
        trigger: &TriggerId,
        patience: Deadline,
    ) -> Result<Progress<SnapshotFacts>, FlinkError> {
        let number = match self.poll_checkpoint(job, trigger, patience).await? {
            Progress::Completed(number) => number,
            other => {
                return Ok(other.map(|_| SnapshotFacts {
                    id: None,
                    path: None,
                    triggered: Span::ZERO,
                    completed: Span::ZERO,
                }));
            }
        };
        let (now, seen) = self.clock_and_checkpoints(job, patience).await?;
        let Some((now, seen)) = now.zip(seen) else { return Ok(Progress::Unknown) };
        let complete = |one: &&Checkpoint| one.status == CheckpointStatus::Completed && !one.is_savepoint;
        let latest = seen.latest.completed.as_ref();
        let exact = seen.history.iter().chain(latest).filter(complete).find(|one| Some(one.id) == number);
        // One that the list has dropped already has newer ones after it, which hold more.
        let found = exact.or(latest.filter(|one| number.is_none_or(|number| one.id > number)));
        Ok(found.map_or(Progress::InProgress, |one| Progress::Completed(snapshot_facts(one, now))))
    }

    /// The same for a savepoint or a stop. Where nothing shows the savepoint any more its age counts from now.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn savepoint_taken(
        &self,
        job: &JobId,
        trigger: &TriggerId,
        patience: Deadline,
    ) -> Result<Progress<SnapshotFacts>, FlinkError> {
        let path = match self.poll_savepoint(job, trigger, patience).await? {
            Progress::Completed(path) => path,
            other => {
                return Ok(other.map(|_| SnapshotFacts {
                    id: None,
                    path: None,
                    triggered: Span::ZERO,
                    completed: Span::ZERO,
                }));
            }
        };
        let unseen = SnapshotFacts { id: None, path: path.clone(), triggered: Span::ZERO, completed: Span::ZERO };
        // The path is what counts; a job that has ended may be forgotten at any moment.
        let Ok((now, Some(seen))) = self.clock_and_checkpoints(job, patience).await else {
            return Ok(Progress::Completed(unseen));
        };
        let same = |one: &&Checkpoint| one.is_savepoint && one.external_path.is_some() && one.external_path == path;
        let found = seen.history.iter().chain(seen.latest.savepoint.as_ref()).find(same);
        let facts = found.zip(now).map(|(one, now)| SnapshotFacts { path, ..snapshot_facts(one, now) });
        Ok(Progress::Completed(facts.unwrap_or(unseen)))
    }

    /// What there is of a job's snapshots after a result was lost. A job that the JobManager does not know is no failure.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn look(&self, job: &JobId, patience: Deadline) -> Result<Look, FlinkError> {
        let detail = match self.job(job, patience).await {
            Ok(detail) => detail,
            Err(FlinkError::NotFound { .. }) => return Ok(Look::default()),
            Err(error) => return Err(error),
        };
        let seen = match self.checkpoints(job, patience).await {
            Ok(seen) => seen,
            Err(FlinkError::NotFound { .. }) => {
                return Ok(Look { state: Some(detail.state.facts()), ..Look::default() });
            }
            Err(error) => return Err(error),
        };
        let facts = |one: &Option<Checkpoint>| one.as_ref().map(|one| snapshot_facts(one, detail.now));
        Ok(Look {
            state: Some(detail.state.facts()),
            completed: facts(&seen.latest.completed),
            savepoint: facts(&seen.latest.savepoint),
        })
    }

    /// The JobManager's clock and a job's checkpoints; nothing of a job that it does not know.
    async fn clock_and_checkpoints(
        &self,
        job: &JobId,
        patience: Deadline,
    ) -> Result<(Option<i64>, Option<super::checkpoints::Checkpoints>), FlinkError> {
        // Times are compared with a clock that was read after them.
        let seen = match self.checkpoints(job, patience).await {
            Ok(seen) => seen,
            Err(FlinkError::NotFound { .. }) => return Ok((None, None)),
            Err(error) => return Err(error),
        };
        match self.job(job, patience).await {
            Ok(detail) => Ok((Some(detail.now), Some(seen))),
            Err(FlinkError::NotFound { .. }) => Ok((None, None)),
            Err(error) => Err(error),
        }
    }

    /// Deletes a savepoint and waits until it is gone, `patience` at most in all. One that is gone already is well.
    ///
    /// # Errors
    ///
    /// The failure as an operation has it.
    pub async fn dispose(&self, path: &str, patience: Deadline) -> Result<(), Failure> {
        let until = tokio::time::Instant::now() + patience;
        let left = || until.saturating_duration_since(tokio::time::Instant::now());
        let body = Content::json(&json!({ "savepoint-path": path }));
        // Flink chooses the id here, whatever we say.
        let Accepted { request_id } = self.order(Method::POST, "/savepoint-disposal", body, left()).await?;
        let trigger: TriggerId = request_id.parse().map_err(|_| Failure::from(self.unfit("gave no trigger id")))?;
        loop {
            match self.poll(&format!("/savepoint-disposal/{trigger}"), left()).await? {
                Progress::Completed(_) => return Ok(()),
                Progress::Failed(failure) if failure.text.starts_with("FileNotFoundException") => return Ok(()),
                Progress::Failed(failure) => return Err(failure),
                Progress::Unknown | Progress::InProgress => tokio::time::sleep(DISPOSAL).await,
            }
        }
    }
}

/// How long a disposal rests between two looks.
const DISPOSAL: std::time::Duration = std::time::Duration::from_millis(200);

/// A checkpoint with its ages at `now`, both by the JobManager's clock.
pub(super) fn snapshot_facts(one: &Checkpoint, now: i64) -> SnapshotFacts {
    let since = |moment: i64| Span(now.saturating_sub(moment).max(0));
    let triggered = one.trigger_timestamp.unwrap_or(0);
    let took = i64::try_from(one.end_to_end_duration.unwrap_or(0)).unwrap_or(i64::MAX);
    let completed = one.latest_ack_timestamp.unwrap_or(triggered.saturating_add(took));
    SnapshotFacts {
        id: Some(one.id),
        path: one.external_path.clone(),
        triggered: since(triggered),
        completed: since(completed),
    }
}
