//! What is told of trigger types by their names alone, whether or not this build has them.

use tidegate_calculator::source::MetricType;

/// The trigger types that KEDA does not know, sorted: the one list of what is Tidegate's own.
pub const BEYOND_KEDA: [&str; 7] =
    ["external-metric", "flink", "mongodb-ops-queue", "object-metric", "pods-metric", "redis-clients", "websocket"];

/// The trigger types on what each pod of the target shows, sorted.
const OF_PODS: [&str; 3] = ["cpu", "memory", "pods-metric"];

/// Whether triggers of this type read what each pod of the target shows. Such a trigger is never active, has no fallback, and says
/// nothing about zero: without pods there is nothing to read.
pub fn is_of_pods(kind: &str) -> bool {
    OF_PODS.contains(&kind)
}

/// How the metrics of this trigger type may be compared with their target (`triggers[].metricType`), in the order of KEDA's messages.
///
/// Only what pods use can be a percentage of what they request; only a total can be a ratio.
pub fn metric_types(kind: &str) -> &'static [MetricType] {
    match kind {
        "cpu" | "memory" => &[MetricType::Utilization, MetricType::AverageValue],
        "pods-metric" => &[MetricType::AverageValue],
        _ => &[MetricType::Value, MetricType::AverageValue],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keda;

    #[test]
    fn what_is_ours_is_not_kedas() {
        assert!(BEYOND_KEDA.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(BEYOND_KEDA.iter().all(|kind| !keda::knows(kind)));
        assert!(is_of_pods("memory") && !is_of_pods("object-metric"));
    }
}
