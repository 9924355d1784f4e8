//! Snapshots for the tests of this module.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_calculator::decision::{Decision, Effects, Health, Limit};
use tidegate_calculator::observation::{Evidence, TargetState};
use tidegate_calculator::policy::Policy;
use tidegate_calculator::source::{Measured, MetricSpec, MetricType, Milli, Reading, TriggerSpec};
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::snapshot::{Phase, Snapshot};
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
