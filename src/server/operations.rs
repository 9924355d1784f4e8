//! The JSON form of an object's operations: the same fields that its ScaleRecord shows, and ages besides.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_calculator::operation::Strategy;
use tidegate_calculator::operation::bounds::LastUseful;
use tidegate_calculator::operation::summary::{JobSummary, SnapshotSummary, Summary};
use tidegate_calculator::time::{Now, Span};
use tidegate_engine::protocol::OperationCondition;
use tidegate_engine::snapshot::{OperationWait, Operations, Snapshot, StoppedJob};

use super::explanation::seconds;

/// What the hooks of an object do; what is not known, or not the case, is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperationsView {
    /// The operation that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<OperationView>,
    /// The operation that ended last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<OperationView>,
    /// Why a change that is wanted has begun no operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<WaitView>,
    /// Jobs that we stopped and that do not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stopped_jobs: Vec<StoppedView>,
    /// Above how many replicas more are of no use.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_useful: Option<UsefulView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<ConditionView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OperationView {
    id: String,
    direction: &'static str,
    from: u32,
    to: u32,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    /// Where it is, or how it ended.
    phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<Timestamp>,
    /// Since when it is there, or when it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    jobs: Vec<JobView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_jobs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<SnapshotView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobView {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot_attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<SnapshotView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotView {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WaitView {
    direction: &'static str,
    /// `Pause`, `Change` (of the object or of a policy) or `Unreadable`.
    #[serde(rename = "for")]
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StoppedView {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// For how long it should have run; absent for one that rests at zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UsefulView {
    replicas: u32,
    slots: u32,
    slots_per_task_manager: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConditionView {
    #[serde(rename = "type")]
    kind: String,
    status: &'static str,
    direction: &'static str,
    message: String,
}

impl OperationsView {
    /// What there is to say of a snapshot; none if there is nothing.
    pub(super) fn of(snapshot: &Snapshot) -> Option<Self> {
        let (operations, now) = (snapshot.operations.as_deref()?, snapshot.now);
        Some(Self {
            running: operations.running.as_ref().map(|running| OperationView::of(&running.summary, now)),
            last: operations.last.as_deref().map(|last| OperationView::of(last, now)),
            waits: operations.waits.map(|wait| WaitView::of(wait, now)),
            stopped_jobs: stopped(operations),
            last_useful: operations.useful.map(UsefulView::of),
            conditions: operations.conditions.iter().map(ConditionView::of).collect(),
        })
    }
}

impl OperationView {
    fn of(summary: &Summary, now: Now) -> Self {
        let time = |at| Timestamp::from_millisecond(at).ok();
        Self {
            id: summary.id.clone(),
            direction: summary.direction.as_str(),
            from: summary.from,
            to: summary.to,
            attempt: summary.attempt,
            strategy: summary.strategy.map(Strategy::as_str),
            why: summary.why.clone(),
            phase: summary.phase.as_str(),
            began: time(summary.began),
            since: time(summary.since),
            waits_for: summary.waits_for.clone(),
            reason: summary.reason.clone(),
            message: summary.message.clone(),
            jobs: summary.jobs.iter().map(|job| JobView::of(job, now)).collect(),
            more_jobs: Some(summary.more_jobs).filter(|more| *more > 0),
            snapshot: summary.snapshot.as_ref().map(|snapshot| SnapshotView::of(snapshot, now)),
        }
    }
}

impl JobView {
    fn of(job: &JobSummary, now: Now) -> Self {
        Self {
            name: job.name.clone(),
            id: job.id.clone(),
            state: job.state.as_str(),
            snapshot_attempt: Some(job.snapshot_attempt).filter(|attempt| *attempt > 0),
            snapshot: job.snapshot.as_ref().map(|snapshot| SnapshotView::of(snapshot, now)),
        }
    }
}

impl SnapshotView {
    fn of(snapshot: &SnapshotSummary, now: Now) -> Self {
        let age = |at: i64| seconds(Span(now.wall.as_millisecond().saturating_sub(at).max(0)));
        Self {
            kind: snapshot.kind.as_str(),
            id: snapshot.id,
            path: snapshot.path.clone(),
            completed: snapshot.completed.and_then(|at| Timestamp::from_millisecond(at).ok()),
            age_seconds: snapshot.completed.map(age),
        }
    }
}

impl WaitView {
    fn of(wait: OperationWait, now: Now) -> Self {
        let (direction, what, until) = match wait {
            OperationWait::Until(direction, until) => (direction, "Pause", Some(now.wall_of(until))),
            OperationWait::Changed(direction) => (direction, "Change", None),
            OperationWait::Unreadable(direction) => (direction, "Unreadable", None),
        };
        Self { direction: direction.as_str(), what, until }
    }
}

impl UsefulView {
    fn of(useful: LastUseful) -> Self {
        Self { replicas: useful.replicas, slots: useful.slots, slots_per_task_manager: useful.slots_per }
    }
}

impl ConditionView {
    fn of(condition: &OperationCondition) -> Self {
        Self {
            kind: condition.name.clone(),
            status: if condition.holds { "True" } else { "False" },
            direction: condition.direction.as_str(),
            message: condition.message.clone(),
        }
    }
}

/// Those that an operation has left stopped, and those that the present one has stopped.
fn stopped(operations: &Operations) -> Vec<StoppedView> {
    let missed = |name: &str| operations.stopped.iter().find(|job| job.name == name).map(|job| seconds(job.lasting));
    let parked = operations.parked.iter().filter(|_| operations.running.is_none());
    let mut all: Vec<StoppedView> = parked
        .map(|job| StoppedView { name: job.name.clone(), path: job.path.clone(), missed_seconds: missed(&job.name) })
        .collect();
    let others: Vec<&StoppedJob> =
        operations.stopped.iter().filter(|job| !all.iter().any(|known| known.name == job.name)).collect();
    all.extend(others.into_iter().map(|job| StoppedView {
        name: job.name.clone(),
        path: None,
        missed_seconds: Some(seconds(job.lasting)),
    }));
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tidegate_calculator::operation::Direction;
    use tidegate_calculator::operation::progress::Parked;
    use tidegate_calculator::time::Span;

    use super::super::api::ObjectView;
    use super::super::fixtures::{operations, snapshot};
    use super::*;

    fn shown(operations: Option<Operations>) -> Value {
        let mut object = snapshot("orders", 8);
        object.operations = operations.map(Box::new);
        serde_json::to_value(ObjectView::brief(&object)).unwrap()
    }

    #[test]
    fn a_running_operation_is_shown_with_its_snapshots_and_their_age() {
        let view = shown(Some(operations(snapshot("orders", 8).now)));
        let operations = &view["operations"];
        let running = json!({
            "id": "0a", "direction": "ScaleDown", "from": 8, "to": 3, "attempt": 2, "strategy": "StopRestore",
            "why": "the parallelism is fixed while a job runs", "phase": "Restoring",
            "began": "2026-11-25T12:02:31Z", "since": "2026-11-25T12:03:31Z",
            "waitsFor": "enrich to run from its savepoint",
            "jobs": [{
                "name": "enrich", "id": "0b", "state": "Starting",
                "snapshot": {
                    "kind": "Savepoint", "path": "s3://b/1", "completed": "2026-11-25T12:03:01Z", "ageSeconds": 90.0,
                },
            }],
        });
        assert_eq!(operations["running"], running);
        let last = &operations["last"];
        assert_eq!((&last["phase"], &last["reason"]), (&json!("Aborted"), &json!("SnapshotFailed")));
        assert_eq!(operations["stoppedJobs"], json!([{ "name": "enrich", "missedSeconds": 90.0 }]));
        assert_eq!(operations["lastUseful"], json!({ "replicas": 6, "slots": 11, "slotsPerTaskManager": 2 }));
    }

    #[test]
    fn what_is_left_behind_is_shown_too() {
        let parked = Parked { name: "enrich".to_owned(), path: Some("s3://b/1".to_owned()), ..Parked::default() };
        let now = snapshot("orders", 8).now;
        let condition = OperationCondition {
            name: "JarMissing".to_owned(),
            holds: true,
            message: "upload the jar".to_owned(),
            direction: Direction::FromZero,
        };
        let view = shown(Some(Operations {
            waits: Some(OperationWait::Until(Direction::FromZero, now.tick + Span::seconds(9))),
            parked: vec![parked],
            conditions: vec![condition],
            ..Operations::default()
        }));
        let expected = json!({
            "waits": { "direction": "FromZero", "for": "Pause", "until": "2026-11-25T12:04:40Z" },
            // It rests at zero: nobody misses it.
            "stoppedJobs": [{ "name": "enrich", "path": "s3://b/1" }],
            "conditions": [{
                "type": "JarMissing", "status": "True", "direction": "FromZero", "message": "upload the jar",
            }],
        });
        assert_eq!(view["operations"], expected);
        assert!(shown(None).get("operations").is_none());
    }
}
