//! The parameters of `redis`, `redis-cluster` and `redis-sentinel`.

use tidegate_calculator::source::{MetricSpec, Milli, TriggerSpec};

use super::super::Key;
use super::super::question::Question;
use super::Settings;
use super::place::{self, Layout};
use crate::metric;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::Checked;

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
const OWN: &[Parameter] = &[LIST_NAME, LIST_LENGTH, ACTIVATION_LIST_LENGTH];

/// The parameters on one server, in the order of the documentation; likewise below.
pub(in crate::redis) const SINGLE: &[Parameter] = &super::joined::<20>(OWN, &place::SINGLE);
/// The parameters behind Sentinels.
pub(in crate::redis) const SENTINEL: &[Parameter] = &super::joined::<20>(OWN, &place::SENTINEL);
/// The parameters in a cluster.
pub(in crate::redis) const CLUSTER: &[Parameter] = &super::joined::<20>(OWN, &place::CLUSTER);

/// What is wrong beyond single parameters.
pub(in crate::redis) fn check(spec: &TriggerSpec, values: &Values, layout: Layout) -> Checked {
    let (errors, mut warnings) = place::check(values, layout);
    warnings.extend(super::zero(values, &LIST_LENGTH, "item"));
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// What the trigger says; none if it has errors.
pub(in crate::redis) fn settings(spec: &TriggerSpec, values: &Values, layout: Layout) -> Option<Settings> {
    let name = values.text(&LIST_NAME)?.into();
    Some(Settings {
        place: place::place(values, layout)?,
        question: Question::Length(Key { database: super::database(values, layout)?, name }),
        activation: values.integer(&ACTIVATION_LIST_LENGTH)?,
        push: super::pushes(values),
        metric: metric(spec, values)?,
    })
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let (list, target) = (values.text(&LIST_NAME)?, values.integer(&LIST_LENGTH)?);
    Some(metric::metric(spec, &format!("redis-{list}"), Milli::units(target)))
}
