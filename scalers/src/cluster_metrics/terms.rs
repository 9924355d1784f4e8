//! The parameters that the triggers on the metrics of pods, objects and elsewhere share: the HPA's terms for a metric and its target.

use tidegate_calculator::hpa::selector::{Selector, SelectorError};
use tidegate_calculator::source::{MetricSpec, Milli, Problem, TriggerSpec};

use crate::metric;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::Checked;
use crate::surroundings::MetricQuery;

pub(super) const METRIC_NAME: Parameter =
    Parameter::new(&["metricName"], &[Metadata], Kind::Text, "The metric, as the metrics API calls it.").required();
pub(super) const METRIC_SELECTOR: Parameter = Parameter::new(
    &["metricSelector"],
    &[Metadata],
    Kind::Text,
    "Which series of the metric: a label selector such as queue=orders,tier in (a,b). All of them if there is none.",
);
pub(super) const ACTIVATION_TARGET_VALUE: Parameter = Parameter::new(
    &["activationTargetValue"],
    &[Metadata],
    Kind::Quantity,
    "The trigger is active while the value is greater than this.",
)
.or("0");

/// What one replica takes care of, or what the value should be.
pub(super) const fn target_value(about: &'static str) -> Parameter {
    Parameter::new(&["targetValue"], &[Metadata], Kind::Quantity, about).required()
}

/// What is wrong with a metric and its target.
pub(super) fn check(spec: &TriggerSpec, values: &Values, target_value: &Parameter) -> Checked {
    let mut errors = Vec::new();
    errors.extend(values.text(&METRIC_NAME).filter(|name| !is_segment(name)).map(|_| {
        values.problem(&METRIC_NAME, "is not the name of a metric: / and % are not allowed, nor . and .. alone")
    }));
    errors.extend(values.text(&METRIC_SELECTOR).and_then(|text| Selector::parse(text).err()).map(|error| {
        let what = match error {
            SelectorError::Empty => "it is empty".to_owned(),
            SelectorError::Malformed { what, .. } => what,
        };
        values.problem(&METRIC_SELECTOR, format!("is not a label selector: {what}"))
    }));
    errors.extend(positive(values, target_value).err());
    Checked { errors, warnings: Vec::new(), metrics: metric(spec, values, target_value).into_iter().collect() }
}

/// The metric with its target; none if the trigger does not say it well.
pub(super) fn metric(spec: &TriggerSpec, values: &Values, target_value: &Parameter) -> Option<MetricSpec> {
    let (name, target) = (values.text(&METRIC_NAME)?, positive(values, target_value).ok()??);
    Some(metric::metric(spec, &format!("{}-{name}", spec.kind), target))
}

/// What is asked of the metrics API.
pub(super) fn query(values: &Values) -> Option<MetricQuery> {
    let name = values.text(&METRIC_NAME)?.to_owned();
    Some(MetricQuery { name, selector: values.text(&METRIC_SELECTOR).unwrap_or_default().to_owned() })
}

/// A quantity that an API server takes as a target. None if there is none, or what is there is no quantity, which is said elsewhere.
pub(super) fn positive(values: &Values, parameter: &Parameter) -> Result<Option<Milli>, Problem> {
    match values.quantity(parameter) {
        Some(Milli(..=0)) => Err(values.problem(parameter, "is not a quantity > 0 (such as 5, 500m or 1Gi)")),
        found => Ok(found),
    }
}

/// Whether a text can be one part of a URL's path, as an API server asks of names of metrics, kinds and objects.
pub(super) fn is_segment(text: &str) -> bool {
    text != "." && text != ".." && !text.contains(['/', '%'])
}

/// `queue_depth`, or `queue_depth{queue=orders}` with a selector.
pub(super) fn shown(query: &MetricQuery) -> String {
    if query.selector.is_empty() { query.name.clone() } else { format!("{}{{{}}}", query.name, query.selector) }
}
