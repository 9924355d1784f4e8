//! Names a trigger's metric the way KEDA does, so that dashboards and queries keep working.

use tidegate_calculator::source::{MetricSpec, Milli, Problem, TriggerSpec};

use crate::kinds;

/// `s<index>-<name>` with every character that KEDA replaces turned into `-`.
pub(crate) fn metric_name(index: u8, name: &str) -> String {
    let normal: String = name.chars().map(|c| if "/.:%()".contains(c) { '-' } else { c }).collect();
    format!("s{index}-{normal}")
}

/// The metric of a trigger that has exactly one.
pub(crate) fn metric(spec: &TriggerSpec, name: &str, target: Milli) -> MetricSpec {
    MetricSpec { name: metric_name(spec.index, name), metric_type: spec.metric_type, target, exact: false }
}

/// A value as KEDA reports it: in thousandths, rounded, and nothing below zero.
#[expect(clippy::cast_possible_truncation, reason = "the cast ends at the edge of the range, as it should")]
pub(crate) fn reported(value: f64) -> Milli {
    Milli((value * 1000.0).round().max(0.0) as i64)
}

/// A target that a replica takes care of; none if it is less than a thousandth, which nothing can be divided by.
pub(crate) fn target(value: f64) -> Option<Milli> {
    Some(reported(value)).filter(|target| target.0 > 0)
}

/// Whether this trigger type can be compared with its target like that; the message is KEDA's.
pub(crate) fn check_metric_type(spec: &TriggerSpec) -> Option<Problem> {
    let types = kinds::metric_types(&spec.kind);
    (!types.contains(&spec.metric_type)).then(|| {
        let allowed = match types.iter().map(|known| format!("'{known}'")).collect::<Vec<_>>().as_slice() {
            [one] => format!("allowed value is {one}"),
            several => format!("allowed values are {}", several.join(" or ")),
        };
        Problem {
            path: "metricType".to_owned(),
            value: Some(spec.metric_type.to_string()),
            allowed: format!("is not allowed for {}; {allowed}", spec.kind),
        }
    })
}

#[cfg(test)]
mod tests {
    use tidegate_calculator::source::MetricType;

    use super::*;

    #[test]
    fn values_are_rounded_to_thousandths_and_never_negative() {
        let cases = [(1.0, 1000), (0.0004, 0), (0.0006, 1), (-3.0, 0), (1e300, i64::MAX)];
        for (value, milli) in cases {
            assert_eq!(reported(value), Milli(milli), "{value}");
        }
        assert_eq!((target(0.0004), target(-1.0), target(0.5)), (None, None, Some(Milli(500))));
    }

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

    #[test]
    fn a_metric_type_that_cannot_be_is_told_with_those_that_can() {
        let of = |kind: &str, metric_type| {
            let problem =
                check_metric_type(&TriggerSpec { kind: kind.to_owned(), metric_type, ..TriggerSpec::default() });
            problem.map(|problem| problem.to_string())
        };
        let expected =
            "metricType: \"Utilization\" is not allowed for redis; allowed values are 'Value' or 'AverageValue'";
        assert_eq!(of("redis", MetricType::Utilization).as_deref(), Some(expected));
        let expected =
            "metricType: \"Value\" is not allowed for cpu; allowed values are 'Utilization' or 'AverageValue'";
        assert_eq!(of("cpu", MetricType::Value).as_deref(), Some(expected));
        let expected = "metricType: \"Value\" is not allowed for pods-metric; allowed value is 'AverageValue'";
        assert_eq!(of("pods-metric", MetricType::Value).as_deref(), Some(expected));
        assert_eq!((of("memory", MetricType::Utilization), of("object-metric", MetricType::Value)), (None, None));
    }
}
