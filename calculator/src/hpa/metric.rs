//! One metric of the spec: from what was answered to a proposal and an entry of the status (hpa-algorithm §6.5).

use crate::hpa::observation::{Answer, Scale};
use crate::hpa::proposal::{
    Ground, Proposal, Requested, Used, by_average, by_average_of_total, by_utilization, by_value,
};
use crate::hpa::quantity::{Format, Quantity};
use crate::hpa::samples::{self, PodUsage, PodValue};
use crate::hpa::spec::{Metric, Source, Target};
use crate::hpa::state::MetricStatus;
use crate::hpa::words::Word;
use crate::source::Milli;

/// What a metric proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// The count.
    pub replicas: i32,
    /// What the metric is called in messages.
    pub name: String,
    /// What the status shows.
    pub status: MetricStatus,
}

/// Why a metric proposes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The stable reason.
    pub reason: Word,
    /// What went wrong.
    pub message: String,
    /// Whether it is the spec that is wrong.
    pub by_spec: bool,
}

/// Evaluates one metric.
pub fn evaluate(
    metric: &Metric,
    answer: Option<&Answer>,
    scale: &Scale,
    ground: &Ground<'_>,
) -> Result<Evaluated, Failed> {
    let silence = Answer::Failed("nothing was answered".to_owned());
    let one = One { metric, answer: answer.unwrap_or(&silence), scale, ground };
    let (reason, outcome) = match &metric.source {
        Source::Resource { name } => (Word::FailedGetResourceMetric, one.resource(name, None)),
        Source::ContainerResource { name, container } => {
            (Word::FailedGetContainerResourceMetric, one.resource(name, Some(container)))
        }
        Source::Pods { name, .. } => (Word::FailedGetPodsMetric, one.pods(name)),
        Source::Object { kind, object, name, .. } => (Word::FailedGetObjectMetric, one.object(kind, object, name)),
        Source::External { name, .. } => (Word::FailedGetExternalMetric, one.external(name)),
        Source::Unknown { kind } => {
            let message = format!("unknown metric source type {kind:?}");
            return Err(Failed { reason: Word::InvalidMetricSourceType, message, by_spec: true });
        }
    };
    outcome.map_err(|message| Failed { reason, message, by_spec: false })
}

struct One<'a> {
    metric: &'a Metric,
    answer: &'a Answer,
    scale: &'a Scale,
    ground: &'a Ground<'a>,
}

impl One<'_> {
    fn resource(&self, resource: &str, container: Option<&str>) -> Result<Evaluated, String> {
        let Target { utilization, average, .. } = self.metric.target;
        if let Some(target) = average {
            let used = self.usages(resource)?;
            let samples = samples::of_resource(used, container);
            let Proposal { replicas, shown } = by_average(self.ground, &samples, resource, target)
                .map_err(|error| format!("failed to get {resource} usage: {error}"))?;
            let shown = Shown { average: Some(Quantity::of_resource(resource, Milli(shown))), ..Shown::default() };
            return Ok(self.evaluated(replicas, format!("{resource} resource"), shown));
        }
        let target = utilization.ok_or_else(|| self.no_target("an average utilization target"))?;
        let used = self.usages(resource)?;
        let of = Requested { resource, container, target };
        let Proposal { replicas, shown: Used { percent, average } } =
            by_utilization(self.ground, &samples::of_resource(used, container), &of)
                .map_err(|error| format!("failed to get {resource} utilization: {error}"))?;
        let average = Some(Quantity::of_resource(resource, Milli(average)));
        let part = if container.is_some() { "container resource" } else { "resource" };
        let name = format!("{resource} {part} utilization (percentage of request)");
        Ok(self.evaluated(replicas, name, Shown { utilization: Some(percent), average, value: None }))
    }

    fn pods(&self, metric: &str) -> Result<Evaluated, String> {
        let target = self.metric.target.average.ok_or_else(|| self.no_target("no value target"))?;
        let values = self.values(metric)?;
        let Proposal { replicas, shown } = by_average(self.ground, &samples::of_pods(values), "", target)
            .map_err(|error| format!("failed to get pods metric value: {error}"))?;
        Ok(self.evaluated(replicas, format!("pods metric {metric}"), Shown::average(shown)))
    }

    /// Only the target that `type` names counts.
    fn object(&self, kind: &str, object: &str, metric: &str) -> Result<Evaluated, String> {
        let target = &self.metric.target;
        let total = || match self.answer {
            Answer::Object(total) => Ok(*total),
            other => Err(format!("unable to get metric {metric} of {kind} {object}: {}", other.why("it has no value"))),
        };
        match (target.kind.as_str(), target.value, target.average) {
            ("Value", Some(value), _) => self.by_value(total()?, value, format!("{kind} metric {metric}")),
            ("AverageValue", _, Some(average)) => Ok(self.by_average(total()?, average, metric)),
            _ => Err(self.no_target("a value target")),
        }
    }

    fn external(&self, metric: &str) -> Result<Evaluated, String> {
        let target = &self.metric.target;
        let series = || match self.answer {
            Answer::External(series) if !series.is_empty() => Ok(series.as_slice()),
            other => {
                let why = other.why("no metrics returned from external metrics API");
                Err(format!("unable to get external metric {}: {why}", self.external_name(metric)))
            }
        };
        match (target.average, target.value) {
            (Some(average), _) => Ok(self.by_average(samples::sum_for_average(series()?), average, metric)),
            (None, Some(value)) => {
                let name = format!("external metric {}", self.external_name(metric));
                self.by_value(samples::sum_for_value(series()?), value, name)
            }
            (None, None) => Err(self.no_target("a value target")),
        }
    }

    fn by_value(&self, total: i64, target: i64, name: String) -> Result<Evaluated, String> {
        let Ground { current, pods, tolerance, .. } = *self.ground;
        let proposal = by_value(current, pods, total, target, tolerance).map_err(|error| error.to_string())?;
        let value = Some(decimal(proposal.shown));
        Ok(self.evaluated(proposal.replicas, name, Shown { value, ..Shown::default() }))
    }

    fn by_average(&self, total: i64, target: i64, metric: &str) -> Evaluated {
        let proposal = by_average_of_total(self.scale.existing, total, target, self.ground.tolerance);
        let name = format!("external metric {}", self.external_name(metric));
        self.evaluated(proposal.replicas, name, Shown::average(proposal.shown))
    }

    fn usages(&self, resource: &str) -> Result<&[PodUsage], String> {
        match self.answer {
            Answer::Resource(usages) if !usages.is_empty() => Ok(usages),
            other => {
                let why = other.why("no metrics returned from resource metrics API");
                Err(format!("unable to get metrics for resource {resource}: {why}"))
            }
        }
    }

    fn values(&self, metric: &str) -> Result<&[PodValue], String> {
        match self.answer {
            Answer::Pods(values) if !values.is_empty() => Ok(values),
            other => Err(format!(
                "unable to get metric {metric}: {}",
                other.why("no metrics returned from custom metrics API")
            )),
        }
    }

    /// Name and selector; an Object metric by average is called so too.
    fn external_name(&self, metric: &str) -> String {
        let (Source::Object { selector, .. } | Source::External { selector, .. }) = &self.metric.source else {
            return metric.to_owned();
        };
        format!("{metric}({})", selector.as_deref().unwrap_or("nil"))
    }

    fn no_target(&self, first: &str) -> String {
        let kind = self.metric.source.kind();
        format!("invalid {kind} metric source: neither {first} nor an average value target was set")
    }

    fn evaluated(&self, replicas: i32, name: String, shown: Shown) -> Evaluated {
        let Shown { utilization, average, value } = shown;
        let status = MetricStatus { source: self.metric.source.clone(), utilization, average, value };
        Evaluated { replicas, name, status }
    }
}

/// The numbers of an entry of the status.
#[derive(Clone, Copy, Default)]
struct Shown {
    utilization: Option<i32>,
    average: Option<Quantity>,
    value: Option<Quantity>,
}

impl Shown {
    fn average(milli: i64) -> Self {
        Self { average: Some(decimal(milli)), ..Self::default() }
    }
}

fn decimal(milli: i64) -> Quantity {
    Quantity::milli(Milli(milli), Format::DecimalSi)
}

impl Answer {
    /// Why there is no value; `empty` if an answer came, but without one.
    fn why<'a>(&'a self, empty: &'a str) -> &'a str {
        match self {
            Self::Failed(error) => error,
            Self::Resource(_) | Self::Pods(_) | Self::Object(_) | Self::External(_) => empty,
        }
    }
}
