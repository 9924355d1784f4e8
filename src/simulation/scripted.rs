//! What a plain number means to a trigger: stands in for the source when there is none, in traces and in `explain -f`.

use std::str::FromStr;

use tidegate_calculator::source::{
    ConfigError, Measured, MetricSpec, Milli, ReadError, ReadErrorKind, Reading, Readings, TriggerSpec,
};
use tidegate_scalers::Known;

use crate::server::triggers;

/// What a source is told to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// This total, in thousandths; never negative.
    Number(Milli),
    /// Nothing: the read fails in this way.
    Failure(ReadErrorKind),
}

/// The names of failures, as traces write them after `error:`.
const FAILURES: [(&str, ReadErrorKind); 5] = [
    ("config", ReadErrorKind::Config),
    ("auth", ReadErrorKind::Auth),
    ("unavailable", ReadErrorKind::Unavailable),
    ("timeout", ReadErrorKind::Timeout),
    ("protocol", ReadErrorKind::Protocol),
];

/// A text that is neither a number nor a failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a number >= 0 nor error nor error:KIND with KIND one of config, auth, unavailable, timeout, protocol"
)]
pub struct UnknownSaying(String);

impl UnknownSaying {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        "ValueMalformed"
    }
}

impl FromStr for Said {
    type Err = UnknownSaying;

    /// A decimal number >= 0, `error` (the source cannot be reached), or `error:KIND`.
    fn from_str(text: &str) -> Result<Self, UnknownSaying> {
        let unknown = || UnknownSaying(text.to_owned());
        let word = text.trim();
        if word == "error" {
            return Ok(Self::Failure(ReadErrorKind::Unavailable));
        }
        if let Some(name) = word.strip_prefix("error:") {
            let known = FAILURES.iter().find(|(known, _)| *known == name);
            return known.map(|(_, kind)| Self::Failure(*kind)).ok_or_else(unknown);
        }
        let number: f64 = word.parse().map_err(|_| unknown())?;
        if !number.is_finite() || number < 0.0 {
            return Err(unknown());
        }
        Ok(Self::Number(milli(number)))
    }
}

/// A trigger whose source is a script.
#[derive(Clone, Debug)]
pub struct Scripted {
    keys: Vec<String>,
    metrics: Vec<MetricSpec>,
    activation: Milli,
}

impl Scripted {
    /// The trigger of this text.
    ///
    /// # Errors
    ///
    /// What is wrong with its parameters: such a trigger cannot be built and says nothing at all.
    pub fn of(spec: &TriggerSpec) -> Result<Self, ConfigError> {
        let checked = tidegate_scalers::check(spec, Known::Nothing, Known::Nothing);
        if !checked.errors.is_empty() {
            return Err(ConfigError { problems: checked.errors });
        }
        let activation = milli(triggers::activation(&spec.metadata).max(0.0));
        Ok(Self { keys: keys(spec, &checked.metrics), metrics: checked.metrics, activation })
    }

    /// What a script may call this trigger: its name, what it counts, its metric, its position; the best name first.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The reading, or its failure, that the source would give. A trigger of several metrics gets the number for each.
    ///
    /// As with KEDA it is active if the number is above the activation threshold.
    pub fn answer(&self, said: Said) -> Result<Readings, ReadError> {
        let number = match said {
            Said::Number(number) => number,
            Said::Failure(kind) => return Err(ReadError::endpoint(kind, failure_text(kind))),
        };
        let reading = || Reading { value: Measured::Total(vec![number]), active: number > self.activation };
        Ok(self.metrics.iter().map(|metric| (metric.clone(), reading())).collect())
    }
}

/// What a script may call a trigger, whether or not it can be built.
pub fn keys(spec: &TriggerSpec, metrics: &[MetricSpec]) -> Vec<String> {
    let mut keys: Vec<String> = spec.name.iter().cloned().collect();
    for metric in metrics {
        keys.extend([triggers::short_name(spec, &metric.name), metric.name.clone()]);
    }
    keys.push(spec.index.to_string());
    keys.dedup();
    keys
}

fn failure_text(kind: ReadErrorKind) -> &'static str {
    match kind {
        ReadErrorKind::Config => "the source says that the trigger is not right",
        ReadErrorKind::Auth => "the source refused the credentials",
        ReadErrorKind::Unavailable => "the source cannot be reached",
        ReadErrorKind::Timeout => "the source did not answer in time",
        ReadErrorKind::Protocol => "the source answered something that is not an answer",
    }
}

/// Thousandths of a number that is not negative, saturating.
#[expect(clippy::cast_possible_truncation, reason = "Rust's cast saturates, which is wanted")]
fn milli(number: f64) -> Milli {
    Milli((number * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fixtures::redis;

    #[test]
    fn texts_are_numbers_or_failures() {
        assert_eq!("790".parse(), Ok(Said::Number(Milli::units(790))));
        assert_eq!(" 0.5 ".parse(), Ok(Said::Number(Milli(500))));
        assert_eq!("error".parse(), Ok(Said::Failure(ReadErrorKind::Unavailable)));
        assert_eq!("error:timeout".parse(), Ok(Said::Failure(ReadErrorKind::Timeout)));
        for bad in ["", "-1", "NaN", "inf", "many", "error:", "error:tired"] {
            assert!(bad.parse::<Said>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_above_the_threshold_is_active() {
        let mut spec = redis("jobs");
        spec.metadata.insert("activationListLength".into(), "10".into());
        let scripted = Scripted::of(&spec).unwrap();
        assert_eq!(scripted.keys(), ["jobs", "s0-redis-jobs", "0"]);
        let active = |units| scripted.answer(Said::Number(Milli::units(units))).unwrap()[0].1.active;
        assert!(active(11) && !active(10));
        let error = scripted.answer(Said::Failure(ReadErrorKind::Auth)).unwrap_err();
        assert_eq!(error.reason(), "TriggerAuthFailed");
        spec.metadata.remove("listName");
        assert!(Scripted::of(&spec).unwrap_err().to_string().contains("listName"));
    }
}
