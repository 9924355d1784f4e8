//! Reads the answer to an instant query; pure.

use serde_json::Value;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use crate::http::{Reply, word};

/// What counts as 0 because the user chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// An answer without a series.
    pub(super) empty_is_zero: bool,
    /// A value that is not a number, such as 0/0.
    pub(super) nan_is_zero: bool,
}

/// The number of an answer. Errors complete "SERVER: ...".
pub(super) fn number(reply: &Reply, rules: Rules) -> Result<f64, ReadError> {
    if !reply.status.is_success() {
        return Err(failure(reply));
    }
    let answer: Value = serde_json::from_slice(&reply.body)
        .map_err(|_| protocol("the answer is not JSON; is this the address of a Prometheus?"))?;
    if answer.get("status").and_then(Value::as_str) != Some("success") {
        return Err(told(&answer).unwrap_or_else(|| protocol("the answer says nothing of success")));
    }
    let data = answer.get("data");
    let result = data.and_then(|data| data.get("result")).ok_or_else(|| protocol("the answer has no result"))?;
    match data.and_then(|data| data.get("resultType")).and_then(Value::as_str) {
        Some("vector") => vector(result, rules),
        Some("scalar") => sample(result, rules),
        Some(other) => Err(config(&format!("the query gives a {}, not one number", word(other)))),
        None => Err(protocol("the answer does not say what the result is")),
    }
}

fn vector(result: &Value, rules: Rules) -> Result<f64, ReadError> {
    let series = result.as_array().ok_or_else(|| protocol("the vector is not a list"))?;
    match series.as_slice() {
        [] => empty(rules),
        [one] if one.get("histogram").is_some() => Err(config("the query gives a histogram, not one number")),
        [one] => sample(one.get("value").ok_or_else(|| protocol("the series has no value"))?, rules),
        _ => Err(config("the query gives more than one series; join them, for example with sum()")),
    }
}

/// A pair of time and value.
fn sample(pair: &Value, rules: Rules) -> Result<f64, ReadError> {
    let pair = pair.as_array().ok_or_else(|| protocol("the value is not a pair"))?;
    if pair.is_empty() {
        return empty(rules);
    }
    let text = pair.get(1).and_then(Value::as_str).ok_or_else(|| protocol("the value is not a number in quotes"))?;
    // Prometheus writes NaN, +Inf and -Inf, which Rust reads as well.
    let value: f64 = text.parse().map_err(|_| protocol("the value is not a number"))?;
    match value {
        nan if nan.is_nan() && rules.nan_is_zero => Ok(0.0),
        nan if nan.is_nan() => {
            Err(config("the value is NaN; \"ignoreNullValues: true\" in so many words takes it for 0"))
        }
        infinite if infinite.is_infinite() => Err(config("the value is infinite")),
        value => Ok(value),
    }
}

fn empty(rules: Rules) -> Result<f64, ReadError> {
    if rules.empty_is_zero { Ok(0.0) } else { Err(config("the query gives no series, and ignoreNullValues is false")) }
}

/// What a status that is no success means. Prometheus names the cause by a word of a short list.
fn failure(reply: &Reply) -> ReadError {
    let status = reply.failure();
    // Who we are and where we are sent does not depend on the query; a proxy may have said it.
    if status.kind == ReadErrorKind::Auth || reply.status.is_redirection() {
        return status;
    }
    serde_json::from_slice(&reply.body).ok().and_then(|answer: Value| told(&answer)).unwrap_or(status)
}

fn told(answer: &Value) -> Option<ReadError> {
    let cause = answer.get("errorType")?.as_str()?;
    Some(match cause {
        "bad_data" => config("does not accept the query (bad_data)"),
        "execution" => config("cannot work the query out (execution)"),
        "timeout" => ReadError::query(ReadErrorKind::Timeout, "gave up on the query (timeout)"),
        other => ReadError::query(ReadErrorKind::Unavailable, format!("failed ({})", word(other))),
    })
}

fn protocol(what: &str) -> ReadError {
    ReadError::query(ReadErrorKind::Protocol, what)
}

fn config(what: &str) -> ReadError {
    ReadError::query(ReadErrorKind::Config, what)
}
