//! The triggers `cpu` and `memory`: what the pods use, as a percentage of what they request, or on average (keda-semantics §5.9).

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::hpa::pods::Pod;
use tidegate_calculator::hpa::samples::{PodUsage, PodValue, of_resource};
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, MetricSpec, MetricType, Milli, Occasion, PodSamples, Problem, ReadError,
    ReadErrorKind, Readings, TargetRef, TriggerSpec, Wake,
};

use super::{of_pods, per_pod, terms};
use crate::endpoint::{Endpoints, identify};
use crate::parameters::Source::Metadata;
use crate::parameters::{Deprecation, Kind, Parameter, Values};
use crate::registry::{Checked, TriggerType};
use crate::scaler::{Scaler, Watch};
use crate::surroundings::Surroundings;

const VALUE: Parameter = Parameter::new(
    &["value"],
    &[Metadata],
    Kind::Quantity,
    "What each pod should use: with metricType Utilization a whole percentage of what it requests, with AverageValue a quantity > 0.",
)
.required();
const CONTAINER_NAME: Parameter = Parameter::new(
    &["containerName"],
    &[Metadata],
    Kind::Text,
    "The container whose usage and requests count. All containers of a pod if there is none.",
);
const TYPE: Parameter = Parameter::new(&["type"], &[Metadata], Kind::Text, "What metricType says today.")
    .deprecated(Deprecation::Refused("say it as metricType of the trigger, beside its type"));

const PARAMETERS: &[Parameter] = &[VALUE, CONTAINER_NAME, TYPE];

/// The most containers that a message lists.
const LISTED: usize = 10;

/// The registry's entry of `cpu`.
pub(crate) const CPU: TriggerType = TriggerType {
    name: "cpu",
    summary: "What the pods use of cpu: a percentage of what they request, or an average.",
    parameters: PARAMETERS,
    example: "\
- type: cpu
  metricType: Utilization
  metadata:
    value: \"60\"
",
    example_metadata: &[("value", "60")],
    scaler: "cpuMemoryScaler",
    notes: include_str!("notes/resource.md"),
    check,
    open,
};

/// The registry's entry of `memory`.
pub(crate) const MEMORY: TriggerType = TriggerType {
    name: "memory",
    summary: "What the pods use of memory: a percentage of what they request, or an average.",
    example: "\
- type: memory
  metricType: AverageValue
  metadata:
    value: 512Mi
",
    example_metadata: &[("value", "512Mi")],
    ..CPU
};

/// One built trigger.
struct ResourceScaler {
    id: EndpointId,
    surroundings: Arc<dyn Surroundings>,
    target: Arc<TargetRef>,
    /// The resource, which has the same name as the trigger's type.
    resource: String,
    container: Option<String>,
    metric: MetricSpec,
}

fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let errors = target(spec, values).err().into_iter().collect();
    Checked { errors, warnings: Vec::new(), metrics: metric(spec, values).into_iter().collect() }
}

/// The target in thousandths of the unit, or of a percent; none if it is missing, or is not even a quantity.
///
/// KEDA reads a percentage as Go reads an integer of 32 bits, and an API server wants it to be at least 1.
fn target(spec: &TriggerSpec, values: &Values) -> Result<Option<Milli>, Problem> {
    match spec.metric_type {
        MetricType::Utilization => {
            let Some(text) = values.text(&VALUE) else { return Ok(None) };
            match text.parse::<i32>() {
                Ok(percent @ 1..) => Ok(Some(Milli::units(percent.into()))),
                _ => Err(values.problem(&VALUE, format!("is not a whole percentage from 1 to {}", i32::MAX))),
            }
        }
        MetricType::AverageValue => terms::positive(values, &VALUE),
        // The type itself is refused.
        MetricType::Value => Ok(None),
    }
}

/// The metric has the resource's name, as in KEDA and in the HPA: it is no external metric, so it has no number.
fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let target = target(spec, values).ok()??;
    Some(MetricSpec { name: spec.kind.clone(), metric_type: spec.metric_type, target, exact: false })
}

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let metric = metric(spec, values).ok_or_else(|| ConfigError::one("metadata", None, "is not complete"))?;
    Ok(Box::new(ResourceScaler {
        id: identify("metrics.k8s.io", &spec.target.namespace),
        surroundings: Arc::clone(endpoints.surroundings()),
        target: Arc::clone(&spec.target),
        resource: spec.kind.clone(),
        container: values.text(&CONTAINER_NAME).map(str::to_owned),
        metric,
    }))
}

impl ResourceScaler {
    fn what(&self) -> String {
        format!("the {} of the pods of {}", self.resource, self.target)
    }

    /// One sample a pod. That no pod at all has the container is a mistake in its name, and is said so.
    fn samples(&self, pods: &[Pod], usages: &[PodUsage]) -> Result<Vec<PodValue>, ReadError> {
        let container = self.container.as_deref();
        let reported = || usages.iter().flat_map(|usage| &usage.containers).map(|(name, _)| name.as_str());
        if let Some(wanted) = container
            && !pods.is_empty()
            && !reported().any(|name| name == wanted)
        {
            let message = format!(
                "{} is told, but of no container {wanted:?} (containerName); the containers are {}",
                self.what(),
                listed(reported())
            );
            return Err(ReadError::query(ReadErrorKind::Config, message));
        }
        let samples = of_resource(usages, container);
        Ok(samples.into_iter().map(|(pod, sample)| PodValue { pod: pod.to_owned(), sample }).collect())
    }
}

/// The different names in their order, but not too many.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let more = if names.len() > LISTED { ", ..." } else { "" };
    names.truncate(LISTED);
    if names.is_empty() { "not told at all".to_owned() } else { format!("{}{more}", names.join(", ")) }
}

#[async_trait]
impl Scaler for ResourceScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.id)
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let usages = self.surroundings.usages(&self.target, &self.resource, deadline);
        let (pods, usages) =
            of_pods(&*self.surroundings, &self.target, deadline, &self.what(), usages, |usage| &usage.pod).await?;
        let samples = self.samples(&pods, &usages)?;
        let (resource, container) = (self.resource.clone(), self.container.clone());
        Ok(per_pod(&self.metric, PodSamples { resource, container, pods, samples }))
    }

    fn watch(&self, _: Wake) -> Option<Watch> {
        None
    }
}
