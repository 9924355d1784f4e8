//! How what was read is told: a line a metric with aligned columns, or an array of objects for programs.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_calculator::source::{MetricSpec, MetricType, Milli, ReadErrorKind};
use tidegate_engine::subject::ObjectId;

use super::asks::{Asked, Asks};
use super::origin::Origin;

/// How long a failure may take before its time is told.
const NOTABLE: Duration = Duration::from_secs(1);

/// One metric that was read, or one trigger that could not be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// The object.
    pub(super) object: ObjectId,
    /// The trigger's position.
    pub(super) trigger: u8,
    /// The trigger's type.
    pub(super) kind: String,
    /// The trigger's name, else what it counts.
    pub(super) name: String,
    /// How long the read took; none if there was nothing to read.
    pub(super) took: Option<Duration>,
    /// What came of it.
    pub(super) outcome: Outcome,
}

/// What came of a read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// A value.
    Read {
        /// The metric.
        metric: MetricSpec,
        /// What is compared with the target, and what follows; none of the latter if the object cannot be obeyed.
        value: Milli,
        /// Whether the source is active.
        active: bool,
        /// What the metric alone asks for.
        asks: Option<Asks>,
    },
    /// None.
    Failed {
        /// The class of the failure.
        kind: ReadErrorKind,
        /// What went wrong.
        message: String,
        /// Where the credentials come from that may be to blame.
        credentials: Vec<Origin>,
    },
}

impl Outcome {
    /// A value with what was made of it.
    pub(super) fn read(metric: MetricSpec, value: Milli, active: bool, asked: Option<Asked>) -> Self {
        match asked {
            Some(Asked { shown, asks }) => Self::Read { metric, value: shown, active, asks: Some(asks) },
            None => Self::Read { metric, value, active, asks: None },
        }
    }
}

/// The first word of a line.
fn word(outcome: &Outcome) -> &'static str {
    let Outcome::Failed { kind, .. } = outcome else { return "OK" };
    match kind {
        ReadErrorKind::Config => "CONFIG",
        ReadErrorKind::Auth => "AUTH",
        ReadErrorKind::Unavailable => "UNAVAILABLE",
        ReadErrorKind::Timeout => "TIMEOUT",
        ReadErrorKind::Protocol => "PROTOCOL",
        ReadErrorKind::Settling => "SETTLING",
    }
}

/// Whether everything was read.
pub(super) fn all_read(lines: &[Line]) -> bool {
    lines.iter().all(|line| matches!(line.outcome, Outcome::Read { .. }))
}

/// The lines for people. Objects are named where there are several.
pub(super) fn text(lines: &[Line]) -> String {
    let several = lines.iter().any(|line| line.object != lines[0].object);
    let rows: Vec<(Vec<String>, String)> = lines.iter().map(|line| row(line, several)).collect();
    let columns = rows.iter().map(|(cells, _)| cells.len()).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|(cells, _)| cells.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (cells, rest) in &rows {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            // Writing to a text cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        line.push_str(rest);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The cells that are aligned, and what follows them.
fn row(line: &Line, several: bool) -> (Vec<String>, String) {
    let mut cells = vec![word(&line.outcome).to_owned()];
    if several {
        cells.push(line.object.to_string());
    }
    cells.extend([line.kind.clone(), line.name.clone()]);
    match &line.outcome {
        Outcome::Read { metric, value, active, asks } => {
            let percent = if metric.metric_type == MetricType::Utilization { "%" } else { "" };
            cells.push(format!("value={value}{percent}"));
            cells.push(format!("active={}", if *active { "yes" } else { "no" }));
            cells.push(line.took.map(shown).unwrap_or_default());
            (cells, asks.as_ref().map(|asks| format!("-> {asks}")).unwrap_or_default())
        }
        Outcome::Failed { message, .. } => {
            let mut rest = message.clone();
            if let Some(from) = blamed(&line.outcome) {
                let _ = write!(rest, "; {from}");
            }
            if let Some(took) = line.took.filter(|took| *took >= NOTABLE) {
                let _ = write!(rest, " (after {})", shown(took));
            }
            (cells, rest)
        }
    }
}

/// The credentials that may be to blame, in words.
fn blamed(outcome: &Outcome) -> Option<String> {
    let Outcome::Failed { kind, credentials, .. } = outcome else { return None };
    let all = credentials.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match kind {
        _ if !credentials.is_empty() => Some(all),
        ReadErrorKind::Auth => Some("the trigger gives no credentials".to_owned()),
        _ => None,
    }
}

/// `12ms`, `1.2s`, `10s`.
fn shown(took: Duration) -> String {
    match took.as_millis() {
        millis @ 0..1_000 => format!("{millis}ms"),
        millis @ 1_000..10_000 => format!("{}.{}s", millis / 1_000, millis % 1_000 / 100),
        millis => format!("{}s", millis / 1_000),
    }
}

impl fmt::Display for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replicas(replicas) => write!(f, "{replicas}"),
            Self::Times(ratio) => write!(f, "x{ratio:.2} of the Ready pods"),
            Self::Untold(why) => write!(f, "? ({why})"),
        }
    }
}

/// The lines for programs. All fields are always there; what is unknown is null.
pub(super) fn json(lines: &[Line]) -> Value {
    lines.iter().map(entry).collect()
}

fn entry(line: &Line) -> Value {
    let mut entry = json!({
        "object": line.object.to_string(),
        "trigger": line.trigger,
        "type": line.kind,
        "name": line.name,
        "result": word(&line.outcome),
        "milliseconds": line.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        "metric": null, "metricType": null, "target": null, "value": null, "active": null,
        "replicas": null, "ratio": null, "untold": null, "message": null, "credentials": [],
    });
    match &line.outcome {
        Outcome::Read { metric, value, active, asks } => {
            entry["metric"] = json!(metric.name);
            entry["metricType"] = json!(metric.metric_type.to_string());
            entry["target"] = number(metric.target);
            entry["value"] = number(*value);
            entry["active"] = json!(active);
            match asks {
                Some(Asks::Replicas(replicas)) => entry["replicas"] = json!(replicas),
                Some(Asks::Times(ratio)) => entry["ratio"] = json!(ratio),
                Some(Asks::Untold(why)) => entry["untold"] = json!(why),
                None => {}
            }
        }
        Outcome::Failed { message, credentials, .. } => {
            let origin = |origin: &Origin| json!({ "parameter": origin.parameter, "from": origin.from });
            entry["message"] = json!(message);
            entry["credentials"] = credentials.iter().map(origin).collect();
        }
    }
    entry
}

/// Units as a number: whole ones without a fraction.
#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 thousandths the last digits do not matter")]
fn number(value: Milli) -> Value {
    if value.0 % 1_000 == 0 { json!(value.0 / 1_000) } else { json!(value.0 as f64 / 1_000.0) }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
