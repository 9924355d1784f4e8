//! external.metrics.k8s.io: all series, unsummed, and none is an error.

use serde_json::{Value, json};
use tidegate_calculator::source::{ErrorScope, Milli, ReadErrorKind};
use tidegate_scalers::Surroundings as _;

use super::*;
use crate::kubernetes::fake::Fault;

const DEPTH: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/depth";

fn series(value: &Value) -> Value {
    json!({ "metricName": "depth", "metricLabels": {}, "timestamp": ago(5), "window": 60, "value": value })
}

#[tokio::test]
async fn all_series_are_told_and_asked_for_once() {
    let fake = Fake::default();
    // 2^63 thousandths and more are held at the edge; a number where a text belongs is understood.
    let values = [json!("1500m"), json!("-2"), json!("99E"), json!(7)];
    fake.put(DEPTH, json!({ "items": values.iter().map(series).collect::<Vec<_>>() }));
    let around = usual(&fake);
    let depth = metric("depth", "queue=jobs,tier!=low");
    let answers = futures::future::join_all((0..10).map(|_| around.external_values("shop", &depth, SOON))).await;
    for answer in answers {
        assert_eq!(answer.unwrap(), [Milli(1_500), Milli(-2_000), Milli(i64::MAX), Milli(7_000)]);
    }
    assert_eq!(fake.requests("GET"), [format!("GET {DEPTH}?labelSelector=queue%3Djobs%2Ctier%21%3Dlow")]);
}

#[tokio::test]
async fn no_series_and_no_metric_and_no_api_are_three_errors() {
    let fake = Fake::default();
    fake.put(DEPTH, json!({ "items": [] }));
    let around = usual(&fake);
    let error = around.external_values("shop", &metric("depth", "queue=jobs"), SOON).await.unwrap_err();
    let text =
        "no metrics returned from external metrics API: depth in namespace shop with labels queue=jobs has no series";
    assert_eq!(
        (error.kind, error.scope, error.message.as_str()),
        (ReadErrorKind::Unavailable, ErrorScope::Query, text)
    );
    fake.serve("external.metrics.k8s.io/v1beta1", "ExternalMetricValueList", "externalmetrics", false);
    let error = around.external_values("shop", &metric("height", ""), SOON).await.unwrap_err();
    let text = "list of height.external.metrics.k8s.io in namespace shop: not found";
    assert_eq!(
        (error.kind, error.scope, error.message.as_str()),
        (ReadErrorKind::Unavailable, ErrorScope::Query, text)
    );
    let error = usual(&Fake::default()).external_values("shop", &metric("depth", ""), SOON).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint));
    assert!(error.message.starts_with("the API external.metrics.k8s.io is not served here; install"), "{error}");
}

#[tokio::test]
async fn rights_quantities_and_names_are_looked_at() {
    let fake = Fake::default();
    fake.put(DEPTH, json!({ "items": [series(&json!("deep"))] }));
    let around = usual(&fake);
    let error = around.external_values("shop", &metric("depth", ""), SOON).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Protocol);
    assert!(error.message.contains("\"deep\" is not a quantity"), "{error}");
    fake.fail("GET /apis/external.metrics.k8s.io/v1beta1/namespaces/shop/s3%2F..%3Fx", Fault::Refuse(403), 1);
    let error = around.external_values("shop", &metric("s3/..?x", ""), SOON).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Auth, "a name cannot leave its place in the path: {error}");
}
