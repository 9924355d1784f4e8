//! What a `cron` trigger can say: its parameters, and what is wrong with them beyond their form.

use jiff::Timestamp;
use tidegate_calculator::calendar::{Calendar, CalendarError};
use tidegate_calculator::source::{MetricSpec, Milli, Problem, TriggerSpec};

use super::CronScaler;
use super::window::Window;
use crate::metric;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::Checked;

const TIMEZONE: Parameter =
    Parameter::new(&["timezone"], &[Metadata], Kind::Text, "The zone of start and end, by its IANA name.").required();
const START: Parameter = Parameter::new(
    &["start"],
    &[Metadata],
    Kind::Text,
    "When the window opens: minute, hour, day of month, month, day of week.",
)
.required();
const END: Parameter =
    Parameter::new(&["end"], &[Metadata], Kind::Text, "When it closes, in the same form. Not the same as start.")
        .required();
const DESIRED_REPLICAS: Parameter = Parameter::new(
    &["desiredReplicas"],
    &[Metadata],
    Kind::integer(),
    "What is asked for while the window is open. Not 0.",
)
.required();

/// All parameters, in the order of the documentation.
pub(super) const PARAMETERS: &[Parameter] = &[TIMEZONE, START, END, DESIRED_REPLICAS];

/// What is wrong beyond single parameters.
pub(super) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let mut errors = Vec::new();
    let zone = values.text(&TIMEZONE);
    // "* * * * *" stands for any expression, so that the zone is judged once.
    if let Some(Err(error)) = zone.map(|zone| Calendar::new("* * * * *", zone)) {
        errors.push(values.problem(&TIMEZONE, format!("{error}, such as Europe/Berlin or Asia/Shanghai")));
    }
    let calendars = [&START, &END].map(|parameter| (parameter, calendar(values, parameter)));
    for (parameter, calendar) in &calendars {
        if let Some(Err(error @ CalendarError::Expression(_))) = calendar {
            errors.push(values.problem(parameter, error.to_string()));
        }
    }
    if values.given(&END) && values.text(&START) == values.text(&END) {
        errors.push(values.problem(&END, "is the same as start; a window needs an end of its own"));
    }
    if values.integer(&DESIRED_REPLICAS) == Some(0) {
        errors.push(values.problem(&DESIRED_REPLICAS, "is not allowed; it must be 1 or more"));
    }
    let mut warnings = Vec::new();
    if values.integer(&DESIRED_REPLICAS).is_some_and(|replicas| replicas < 0) {
        warnings.push(values.problem(&DESIRED_REPLICAS, "counts as 0: the window asks for no replicas; use 1 or more"));
    }
    let never = |(parameter, calendar): (&Parameter, _)| match calendar {
        Some(Ok(calendar)) => never(values, parameter, &calendar),
        _ => None,
    };
    warnings.extend(calendars.into_iter().filter_map(never));
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// The trigger; none if it has errors.
pub(super) fn settings(spec: &TriggerSpec, values: &Values) -> Option<CronScaler> {
    let (start, end) = (calendar(values, &START)?.ok()?, calendar(values, &END)?.ok()?);
    let replicas = values.integer(&DESIRED_REPLICAS)?.max(0);
    Some(CronScaler { window: Window { start, end }, replicas, metric: metric(spec, values)? })
}

fn calendar(values: &Values, parameter: &Parameter) -> Option<Result<Calendar, CalendarError>> {
    // A zone that is wrong is a finding of its own, which must not hide one about the expression.
    let zone = values.text(&TIMEZONE)?;
    let expression = values.text(parameter)?.to_owned();
    Some(match Calendar::new(&expression, zone) {
        Err(CalendarError::Zone) => Calendar::new(&expression, "UTC"),
        calendar => calendar,
    })
}

/// A warning about an expression that names no day that exists. No clock is read for it: what never happens after one moment never does.
fn never(values: &Values, parameter: &Parameter, calendar: &Calendar) -> Option<Problem> {
    let effect = if parameter.name() == START.name() { "always open" } else { "always closed" };
    let found = calendar.next_after(Timestamp::UNIX_EPOCH);
    found.is_none().then(|| values.problem(parameter, format!("never happens, so that the window is {effect}")))
}

/// KEDA's name: `cron-<zone>-<start>-<end>`, in which the signs of cron have become letters. The target is always 1.
fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let zone = values.text(&TIMEZONE)?;
    let [start, end] = [values.text(&START)?, values.text(&END)?].map(spelled);
    Some(metric::metric(spec, &format!("cron-{zone}-{start}-{end}"), Milli::units(1)))
}

fn spelled(expression: &str) -> String {
    let letters = [(" ", ""), ("*", "x"), ("/", "Sl"), ("?", "Qm"), (",", "Cm")];
    letters.iter().fold(expression.to_owned(), |text, (sign, letters)| text.replace(sign, letters))
}

#[cfg(test)]
#[path = "declaration_tests.rs"]
mod tests;
