//! The Ready pods of a target that does not show them: counted for triggers that multiply them, and unknown otherwise.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_engine::ports::{Objects as _, Target as _};
use tidegate_engine::protocol::Change;
use tidegate_engine::subject::TargetRef;
use tokio::time::timeout;

use super::super::{Following, follow};
use super::following::{OBJECT, object, shop, target};
use crate::kubernetes::fake::Fake;
use crate::kubernetes::settings::Settings;
use crate::kubernetes::surroundings::counter::PACE;

const SHELF: &str = "/apis/shop.test/v1/namespaces/shop/shelves/orders";
const PODS: &str = "GET /api/v1/namespaces/shop/pods";
const SCALES: &str = "GET /apis/shop.test/v1/namespaces/shop/shelves/orders/scale";

/// A shop whose object scales a Shelf, with a trigger of this metric type.
fn shelf(metric_type: &str) -> Fake {
    let fake = shop();
    fake.serve("shop.test/v1", "Shelf", "shelves", true);
    let status = json!({ "replicas": 3, "selector": "app=orders" });
    fake.put(SHELF, json!({ "spec": { "replicas": 3 }, "status": status }));
    fake.put(OBJECT, of_type(metric_type, 1));
    for (name, ready) in [("a", "True"), ("b", "True"), ("c", "False")] {
        put_pod(&fake, name, ready);
    }
    fake
}

fn of_type(metric_type: &str, generation: i64) -> Value {
    let mut value = object(Some(("shop.test/v1", "Shelf")));
    value["metadata"]["generation"] = json!(generation);
    value["spec"]["triggers"][0]["metricType"] = json!(metric_type);
    value
}

fn put_pod(fake: &Fake, name: &str, ready: &str) {
    let status = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] });
    let pod = json!({ "metadata": { "labels": { "app": "orders" } }, "status": status });
    fake.put(&format!("/api/v1/namespaces/shop/pods/{name}"), pod);
}

/// How many Ready pods the engine is told of next.
async fn ready(following: &mut Following, within: Duration) -> Option<Option<u32>> {
    let seen = async {
        loop {
            match following.objects.next().await {
                Some(Change::Target(_, Ok(seen))) => return seen.state.ready,
                Some(_) => {}
                None => panic!("the end"),
            }
        }
    };
    timeout(within, seen).await.ok()
}

const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn they_are_counted_and_counted_again_when_they_change() {
    let fake = shelf("Value");
    let mut following = follow(&fake.client(), &Settings::default());
    assert_eq!(ready(&mut following, SOON).await, Some(Some(2)), "a and b");
    let shelf = TargetRef { api_version: "shop.test/v1".into(), kind: "Shelf".into(), ..target() };
    assert_eq!(following.target.refresh(&shelf).await.unwrap().state.ready, Some(2));
    // The Shelf itself does not change, so no watch of it says that its pods did.
    put_pod(&fake, "c", "True");
    assert_eq!(ready(&mut following, SOON).await, Some(Some(3)));
    fake.delete("/api/v1/namespaces/shop/pods/a");
    assert_eq!(ready(&mut following, SOON).await, Some(Some(2)));
    fake.taken();
    assert_eq!(ready(&mut following, 2 * PACE).await, None, "nothing changes, so nothing is told");
    assert!(fake.requests(SCALES).is_empty(), "and nothing is read: {:?}", fake.requests(SCALES));
}

#[tokio::test]
async fn they_are_not_counted_for_nobody() {
    let fake = shelf("AverageValue");
    let mut following = follow(&fake.client(), &Settings::default());
    assert_eq!(ready(&mut following, SOON).await, Some(None), "unknown, and no zero");
    assert_eq!(ready(&mut following, PACE + PACE / 2).await, None);
    assert!(fake.requests(PODS).is_empty(), "no pod is looked at");
    // A new text wants them.
    fake.put(OBJECT, of_type("Value", 2));
    while ready(&mut following, SOON).await != Some(Some(2)) {}
}
