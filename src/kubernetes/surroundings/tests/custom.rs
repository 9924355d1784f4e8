//! custom.metrics.k8s.io in both versions, for pods and for other objects.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_calculator::source::{ErrorScope, Milli, ReadErrorKind};
use tidegate_calculator::time::Span;
use tidegate_scalers::{Described, Surroundings as _};

use super::*;
use crate::kubernetes::fake::Fault;

const GROUP: &str = "/apis/custom.metrics.k8s.io";
const V2: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop";
const V1: &str = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/shop";

fn serve(fake: &Fake, versions: &[&str]) {
    let version = |name: &&str| json!({ "groupVersion": format!("custom.metrics.k8s.io/{name}"), "version": name });
    let all: Vec<Value> = versions.iter().map(version).collect();
    let group = json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": "custom.metrics.k8s.io",
        "versions": all, "preferredVersion": all.first(),
    });
    fake.put(GROUP, group);
}

fn object(kind: &str, name: &str) -> Value {
    json!({ "kind": kind, "namespace": "shop", "name": name, "apiVersion": "/v1" })
}

/// A value as the second version says it.
fn second(described: &Value, value: &str) -> Value {
    json!({
        "describedObject": described, "metric": { "name": "requests", "selector": null }, "timestamp": ago(10),
        "windowSeconds": 45, "value": value,
    })
}

/// A value as the first version says it.
fn first(described: &Value, value: &str) -> Value {
    json!({
        "describedObject": described, "metricName": "requests", "timestamp": ago(10), "window": 45, "value": value,
        "selector": null,
    })
}

fn described(api_version: &str, kind: &str, name: &str) -> Described {
    Described { api_version: api_version.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

#[tokio::test]
async fn values_of_pods_are_read_in_both_versions() {
    type Item = fn(&Value, &str) -> Value;
    for (versions, place, item) in
        [(&["v1beta1", "v1beta2"][..], V2, second as Item), (&["v1beta1"][..], V1, first as Item)]
    {
        let fake = shop();
        serve(&fake, versions);
        let mut bare = item(&object("Pod", "orders-b"), "2");
        let fields = bare.as_object_mut().unwrap();
        fields.retain(|name, _| !["window", "windowSeconds"].contains(&name.as_str()));
        let items = [item(&object("Pod", "orders-a"), "1500m"), bare, item(&object("Pod", "bills-a"), "7")];
        fake.put(&format!("{place}/pods/*/requests"), json!({ "items": items }));
        let around = usual(&fake);
        let mut values = around.pod_values(&deployment("orders"), &metric("requests", "verb=GET"), SOON).await.unwrap();
        values.sort_by(|a, b| a.pod.cmp(&b.pod));
        let flat: Vec<_> =
            values.iter().map(|value| (value.pod.as_str(), value.sample.value, value.sample.window)).collect();
        assert_eq!(flat, [("orders-a", 1_500, Span::seconds(45)), ("orders-b", 2_000, Span::seconds(60))]);
        assert!(is_ago(values[0].sample.at, 10));
        let asked = fake.requests(&format!("GET {place}/pods/*/requests"));
        let query = format!("GET {place}/pods/*/requests?labelSelector=app%3Dorders&metricLabelSelector=verb%3DGET");
        assert_eq!(asked, [query]);
    }
}

#[tokio::test]
async fn several_targets_of_a_namespace_share_one_list() {
    let fake = shop();
    serve(&fake, &["v1beta2"]);
    let items = [second(&object("Pod", "orders-a"), "1"), second(&object("Pod", "bills-a"), "2")];
    fake.put(&format!("{V2}/pods/*/requests"), json!({ "items": items }));
    let around = usual(&fake);
    let of = |target: &'static str| {
        let around = around.clone();
        async move {
            let values = around.pod_values(&deployment(target), &metric("requests", ""), SOON).await.unwrap();
            values.into_iter().map(|value| value.pod).collect::<Vec<_>>()
        }
    };
    assert_eq!(of("orders").await, ["orders-a"]);
    assert_eq!(of("bills").await, ["bills-a"]);
    assert_eq!(of("orders").await, ["orders-a"]);
    let asked = fake.requests(&format!("GET {V2}/pods/"));
    let plain = format!("GET {V2}/pods/*/requests");
    assert_eq!(asked, [format!("{plain}?labelSelector=app%3Dorders"), plain], "the first was alone, the others share");
    assert_eq!(fake.requests(&format!("GET {GROUP}")).len(), 3, "the version is looked for once");
}

#[tokio::test]
async fn an_object_is_asked_for_by_its_resource() {
    let fake = shop();
    serve(&fake, &["v1beta2"]);
    fake.serve("networking.k8s.io/v1", "Ingress", "ingresses", false);
    let list = |kind: &str, value: &str| json!({ "items": [second(&object(kind, "main"), value)] });
    fake.put(&format!("{V2}/ingresses.networking.k8s.io/main/hits"), list("Ingress", "12500m"));
    let around = usual(&fake);
    let ingress = described("networking.k8s.io/v1", "Ingress", "main");
    let of = |object: Described, metric: MetricQuery| {
        let around = around.clone();
        async move { around.object_value("shop", &object, &metric, SOON).await }
    };
    let hits = metric("hits", "host in (a,b)");
    let answers = futures::future::join_all((0..10).map(|_| of(ingress.clone(), hits.clone()))).await;
    assert!(answers.iter().all(|answer| *answer == Ok(Milli(12_500))), "{answers:?}");
    let query = "?metricLabelSelector=host%20in%20%28a%2Cb%29";
    assert_eq!(
        fake.requests(&format!("GET {V2}/")),
        [format!("GET {V2}/ingresses.networking.k8s.io/main/hits{query}")]
    );
    fake.put("/apis", json!({ "kind": "APIGroupList", "groups": [] }));
    let error = of(described("networking.k8s.io/v1", "Road", "main"), hits.clone()).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Config);
    assert!(error.message.starts_with("describedObject.kind: \"Road\" is no kind of the API networking"), "{error}");
}

#[tokio::test]
async fn the_group_counts_and_not_its_version_and_without_one_the_first_that_has_the_kind() {
    let fake = shop();
    serve(&fake, &["v1beta2"]);
    fake.serve("networking.k8s.io/v1", "Ingress", "ingresses", false);
    let preferred = json!({ "groupVersion": "networking.k8s.io/v1", "version": "v1" });
    let empty = json!({ "name": "empty.test", "versions": [{ "groupVersion": "empty.test/v1", "version": "v1" }] });
    let group = json!({ "name": "networking.k8s.io", "versions": [preferred], "preferredVersion": preferred });
    fake.put("/apis", json!({ "kind": "APIGroupList", "groups": [empty, group] }));
    let values = json!({ "items": [second(&object("Ingress", "main"), "3")] });
    fake.put(&format!("{V2}/ingresses.networking.k8s.io/main/hits"), values);
    let around = usual(&fake);
    for api_version in ["networking.k8s.io/v1beta1", ""] {
        let object = described(api_version, "Ingress", "main");
        let value = around.object_value("shop", &object, &metric("hits", ""), SOON).await;
        assert_eq!(value, Ok(Milli(3_000)), "{api_version:?}");
    }
    let error = around.object_value("shop", &described("", "Road", "main"), &metric("hits", ""), SOON).await;
    assert!(error.unwrap_err().message.contains("\"Road\" is no kind of any API of this cluster"));
}

#[tokio::test]
async fn a_namespace_is_the_triggers_own_one() {
    let fake = shop();
    serve(&fake, &["v1beta1"]);
    fake.put(&format!("{V1}/metrics/load"), json!({ "items": [first(&object("Namespace", "shop"), "4")] }));
    let namespace = described("v1", "Namespace", "bank");
    let value = usual(&fake).object_value("shop", &namespace, &metric("load", ""), SOON).await;
    assert_eq!(value, Ok(Milli(4_000)), "whatever name is given");
}

#[tokio::test]
async fn an_object_has_one_value() {
    let fake = shop();
    serve(&fake, &["v1beta2"]);
    let around = around(&fake, TIMES, Duration::ZERO);
    let place = format!("{V2}/metrics/load");
    let namespace = described("", "Namespace", "shop");
    let load = metric("load", "");
    let item = second(&object("Namespace", "shop"), "4");
    fake.put(&place, json!({ "items": [item.clone(), item] }));
    let error = around.object_value("shop", &namespace, &load, SOON).await.unwrap_err();
    assert!(error.message.contains("answered 2 values when it was asked for the one of Namespace shop"), "{error}");
}

#[tokio::test]
async fn a_metric_that_is_not_found_is_told_from_an_api_that_is_not_there() {
    let fake = shop();
    serve(&fake, &["v1beta2"]);
    let around = usual(&fake);
    let target = deployment("orders");
    let error = around.pod_values(&target, &metric("requests", ""), SOON).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Query));
    assert_eq!(error.message, "get of pods.custom.metrics.k8s.io/requests in namespace shop: not found");
    let error = usual(&shop()).pod_values(&target, &metric("requests", ""), SOON).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint));
    assert!(error.message.starts_with("the API custom.metrics.k8s.io is not served here; install"), "{error}");
    let fake = shop();
    serve(&fake, &["v3", "v4"]);
    let error = usual(&fake).pod_values(&target, &metric("requests", ""), SOON).await.unwrap_err();
    let text = "the API custom.metrics.k8s.io is served as v3, v4; understood are v1beta2 and v1beta1";
    assert_eq!((error.kind, error.message.as_str()), (ReadErrorKind::Protocol, text));
}

#[tokio::test]
async fn one_metric_that_fails_keeps_no_other_from_being_read() {
    let fake = shop();
    serve(&fake, &["v1beta2"]);
    fake.put(&format!("{V2}/pods/*/good"), json!({ "items": [second(&object("Pod", "orders-a"), "1")] }));
    fake.put(&format!("{V2}/pods/*/empty"), json!({ "items": [] }));
    fake.fail(&format!("GET {V2}/pods/*/bad"), Fault::Refuse(500), 9);
    fake.fail(&format!("GET {V2}/pods/*/hung"), Fault::Hang, 9);
    let around = around(&fake, TIMES, Duration::ZERO);
    let of = |name: &'static str, deadline: Duration| {
        let around = around.clone();
        async move { around.pod_values(&deployment("orders"), &metric(name, ""), deadline).await }
    };
    let error = of("bad", SOON).await.unwrap_err();
    assert_eq!(error.message, "get of pods.custom.metrics.k8s.io/bad in namespace shop failed: scripted");
    assert_eq!(of("bad", SOON).await.unwrap_err(), error);
    assert_eq!(fake.requests(&format!("GET {V2}/pods/*/bad")).len(), 1, "not again within a second");
    assert_eq!(of("hung", Duration::from_millis(100)).await.unwrap_err().kind, ReadErrorKind::Timeout);
    let text = "no metrics returned from custom metrics API for the pods of Deployment/orders";
    assert_eq!(of("empty", SOON).await.unwrap_err().message, text);
    assert_eq!(of("good", SOON).await.unwrap().len(), 1);
}
