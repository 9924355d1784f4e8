//! A recorded or made-up course of demand: what each trigger's source says from which moment on.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate_calculator::time::{Span, Tick};

use super::scripted::{Said, UnknownSaying};

/// What each source says over time. A word holds until the next one; before the first one, the source cannot be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    series: BTreeMap<String, BTreeMap<Tick, Said>>,
}

/// A trace that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A CSV line has not three fields.
    #[error("line {line}: {text:?} is not at,trigger,value")]
    Fields {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A time is not a number of seconds.
    #[error("entry {entry}: at: {text:?} is not a number of seconds >= 0")]
    Time {
        /// The line of a CSV text, the entry of a JSON text, from 1.
        entry: usize,
        /// What stands there.
        text: String,
    },
    /// A value is neither a number nor a failure.
    #[error("entry {entry}: value: {source}")]
    Value {
        /// The line of a CSV text, the entry of a JSON text, from 1.
        entry: usize,
        /// What stands there.
        source: UnknownSaying,
    },
    /// Not JSON of the expected form.
    #[error("the trace is not a JSON list of {{at, trigger, value}}: {0}")]
    Json(#[from] serde_json::Error),
}

impl TraceError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Fields { .. } | Self::Json(_) => "TraceMalformed",
            Self::Time { .. } => "TraceTimeMalformed",
            Self::Value { .. } => "TraceValueMalformed",
        }
    }
}

/// One entry of a JSON trace.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at: serde_json::Number,
    trigger: String,
    value: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Number(serde_json::Number),
    Text(String),
}

impl Trace {
    /// Reads lines of `at,trigger,value`: seconds since the start, what the trigger is called (`jobs`, `s0-redis-jobs`, or
    /// `NAMESPACE/OBJECT/jobs` where several objects have one of that name), and a number, `error` or `error:KIND`.
    /// A first line `at,trigger,value`, empty lines and lines that begin with `#` are skipped.
    pub fn from_csv(text: &str) -> Result<Self, TraceError> {
        let mut trace = Self::default();
        for (index, line) in text.lines().enumerate() {
            let (entry, line) = (index + 1, line.trim());
            if line.is_empty() || line.starts_with('#') || line == "at,trigger,value" {
                continue;
            }
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let [at, trigger, value] = fields[..] else {
                return Err(TraceError::Fields { line: entry, text: line.to_owned() });
            };
            trace.add(entry, at, trigger, value)?;
        }
        Ok(trace)
    }

    /// Reads a list of `{"at": 0, "trigger": "jobs", "value": 790}`; `value` may be a text as in [`Trace::from_csv`].
    pub fn from_json(text: &str) -> Result<Self, TraceError> {
        let lines: Vec<Line> = serde_json::from_str(text)?;
        let mut trace = Self::default();
        for (index, line) in lines.into_iter().enumerate() {
            let value = match line.value {
                Value::Number(number) => number.to_string(),
                Value::Text(text) => text,
            };
            trace.add(index + 1, &line.at.to_string(), &line.trigger, &value)?;
        }
        Ok(trace)
    }

    /// From `at` after the start on, the trigger of this name says `said`.
    pub fn say(&mut self, at: Span, trigger: &str, said: Said) {
        self.series.entry(trigger.to_owned()).or_default().insert(Tick(at.0), said);
    }

    /// What the trigger with these names says at `at`; the first name that the trace knows counts.
    pub(super) fn at<'a>(&self, names: impl IntoIterator<Item = &'a str>, at: Tick) -> Option<Said> {
        let series = names.into_iter().find_map(|name| self.series.get(name))?;
        series.range(..=at).next_back().map(|(_, said)| *said)
    }

    fn add(&mut self, entry: usize, at: &str, trigger: &str, value: &str) -> Result<(), TraceError> {
        let seconds = at.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
        let seconds = seconds.ok_or_else(|| TraceError::Time { entry, text: at.to_owned() })?;
        let said = value.parse().map_err(|source| TraceError::Value { entry, source })?;
        self.say(span(seconds), trigger, said);
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Rust's cast saturates, which is wanted")]
fn span(seconds: f64) -> Span {
    Span((seconds * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_calculator::source::{Milli, ReadErrorKind};

    #[test]
    fn csv_and_json_say_the_same() {
        let csv =
            Trace::from_csv("at,trigger,value\n# a burst\n0,jobs,0\n1.5, jobs, 40\n\n60,jobs,error:timeout\n").unwrap();
        let json = r#"[{"at": 0, "trigger": "jobs", "value": 0}, {"at": 1.5, "trigger": "jobs", "value": "40"},
            {"at": 60, "trigger": "jobs", "value": "error:timeout"}]"#;
        assert_eq!(csv, Trace::from_json(json).unwrap());
        let at = |ms| csv.at(["shop/orders/jobs", "jobs"], Tick(ms));
        assert_eq!((at(-1), at(1_499)), (None, Some(Said::Number(Milli(0)))));
        assert_eq!((at(1_500), at(59_999)), (Some(Said::Number(Milli::units(40))), at(1_500)));
        assert_eq!(at(1_000_000), Some(Said::Failure(ReadErrorKind::Timeout)));
        assert_eq!(csv.at(["mails"], Tick(0)), None);
    }

    #[test]
    fn errors_name_the_line_and_the_value() {
        let error = |text| Trace::from_csv(text).unwrap_err().to_string();
        assert_eq!(error("0,jobs"), "line 1: \"0,jobs\" is not at,trigger,value");
        assert_eq!(error("0,jobs,1\nsoon,jobs,1"), "entry 2: at: \"soon\" is not a number of seconds >= 0");
        assert!(error("0,jobs,many").starts_with("entry 1: value: \"many\" is neither a number >= 0"));
        assert_eq!(Trace::from_json("{}").unwrap_err().reason(), "TraceMalformed");
    }
}
