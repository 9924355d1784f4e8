//! The words that the readers of demand and the engine share: what a trigger asks for and what a reading says.
//!
//! This module depends on `std`, [`crate::time`] and the HPA's form of a pod ([`crate::hpa::pods`]) alone, so that a scaler needs nothing else of the calculator.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::hpa::pods::Pod;
use crate::hpa::samples::PodValue;

/// How long a read may take; the caller gives up after it, and so must the scaler.
pub type Deadline = Duration;

/// Why a trigger is read; what a source remembers from one poll to the next advances with polls only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Occasion {
    /// A scheduled read, at most one every `pollingInterval`.
    Poll,
    /// Any other read: after a push, a change of the object or its target, between two polls of an active object.
    Check,
}

/// Called by a subscription when its source may have changed: a hint to read, without a value.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A quantity in thousandths, as the HorizontalPodAutoscaler computes (hpa-algorithm: all metric values are i64 milli).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Milli(pub i64);

/// A text that cannot be printed: passwords, tokens, keys.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret(String);

/// How a metric is compared with its target (`triggers[].metricType` of a ScaledObject).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum MetricType {
    /// The total is divided over the replicas (KEDA's default).
    #[default]
    AverageValue,
    /// The ratio of the value to its target multiplies the ready replicas.
    Value,
    /// A percentage of what the pods request; only for resource metrics.
    Utilization,
}

/// Names what is scaled: anything with a `/scale` subresource on a cluster, a Deployment of local processes without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetRef {
    /// The namespace, always the object's own.
    pub namespace: Arc<str>,
    /// `scaleTargetRef.apiVersion`, `apps/v1` by default.
    pub api_version: Arc<str>,
    /// `scaleTargetRef.kind`, `Deployment` by default.
    pub kind: Arc<str>,
    /// `scaleTargetRef.name`.
    pub name: Arc<str>,
}

/// One entry of `spec.triggers`, as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TriggerSpec {
    /// The object that the trigger belongs to, `namespace/name`: whose memory a source may keep over a rebuild.
    pub owner: Arc<str>,
    /// What the object scales: whose pods a trigger may look at.
    pub target: Arc<TargetRef>,
    /// The trigger type, which names the scaler: `redis`, `kafka`, ...
    pub kind: String,
    /// Position in `spec.triggers`, from 0. Part of the metric name (`s0-...`).
    pub index: u8,
    /// `triggers[].name`, if given.
    pub name: Option<String>,
    /// `triggers[].metadata`, verbatim.
    pub metadata: BTreeMap<String, String>,
    /// `triggers[].metricType`; KEDA's default is `AverageValue`.
    pub metric_type: MetricType,
}

/// What a trigger's parameters resolve from besides its own metadata.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Parameters {
    /// The environment of the target's container: what `...FromEnv` names.
    pub env: BTreeMap<String, Secret>,
    /// What the TriggerAuthentication provides, by parameter name.
    pub auth: BTreeMap<String, Secret>,
}

/// What one metric of a trigger is called and compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSpec {
    /// KEDA's metric name, `s<index>-<normalised name>`, for example `s0-redis-jobs`.
    pub name: String,
    /// How the value is compared with the target.
    pub metric_type: MetricType,
    /// The target, in thousandths; zero only where KEDA accepts zero.
    pub target: Milli,
    /// Whether the tolerance does not apply, because the source has a band of its own in which it says the present count
    /// (`flink` with `mode: demand`). False for all others.
    pub exact: bool,
}

/// The value of a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measured {
    /// One total, as the series the source gave, not yet summed.
    Total(Vec<Milli>),
    /// What each pod of the target shows.
    PerPod(PodSamples),
}

/// What the pods of a target show of one metric: for `cpu`, `memory` and metrics of the pods.
///
/// Times are ticks counted from the moment of the answer: what was 20 s before it is -20 s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSamples {
    /// The resource; empty for a metric that is none. Only cpu asks whether a pod is old enough and ready.
    pub resource: String,
    /// The container that counts for the requests; all of them if none.
    pub container: Option<String>,
    /// The pods that the target's selector matches. Their labels are not looked at, and their requests only for Utilization.
    pub pods: Vec<Pod>,
    /// Their samples, in thousandths; [`crate::hpa::samples`] makes them of what a resource metrics API answers.
    pub samples: Vec<PodValue>,
}

/// What a scaler saw of one metric. "No data" is a [`ReadError`], never a zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The value.
    pub value: Measured,
    /// Whether the source is above its activation threshold (strictly greater, as KEDA's).
    pub active: bool,
}

/// All metrics of one trigger, in the order of the trigger's declaration. Never empty.
pub type Readings = Vec<(MetricSpec, Reading)>;

/// Names one endpoint: every trigger with an equal id shares one connection. Made from kind, address, TLS and a keyed
/// hash of the credentials, so that it tells nothing about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u64);

/// One thing that is wrong with a trigger's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: a path below the trigger such as `metadata.listLength` or `authenticationRef`.
    pub path: String,
    /// What stands there, if anything does; never a secret's text.
    pub value: Option<String>,
    /// What would be right, as the end of a sentence: `is not an integer >= 0`.
    pub allowed: String,
}

/// A trigger that cannot be built, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ConfigError {
    /// All findings, in the order of the parameters' declaration. Never empty.
    pub problems: Vec<Problem>,
}

/// Why a reading failed; the class decides what a retry may hope for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReadErrorKind {
    /// The user must change something: an unknown type, a missing parameter, a wrong key type.
    Config,
    /// The source refused our credentials.
    Auth,
    /// The source cannot be reached, or refuses work for now.
    Unavailable,
    /// The source did not answer in time.
    Timeout,
    /// The source answered something that is not an answer.
    Protocol,
    /// The source is well, but what it measures means nothing yet, because what it measures has just begun (a Flink job after a
    /// restart).
    Settling,
}

/// What a failed reading says about its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorScope {
    /// Only this query failed; the endpoint is well. Never trips a circuit breaker.
    Query,
    /// The endpoint failed: every query to it will.
    Endpoint,
}

/// A reading that failed. It carries no value, so nothing can take it for a zero.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    /// The class of the failure.
    pub kind: ReadErrorKind,
    /// Query or endpoint.
    pub scope: ErrorScope,
    /// What we tried and what went wrong, without credentials and without live numbers.
    pub message: String,
}

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; call it only where it goes to the source.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for TargetRef {
    /// `Deployment/orders`, as `kubectl` writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl Milli {
    /// A whole number of units, saturating.
    pub const fn units(units: i64) -> Self {
        Self(units.saturating_mul(1000))
    }
}

impl fmt::Display for Milli {
    /// Decimal without trailing zeros: `790`, `0.5`, `12.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, thousandths) = (self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000);
        if thousandths == 0 {
            return write!(f, "{sign}{whole}");
        }
        write!(f, "{sign}{whole}.{}", format!("{thousandths:03}").trim_end_matches('0'))
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AverageValue => "AverageValue",
            Self::Value => "Value",
            Self::Utilization => "Utilization",
        })
    }
}

impl Measured {
    /// The sum of all series, or of all pods, saturating.
    pub fn total(&self) -> Milli {
        let sum = |sum: i64, value: i64| sum.saturating_add(value);
        Milli(match self {
            Self::Total(series) => series.iter().map(|value| value.0).fold(0, sum),
            Self::PerPod(of) => of.samples.iter().map(|value| value.sample.value).fold(0, sum),
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}: {value:?} {}", self.path, self.allowed),
            None => write!(f, "{}: {}", self.path, self.allowed),
        }
    }
}

impl ReadErrorKind {
    /// The stable name of the class, used as a condition's reason and as a metric label.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Config => "TriggerConfig",
            Self::Auth => "TriggerAuthFailed",
            Self::Unavailable => "TriggerUnavailable",
            Self::Timeout => "TriggerTimeout",
            Self::Protocol => "TriggerProtocol",
            Self::Settling => "TriggerSettling",
        }
    }
}

impl ReadError {
    /// A failure of this one query.
    pub fn query(kind: ReadErrorKind, message: impl Into<String>) -> Self {
        Self { kind, scope: ErrorScope::Query, message: message.into() }
    }

    /// A failure of the endpoint: all queries to it fail alike.
    pub fn endpoint(kind: ReadErrorKind, message: impl Into<String>) -> Self {
        Self { kind, scope: ErrorScope::Endpoint, message: message.into() }
    }

    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        self.kind.reason()
    }
}

impl ConfigError {
    /// An error with a single finding.
    pub fn one(path: impl Into<String>, value: Option<&str>, allowed: impl Into<String>) -> Self {
        Self { problems: vec![Problem { path: path.into(), value: value.map(str::to_owned), allowed: allowed.into() }] }
    }

    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        ReadErrorKind::Config.reason()
    }
}

impl From<ConfigError> for ReadError {
    /// At run time a trigger that cannot be built is that trigger's read error, so that others may still raise.
    fn from(error: ConfigError) -> Self {
        Self::query(ReadErrorKind::Config, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_cannot_be_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn milli_prints_as_decimal() {
        assert_eq!(
            [Milli(790_000), Milli(500), Milli(12_250), Milli(-1)].map(|m| m.to_string()).join(" "),
            "790 0.5 12.25 -0.001"
        );
    }

    #[test]
    fn problems_name_path_value_and_what_is_allowed() {
        let error = ConfigError::one("metadata.listLength", Some("1O"), "is not an integer >= 0");
        assert_eq!(error.to_string(), "metadata.listLength: \"1O\" is not an integer >= 0");
        assert_eq!(error.reason(), "TriggerConfig");
        assert_eq!(ReadError::from(error).reason(), "TriggerConfig");
        assert_eq!(MetricType::AverageValue.to_string(), "AverageValue");
    }
}
