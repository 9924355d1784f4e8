//! The trigger `pods-metric`: the average of a custom metric over the target's pods (an HPA's metric of type Pods).

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, MetricSpec, Occasion, PodSamples, ReadError, Readings, TargetRef, TriggerSpec,
    Wake,
};

use super::{of_pods, per_pod, terms};
use crate::endpoint::{Endpoints, identify};
use crate::parameters::{Parameter, Values};
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use crate::surroundings::{MetricQuery, Surroundings};

const TARGET_VALUE: Parameter = terms::target_value("What each pod should show on average: a quantity > 0.");

/// The registry's entry.
pub(crate) const PODS_METRIC: TriggerType = TriggerType {
    name: "pods-metric",
    summary: "The average of a custom metric over the pods (an HPA's Pods metric).",
    parameters: &[terms::METRIC_NAME, terms::METRIC_SELECTOR, TARGET_VALUE],
    example: "\
- type: pods-metric
  metadata:
    metricName: http_requests_per_second
    targetValue: \"50\"
",
    example_metadata: &[("metricName", "http_requests_per_second"), ("targetValue", "50")],
    scaler: "podsMetricScaler",
    notes: include_str!("notes/pods.md"),
    check: |spec, values| terms::check(spec, values, &TARGET_VALUE),
    open,
};

/// One built trigger.
struct PodsScaler {
    id: EndpointId,
    surroundings: Arc<dyn Surroundings>,
    target: Arc<TargetRef>,
    query: MetricQuery,
    metric: MetricSpec,
}

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    Ok(Box::new(PodsScaler {
        id: identify("custom.metrics.k8s.io", &spec.target.namespace),
        surroundings: Arc::clone(endpoints.surroundings()),
        target: Arc::clone(&spec.target),
        query: terms::query(values).ok_or_else(incomplete)?,
        metric: terms::metric(spec, values, &TARGET_VALUE).ok_or_else(incomplete)?,
    }))
}

#[async_trait]
impl Scaler for PodsScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.id)
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let what = format!("{} of the pods of {}", terms::shown(&self.query), self.target);
        let values = self.surroundings.pod_values(&self.target, &self.query, deadline);
        let (pods, samples) =
            of_pods(&*self.surroundings, &self.target, deadline, &what, values, |value| &value.pod).await?;
        Ok(per_pod(&self.metric, PodSamples { resource: String::new(), container: None, pods, samples }))
    }

    fn watch(&self, _: Wake) -> Option<Watch> {
        None
    }
}
