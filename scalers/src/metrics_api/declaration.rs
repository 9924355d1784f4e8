//! What a `metrics-api` trigger can say: its parameters, and what is wrong with their combination.

use std::time::Duration;

use tidegate_calculator::source::{MetricSpec, Problem, TriggerSpec};

use super::aggregate::{Aggregation, Service};
use crate::http::address::{Address, shown};
use crate::http::{Access, Request, authentication, target, with_authentication};
use crate::location::{Format, Location};
use crate::metric;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::Checked;

const URL: Parameter =
    Parameter::new(&["url"], &[Metadata], Kind::Text, "The whole URL that answers with the number.").required();
const VALUE_LOCATION: Parameter = Parameter::new(
    &["valueLocation"],
    &[Metadata],
    Kind::Text,
    "Where the number stands in the answer, in the notation of its format; see below.",
)
.required();
const TARGET_VALUE: Parameter =
    Parameter::new(&["targetValue"], &[Metadata], Kind::Number, "The value that one replica takes care of.").required();
const ACTIVATION_TARGET_VALUE: Parameter = Parameter::new(
    &["activationTargetValue"],
    &[Metadata],
    Kind::Number,
    "The trigger is active while the value is greater than this.",
)
.or("0");
const FORMAT: Parameter = Parameter::new(
    &["format"],
    &[Metadata],
    Kind::Choice(&["json", "xml", "yaml", "prometheus"]),
    "How the answer is written.",
)
.or("json");
const AGGREGATE: Parameter = Parameter::new(
    &["aggregateFromKubeServiceEndpoints"],
    &[Metadata],
    Kind::Bool,
    "Whether to ask every ready pod behind the Service that url names, and to join their values.",
)
.or("false");
const AGGREGATION_TYPE: Parameter = Parameter::new(
    &["aggregationType"],
    &[Metadata],
    Kind::Choice(&["average", "sum", "max", "min"]),
    "How the values of the pods are joined.",
)
.or("average");
const TIMEOUT: Parameter = Parameter::new(
    &["timeout"],
    &[Metadata],
    Kind::Duration,
    "How long an answer may take; it can only shorten what the operator allows.",
);

/// All parameters, in the order of the documentation.
pub(super) const PARAMETERS: &[Parameter] = &with_authentication::<27>(&[
    URL,
    VALUE_LOCATION,
    FORMAT,
    TARGET_VALUE,
    ACTIVATION_TARGET_VALUE,
    AGGREGATE,
    AGGREGATION_TYPE,
    TIMEOUT,
]);

/// What a complete trigger says.
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) access: Access,
    pub(super) request: Request,
    pub(super) location: Location,
    pub(super) service: Option<Service>,
    pub(super) timeout: Option<Duration>,
    pub(super) activation: f64,
    pub(super) metric: MetricSpec,
}

/// What is wrong beyond single parameters.
pub(super) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let mut errors = Vec::new();
    let address = Address::of(values, &URL).unwrap_or_else(|problem| {
        errors.push(problem);
        None
    });
    errors.extend(location(values).err());
    if values.number(&TARGET_VALUE).is_some_and(|value| target(value).is_none()) {
        errors.push(values.problem(&TARGET_VALUE, "is not a number >= 0.001"));
    }
    let aggregates = values.truth(&AGGREGATE) == Some(true);
    if aggregates && address.as_ref().is_some_and(|address| Service::of(spec, &address.url).is_none()) {
        errors.push(values.problem(&URL, "does not name a Service: SERVICE.NAMESPACE or SERVICE.NAMESPACE.svc..."));
    }
    let (more, mut warnings) = authentication::check(values, address.as_ref().map(|address| &address.url));
    errors.extend(more);
    if !aggregates && values.given(&AGGREGATION_TYPE) {
        let what = "has no effect without aggregateFromKubeServiceEndpoints: true";
        warnings.push(values.problem(&AGGREGATION_TYPE, what));
    }
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// What the trigger says; none if it has errors.
pub(super) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let address = Address::of(values, &URL).ok()??;
    let service = if values.truth(&AGGREGATE)? {
        let aggregation = Aggregation::named(values.text(&AGGREGATION_TYPE)?)?;
        Some(Service { aggregation, ..Service::of(spec, &address.url)? })
    } else {
        None
    };
    Some(Settings {
        name: shown(&address.url),
        access: authentication::access(values, &address)?,
        location: location(values).ok()??,
        request: Request {
            url: address.url,
            headers: Vec::new(),
            accept: Format::named(values.text(&FORMAT)?)?.accept(),
            // Unlike a Prometheus, the server may be the very source of the number.
            hold: Duration::ZERO,
        },
        service,
        timeout: values.duration(&TIMEOUT).filter(|timeout| !timeout.is_zero()),
        activation: values.number(&ACTIVATION_TARGET_VALUE)?,
        metric: metric(spec, values)?,
    })
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let name = format!("metric-api-{}", values.text(&VALUE_LOCATION)?);
    Some(metric::metric(spec, &name, target(values.number(&TARGET_VALUE)?)?))
}

fn location(values: &Values) -> Result<Option<Location>, Problem> {
    let format = values.text(&FORMAT).and_then(Format::named);
    let (Some(format), Some(text)) = (format, values.text(&VALUE_LOCATION)) else { return Ok(None) };
    Location::parse(format, text).map(Some).map_err(|what| values.problem(&VALUE_LOCATION, what))
}
