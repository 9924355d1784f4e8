//! What a `redis` trigger can say: its parameters, and what is wrong with their combination.

use tidegate_calculator::source::{MetricSpec, Milli, Problem, TriggerSpec};

use super::connection::{Credentials, Server};
use crate::metric;
use crate::parameters::Source::{self, Authentication, Environment, Metadata};
use crate::parameters::{Deprecation, Kind, Parameter, Values, host_and_port, port_number, tls};
use crate::registry::Checked;

const ANYWHERE: &[Source] = &[Metadata, Environment, Authentication];
const SENTINEL_SOURCES: &[Source] = &[Metadata, Authentication, Environment];
const NO_SENTINEL: &str = "Of the type redis-sentinel only.";
const SENTINEL: Deprecation = Deprecation::Unused("it belongs to redis-sentinel, which is not supported yet");

const LIST_NAME: Parameter =
    Parameter::new(&["listName"], &[Metadata], Kind::Text, "The key whose length is read.").required();
const LIST_LENGTH: Parameter =
    Parameter::new(&["listLength"], &[Metadata], Kind::at_least(0), "The length that one replica takes care of.")
        .or("5");
const ACTIVATION_LIST_LENGTH: Parameter = Parameter::new(
    &["activationListLength"],
    &[Metadata],
    Kind::integer(),
    "The trigger is active while the length is greater than this.",
)
.or("0");
const DATABASE_INDEX: Parameter =
    Parameter::new(&["databaseIndex"], &[Metadata], Kind::at_least(0), "The database that holds the key.").or("0");
const ACTIVATION: Parameter = Parameter::new(
    &["activation"],
    &[Metadata],
    Kind::Choice(&["poll", "push"]),
    "push reads at once when the server says that the key changed, besides polling. KEDA does not know it.",
)
.or("poll");
const ADDRESS: Parameter = Parameter::new(
    &["address", "addresses"],
    &[Metadata, Authentication, Environment],
    Kind::List,
    "The server as host:port. Of several, the first is used.",
);
const HOST: Parameter =
    Parameter::new(&["host", "hosts"], ANYWHERE, Kind::List, "The server's host, if there is no address.");
const PORT: Parameter =
    Parameter::new(&["port", "ports"], ANYWHERE, Kind::List, "The server's port, one for every host.");
const USERNAME: Parameter = Parameter::new(&["username"], ANYWHERE, Kind::Text, "The ACL user; used with a password.");
const PASSWORD: Parameter =
    Parameter::new(&["password"], ANYWHERE, Kind::Text, "The password of the user, or of the server.").secret();
const ENABLE_TLS: Parameter =
    Parameter::new(&["enableTLS"], &[Metadata], Kind::Bool, "Whether to use TLS. Not together with tls.").or("false");
const TLS: Parameter = Parameter::new(
    &["tls"],
    &[Authentication],
    Kind::Choice(&["enable", "disable"]),
    "Whether to use TLS. Not together with enableTLS.",
);
const CERT: Parameter = Parameter { names: &["cert", "Cert"], ..tls::CERT };
const SENTINEL_USERNAME: Parameter =
    Parameter::new(&["sentinelUsername"], SENTINEL_SOURCES, Kind::Text, NO_SENTINEL).deprecated(SENTINEL);
const SENTINEL_PASSWORD: Parameter =
    Parameter::new(&["sentinelPassword"], SENTINEL_SOURCES, Kind::Text, NO_SENTINEL).secret().deprecated(SENTINEL);
const SENTINEL_MASTER: Parameter =
    Parameter::new(&["sentinelMaster"], SENTINEL_SOURCES, Kind::Text, NO_SENTINEL).deprecated(SENTINEL);

/// All parameters, in the order of the documentation.
pub(super) const PARAMETERS: &[Parameter] = &[
    LIST_NAME,
    LIST_LENGTH,
    ACTIVATION_LIST_LENGTH,
    ADDRESS,
    HOST,
    PORT,
    USERNAME,
    PASSWORD,
    DATABASE_INDEX,
    ENABLE_TLS,
    TLS,
    tls::UNSAFE_SSL,
    tls::CA,
    CERT,
    tls::KEY,
    tls::KEY_PASSWORD,
    ACTIVATION,
    SENTINEL_USERNAME,
    SENTINEL_PASSWORD,
    SENTINEL_MASTER,
];

/// What a complete trigger says.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) server: Server,
    pub(super) database: i64,
    pub(super) list: String,
    pub(super) activation: i64,
    pub(super) push: bool,
    pub(super) metric: MetricSpec,
}

/// What is wrong beyond single parameters.
pub(super) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let mut errors = Vec::new();
    if let Err(problems) = address(values) {
        errors.extend(problems);
    }
    if values.given(&ENABLE_TLS) && values.given(&TLS) {
        errors.push(values.problem(&ENABLE_TLS, "cannot be set together with tls of the authenticationRef; set one"));
    }
    let mut warnings: Vec<Problem> = surplus(values).into_iter().collect();
    if values.integer(&LIST_LENGTH) == Some(0) {
        warnings.push(values.problem(&LIST_LENGTH, "makes any item ask for maxReplicaCount; use 1 or more"));
    }
    if values.given(&USERNAME) && !values.given(&PASSWORD) && !values.unseen(&PASSWORD) {
        warnings.push(values.problem(&USERNAME, "has no effect without a password"));
    }
    if uses_tls(values) {
        errors.extend(tls::flaws(values));
    } else if !values.unseen(&TLS) {
        warnings.extend(tls::idle(values, "set enableTLS"));
    }
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// What the trigger says; none if it has errors.
pub(super) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let (host, port) = address(values).ok()??;
    let password = values.secret(&PASSWORD);
    Some(Settings {
        server: Server {
            host,
            port,
            credentials: password.map(|password| Credentials { username: values.secret(&USERNAME), password }),
            tls: uses_tls(values).then(|| tls::options(values)),
        },
        database: values.integer(&DATABASE_INDEX)?,
        list: values.text(&LIST_NAME)?.to_owned(),
        activation: values.integer(&ACTIVATION_LIST_LENGTH)?,
        push: values.text(&ACTIVATION) == Some("push"),
        metric: metric(spec, values)?,
    })
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let (list, target) = (values.text(&LIST_NAME)?, values.integer(&LIST_LENGTH)?);
    Some(metric::metric(spec, &format!("redis-{list}"), Milli::units(target)))
}

/// The server: the first address, or else the first host with its port. None when it may be there but is not seen.
fn address(values: &Values) -> Result<Option<(String, u16)>, Vec<Problem>> {
    if values.unseen(&ADDRESS) {
        return Ok(None);
    }
    let (hosts, ports) = (values.list(&HOST), values.list(&PORT));
    let seen = !values.unseen(&HOST) && !values.unseen(&PORT);
    if seen && !hosts.is_empty() && !ports.is_empty() && hosts.len() != ports.len() {
        let allowed = format!("needs as many entries as host: {} hosts, {} ports", hosts.len(), ports.len());
        return Err(vec![values.problem(&PORT, allowed)]);
    }
    if let Some(first) = values.list(&ADDRESS).first() {
        let split = host_and_port(first);
        return split.map(Some).ok_or_else(|| vec![values.problem(&ADDRESS, "is not host:port")]);
    }
    if !seen {
        return Ok(None);
    }
    match (hosts.first(), ports.first()) {
        (Some(host), Some(port)) => pair(values, host, port).map(Some),
        (Some(_), None) => Err(vec![values.problem(&PORT, "is required with host")]),
        _ => Err(vec![missing(values)]),
    }
}

fn pair(values: &Values, host: &str, port: &str) -> Result<(String, u16), Vec<Problem>> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let mut problems = Vec::new();
    if bare.is_empty() || bare.contains(['/', ' ']) {
        problems.push(values.problem(&HOST, "is not the name or address of a host"));
    }
    match port_number(port) {
        Some(number) if problems.is_empty() => Ok((bare.to_owned(), number)),
        Some(_) => Err(problems),
        None => {
            problems.push(values.problem(&PORT, "is not a port from 1 to 65535"));
            Err(problems)
        }
    }
}

/// No server at all: a variable that was named in vain says more than "required".
fn missing(values: &Values) -> Problem {
    let dangling = [&ADDRESS, &HOST, &PORT].into_iter().find_map(|parameter| values.dangling(parameter));
    dangling.unwrap_or_else(|| Problem {
        path: "metadata.address".to_owned(),
        value: None,
        allowed: "is required; give address (host:port), or host and port, in metadata, the container's environment \
                  (...FromEnv) or authenticationRef"
            .to_owned(),
    })
}

/// Servers that a stand-alone client does not look at.
fn surplus(values: &Values) -> Option<Problem> {
    let (addresses, hosts) = (values.list(&ADDRESS).len(), values.list(&HOST).len());
    let parameter = if addresses > 0 { &ADDRESS } else { &HOST };
    (addresses > 1 || (addresses == 0 && hosts > 1)).then(|| {
        values.problem(parameter, "names several servers; only the first is read (redis-cluster is not supported yet)")
    })
}

fn uses_tls(values: &Values) -> bool {
    values.truth(&ENABLE_TLS) == Some(true) || values.text(&TLS) == Some("enable")
}

#[cfg(test)]
#[path = "declaration_tests.rs"]
mod tests;
