//! Reads what there is to say about a Flink cluster: the facts of a hook, and beside them what people want to know.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tidegate_calculator::operation::Failure;
use tidegate_calculator::operation::facts::{
    ClusterFacts, DeploymentFacts, Inspection, JobFacts, JobState, Pod, Scheduler, SnapshotFacts, TargetFacts,
    UpgradeMode,
};
use tidegate_calculator::operation::spec::Flink;
use tidegate_calculator::operation::victims::pod;
use tidegate_calculator::operation::{Action, Outcome};
use tidegate_engine::ports::Operations as _;
use tidegate_scalers::flink::client::checkpoints::{Checkpoint, CheckpointConfig, Checkpoints};
use tidegate_scalers::flink::client::jobs::JobDetail;
use tidegate_scalers::flink::client::rescales::Rescale;
use tidegate_scalers::flink::client::{FlinkClient, FlinkError, JobId};

use super::error::CommandError;
use super::report::{self, without_password};
use super::site::Site;
use crate::hooks::CALL;

/// How many jobs are asked about at the same time.
const JOBS_AT_ONCE: usize = 4;

/// Settings that matter to scaling, each with its older names.
const SETTINGS: [&[&str]; 20] = [
    &["scheduler-mode"],
    &["jobmanager.scheduler"],
    &[
        "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout",
        "jobmanager.adaptive-scheduler.resource-stabilization-timeout",
    ],
    &["jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout"],
    &[
        "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling",
        "jobmanager.adaptive-scheduler.scaling-interval.min",
    ],
    &["execution.checkpointing.interval"],
    &["execution.checkpointing.timeout"],
    &["execution.checkpointing.dir", "state.checkpoints.dir"],
    &["execution.checkpointing.savepoint-dir", "state.savepoints.dir"],
    &["execution.checkpointing.tolerable-failed-checkpoints"],
    &["execution.checkpointing.unaligned.enabled", "execution.checkpointing.unaligned"],
    &["execution.checkpointing.externalized-checkpoint-retention"],
    &["state.backend.type", "state.backend"],
    &["high-availability.type", "high-availability"],
    &["web.submit.enable"],
    &["web.rescale.enable"],
    &["web.upload.dir"],
    &["web.adaptive-scheduler.rescale-history.size"],
    &["taskmanager.numberOfTaskSlots"],
    &["slot.idle.timeout"],
];

/// What was seen.
pub(super) struct Seen {
    /// What the first look of an operation would see; where no target was seen, one that fits is assumed.
    pub(super) inspection: Inspection,
    /// Whether the target was seen.
    pub(super) target: bool,
    /// What was asked for and could not be seen.
    pub(super) missed: Option<Failure>,
}

/// The facts on which an operation decides, through the hooks themselves.
pub(super) async fn inspect(site: &Site) -> Result<Seen, CommandError> {
    let (id, target) = (site.id(), site.target());
    let missed = if site.in_cluster {
        match site.hooks.perform(&id, &target, &site.spec, &Action::Inspect).await {
            Outcome::Inspected(inspection) => {
                return Ok(Seen { inspection: *inspection, target: true, missed: None });
            }
            Outcome::Failed(failure) => Some(failure),
            _ => None,
        }
    } else {
        None
    };
    // Without the target the JobManager alone is looked at, if its address is known.
    let flink = site.flink()?;
    if flink.endpoint.is_none() {
        let allowed = "is needed: the target is a FlinkDeployment, of which the cluster alone knows; or name its JobManager with --rest-url";
        return Err(missed.map_or_else(|| CommandError::option("--cluster", None, allowed), Into::into));
    }
    let facts = site.hooks.cluster_facts(&target, flink).await?;
    let target = assumed(&facts);
    let inspection = Inspection { target, cluster: Some(facts), deployment: None };
    Ok(Seen { inspection, target: false, missed })
}

/// A target that nothing speaks against: every TaskManager is a pod of it. Nothing that is said rests on it without a word about it.
fn assumed(facts: &ClusterFacts) -> TargetFacts {
    let pods = facts.task_managers.iter().map(|manager| Pod { name: manager.id.clone(), ip: None });
    TargetFacts {
        replicas: u32::try_from(facts.task_managers.len()).unwrap_or(u32::MAX),
        pods: pods.collect(),
        ..TargetFacts::default()
    }
}

/// What is said of the JobManager, and of its jobs.
pub(super) async fn cluster(
    site: &Site,
    seen: &Seen,
) -> Result<Option<(report::Cluster, Vec<report::Job>)>, CommandError> {
    let (Some(facts), flink) = (&seen.inspection.cluster, site.flink()?) else { return Ok(None) };
    let client = site.hooks.client(&site.target(), flink).await?;
    let version = client.api_config(CALL).await.map_err(failure)?.flink_version;
    let settings = settings(&client).await?;
    let more = stream::iter(facts.jobs.iter().map(|job| more(&client, job))).buffered(JOBS_AT_ONCE);
    let more: Vec<More> = more.try_collect().await?;
    let mut jobs: Vec<report::Job> =
        facts.jobs.iter().zip(&more).map(|(facts, more)| job(facts, more, flink)).collect();
    // The list of a JobManager has the newest anywhere.
    jobs.sort_by_key(|job| !job.live);
    let pods = seen.target.then_some(seen.inspection.target.pods.as_slice());
    let managers = facts.task_managers.iter().map(|manager| report::TaskManager {
        id: manager.id.clone(),
        slots: manager.slots,
        free: manager.free,
        pod: pods.and_then(|pods| pod(manager, pods)).map(|pod| pod.name.clone()),
    });
    let mut task_managers: Vec<_> = managers.collect();
    task_managers.sort_by(|one, other| one.id.cmp(&other.id));
    let cluster = report::Cluster {
        address: client.name().to_owned(),
        version,
        scheduler: scheduler(facts.scheduler).to_owned(),
        web_submit: facts.web_submit,
        web_rescale: facts.web_rescale,
        task_managers,
        settings,
    };
    Ok(Some((cluster, jobs)))
}

fn failure(error: FlinkError) -> CommandError {
    CommandError::Unanswered(error.into())
}

/// Settings that matter; none if this Flink does not say them.
async fn settings(client: &FlinkClient) -> Result<Option<Vec<report::Setting>>, CommandError> {
    let Some(config) = told(client.job_manager_config(CALL).await)? else { return Ok(None) };
    let setting = |names: &&[&str]| {
        let found = names.iter().find_map(|name| Some((*name, config.get(name)?)));
        let name = found.map(|(name, _)| name).or(names.first().copied()).unwrap_or_default();
        report::Setting { name: name.to_owned(), value: found.map(|(_, value)| without_password(value)) }
    };
    Ok(Some(SETTINGS.iter().map(setting).collect()))
}

/// What this Flink does not have, or refuses to say, is not known; any other failure stays one.
fn told<T>(answer: Result<T, FlinkError>) -> Result<Option<T>, CommandError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(FlinkError::NotFound { .. } | FlinkError::Refused { .. }) => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

/// What people want to know of a live job, besides its facts.
#[derive(Default)]
struct More {
    detail: Option<JobDetail>,
    checkpoints: Option<Checkpoints>,
    config: Option<CheckpointConfig>,
    rescale: Option<Rescale>,
}

async fn more(client: &FlinkClient, facts: &JobFacts) -> Result<More, CommandError> {
    let live = facts.state.live().then(|| facts.id.parse::<JobId>().ok()).flatten();
    let Some(id) = live else { return Ok(More::default()) };
    let rescales = told(client.rescale_history(&id, CALL).await)?;
    Ok(More {
        checkpoints: told(client.checkpoints(&id, CALL).await)?,
        config: told(client.checkpoint_config(&id, CALL).await)?,
        rescale: rescales.and_then(|all| all.into_iter().next()),
        detail: told(client.job(&id, CALL).await)?,
    })
}

fn job(facts: &JobFacts, more: &More, flink: &Flink) -> report::Job {
    let looked_after = flink.looks_after(facts);
    let state = more.detail.as_ref().map_or_else(|| state(facts.state), |detail| detail.state.name());
    let latest = more.checkpoints.as_ref().map(|all| &all.latest);
    let young = |completed: &SnapshotFacts| flink.checkpoint.serves(completed.completed);
    report::Job {
        id: facts.id.clone(),
        name: facts.name.clone(),
        state: state.to_owned(),
        live: facts.state.live(),
        looked_after,
        batch: facts.batch,
        runs_wholly: facts.ready(),
        restarts: facts.restarts,
        vertices: vertices(facts, more.detail.as_ref()),
        checkpointing: checkpointing(facts, more.config.as_ref()),
        checkpoint: facts.completed.as_ref().map(|one| snapshot(one, latest.and_then(|all| all.completed.as_ref()))),
        savepoint: facts.savepoint.as_ref().map(|one| snapshot(one, latest.and_then(|all| all.savepoint.as_ref()))),
        young_enough: facts.completed.as_ref().filter(|_| looked_after).map(young),
        failed_in_a_row: facts.failed_in_a_row,
        p95_milliseconds: facts.p95.map(|p95| p95.0),
        restored: facts.restored.as_ref().map(|restored| report::Restored {
            id: restored.id,
            savepoint: restored.savepoint,
            path: restored.path.as_deref().map(without_password),
        }),
        rescale: more.rescale.as_ref().map(rescale),
    }
}

fn vertices(facts: &JobFacts, detail: Option<&JobDetail>) -> Vec<report::Vertex> {
    let name = |id: &str| {
        let mut all = detail.into_iter().flat_map(|detail| &detail.vertices);
        all.find(|vertex| vertex.id.as_str() == id).map(|vertex| vertex.name.clone())
    };
    let vertex = |vertex: &tidegate_calculator::operation::facts::Vertex| report::Vertex {
        id: vertex.id.clone(),
        name: name(&vertex.id),
        parallelism: vertex.parallelism,
        running: vertex.running,
        upper_bound: vertex.upper,
        max_parallelism: vertex.max_parallelism,
    };
    facts.vertices.iter().map(vertex).collect()
}

fn checkpointing(facts: &JobFacts, config: Option<&CheckpointConfig>) -> Option<report::Checkpointing> {
    facts.checkpointing.map(|checkpointing| report::Checkpointing {
        interval_milliseconds: checkpointing.interval.map(|interval| interval.0),
        timeout_milliseconds: checkpointing.timeout.0,
        tolerable_failed: config.and_then(|config| config.tolerable_failed_checkpoints),
        unaligned: config.and_then(|config| config.unaligned_checkpoints),
        state_backend: config.and_then(|config| config.state_backend.clone()),
    })
}

/// The list is read at another moment than the facts, so how long it took is said only of the same snapshot.
fn snapshot(facts: &SnapshotFacts, listed: Option<&Checkpoint>) -> report::Snapshot {
    let same = listed.filter(|listed| Some(listed.id) == facts.id);
    report::Snapshot {
        id: facts.id,
        age_milliseconds: facts.completed.0,
        took_milliseconds: same.and_then(|listed| listed.end_to_end_duration),
        path: facts.path.as_deref().map(without_password),
    }
}

fn rescale(of: &Rescale) -> report::Rescale {
    let took = of.start_timestamp_in_millis.zip(of.end_timestamp_in_millis);
    report::Rescale {
        id: of.rescale_uuid.clone(),
        cause: of.trigger_cause.clone(),
        end: of.terminal_state.clone(),
        took_milliseconds: took.map(|(start, end)| end.saturating_sub(start)),
    }
}

/// The FlinkDeployment that is the target.
pub(super) fn deployment(facts: &DeploymentFacts) -> report::Deployment {
    let mode = match facts.upgrade_mode {
        UpgradeMode::Savepoint => "savepoint",
        UpgradeMode::LastState => "last-state",
        UpgradeMode::Stateless => "stateless",
    };
    report::Deployment {
        upgrade_mode: mode.to_owned(),
        running: facts.running,
        settled: facts.settled,
        suspended: facts.suspended,
        error: facts.error.as_deref().map(without_password),
    }
}

const fn scheduler(scheduler: Scheduler) -> &'static str {
    match scheduler {
        Scheduler::Reactive => "reactive",
        Scheduler::Adaptive => "adaptive",
        Scheduler::Default => "default",
        Scheduler::Unknown => "not known",
    }
}

/// The state of a job in Flink's words, as far as its facts tell.
pub(super) const fn state(state: JobState) -> &'static str {
    match state {
        JobState::Created => "CREATED",
        JobState::Running => "RUNNING",
        JobState::Restarting => "RESTARTING",
        JobState::Cancelling => "CANCELLING",
        JobState::Suspended => "SUSPENDED",
        JobState::Finished => "FINISHED",
        JobState::Failed => "FAILED",
        JobState::Canceled => "CANCELED",
    }
}
