//! Whoever wins the Lease hears what was stored last before it acts, also if the watch of the records lags behind.

use std::time::Duration;

use serde_json::json;
use tidegate_engine::ports::Objects as _;
use tidegate_engine::protocol::{Change, Tenure};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::kubernetes::fake::{Fake, Fault};
use crate::kubernetes::settings::Settings;
use crate::kubernetes::{Following, follow};

const RECORDS: &str = "/apis/tidegate.dev/v1alpha1/scalerecords";
const RECORD: &str = "/apis/tidegate.dev/v1alpha1/namespaces/shop/scalerecords/orders";

/// A server with one object and its target; watches of the records never begin.
fn shop() -> Fake {
    let fake = Fake::default();
    let trigger =
        json!({ "type": "redis", "metadata": { "address": "redis:6379", "listName": "a", "listLength": "5" } });
    fake.put(
        "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/orders",
        json!({
            "metadata": { "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "scaleTargetRef": { "name": "orders" }, "triggers": [trigger] },
        }),
    );
    let spec = json!({ "replicas": 1, "template": {} });
    fake.put("/apis/apps/v1/namespaces/shop/deployments/orders", json!({ "spec": spec }));
    fake.fail(&format!("GET {RECORDS}*watch="), Fault::Hang, usize::MAX);
    fake
}

async fn next(following: &mut Following) -> Option<Change> {
    timeout(Duration::from_secs(20), following.objects.next()).await.expect("a change within 20 s")
}

/// A follower that has heard of everything.
async fn follower(fake: &Fake) -> Following {
    let mut following = follow(&fake.client(), &Settings::default());
    while !matches!(next(&mut following).await, Some(Change::Synced)) {}
    following
}

#[tokio::test]
async fn what_the_watch_has_not_shown_is_told_before_the_tenure_begins() {
    let fake = shop();
    let Following { mut objects, latest, tasks: _tasks, .. } = follower(&fake).await;
    let (won, tenure) = watch::channel(Tenure::Standby);
    let (mut informed, follow) = latest.follow(tenure);
    let running = tokio::spawn(follow);
    fake.put(RECORD, json!({ "status": { "checkpoint": "{memory}" } }));
    assert!(timeout(Duration::from_millis(300), objects.next()).await.is_err(), "the watch lags");
    // The first list fails.
    fake.fail(&format!("GET {RECORDS}"), Fault::Refuse(500), 1);
    won.send_replace(Tenure::HELD);
    let change = timeout(Duration::from_secs(20), objects.next()).await.expect("a change within 20 s");
    let Some(Change::Stored(_, stored)) = change else { panic!("{change:?}") };
    assert_eq!(stored.checkpoint.0, "{memory}");
    assert_eq!(*informed.borrow_and_update(), Tenure::Standby, "the engine has not asked for more yet");
    assert!(timeout(Duration::from_millis(300), objects.next()).await.is_err());
    timeout(Duration::from_secs(20), informed.wait_for(|tenure| tenure.is_held())).await.unwrap().unwrap();
    running.abort();
}

#[tokio::test]
async fn a_tenure_that_was_never_won_does_not_begin() {
    let fake = shop();
    let following = follower(&fake).await;
    let (won, tenure) = watch::channel(Tenure::Standby);
    let (informed, follow) = following.latest.follow(tenure);
    let before = fake.requests(&format!("GET {RECORDS}")).len();
    drop(won);
    assert!(timeout(Duration::from_millis(300), follow).await.is_err());
    assert_eq!(*informed.borrow(), Tenure::Standby);
    assert_eq!(fake.requests(&format!("GET {RECORDS}")).len(), before);
}
