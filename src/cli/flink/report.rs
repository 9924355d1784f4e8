//! What `tidegate flink status` says: plain facts, which programs get as they are and people as text.
//!
//! Every field is there every time, and what is unknown is null. Times are milliseconds.

mod text;

use serde::Serialize;
use tidegate_calculator::operation::retention::Kept;

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// `shop/enrich`; none for a bare JobManager.
    pub(super) object: Option<String>,
    /// What it scales.
    pub(super) target: Option<Target>,
    /// The FlinkDeployment that is the target.
    pub(super) deployment: Option<Deployment>,
    /// The JobManager and what it has; none if it was not asked.
    pub(super) flink: Option<Cluster>,
    /// The jobs that the JobManager lists, the live ones first.
    pub(super) jobs: Vec<Job>,
    /// What would become of a change, as things are now.
    pub(super) changes: Vec<Change>,
    /// What jobs would get with these counts of TaskManagers.
    pub(super) bounds: Vec<Bounds>,
    /// The count above which more TaskManagers are of no use.
    pub(super) last_useful_task_managers: Option<u32>,
    /// The operation that is under way, in words.
    pub(super) operation: Vec<String>,
    /// Jobs that operations stopped and that do not run, with their paths.
    pub(super) stopped: Vec<Stopped>,
    /// Savepoints that operations took, the newest last.
    pub(super) savepoints: Vec<Kept>,
    /// The annotation of the target that names savepoints.
    pub(super) annotation: Option<String>,
    /// What is not known, and why.
    pub(super) unknown: Vec<String>,
}

/// The target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    /// `Deployment/enrich`.
    pub(super) name: String,
    pub(super) replicas: Option<u32>,
    /// Its pods by name; none if they were not looked at.
    pub(super) pods: Option<Vec<String>>,
}

/// A FlinkDeployment, as the Flink Kubernetes Operator says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deployment {
    pub(super) upgrade_mode: String,
    pub(super) running: bool,
    pub(super) settled: bool,
    pub(super) suspended: bool,
    pub(super) error: Option<String>,
}

/// A JobManager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cluster {
    /// Where it is, without a login.
    pub(super) address: String,
    pub(super) version: String,
    /// How jobs are scheduled.
    pub(super) scheduler: String,
    /// Jars can be run.
    pub(super) web_submit: bool,
    /// Requirements can be put.
    pub(super) web_rescale: bool,
    pub(super) task_managers: Vec<TaskManager>,
    /// Settings that matter, those that are not set as null; none if Flink does not say them.
    pub(super) settings: Option<Vec<Setting>>,
}

/// A registered TaskManager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskManager {
    pub(super) id: String,
    pub(super) slots: u32,
    pub(super) free: u32,
    /// Its pod among those of the target; none if there is none, or they were not looked at.
    pub(super) pod: Option<String>,
}

/// A setting of the JobManager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: Option<String>,
}

/// A job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent fact")]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) name: String,
    /// As Flink names it.
    pub(super) state: String,
    pub(super) live: bool,
    /// Whether the hook looks after it.
    pub(super) looked_after: bool,
    pub(super) batch: bool,
    /// Every vertex runs at its parallelism; a job that is live and does not is on its way, or restarts.
    pub(super) runs_wholly: bool,
    pub(super) restarts: Option<u32>,
    pub(super) vertices: Vec<Vertex>,
    pub(super) checkpointing: Option<Checkpointing>,
    /// The newest completed checkpoint.
    pub(super) checkpoint: Option<Snapshot>,
    /// The newest completed savepoint.
    pub(super) savepoint: Option<Snapshot>,
    /// Whether that checkpoint is young enough for a change now; none for a job that no hook looks after.
    pub(super) young_enough: Option<bool>,
    /// Failed checkpoints since the newest completed one.
    pub(super) failed_in_a_row: u32,
    /// p95 of the time that checkpoints took.
    pub(super) p95_milliseconds: Option<i64>,
    pub(super) restored: Option<Restored>,
    pub(super) rescale: Option<Rescale>,
}

/// A vertex of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vertex {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) parallelism: u32,
    pub(super) running: u32,
    pub(super) upper_bound: Option<u32>,
    pub(super) max_parallelism: u32,
}

/// How a job checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checkpointing {
    /// None where it does not do so by itself.
    pub(super) interval_milliseconds: Option<i64>,
    pub(super) timeout_milliseconds: i64,
    pub(super) tolerable_failed: Option<u32>,
    pub(super) unaligned: Option<bool>,
    pub(super) state_backend: Option<String>,
}

/// A checkpoint or savepoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Snapshot {
    pub(super) id: Option<u64>,
    /// Since its completion, by the JobManager's clock.
    pub(super) age_milliseconds: i64,
    pub(super) took_milliseconds: Option<u64>,
    pub(super) path: Option<String>,
}

/// What a job was restored from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Restored {
    pub(super) id: u64,
    pub(super) savepoint: bool,
    pub(super) path: Option<String>,
}

/// The newest rescale of the adaptive scheduler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rescale {
    pub(super) id: String,
    pub(super) cause: Option<String>,
    /// How it ended; none while it goes on.
    pub(super) end: Option<String>,
    pub(super) took_milliseconds: Option<i64>,
}

/// What would become of a change in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    pub(super) direction: String,
    /// Whether it can happen from the present replicas; none if they are not known.
    pub(super) possible: Option<bool>,
    /// `Made`, `Waits` or `Refused`.
    pub(super) outcome: String,
    pub(super) strategy: Option<String>,
    /// The condition, of a refusal or of what is waited for.
    pub(super) reason: Option<String>,
    /// Why this strategy, or what is wrong and what helps.
    pub(super) why: String,
    /// What it would go through.
    pub(super) stages: Vec<String>,
    /// `Proceed` or `Abort`.
    pub(super) on_failure: Option<String>,
    pub(super) cooldown_milliseconds: i64,
    /// When it may begin after the operations before; none if now, or not known.
    pub(super) not_before: Option<String>,
}

/// What jobs would get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bounds {
    pub(super) task_managers: u32,
    pub(super) slots: u32,
    pub(super) jobs: Vec<JobBounds>,
}

/// What one job would get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobBounds {
    pub(super) job: String,
    /// Upper bounds, in the order of the vertices.
    pub(super) vertices: Vec<u32>,
}

/// A job that an operation stopped and that does not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stopped {
    pub(super) job: String,
    /// Its id when it was stopped.
    pub(super) id: String,
    /// Its parallelism then.
    pub(super) parallelism: u32,
    /// What it must be run from; none if that is not known.
    pub(super) path: Option<String>,
}

impl Report {
    /// For people.
    pub(super) fn text(&self) -> String {
        text::of(self)
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        // Texts, numbers and lists always have a JSON form.
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{value:#}\n")
    }
}

/// A text of Flink's or of a policy without the passwords that stand in addresses of it.
pub(super) fn without_password(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str("://");
        shown.push_str(&hidden(part).unwrap_or_else(|| part.to_owned()));
    }
    shown
}

/// What follows `://`, if a password stands there.
fn hidden(rest: &str) -> Option<String> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let (login, host) = authority.rsplit_once('@')?;
    let (user, _) = login.split_once(':')?;
    Some(format!("{user}:***@{host}{after}"))
}

#[cfg(test)]
#[path = "report/tests.rs"]
mod tests;
