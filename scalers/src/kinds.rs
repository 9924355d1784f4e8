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

/// Whether a trigger reads pods and nothing else, so that it sees nobody who waits while there are none and can never wake its target from
/// zero: those of [`is_of_pods`], and `websocket` with `source: pods`. `source` is what stands in its metadata under that name.
pub fn needs_pods(kind: &str, source: Option<&str>) -> bool {
    is_of_pods(kind) || (kind == "websocket" && source.is_some_and(|source| source.trim() == "pods"))
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
        assert!(needs_pods("cpu", None) && needs_pods("websocket", Some("pods")));
        assert!(!needs_pods("websocket", Some("stream")) && !needs_pods("websocket", None) && !is_of_pods("websocket"));
        assert!(!needs_pods("redis", Some("pods")));
    }
}
