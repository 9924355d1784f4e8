//! How triggers are called where people and Prometheus see them.

use std::collections::BTreeMap;

use tidegate_calculator::hpa::quantity::Quantity;
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::source::{MetricSpec, TriggerSpec};
use tidegate_scalers::{Known, keda, kinds, trigger_type};

/// `redis jobs`: the type and the name of the trigger, else its position.
pub fn label(spec: &TriggerSpec) -> String {
    format!("{} {}", spec.kind, name(spec).unwrap_or_else(|| spec.index.to_string()))
}

/// The name of the trigger, else what it counts by its text: the last part of its metric's name. None if it cannot be built, or
/// if the metric says no more than the type, as that of `cpu`.
pub fn name(spec: &TriggerSpec) -> Option<String> {
    let counted = || declared_metrics(spec).first().map(|metric| short_name(spec, &metric.name));
    spec.name.clone().or_else(|| counted().filter(|counted| *counted != spec.kind))
}

/// The metrics that a trigger has by its text alone; empty if it cannot be built.
pub fn declared_metrics(spec: &TriggerSpec) -> Vec<MetricSpec> {
    tidegate_scalers::check(spec, Known::Nothing, Known::Nothing).metrics
}

/// The metrics of a trigger: those it reads, else those it read last (`before`), else those that its text declares, else one by KEDA's way
/// of naming.
pub fn metric_names(spec: &TriggerSpec, evidence: Option<&Evidence>, before: &[String]) -> Vec<String> {
    if let Some(Evidence::Good { readings, .. }) = evidence {
        return readings.iter().map(|(metric, _)| metric.name.clone()).collect();
    }
    if !before.is_empty() {
        return before.to_vec();
    }
    let declared = declared_metrics(spec);
    if declared.is_empty() {
        return vec![format!("s{}-{}", spec.index, known_type(spec))];
    }
    declared.into_iter().map(|metric| metric.name).collect()
}

/// What is left of `s0-redis-jobs` without its position and its type: `jobs`.
pub fn short_name(spec: &TriggerSpec, metric: &str) -> String {
    let unnumbered = metric.strip_prefix(&format!("s{}-", spec.index)).unwrap_or(metric);
    let short = unnumbered.strip_prefix(&format!("{}-", spec.kind)).unwrap_or(unnumbered);
    short.to_owned()
}

/// KEDA's label `scaler`: the trigger's name, else KEDA's own name of the scaler.
pub fn scaler(spec: &TriggerSpec) -> &str {
    match &spec.name {
        Some(name) => name,
        None => trigger_type(&spec.kind).map_or_else(|| known_type(spec), |known| known.scaler),
    }
}

/// The trigger's type if KEDA knows it or it is one of ours, else `unknown`: a misspelt type must not become a label value.
pub fn known_type(spec: &TriggerSpec) -> &str {
    if keda::knows(&spec.kind) || kinds::BEYOND_KEDA.contains(&&*spec.kind) { &spec.kind } else { "unknown" }
}

/// The activation threshold in the trigger's metadata: KEDA names it `activation...` everywhere; 0 if there is none.
pub fn activation(metadata: &BTreeMap<String, String>) -> f64 {
    let mut thresholds =
        metadata.iter().filter(|(key, _)| key.strip_prefix("activation").is_some_and(|rest| !rest.is_empty()));
    thresholds.find_map(|(_, value)| value.trim().parse::<Quantity>().ok()).map_or(0.0, |found| found.to_f64())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::redis;
    use super::*;

    #[test]
    fn triggers_are_called_by_their_name_else_by_their_metric() {
        let mut spec = redis("jobs");
        assert_eq!((label(&spec).as_str(), scaler(&spec)), ("redis jobs", "redisScaler"));
        assert_eq!(metric_names(&spec, None, &[]), ["s0-redis-jobs"]);
        spec.name = Some("backlog".into());
        assert_eq!((label(&spec).as_str(), scaler(&spec)), ("redis backlog", "backlog"));
        spec = TriggerSpec { kind: "reddis".into(), index: 2, ..TriggerSpec::default() };
        assert_eq!((label(&spec).as_str(), scaler(&spec), known_type(&spec)), ("reddis 2", "unknown", "unknown"));
        assert_eq!(metric_names(&spec, None, &[]), ["s2-unknown"]);
        assert_eq!(metric_names(&spec, None, &["s2-lag".to_owned()]), ["s2-lag"], "what it said when it answered last");
    }

    #[cfg(feature = "cluster-metrics")]
    #[test]
    fn a_resource_is_not_said_twice() {
        let mut spec = TriggerSpec { kind: "memory".into(), ..TriggerSpec::default() };
        spec.metadata.insert("value".into(), "1Gi".into());
        assert_eq!((label(&spec).as_str(), scaler(&spec)), ("memory 0", "cpuMemoryScaler"));
        assert_eq!(metric_names(&spec, None, &[]), ["memory"]);
        spec.kind = "pods-metric".into();
        assert_eq!((label(&spec).as_str(), known_type(&spec)), ("pods-metric 0", "pods-metric"));
    }

    #[test]
    fn the_activation_threshold_is_found_by_its_name() {
        let with = |key: &str, value: &str| activation(&BTreeMap::from([(key.to_owned(), value.to_owned())]));
        assert_eq!(
            (with("activationListLength", " 20"), with("activation", "push"), with("listLength", "5")),
            (20.0, 0.0, 0.0)
        );
        assert_eq!((with("activationTargetValue", "500m"), with("activationThreshold", "1.5e1")), (0.5, 15.0));
    }
}
