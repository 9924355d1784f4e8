//! The parameters of a `rabbitmq` trigger, each declared once.

use crate::parameters::Source::{self, Authentication, Environment, Metadata};
use crate::parameters::{Deprecation, Kind, Parameter, tls};

const SECRETS: &[Source] = &[Authentication];
const LOGIN: &[Source] = &[Authentication, Environment];

pub(super) const HOST: Parameter = Parameter::new(
    &["host"],
    &[Metadata, Authentication, Environment],
    Kind::Text,
    "The server's URL with amqp://, amqps:// or, for the management API, http://, https://; its path is the virtual host.",
)
.required()
.secret();
pub(super) const QUEUE_NAME: Parameter = Parameter::new(
    &["queueName"],
    &[Metadata],
    Kind::Text,
    "The queue; with useRegex: true a regular expression that finds queues anywhere in their names.",
)
.required();
pub(super) const PROTOCOL: Parameter = Parameter::new(
    &["protocol"],
    &[Metadata, Authentication],
    Kind::Choice(&["auto", "amqp", "http"]),
    "How the server is asked; auto is what the scheme of host says.",
)
.or("auto");
pub(super) const VHOST_NAME: Parameter = Parameter::new(
    &["vhostName"],
    &[Metadata, Authentication],
    Kind::Text,
    "The virtual host, instead of that of host.",
);
pub(super) const MODE: Parameter = Parameter::new(
    &["mode"],
    &[Metadata],
    Kind::Choice(&[
        "Unknown",
        "QueueLength",
        "MessageRate",
        "DeliverGetRate",
        "PublishedToDeliveredRatio",
        "ExpectedQueueConsumptionTime",
    ]),
    "What is read; all but QueueLength need HTTP. Unknown is as not given.",
)
.or("Unknown");
pub(super) const VALUE: Parameter = Parameter::new(
    &["value"],
    &[Metadata],
    Kind::Number,
    "What one replica takes care of, in the terms of mode; without both it is a length of 20. 0 is as not given.",
);
pub(super) const ACTIVATION_VALUE: Parameter = Parameter::new(
    &["activationValue"],
    &[Metadata],
    Kind::Number,
    "The trigger is active while what is read is greater than this.",
)
.or("0");
pub(super) const QUEUE_LENGTH: Parameter = Parameter::new(
    &["queueLength"],
    &[Metadata],
    Kind::Number,
    "The messages that one replica takes care of; not together with mode or value. 0 is as not given.",
)
.deprecated(Deprecation::Announced("use mode: QueueLength and value"));
pub(super) const EXCLUDE_UNACKNOWLEDGED: Parameter = Parameter::new(
    &["excludeUnacknowledged"],
    &[Metadata],
    Kind::Bool,
    "Whether messages that a consumer holds and has not acknowledged are left out; over HTTP.",
)
.or("false");
pub(super) const USE_REGEX: Parameter = Parameter::new(
    &["useRegex"],
    &[Metadata],
    Kind::Bool,
    "Whether queueName is a regular expression, for all queues that it finds together; over HTTP.",
)
.or("false");
pub(super) const OPERATION: Parameter = Parameter::new(
    &["operation"],
    &[Metadata],
    Kind::Choice(&["sum", "avg", "max"]),
    "How the numbers of several queues become one.",
)
.or("sum");
pub(super) const PAGE_SIZE: Parameter = Parameter::new(
    &["pageSize"],
    &[Metadata],
    Kind::Integer { min: 1, max: 500 },
    "How many queues the server lists in one answer, as many answers as there are.",
)
.or("100");
pub(super) const TIMEOUT: Parameter = Parameter::new(
    &["timeout"],
    &[Metadata],
    Kind::Duration,
    "How long an answer over HTTP may take; it can only shorten what the operator allows.",
);
pub(super) const USERNAME: Parameter =
    Parameter::new(&["username"], LOGIN, Kind::Text, "The user, instead of that of host.");
pub(super) const PASSWORD: Parameter =
    Parameter::new(&["password"], LOGIN, Kind::Text, "The user's password, instead of that of host.").secret();
pub(super) const TLS: Parameter = Parameter::new(
    &["tls"],
    SECRETS,
    Kind::Choice(&["enable", "disable"]),
    "Whether ca, cert and key count; TLS itself is what the scheme of host says.",
)
.or("disable");
pub(super) const OAUTH_TOKEN_URI: Parameter = Parameter::new(
    &["oauthTokenURI"],
    SECRETS,
    Kind::Text,
    "The URL that gives tokens for the management API by client credentials.",
);
pub(super) const CLIENT_ID: Parameter = Parameter::new(&["clientID"], SECRETS, Kind::Text, "The client's id there.");
pub(super) const CLIENT_SECRET: Parameter =
    Parameter::new(&["clientSecret"], SECRETS, Kind::Text, "The client's secret there.").secret();
pub(super) const SCOPES: Parameter =
    Parameter::new(&["scopes", "scope"], SECRETS, Kind::List, "The scopes that tokens are asked for.");
pub(super) const ENDPOINT_PARAMS: Parameter = Parameter::new(
    &["endpointParams"],
    SECRETS,
    Kind::Text,
    "What else is sent for a token, as in a query: audience=api&resource=x.",
)
.secret();
pub(super) const WORKLOAD_IDENTITY: Parameter = Parameter::new(
    &["workloadIdentityResource"],
    &[Authentication],
    Kind::Text,
    "Of Azure's workload identity, which is not supported.",
);

/// All of them, in the order of the documentation.
pub(in crate::rabbitmq) const PARAMETERS: &[Parameter] = &[
    HOST,
    QUEUE_NAME,
    MODE,
    VALUE,
    ACTIVATION_VALUE,
    QUEUE_LENGTH,
    PROTOCOL,
    VHOST_NAME,
    EXCLUDE_UNACKNOWLEDGED,
    USE_REGEX,
    OPERATION,
    PAGE_SIZE,
    TIMEOUT,
    USERNAME,
    PASSWORD,
    tls::UNSAFE_SSL,
    TLS,
    tls::CA,
    tls::CERT,
    tls::KEY,
    tls::KEY_PASSWORD,
    OAUTH_TOKEN_URI,
    CLIENT_ID,
    CLIENT_SECRET,
    SCOPES,
    ENDPOINT_PARAMS,
    WORKLOAD_IDENTITY,
];
