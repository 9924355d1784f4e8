//! The trigger `kubernetes-resource`: a number in a ConfigMap or a Secret.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, MetricSpec, Occasion, Problem, ReadError, ReadErrorKind, Readings, TriggerSpec,
    Wake,
};

use super::value::{Place, ValueType};
use super::{readings, within};
use crate::endpoint::{Endpoints, identify};
use crate::location::Flaw;
use crate::metric;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::{Checked, TriggerType};
use crate::scaler::{Scaler, Watch};
use crate::surroundings::{Holder, HolderKind, Surroundings};

const RESOURCE_KIND: Parameter =
    Parameter::new(&["resourceKind"], &[Metadata], Kind::Choice(&["ConfigMap", "Secret"]), "The kind of the object.")
        .required();
const RESOURCE_NAME: Parameter = Parameter::new(
    &["resourceName"],
    &[Metadata],
    Kind::Text,
    "The name of the object, which is in the namespace of the ScaledObject.",
)
.required();
const KEY: Parameter =
    Parameter::new(&["key"], &[Metadata], Kind::Text, "The key in its data under which the text stands.").required();
const FORMAT: Parameter = Parameter::new(
    &["format"],
    &[Metadata],
    Kind::Choice(&["number", "json", "yaml"]),
    "How the text is written; number: it is the number.",
)
.or("number");
const VALUE_LOCATION: Parameter = Parameter::new(
    &["valueLocation"],
    &[Metadata],
    Kind::Text,
    "Where the number stands in the text: with json a path as GJSON has it, with yaml names with dots. Required with both.",
);
const VALUE_TYPE: Parameter = Parameter::new(
    &["valueType"],
    &[Metadata],
    Kind::Choice(&["float64", "int64", "quantity"]),
    "How the number is written: a number, one whose fraction is cut off, or a quantity such as 500m.",
)
.or("float64");
const TARGET_VALUE: Parameter = Parameter::new(
    &["targetValue"],
    &[Metadata],
    Kind::Number,
    "What one replica takes care of; with metricType Value what the number should be. A number >= 0.001.",
)
.required();
const ACTIVATION_TARGET_VALUE: Parameter = Parameter::new(
    &["activationTargetValue"],
    &[Metadata],
    Kind::Number,
    "The trigger is active while the number is greater than this.",
)
.or("0");

/// The registry's entry.
pub(crate) const RESOURCE: TriggerType = TriggerType {
    name: "kubernetes-resource",
    summary: "A number in a ConfigMap or a Secret of the namespace.",
    parameters: &[
        RESOURCE_KIND,
        RESOURCE_NAME,
        KEY,
        FORMAT,
        VALUE_LOCATION,
        VALUE_TYPE,
        TARGET_VALUE,
        ACTIVATION_TARGET_VALUE,
    ],
    example: "\
- type: kubernetes-resource
  metadata:
    resourceKind: ConfigMap
    resourceName: plan
    key: visitors
    targetValue: \"100\"
",
    example_metadata: &[
        ("resourceKind", "ConfigMap"),
        ("resourceName", "plan"),
        ("key", "visitors"),
        ("targetValue", "100"),
    ],
    scaler: "kubernetesResourceScaler",
    notes: include_str!("notes/resource.md"),
    check,
    open,
};

/// One built trigger.
struct ResourceScaler {
    id: EndpointId,
    surroundings: Arc<dyn Surroundings>,
    holder: Holder,
    key: String,
    place: Place,
    value_type: ValueType,
    activation: f64,
    metric: MetricSpec,
}

fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let mut errors = Vec::new();
    if values.text(&RESOURCE_NAME).is_some_and(|name| !is_name(name)) {
        let allowed = "is not the name of an object: small letters, digits, - and ., at most 253 of them";
        errors.push(values.problem(&RESOURCE_NAME, allowed));
    }
    if values.text(&KEY).is_some_and(|key| !is_key(key)) {
        errors.push(values.problem(&KEY, "is not a key: letters, digits, -, _ and ., at most 253 of them"));
    }
    errors.extend(place(values).err());
    if values.number(&TARGET_VALUE).is_some_and(|value| metric::target(value).is_none()) {
        errors.push(values.problem(&TARGET_VALUE, "is not a number >= 0.001"));
    }
    Checked { errors, warnings: Vec::new(), metrics: metric(spec, values).into_iter().collect() }
}

/// Whether an API server takes it for the name of a ConfigMap or a Secret.
fn is_name(text: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let bytes = text.as_bytes();
    text.len() <= 253 && text.bytes().all(fits) && is_edge(bytes.first()) && is_edge(bytes.last())
}

fn is_key(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.len() <= 253 && text.bytes().all(fits)
}

/// Where the number stands; none if the format is none, which is said elsewhere.
fn place(values: &Values) -> Result<Option<Place>, Problem> {
    let Some(format) = values.text(&FORMAT).filter(|format| FORMAT.kind.accepts(format)) else { return Ok(None) };
    match (format, values.text(&VALUE_LOCATION)) {
        ("number", Some(_)) => {
            Err(values.problem(&VALUE_LOCATION, "is not allowed with format number: the whole text is the number"))
        }
        ("number", None) => Ok(Some(Place::Whole)),
        (_, None) => Err(values.problem(&VALUE_LOCATION, format!("is required with format {format}"))),
        (_, Some(text)) => Place::parse(format, text).map(Some).map_err(|what| values.problem(&VALUE_LOCATION, what)),
    }
}

fn kind(values: &Values) -> Option<HolderKind> {
    Some(match values.text(&RESOURCE_KIND)? {
        "ConfigMap" => HolderKind::ConfigMap,
        "Secret" => HolderKind::Secret,
        _ => return None,
    })
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let kind = kind(values)?.to_string().to_lowercase();
    let name = format!("{kind}-{}-{}", values.text(&RESOURCE_NAME)?, values.text(&KEY)?);
    Some(metric::metric(spec, &name, metric::target(values.number(&TARGET_VALUE)?)?))
}

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let namespace = Arc::clone(&spec.target.namespace);
    let (kind, name) = (kind(values).ok_or_else(incomplete)?, values.text(&RESOURCE_NAME).ok_or_else(incomplete)?);
    let value_type = values.text(&VALUE_TYPE).and_then(ValueType::named);
    Ok(Box::new(ResourceScaler {
        id: identify("objects", &namespace),
        surroundings: Arc::clone(endpoints.surroundings()),
        holder: Holder { namespace, kind, name: name.to_owned() },
        key: values.text(&KEY).ok_or_else(incomplete)?.to_owned(),
        place: place(values).ok().flatten().ok_or_else(incomplete)?,
        value_type: value_type.ok_or_else(incomplete)?,
        activation: values.number(&ACTIVATION_TARGET_VALUE).ok_or_else(incomplete)?,
        metric: metric(spec, values).ok_or_else(incomplete)?,
    }))
}

impl ResourceScaler {
    /// Nothing of the text itself is told: it may be a secret.
    fn flawed(&self, flaw: Flaw) -> ReadError {
        let what = match flaw {
            Flaw::Absent => "has nothing at valueLocation".to_owned(),
            Flaw::NotANumber if self.place == Place::Whole => "is not a number as a whole".to_owned(),
            Flaw::NotANumber => "has something else than such a number at valueLocation".to_owned(),
            Flaw::Unreadable(format) => format!("is not {format}"),
            Flaw::Refused(why) => why.to_owned(),
        };
        let message = format!("the text under the key {} of {} {what}", self.key, self.holder);
        ReadError::query(ReadErrorKind::Config, message)
    }
}

#[async_trait]
impl Scaler for ResourceScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.id)
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let what = format!("the contents of {}", self.holder);
        let missing = |what: String| ReadError::query(ReadErrorKind::Config, what);
        let texts = within(deadline, &what, self.surroundings.texts(&self.holder, deadline)).await?;
        let texts = texts.ok_or_else(|| missing(format!("{} does not exist", self.holder)))?;
        let text = texts.get(&self.key);
        let text = text.ok_or_else(|| missing(format!("{} has no key {} in its data", self.holder, self.key)))?;
        let value = self.place.number(text.expose(), self.value_type).map_err(|flaw| self.flawed(flaw))?;
        Ok(readings(&self.metric, value, self.activation))
    }

    fn watch(&self, wake: Wake) -> Option<Watch> {
        self.surroundings.follow_texts(&self.holder, wake)
    }
}
