//! The trigger `external-metric`: a metric that another adapter serves in the external metrics API (an HPA's metric of type External).

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, MetricSpec, Milli, Occasion, ReadError, ReadErrorKind, Readings, TriggerSpec,
    Wake,
};

use super::{terms, total, within};
use crate::endpoint::{Endpoints, identify};
use crate::parameters::{Parameter, Values};
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use crate::surroundings::{MetricQuery, Surroundings};

const TARGET_VALUE: Parameter = terms::target_value(
    "With metricType AverageValue what one replica takes care of, with Value what the sum should be: a quantity > 0.",
);

/// The registry's entry.
pub(crate) const EXTERNAL_METRIC: TriggerType = TriggerType {
    name: "external-metric",
    summary: "A metric of the external metrics API that another adapter serves (an HPA's External metric).",
    parameters: &[terms::METRIC_NAME, terms::METRIC_SELECTOR, TARGET_VALUE, terms::ACTIVATION_TARGET_VALUE],
    example: "\
- type: external-metric
  metadata:
    metricName: queue_messages_ready
    metricSelector: queue=orders
    targetValue: \"30\"
",
    example_metadata: &[
        ("metricName", "queue_messages_ready"),
        ("metricSelector", "queue=orders"),
        ("targetValue", "30"),
    ],
    scaler: "externalMetricScaler",
    notes: include_str!("notes/external.md"),
    check: |spec, values| terms::check(spec, values, &TARGET_VALUE),
    open,
};

/// One built trigger.
struct ExternalScaler {
    id: EndpointId,
    surroundings: Arc<dyn Surroundings>,
    namespace: Arc<str>,
    query: MetricQuery,
    activation: Milli,
    metric: MetricSpec,
}

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    Ok(Box::new(ExternalScaler {
        id: identify("external.metrics.k8s.io", &spec.target.namespace),
        surroundings: Arc::clone(endpoints.surroundings()),
        namespace: Arc::clone(&spec.target.namespace),
        query: terms::query(values).ok_or_else(incomplete)?,
        activation: values.quantity(&terms::ACTIVATION_TARGET_VALUE).ok_or_else(incomplete)?,
        metric: terms::metric(spec, values, &TARGET_VALUE).ok_or_else(incomplete)?,
    }))
}

#[async_trait]
impl Scaler for ExternalScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.id)
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let what = format!("the external metric {}", terms::shown(&self.query));
        let answer = self.surroundings.external_values(&self.namespace, &self.query, deadline);
        let series = within(deadline, &what, answer).await?;
        if series.is_empty() {
            let message = format!("the metrics API has no series of {what}");
            return Err(ReadError::query(ReadErrorKind::Unavailable, message));
        }
        Ok(total(&self.metric, series, self.activation))
    }

    fn watch(&self, _: Wake) -> Option<Watch> {
        None
    }
}
