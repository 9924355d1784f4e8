//! Says whether what a job shows of itself means anything yet; pure.
//!
//! Right after a restart Flink tells both a false zero and a false 1.0, and "RUNNING" does not say that tasks run. All times here are the
//! JobManager's, so that no other clock can be wrong.

use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::client::VertexId;
use super::client::jobs::{JobDetail, JobState, TaskState, VertexDetail};
use super::find::Wanted;

/// One run of a job, between two restarts: what was learned of it holds until the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    job: super::client::JobId,
    running_since: Option<i64>,
    vertices: Vec<(VertexId, u32, Option<i64>)>,
}

impl Attempt {
    /// The run that an answer speaks of.
    pub(super) fn of(detail: &JobDetail) -> Self {
        let vertices = detail.vertices.iter().map(|vertex| (vertex.id.clone(), vertex.parallelism, vertex.start_time));
        Self { job: detail.id.clone(), running_since: detail.running_since(), vertices: vertices.collect() }
    }
}

/// The earliest moment, in milliseconds since 1970, at which every task can have begun to run. Errors complete "SERVER: ...": the job is on
/// its way to run, or is not going to.
pub(super) fn earliest(detail: &JobDetail, wanted: &Wanted) -> Result<i64, ReadError> {
    let settling = |what: String| Err(ReadError::query(ReadErrorKind::Settling, what));
    let state = detail.state;
    if state.is_beginning() {
        return settling(format!("{} is {}", wanted.shown(), state.name()));
    }
    if state != JobState::Running {
        return Err(wanted.ended(state));
    }
    if detail.vertices.is_empty() || !detail.vertices.iter().all(super::client::jobs::Vertex::runs) {
        return settling(format!("not all tasks of {} run", wanted.shown()));
    }
    let starts = detail.vertices.iter().filter_map(|vertex| vertex.start_time);
    let earliest = starts.chain(detail.running_since()).max();
    // Flink tells it of everything that runs; without it nothing can be counted from.
    earliest.map_or_else(|| settling(format!("{} does not say since when it runs", wanted.shown())), Ok)
}

/// Since when the subtasks of one vertex run, by how long each has; none if Flink does not say, or one does not run.
pub(super) fn since(vertex: &VertexDetail) -> Option<i64> {
    let since = |subtask: &super::client::jobs::Subtask| match subtask.status {
        // It runs no more, so it was early enough.
        TaskState::Finished => Some(i64::MIN),
        TaskState::Running => {
            let span = subtask.status_duration.get(&TaskState::Running).filter(|span| **span >= 0)?;
            Some(vertex.now - span)
        }
        _ => None,
    };
    let all: Option<Vec<i64>> = vertex.subtasks.iter().map(since).collect();
    all?.into_iter().max()
}

/// The error of a job that has run for less than `wait` milliseconds.
pub(super) fn too_early(now: i64, since: i64, wait: u64, wanted: &Wanted) -> Result<(), ReadError> {
    let ran = u64::try_from(now.saturating_sub(since)).unwrap_or_default();
    if ran >= wait {
        return Ok(());
    }
    let what = format!("{} has begun to run just now", wanted.shown());
    Err(ReadError::query(ReadErrorKind::Settling, what))
}

#[cfg(test)]
#[path = "settling_tests.rs"]
mod tests;
