//! The JSON form of objects: what `GET /api/v1/objects` answers and `tidegate explain -o json` prints.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::source::{MetricSpec, Milli, Reading};
use tidegate_calculator::time::Span;
use tidegate_engine::protocol::LastChange;
use tidegate_engine::snapshot::{Phase, Snapshot};
use tidegate_engine::subject::{Finding, Trigger};

use super::explanation::{explain, seconds};
use super::operations::OperationsView;

/// One object. Times are RFC 3339 in UTC, ages and lags are seconds; what is not known is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectView {
    namespace: String,
    name: String,
    target: TargetView,
    /// `Starting`, `Running`, `Paused`, `Held`, `Refused`, `TargetFailed` or `Quarantined`.
    phase: &'static str,
    /// What is wrong, in the phases in which something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_replicas: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_replicas: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_replicas: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    existing_replicas: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready_replicas: Option<u32>,
    #[serde(flatten)]
    decision: Option<DecisionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_active_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_change: Option<ChangeView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_check: Option<Timestamp>,
    triggers: Vec<TriggerView>,
    /// What is wrong with the object's text, if it is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<FindingView>,
    /// What its hooks do.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<OperationsView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<ExplanationView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetView {
    api_version: String,
    kind: String,
    name: String,
}

/// The last decision.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DecisionView {
    desired_replicas: u32,
    limited_by: &'static str,
    health: &'static str,
    active: bool,
    decided_at: Timestamp,
    decision_lag_seconds: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeView {
    at: Timestamp,
    from: u32,
    to: u32,
    why: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TriggerView {
    index: usize,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `Unread`, `Good`, `Settling` or `Failed`.
    state: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<TriggerErrorView>,
    /// The time since it last gave a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<f64>,
    /// Reads that failed since the start.
    errors: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MetricView {
    name: String,
    #[serde(rename = "type")]
    metric_type: String,
    value: serde_json::Number,
    target: serde_json::Number,
    active: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TriggerErrorView {
    reason: &'static str,
    message: String,
    since: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FindingView {
    severity: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    allowed: String,
}

#[derive(Debug, Serialize)]
struct ExplanationView {
    heading: String,
    lines: Vec<String>,
}

impl ObjectView {
    /// The whole object, with its explanation.
    pub fn full(snapshot: &Snapshot) -> Self {
        let explanation = explain(snapshot);
        let explanation = ExplanationView { heading: explanation.heading, lines: explanation.lines };
        Self { explanation: Some(explanation), ..Self::brief(snapshot) }
    }

    /// The object without its explanation: for lists, where text for thousands of objects would help nobody.
    pub fn brief(snapshot: &Snapshot) -> Self {
        let policy = snapshot.subject.as_ref().map(|subject| &subject.policy);
        let target = &snapshot.target;
        Self {
            namespace: snapshot.id.namespace.to_string(),
            name: snapshot.id.name.to_string(),
            target: TargetView {
                api_version: target.api_version.to_string(),
                kind: target.kind.to_string(),
                name: target.name.to_string(),
            },
            phase: snapshot.phase.reason(),
            message: message(&snapshot.phase),
            min_replicas: policy.map(|policy| policy.min),
            max_replicas: policy.map(|policy| policy.max),
            idle_replicas: policy.and_then(|policy| policy.idle),
            replicas: snapshot.seen.map(|seen| seen.replicas),
            existing_replicas: snapshot.seen.map(|seen| seen.existing),
            ready_replicas: snapshot.seen.and_then(|seen| seen.ready),
            decision: DecisionView::of(snapshot),
            last_active_time: snapshot.last_active,
            last_change: snapshot.last_change.as_ref().map(ChangeView::of),
            next_check: snapshot.next_check.map(|next| snapshot.now.wall_of(next)),
            triggers: triggers_of(snapshot),
            findings: findings(&snapshot.phase),
            operations: OperationsView::of(snapshot),
            explanation: None,
        }
    }
}

impl DecisionView {
    fn of(snapshot: &Snapshot) -> Option<Self> {
        let (decision, at) = snapshot.decision.as_ref()?;
        Some(Self {
            desired_replicas: decision.desired,
            limited_by: decision.limited_by.reason(),
            health: decision.health.reason(),
            active: decision.active,
            decided_at: snapshot.now.wall_of(*at),
            decision_lag_seconds: seconds(snapshot.decision_lag),
        })
    }
}

impl ChangeView {
    fn of(change: &LastChange) -> Self {
        Self { at: change.at, from: change.from, to: change.to, why: change.why.clone() }
    }
}

fn triggers_of(snapshot: &Snapshot) -> Vec<TriggerView> {
    let Some(subject) = &snapshot.subject else {
        return Vec::new();
    };
    let each = subject.triggers.iter().enumerate();
    each.map(|(index, trigger)| TriggerView::of(snapshot, index, trigger)).collect()
}

impl TriggerView {
    fn of(snapshot: &Snapshot, index: usize, trigger: &Trigger) -> Self {
        let evidence = snapshot.evidence.get(index);
        let (state, metrics, error) = match evidence {
            None | Some(Evidence::Unread) => ("Unread", Vec::new(), None),
            Some(Evidence::Good { readings, .. }) => ("Good", readings.iter().map(MetricView::of).collect(), None),
            Some(Evidence::Failed { error, since, .. } | Evidence::Settling { error, since, .. }) => {
                let state = if matches!(evidence, Some(Evidence::Failed { .. })) { "Failed" } else { "Settling" };
                let since = snapshot.now.wall_of(*since);
                let (reason, message) = (error.reason(), error.to_string());
                (state, Vec::new(), Some(TriggerErrorView { reason, message, since }))
            }
        };
        let age: Option<Span> = evidence.and_then(Evidence::last_good).map(|at| at.age(snapshot.now.tick));
        Self {
            index,
            kind: trigger.spec.kind.clone(),
            name: trigger.spec.name.clone(),
            state,
            metrics,
            error,
            age_seconds: age.map(seconds),
            errors: snapshot.errors.get(index).copied().unwrap_or(0),
        }
    }
}

impl MetricView {
    fn of((metric, reading): &(MetricSpec, Reading)) -> Self {
        Self {
            name: metric.name.clone(),
            metric_type: metric.metric_type.to_string(),
            value: number(reading.value.total()),
            target: number(metric.target),
            active: reading.active,
        }
    }
}

/// What is wrong, in the phases in which something is.
fn message(phase: &Phase) -> Option<String> {
    match phase {
        Phase::Starting | Phase::Running | Phase::Paused => None,
        Phase::Refused(findings) => Some(findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        Phase::Held(hold) => Some(hold.message.clone()),
        Phase::TargetFailed(error) => Some(error.to_string()),
        Phase::Quarantined(panic) => Some(panic.clone()),
    }
}

fn findings(phase: &Phase) -> Vec<FindingView> {
    let Phase::Refused(findings) = phase else {
        return Vec::new();
    };
    findings.iter().map(FindingView::of).collect()
}

impl FindingView {
    fn of(finding: &Finding) -> Self {
        Self {
            severity: finding.severity.word(),
            path: finding.problem.path.clone(),
            value: finding.problem.value.clone(),
            allowed: finding.problem.allowed.clone(),
        }
    }
}

/// A JSON number in units: whole where it is whole.
fn number(value: Milli) -> serde_json::Number {
    if value.0 % 1000 == 0 {
        return (value.0 / 1000).into();
    }
    value.to_string().parse().unwrap_or_else(|_| 0.into())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::snapshot;
    use super::*;
    use serde_json::json;
    use tidegate_calculator::source::{ReadError, ReadErrorKind};

    #[test]
    fn a_running_object_shows_counts_triggers_and_its_explanation() {
        let view = serde_json::to_value(ObjectView::full(&snapshot("orders", 3))).unwrap();
        assert_eq!(view["target"], json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders"}));
        assert_eq!(
            (&view["replicas"], &view["desiredReplicas"], &view["maxReplicas"]),
            (&json!(3), &json!(3), &json!(10))
        );
        assert_eq!((&view["limitedBy"], &view["health"]), (&json!("Metrics"), &json!("ScaledObjectReady")));
        assert_eq!(view["nextCheck"], "2026-11-25T12:04:46Z");
        let metric =
            json!({"name": "s0-redis-jobs", "type": "AverageValue", "value": 790, "target": 100, "active": true});
        assert_eq!(
            view["triggers"],
            json!([{"index": 0, "type": "redis", "state": "Good", "metrics": [metric], "ageSeconds": 0.4, "errors": 0}])
        );
        assert!(view["explanation"]["heading"].as_str().unwrap().starts_with("shop/orders  Deployment/orders"));
        assert!(view.get("findings").is_none() && view.get("message").is_none(), "{view}");
    }

    #[test]
    fn a_trigger_that_settles_has_a_state_of_its_own() {
        let mut snapshot = snapshot("orders", 7);
        let error = ReadError::query(ReadErrorKind::Settling, "it has just begun");
        snapshot.evidence = vec![Evidence::Unread.after(error, snapshot.now.tick)];
        let view = serde_json::to_value(&triggers_of(&snapshot)[0]).unwrap();
        let error = json!({"reason": "TriggerSettling", "message": "it has just begun", "since": snapshot.now.wall.to_string()});
        assert_eq!((&view["state"], &view["error"]), (&json!("Settling"), &error), "{view}");
    }

    #[test]
    fn numbers_keep_their_thousandths() {
        let text: Vec<String> =
            [790_000, 500, -1, 12_250].iter().map(|milli| number(Milli(*milli)).to_string()).collect();
        assert_eq!(text, ["790", "0.5", "-0.001", "12.25"]);
    }
}
