//! The same promises of the types that read no server but ask the cluster: one row of [`ROWS`] a type.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_calculator::source::{MetricType, Occasion, Parameters, ReadError, ReadErrorKind, TriggerSpec};
use tidegate_scalers::{Checked, Endpoints, Known, Scaler, check, open};
use tokio::time::{Instant, timeout};

use super::scripted_cluster::{Cluster, target};

type Pairs = &'static [(&'static str, &'static str)];

/// One trigger type, and how it is misused.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// How its metric is compared with the target, and how it cannot be.
    metric_type: MetricType,
    wrong_type: MetricType,
    /// A complete trigger's metadata.
    metadata: Pairs,
    /// Metadata that replaces single entries (an empty text removes one), and the path of the error that follows.
    bad: &'static [((&'static str, &'static str), &'static str)],
    /// What its metric is called.
    metric: &'static str,
}

#[cfg(feature = "cluster-metrics")]
const CPU: Row = Row {
    name: "cpu",
    metric_type: MetricType::Utilization,
    wrong_type: MetricType::Value,
    metadata: &[("value", "50")],
    bad: &[
        (("value", ""), "metadata.value"),
        (("value", "0"), "metadata.value"),
        (("value", "-5"), "metadata.value"),
        (("value", "50%"), "metadata.value"),
        (("value", "500m"), "metadata.value"),
        (("value", "2147483648"), "metadata.value"),
        (("type", "Utilization"), "metadata.type"),
    ],
    metric: "cpu",
};

pub(super) const ROWS: &[Row] = &[
    #[cfg(feature = "cluster-metrics")]
    CPU,
    #[cfg(feature = "cluster-metrics")]
    Row {
        name: "external-metric",
        metric_type: MetricType::AverageValue,
        wrong_type: MetricType::Utilization,
        metadata: &[("metricName", "queue:depth"), ("metricSelector", "queue in (a,b),!old"), ("targetValue", "30")],
        bad: &[
            (("metricName", ""), "metadata.metricName"),
            (("metricName", "a/b"), "metadata.metricName"),
            (("metricSelector", "queue in a"), "metadata.metricSelector"),
            (("targetValue", ""), "metadata.targetValue"),
            (("targetValue", "0"), "metadata.targetValue"),
            (("targetValue", "many"), "metadata.targetValue"),
            (("activationTargetValue", "few"), "metadata.activationTargetValue"),
        ],
        metric: "s0-external-metric-queue-depth",
    },
    #[cfg(feature = "kubernetes")]
    Row {
        name: "kubernetes-resource",
        metric_type: MetricType::AverageValue,
        wrong_type: MetricType::Utilization,
        metadata: &[
            ("resourceKind", "ConfigMap"),
            ("resourceName", "plan.v2"),
            ("key", "visitors"),
            ("targetValue", "100"),
        ],
        bad: &[
            (("resourceKind", ""), "metadata.resourceKind"),
            (("resourceKind", "Pod"), "metadata.resourceKind"),
            (("resourceName", ""), "metadata.resourceName"),
            (("resourceName", "Plan"), "metadata.resourceName"),
            (("key", ""), "metadata.key"),
            (("key", "a/b"), "metadata.key"),
            (("format", "xml"), "metadata.format"),
            (("format", "json"), "metadata.valueLocation"),
            (("valueLocation", "a.b"), "metadata.valueLocation"),
            (("valueType", "int"), "metadata.valueType"),
            (("targetValue", ""), "metadata.targetValue"),
            (("targetValue", "0"), "metadata.targetValue"),
            (("activationTargetValue", "few"), "metadata.activationTargetValue"),
        ],
        metric: "s0-configmap-plan-v2-visitors",
    },
    #[cfg(feature = "kubernetes")]
    Row {
        name: "kubernetes-workload",
        metric_type: MetricType::Value,
        wrong_type: MetricType::Utilization,
        metadata: &[("podSelector", "app in (orders,bills),!old"), ("value", "0.5")],
        bad: &[
            (("podSelector", ""), "metadata.podSelector"),
            (("podSelector", "app in orders"), "metadata.podSelector"),
            (("value", ""), "metadata.value"),
            (("value", "0"), "metadata.value"),
            (("value", "-1"), "metadata.value"),
            (("activationValue", "x"), "metadata.activationValue"),
            (("groupByNode", "yes"), "metadata.groupByNode"),
        ],
        metric: "s0-workload-shop",
    },
    #[cfg(feature = "cluster-metrics")]
    Row {
        name: "memory",
        metric_type: MetricType::AverageValue,
        metadata: &[("value", "512Mi"), ("containerName", "app")],
        bad: &[
            (("value", ""), "metadata.value"),
            (("value", "0"), "metadata.value"),
            (("value", "512 Mi"), "metadata.value"),
            (("value", "10P"), "metadata.value"),
            (("type", "AverageValue"), "metadata.type"),
        ],
        metric: "memory",
        ..CPU
    },
    #[cfg(feature = "cluster-metrics")]
    Row {
        name: "object-metric",
        metric_type: MetricType::Value,
        wrong_type: MetricType::Utilization,
        metadata: &[
            ("metricName", "requests"),
            ("describedObjectApiVersion", "networking.k8s.io/v1"),
            ("describedObjectKind", "Ingress"),
            ("describedObjectName", "shop"),
            ("targetValue", "2k"),
        ],
        bad: &[
            (("metricName", ".."), "metadata.metricName"),
            (("describedObjectApiVersion", "a/b/c"), "metadata.describedObjectApiVersion"),
            (("describedObjectKind", ""), "metadata.describedObjectKind"),
            (("describedObjectKind", "In/gress"), "metadata.describedObjectKind"),
            (("describedObjectName", ""), "metadata.describedObjectName"),
            (("describedObjectName", "50%"), "metadata.describedObjectName"),
            (("targetValue", "-1"), "metadata.targetValue"),
        ],
        metric: "s0-object-metric-requests",
    },
    #[cfg(feature = "cluster-metrics")]
    Row {
        name: "pods-metric",
        metric_type: MetricType::AverageValue,
        wrong_type: MetricType::Value,
        metadata: &[("metricName", "requests"), ("targetValue", "0.5")],
        bad: &[
            (("metricName", ""), "metadata.metricName"),
            (("metricSelector", "=a"), "metadata.metricSelector"),
            (("targetValue", "0"), "metadata.targetValue"),
        ],
        metric: "s0-pods-metric-requests",
    },
];

const DEADLINE: Duration = Duration::from_secs(10);

impl Row {
    fn spec(&self, replaced: &[(&str, &str)]) -> TriggerSpec {
        let pairs = self.metadata.iter().chain(replaced);
        let mut metadata: BTreeMap<String, String> =
            pairs.map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        metadata.retain(|_, text| !text.is_empty());
        let (kind, metric_type, target) = (self.name.to_owned(), self.metric_type, Arc::new(target()));
        TriggerSpec { kind, metadata, metric_type, target, ..TriggerSpec::default() }
    }

    fn open(&self, cluster: Cluster) -> Box<dyn Scaler> {
        open(&self.spec(&[]), &Parameters::default(), &Endpoints::within(Arc::new(cluster))).unwrap()
    }

    async fn read(&self, cluster: Cluster) -> Result<(i64, bool), ReadError> {
        let readings = self.open(cluster).read(Occasion::Poll, DEADLINE).await?;
        let (metric, reading) = readings.first().expect("readings are never empty");
        assert_eq!(metric.name, self.metric);
        Ok((reading.value.total().0, reading.active))
    }
}

fn checked(spec: &TriggerSpec) -> Checked {
    check(spec, Known::Nothing, Known::Nothing)
}

#[test]
fn bad_configuration_is_named_and_not_opened() {
    for row in ROWS {
        let mut wrong = vec![(TriggerSpec { metric_type: row.wrong_type, ..row.spec(&[]) }, "metricType")];
        wrong.extend(row.bad.iter().map(|(replaced, path)| (row.spec(&[*replaced]), *path)));
        for (spec, path) in wrong {
            let found = checked(&spec);
            let paths: Vec<_> = found.errors.iter().map(|problem| problem.path.as_str()).collect();
            assert_eq!(paths, [path], "{}: {found:?}", row.name);
            let error = open(&spec, &Parameters::default(), &Endpoints::new()).err().expect("not opened");
            assert_eq!(error.problems, found.errors);
        }
    }
}

#[test]
fn unknown_parameters_are_warnings() {
    for row in ROWS {
        let found = checked(&row.spec(&[("colourOfTheMoon", "blue")]));
        assert!(found.errors.is_empty() && found.metrics.len() == 1, "{found:?}");
        assert_eq!(found.warnings.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), ["metadata.colourOfTheMoon"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_says_nothing_is_a_timeout_at_the_deadline() {
    for row in ROWS {
        let scaler = row.open(Cluster { delay: Duration::from_hours(1), ..Cluster::idle() });
        let begun = Instant::now();
        let error = scaler.read(Occasion::Poll, DEADLINE).await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Timeout, "{}: {error}", row.name);
        assert!((DEADLINE..DEADLINE * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    for row in ROWS {
        for kind in [ReadErrorKind::Unavailable, ReadErrorKind::Auth, ReadErrorKind::Protocol] {
            assert_eq!(row.read(Cluster::failing(kind)).await.unwrap_err().kind, kind, "{}", row.name);
        }
    }
}

#[tokio::test]
async fn zero_is_a_value_and_no_data_is_not() {
    for row in ROWS {
        assert_eq!(row.read(Cluster::idle()).await, Ok((0, false)), "{}", row.name);
        let error = row.read(Cluster::without_data()).await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Unavailable, "{}: {error}", row.name);
    }
}

#[tokio::test]
async fn without_a_cluster_every_read_says_so() {
    for row in ROWS {
        let scaler = open(&row.spec(&[]), &Parameters::default(), &Endpoints::new()).unwrap();
        let error = scaler.read(Occasion::Poll, DEADLINE).await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Config);
        assert!(error.message.contains("there is no cluster here"), "{error}");
    }
}

#[tokio::test]
async fn a_read_may_be_dropped_at_any_time() {
    for row in ROWS {
        let scaler = row.open(Cluster { delay: Duration::from_millis(1), ..Cluster::idle() });
        for micros in [0, 1, 100, 1000, 3000] {
            let _ = timeout(Duration::from_micros(micros), scaler.read(Occasion::Poll, DEADLINE)).await;
        }
        assert!(scaler.read(Occasion::Poll, DEADLINE).await.is_ok(), "{}", row.name);
    }
}
