//! What a job's metrics mean as one number; pure.

use std::collections::BTreeMap;

use super::client::checkpoints::{CheckpointStatus, Checkpoints};
use super::client::jobs::{JobDetail, TaskState, Vertex};
use super::client::metrics::Joined;

/// What a trigger can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// How busy the busiest task is, from 0 to 1.
    Busy,
    /// How much of its time the busiest task waits for input, from 0 to 1.
    Idle,
    /// How much the worst task is held back, from 0 to 1.
    Backpressure,
    /// The records that the sources have still to read.
    PendingRecords,
    /// The records a second that the job could read.
    TrueProcessingRate,
    /// The slots that jobs hold.
    SlotsUsed,
    /// The slots that no job holds.
    SlotsFree,
    /// All slots.
    Slots,
    /// Seconds since the job's state was safe last.
    CheckpointAge,
    /// How many checkpoints failed since the last complete one.
    FailedCheckpoints,
}

/// Their names, in the order of the documentation.
pub(super) const NAMES: [&str; 10] = [
    "busy",
    "idle",
    "backpressure",
    "pendingRecords",
    "trueProcessingRate",
    "slotsUsed",
    "slotsFree",
    "slots",
    "checkpointAge",
    "failedCheckpoints",
];

impl Measure {
    const ALL: [Self; 10] = [
        Self::Busy,
        Self::Idle,
        Self::Backpressure,
        Self::PendingRecords,
        Self::TrueProcessingRate,
        Self::SlotsUsed,
        Self::SlotsFree,
        Self::Slots,
        Self::CheckpointAge,
        Self::FailedCheckpoints,
    ];

    /// The measure of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().zip(NAMES).find(|(_, known)| *known == name).map(|(measure, _)| measure)
    }

    /// Whether it is a share of time, which does not add up over replicas.
    pub(super) fn is_ratio(self) -> bool {
        matches!(self, Self::Busy | Self::Idle | Self::Backpressure)
    }

    /// Whether it is one of the cluster, not of a job.
    pub(super) fn is_of_cluster(self) -> bool {
        matches!(self, Self::SlotsUsed | Self::SlotsFree | Self::Slots)
    }

    /// Whether it means nothing until the job has run for the stabilization.
    pub(super) fn stabilizes(self) -> bool {
        self.is_ratio() || self == Self::TrueProcessingRate
    }

    /// Whether it is read from the job's sources.
    pub(super) fn is_of_sources(self) -> bool {
        matches!(self, Self::PendingRecords | Self::TrueProcessingRate)
    }
}

/// The metrics of a vertex that say what it spends its time on, in milliseconds a second.
pub(super) const TIMES: [&str; 3] = ["busyTimeMsPerSecond", "idleTimeMsPerSecond", "backPressuredTimeMsPerSecond"];

/// Below this share of its time a task that is held back says nothing of how busy it would be.
const TOO_LITTLE: f64 = 0.05;

/// What the subtasks of a vertex spend their time on, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    /// Of the time in which it is not held back, how much the busiest one works; none if it is held back nearly all the time.
    pub(super) busy: Option<f64>,
    /// How much of all its time the busiest one works.
    pub(super) work: f64,
    /// How much the worst one is held back.
    pub(super) backpressure: f64,
}

/// What is not there that a number would need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    /// Flink has no metrics of a vertex, or not of all its subtasks.
    #[error("not all tasks have told their metrics")]
    Missing,
    /// All tasks that could say how busy they are are of a kind that does not.
    #[error("no task says how busy it is")]
    Nobody,
    /// No source has the metric, or not all of them.
    #[error("not every source tells pendingRecords; \"sources\" names those that count")]
    NoPending,
    /// One of the names is none of a source, or of one that does not tell what is asked for.
    #[error("the job does not have every source that \"sources\" names, or not all of them tell what waits")]
    NoSource,
    /// Nothing flows, so nothing can be said of how much could.
    #[error("the sources read nothing, so a rate cannot be told")]
    NoRate,
}

/// What one vertex spends its time on. None for one that is at its end, and for a source of the old kind, which does not say.
pub(super) fn load(vertex: &Vertex, is_source: bool, told: &BTreeMap<String, Joined>) -> Result<Option<Load>, Flaw> {
    if vertex.is_finished() {
        return Ok(None);
    }
    let [busy, idle, held] = TIMES.map(|name| told.get(name).copied());
    let (Some(busy), Some(idle), Some(held)) = (busy, idle, held) else { return Err(Flaw::Missing) };
    let heard = [busy, idle, held].iter().filter_map(Joined::subtasks).max();
    if heard.is_some_and(|heard| heard < vertex.count(TaskState::Running)) {
        return Err(Flaw::Missing);
    }
    let (Some(work), Some(least_idle), Some(most_held)) = (busy.max, idle.min, held.max) else {
        return if is_source { Ok(None) } else { Err(Flaw::Missing) };
    };
    let share = |millis: f64| (millis / 1000.0).clamp(0.0, 1.0);
    let (work, least_idle, backpressure) = (share(work), share(least_idle), share(most_held));
    // Flink joins each metric by itself. The busiest subtask is idle at least as long as the least idle one, and for what its work and the
    // longest time that any is held back leave over.
    let waits = least_idle.max(1.0 - work - backpressure).max(0.0);
    let busy = (work + waits >= TOO_LITTLE).then(|| work / (work + waits));
    Ok(Some(Load { busy, work, backpressure }))
}

/// How busy the busiest of some vertices is.
///
/// The one that slows the others down is busy while those before it are held back, so a mean would hide it.
pub(super) fn busiest(loads: &[Load]) -> Result<f64, Flaw> {
    loads.iter().filter_map(|load| load.busy).reduce(f64::max).ok_or(Flaw::Nobody)
}

/// How much the worst of some vertices is held back.
pub(super) fn worst_backpressure(loads: &[Load]) -> Result<f64, Flaw> {
    loads.iter().map(|load| load.backpressure).reduce(f64::max).ok_or(Flaw::Nobody)
}

/// The operator of a metric's name such as `Source__orders.pendingRecords`, if it is this metric of it.
pub(super) fn operator<'a>(name: &'a str, metric: &str) -> Option<&'a str> {
    name.strip_suffix(metric)?.strip_suffix('.').filter(|operator| !operator.is_empty())
}

/// Whether an operator, as metrics call it, is one of the named ones; all are if none is named.
pub(super) fn is_named(operator: &str, names: &[String]) -> bool {
    // Flink writes `_` for what would break its own notation.
    let written = |name: &str| name.replace([' ', '.', ':', ','], "_");
    let bare = operator.strip_prefix("Source__").unwrap_or(operator);
    names.is_empty() || names.iter().any(|name| written(name) == operator || written(name) == bare)
}

/// The sum of what each of `names` sums up to; none if one is missing.
pub(super) fn sum(told: &BTreeMap<String, Joined>, names: &[String]) -> Option<f64> {
    names.iter().map(|name| told.get(name)?.sum).sum()
}

/// Seconds since the job's state was safe last, by the JobManager's clock: since its newest complete checkpoint, else since it was restored
/// or, without either, since it began.
pub(super) fn checkpoint_age(detail: &JobDetail, checkpoints: &Checkpoints) -> Option<f64> {
    let latest = &checkpoints.latest;
    let completed = latest.completed.as_ref().and_then(|newest| newest.latest_ack_timestamp);
    let restored = latest.restored.as_ref().and_then(|restored| restored.restore_timestamp);
    let safe = completed.or(restored).or(detail.start_time)?;
    #[expect(clippy::cast_precision_loss, reason = "thousandths of a second do not matter after an age of the world")]
    Some(detail.now.saturating_sub(safe).max(0) as f64 / 1000.0)
}

/// How many checkpoints failed since the newest complete one, as far back as Flink remembers (10 of them by default).
pub(super) fn failed_in_a_row(checkpoints: &Checkpoints) -> u32 {
    let settled = checkpoints.history.iter().filter(|one| {
        !one.is_savepoint && matches!(one.status, CheckpointStatus::Completed | CheckpointStatus::Failed)
    });
    let failed = settled.take_while(|one| one.status == CheckpointStatus::Failed).count();
    u32::try_from(failed).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
