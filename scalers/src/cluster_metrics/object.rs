//! The trigger `object-metric`: one number that describes an object, such as the requests of an Ingress (an HPA's metric of type Object).

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, MetricSpec, Milli, Occasion, ReadError, Readings, TriggerSpec, Wake,
};

use super::{terms, total, within};
use crate::endpoint::{Endpoints, identify};
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::{Checked, TriggerType};
use crate::scaler::{Scaler, Watch};
use crate::surroundings::{Described, MetricQuery, Surroundings};

const API_VERSION: Parameter = Parameter::new(
    &["describedObjectApiVersion"],
    &[Metadata],
    Kind::Text,
    "The apiVersion of the object that the metric describes. The first group that has the kind if there is none.",
);
const KIND: Parameter = Parameter::new(
    &["describedObjectKind"],
    &[Metadata],
    Kind::Text,
    "The kind of the object that the metric describes.",
)
.required();
const NAME: Parameter = Parameter::new(
    &["describedObjectName"],
    &[Metadata],
    Kind::Text,
    "The name of the object that the metric describes. It is in the namespace of the ScaledObject, or is that Namespace itself.",
)
.required();
const TARGET_VALUE: Parameter = terms::target_value(
    "With metricType AverageValue what one replica takes care of, with Value what the number should be: a quantity > 0.",
);

/// The registry's entry.
pub(crate) const OBJECT_METRIC: TriggerType = TriggerType {
    name: "object-metric",
    summary: "A custom metric of one object, such as an Ingress (an HPA's Object metric).",
    parameters: &[
        terms::METRIC_NAME,
        terms::METRIC_SELECTOR,
        API_VERSION,
        KIND,
        NAME,
        TARGET_VALUE,
        terms::ACTIVATION_TARGET_VALUE,
    ],
    example: "\
- type: object-metric
  metadata:
    metricName: requests_per_second
    describedObjectApiVersion: networking.k8s.io/v1
    describedObjectKind: Ingress
    describedObjectName: shop
    targetValue: \"100\"
",
    example_metadata: &[
        ("metricName", "requests_per_second"),
        ("describedObjectApiVersion", "networking.k8s.io/v1"),
        ("describedObjectKind", "Ingress"),
        ("describedObjectName", "shop"),
        ("targetValue", "100"),
    ],
    scaler: "objectMetricScaler",
    notes: include_str!("notes/object.md"),
    check,
    open,
};

/// One built trigger.
struct ObjectScaler {
    id: EndpointId,
    surroundings: Arc<dyn Surroundings>,
    namespace: Arc<str>,
    object: Described,
    query: MetricQuery,
    activation: Milli,
    metric: MetricSpec,
}

fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let mut checked = terms::check(spec, values, &TARGET_VALUE);
    let given = |parameter| values.text(parameter);
    if given(&API_VERSION).is_some_and(|text| !is_api_version(text)) {
        checked.errors.push(values.problem(&API_VERSION, "is neither a version nor group/version"));
    }
    for parameter in [&KIND, &NAME] {
        if given(parameter).is_some_and(|text| !terms::is_segment(text)) {
            let allowed = "cannot be the name of anything: / and % are not allowed, nor . and .. alone";
            checked.errors.push(values.problem(parameter, allowed));
        }
    }
    checked
}

fn is_api_version(text: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    text.split('/').count() <= 2 && text.split('/').all(is_part)
}

fn described(values: &Values) -> Option<Described> {
    let api_version = values.text(&API_VERSION).unwrap_or_default().to_owned();
    Some(Described { api_version, kind: values.text(&KIND)?.to_owned(), name: values.text(&NAME)?.to_owned() })
}

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    Ok(Box::new(ObjectScaler {
        id: identify("custom.metrics.k8s.io", &spec.target.namespace),
        surroundings: Arc::clone(endpoints.surroundings()),
        namespace: Arc::clone(&spec.target.namespace),
        object: described(values).ok_or_else(incomplete)?,
        query: terms::query(values).ok_or_else(incomplete)?,
        activation: values.quantity(&terms::ACTIVATION_TARGET_VALUE).ok_or_else(incomplete)?,
        metric: terms::metric(spec, values, &TARGET_VALUE).ok_or_else(incomplete)?,
    }))
}

#[async_trait]
impl Scaler for ObjectScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.id)
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let what = format!("{} of {}/{}", terms::shown(&self.query), self.object.kind, self.object.name);
        let value = self.surroundings.object_value(&self.namespace, &self.object, &self.query, deadline);
        Ok(total(&self.metric, vec![within(deadline, &what, value).await?], self.activation))
    }

    fn watch(&self, _: Wake) -> Option<Watch> {
        None
    }
}
