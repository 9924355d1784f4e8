//! The parameters of `mongodb`.

use std::sync::Arc;

use mongodb::bson::{Bson, Document};
use tidegate_calculator::source::{MetricSpec, Problem, TriggerSpec};

use super::super::access::Access;
use super::super::number::target;
use super::super::question::{self, Aggregation, Place, Question};
use crate::metric;
use crate::parameters::Source::{Authentication, Metadata};
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::Checked;

const DB_NAME: Parameter = Parameter::new(
    &["dbName"],
    &[Authentication, Metadata],
    Kind::Text,
    "The database of the collection; without a connectionString also the one that knows the user.",
)
.required();
const COLLECTION: Parameter =
    Parameter::new(&["collection"], &[Metadata], Kind::Text, "The collection that is read.").required();
const QUERY: Parameter = Parameter::new(
    &["query"],
    &[Metadata],
    Kind::Text,
    "The documents that are counted, as a filter in Extended JSON. Either this or pipeline.",
);
const PIPELINE: Parameter = Parameter::new(
    &["pipeline"],
    &[Metadata],
    Kind::Text,
    "An aggregation instead of a query: a list of stages in Extended JSON. KEDA does not know it.",
);
const VALUE_FIELD: Parameter = Parameter::new(
    &["valueField"],
    &[Metadata],
    Kind::Text,
    "The field of the pipeline's first document that is the value, such as count or totals.waiting.",
)
.or("count");
const EMPTY_IS_ZERO: Parameter = Parameter::new(
    &["emptyIsZero"],
    &[Metadata],
    Kind::Bool,
    "Whether a pipeline that gives no document says 0. One that ends in $count always does.",
)
.or("false");
const QUERY_VALUE: Parameter =
    Parameter::new(&["queryValue"], &[Metadata], Kind::Number, "The value that one replica takes care of.").required();
const ACTIVATION_QUERY_VALUE: Parameter = Parameter::new(
    &["activationQueryValue"],
    &[Metadata],
    Kind::Number,
    "The trigger is active while the value is greater than this.",
)
.or("0");
const ACTIVATION: Parameter = Parameter::new(
    &["activation"],
    &[Metadata],
    Kind::Choice(&["poll", "push"]),
    "push reads at once when the server says that the collection changed, besides polling. KEDA does not know it.",
)
.or("poll");

/// All parameters, in the order of the documentation.
pub(in crate::mongodb) const PARAMETERS: &[Parameter] = &super::joined::<20>(&[
    DB_NAME,
    COLLECTION,
    QUERY,
    PIPELINE,
    VALUE_FIELD,
    EMPTY_IS_ZERO,
    QUERY_VALUE,
    ACTIVATION_QUERY_VALUE,
    ACTIVATION,
]);

/// What a complete trigger says.
pub(in crate::mongodb) struct Settings {
    pub(in crate::mongodb) access: Access,
    pub(in crate::mongodb) question: Question,
    /// The collection, for those who listen to it.
    pub(in crate::mongodb) topic: Place,
    pub(in crate::mongodb) push: bool,
    /// The trigger is active above this.
    pub(in crate::mongodb) activation: f64,
    pub(in crate::mongodb) metric: MetricSpec,
}

/// What is wrong beyond single parameters.
pub(in crate::mongodb) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let (mut errors, mut warnings) = super::check(values, false, values.text(&DB_NAME));
    errors.extend(check_place(values));
    match (values.text(&QUERY), values.text(&PIPELINE)) {
        (Some(_), Some(_)) => {
            errors.push(values.problem(&PIPELINE, "cannot be set together with query; set one"));
        }
        (Some(query), None) => {
            errors.extend(check_query(values, query));
            let idle = [&VALUE_FIELD, &EMPTY_IS_ZERO].into_iter().filter(|parameter| values.given(parameter));
            warnings.extend(idle.map(|parameter| values.problem(parameter, "has no effect without pipeline")));
        }
        (None, Some(pipeline)) => errors.extend(check_pipeline(values, pipeline)),
        (None, None) => {
            errors.push(values.problem(&QUERY, "is required; it is read from metadata (or set pipeline instead)"));
        }
    }
    if values.number(&QUERY_VALUE).is_some_and(|value| target(value).is_none()) {
        errors.push(values.problem(&QUERY_VALUE, "is not a number >= 0.001"));
    }
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// What the trigger says; none if it has errors.
pub(in crate::mongodb) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let database = values.text(&DB_NAME)?;
    let place = Place { database: database.into(), collection: values.text(&COLLECTION)?.into() };
    let question = match (values.text(&QUERY), values.text(&PIPELINE)) {
        (Some(query), None) => Question::Count(place.clone(), query.into()),
        (None, Some(pipeline)) => {
            let counts = counted_field(&question::pipeline(pipeline)?).is_some();
            let field: Arc<str> = values.text(&VALUE_FIELD)?.into();
            let empty_is_zero = counts || values.truth(&EMPTY_IS_ZERO)?;
            Question::Pipeline(place.clone(), Aggregation { stages: pipeline.into(), field, empty_is_zero })
        }
        _ => return None,
    };
    Some(Settings {
        access: super::access(values, false, Some(database))?,
        question,
        topic: place,
        push: values.text(&ACTIVATION) == Some("push"),
        activation: values.number(&ACTIVATION_QUERY_VALUE)?,
        metric: metric(spec, values)?,
    })
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let name = format!("mongodb-{}", values.text(&COLLECTION)?);
    Some(metric::metric(spec, &name, target(values.number(&QUERY_VALUE)?)?))
}

/// Names that no database or collection can have; the driver would take some for something else.
fn check_place(values: &Values) -> Vec<Problem> {
    let mut problems = Vec::new();
    if values.text(&DB_NAME).is_some_and(|name| name.len() > 63 || name.contains(['/', '\\', '.', ' ', '"', '$', '\0']))
    {
        let what = "is not the name of a database: 63 bytes at most, none of / \\ . \" $ and no space";
        problems.push(values.problem(&DB_NAME, what));
    }
    if values.text(&COLLECTION).is_some_and(|name| name.contains(['$', '\0']) || name.starts_with('.')) {
        problems.push(values.problem(&COLLECTION, "is not the name of a collection: it has a $ or begins with a dot"));
    }
    problems
}

fn check_query(values: &Values, query: &str) -> Option<Problem> {
    match question::document(query) {
        None => Some(values.problem(&QUERY, "is not a document in Extended JSON, such as {\"state\": \"waiting\"}")),
        Some(filter) if filter.is_empty() => Some(values.problem(
            &QUERY,
            "is empty, which KEDA refuses; a filter that finds all documents is {\"_id\": {\"$exists\": true}}",
        )),
        Some(_) => None,
    }
}

fn check_pipeline(values: &Values, pipeline: &str) -> Option<Problem> {
    let Some(stages) = question::pipeline(pipeline) else {
        let what = "is not a list of stages in Extended JSON, such as [{\"$match\": {}}, {\"$count\": \"count\"}]";
        return Some(values.problem(&PIPELINE, what));
    };
    if stages.is_empty() {
        return Some(
            values.problem(&PIPELINE, "has no stage; a trigger needs one that gives a number, such as $count"),
        );
    }
    let stage = |stage: &Document| stage.len() == 1 && stage.keys().all(|name| name.starts_with('$'));
    if !stages.iter().all(stage) {
        return Some(values.problem(&PIPELINE, "has a stage that is not a document with one name such as $match"));
    }
    if let Some(writes) = stages.iter().flat_map(Document::keys).find(|name| WRITES.contains(&name.as_str())) {
        return Some(values.problem(&PIPELINE, format!("has {writes}, but a trigger only reads")));
    }
    let (counted, field) = (counted_field(&stages)?, values.text(&VALUE_FIELD)?);
    let what = || format!("is not the field that the pipeline's $count gives, which is {counted:?}");
    (counted != field).then(|| values.problem(&VALUE_FIELD, what()))
}

/// Stages that write, or that never end.
const WRITES: [&str; 3] = ["$out", "$merge", "$changeStream"];

/// The field of the `$count` that a pipeline ends in: where nothing is counted, it gives no document.
fn counted_field(stages: &[Document]) -> Option<String> {
    match stages.last()?.get("$count") {
        Some(Bson::String(field)) => Some(field.clone()),
        _ => None,
    }
}
