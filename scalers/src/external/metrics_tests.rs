use super::super::wire::MetricValue;
use super::*;

fn said(name: &str, whole: i64, float: f64) -> Said {
    Said { metric_name: name.to_owned(), target_size: whole, target_size_float: float }
}

fn specs(all: Vec<Said>) -> Result<Vec<Metric>, String> {
    let all = GetMetricSpecResponse { metric_specs: all };
    metrics(&all, 3, MetricType::AverageValue).map_err(|error| {
        assert_eq!(error.kind, ReadErrorKind::Protocol);
        error.message
    })
}

fn shown(pairs: &[(i64, f64)]) -> Result<Vec<Milli>, String> {
    let value = |(whole, float): &(i64, f64)| MetricValue {
        metric_name: "whatever".to_owned(),
        metric_value: *whole,
        metric_value_float: *float,
    };
    let all = GetMetricsResponse { metric_values: pairs.iter().map(value).collect() };
    values(&all, "jobs").map_err(|error| error.message)
}

#[test]
fn names_get_the_position_and_stay_as_they_are() {
    let all = specs(vec![said("queue/a.b:c", 5, 0.0), said("Other", 0, 0.5)]).unwrap();
    let seen: Vec<_> =
        all.iter().map(|metric| (metric.name.as_str(), metric.spec.name.as_str(), metric.spec.target)).collect();
    let expected = [("queue/a.b:c", "s3-queue/a.b:c", Milli(5000)), ("Other", "s3-Other", Milli(500))];
    assert_eq!(seen, expected);
}

#[test]
fn the_number_with_a_fraction_counts_only_above_zero() {
    for (whole, float, target) in [(5, 0.0, 5000), (5, 2.5, 2500), (5, -1.0, 5000), (5, 0.0006, 1)] {
        assert_eq!(specs(vec![said("a", whole, float)]).unwrap()[0].spec.target, Milli(target), "{whole} {float}");
    }
    assert_eq!(shown(&[(7, 0.0), (7, 0.25), (7, -3.0)]), Ok(vec![Milli(7000), Milli(250), Milli(7000)]));
    assert_eq!(shown(&[(-4, 0.0), (0, 0.0)]), Ok(vec![Milli(0), Milli(0)]), "nothing is less than nothing");
    assert_eq!(shown(&[(i64::MAX, 0.0), (0, 1e300)]), Ok(vec![Milli(i64::MAX), Milli(i64::MAX)]));
}

#[test]
fn what_is_no_number_and_what_is_missing_is_never_a_zero() {
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(shown(&[(7, 0.0), (7, float)]).unwrap_err().ends_with("that is no number"));
        assert!(specs(vec![said("a", 5, float)]).unwrap_err().ends_with("no target size greater than 0"));
    }
    assert_eq!(shown(&[]), Err("GetMetrics gives no value of \"jobs\"".to_owned()));
}

#[test]
fn metrics_that_cannot_be_are_refused() {
    assert!(specs(Vec::new()).unwrap_err().contains("not 1 to 64 metrics"));
    assert!(specs((0..65).map(|n| said(&n.to_string(), 1, 0.0)).collect()).is_err());
    assert!(specs(vec![said("a", 1, 0.0), said("a", 2, 0.0)]).unwrap_err().contains("alike"));
    for size in [0, -5] {
        assert!(specs(vec![said("a", size, 0.0)]).unwrap_err().contains("gives \"a\" no target size"));
    }
    assert!(specs(vec![said(&"x".repeat(254), 1, 0.0)]).is_err() && specs(vec![said("a\nb", 1, 0.0)]).is_err());
    assert!(specs(vec![said(&"x".repeat(253), 1, 0.0)]).is_ok());
}
