//! Snapshots for the tests of this module.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_calculator::decision::{Decision, Effects, Health, Limit};
use tidegate_calculator::observation::{Evidence, TargetState};
use tidegate_calculator::operation::bounds::LastUseful;
use tidegate_calculator::operation::explain::Explanation;
use tidegate_calculator::operation::summary::{JobCondition, JobSummary, SnapshotKind, SnapshotSummary, Summary};
use tidegate_calculator::operation::{self, Direction, Strategy};
use tidegate_calculator::policy::Policy;
use tidegate_calculator::source::{Measured, MetricSpec, MetricType, Milli, Reading, TriggerSpec};
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::snapshot::{OperationSeen, Operations, Phase, Snapshot, StoppedJob};
use tidegate_engine::subject::{ObjectId, References, Subject, TargetRef, Trigger};

/// A redis trigger without a name on this list, 100 items a replica.
pub(crate) fn redis(list: &str) -> TriggerSpec {
    let metadata = [("address", "127.0.0.1:1"), ("listName", list), ("listLength", "100")];
    TriggerSpec {
        kind: "redis".to_owned(),
        metadata: metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        ..TriggerSpec::default()
    }
}

/// An object of namespace `shop` with one redis trigger on the list `jobs`, bounds 0 to 10.
pub(crate) fn subject(name: &str) -> Subject {
    let id = ObjectId::new("shop", name);
    let target = TargetRef {
        namespace: "shop".into(),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: name.into(),
    };
    let references = References { target: target.clone(), container: None, authentication: None };
    let mut policy = Policy::with_defaults("redis");
    policy.max = 10;
    let triggers = vec![Trigger { spec: redis("jobs"), references }];
    Subject {
        uid: id.to_string().into(),
        id,
        generation: 1,
        created: "2026-11-25T12:00:00Z".parse().unwrap(),
        policy,
        triggers,
        target,
        hold: None,
        faults: Vec::new(),
        hooks: None,
    }
}

/// A decision without steps.
pub(crate) fn decision(write: Option<u32>, desired: u32) -> Decision {
    Decision {
        write,
        desired,
        limited_by: Limit::Metrics,
        lowers_by_metrics: false,
        fresh_after: None,
        active: true,
        health: Health::Good,
        next: None,
        effects: Effects::default(),
        steps: Vec::new(),
    }
}

/// A running object with 790 items waiting, looked at at 12:04:31.
pub(crate) fn snapshot(name: &str, replicas: u32) -> Snapshot {
    let subject = Arc::new(subject(name));
    let now = Now { tick: Tick(271_000), wall: "2026-11-25T12:04:31Z".parse().unwrap() };
    let metric = MetricSpec {
        name: "s0-redis-jobs".into(),
        metric_type: MetricType::AverageValue,
        target: Milli::units(100),
        exact: false,
    };
    let reading = Reading { value: Measured::Total(vec![Milli::units(790)]), active: true };
    let at = now.tick - Span(400);
    Snapshot {
        id: subject.id.clone(),
        target: subject.target.clone(),
        subject: Some(subject),
        phase: Phase::Running,
        seen: Some(TargetState { replicas, existing: replicas, ready: Some(replicas) }),
        evidence: vec![Evidence::Good { readings: vec![(metric, reading)], begun: at, at }],
        metrics: Vec::new(),
        decision: Some((Arc::new(decision(None, replicas)), now.tick)),
        decision_lag: Span(12),
        next_check: Some(now.tick + Span::seconds(15)),
        last_active: None,
        last_change: None,
        operations: None,
        errors: vec![0],
        now,
    }
}

/// A lowering in its second attempt that has stopped a job and runs it again, after one that failed.
pub(crate) fn operations(now: Now) -> Operations {
    let running = lowering(now);
    let last = Summary {
        id: "09".to_owned(),
        attempt: 1,
        phase: operation::Phase::Aborted,
        began: running.began - 280_000,
        since: running.began - 240_000,
        waits_for: None,
        jobs: Vec::new(),
        reason: Some("SnapshotFailed".to_owned()),
        message: Some("a task failed; what helps: look at it".to_owned()),
        ..running.clone()
    };
    let seen = OperationSeen {
        id: running.id.clone(),
        direction: running.direction,
        from: 8,
        to: 3,
        phase: running.phase,
        strategy: running.strategy,
        explanation: Explanation {
            headline: "ScaleDown 8 -> 3 (StopRestore): Restoring for 1 m, operation 0a".to_owned(),
            waiting: "enrich to run from its savepoint".to_owned(),
            jobs: vec!["enrich: stopped, savepoint at s3://b/1, 1 m 30 s old".to_owned()],
            reasons: Vec::new(),
        },
        summary: running,
    };
    Operations {
        running: Some(seen),
        last: Some(Box::new(last)),
        stopped: vec![StoppedJob { name: "enrich".to_owned(), lasting: Span::seconds(90) }],
        useful: Some(LastUseful { replicas: 6, slots: 11, slots_per: 2 }),
        holds_object: true,
        ..Operations::default()
    }
}

/// A lowering that has stopped its job 90 s ago.
pub(crate) fn lowering(now: Now) -> Summary {
    let before = |seconds: i64| now.wall.as_millisecond() - seconds * 1_000;
    let path = Some("s3://b/1".to_owned());
    let savepoint = SnapshotSummary { kind: SnapshotKind::Savepoint, id: None, path, completed: Some(before(90)) };
    let job = JobSummary {
        name: "enrich".to_owned(),
        id: "0b".to_owned(),
        state: JobCondition::Starting,
        snapshot_attempt: 0,
        snapshot: Some(savepoint),
    };
    Summary {
        id: "0a".to_owned(),
        direction: Direction::ScaleDown,
        from: 8,
        to: 3,
        attempt: 2,
        strategy: Some(Strategy::StopRestore),
        why: "the parallelism is fixed while a job runs".to_owned(),
        phase: operation::Phase::Restoring,
        began: before(120),
        since: before(60),
        waits_for: Some("enrich to run from its savepoint".to_owned()),
        jobs: vec![job],
        more_jobs: 0,
        snapshot: None,
        reason: None,
        message: None,
    }
}
