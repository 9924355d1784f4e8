//! What a record shows of an operation, for people: the same fields that the API and the explanation tell.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_calculator::operation::summary::{JobSummary, SnapshotSummary, Summary};
use tidegate_crds::scale_record::{OperationJob, OperationSnapshot, OperationSummary};

use crate::kubernetes::status::{LONGEST_MESSAGE, count, cut, seconds};

/// The form that a record has.
pub(super) fn shown(summary: &Summary) -> OperationSummary {
    let text = |text: &str| (!text.is_empty()).then(|| cut(text.to_owned(), LONGEST_MESSAGE));
    OperationSummary {
        id: text(&summary.id),
        direction: text(summary.direction.as_str()),
        from: Some(count(summary.from)),
        to: Some(count(summary.to)),
        strategy: summary.strategy.map(|strategy| strategy.as_str().to_owned()),
        why: text(&summary.why),
        phase: text(summary.phase.as_str()),
        began: time(summary.began),
        since: time(summary.since),
        attempt: Some(count(summary.attempt)),
        waits_for: summary.waits_for.as_deref().and_then(text),
        reason: summary.reason.clone(),
        message: summary.message.as_deref().and_then(text),
        jobs: summary.jobs.iter().map(job).collect(),
        more_jobs: Some(count(summary.more_jobs)).filter(|more| *more > 0),
        snapshot: summary.snapshot.as_ref().map(snapshot),
    }
}

fn job(job: &JobSummary) -> OperationJob {
    OperationJob {
        name: job.name.clone(),
        id: Some(job.id.clone()).filter(|id| !id.is_empty()),
        state: Some(job.state.as_str().to_owned()),
        snapshot_attempt: Some(count(job.snapshot_attempt)).filter(|attempt| *attempt > 0),
        snapshot: job.snapshot.as_ref().map(snapshot),
    }
}

fn snapshot(snapshot: &SnapshotSummary) -> OperationSnapshot {
    OperationSnapshot {
        kind: Some(snapshot.kind.as_str().to_owned()),
        id: snapshot.id.and_then(|id| i64::try_from(id).ok()),
        path: snapshot.path.clone(),
        completed: snapshot.completed.and_then(time),
    }
}

/// To the second, as every time of a record.
fn time(milliseconds: i64) -> Option<Time> {
    Timestamp::from_millisecond(milliseconds).ok().map(|at| Time(seconds(at)))
}
