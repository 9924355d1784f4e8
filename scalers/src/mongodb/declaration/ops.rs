//! The parameters of `mongodb-ops-queue`.

use std::time::Duration;

use tidegate_calculator::source::{MetricSpec, TriggerSpec};

use super::super::access::Access;
use super::super::number::target;
use super::super::question::{Figure, Members, Operations, Question};
use crate::metric;
use crate::parameters::Source::{Authentication, Metadata};
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::Checked;

const METRIC: Parameter = Parameter::new(
    &["metric"],
    &[Metadata],
    Kind::Choice(&[
        "currentQueue",
        "currentQueueReaders",
        "currentQueueWriters",
        "activeClients",
        "activeClientsReaders",
        "activeClientsWriters",
        "waitingOps",
        "slowOps",
    ]),
    "What is read.",
)
.or("currentQueue");
const MEMBERS: Parameter = Parameter::new(
    &["members"],
    &[Metadata],
    Kind::Choice(&["primary", "any", "all"]),
    "Which servers of a replica set are asked: the primary, the nearest, or all with data, whose values are added up.",
)
.or("primary");
const SLOWER_THAN: Parameter = Parameter::new(
    &["slowerThan"],
    &[Metadata],
    Kind::Duration,
    "slowOps counts the operations that have run for longer than this, in whole seconds.",
)
.or("10s");
const TARGET_VALUE: Parameter =
    Parameter::new(&["targetValue"], &[Metadata], Kind::Number, "The value that one replica takes care of.").required();
const ACTIVATION_TARGET_VALUE: Parameter = Parameter::new(
    &["activationTargetValue"],
    &[Metadata],
    Kind::Number,
    "The trigger is active while the value is greater than this.",
)
.or("0");
const AUTH_SOURCE: Parameter = Parameter::new(
    &["authSource"],
    &[Authentication, Metadata],
    Kind::Text,
    "The database that knows the user, if there is no connectionString.",
)
.or("admin");

/// All parameters, in the order of the documentation.
pub(in crate::mongodb) const PARAMETERS: &[Parameter] =
    &super::joined::<17>(&[METRIC, MEMBERS, SLOWER_THAN, TARGET_VALUE, ACTIVATION_TARGET_VALUE, AUTH_SOURCE]);

/// What a complete trigger says.
pub(in crate::mongodb) struct Settings {
    pub(in crate::mongodb) access: Access,
    pub(in crate::mongodb) question: Question,
    /// What is read of `serverStatus`.
    pub(in crate::mongodb) figure: Option<Figure>,
    /// The trigger is active above this.
    pub(in crate::mongodb) activation: f64,
    pub(in crate::mongodb) metric: MetricSpec,
}

/// What is wrong beyond single parameters.
pub(in crate::mongodb) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let (mut errors, mut warnings) = super::check(values, true, values.text(&AUTH_SOURCE));
    if values.number(&TARGET_VALUE).is_some_and(|value| target(value).is_none()) {
        errors.push(values.problem(&TARGET_VALUE, "is not a number >= 0.001"));
    }
    if values.duration(&SLOWER_THAN).is_some_and(|bound| seconds(bound).is_none()) {
        errors.push(values.problem(&SLOWER_THAN, "is not a whole number of seconds from 1s"));
    }
    if values.given(&SLOWER_THAN) && values.text(&METRIC) != Some("slowOps") {
        warnings.push(values.problem(&SLOWER_THAN, "has no effect without \"metric: slowOps\""));
    }
    if values.given(&AUTH_SOURCE) && values.given(&super::CONNECTION_STRING) {
        let what = "has no effect beside connectionString, which can say authSource itself";
        warnings.push(values.problem(&AUTH_SOURCE, what));
    }
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// What the trigger says; none if it has errors.
pub(in crate::mongodb) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let members = match values.text(&MEMBERS)? {
        "any" => Members::Any,
        "all" => Members::All,
        _ => Members::Primary,
    };
    let figure = match values.text(&METRIC)? {
        "currentQueue" => Some("currentQueue.total"),
        "currentQueueReaders" => Some("currentQueue.readers"),
        "currentQueueWriters" => Some("currentQueue.writers"),
        "activeClients" => Some("activeClients.total"),
        "activeClientsReaders" => Some("activeClients.readers"),
        "activeClientsWriters" => Some("activeClients.writers"),
        _ => None,
    };
    let question = match (figure, values.text(&METRIC)?) {
        (Some(_), _) => Question::Status(members),
        (None, "slowOps") => Question::Operations(members, Operations::Slow(seconds(values.duration(&SLOWER_THAN)?)?)),
        (None, _) => Question::Operations(members, Operations::Waiting),
    };
    Some(Settings {
        access: super::access(values, true, values.text(&AUTH_SOURCE))?,
        question,
        figure: figure.map(Figure),
        activation: values.number(&ACTIVATION_TARGET_VALUE)?,
        metric: metric(spec, values)?,
    })
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let name = format!("mongodb-ops-queue-{}", values.text(&METRIC)?);
    Some(metric::metric(spec, &name, target(values.number(&TARGET_VALUE)?)?))
}

/// MongoDB counts the time of an operation in whole seconds.
fn seconds(bound: Duration) -> Option<i64> {
    let whole = bound.subsec_nanos() == 0 && bound.as_secs() > 0;
    whole.then(|| i64::try_from(bound.as_secs()).ok()).flatten()
}
