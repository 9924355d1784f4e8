//! What a `kafka` trigger can say: its parameters, and what is wrong with their combination (keda-semantics §5.1).
//!
//! What `apache-kafka` says otherwise stands beside it ([`super::apache`]); the rules for both are here.

use std::ops::RangeInclusive;
use std::sync::Arc;

use tidegate_calculator::source::{MetricSpec, Milli, Problem, TriggerSpec};

use super::connection::Cluster;
use super::lag::Rules;
use super::login;
use super::offsets::{Query, Scope};
use crate::metric;
use crate::parameters::Source::{Authentication, Environment, Metadata};
use crate::parameters::{Kind, Parameter, Values, host_and_port, tls};
use crate::registry::Checked;

pub(super) const BOOTSTRAP_SERVERS: Parameter = Parameter::new(
    &["bootstrapServers"],
    &[Metadata, Environment],
    Kind::List,
    "Brokers as host:port that are asked for the others; an IPv6 address stands in brackets.",
)
.required();
pub(super) const CONSUMER_GROUP: Parameter = Parameter::new(
    &["consumerGroup"],
    &[Metadata, Environment],
    Kind::Text,
    "The consumer group whose commits are compared with the ends of the partitions.",
)
.required();
pub(super) const TOPIC: Parameter = Parameter::new(
    &["topic"],
    &[Metadata, Environment],
    Kind::Text,
    "The topic. Without it, all topics that the group has commits of.",
);
pub(super) const PARTITION_LIMITATION: Parameter = Parameter::new(
    &["partitionLimitation"],
    &[Metadata],
    Kind::Text,
    "The partitions that count, such as 1,2,5-9; needs topic. Without it, all.",
);
pub(super) const LAG_THRESHOLD: Parameter =
    Parameter::new(&["lagThreshold"], &[Metadata], Kind::at_least(1), "The lag that one replica takes care of.")
        .or("10");
pub(super) const ACTIVATION_LAG_THRESHOLD: Parameter = Parameter::new(
    &["activationLagThreshold"],
    &[Metadata],
    Kind::at_least(0),
    "The trigger is active while the whole lag is greater than this.",
)
.or("0");
pub(super) const OFFSET_RESET_POLICY: Parameter = Parameter::new(
    &["offsetResetPolicy"],
    &[Metadata],
    Kind::Choice(&["latest", "earliest"]),
    "Where a consumer begins that has no commit. A partition without one lags by 1 with latest, and by all its records \
     with earliest.",
)
.or("latest");
pub(super) const ALLOW_IDLE_CONSUMERS: Parameter = Parameter::new(
    &["allowIdleConsumers"],
    &[Metadata],
    Kind::Bool,
    "Whether there may be more replicas than partitions.",
)
.or("false");
pub(super) const EXCLUDE_PERSISTENT_LAG: Parameter = Parameter::new(
    &["excludePersistentLag"],
    &[Metadata],
    Kind::Bool,
    "Whether a partition whose commit is the same as at the poll before does not count. It still makes active.",
)
.or("false");
pub(super) const SCALE_TO_ZERO_ON_INVALID_OFFSET: Parameter = Parameter::new(
    &["scaleToZeroOnInvalidOffset"],
    &[Metadata],
    Kind::Bool,
    "Whether a partition without a commit has no lag.",
)
.or("false");
pub(super) const LIMIT_TO_PARTITIONS_WITH_LAG: Parameter = Parameter::new(
    &["limitToPartitionsWithLag"],
    &[Metadata],
    Kind::Bool,
    "Whether there are at most as many replicas as partitions that lag; needs topic.",
)
.or("false");
pub(super) const ENSURE_EVEN_DISTRIBUTION: Parameter = Parameter::new(
    &["ensureEvenDistributionOfPartitions"],
    &[Metadata],
    Kind::Bool,
    "Whether the number of replicas is always a divisor of the number of partitions; needs topic.",
)
.or("false");
pub(super) const ISOLATION_LEVEL: Parameter = Parameter::new(
    &["isolationLevel"],
    &[Metadata],
    Kind::Choice(&["read_uncommitted", "read_committed"]),
    "read_committed leaves out records from the first open transaction on. KEDA does not know it.",
)
.or("read_uncommitted");
pub(super) const ACTIVATION: Parameter = Parameter::new(
    &["activation"],
    &[Metadata],
    Kind::Choice(&["poll", "push"]),
    "push reads at once when a record arrives, besides polling. KEDA does not know it.",
)
.or("poll");
const FULL_METADATA: Parameter = Parameter::new(
    &["fullMetadata"],
    &[Metadata],
    Kind::Bool,
    "No effect: only watched topics are ever asked for. false needs topic.",
)
.or("true");
const VERSION: Parameter = Parameter::new(
    &["version"],
    &[Metadata],
    Kind::Text,
    "No effect: every broker says itself what it speaks. Still it must be a version of Kafka.",
)
.or("1.0.0");
pub(super) const TLS: Parameter =
    Parameter::new(&["tls"], &[Metadata, Authentication], Kind::Choice(&["enable", "disable"]), "Whether to use TLS.")
        .or("disable");

/// All parameters, in the order of the documentation.
pub(super) const PARAMETERS: &[Parameter] = &[
    BOOTSTRAP_SERVERS,
    CONSUMER_GROUP,
    TOPIC,
    PARTITION_LIMITATION,
    LAG_THRESHOLD,
    ACTIVATION_LAG_THRESHOLD,
    OFFSET_RESET_POLICY,
    SCALE_TO_ZERO_ON_INVALID_OFFSET,
    ALLOW_IDLE_CONSUMERS,
    LIMIT_TO_PARTITIONS_WITH_LAG,
    ENSURE_EVEN_DISTRIBUTION,
    EXCLUDE_PERSISTENT_LAG,
    ISOLATION_LEVEL,
    ACTIVATION,
    FULL_METADATA,
    VERSION,
    TLS,
    tls::UNSAFE_SSL,
    tls::CA,
    tls::CERT,
    tls::KEY,
    tls::KEY_PASSWORD,
    login::SASL,
    login::USERNAME,
    login::PASSWORD,
    login::SASL_TOKEN_PROVIDER,
    login::OAUTH_TOKEN_ENDPOINT_URI,
    login::SCOPES,
    login::OAUTH_EXTENSIONS,
    login::KEYTAB,
    login::REALM,
    login::KERBEROS_CONFIG,
    login::KERBEROS_SERVICE_NAME,
    login::KERBEROS_DISABLE_FAST,
    login::AWS_REGION,
    login::AWS_ROLE_ARN,
    login::AWS_ACCESS_KEY_ID,
    login::AWS_SECRET_ACCESS_KEY,
    login::AWS_SESSION_TOKEN,
    login::IDENTITY_OWNER,
];

/// What a complete trigger says.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) cluster: Cluster,
    pub(super) query: Query,
    pub(super) rules: Rules,
    pub(super) activation: i64,
    pub(super) push: bool,
    pub(super) metric: MetricSpec,
}

/// What is wrong beyond single parameters.
pub(super) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let topic = values.text(&TOPIC);
    let mut found = check_common(spec, values, topic, &login::SASL);
    if topic.is_some_and(|topic| !is_topic(topic)) {
        let what = "is not the name of one topic (letters, digits, '.', '_' and '-', at most 249)";
        found.errors.push(values.problem(&TOPIC, what));
    }
    for parameter in [&LIMIT_TO_PARTITIONS_WITH_LAG, &ENSURE_EVEN_DISTRIBUTION] {
        found.errors.extend(needs_topic(values, parameter, true));
    }
    found.errors.extend(needs_topic(values, &FULL_METADATA, false));
    if is_true(values, &LIMIT_TO_PARTITIONS_WITH_LAG) && is_true(values, &ENSURE_EVEN_DISTRIBUTION) {
        let what = "cannot be set together with ensureEvenDistributionOfPartitions; set one";
        found.errors.push(values.problem(&LIMIT_TO_PARTITIONS_WITH_LAG, what));
    }
    if values.text(&VERSION).is_some_and(|version| !is_version(version)) {
        found.errors.push(values.problem(&VERSION, "is not a version of Kafka such as 3.9.0 or 0.11.0.2"));
    }
    found
}

/// What the trigger says; none if it has errors.
pub(super) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let topic = values.text(&TOPIC);
    complete(spec, values, topic, topic.map(|topic| vec![Arc::from(topic)]))
}

/// What both types check; `topic` is the text that names the metric, `sasl` the type's own declaration of it.
pub(super) fn check_common(spec: &TriggerSpec, values: &Values, topic: Option<&str>, sasl: &Parameter) -> Checked {
    let (mut errors, mut warnings) = login::check(values, sasl);
    errors.extend(servers(values).err());
    match partitions(values).map(|ranges| ranges.is_some_and(|ranges| ranges.iter().all(RangeInclusive::is_empty))) {
        Err(problem) => errors.push(problem),
        Ok(true) => errors.push(values.problem(&PARTITION_LIMITATION, "names no partition")),
        Ok(false) if values.given(&PARTITION_LIMITATION) && is_missing(values, &TOPIC) => {
            warnings.push(values.problem(&PARTITION_LIMITATION, "has no effect without topic"));
        }
        Ok(false) => {}
    }
    if is_true(values, &LIMIT_TO_PARTITIONS_WITH_LAG) && is_true(values, &ALLOW_IDLE_CONSUMERS) {
        let what = "cannot be set together with allowIdleConsumers; set one";
        errors.push(values.problem(&LIMIT_TO_PARTITIONS_WITH_LAG, what));
    }
    if uses_tls(values) {
        errors.extend(tls::flaws(values));
    } else if !values.unseen(&TLS) {
        warnings.extend(tls::idle(values, "set tls: enable"));
    }
    if values.text(&ACTIVATION) == Some("push") && is_missing(values, &TOPIC) {
        errors.push(values.problem(&ACTIVATION, "needs topic"));
    }
    Checked { errors, warnings, metrics: metric(spec, values, topic).into_iter().collect() }
}

/// What both types say. `topic` is the text that names the metric; no topics stand for those of the group.
pub(super) fn complete(
    spec: &TriggerSpec,
    values: &Values,
    topic: Option<&str>,
    topics: Option<Vec<Arc<str>>>,
) -> Option<Settings> {
    let from_earliest = values.text(&OFFSET_RESET_POLICY)? == "earliest";
    let uncommitted_is_zero = values.truth(&SCALE_TO_ZERO_ON_INVALID_OFFSET)?;
    let sasl = login::sasl(values);
    // Never a try without a login where one was asked for.
    if sasl.is_none() && login::is_wanted(values) {
        return None;
    }
    let partitions = partitions(values).ok()?.filter(|_| topics.is_some());
    let rules = Rules {
        threshold: values.integer(&LAG_THRESHOLD)?,
        from_earliest,
        uncommitted_is_zero,
        allow_idle: values.truth(&ALLOW_IDLE_CONSUMERS)?,
        exclude_persistent: values.truth(&EXCLUDE_PERSISTENT_LAG)?,
        limit_to_lagging: values.truth(&LIMIT_TO_PARTITIONS_WITH_LAG)?,
        even: values.truth(&ENSURE_EVEN_DISTRIBUTION)?,
    };
    Some(Settings {
        cluster: Cluster {
            bootstrap: servers(values).ok()?,
            tls: uses_tls(values).then(|| tls::options(values)),
            sasl,
        },
        metric: metric(spec, values, topic)?,
        query: Query {
            group: values.text(&CONSUMER_GROUP)?.into(),
            scope: topics.map_or(Scope::GroupTopics, Scope::Topics),
            committed_only: values.text(&ISOLATION_LEVEL) == Some("read_committed"),
            log_start: from_earliest && !uncommitted_is_zero,
            partitions: partitions.map(Arc::from),
        },
        rules,
        activation: values.integer(&ACTIVATION_LAG_THRESHOLD)?,
        push: values.text(&ACTIVATION) == Some("push"),
    })
}

/// An error if the parameter has the value that only makes sense for a named topic.
pub(super) fn needs_topic(values: &Values, parameter: &Parameter, value: bool) -> Option<Problem> {
    let pointless = values.truth(parameter) == Some(value) && is_missing(values, &TOPIC);
    pointless.then(|| values.problem(parameter, "needs topic"))
}

/// Whether the text can be the name of a topic.
pub(super) fn is_topic(name: &str) -> bool {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    letters && (1..=249).contains(&name.len()) && name != "." && name != ".."
}

/// Whether the parameter is certainly absent.
pub(super) fn is_missing(values: &Values, parameter: &Parameter) -> bool {
    !values.given(parameter) && !values.unseen(parameter)
}

fn is_true(values: &Values, parameter: &Parameter) -> bool {
    values.truth(parameter) == Some(true)
}

fn uses_tls(values: &Values) -> bool {
    values.text(&TLS) == Some("enable")
}

fn metric(spec: &TriggerSpec, values: &Values, topic: Option<&str>) -> Option<MetricSpec> {
    let name = match topic {
        Some(topic) => format!("kafka-{topic}"),
        None if values.unseen(&TOPIC) => return None,
        None => format!("kafka-{}-topics", values.text(&CONSUMER_GROUP)?),
    };
    Some(metric::metric(spec, &name, Milli::units(values.integer(&LAG_THRESHOLD)?)))
}

/// The brokers that are asked first; none if they are not seen. A comma too many does no harm.
fn servers(values: &Values) -> Result<Vec<(String, u16)>, Problem> {
    let entries = values.list(&BOOTSTRAP_SERVERS);
    let mut servers = Vec::with_capacity(entries.len());
    for (entry, place) in entries.iter().zip(1..).filter(|(entry, _)| !entry.is_empty()) {
        // The entry is not printed: it may come from a variable that is not for everybody's eyes.
        let flawed = || values.problem(&BOOTSTRAP_SERVERS, format!("is not host:port,host:port,... (entry {place})"));
        servers.push(host_and_port(entry).ok_or_else(flawed)?);
    }
    if servers.is_empty() && values.given(&BOOTSTRAP_SERVERS) {
        return Err(values.problem(&BOOTSTRAP_SERVERS, "names no broker"));
    }
    Ok(servers)
}

/// The partitions that count; none for all. A range whose end comes first is empty, as KEDA reads it.
fn partitions(values: &Values) -> Result<Option<Vec<RangeInclusive<i32>>>, Problem> {
    let number = |text: &str| {
        let text = text.trim();
        text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i32>().ok()).flatten()
    };
    let range = |piece: &str| {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        Some(number(first)?..=number(last)?)
    };
    let Some(text) = values.text(&PARTITION_LIMITATION) else {
        return Ok(None);
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    let flawed = || values.problem(&PARTITION_LIMITATION, "is not a list of partitions such as 1,2,5-9");
    ranges.map(Some).ok_or_else(flawed)
}

/// Three numbers, or four that begin with 0: how Kafka counted before 1.0.
fn is_version(text: &str) -> bool {
    let numbers: Vec<&str> = text.split('.').collect();
    let digits = numbers.iter().all(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    digits && if text.starts_with('0') { numbers[0] == "0" && numbers.len() == 4 } else { numbers.len() == 3 }
}

#[cfg(test)]
#[path = "declaration_tests.rs"]
mod tests;
