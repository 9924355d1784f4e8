//! metrics.k8s.io: one list for all, and a server that fails is left alone.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_calculator::hpa::samples;
use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_calculator::time::Span;
use tidegate_scalers::Surroundings as _;
use tokio::time::sleep;

use super::*;
use crate::kubernetes::fake::Fault;

const PODS: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods";
const LISTS: &str = "GET /apis/metrics.k8s.io/v1beta1/namespaces/shop/pods";

fn usage(pod: &str, window: &str, containers: &Value) -> Value {
    json!({ "metadata": { "name": pod }, "timestamp": ago(30), "window": window, "containers": containers })
}

/// What the pods of the shop use.
fn measured() -> Fake {
    let fake = shop();
    let one = |cpu: &str| json!([{ "name": "main", "usage": { "cpu": cpu, "memory": "1Mi" } }]);
    let two =
        json!([{ "name": "main", "usage": { "cpu": "12345678n" } }, { "name": "mesh", "usage": { "memory": "5" } }]);
    let items = [
        usage("orders-a", "30s", &one("250m")),
        usage("orders-b", "1m0.5s", &two),
        usage("bills-a", "14.5s", &one("1")),
        usage("stranger", "30s", &one("9")),
    ];
    fake.put(PODS, json!({ "items": items }));
    fake
}

#[tokio::test]
async fn usages_are_those_of_the_targets_pods() {
    let fake = measured();
    let around = usual(&fake);
    let mut usages = around.usages(&deployment("orders"), "cpu", SOON).await.unwrap();
    usages.sort_by(|a, b| a.pod.cmp(&b.pod));
    let [a, b] = usages.as_slice() else { panic!("{usages:?}") };
    assert_eq!(
        (a.pod.as_str(), a.window, &a.containers[..]),
        ("orders-a", Span::seconds(30), &[("main".to_owned(), Some(250))][..])
    );
    assert!(is_ago(a.at, 30), "{a:?}");
    // 12.345678 thousandths are rounded up; the second container does not say its cpu, so the pod has no sample.
    assert_eq!((b.pod.as_str(), b.window), ("orders-b", Span(60_500)));
    assert_eq!(b.containers, [("main".to_owned(), Some(13)), ("mesh".to_owned(), None)]);
    let samples = samples::of_resource(&usages, None);
    assert_eq!(samples.keys().collect::<Vec<_>>(), [&"orders-a"]);
    let memory = around.usages(&deployment("bills"), "memory", SOON).await.unwrap();
    assert_eq!(memory[0].containers, [("main".to_owned(), Some(1_048_576_000))]);
    assert_eq!(fake.requests(LISTS).len(), 1, "one list serves both targets and both resources");
}

#[tokio::test]
async fn all_who_ask_at_the_same_moment_share_one_question() {
    let fake = measured();
    fake.fail(LISTS, Fault::Late(Duration::from_millis(200)), 1);
    let around = around(&fake, TIMES, Duration::from_millis(300));
    let (orders, bills) = (deployment("orders"), deployment("bills"));
    let asks = (0..40).map(|index| around.usages(if index % 2 == 0 { &orders } else { &bills }, "cpu", SOON));
    for answer in futures::future::join_all(asks).await {
        assert!(!answer.unwrap().is_empty());
    }
    assert_eq!(fake.requests(LISTS).len(), 1);
    sleep(Duration::from_millis(320)).await;
    around.usages(&orders, "cpu", SOON).await.unwrap();
    assert_eq!(fake.requests(LISTS).len(), 2, "an answer is not kept beyond its life");
}

#[tokio::test]
async fn one_who_gives_up_takes_the_answer_from_nobody() {
    let fake = measured();
    let around = usual(&fake);
    around.pods(&deployment("orders"), SOON).await.unwrap();
    fake.fail(LISTS, Fault::Late(Duration::from_millis(300)), 1);
    let error = around.usages(&deployment("orders"), "cpu", Duration::from_millis(30)).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Timeout, "{error}");
    assert_eq!(around.usages(&deployment("orders"), "cpu", SOON).await.unwrap().len(), 2);
    assert_eq!(fake.requests(LISTS).len(), 1);
}

#[tokio::test]
async fn what_is_not_told_is_an_error_and_no_zero() {
    let fake = measured();
    let around = around(&fake, TIMES, Duration::ZERO);
    fake.put(PODS, json!({ "items": [] }));
    let error = around.usages(&deployment("orders"), "cpu", SOON).await.unwrap_err();
    let text = "no metrics returned from resource metrics API for the pods of Deployment/orders";
    assert_eq!(
        (error.kind, error.scope, error.message.as_str()),
        (ReadErrorKind::Unavailable, ErrorScope::Query, text)
    );
    fake.put(PODS, json!({ "items": [usage("stranger", "30s", &json!([]))] }));
    assert_eq!(around.usages(&deployment("orders"), "cpu", SOON).await.unwrap_err().message, text);
    let odd = json!([{ "name": "main", "usage": { "cpu": "lots" } }]);
    fake.put(PODS, json!({ "items": [usage("orders-a", "30s", &odd)] }));
    let error = around.usages(&deployment("orders"), "cpu", SOON).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Protocol);
    assert!(error.message.contains("cpu of pod orders-a: \"lots\" is not a quantity"), "{error}");
}

#[tokio::test]
async fn an_api_that_is_not_there_is_named_with_what_serves_it() {
    let around = usual(&shop());
    let error = around.usages(&deployment("orders"), "cpu", SOON).await.unwrap_err();
    let text = "the API metrics.k8s.io is not served here; install metrics-server";
    assert_eq!(
        (error.kind, error.scope, error.message.as_str()),
        (ReadErrorKind::Unavailable, ErrorScope::Endpoint, text)
    );
}

#[tokio::test]
async fn an_api_without_a_server_is_asked_once_for_all_namespaces() {
    let fake = measured();
    put_deployment(&fake, "orders");
    let bank = TargetRef { namespace: "bank".into(), ..deployment("orders") };
    let status = json!({ "replicas": 1, "selector": "app=orders" });
    fake.put("/apis/apps/v1/namespaces/bank/deployments/orders", json!({ "spec": {}, "status": status }));
    fake.fail("GET /apis/metrics.k8s.io", Fault::Refuse(503), 100);
    let around = around(&fake, TIMES, Duration::ZERO);
    for target in [&deployment("orders"), &bank, &deployment("bills")] {
        let error = around.usages(target, "cpu", SOON).await.unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint));
        let text = "the API metrics.k8s.io has no server that answers; see `kubectl get apiservices`";
        assert!(error.message.starts_with(text), "{error}");
    }
    assert_eq!(fake.requests("GET /apis/metrics.k8s.io").len(), 1, "in the first second");
    fake.mend();
    sleep(Duration::from_millis(1_100)).await;
    assert!(around.usages(&deployment("orders"), "cpu", SOON).await.is_ok(), "and then it is asked again");
}

#[tokio::test]
async fn a_missing_right_names_verb_resource_and_group() {
    let fake = measured();
    fake.fail(LISTS, Fault::Refuse(403), 1);
    let error = usual(&fake).usages(&deployment("orders"), "cpu", SOON).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Auth);
    assert!(
        error.message.starts_with("list of pods.metrics.k8s.io in namespace shop is forbidden; the role needs it"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wish_for_patience_is_kept_and_the_body_of_a_failure_is_not_told() {
    let fake = measured();
    fake.fail(LISTS, Fault::Busy(2), 1);
    let around = around(&fake, TIMES, Duration::ZERO);
    let error = around.usages(&deployment("orders"), "cpu", SOON).await.unwrap_err();
    let text = "list of pods.metrics.k8s.io in namespace shop: the server is busy and asks for patience";
    assert_eq!((error.kind, error.message.as_str()), (ReadErrorKind::Unavailable, text));
    // Longer than the first pause of a second.
    sleep(Duration::from_millis(1_300)).await;
    assert_eq!(around.usages(&deployment("orders"), "cpu", SOON).await.unwrap_err().message, text);
    assert_eq!(fake.requests(LISTS).len(), 1);
    sleep(Duration::from_millis(900)).await;
    assert!(around.usages(&deployment("orders"), "cpu", SOON).await.is_ok());
}
