//! Says in plain words what an object is doing and why: the one text that the API, the command line and logs share.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tidegate_calculator::explain;
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::operation::summary::Summary;
use tidegate_calculator::policy::Policy;
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::protocol::TargetError;
use tidegate_engine::snapshot::{OperationWait, Operations, Phase, Snapshot};
use tidegate_engine::subject::{Finding, Hold, Subject};

use super::triggers;

/// An explanation: a heading, and one line a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// `shop/orders  Deployment/orders  3 -> 7   12:04:31, next check in 15 s`.
    pub heading: String,
    /// Everything below it; each line begins with a space.
    pub lines: Vec<String>,
}

impl Explanation {
    /// The explanation as one text, with a line break at its end.
    pub fn text(&self) -> String {
        let mut text = self.heading.clone();
        for line in &self.lines {
            text.push('\n');
            text.push_str(line);
        }
        text.push('\n');
        text
    }
}

/// Explains what an object is doing at the moment of its snapshot. Times of day are UTC.
pub fn explain(snapshot: &Snapshot) -> Explanation {
    let heading = format!("{}  {}  {}   {}", snapshot.id, snapshot.target, replicas(snapshot), moment(snapshot));
    let mut lines = match &snapshot.phase {
        Phase::Starting => starting(snapshot),
        Phase::Running => decided(snapshot),
        Phase::Paused => paused(snapshot),
        Phase::Held(hold) => held(snapshot, hold),
        Phase::Refused(findings) => refused(snapshot, findings),
        Phase::TargetFailed(error) => target_failed(snapshot, error),
        Phase::Quarantined(panic) => quarantined(snapshot, panic),
    };
    lines.extend(snapshot.operations.iter().flat_map(|operations| operated(operations, snapshot)));
    Explanation { heading, lines }
}

/// What hooks do, or wait for.
fn operated(operations: &Operations, snapshot: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(running) = &operations.running {
        let words = &running.explanation;
        lines.push(format!(" operation: {}", words.headline));
        lines.push(format!("  waits for {}", words.waiting));
        if running.summary.attempt > 1 {
            lines.push(format!("  attempt {}: the change was not made before", running.summary.attempt));
        }
        lines.extend(words.jobs.iter().map(|job| format!("  job {job}")));
        lines.extend(words.reasons.iter().map(|reason| format!("  {reason}")));
    }
    lines.extend(operations.waits.map(|wait| match wait {
        OperationWait::Until(direction, until) => {
            let left = snapshot.now.tick.age(until);
            format!(" the next {} waits {left} for the pause after the last operation", direction.as_str())
        }
        OperationWait::Changed(direction) => format!(
            " the next {} waits for a change of the object or a policy: the last operation failed because of a setting",
            direction.as_str()
        ),
        OperationWait::Unreadable(direction) => format!(
            " no {} happens: what is stored of an operation cannot be read; take it out of the record",
            direction.as_str()
        ),
    }));
    lines.extend(operations.last.as_deref().map(|last| ended(last, snapshot.now)));
    lines.extend(
        operations
            .stopped
            .iter()
            .map(|job| format!(" job {} is stopped by us and should run, for {} by now", job.name, job.lasting)),
    );
    // While an operation runs it tells of the jobs itself.
    let parked = operations.parked.iter().filter(|_| operations.running.is_none());
    lines.extend(parked.map(|job| {
        let path = job.path.as_deref().unwrap_or("a path that is not known");
        format!(" job {} is stopped, its savepoint is at {path}", job.name)
    }));
    let told = operations.conditions.iter().filter(|condition| condition.holds);
    lines.extend(told.map(|condition| format!(" {}: {}", condition.name, condition.message)));
    lines
}

/// How the last operation ended, in one line.
fn ended(last: &Summary, now: Now) -> String {
    let strategy = last.strategy.map_or(String::new(), |strategy| format!(" ({})", strategy.as_str()));
    let ago = Span(now.wall.as_millisecond().saturating_sub(last.since).max(0));
    let took = Span(last.since.saturating_sub(last.began).max(0));
    let why = match (&last.reason, &last.message) {
        (Some(reason), Some(message)) => format!(": {message} ({reason})"),
        _ => String::new(),
    };
    let (direction, from, to, phase) = (last.direction.as_str(), last.from, last.to, last.phase.as_str());
    format!(" last operation: {direction} {from} -> {to}{strategy}, {phase} {ago} ago after {took}{why}")
}

/// The decision that would have been acted on, and why it was not.
fn held(snapshot: &Snapshot, hold: &Hold) -> Vec<String> {
    let mut lines = decided(snapshot);
    lines.push(format!(" not acted on: {}", hold.message));
    lines
}

/// The counts before and after the last decision; one count if it changed nothing.
fn replicas(snapshot: &Snapshot) -> String {
    let Some(seen) = snapshot.seen else {
        return "replicas unknown".to_owned();
    };
    let now = seen.replicas;
    let written = snapshot.decision.as_ref().and_then(|(decision, _)| decision.write);
    match (written, &snapshot.last_change) {
        (Some(to), _) if to != now => format!("{now} -> {to}"),
        // The write that the decision wanted has been done: the count before it stands in the change.
        (Some(to), Some(change)) if change.to == to => format!("{} -> {to}", change.from),
        _ => format!("stays {now}"),
    }
}

/// When the decision was made and when the next one comes; for an object without one, what keeps it from being decided.
fn moment(snapshot: &Snapshot) -> String {
    let decided = snapshot.decision.as_ref().map_or(snapshot.now.tick, |(_, at)| *at);
    let (time, state) = match &snapshot.phase {
        Phase::Running | Phase::Paused | Phase::Held(_) if snapshot.decision.is_some() => (decided, None),
        Phase::Starting | Phase::Running | Phase::Held(_) => (snapshot.now.tick, Some("starting")),
        Phase::Paused => (snapshot.now.tick, Some("paused")),
        Phase::Refused(_) => (snapshot.now.tick, Some("refused")),
        Phase::TargetFailed(_) => (snapshot.now.tick, Some("target cannot be read")),
        Phase::Quarantined(_) => return format!("{}, left alone", time_of_day(snapshot.now.wall)),
    };
    let mut text = time_of_day(snapshot.now.wall_of(time));
    if let Some(state) = state {
        text.push_str(", ");
        text.push_str(state);
    }
    if let Some(next) = snapshot.next_check
        && !matches!(snapshot.phase, Phase::Refused(_))
    {
        text.push_str(&next_check(next, snapshot.now.tick));
    }
    text
}

fn next_check(next: Tick, now: Tick) -> String {
    if next <= now {
        return ", next check now".to_owned();
    }
    format!(", next check in {}", next - now)
}

/// `12:04:31`, in UTC.
fn time_of_day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string()
}

fn decided(snapshot: &Snapshot) -> Vec<String> {
    match (&snapshot.subject, &snapshot.decision) {
        (Some(subject), Some((decision, _))) => {
            let mut lines = explain::lines(&named(subject), &snapshot.evidence, decision, snapshot.now);
            lines.extend(subject.faults.iter().map(|fault| format!(" a policy takes no part: {}", fault.message)));
            lines
        }
        _ => starting(snapshot),
    }
}

/// The policy with a name for every trigger: one that fails has no metric to be called by, but people must see which one it is.
fn named(subject: &Subject) -> Policy {
    let mut policy = subject.policy.clone();
    for (of, trigger) in policy.triggers.iter_mut().zip(&subject.triggers) {
        of.name = of.name.take().or_else(|| triggers::name(&trigger.spec));
    }
    policy
}

fn paused(snapshot: &Snapshot) -> Vec<String> {
    let lines = match &snapshot.decision {
        Some(_) => decided(snapshot),
        None => Vec::new(),
    };
    if !lines.is_empty() {
        return lines;
    }
    vec![" paused by an annotation (autoscaling.keda.sh/paused or autoscaling.keda.sh/paused-replicas)".to_owned()]
}

fn starting(snapshot: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    if snapshot.seen.is_none() {
        lines.push(format!(" {} has not been seen yet", snapshot.target));
    }
    lines.extend(trigger_states(snapshot));
    lines.push(
        " nothing is decided before the target was seen and every trigger has answered once or failed".to_owned(),
    );
    lines
}

/// One line a trigger: what it last said, in columns.
fn trigger_states(snapshot: &Snapshot) -> Vec<String> {
    let Some(subject) = &snapshot.subject else {
        return Vec::new();
    };
    let labels: Vec<String> = subject.triggers.iter().map(|trigger| triggers::label(&trigger.spec)).collect();
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let state = |evidence: Option<&Evidence>| match evidence {
        None | Some(Evidence::Unread) => "not read yet".to_owned(),
        Some(Evidence::Good { at, .. }) => format!("read {} ago", at.age(snapshot.now.tick)),
        Some(Evidence::Failed { error, since, .. }) => {
            format!("failing for {}: {} ({})", since.age(snapshot.now.tick), error, error.reason())
        }
        Some(Evidence::Settling { error, since, .. }) => {
            format!("settling for {}: {error}", since.age(snapshot.now.tick))
        }
    };
    let states = (0..labels.len()).map(|index| state(snapshot.evidence.get(index)));
    labels.iter().zip(states).map(|(label, state)| format!(" {label:width$}   {state}")).collect()
}

fn refused(snapshot: &Snapshot, findings: &[Finding]) -> Vec<String> {
    let mut lines = vec![format!(" this object cannot be obeyed, so {} until its text is mended:", kept(snapshot))];
    lines.extend(findings.iter().map(|finding| format!("  {finding}")));
    lines
}

fn target_failed(snapshot: &Snapshot, error: &TargetError) -> Vec<String> {
    let advice = match error {
        TargetError::NotFound(_) => "create it, or mend spec.scaleTargetRef",
        TargetError::NotScalable(_) => "name something that can be scaled in spec.scaleTargetRef",
        TargetError::Unavailable(_) => "it is tried again at the next check",
    };
    let mut lines = vec![
        format!(" the target cannot be read: {error} ({})", error.reason()),
        format!(" nothing is decided until it can be; {advice}"),
    ];
    lines.extend(trigger_states(snapshot));
    lines
}

fn quarantined(snapshot: &Snapshot, panic: &str) -> Vec<String> {
    vec![
        format!(" deciding about this object hit a defect of Tidegate: {panic}"),
        format!(" it is left alone, so {}, until its spec changes; please report this", kept(snapshot)),
    ]
}

/// What becomes of the replicas of an object that nobody decides about.
fn kept(snapshot: &Snapshot) -> String {
    match snapshot.seen {
        Some(seen) if seen.replicas == 1 => "its target keeps its 1 replica".to_owned(),
        Some(seen) => format!("its target keeps its {} replicas", seen.replicas),
        None => "its target keeps its replicas".to_owned(),
    }
}

/// Seconds as a number, for JSON and metrics.
#[expect(clippy::cast_precision_loss, reason = "milliseconds stay far below 2^52")]
pub(crate) fn seconds(span: Span) -> f64 {
    span.0 as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{decision, operations, snapshot};
    use super::*;
    use std::sync::Arc;
    use tidegate_calculator::decision::{Decision, Step};
    use tidegate_calculator::operation::Direction;
    use tidegate_calculator::operation::progress::Parked;
    use tidegate_calculator::source::{Problem, ReadError, ReadErrorKind};
    use tidegate_engine::protocol::{LastChange, OperationCondition};
    use tidegate_engine::subject::Severity;

    #[test]
    fn the_heading_shows_the_change_before_and_after_its_write() {
        let mut snapshot = snapshot("orders", 3);
        snapshot.decision = Some((Arc::new(decision(Some(7), 7)), snapshot.now.tick));
        let expected = "shop/orders  Deployment/orders  3 -> 7   12:04:31, next check in 15 s";
        assert_eq!(explain(&snapshot).heading, expected);
        let at = snapshot.now.wall;
        snapshot.last_change = Some(LastChange { at, from: 3, to: 7, why: String::new() });
        snapshot.seen.as_mut().unwrap().replicas = 7;
        assert_eq!(explain(&snapshot).heading, expected);
        snapshot.decision = Some((Arc::new(decision(None, 7)), snapshot.now.tick - Span::seconds(10)));
        snapshot.next_check = Some(snapshot.now.tick);
        let expected = "shop/orders  Deployment/orders  stays 7   12:04:21, next check now";
        assert_eq!(explain(&snapshot).heading, expected);
    }

    #[test]
    fn a_refused_object_names_its_findings() {
        let mut snapshot = snapshot("orders", 1);
        let problem = Problem {
            path: "maxReplicaCount".into(),
            value: Some("0".into()),
            allowed: "is not an integer >= 1".into(),
        };
        snapshot.phase = Phase::Refused(vec![Finding { problem, severity: Severity::Error }]);
        let text = explain(&snapshot).text();
        let expected = "shop/orders  Deployment/orders  stays 1   12:04:31, refused\n \
            this object cannot be obeyed, so its target keeps its 1 replica until its text is mended:\n  \
            error maxReplicaCount: \"0\" is not an integer >= 1\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_starting_object_says_what_it_waits_for() {
        let mut snapshot = snapshot("orders", 1);
        snapshot.phase = Phase::Starting;
        (snapshot.seen, snapshot.next_check) = (None, None);
        snapshot.evidence = vec![Evidence::Failed {
            error: ReadError::query(ReadErrorKind::Timeout, "no answer from redis:6379 within 3 s"),
            since: snapshot.now.tick - Span::seconds(4),
            good: None,
        }];
        let explanation = explain(&snapshot);
        assert_eq!(explanation.heading, "shop/orders  Deployment/orders  replicas unknown   12:04:31, starting");
        assert_eq!(
            explanation.lines[..2],
            [
                " Deployment/orders has not been seen yet",
                " redis jobs   failing for 4 s: no answer from redis:6379 within 3 s (TriggerTimeout)"
            ]
        );
    }

    #[test]
    fn a_trigger_that_settles_is_no_failure() {
        let mut snapshot = snapshot("orders", 1);
        (snapshot.phase, snapshot.decision) = (Phase::Starting, None);
        let error = ReadError::query(ReadErrorKind::Settling, "a vertex has not run for 1 m");
        snapshot.evidence = vec![Evidence::Unread.after(error, snapshot.now.tick - Span::seconds(4))];
        let lines = explain(&snapshot).lines;
        assert!(
            lines.contains(&" redis jobs   settling for 4 s: a vertex has not run for 1 m".to_owned()),
            "{lines:?}"
        );
    }

    #[test]
    fn a_failing_trigger_without_a_name_is_called_by_what_it_counts() {
        let mut snapshot = snapshot("orders", 3);
        let (since, message) = (snapshot.now.tick, "connection refused".to_owned());
        let failed = Step::Failed { trigger: 0, kind: ReadErrorKind::Unavailable, message, since };
        snapshot.decision = Some((Arc::new(Decision { steps: vec![failed], ..decision(None, 3) }), since));
        let lines = explain(&snapshot).lines;
        assert!(lines[0].starts_with(" redis jobs ") && lines[0].contains("connection refused"), "{lines:?}");
    }

    #[test]
    fn other_phases_say_what_to_do() {
        let mut snapshot = snapshot("orders", 4);
        let missing = TargetError::NotFound("Deployment shop/orders".into());
        snapshot.phase = Phase::TargetFailed(missing);
        let explanation = explain(&snapshot);
        assert_eq!(
            explanation.lines[0],
            " the target cannot be read: Deployment shop/orders does not exist (TargetNotFound)"
        );
        assert!(explanation.lines[1].ends_with("create it, or mend spec.scaleTargetRef"), "{:?}", explanation.lines);
        snapshot.phase = Phase::Quarantined("index out of bounds".into());
        assert!(explain(&snapshot).text().contains("its target keeps its 4 replicas, until its spec changes"));
        snapshot.phase = Phase::Paused;
        snapshot.decision = None;
        assert!(explain(&snapshot).lines[0].starts_with(" paused by an annotation"));
    }

    #[test]
    fn what_hooks_wait_for_and_have_stopped_is_said() {
        let mut snapshot = snapshot("orders", 8);
        let before = explain(&snapshot).lines.len();
        let parked = Parked { name: "enrich".to_owned(), path: Some("s3://b/1".to_owned()), ..Parked::default() };
        let condition = |name: &str, holds| OperationCondition {
            name: name.to_owned(),
            holds,
            message: "three in a row".to_owned(),
            direction: Direction::ScaleDown,
        };
        snapshot.operations = Some(Box::new(Operations {
            waits: Some(OperationWait::Until(Direction::ScaleDown, snapshot.now.tick + Span::seconds(90))),
            parked: vec![parked],
            conditions: vec![condition("CheckpointsFailing", true), condition("JarMissing", false)],
            ..Operations::default()
        }));
        let expected = [
            " the next ScaleDown waits 1 m 30 s for the pause after the last operation",
            " job enrich is stopped, its savepoint is at s3://b/1",
            " CheckpointsFailing: three in a row",
        ];
        assert_eq!(explain(&snapshot).lines[before..], expected);
    }

    #[test]
    fn an_operation_says_its_attempt_the_last_one_how_it_ended() {
        let mut snapshot = snapshot("orders", 8);
        let before = explain(&snapshot).lines.len();
        snapshot.operations = Some(Box::new(operations(snapshot.now)));
        let expected = [
            " operation: ScaleDown 8 -> 3 (StopRestore): Restoring for 1 m, operation 0a",
            "  waits for enrich to run from its savepoint",
            "  attempt 2: the change was not made before",
            "  job enrich: stopped, savepoint at s3://b/1, 1 m 30 s old",
            " last operation: ScaleDown 8 -> 3 (StopRestore), Aborted 6 m ago after 40 s: a task failed; what helps: look at it (SnapshotFailed)",
            " job enrich is stopped by us and should run, for 1 m 30 s by now",
        ];
        assert_eq!(explain(&snapshot).lines[before..], expected);
    }
}
