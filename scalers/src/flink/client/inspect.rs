//! What an operation wants to know of a cluster before it decides: settings, jobs with their checkpoints, TaskManagers.
//!
//! It asks some five questions a live job, a few jobs at the same time. What this Flink cannot say is absent; a question that fails makes
//! the whole fail, because what is not known must not look like something that is not there.

use futures::future::{BoxFuture, ready};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tidegate_calculator::operation::facts::{
    Checkpointing, ClusterFacts, JobFacts, JobState as State, Restored, Scheduler as Kind, TaskManager, Vertex,
};
use tidegate_calculator::source::Deadline;
use tidegate_calculator::time::Span;

use super::checkpoints::{CheckpointConfig, Checkpoints};
use super::cluster::JobManagerConfig;
use super::jobs::{JobDetail, JobState, JobSummary, JobType, Scheduler};
use super::requirements::Requirements;
use super::snapshots::snapshot_facts;
use super::{FlinkClient, FlinkError};
use crate::flink::measure::failed_in_a_row;

/// How many jobs are asked about at the same time.
const JOBS_AT_ONCE: usize = 4;

/// The time-out of a checkpoint where nothing says another one.
const CHECKPOINT_TIMEOUT: Span = Span::seconds(600);

/// What the adaptive scheduler waits after a loss by default, and between two rescales.
const STABILIZATION: Span = Span::seconds(10);
const COOLDOWN: Span = Span::seconds(30);

/// Names of settings, the newest first.
const STABILIZATION_KEYS: [&str; 2] = [
    "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout",
    "jobmanager.adaptive-scheduler.resource-stabilization-timeout",
];
const COOLDOWN_KEYS: [&str; 2] = [
    "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling",
    "jobmanager.adaptive-scheduler.scaling-interval.min",
];

impl JobState {
    /// The same as an operation has it. A state that we do not know is taken for one on the way.
    pub const fn facts(self) -> State {
        match self {
            Self::Initializing | Self::Created => State::Created,
            Self::Running => State::Running,
            Self::Failing | Self::Restarting | Self::Reconciling | Self::Unknown => State::Restarting,
            Self::Cancelling => State::Cancelling,
            Self::Suspended => State::Suspended,
            Self::Finished => State::Finished,
            Self::Failed => State::Failed,
            Self::Canceled => State::Canceled,
        }
    }
}

impl FlinkClient {
    /// Everything about the cluster that operations decide on. `patterns` says which of a spec's patterns a name matches; `patience` is for
    /// one question.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn facts(
        &self,
        patterns: &(dyn Fn(&str) -> Vec<String> + Sync),
        patience: Deadline,
    ) -> Result<ClusterFacts, FlinkError> {
        let features = self.api_config(patience).await?.features;
        let config = known(self.job_manager_config(patience).await)?;
        let list = self.jobs(patience).await?;
        let scheduler = scheduler(config.as_ref(), &list, features.web_rescale);
        let managers = self.task_managers(patience).await?;
        let task_managers = managers.iter().map(|manager| TaskManager {
            id: manager.id.clone(),
            host: manager.host().unwrap_or_default().to_owned(),
            slots: manager.slots_number,
            free: manager.free_slots,
        });
        let requirements = matches!(scheduler, Kind::Adaptive | Kind::Reactive);
        // Boxed, so that whoever spawns it need not see through all of it.
        let asked = list.iter().map(|job| -> BoxFuture<'_, Result<Option<JobFacts>, FlinkError>> {
            let named = patterns(&job.name);
            if job.state.is_live() {
                Box::pin(self.job_facts(job, named, requirements, patience))
            } else {
                Box::pin(ready(Ok(Some(ended(job, named)))))
            }
        });
        let asked: Vec<_> = asked.collect();
        let jobs: Vec<Option<JobFacts>> = stream::iter(asked).buffered(JOBS_AT_ONCE).try_collect().await?;
        let adaptive = scheduler == Kind::Adaptive;
        let span = |keys: &[&str]| config.as_ref().and_then(|config| set(config, keys));
        let usual = |default: Span| (adaptive && config.is_some()).then_some(default);
        let instant = (scheduler == Kind::Reactive && config.is_some()).then_some(Span::ZERO);
        Ok(ClusterFacts {
            scheduler,
            web_submit: features.web_submit,
            web_rescale: features.web_rescale,
            submission_stabilization: span(&STABILIZATION_KEYS).or(instant).or(usual(STABILIZATION)),
            cooldown_after_rescaling: span(&COOLDOWN_KEYS).or(usual(COOLDOWN)),
            jobs: jobs.into_iter().flatten().collect(),
            task_managers: task_managers.collect(),
        })
    }

    /// A live job; none if it has gone meanwhile.
    async fn job_facts(
        &self,
        job: &JobSummary,
        patterns: Vec<String>,
        requirements: bool,
        patience: Deadline,
    ) -> Result<Option<JobFacts>, FlinkError> {
        // A job that takes no checkpoints at all, such as a batch job, has no list of them.
        let checkpoints = found(self.checkpoints(&job.id, patience).await)?;
        let config = known(self.checkpoint_config(&job.id, patience).await)?;
        let asked = if requirements { known(self.requirements(&job.id, patience).await)? } else { None };
        let restarts = known(self.job_metric(&job.id, "numRestarts", patience).await)?.flatten();
        // The last, because its clock is what ages are counted from.
        let Some(detail) = found(self.job(&job.id, patience).await)? else { return Ok(None) };
        let mut facts = of_detail(&detail, asked.as_ref());
        facts.patterns = patterns;
        facts.checkpointing = config.as_ref().map(checkpointing);
        facts.restarts = restarts.and_then(count);
        add_checkpoints(&mut facts, &checkpoints.unwrap_or_default(), detail.now);
        Ok(Some(facts))
    }
}

/// What is not there is none; any other failure stays one.
fn found<T>(answer: Result<T, FlinkError>) -> Result<Option<T>, FlinkError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(FlinkError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a Flink does not have, or refuses to say, is not known; any other failure stays one.
fn known<T>(answer: Result<T, FlinkError>) -> Result<Option<T>, FlinkError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(FlinkError::NotFound { .. } | FlinkError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// By the settings, which say it best; else by what a job says; else by what may be done.
fn scheduler(config: Option<&JobManagerConfig>, jobs: &[JobSummary], web_rescale: bool) -> Kind {
    let setting = |key: &str| config.and_then(|config| config.get(key)).map(str::to_ascii_lowercase);
    if setting("scheduler-mode").as_deref() == Some("reactive") {
        return Kind::Reactive;
    }
    let said = jobs.iter().filter(|job| job.state.is_live()).find_map(|job| job.scheduler);
    match (setting("jobmanager.scheduler").as_deref(), said) {
        (Some("adaptive"), _) | (None, Some(Scheduler::Adaptive)) => Kind::Adaptive,
        (Some("default" | "ng"), _) | (None, Some(Scheduler::Default)) => Kind::Default,
        _ if web_rescale => Kind::Adaptive,
        (None, _) if config.is_some() => Kind::Default,
        _ => Kind::Unknown,
    }
}

fn set(config: &JobManagerConfig, keys: &[&str]) -> Option<Span> {
    let millis = keys.iter().find_map(|key| config.millis(key))?;
    i64::try_from(millis).ok().map(Span)
}

/// A job that has ended: nothing is asked about it any more.
fn ended(job: &JobSummary, patterns: Vec<String>) -> JobFacts {
    JobFacts { patterns, ..blank(job.id.as_str(), &job.name, job.state) }
}

fn blank(id: &str, name: &str, state: JobState) -> JobFacts {
    JobFacts {
        id: id.to_owned(),
        name: name.to_owned(),
        patterns: Vec::new(),
        state: state.facts(),
        batch: false,
        vertices: Vec::new(),
        checkpointing: None,
        completed: None,
        savepoint: None,
        restored: None,
        failed_in_a_row: 0,
        p95: None,
        restarts: None,
    }
}

fn of_detail(detail: &JobDetail, asked: Option<&Requirements>) -> JobFacts {
    let vertices = detail.vertices.iter().map(|vertex| Vertex {
        id: vertex.id.as_str().to_owned(),
        parallelism: vertex.parallelism,
        // Where Flink does not say how far a vertex can grow it is not made larger.
        max_parallelism: vertex.max_parallelism.unwrap_or(vertex.parallelism),
        running: vertex.count(super::jobs::TaskState::Running) + vertex.count(super::jobs::TaskState::Finished),
        // Before 2.0 it is not said; then all of a usual job share one.
        group: vertex.slot_sharing_group.clone().unwrap_or_default(),
        upper: asked.and_then(|all| u32::try_from(all.get(&vertex.id)?.parallelism.upper_bound).ok()),
    });
    JobFacts {
        batch: detail.job_type == Some(JobType::Batch),
        vertices: vertices.collect(),
        ..blank(detail.id.as_str(), &detail.name, detail.state)
    }
}

fn checkpointing(config: &CheckpointConfig) -> Checkpointing {
    let span = |millis: u64| Span(i64::try_from(millis).unwrap_or(i64::MAX));
    Checkpointing {
        // Flink says 0 of some jobs that are never checkpointed by themselves.
        interval: config.interval.filter(|millis| *millis > 0).map(span),
        timeout: config.timeout.map_or(CHECKPOINT_TIMEOUT, span),
    }
}

fn add_checkpoints(facts: &mut JobFacts, seen: &Checkpoints, now: i64) {
    facts.completed = seen.latest.completed.as_ref().map(|one| snapshot_facts(one, now));
    facts.savepoint = seen.latest.savepoint.as_ref().map(|one| snapshot_facts(one, now));
    facts.restored = seen.latest.restored.as_ref().map(|restored| Restored {
        id: restored.id,
        savepoint: restored.is_savepoint,
        path: restored.external_path.clone(),
    });
    facts.failed_in_a_row = failed_in_a_row(seen);
    facts.p95 = seen.summary.end_to_end_duration.p95.and_then(count).map(|millis| Span(i64::from(millis)));
}

/// A count that Flink writes as a number with a fraction.
fn count(value: f64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (0.0..4e9).contains(&value).then(|| value.round() as u32)
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
