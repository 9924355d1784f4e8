//! What a `rabbitmq` trigger can say: its parameters, and what is wrong with their combination.

mod parameters;

use std::time::Duration;

use reqwest::Url;
use tidegate_calculator::source::{MetricSpec, Problem, Secret, TriggerSpec};

use super::amqp::{Broker, Sasl};
use super::figures::{Mode, Operation};
use super::place::{Place, Protocol, query_escaped};
use crate::http::address::Address;
use crate::http::authentication::pairs;
use crate::http::{Access, Credentials, Grant, Login, is_local, target};
use crate::metric;
use crate::parameters::{Parameter, Values, tls};
use crate::registry::Checked;
use crate::tls::TlsOptions;
pub(super) use parameters::PARAMETERS;
use parameters::{
    ACTIVATION_VALUE, CLIENT_ID, CLIENT_SECRET, ENDPOINT_PARAMS, EXCLUDE_UNACKNOWLEDGED, HOST, MODE, OAUTH_TOKEN_URI,
    OPERATION, PAGE_SIZE, PASSWORD, PROTOCOL, QUEUE_LENGTH, QUEUE_NAME, SCOPES, TIMEOUT, TLS, USE_REGEX, USERNAME,
    VALUE, VHOST_NAME, WORKLOAD_IDENTITY,
};

/// The target where nothing is said of one.
const USUAL_TARGET: f64 = 20.0;

/// What a complete trigger says.
pub(super) struct Settings {
    pub(super) source: Source,
    pub(super) mode: Mode,
    pub(super) activation: f64,
    pub(super) metric: MetricSpec,
}

/// Where the number is read.
pub(super) enum Source {
    /// One queue of a broker.
    Amqp { broker: Box<Broker>, queue: String },
    /// The management API.
    Http(Box<Management>),
}

/// What is asked of a management API.
pub(super) struct Management {
    /// What the server is called in messages.
    pub(super) name: String,
    pub(super) access: Access,
    /// The list of the virtual host's queues.
    pub(super) queues: Url,
    /// The API's own description.
    pub(super) overview: Url,
    pub(super) vhost: String,
    pub(super) wanted: Wanted,
    /// Whether messages that were given out and not acknowledged are left out.
    pub(super) ready_only: bool,
    pub(super) timeout: Option<Duration>,
}

/// Which queues.
pub(super) enum Wanted {
    One(String),
    /// Those whose names match, read in pages of this size, and joined.
    Matching {
        pattern: String,
        page: i64,
        operation: Operation,
    },
}

/// What is wrong beyond single parameters.
pub(super) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let mut errors = Vec::new();
    let place = place(values).unwrap_or_else(|problem| {
        errors.push(problem);
        None
    });
    let protocol = place.as_ref().map(|place| place.protocol).or_else(|| said(values));
    errors.extend(target_flaws(values));
    errors.extend(login_flaws(values));
    errors.extend(oauth_flaws(values));
    errors.extend(refused(values));
    let mut warnings = Vec::new();
    if protocol == Some(Protocol::Amqp) {
        errors.extend(beyond_amqp(values));
        warnings.extend(idle_with_amqp(values));
    }
    if let Some(place) = &place {
        errors.extend(name_flaws(values, place));
        warnings.extend(tls_idle(values, place));
        if place.has_query {
            warnings.push(values.problem(&HOST, "has a query, which has no effect"));
        }
    }
    if uses_tls(values) {
        errors.extend(tls::flaws(values));
    }
    warnings.extend(idle(values));
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// What the trigger says; none if it has errors.
pub(super) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let place = place(values).ok()??;
    let vhost = place.vhost(values.text(&VHOST_NAME));
    let queue = values.text(&QUEUE_NAME)?.to_owned();
    let source = match place.protocol {
        Protocol::Amqp => Source::Amqp { broker: Box::new(broker(values, &place, vhost)), queue },
        Protocol::Http => Source::Http(Box::new(management(values, &place, vhost, queue)?)),
    };
    Some(Settings {
        source,
        mode: target_of(values)?.0,
        activation: values.number(&ACTIVATION_VALUE)?,
        metric: metric(spec, values)?,
    })
}

fn broker(values: &Values, place: &Place, vhost: String) -> Broker {
    let tls = place.encrypted.then(|| tls_options(values));
    let certified = tls.as_ref().is_some_and(|tls| tls.cert.is_some());
    let sasl = match (given_login(values), &place.login) {
        (Some((user, password)), _) => Sasl::Plain(user, password),
        (None, _) if certified && !place.has_password => Sasl::External,
        (None, Some((user, password))) => Sasl::Plain(user.clone(), password.clone()),
        // What every client of RabbitMQ says if it is told nothing; the server lets this user in from its own machine alone.
        (None, None) => Sasl::Plain(Secret::new("guest"), Secret::new("guest")),
    };
    Broker { host: place.host(), port: place.port(), name: place.name(), vhost, sasl, tls }
}

fn management(values: &Values, place: &Place, vhost: String, queue: String) -> Option<Management> {
    let login = match grant(values) {
        Some(grant) => Some(Login::OAuth(grant)),
        None => {
            given_login(values).or_else(|| place.login.clone()).map(|(user, password)| Login::Basic(user, password))
        }
    };
    let wanted = if values.truth(&USE_REGEX)? {
        let operation = Operation::named(values.text(&OPERATION)?)?;
        Wanted::Matching { pattern: queue, page: values.integer(&PAGE_SIZE)?, operation }
    } else {
        Wanted::One(queue)
    };
    Some(Management {
        name: place.name(),
        access: Access { tls: tls_options(values), credentials: Credentials { login, ..Credentials::default() } },
        queues: place.queues(&vhost)?,
        overview: place.overview()?,
        vhost,
        wanted,
        ready_only: values.truth(&EXCLUDE_UNACKNOWLEDGED)?,
        timeout: values.duration(&TIMEOUT).filter(|timeout| !timeout.is_zero()),
    })
}

/// The URL that is given, if it is seen, and fits the protocol that is said.
fn place(values: &Values) -> Result<Option<Place>, Problem> {
    let Some(text) = values.text(&HOST) else { return Ok(None) };
    let place = Place::parse(text).map_err(|what| values.problem(&HOST, what))?;
    match said(values) {
        Some(Protocol::Amqp) if place.protocol != Protocol::Amqp => {
            Err(values.problem(&HOST, "is not a URL with amqp:// or amqps://, which protocol: amqp needs"))
        }
        Some(Protocol::Http) if place.protocol != Protocol::Http => {
            Err(values.problem(&HOST, "is not a URL with http:// or https://, which protocol: http needs"))
        }
        _ => Ok(Some(place)),
    }
}

/// The protocol, if the trigger says one.
fn said(values: &Values) -> Option<Protocol> {
    match values.text(&PROTOCOL) {
        Some("amqp") => Some(Protocol::Amqp),
        Some("http") => Some(Protocol::Http),
        _ => None,
    }
}

/// The mode, if one is given: `Unknown` is KEDA's word for none.
fn mode(values: &Values) -> Option<Mode> {
    values.text(&MODE).and_then(Mode::named)
}

/// A value that is given; 0 is as none, as in KEDA.
fn given_number(values: &Values, parameter: &Parameter) -> Option<f64> {
    values.number(parameter).filter(|number| *number != 0.0)
}

/// What is compared with how much; none if that is not told.
fn target_of(values: &Values) -> Option<(Mode, f64)> {
    match (mode(values), given_number(values, &VALUE), given_number(values, &QUEUE_LENGTH)) {
        (Some(mode), Some(value), None) => Some((mode, value)),
        (None, None, length) => Some((Mode::QueueLength, length.unwrap_or(USUAL_TARGET))),
        _ => None,
    }
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let name = format!("rabbitmq-{}", query_escaped(values.text(&QUEUE_NAME)?));
    Some(metric::metric(spec, &name, target(target_of(values)?.1)?))
}

fn target_flaws(values: &Values) -> Vec<Problem> {
    let (mode, value) = (mode(values), given_number(values, &VALUE));
    let length = given_number(values, &QUEUE_LENGTH);
    // What is no number has been told already.
    if [&VALUE, &QUEUE_LENGTH, &MODE]
        .iter()
        .any(|parameter| values.text(parameter).is_some_and(|text| !parameter.kind.accepts(text)))
    {
        return Vec::new();
    }
    let mut flaws = Vec::new();
    match (mode, value, length) {
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            flaws.push(values.problem(&QUEUE_LENGTH, "cannot be combined with mode or value; use these alone"));
        }
        (Some(_), None, None) => flaws.push(values.problem(&VALUE, "is required with mode, and is not 0")),
        (None, Some(_), None) => {
            let what = "is required with value: QueueLength, MessageRate, DeliverGetRate, PublishedToDeliveredRatio or \
                ExpectedQueueConsumptionTime";
            flaws.push(values.problem(&MODE, what));
        }
        _ => {}
    }
    for (parameter, number) in [(&VALUE, value), (&QUEUE_LENGTH, length)] {
        if number.is_some_and(|number| target(number).is_none()) {
            flaws.push(values.problem(parameter, "is not a number >= 0.001"));
        }
    }
    flaws
}

/// User and password that are given apart from the URL.
fn given_login(values: &Values) -> Option<(Secret, Secret)> {
    Some((values.secret(&USERNAME)?, values.secret(&PASSWORD)?))
}

fn absent(values: &Values, parameter: &Parameter) -> bool {
    values.text(parameter).is_none() && !values.unseen(parameter)
}

fn login_flaws(values: &Values) -> Vec<Problem> {
    let missing = |there: &Parameter, other: &'static Parameter, name: &str| {
        let needed = values.given(there) && absent(values, other);
        needed.then(|| {
            values.dangling(other).unwrap_or_else(|| values.problem(other, format!("is required with {name}")))
        })
    };
    let mut flaws: Vec<Problem> = Vec::new();
    flaws.extend(missing(&USERNAME, &PASSWORD, "username"));
    flaws.extend(missing(&PASSWORD, &USERNAME, "password"));
    flaws
}

/// Tokens by client credentials, if all that they need is given.
fn grant(values: &Values) -> Option<Grant> {
    Some(Grant {
        endpoint: values.text(&OAUTH_TOKEN_URI)?.to_owned(),
        client: values.secret(&CLIENT_ID)?,
        secret: values.secret(&CLIENT_SECRET)?,
        scopes: values.list(&SCOPES).into_iter().filter(|scope| !scope.is_empty()).collect(),
        extra: pairs(values.text(&ENDPOINT_PARAMS).unwrap_or_default()),
        ca: tls_options(values).ca,
    })
}

const NEEDED_FOR_TOKENS: [&Parameter; 3] = [&OAUTH_TOKEN_URI, &CLIENT_ID, &CLIENT_SECRET];

fn oauth_flaws(values: &Values) -> Vec<Problem> {
    let mut flaws = Vec::new();
    if !NEEDED_FOR_TOKENS.iter().any(|parameter| values.given(parameter)) {
        return flaws;
    }
    let missing = NEEDED_FOR_TOKENS.iter().filter(|parameter| absent(values, parameter));
    let what = "is required for tokens; oauthTokenURI, clientID and clientSecret go together";
    flaws.extend(missing.map(|parameter| values.problem(parameter, what)));
    if values.text(&OAUTH_TOKEN_URI).is_some_and(|uri| Address::parse(uri).is_err()) {
        flaws.push(values.problem(&OAUTH_TOKEN_URI, "is not a URL with http:// or https://"));
    }
    if values.given(&USERNAME) || values.given(&PASSWORD) {
        let what = "cannot be combined with username and password; use one way to say who we are";
        flaws.push(values.problem(&OAUTH_TOKEN_URI, what));
    }
    flaws
}

/// What KEDA can do and we cannot.
fn refused(values: &Values) -> Option<Problem> {
    let what = "asks for an identity of Azure, which is not supported; use username and password, or oauthTokenURI";
    values.given(&WORKLOAD_IDENTITY).then(|| values.problem(&WORKLOAD_IDENTITY, what))
}

/// What AMQP cannot tell.
fn beyond_amqp(values: &Values) -> Vec<Problem> {
    let mut errors = Vec::new();
    let needs = "needs the management API; use a host with http:// or https://";
    if mode(values).is_some_and(Mode::needs_rates) {
        errors.push(values.problem(&MODE, needs));
    }
    let wishes = [&USE_REGEX, &EXCLUDE_UNACKNOWLEDGED].into_iter().filter(|wish| values.truth(wish) == Some(true));
    errors.extend(wishes.map(|wish| values.problem(wish, needs)));
    if NEEDED_FOR_TOKENS.iter().any(|parameter| values.given(parameter)) {
        errors.push(values.problem(&OAUTH_TOKEN_URI, needs));
    }
    // KEDA finds it only where a mode is given, and goes on without it elsewhere.
    if mode(values).is_some() && has_timeout(values) {
        errors.push(values.problem(&TIMEOUT, needs));
    }
    errors
}

fn has_timeout(values: &Values) -> bool {
    values.duration(&TIMEOUT).is_some_and(|timeout| !timeout.is_zero())
}

fn idle_with_amqp(values: &Values) -> Vec<Problem> {
    let what = "has no effect with AMQP";
    let timeout = (mode(values).is_none() && has_timeout(values)).then(|| values.problem(&TIMEOUT, what));
    timeout.into_iter().collect()
}

/// Names that cannot be sent.
fn name_flaws(values: &Values, place: &Place) -> Vec<Problem> {
    let mut flaws = Vec::new();
    let mut judge = |parameter: &Parameter, name: &str| {
        let longest = 255;
        if place.protocol == Protocol::Amqp && name.len() > longest {
            flaws.push(values.problem(parameter, "is longer than 255 bytes, and names in RabbitMQ are not"));
        }
        if place.protocol == Protocol::Http && matches!(name, "." | "..") {
            flaws.push(values.problem(parameter, "cannot be asked for over HTTP, where it is a step in a path"));
        }
    };
    if let Some(queue) = values.text(&QUEUE_NAME).filter(|_| values.truth(&USE_REGEX) != Some(true)) {
        judge(&QUEUE_NAME, queue);
    }
    if !values.unseen(&VHOST_NAME) {
        let named = values.text(&VHOST_NAME);
        judge(if named.is_some() { &VHOST_NAME } else { &HOST }, &place.vhost(named));
    }
    flaws
}

/// As in KEDA, certificates count with `tls: enable`.
fn uses_tls(values: &Values) -> bool {
    values.text(&TLS) == Some("enable")
}

fn tls_options(values: &Values) -> TlsOptions {
    let options = tls::options(values);
    if uses_tls(values) {
        return options;
    }
    TlsOptions { insecure: options.insecure, ..TlsOptions::default() }
}

fn tls_idle(values: &Values, place: &Place) -> Vec<Problem> {
    if !place.encrypted {
        let remedy = match place.protocol {
            Protocol::Amqp => "use amqps://",
            Protocol::Http => "use https://",
        };
        let mut idle = tls::idle(values, remedy);
        if values.given(&TLS) && uses_tls(values) {
            idle.push(values.problem(&TLS, format!("does not encrypt what the scheme of host leaves plain; {remedy}")));
        }
        return idle;
    }
    if uses_tls(values) || values.unseen(&TLS) {
        return Vec::new();
    }
    let given = [&tls::CA, &tls::CERT, &tls::KEY].into_iter().filter(|parameter| values.given(parameter));
    given.map(|parameter| values.problem(parameter, "has no effect without tls: enable")).collect()
}

/// What has no effect whatever the protocol, and what anybody on the way could read.
fn idle(values: &Values) -> Vec<Problem> {
    let mut warnings = Vec::new();
    if values.truth(&USE_REGEX) == Some(false) {
        let given = [&PAGE_SIZE, &OPERATION].into_iter().filter(|parameter| {
            // KEDA's own examples write out what is usual.
            values.given(parameter) && values.text(parameter) != parameter.default
        });
        warnings.extend(given.map(|parameter| values.problem(parameter, "has no effect without useRegex: true")));
    }
    if !NEEDED_FOR_TOKENS.iter().any(|parameter| values.given(parameter) || values.unseen(parameter)) {
        let given = [&SCOPES, &ENDPOINT_PARAMS].into_iter().filter(|parameter| values.given(parameter));
        warnings.extend(given.map(|parameter| values.problem(parameter, "has no effect without oauthTokenURI")));
    }
    let open = |uri: &&str| Url::parse(uri).is_ok_and(|url| url.scheme() == "http" && !is_local(&url));
    if values.text(&OAUTH_TOKEN_URI).as_ref().is_some_and(open) {
        let what = "sends the client's secret in the clear; use https://";
        warnings.push(values.problem(&OAUTH_TOKEN_URI, what));
    }
    warnings
}

#[cfg(test)]
#[path = "declaration_tests.rs"]
mod tests;
