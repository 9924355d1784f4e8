//! Knows every trigger type by name, checks triggers against their declarations and builds them.

use tidegate_calculator::source::{ConfigError, MetricSpec, Parameters, Problem, TriggerSpec};

use crate::endpoint::Endpoints;
use crate::parameters::{Known, Parameter, REST, Values, nearest};
use crate::scaler::Scaler;
use crate::{keda, kinds, metric};

/// All trigger types, sorted by name: one line each.
static TRIGGER_TYPES: &[TriggerType] = &[
    #[cfg(feature = "kafka")]
    crate::kafka::APACHE_KAFKA,
    #[cfg(feature = "cluster-metrics")]
    crate::cluster_metrics::CPU,
    #[cfg(feature = "cron")]
    crate::cron::TRIGGER_TYPE,
    #[cfg(feature = "external")]
    crate::external::EXTERNAL,
    #[cfg(feature = "cluster-metrics")]
    crate::cluster_metrics::EXTERNAL_METRIC,
    #[cfg(feature = "external")]
    crate::external::EXTERNAL_PUSH,
    #[cfg(feature = "flink")]
    crate::flink::TRIGGER_TYPE,
    #[cfg(feature = "kafka")]
    crate::kafka::KAFKA,
    #[cfg(feature = "kubernetes")]
    crate::kubernetes::RESOURCE,
    #[cfg(feature = "kubernetes")]
    crate::kubernetes::WORKLOAD,
    #[cfg(feature = "cluster-metrics")]
    crate::cluster_metrics::MEMORY,
    #[cfg(feature = "metrics-api")]
    crate::metrics_api::TRIGGER_TYPE,
    #[cfg(feature = "mongodb")]
    crate::mongodb::TRIGGER_TYPE,
    #[cfg(feature = "mongodb")]
    crate::mongodb::OPS_QUEUE,
    #[cfg(feature = "cluster-metrics")]
    crate::cluster_metrics::OBJECT_METRIC,
    #[cfg(feature = "cluster-metrics")]
    crate::cluster_metrics::PODS_METRIC,
    #[cfg(feature = "prometheus")]
    crate::prometheus::TRIGGER_TYPE,
    #[cfg(feature = "rabbitmq")]
    crate::rabbitmq::TRIGGER_TYPE,
    #[cfg(feature = "redis")]
    crate::redis::TRIGGER_TYPE,
    #[cfg(feature = "redis")]
    crate::redis::CLIENTS,
    #[cfg(feature = "redis")]
    crate::redis::CLUSTER,
    #[cfg(feature = "redis")]
    crate::redis::CLUSTER_STREAMS,
    #[cfg(feature = "redis")]
    crate::redis::SENTINEL,
    #[cfg(feature = "redis")]
    crate::redis::SENTINEL_STREAMS,
    #[cfg(feature = "redis")]
    crate::redis::STREAMS,
    #[cfg(feature = "websocket")]
    crate::websocket::TRIGGER_TYPE,
];

/// What is known of one trigger type.
pub struct TriggerType {
    /// Its name in `triggers[].type`.
    pub name: &'static str,
    /// What its number means, in one line.
    pub summary: &'static str,
    /// Its parameters, in the order in which documentation lists them.
    pub parameters: &'static [Parameter],
    /// A manifest snippet: the entry of `spec.triggers`, complete enough to open.
    pub example: &'static str,
    /// The metadata of [`Self::example`], as key and value.
    pub example_metadata: &'static [(&'static str, &'static str)],
    /// KEDA's name of the scaler, the value of the metric label `scaler` when the trigger has no name.
    pub scaler: &'static str,
    /// What the documentation adds to the table of parameters, in Markdown.
    pub notes: &'static str,
    /// What is wrong beyond single parameters.
    pub(crate) check: fn(&TriggerSpec, &Values) -> Checked,
    /// Builds a trigger that has no errors.
    pub(crate) open: Opener,
}

/// Makes a trigger of values that have been checked.
pub(crate) type Opener = fn(&TriggerSpec, &Values, &Endpoints) -> Result<Box<dyn Scaler>, ConfigError>;

/// Everything that can be said about a trigger without opening it. Paths are relative to the trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What keeps the trigger from being built.
    pub errors: Vec<Problem>,
    /// What is likely a mistake, but harmless: unknown and unused parameters.
    pub warnings: Vec<Problem>,
    /// The metrics that the trigger will have, as far as they can be told; empty for an unknown type.
    pub metrics: Vec<MetricSpec>,
}

/// All trigger types that this build has, sorted by name.
pub fn trigger_types() -> &'static [TriggerType] {
    TRIGGER_TYPES
}

/// The trigger type of this name.
pub fn trigger_type(name: &str) -> Option<&'static TriggerType> {
    TRIGGER_TYPES.iter().find(|known| known.name == name)
}

/// Whether only the source of such a trigger knows which metrics it has, so that [`check`] names none.
pub fn tells_metrics_itself(kind: &str) -> bool {
    trigger_type(kind).is_some_and(|known| known.parameters.iter().any(|parameter| parameter.name() == REST))
}

/// Says everything that can be said about a trigger without opening it.
///
/// `env` is the environment of the target's container, `auth` what the trigger's `authenticationRef` provides; either
/// may be known in part only, and then nothing is said about what cannot be seen.
pub fn check(spec: &TriggerSpec, env: Known<'_>, auth: Known<'_>) -> Checked {
    match trigger_type(&spec.kind) {
        Some(known) => known.judge(spec, &Values::resolve(spec, known.parameters, env, auth)),
        None => Checked { errors: vec![unknown_type(&spec.kind)], ..Checked::default() },
    }
}

/// Builds a trigger. No connection is opened before its first read.
pub fn open(
    spec: &TriggerSpec,
    parameters: &Parameters,
    endpoints: &Endpoints,
) -> Result<Box<dyn Scaler>, ConfigError> {
    let Some(known) = trigger_type(&spec.kind) else {
        return Err(ConfigError { problems: vec![unknown_type(&spec.kind)] });
    };
    let (env, auth) = (Known::Values(&parameters.env), Known::Values(&parameters.auth));
    let values = Values::resolve(spec, known.parameters, env, auth);
    let errors = known.judge(spec, &values).errors;
    if errors.is_empty() { (known.open)(spec, &values, endpoints) } else { Err(ConfigError { problems: errors }) }
}

impl TriggerType {
    /// The findings about single parameters, then those about the whole. Of two about one value the second knows more.
    fn judge(&self, spec: &TriggerSpec, values: &Values) -> Checked {
        let whole = (self.check)(spec, values);
        let mut errors = values.errors.clone();
        errors.retain(|error| whole.errors.iter().all(|other| other.path != error.path));
        errors.extend(metric::check_metric_type(spec));
        errors.extend(whole.errors);
        let mut warnings = values.warnings.clone();
        warnings.extend(whole.warnings);
        Checked { errors, warnings, metrics: whole.metrics }
    }
}

fn unknown_type(kind: &str) -> Problem {
    let names = || TRIGGER_TYPES.iter().map(|known| known.name);
    let supported = match names().collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "none in this build".to_owned(),
        some => some,
    };
    let allowed = if keda::knows(kind) || kinds::BEYOND_KEDA.contains(&kind) {
        format!("is not supported yet; supported: {supported}")
    } else if let Some(meant) = nearest(kind, names().chain(keda::TRIGGER_TYPES).chain(kinds::BEYOND_KEDA)) {
        format!("is not a trigger type; did you mean {meant}?")
    } else {
        format!("is not a trigger type; supported: {supported}")
    };
    Problem { path: "type".to_owned(), value: Some(kind.to_owned()), allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sorted_and_names_are_kedas_or_listed() {
        assert!(TRIGGER_TYPES.windows(2).all(|pair| pair[0].name < pair[1].name));
        for known in TRIGGER_TYPES {
            assert_ne!(keda::knows(known.name), kinds::BEYOND_KEDA.contains(&known.name), "{}", known.name);
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn an_unknown_type_is_told_apart_from_a_missing_one() {
        let text = |kind| unknown_type(kind).to_string();
        let supported = TRIGGER_TYPES.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
        assert_eq!(text("solr"), format!("type: \"solr\" is not supported yet; supported: {supported}"));
        assert_eq!(text("reddis"), "type: \"reddis\" is not a trigger type; did you mean redis?");
        assert_eq!(text("Redis"), "type: \"Redis\" is not a trigger type; did you mean redis?");
        let pigeon = "type: \"carrier-pigeon\" is not a trigger type; supported: ";
        assert_eq!(text("carrier-pigeon"), format!("{pigeon}{supported}"));
        assert_eq!(text(""), format!("type: \"\" is not a trigger type; supported: {supported}"));
    }
}
