//! What the trigger `metrics-api` finds in answers of every format, and behind a Service.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_calculator::hpa::pods::Pod;
use tidegate_calculator::hpa::samples::{PodUsage, PodValue};
use tidegate_calculator::source::{Deadline, Milli, ReadError, ReadErrorKind, TargetRef};
use tidegate_scalers::{Described, Endpoints, Known, MetricQuery, Nowhere, ServiceEndpoint, Surroundings, check};

use crate::server::{Server, Trigger, header, http, value, value_within};

async fn read(body: &str, metadata: &[(&str, &str)]) -> Result<(i64, bool), (ReadErrorKind, String)> {
    let server = Server::saying(body).await;
    let read = server.metrics_api().with(metadata).read().await;
    let prefix = format!("{}/stats: ", server.url());
    read.map_err(|error| (error.kind, error.message.strip_prefix(&prefix).unwrap().to_owned()))
}

#[tokio::test]
async fn every_format_gives_its_number() {
    let cases = [
        ("json", "queues.0.waiting", r#"{"queues":[{"waiting":12.5}]}"#, 12_500),
        ("json", "waiting", r#"{"waiting":"250m"}"#, 250),
        ("json", "queues.#", r#"{"queues":[1,2,3]}"#, 3000),
        ("yaml", "queues.0.waiting", "queues:\n- waiting: 12.5\n", 12_500),
        ("xml", "stats.queue.waiting", "<stats><queue><waiting>12.5</waiting></queue></stats>", 12_500),
        ("prometheus", "waiting{queue=\"a\"}", "waiting{queue=\"b\"} 1\r\nwaiting{queue=\"a\"} 12.5", 12_500),
        ("json", "waiting", r#"{"waiting":-3}"#, 0),
        ("json", "waiting", r#"{"waiting":0}"#, 0),
    ];
    for (format, place, body, milli) in cases {
        let read = read(body, &[("format", format), ("valueLocation", place)]).await;
        assert_eq!(read, Ok((milli, milli > 0)), "{format} {place}");
    }
}

#[tokio::test]
async fn what_is_no_number_is_an_error_that_repeats_nothing() {
    let absent = (ReadErrorKind::Config, "the answer has nothing at valueLocation".to_owned());
    let no_number = (ReadErrorKind::Config, "what stands at valueLocation is not a number".to_owned());
    for (format, body, expected) in [
        ("json", r#"{"other":"canary"}"#, &absent),
        ("json", r#"{"value":"canary"}"#, &no_number),
        ("json", r#"{"value":null}"#, &no_number),
        ("json", r#"{"value":"NaN"}"#, &no_number),
        ("yaml", "value: .inf", &no_number),
        ("yaml", "value: ~", &no_number),
        ("xml", "<value/>", &no_number),
        ("prometheus", "value NaN", &no_number),
        ("prometheus", "value +Inf", &no_number),
        ("prometheus", "# TYPE value gauge", &absent),
    ] {
        assert_eq!(read(body, &[("format", format)]).await.as_ref(), Err(expected), "{format} {body}");
    }
    for (format, body) in [("json", "value: 7"), ("xml", "{}"), ("yaml", "[}")] {
        let (kind, message) = read(body, &[("format", format)]).await.unwrap_err();
        assert_eq!((kind, message), (ReadErrorKind::Protocol, format!("the answer is not {}", format.to_uppercase())));
    }
}

#[tokio::test]
async fn activity_is_strictly_above_the_threshold() {
    for (text, active) in [("3.8", false), ("3.9", true)] {
        let body = format!(r#"{{"value":{text}}}"#);
        assert_eq!(read(&body, &[("activationTargetValue", "3.8")]).await.unwrap().1, active);
    }
}

#[tokio::test]
async fn the_server_is_told_what_can_be_read() {
    let server = Server::saying("value 7").await;
    server.metrics_api().with(&[("format", "prometheus")]).read().await.unwrap();
    assert_eq!(header(&server.heard()[0], "accept"), Some("text/plain;version=0.0.4, */*;q=0.5"));
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    let errors = |replaced: (&str, &str)| -> Vec<String> {
        let trigger = Trigger::metrics_api("http://api:8080/stats").with(&[replaced]);
        let (env, auth) = (Known::Values(&trigger.parameters.env), Known::Values(&trigger.parameters.auth));
        check(&trigger.spec, env, auth).errors.iter().map(ToString::to_string).collect()
    };
    let cases = [
        (("url", "api:8080"), "metadata.url: \"api:8080\" is not a URL with http:// or https://"),
        (("targetValue", "0"), "metadata.targetValue: \"0\" is not a number >= 0.001"),
        (("format", "csv"), "metadata.format: \"csv\" is not one of json, xml, yaml, prometheus"),
        (("aggregationType", "median"), "metadata.aggregationType: \"median\" is not one of average, sum, max, min"),
        (
            ("valueLocation", "a.#(b==1).c"),
            "metadata.valueLocation: \"a.#(b==1).c\" uses queries (#(...)), which are not supported; supported are fields, indexes, # and \\ (GJSON)",
        ),
    ];
    for (replaced, text) in cases {
        assert_eq!(errors(replaced), [text]);
    }
    assert_eq!(errors(("valueLocation", "a.b")), [""; 0]);
}

#[test]
fn the_metric_is_called_as_in_keda() {
    let trigger = Trigger::metrics_api("http://api/").with(&[("valueLocation", "queues.0.waiting")]);
    let nothing = Known::Nothing;
    let found = check(&trigger.spec, nothing, nothing);
    assert_eq!(found.metrics[0].name, "s0-metric-api-queues-0-waiting");
}

/// A cluster with one Service.
#[derive(Debug)]
struct Cluster(Vec<ServiceEndpoint>);

#[async_trait]
impl Surroundings for Cluster {
    async fn pods(&self, target: &TargetRef, deadline: Deadline) -> Result<Vec<Pod>, ReadError> {
        Nowhere.pods(target, deadline).await
    }

    async fn usages(&self, target: &TargetRef, resource: &str, deadline: Deadline) -> Result<Vec<PodUsage>, ReadError> {
        Nowhere.usages(target, resource, deadline).await
    }

    async fn pod_values(
        &self,
        target: &TargetRef,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Vec<PodValue>, ReadError> {
        Nowhere.pod_values(target, metric, deadline).await
    }

    async fn object_value(
        &self,
        namespace: &str,
        object: &Described,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Milli, ReadError> {
        Nowhere.object_value(namespace, object, metric, deadline).await
    }

    async fn external_values(
        &self,
        namespace: &str,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Vec<Milli>, ReadError> {
        Nowhere.external_values(namespace, metric, deadline).await
    }

    async fn endpoints(&self, namespace: &str, service: &str, _: Deadline) -> Result<Vec<ServiceEndpoint>, ReadError> {
        assert_eq!((namespace, service), ("shop", "api"));
        Ok(self.0.clone())
    }
}

/// A pod on an address of its own.
fn pod(address: &str, server: &Server) -> ServiceEndpoint {
    ServiceEndpoint { address: address.to_owned(), ports: vec![server.port] }
}

fn aggregating(how: &str) -> Trigger {
    Trigger::metrics_api("http://api.shop.svc.cluster.local/stats?x=1")
        .with(&[("aggregateFromKubeServiceEndpoints", "true"), ("aggregationType", how)])
}

#[tokio::test]
async fn all_pods_behind_a_service_are_asked_and_joined() {
    let (one, two) = (Server::saying(r#"{"value":2}"#).await, Server::saying(r#"{"value":5}"#).await);
    // The same address with two ports is two pods only if the addresses differ, so the second is called by its name.
    let cluster = Arc::new(Cluster(vec![pod("127.0.0.1", &one), pod("localhost", &two), pod("127.0.0.1", &one)]));
    for (how, milli) in [("average", 3500), ("sum", 7000), ("max", 5000), ("min", 2000)] {
        let scaler = aggregating(how).open(&Endpoints::within(cluster.clone()));
        assert_eq!(value(&*scaler).await, Ok((milli, true)), "{how}");
    }
    assert_eq!((one.heard().len(), two.heard().len()), (4, 4), "each once");
    assert!(one.heard()[0].starts_with("GET /stats?x=1 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_pod_without_a_value_is_left_out_but_never_counted_as_zero() {
    let (well, ill) = (Server::saying(r#"{"value":2}"#).await, Server::start(|_| http("500 Oops", "0")).await);
    let cluster = Arc::new(Cluster(vec![pod("127.0.0.1", &well), pod("localhost", &ill)]));
    let scaler = aggregating("average").open(&Endpoints::within(cluster.clone()));
    assert_eq!(value(&*scaler).await, Ok((2000, true)));
    let error = value(&*aggregating("sum").open(&Endpoints::within(cluster))).await.unwrap_err();
    let text = "Service shop/api: a pod behind the Service gave no value, and a sum needs all: failed with status 500";
    assert_eq!((error.kind, error.message.as_str()), (ReadErrorKind::Unavailable, text));
    let all_ill = Arc::new(Cluster(vec![pod("127.0.0.1", &ill)]));
    let error = value(&*aggregating("max").open(&Endpoints::within(all_ill))).await.unwrap_err();
    assert_eq!(error.message, "Service shop/api: no pod behind the Service gave a value: failed with status 500");
    let none = Arc::new(Cluster(Vec::new()));
    let error = value(&*aggregating("max").open(&Endpoints::within(none))).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ReadErrorKind::Unavailable, "Service shop/api: no pod behind the Service is ready")
    );
}

#[tokio::test]
async fn a_pod_that_hangs_costs_the_others_nothing() {
    let (well, hung) = (Server::saying(r#"{"value":2}"#).await, Server::start(|_| String::new()).await);
    let cluster = Arc::new(Cluster(vec![pod("localhost", &hung), pod("127.0.0.1", &well)]));
    let scaler = aggregating("average").open(&Endpoints::within(cluster));
    assert_eq!(value_within(&*scaler, Duration::from_millis(1500)).await, Ok((2000, true)));
    assert_eq!(value_within(&*scaler, Duration::from_millis(1500)).await, Ok((2000, true)), "nor the next read");
}

#[tokio::test]
async fn without_a_cluster_there_is_no_service() {
    let error = value(&*aggregating("sum").open(&Endpoints::new())).await.unwrap_err();
    assert!(error.kind == ReadErrorKind::Config && error.message.contains("there is no cluster here"), "{error}");
}
