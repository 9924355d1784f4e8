//! What a `flink` trigger can say: its parameters, and what is wrong with their combination.

use std::time::Duration;

use tidegate_calculator::source::{MetricSpec, MetricType, Milli, Problem, TriggerSpec};

use super::client::{self, REST_URL};
use super::demand;
use super::find::Wanted;
use super::measure::{Measure, NAMES};
use crate::http::address::Address;
use crate::http::{Access, authentication, target, with_authentication};
use crate::metric;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::Checked;

const JOB: Parameter = Parameter::new(
    &["job"],
    &[Metadata],
    Kind::Text,
    "The job: its name, of which there must be exactly one live job, or its id. The slots need none.",
);
const MODE: Parameter = Parameter::new(
    &["mode"],
    &[Metadata],
    Kind::Choice(&["metric", "demand"]),
    "Whether one metric is compared with a target, or the TaskManagers that the job needs are computed.",
)
.or("metric");
const METRIC: Parameter = Parameter::new(
    &["metric"],
    &[Metadata],
    Kind::Choice(&NAMES),
    "What is read; see below. Required with mode: metric.",
);
const TARGET_VALUE: Parameter = Parameter::new(
    &["targetValue"],
    &[Metadata],
    Kind::Number,
    "What one replica takes care of; with metricType Value, what the whole should be. Required with mode: metric.",
);
const ACTIVATION_TARGET_VALUE: Parameter = Parameter::new(
    &["activationTargetValue"],
    &[Metadata],
    Kind::Number,
    "The trigger is active while the value is greater than this; with mode: demand, while the sources have more records a second to read.",
)
.or("0");
const SOURCES: Parameter = Parameter::new(
    &["sources"],
    &[Metadata],
    Kind::List,
    "The names of the sources that count for pendingRecords, trueProcessingRate and mode: demand; all of them if not given.",
);
const STABILIZATION: Parameter = Parameter::new(
    &["stabilization"],
    &[Metadata],
    Kind::Duration,
    "For how long all tasks must have run before ratios and rates count; Flink says false ones right after a restart.",
)
.or("60s");
const UTILIZATION: Parameter = Parameter::new(
    &["utilization"],
    &[Metadata],
    Kind::Number,
    "How busy the tasks should be, above 0 and up to 1; of mode: demand. Nothing changes within 0.3 of it.",
)
.or("0.7");
const CATCH_UP: Parameter = Parameter::new(
    &["catchUp"],
    &[Metadata],
    Kind::Duration,
    "Within what time records that wait should be worked off, 0s for whenever; of mode: demand.",
)
.or("30m");
const RESTART_TIME: Parameter = Parameter::new(
    &["restartTime"],
    &[Metadata],
    Kind::Duration,
    "How long a restart of the job takes, whose records must be caught up with; of mode: demand.",
)
.or("5m");
const WINDOW: Parameter = Parameter::new(
    &["window"],
    &[Metadata],
    Kind::Duration,
    "Over what time is averaged, from 10s to 24h; of mode: demand. After a restart it begins anew.",
)
.or("15m");
const SCALE_DOWN_DELAY: Parameter = Parameter::new(
    &["scaleDownDelay"],
    &[Metadata],
    Kind::Duration,
    "For how long fewer TaskManagers must be enough; of mode: demand.",
)
.or("1h");
const SLOTS_PER_TASK_MANAGER: Parameter = Parameter::new(
    &["slotsPerTaskManager"],
    &[Metadata],
    Kind::Integer { min: 1, max: 1000 },
    "How many slots a TaskManager has; what the cluster says if not given; of mode: demand.",
);
const TIMEOUT: Parameter = Parameter::new(
    &["timeout"],
    &[Metadata],
    Kind::Duration,
    "How long all answers of one read may take; it can only shorten what the operator allows.",
);

/// What only `mode: demand` uses.
const OF_DEMAND: [&Parameter; 6] =
    [&UTILIZATION, &CATCH_UP, &RESTART_TIME, &WINDOW, &SCALE_DOWN_DELAY, &SLOTS_PER_TASK_MANAGER];

/// All parameters, in the order of the documentation.
pub(super) const PARAMETERS: &[Parameter] = &with_authentication::<34>(&[
    REST_URL,
    JOB,
    MODE,
    METRIC,
    TARGET_VALUE,
    ACTIVATION_TARGET_VALUE,
    SOURCES,
    STABILIZATION,
    UTILIZATION,
    CATCH_UP,
    RESTART_TIME,
    WINDOW,
    SCALE_DOWN_DELAY,
    SLOTS_PER_TASK_MANAGER,
    TIMEOUT,
]);

/// What a complete trigger says.
pub(super) struct Settings {
    pub(super) address: Address,
    pub(super) access: Access,
    /// The job; none where the cluster alone is looked at.
    pub(super) job: Option<Wanted>,
    pub(super) question: Question,
    pub(super) sources: Vec<String>,
    /// Milliseconds that all tasks must have run.
    pub(super) stabilization: u64,
    pub(super) timeout: Option<Duration>,
    pub(super) activation: f64,
    pub(super) metric: MetricSpec,
}

/// What is wanted of the job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Question {
    /// One number.
    Measure(Measure),
    /// The TaskManagers that it needs, with the slots that each has, if the user says so.
    Demand(demand::Settings, Option<u32>),
}

/// What is wrong beyond single parameters.
pub(super) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let mut errors = Vec::new();
    let address = client::address(values).unwrap_or_else(|problem| {
        errors.push(problem);
        None
    });
    let measure = values.text(&METRIC).and_then(Measure::named);
    if is_demand(values) {
        errors.extend(flaws_of_demand(spec, values));
    } else {
        errors.extend(missing(values, &[&METRIC, &TARGET_VALUE], "with mode: metric"));
        if values.number(&TARGET_VALUE).is_some_and(|value| target(value).is_none()) {
            errors.push(values.problem(&TARGET_VALUE, "is not a number >= 0.001"));
        }
    }
    if is_demand(values) || measure.is_some_and(|measure| !measure.is_of_cluster()) {
        let what = if is_demand(values) { "with mode: demand" } else { "for this metric" };
        errors.extend(missing(values, &[&JOB], what));
    }
    let (more, mut warnings) = authentication::check(values, address.as_ref().map(|address| &address.url));
    errors.extend(more);
    warnings.extend(idle(values, measure));
    if measure.is_some_and(Measure::is_ratio) && !is_demand(values) && spec.metric_type == MetricType::AverageValue {
        let allowed = "divides a ratio by the replicas, unless the trigger votes by steps; metricType: Value is meant";
        warnings.push(Problem { path: "metricType".to_owned(), value: None, allowed: allowed.to_owned() });
    }
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// What the trigger says; none if it has errors.
pub(super) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let address = client::address(values).ok()??;
    let question = if is_demand(values) {
        let slots = values.integer(&SLOTS_PER_TASK_MANAGER).and_then(|slots| u32::try_from(slots).ok());
        Question::Demand(of_demand(values)?, slots)
    } else {
        Question::Measure(Measure::named(values.text(&METRIC)?)?)
    };
    let of_cluster = matches!(question, Question::Measure(measure) if measure.is_of_cluster());
    let job = if of_cluster { None } else { Some(Wanted::of(values.text(&JOB)?)) };
    Some(Settings {
        access: authentication::access(values, &address)?,
        address,
        job,
        question,
        sources: values.list(&SOURCES).into_iter().filter(|name| !name.is_empty()).collect(),
        stabilization: u64::try_from(values.duration(&STABILIZATION)?.as_millis()).ok()?,
        timeout: values.duration(&TIMEOUT).filter(|timeout| !timeout.is_zero()),
        activation: values.number(&ACTIVATION_TARGET_VALUE)?,
        metric: metric(spec, values)?,
    })
}

fn is_demand(values: &Values) -> bool {
    values.text(&MODE) == Some("demand")
}

/// With `mode: demand` the value is the number of replicas itself: one of them takes care of 1, and no tolerance is between.
fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let job = values.text(&JOB);
    if is_demand(values) {
        let name = format!("flink-{}-demand", job?);
        return Some(MetricSpec { exact: true, ..metric::metric(spec, &name, Milli::units(1)) });
    }
    let measure = values.text(&METRIC)?;
    let of_cluster = Measure::named(measure)?.is_of_cluster();
    let name = if of_cluster { format!("flink-{measure}") } else { format!("flink-{}-{measure}", job?) };
    Some(metric::metric(spec, &name, target(values.number(&TARGET_VALUE)?)?))
}

fn of_demand(values: &Values) -> Option<demand::Settings> {
    Some(demand::Settings {
        utilization: values.number(&UTILIZATION)?,
        catch_up: values.duration(&CATCH_UP)?,
        restart_time: values.duration(&RESTART_TIME)?,
        window: values.duration(&WINDOW)?,
        scale_down_delay: values.duration(&SCALE_DOWN_DELAY)?,
    })
}

fn flaws_of_demand(spec: &TriggerSpec, values: &Values) -> Vec<Problem> {
    let mut errors = Vec::new();
    if values.number(&UTILIZATION).is_some_and(|share| share <= 0.0 || share > 1.0) {
        errors.push(values.problem(&UTILIZATION, "is not a number above 0 and up to 1"));
    }
    let spans = Duration::from_secs(10)..=Duration::from_hours(24);
    if values.duration(&WINDOW).is_some_and(|window| !spans.contains(&window)) {
        errors.push(values.problem(&WINDOW, "is not a duration from 10s to 24h"));
    }
    if spec.metric_type == MetricType::Value {
        errors.push(Problem {
            path: "metricType".to_owned(),
            value: Some(spec.metric_type.to_string()),
            allowed: "is not allowed with mode: demand; allowed value is 'AverageValue'".to_owned(),
        });
    }
    errors
}

fn missing<'a>(values: &'a Values, needed: &[&'a Parameter], when: &str) -> Vec<Problem> {
    let absent = |parameter: &&&Parameter| !values.given(parameter) && !values.unseen(parameter);
    let problem = |parameter: &&Parameter| values.problem(parameter, format!("is required {when}"));
    needed.iter().filter(absent).map(problem).collect()
}

/// What is given and has no effect.
fn idle(values: &Values, measure: Option<Measure>) -> Vec<Problem> {
    let given = |parameters: &[&Parameter], what: &str| -> Vec<Problem> {
        let given = parameters.iter().filter(|parameter| values.given(parameter));
        given.map(|parameter| values.problem(parameter, what)).collect()
    };
    if is_demand(values) {
        return given(&[&METRIC, &TARGET_VALUE], "has no effect with mode: demand");
    }
    let mut found = given(&OF_DEMAND, "has no effect without mode: demand");
    let Some(measure) = measure else { return found };
    let what = "has no effect on this metric";
    if !measure.is_of_sources() {
        found.extend(given(&[&SOURCES], what));
    }
    if !measure.stabilizes() {
        found.extend(given(&[&STABILIZATION], what));
    }
    if measure.is_of_cluster() {
        found.extend(given(&[&JOB], what));
    }
    found
}

#[cfg(test)]
#[path = "declaration_tests.rs"]
mod tests;
