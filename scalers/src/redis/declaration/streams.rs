//! The parameters of `redis-streams`, `redis-cluster-streams` and `redis-sentinel-streams`.
//!
//! What is read follows from what is given, as in KEDA: without a consumer group the length of the stream, with one what
//! is pending in it, and with `lagCount` as well what it has not been given yet.

use tidegate_calculator::source::{MetricSpec, Milli, TriggerSpec};

use super::super::Key;
use super::super::question::Question;
use super::Settings;
use super::place::{self, Layout};
use crate::metric;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::Checked;

const STREAM: Parameter =
    Parameter::new(&["stream"], &[Metadata], Kind::Text, "The key of the stream that is read.").required();
const CONSUMER_GROUP: Parameter = Parameter::new(
    &["consumerGroup"],
    &[Metadata],
    Kind::Text,
    "The consumer group whose entries count; without one the whole stream counts.",
);
const STREAM_LENGTH: Parameter = Parameter::new(
    &["streamLength"],
    &[Metadata],
    Kind::at_least(0),
    "The length that one replica takes care of; used without a consumerGroup.",
)
.or("5");
const PENDING_ENTRIES_COUNT: Parameter = Parameter::new(
    &["pendingEntriesCount"],
    &[Metadata],
    Kind::at_least(0),
    "The entries given to the group but not acknowledged that one replica takes care of; used with a consumerGroup \
     and without lagCount.",
)
.or("5");
const LAG_COUNT: Parameter = Parameter::new(
    &["lagCount"],
    &[Metadata],
    Kind::at_least(0),
    "The entries not yet given to the group that one replica takes care of; used with a consumerGroup. 0 is as none.",
);
const ACTIVATION_LAG_COUNT: Parameter = Parameter::new(
    &["activationLagCount"],
    &[Metadata],
    Kind::integer(),
    "The trigger is active while what is read, whichever it is, is greater than this.",
)
.or("0");
const OWN: &[Parameter] =
    &[STREAM, CONSUMER_GROUP, STREAM_LENGTH, PENDING_ENTRIES_COUNT, LAG_COUNT, ACTIVATION_LAG_COUNT];

/// The parameters on one server, in the order of the documentation; likewise below.
pub(in crate::redis) const SINGLE: &[Parameter] = &super::joined::<23>(OWN, &place::SINGLE);
/// The parameters behind Sentinels.
pub(in crate::redis) const SENTINEL: &[Parameter] = &super::joined::<23>(OWN, &place::SENTINEL);
/// The parameters in a cluster.
pub(in crate::redis) const CLUSTER: &[Parameter] = &super::joined::<23>(OWN, &place::CLUSTER);

/// What is wrong beyond single parameters.
pub(in crate::redis) fn check(spec: &TriggerSpec, values: &Values, layout: Layout) -> Checked {
    let (errors, mut warnings) = place::check(values, layout);
    let (target, reason) = mode(values);
    let others = [&STREAM_LENGTH, &PENDING_ENTRIES_COUNT, &LAG_COUNT].into_iter();
    let idle = others.filter(|other| **other != *target && values.given(other) && values.integer(other) != Some(0));
    warnings.extend(idle.map(|other| values.problem(other, format!("has no effect {reason}"))));
    warnings.extend(super::zero(values, target, "entry"));
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// What the trigger says; none if it has errors.
pub(in crate::redis) fn settings(spec: &TriggerSpec, values: &Values, layout: Layout) -> Option<Settings> {
    let key = Key { database: super::database(values, layout)?, name: values.text(&STREAM)?.into() };
    let question = match values.text(&CONSUMER_GROUP) {
        None => Question::Entries(key),
        Some(group) if lags(values) => Question::Lag(key, group.into()),
        Some(group) => Question::Pending(key, group.into()),
    };
    Some(Settings {
        place: place::place(values, layout)?,
        question,
        activation: values.integer(&ACTIVATION_LAG_COUNT)?,
        push: super::pushes(values),
        metric: metric(spec, values)?,
    })
}

/// The parameter that holds the target, and why the others have no effect.
fn mode(values: &Values) -> (&'static Parameter, &'static str) {
    match values.text(&CONSUMER_GROUP) {
        None => (&STREAM_LENGTH, "without consumerGroup; streamLength is the target"),
        Some(_) if lags(values) => (&LAG_COUNT, "with lagCount, which is the target"),
        Some(_) => (&PENDING_ENTRIES_COUNT, "with consumerGroup; pendingEntriesCount or lagCount is the target"),
    }
}

fn lags(values: &Values) -> bool {
    values.integer(&LAG_COUNT).is_some_and(|count| count != 0)
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let (stream, target) = (values.text(&STREAM)?, values.integer(mode(values).0)?);
    Some(metric::metric(spec, &format!("redis-streams-{stream}"), Milli::units(target)))
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
