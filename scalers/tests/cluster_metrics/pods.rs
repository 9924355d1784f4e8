//! `cpu`, `memory` and `pods-metric`: what each pod shows.

use std::time::Duration;

use tidegate_calculator::source::{Measured, MetricType, Milli, PodSamples, ReadErrorKind};
use tokio::time::Instant;

use super::cluster::{Cluster, pod, usage, value};
use super::{DEADLINE, errors, opened, read, spec};

/// Two pods of two containers each. Requests are in thousandths.
fn busy() -> Cluster {
    Cluster {
        pods: Ok(vec![pod("a", &[("app", 500), ("proxy", 100)]), pod("b", &[("app", 500), ("proxy", 100)])]),
        usages: Ok(vec![
            usage("a", &[("app", Some(400)), ("proxy", Some(50))]),
            usage("b", &[("app", Some(300)), ("proxy", Some(1))]),
        ]),
        values: Ok(vec![value("a", 12_500), value("b", 1)]),
        ..Cluster::idle()
    }
}

async fn samples(metadata: &[(&str, &str)], cluster: &Cluster) -> PodSamples {
    let (_, reading) = read(&spec("cpu", MetricType::AverageValue, metadata), cluster).await.unwrap();
    assert!(!reading.active, "what pods use is never active");
    match reading.value {
        Measured::PerPod(samples) => samples,
        Measured::Total(_) => panic!("not per pod"),
    }
}

fn shown(samples: &PodSamples) -> Vec<(&str, i64)> {
    samples.samples.iter().map(|value| (value.pod.as_str(), value.sample.value)).collect()
}

#[tokio::test]
async fn a_pod_is_the_sum_of_its_containers_or_the_named_one() {
    let whole = samples(&[("value", "500m")], &busy()).await;
    // 400 + 50 and 300 + 1 thousandths.
    assert_eq!(shown(&whole), [("a", 450), ("b", 301)]);
    assert_eq!((whole.resource.as_str(), whole.container.as_deref(), whole.pods.len()), ("cpu", None, 2));
    assert_eq!(whole.samples[0].sample.at.0, -20_000, "the times are the metrics API's");
    let one = samples(&[("value", "500m"), ("containerName", "proxy")], &busy()).await;
    assert_eq!((shown(&one), one.container.as_deref()), (vec![("a", 50), ("b", 1)], Some("proxy")));
}

#[tokio::test]
async fn a_missing_pod_and_a_hole_are_missing_samples() {
    let mut cluster = busy();
    cluster.usages = Ok(vec![usage("a", &[("app", Some(400)), ("proxy", None)])]);
    let whole = samples(&[("value", "1")], &cluster).await;
    assert_eq!((shown(&whole), whole.pods.len()), (vec![], 2), "a has a hole, b is missing");
    let app = samples(&[("value", "1"), ("containerName", "app")], &cluster).await;
    assert_eq!(shown(&app), [("a", 400)]);
    cluster.usages = Ok(vec![usage("a", &[("app", Some(400))]), usage("b", &[("app", Some(1)), ("proxy", Some(7))])]);
    let proxy = samples(&[("value", "1"), ("containerName", "proxy")], &cluster).await;
    assert_eq!(shown(&proxy), [("b", 7)], "a does not have the container");
}

#[tokio::test]
async fn without_pods_there_is_nothing_to_tell_and_no_zero() {
    let cluster = Cluster { pods: Ok(Vec::new()), usages: Ok(Vec::new()), values: Ok(Vec::new()), ..Cluster::idle() };
    let samples = samples(&[("value", "1"), ("containerName", "app")], &cluster).await;
    assert!(samples.pods.is_empty() && samples.samples.is_empty());
    let spec = spec("pods-metric", MetricType::AverageValue, &[("metricName", "load"), ("targetValue", "1")]);
    let (_, reading) = read(&spec, &cluster).await.unwrap();
    assert_eq!(reading.value, Measured::PerPod(PodSamples::default()));
}

/// The pods are looked at first, and whoever tells the values looks for himself a moment later: a pod that has come in between is
/// in neither half, so it is never one without a value, and its value counts for nobody.
#[tokio::test]
async fn a_pod_that_comes_during_a_read_is_in_neither_half() {
    let mut cluster = busy();
    cluster.usages.as_mut().unwrap().push(usage("new", &[("app", Some(9_000))]));
    cluster.values.as_mut().unwrap().push(value("new", 9_000));
    let load: &[(&str, &str)] = &[("metricName", "load"), ("targetValue", "1")];
    for (kind, metadata, expected) in
        [("cpu", &[("value", "1")][..], [("a", 450), ("b", 301)]), ("pods-metric", load, [("a", 12_500), ("b", 1)])]
    {
        cluster.questions.lock().unwrap().clear();
        let (_, reading) = read(&spec(kind, MetricType::AverageValue, metadata), &cluster).await.unwrap();
        let Measured::PerPod(samples) = reading.value else { panic!("not per pod") };
        assert_eq!((shown(&samples), samples.pods.len()), (expected.to_vec(), 2), "{kind}");
        let asked = cluster.questions.lock().unwrap().clone();
        assert!(asked[0].starts_with("pods of") && asked.len() == 2, "{asked:?}");
    }
    // Values of pods that nobody knows are no values at all.
    cluster.values = Ok(vec![value("new", 1)]);
    let error = read(&spec("pods-metric", MetricType::AverageValue, load), &cluster).await.unwrap_err();
    assert!(error.message.ends_with("of none of them"), "{error}");
}

#[tokio::test]
async fn pods_that_nothing_is_told_of_are_an_error() {
    let spec = spec("memory", MetricType::Utilization, &[("value", "80")]);
    let error = read(&spec, &Cluster::without_data()).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable);
    assert_eq!(error.message, "the metrics API tells the memory of the pods of Deployment/orders of none of them");
}

#[tokio::test]
async fn a_container_that_no_pod_has_is_named_with_those_there_are() {
    let trigger = spec("cpu", MetricType::Utilization, &[("value", "80"), ("containerName", "ap")]);
    let error = read(&trigger, &busy()).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Config);
    assert_eq!(
        error.message,
        "the cpu of the pods of Deployment/orders is told, but of no container \"ap\" (containerName); the containers are app, proxy"
    );
}

#[tokio::test]
async fn metrics_are_named_as_keda_does_and_targets_are_thousandths() {
    let cases = [
        ("cpu", MetricType::Utilization, "60", 60_000),
        ("cpu", MetricType::Utilization, "+007", 7_000),
        ("cpu", MetricType::AverageValue, "250m", 250),
        ("memory", MetricType::AverageValue, "1Gi", 1_073_741_824_000),
        // Finer than a thousandth: rounded up, as the HPA does.
        ("cpu", MetricType::AverageValue, "1n", 1),
    ];
    for (kind, metric_type, text, target) in cases {
        let (metric, _) = read(&spec(kind, metric_type, &[("value", text)]), &busy()).await.unwrap();
        assert_eq!((metric.name.as_str(), metric.metric_type, metric.target), (kind, metric_type, Milli(target)));
    }
}

#[test]
fn what_is_wrong_is_said_with_what_is_allowed() {
    let of = |metric_type, metadata: &[(&str, &str)]| errors(&spec("cpu", metric_type, metadata));
    let percentage = "metadata.value: \"500m\" is not a whole percentage from 1 to 2147483647";
    assert_eq!(of(MetricType::Utilization, &[("value", "500m")]), [percentage]);
    let positive = "metadata.value: \"0\" is not a quantity > 0 (such as 5, 500m or 1Gi)";
    assert_eq!(of(MetricType::AverageValue, &[("value", "0")]), [positive]);
    let text = "metadata.value: \"half\" is not a quantity up to 9P (such as 5, 500m or 1Gi)";
    assert_eq!(of(MetricType::AverageValue, &[("value", "half")]), [text]);
    let removed = "metadata.type: \"Utilization\" is not supported any more; say it as metricType of the trigger, beside its type";
    assert_eq!(of(MetricType::Utilization, &[("value", "50"), ("type", "Utilization")]), [removed]);
    let ratio = "metricType: \"Value\" is not allowed for cpu; allowed values are 'Utilization' or 'AverageValue'";
    assert_eq!(of(MetricType::Value, &[("value", "50")]), [ratio]);
}

#[tokio::test(start_paused = true)]
async fn both_questions_are_asked_at_once_with_the_whole_deadline() {
    // Each answer takes 4 of the 5 seconds: one after the other would be too late.
    let cluster = Cluster { delay: Duration::from_secs(4), ..busy() };
    let pods_metric = &[("metricName", "load"), ("metricSelector", "a=b"), ("targetValue", "1")];
    for (spec, asked) in [
        (spec("memory", MetricType::AverageValue, &[("value", "1Gi")]), "memory"),
        (spec("pods-metric", MetricType::AverageValue, pods_metric), "load[a=b]"),
    ] {
        let cluster = Cluster { delay: cluster.delay, ..busy() };
        let begun = Instant::now();
        read(&spec, &cluster).await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 4);
        let of = "of shop/Deployment/orders in 5s";
        assert_eq!(cluster.asked(), [format!("{asked} {of}"), format!("pods {of}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_a_timeout_that_names_the_question() {
    let cluster = Cluster { delay: Duration::from_secs(6), ..busy() };
    let begun = Instant::now();
    let error = read(&spec("cpu", MetricType::AverageValue, &[("value", "1")]), &cluster).await.unwrap_err();
    assert_eq!((error.kind, begun.elapsed().as_secs()), (ReadErrorKind::Timeout, DEADLINE.as_secs()));
    assert_eq!(error.message, "the cluster did not tell the cpu of the pods of Deployment/orders in time");
}

#[tokio::test]
async fn pods_that_cannot_be_listed_are_an_error_though_their_usage_is_known() {
    let cluster = Cluster { pods: Cluster::failing(ReadErrorKind::Auth).pods, ..busy() };
    let error = read(&spec("cpu", MetricType::AverageValue, &[("value", "1")]), &cluster).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ReadErrorKind::Auth, "the API server said no"));
}

#[tokio::test]
async fn a_metric_of_the_pods_is_one_value_a_pod() {
    let spec = spec("pods-metric", MetricType::AverageValue, &[("metricName", "load:5m"), ("targetValue", "1500m")]);
    let (metric, reading) = read(&spec, &busy()).await.unwrap();
    assert_eq!((metric.name.as_str(), metric.target), ("s2-pods-metric-load-5m", Milli(1_500)));
    let Measured::PerPod(samples) = &reading.value else { panic!("not per pod") };
    assert_eq!((shown(samples), reading.active), (vec![("a", 12_500), ("b", 1)], false));
    assert_eq!((samples.resource.as_str(), samples.container.as_deref()), ("", None));
}

#[test]
fn triggers_of_one_namespace_and_api_fall_due_together() {
    let id =
        |kind, metadata: &[(&str, &str)]| opened(&spec(kind, MetricType::AverageValue, metadata), &busy()).endpoint();
    let (cpu, memory) = (id("cpu", &[("value", "1")]), id("memory", &[("value", "1Gi")]));
    assert!(cpu.is_some() && cpu == memory);
    assert_ne!(id("pods-metric", &[("metricName", "load"), ("targetValue", "1")]), cpu);
    let watch =
        opened(&spec("cpu", MetricType::AverageValue, &[("value", "1")]), &busy()).watch(std::sync::Arc::new(|| ()));
    assert!(watch.is_none(), "nothing pushes");
}
