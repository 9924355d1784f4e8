//! Says what the messages of a server mean: which metrics there are, and what they show. Nothing here waits or asks.

use std::collections::BTreeSet;

use tidegate_calculator::source::{MetricSpec, MetricType, Milli, ReadError, ReadErrorKind};

use super::wire::{GetMetricSpecResponse, GetMetricsResponse, MetricSpec as Said};

/// The most metrics of one trigger: each is a question of its own at every reading.
const MOST: usize = 64;

/// The longest name of a metric, in bytes: as long as a name in Kubernetes may be.
const LONGEST_NAME: usize = 253;

/// One metric of a trigger.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Metric {
    /// What the server calls it.
    pub(super) name: String,
    /// What everybody else sees of it.
    pub(super) spec: MetricSpec,
}

/// The metrics that a server names. Errors complete "SERVER: ...".
pub(super) fn metrics(
    said: &GetMetricSpecResponse,
    index: u8,
    metric_type: MetricType,
) -> Result<Vec<Metric>, ReadError> {
    let said = &said.metric_specs;
    if said.is_empty() || said.len() > MOST {
        return Err(flaw(format!("GetMetricSpec names not 1 to {MOST} metrics")));
    }
    let names: BTreeSet<&str> = said.iter().map(|metric| metric.metric_name.as_str()).collect();
    if names.len() < said.len() {
        return Err(flaw("GetMetricSpec names two metrics alike".to_owned()));
    }
    said.iter().map(|metric| one(metric, index, metric_type)).collect()
}

fn one(said: &Said, index: u8, metric_type: MetricType) -> Result<Metric, ReadError> {
    let name = &said.metric_name;
    if name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        let what =
            format!("GetMetricSpec names a metric that is longer than {LONGEST_NAME} bytes or cannot be printed");
        return Err(flaw(what));
    }
    let target = number(said.target_size_float, said.target_size).filter(|target| target.0 > 0);
    let target = target.ok_or_else(|| flaw(format!("GetMetricSpec gives {name:?} no target size greater than 0")))?;
    // Unlike all others, these names are not brought into another form: the server chose them.
    let spec = MetricSpec { name: format!("s{index}-{name}"), metric_type, target, exact: false };
    Ok(Metric { name: name.clone(), spec })
}

/// What a server says of the metric of this name: all of its values count, whatever they are called.
pub(super) fn values(said: &GetMetricsResponse, name: &str) -> Result<Vec<Milli>, ReadError> {
    if said.metric_values.is_empty() {
        return Err(flaw(format!("GetMetrics gives no value of {name:?}")));
    }
    let value = |float, whole| number(float, whole).map(|value| Milli(value.0.max(0)));
    let all = said.metric_values.iter().map(|said| value(said.metric_value_float, said.metric_value));
    all.collect::<Option<_>>().ok_or_else(|| flaw(format!("GetMetrics gives a value of {name:?} that is no number")))
}

/// The number with a fraction if it is greater than 0, else the whole one; none for what is no number at all.
#[expect(clippy::cast_possible_truncation, reason = "the cast ends at the edge of the range, as it should")]
fn number(float: f64, whole: i64) -> Option<Milli> {
    if !float.is_finite() {
        return None;
    }
    Some(if float > 0.0 { Milli((float * 1000.0).round() as i64) } else { Milli::units(whole) })
}

/// An answer that is none.
fn flaw(what: String) -> ReadError {
    ReadError::query(ReadErrorKind::Protocol, what)
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
