//! Names a trigger's metric the way KEDA does, so that dashboards and queries keep working.

use tidegate_calculator::source::{MetricSpec, MetricType, Milli, Problem, TriggerSpec};

/// `s<index>-<name>` with every character that KEDA replaces turned into `-`.
pub(crate) fn metric_name(index: u8, name: &str) -> String {
    let normal: String = name.chars().map(|c| if "/.:%()".contains(c) { '-' } else { c }).collect();
    format!("s{index}-{normal}")
}

/// The metric of a trigger that has exactly one.
pub(crate) fn metric(spec: &TriggerSpec, name: &str, target: Milli) -> MetricSpec {
    MetricSpec { name: metric_name(spec.index, name), metric_type: spec.metric_type, target }
}

/// External sources know no requests of pods, hence no percentage of them.
pub(crate) fn check_metric_type(spec: &TriggerSpec) -> Option<Problem> {
    (spec.metric_type == MetricType::Utilization).then(|| Problem {
        path: "metricType".to_owned(),
        value: Some("Utilization".to_owned()),
        allowed: format!("is not allowed for {}; allowed values are 'Value' or 'AverageValue'", spec.kind),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_six_characters_are_replaced() {
        let cases = [
            ("redis-jobs", "s3-redis-jobs"),
            ("redis-a/b.c:d%e(f)", "s3-redis-a-b-c-d-e-f-"),
            ("redis-My_list ?", "s3-redis-My_list ?"),
        ];
        for (name, expected) in cases {
            assert_eq!(metric_name(3, name), expected);
        }
    }
}
