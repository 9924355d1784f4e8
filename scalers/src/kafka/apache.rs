//! What an `apache-kafka` trigger can say, where it differs from `kafka` (keda-semantics §5.2).

use std::sync::Arc;

use tidegate_calculator::source::TriggerSpec;

use super::declaration::{self, Settings};
use super::login;
use crate::parameters::{Kind, Parameter, Values, tls};
use crate::registry::Checked;

const TOPIC: Parameter = Parameter {
    kind: Kind::List,
    about: "The topics. Without them, all topics that the group has commits of.",
    ..declaration::TOPIC
};
const SASL: Parameter = Parameter {
    kind: Kind::Choice(&["none", "plaintext", "scram_sha256", "scram_sha512"]),
    about: "How to log in. gssapi (Kerberos) and aws_msk_iam are not supported.",
    default: Some("none"),
    ..login::SASL
};
const USERNAME: Parameter = Parameter { about: "The user. Required with sasl.", ..login::USERNAME };
const PASSWORD: Parameter = Parameter { about: "The user's password. Required with sasl.", ..login::PASSWORD };

/// All parameters, in the order of the documentation.
pub(super) const PARAMETERS: &[Parameter] = &[
    declaration::BOOTSTRAP_SERVERS,
    declaration::CONSUMER_GROUP,
    TOPIC,
    declaration::PARTITION_LIMITATION,
    declaration::LAG_THRESHOLD,
    declaration::ACTIVATION_LAG_THRESHOLD,
    declaration::OFFSET_RESET_POLICY,
    declaration::SCALE_TO_ZERO_ON_INVALID_OFFSET,
    declaration::ALLOW_IDLE_CONSUMERS,
    declaration::LIMIT_TO_PARTITIONS_WITH_LAG,
    ENSURE_EVEN_DISTRIBUTION,
    declaration::EXCLUDE_PERSISTENT_LAG,
    declaration::ISOLATION_LEVEL,
    declaration::ACTIVATION,
    declaration::TLS,
    tls::CA,
    tls::CERT,
    tls::KEY,
    tls::KEY_PASSWORD,
    SASL,
    USERNAME,
    PASSWORD,
    login::AWS_REGION,
    login::AWS_ROLE_ARN,
    login::AWS_ACCESS_KEY_ID,
    login::AWS_SECRET_ACCESS_KEY,
    login::AWS_SESSION_TOKEN,
    login::IDENTITY_OWNER,
];

const ENSURE_EVEN_DISTRIBUTION: Parameter = Parameter {
    about: "Whether the number of replicas is always a divisor of the number of partitions.",
    ..declaration::ENSURE_EVEN_DISTRIBUTION
};

/// What is wrong beyond single parameters.
pub(super) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let topics = topics(values);
    let named = topics.as_deref().map(written);
    let mut found = declaration::check_common(spec, values, named.as_deref(), &SASL);
    if values.given(&TOPIC) && !topics.is_some_and(|topics| topics.iter().all(|topic| declaration::is_topic(topic))) {
        let what = "is not a list of topics (letters, digits, '.', '_' and '-', at most 249)";
        found.errors.push(values.problem(&TOPIC, what));
    }
    found.errors.extend(declaration::needs_topic(values, &declaration::LIMIT_TO_PARTITIONS_WITH_LAG, true));
    let doubled = [&declaration::TLS, &SASL].into_iter().filter(|parameter| values.doubled(parameter));
    let what = |name| format!("cannot be set together with {name} of the authenticationRef; set one");
    found.errors.extend(doubled.map(|parameter| values.problem(parameter, what(parameter.name()))));
    found
}

/// What the trigger says; none if it has errors.
pub(super) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let topics = topics(values);
    let named = topics.as_deref().map(written);
    let once = topics.map(|topics| {
        let mut once: Vec<Arc<str>> = Vec::with_capacity(topics.len());
        for topic in topics {
            if !once.iter().any(|known| **known == *topic) {
                once.push(topic.into());
            }
        }
        once
    });
    declaration::complete(spec, values, named.as_deref(), once)
}

/// What the metric is named after.
fn written(topics: &[String]) -> String {
    topics.join(",")
}

/// The topics as they are written; a comma too many does no harm.
fn topics(values: &Values) -> Option<Vec<String>> {
    let topics: Vec<String> = values.list(&TOPIC).into_iter().filter(|topic| !topic.is_empty()).collect();
    (!topics.is_empty()).then_some(topics)
}
