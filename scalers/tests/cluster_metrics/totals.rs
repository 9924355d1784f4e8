//! `object-metric` and `external-metric`: totals with an activity of their own.

use tidegate_calculator::source::{Measured, MetricType, Milli, ReadErrorKind};

use super::cluster::Cluster;
use super::{errors, read, spec};

const OBJECT: [(&str, &str); 4] = [
    ("metricName", "requests"),
    ("describedObjectKind", "Ingress"),
    ("describedObjectName", "shop"),
    ("targetValue", "2k"),
];
const EXTERNAL: [(&str, &str); 3] = [("metricName", "depth"), ("metricSelector", "queue=a"), ("targetValue", "0.5")];

#[tokio::test]
async fn an_object_has_one_value_and_is_asked_for_by_its_names() {
    let cluster = Cluster { object: Ok(Milli(1_500)), ..Cluster::idle() };
    let (metric, reading) = read(&spec("object-metric", MetricType::Value, &OBJECT), &cluster).await.unwrap();
    assert_eq!((metric.name.as_str(), metric.target), ("s2-object-metric-requests", Milli(2_000_000)));
    assert_eq!((metric.metric_type, reading.value), (MetricType::Value, Measured::Total(vec![Milli(1_500)])));
    assert_eq!(cluster.asked(), ["requests[] of  Ingress shop/shop in 5s"]);
    let mut with_group = OBJECT.to_vec();
    with_group.push(("describedObjectApiVersion", "networking.k8s.io/v1"));
    read(&spec("object-metric", MetricType::AverageValue, &with_group), &cluster).await.unwrap();
    assert!(cluster.asked().contains(&"requests[] of networking.k8s.io/v1 Ingress shop/shop in 5s".to_owned()));
}

#[tokio::test]
async fn series_stay_apart_and_none_is_an_error() {
    let cluster = Cluster { series: Ok(vec![Milli(2_500), Milli(1)]), ..Cluster::idle() };
    let spec = spec("external-metric", MetricType::AverageValue, &EXTERNAL);
    let (metric, reading) = read(&spec, &cluster).await.unwrap();
    assert_eq!((metric.name.as_str(), metric.target), ("s2-external-metric-depth", Milli(500)));
    assert_eq!(reading.value, Measured::Total(vec![Milli(2_500), Milli(1)]));
    assert_eq!(cluster.asked(), ["depth[queue=a] of shop in 5s"]);
    let error = read(&spec, &Cluster::without_data()).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable);
    assert_eq!(error.message, "the metrics API has no series of the external metric depth{queue=a}");
}

#[tokio::test]
async fn they_are_active_strictly_above_the_threshold() {
    // The sum counts: 7.5 + 2.5 is 10, which is not above 10; one thousandth more is.
    for (activation, last, active) in [("10", 2_500, false), ("10", 2_501, true), ("9999m", 2_500, true)] {
        let (series, object) = (Ok(vec![Milli(7_500), Milli(last)]), Ok(Milli(7_500 + last)));
        let cluster = Cluster { object, series, ..Cluster::idle() };
        for (kind, metadata) in [("external-metric", &EXTERNAL[..]), ("object-metric", &OBJECT[..])] {
            let mut metadata = metadata.to_vec();
            metadata.push(("activationTargetValue", activation));
            let (_, reading) = read(&spec(kind, MetricType::AverageValue, &metadata), &cluster).await.unwrap();
            assert_eq!(reading.active, active, "{kind} {activation} {last}");
        }
    }
    let cluster = Cluster { object: Ok(Milli(1)), ..Cluster::idle() };
    let (_, reading) = read(&spec("object-metric", MetricType::Value, &OBJECT), &cluster).await.unwrap();
    assert!(reading.active, "the default is 0");
}

#[test]
fn what_is_wrong_is_said_with_what_is_allowed() {
    let bad = [
        ("metricName", "a/b"),
        ("metricSelector", "queue in a"),
        ("describedObjectApiVersion", "a/b/c"),
        ("describedObjectKind", ".."),
        ("describedObjectName", "shop"),
        ("targetValue", "-1"),
    ];
    let found = errors(&spec("object-metric", MetricType::Utilization, &bad));
    let expected = [
        "metricType: \"Utilization\" is not allowed for object-metric; allowed values are 'Value' or 'AverageValue'",
        "metadata.metricName: \"a/b\" is not the name of a metric: / and % are not allowed, nor . and .. alone",
        "metadata.metricSelector: \"queue in a\" is not a label selector: ",
        "metadata.targetValue: \"-1\" is not a quantity > 0 (such as 5, 500m or 1Gi)",
        "metadata.describedObjectApiVersion: \"a/b/c\" is neither a version nor group/version",
        "metadata.describedObjectKind: \"..\" cannot be the name of anything: / and % are not allowed, nor . and .. alone",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
    let allowed = "metricType: \"Value\" is not allowed for pods-metric; allowed value is 'AverageValue'";
    let pods = [("metricName", "load"), ("targetValue", "1")];
    assert_eq!(errors(&spec("pods-metric", MetricType::Value, &pods)), [allowed]);
}
