//! What a plain number means to a trigger: stands in for the source when there is none, in traces and in `explain -f`.
//!
//! To most triggers it is the total. To `cpu`, `memory` and `pods-metric` it is what every Ready pod of the target shows: with `Utilization`
//! the percentage of what it requests.

use std::str::FromStr;

use tidegate_calculator::hpa::pods::{Container, Phase, Pod, Readiness};
use tidegate_calculator::hpa::samples::{PodValue, Sample};
use tidegate_calculator::observation::TargetState;
use tidegate_calculator::source::{
    ConfigError, Measured, MetricSpec, Milli, PodSamples, ReadError, ReadErrorKind, Reading, Readings, TriggerSpec,
};
use tidegate_calculator::time::{Span, Tick};
use tidegate_scalers::{Known, kinds};

use crate::server::triggers;

/// What a source is told to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// This total, or this number of each pod, in thousandths; never negative.
    Number(Milli),
    /// Nothing: the read fails in this way.
    Failure(ReadErrorKind),
}

/// The names of failures, as traces write them after `error:`.
const FAILURES: [(&str, ReadErrorKind); 6] = [
    ("config", ReadErrorKind::Config),
    ("auth", ReadErrorKind::Auth),
    ("unavailable", ReadErrorKind::Unavailable),
    ("timeout", ReadErrorKind::Timeout),
    ("protocol", ReadErrorKind::Protocol),
    ("settling", ReadErrorKind::Settling),
];

/// A text that is neither a number nor a failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a number >= 0 nor error nor error:KIND with KIND one of config, auth, unavailable, timeout, protocol, settling"
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
    /// What each pod shows it of; none if the number is a total.
    pods: Option<OfPods>,
}

/// A metric of the pods.
#[derive(Clone, Debug)]
struct OfPods {
    /// `cpu` or `memory`; empty for a metric that is no resource.
    resource: String,
    container: Option<String>,
}

/// What each scripted pod requests of a resource, in thousandths: of 100 units, so that a percentage is its usage.
const REQUEST: i64 = 100_000;
/// How long the scripted pods have been Ready: longer than any pod counts as young.
const AGE: Span = Span::seconds(24 * 3600);
/// The most pods that are scripted: more than any cluster has.
const MOST_PODS: u32 = 100_000;

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
        if tidegate_scalers::tells_metrics_itself(&spec.kind) {
            let what = "cannot be simulated: its server alone knows its metrics and their targets";
            return Err(ConfigError::one("type", Some(&spec.kind), what));
        }
        let activation = milli(triggers::activation(&spec.metadata).max(0.0));
        let pods = kinds::is_of_pods(&spec.kind).then(|| OfPods::of(spec, &checked.metrics));
        Ok(Self { keys: keys(spec, &checked.metrics), metrics: checked.metrics, activation, pods })
    }

    /// What a script may call this trigger: its name, what it counts, its metric, its position; the best name first.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The reading, or its failure, that the source would give. A trigger of several metrics gets the number for each.
    ///
    /// As with KEDA it is active if the number is above the activation threshold. A number of each pod is shown by the target's Ready
    /// pods, and never active.
    pub fn answer(&self, said: Said, target: TargetState) -> Result<Readings, ReadError> {
        let number = match said {
            Said::Number(number) => number,
            Said::Failure(kind) => return Err(ReadError::endpoint(kind, failure_text(kind))),
        };
        let reading = || match &self.pods {
            Some(of) => Reading { value: Measured::PerPod(of.shown(number, target)), active: false },
            None => Reading { value: Measured::Total(vec![number]), active: number > self.activation },
        };
        Ok(self.metrics.iter().map(|metric| (metric.clone(), reading())).collect())
    }
}

impl OfPods {
    fn of(spec: &TriggerSpec, metrics: &[MetricSpec]) -> Self {
        // A metric of a resource has its name.
        let is_resource = metrics.iter().any(|metric| metric.name == spec.kind);
        let container = spec.metadata.get("containerName").map(|name| name.trim()).filter(|name| !name.is_empty());
        Self {
            resource: if is_resource { spec.kind.clone() } else { String::new() },
            container: container.map(str::to_owned),
        }
    }

    /// Every Ready pod shows `number`; the others have not started yet and show nothing.
    fn shown(&self, number: Milli, target: TargetState) -> PodSamples {
        let existing = target.existing.min(MOST_PODS);
        let ready = target.ready.unwrap_or(existing).min(MOST_PODS);
        let name = |index: u32| format!("pod-{index}");
        let sample = Sample { value: number.0, at: Tick(0), window: Span::ZERO };
        PodSamples {
            resource: self.resource.clone(),
            container: self.container.clone(),
            pods: (0..existing.max(ready)).map(|index| self.pod(name(index), index < ready)).collect(),
            samples: (0..ready).map(|index| PodValue { pod: name(index), sample }).collect(),
        }
    }

    fn pod(&self, name: String, ready: bool) -> Pod {
        let container = Container {
            name: self.container.clone().unwrap_or_else(|| "main".to_owned()),
            requests: [(self.resource.clone(), REQUEST)].into(),
            restartable: false,
        };
        let since = Tick(0) - AGE;
        Pod {
            name,
            phase: if ready { Phase::Running } else { Phase::Pending },
            started: ready.then_some(since),
            ready: Some(Readiness { status: Some(ready), since }),
            containers: vec![container],
            ..Pod::default()
        }
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
        ReadErrorKind::Settling => "what the source measures has just begun",
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
        let active =
            |units| scripted.answer(Said::Number(Milli::units(units)), TargetState::default()).unwrap()[0].1.active;
        assert!(active(11) && !active(10));
        let error = scripted.answer(Said::Failure(ReadErrorKind::Auth), TargetState::default()).unwrap_err();
        assert_eq!(error.reason(), "TriggerAuthFailed");
        spec.metadata.remove("listName");
        assert!(Scripted::of(&spec).unwrap_err().to_string().contains("listName"));
    }

    #[cfg(feature = "cluster-metrics")]
    #[test]
    fn a_number_of_the_pods_is_shown_by_every_ready_one() {
        let mut spec = redis("jobs");
        spec.kind = "cpu".to_owned();
        spec.metric_type = tidegate_calculator::source::MetricType::Utilization;
        spec.metadata = [("value", "50"), ("containerName", "app")].map(|(key, text)| (key.into(), text.into())).into();
        let scripted = Scripted::of(&spec).unwrap();
        assert_eq!(scripted.keys(), ["cpu", "0"]);
        let target = TargetState { replicas: 3, existing: 3, ready: Some(2) };
        let readings = scripted.answer(Said::Number(Milli::units(80)), target).unwrap();
        let Measured::PerPod(of) = &readings[0].1.value else { panic!("not per pod") };
        assert_eq!((of.resource.as_str(), of.container.as_deref(), of.pods.len()), ("cpu", Some("app"), 3));
        // 80 of 100 requested units are 80 %.
        assert_eq!(of.samples.iter().map(|value| value.sample.value).collect::<Vec<_>>(), [80_000, 80_000]);
        assert_eq!(of.pods[2].phase, Phase::Pending);
        assert!(!readings[0].1.active);
    }
}
