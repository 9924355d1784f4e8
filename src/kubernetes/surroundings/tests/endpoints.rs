//! discovery.k8s.io: the ready addresses of a Service, each once.

use serde_json::{Value, json};
use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_scalers::{ServiceEndpoint, Surroundings as _};

use super::*;
use crate::kubernetes::fake::Fault;

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";

/// A slice with these ports, whose endpoints are addresses with what they say of being ready.
fn slice(family: &str, ports: &[u16], endpoints: &[(&str, Value)]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(address, ready)| json!({ "addresses": [address, "10.9.9.9"], "conditions": { "ready": ready } }))
        .collect();
    let ports: Vec<Value> = ports.iter().map(|port| json!({ "name": "", "protocol": "TCP", "port": port })).collect();
    json!({ "addressType": family, "endpoints": endpoints, "ports": ports })
}

fn endpoint(address: &str, ports: &[u16]) -> ServiceEndpoint {
    ServiceEndpoint { address: address.to_owned(), ports: ports.to_vec() }
}

#[tokio::test]
async fn ready_endpoints_are_told_once_and_asked_for_once() {
    let fake = Fake::default();
    let first = slice("IPv4", &[8080, 9090], &[("10.0.0.2", json!(true)), ("10.0.0.3", json!(false))]);
    // What says nothing of being ready is; one that moves between slices stands in both.
    let second = slice("IPv4", &[8081], &[("10.0.0.4", Value::Null), ("10.0.0.2", json!(true))]);
    let bare =
        json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.5"] }], "ports": [{ "port": null }] });
    let empty = json!({ "addressType": "IPv4", "endpoints": null, "ports": null });
    let other = slice("IPv6", &[8080], &[("fd00::2", json!(true))]);
    fake.put(SLICES, json!({ "items": [first, second, bare, empty, other] }));
    let around = usual(&fake);
    let answers = futures::future::join_all((0..10).map(|_| around.endpoints("shop", "web", SOON))).await;
    for answer in answers {
        let expected =
            [endpoint("10.0.0.2", &[8080, 8081, 9090]), endpoint("10.0.0.4", &[8081]), endpoint("10.0.0.5", &[])];
        assert_eq!(answer.unwrap(), expected);
    }
    assert_eq!(fake.requests("GET"), [format!("GET {SLICES}?labelSelector=kubernetes.io%2Fservice-name%3Dweb")]);
}

#[tokio::test]
async fn a_service_with_one_family_of_addresses_is_told_by_it_and_one_without_endpoints_has_none() {
    let fake = Fake::default();
    let not_ready = slice("IPv4", &[80], &[("10.0.0.2", json!(false))]);
    fake.put(SLICES, json!({ "items": [not_ready, slice("IPv6", &[80], &[("fd00::2", json!(true))])] }));
    assert_eq!(usual(&fake).endpoints("shop", "web", SOON).await.unwrap(), [endpoint("fd00::2", &[80])]);
    fake.put(SLICES, json!({ "items": [] }));
    assert_eq!(usual(&fake).endpoints("shop", "web", SOON).await.unwrap(), []);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_no_empty_answer() {
    let fake = Fake::default();
    fake.put(SLICES, json!({ "items": [] }));
    fake.fail(&format!("GET {SLICES}"), Fault::Refuse(403), 1);
    let error = usual(&fake).endpoints("shop", "web", SOON).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Auth);
    assert!(
        error.message.starts_with("list of endpointslices.discovery.k8s.io in namespace shop is forbidden"),
        "{error}"
    );
    let odd = json!({ "addressType": "IPv4", "endpoints": [], "ports": [{ "port": 70_000 }] });
    fake.put(SLICES, json!({ "items": [odd] }));
    let error = usual(&fake).endpoints("shop", "web", SOON).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Protocol, "{error}");
    let error = usual(&Fake::default()).endpoints("shop", "web", SOON).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint));
    assert!(error.message.starts_with("the API discovery.k8s.io is not served here; "), "{error}");
}
