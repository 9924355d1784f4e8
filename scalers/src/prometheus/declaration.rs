//! What a `prometheus` trigger can say: its parameters, and what is wrong with their combination.

use std::time::Duration;

use reqwest::Url;
use tidegate_calculator::source::{MetricSpec, Problem, Secret, TriggerSpec};

use super::answer::Rules;
use crate::http::address::{Address, shown};
use crate::http::authentication::{self, is_header_name, is_header_value};
use crate::http::{Access, Request, pairs, target, with_authentication};
use crate::metric;
use crate::parameters::Source::{Authentication, Metadata};
use crate::parameters::{Deprecation, Kind, Parameter, Values};
use crate::registry::Checked;

/// For how long an answer serves equal queries. Prometheus scrapes every few seconds at most, so nothing is missed.
const HOLD: Duration = Duration::from_secs(1);

const OF_AWS: &str = "Of Amazon Managed Service for Prometheus, which is not supported.";
const OF_GOOGLE: &str = "Of Google Managed Service for Prometheus, which is not supported.";

const SERVER_ADDRESS: Parameter = Parameter::new(
    &["serverAddress"],
    &[Metadata],
    Kind::Text,
    "The server's URL, with the path before /api/v1 if there is one.",
)
.required();
const QUERY: Parameter =
    Parameter::new(&["query"], &[Metadata], Kind::Text, "The query in PromQL; its answer is one number.").required();
const THRESHOLD: Parameter =
    Parameter::new(&["threshold"], &[Metadata], Kind::Number, "The value that one replica takes care of.").required();
const ACTIVATION_THRESHOLD: Parameter = Parameter::new(
    &["activationThreshold"],
    &[Metadata],
    Kind::Number,
    "The trigger is active while the value is greater than this.",
)
.or("0");
const NAMESPACE: Parameter = Parameter::new(
    &["namespace"],
    &[Metadata],
    Kind::Text,
    "Sent as namespace= with the query, for servers that restrict a query to a namespace.",
);
const QUERY_PARAMETERS: Parameter = Parameter::new(
    &["queryParameters"],
    &[Metadata],
    Kind::List,
    "What else is sent with the query: name=value,name=value.",
);
const CUSTOM_HEADERS: Parameter = Parameter::new(
    &["customHeaders"],
    &[Metadata],
    Kind::List,
    "Headers to send: name=value,name=value, such as X-Scope-OrgID=shop.",
)
.secret();
const IGNORE_NULL_VALUES: Parameter = Parameter::new(
    &["ignoreNullValues"],
    &[Metadata],
    Kind::Bool,
    "Whether an empty answer counts as 0; if set to true in so many words, NaN counts as 0 as well.",
)
.or("true");
const TIMEOUT: Parameter = Parameter::new(
    &["timeout"],
    &[Metadata],
    Kind::Duration,
    "How long an answer may take; it can only shorten what the operator allows.",
);
const AWS_REGION: Parameter = Parameter::new(&["awsRegion"], &[Metadata, Authentication], Kind::Text, OF_AWS);
const IDENTITY_OWNER: Parameter = Parameter::new(&["identityOwner"], &[Metadata], Kind::Text, OF_AWS)
    .deprecated(Deprecation::Unused("it belongs to Amazon Managed Service for Prometheus, which is not supported"));
const GOOGLE_CREDENTIALS: Parameter =
    Parameter::new(&["GoogleApplicationCredentials"], &[Authentication], Kind::Text, OF_GOOGLE).secret();
const CREDENTIALS_FROM_ENV: Parameter = Parameter::new(&["credentialsFromEnv"], &[Metadata], Kind::Text, OF_GOOGLE);
const CREDENTIALS_FROM_ENV_FILE: Parameter =
    Parameter::new(&["credentialsFromEnvFile"], &[Metadata], Kind::Text, OF_GOOGLE);

/// All parameters, in the order of the documentation.
pub(super) const PARAMETERS: &[Parameter] = &with_authentication::<33>(&[
    SERVER_ADDRESS,
    QUERY,
    THRESHOLD,
    ACTIVATION_THRESHOLD,
    NAMESPACE,
    QUERY_PARAMETERS,
    CUSTOM_HEADERS,
    IGNORE_NULL_VALUES,
    TIMEOUT,
    AWS_REGION,
    IDENTITY_OWNER,
    GOOGLE_CREDENTIALS,
    CREDENTIALS_FROM_ENV,
    CREDENTIALS_FROM_ENV_FILE,
]);

/// What a complete trigger says.
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) access: Access,
    pub(super) request: Request,
    pub(super) timeout: Option<Duration>,
    pub(super) rules: Rules,
    pub(super) activation: f64,
    pub(super) metric: MetricSpec,
}

/// What is wrong beyond single parameters.
pub(super) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let mut errors = Vec::new();
    let address = address(values).unwrap_or_else(|problem| {
        errors.push(problem);
        None
    });
    if values.number(&THRESHOLD).is_some_and(|threshold| target(threshold).is_none()) {
        errors.push(values.problem(&THRESHOLD, "is not a number >= 0.001"));
    }
    if pairs(&values.list(&QUERY_PARAMETERS)).is_none() {
        errors.push(values.problem(&QUERY_PARAMETERS, "is not a list of name=value"));
    }
    if headers(values).is_none() {
        let what = "is not a list of name=value with names and values that a header can have";
        errors.push(values.problem(&CUSTOM_HEADERS, what));
    }
    errors.extend(refused(values));
    let (more, warnings) = authentication::check(values, address.as_ref().map(|address| &address.url));
    errors.extend(more);
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// What the trigger says; none if it has errors.
pub(super) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let address = address(values).ok()??;
    let chosen = values.truth(&IGNORE_NULL_VALUES)?;
    Some(Settings {
        name: format!("Prometheus at {}", shown(&address.url)),
        access: authentication::access(values, &address)?,
        request: Request {
            url: question(values, &address)?,
            headers: headers(values)?,
            accept: "application/json",
            hold: HOLD,
        },
        timeout: values.duration(&TIMEOUT).filter(|timeout| !timeout.is_zero()),
        rules: Rules { empty_is_zero: chosen, nan_is_zero: chosen && values.given(&IGNORE_NULL_VALUES) },
        activation: values.number(&ACTIVATION_THRESHOLD)?,
        metric: metric(spec, values)?,
    })
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    Some(metric::metric(spec, "prometheus", target(values.number(&THRESHOLD)?)?))
}

fn address(values: &Values) -> Result<Option<Address>, Problem> {
    let address = Address::of(values, &SERVER_ADDRESS)?;
    if address.as_ref().is_some_and(|address| address.url.query().is_some()) {
        return Err(values.problem(&SERVER_ADDRESS, "has a query; use queryParameters"));
    }
    Ok(address)
}

/// The whole URL of the question. No time is sent: the server's own present is the right one, whatever our clock says.
fn question(values: &Values, address: &Address) -> Option<Url> {
    let mut url = address.url.clone();
    let path = format!("{}/api/v1/query", url.path().trim_end_matches('/'));
    url.set_path(&path);
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("query", values.text(&QUERY)?);
        if let Some(namespace) = values.text(&NAMESPACE) {
            query.append_pair("namespace", namespace);
        }
        query.extend_pairs(pairs(&values.list(&QUERY_PARAMETERS))?);
    }
    Some(url)
}

fn headers(values: &Values) -> Option<Vec<(String, Secret)>> {
    let fits = |(name, value): &(String, String)| is_header_name(name) && is_header_value(value);
    let headers = pairs(&values.list(&CUSTOM_HEADERS))?;
    headers.iter().all(fits).then(|| headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
}

/// What KEDA can do and we cannot.
fn refused(values: &Values) -> Vec<Problem> {
    let google = [&GOOGLE_CREDENTIALS, &CREDENTIALS_FROM_ENV, &CREDENTIALS_FROM_ENV_FILE];
    let named = [(&AWS_REGION, "Amazon")].into_iter().chain(google.map(|parameter| (parameter, "Google")));
    let given = named.filter(|(parameter, _)| values.given(parameter));
    let problem = |(parameter, whose): (&Parameter, &str)| {
        values.problem(parameter, format!("asks for {whose} Managed Service for Prometheus, which is not supported"))
    };
    given.map(problem).collect()
}
