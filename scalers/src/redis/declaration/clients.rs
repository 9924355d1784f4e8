//! The parameters of `redis-clients`.

use std::sync::Arc;

use tidegate_calculator::source::{MetricSpec, Milli, TriggerSpec};

use super::super::connection::Server;
use super::super::figures::{self, Field};
use super::place;
use crate::metric;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values, tls};
use crate::registry::Checked;

const FIELD: Parameter = Parameter::new(
    &["field"],
    &[Metadata],
    Kind::Text,
    "The field of INFO that is read, such as connected_clients, blocked_clients, used_memory or \
     instantaneous_ops_per_sec; or keyspace_hit_ratio, which is computed from poll to poll.",
)
.or("connected_clients");
const TARGET_VALUE: Parameter = Parameter::new(
    &["targetValue"],
    &[Metadata],
    Kind::Number,
    "What one replica takes care of; with metricType Value, what the whole should be.",
)
.required();
const ACTIVATION_TARGET_VALUE: Parameter = Parameter::new(
    &["activationTargetValue"],
    &[Metadata],
    Kind::Number,
    "The trigger is active while the value is greater than this.",
)
.or("0");

/// All parameters, in the order of the documentation.
pub(in crate::redis) const PARAMETERS: &[Parameter] = &[
    FIELD,
    TARGET_VALUE,
    ACTIVATION_TARGET_VALUE,
    Parameter { about: "The server as host:port. Of several, the values are added up.", ..place::ADDRESS },
    Parameter { about: "The servers' hosts; they are used beside the addresses.", ..place::HOST },
    Parameter { about: "The servers' ports, one for every host.", ..place::PORT },
    place::USERNAME,
    place::PASSWORD,
    place::ENABLE_TLS,
    place::TLS,
    tls::UNSAFE_SSL,
    tls::CA,
    place::CERT,
    tls::KEY,
    tls::KEY_PASSWORD,
];

/// What a complete trigger says.
#[derive(Clone, Debug)]
pub(in crate::redis) struct Settings {
    /// At least one.
    pub(in crate::redis) servers: Vec<Arc<Server>>,
    pub(in crate::redis) field: Field,
    pub(in crate::redis) activation: Milli,
    pub(in crate::redis) metric: MetricSpec,
}

/// What is wrong beyond single parameters.
pub(in crate::redis) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let (mut errors, warnings) = place::check_access(values);
    errors.extend(place::servers(values, true).err().into_iter().flatten());
    if values.text(&FIELD).is_some_and(|name| Field::named(name).is_none()) {
        errors.push(values.problem(&FIELD, "is not the name of a field: letters, digits and any of _ - . alone"));
    }
    for parameter in [&TARGET_VALUE, &ACTIVATION_TARGET_VALUE] {
        let smallest = if *parameter == TARGET_VALUE { Milli(1) } else { Milli(0) };
        if values.number(parameter).is_some_and(|_| milli(values, parameter).is_none_or(|value| value < smallest)) {
            let bounds = format!("is not a number from {smallest} to {}", figures::LARGEST);
            errors.push(values.problem(parameter, bounds));
        }
    }
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// What the trigger says; none if it has errors.
pub(in crate::redis) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let access = place::access(values);
    let addresses = place::servers(values, true).ok()??;
    let server = |address| Arc::new(Server::new(address, access.clone()));
    Some(Settings {
        servers: addresses.into_iter().map(server).collect(),
        field: Field::named(values.text(&FIELD)?)?,
        activation: milli(values, &ACTIVATION_TARGET_VALUE)?,
        metric: metric(spec, values)?,
    })
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let (field, target) = (values.text(&FIELD)?, milli(values, &TARGET_VALUE)?);
    Some(metric::metric(spec, &format!("redis-clients-{field}"), target))
}

fn milli(values: &Values, parameter: &Parameter) -> Option<Milli> {
    figures::milli(&format!("{:.3}", values.number(parameter)?))
}

#[cfg(test)]
#[path = "clients_tests.rs"]
mod tests;
