//! ConfigMaps and Secrets: each followed by its name, and nothing of the others.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_calculator::source::ReadErrorKind;
use tidegate_scalers::{Holder, HolderKind, Surroundings as _};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::kubernetes::fake::Fault;
use crate::kubernetes::surroundings::ClusterSurroundings;

const MAPS: &str = "GET /api/v1/namespaces/shop/configmaps";

fn path(plural: &str, name: &str) -> String {
    format!("/api/v1/namespaces/shop/{plural}/{name}")
}

fn holder(kind: HolderKind, name: &str) -> Holder {
    Holder { namespace: "shop".into(), kind, name: name.to_owned() }
}

fn put(fake: &Fake, name: &str, data: &Value) {
    fake.put(&path("configmaps", name), json!({ "data": data, "binaryData": { "blob": "AAEC" } }));
}

/// What an object says under a key; none if there is no such object or no such key.
async fn says(around: &ClusterSurroundings, holder: &Holder, key: &str) -> Option<String> {
    let texts = around.texts(holder, SOON).await.unwrap()?;
    texts.get(key).map(|text| text.expose().to_owned())
}

async fn until(around: &ClusterSurroundings, holder: &Holder, key: &str, expected: Option<&str>) {
    let begun = Instant::now();
    while says(around, holder, key).await.as_deref() != expected {
        assert!(begun.elapsed() < SOON);
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_object_is_followed_by_its_name_and_costs_no_request_a_read() {
    let fake = Fake::default();
    put(&fake, "plan", &json!({ "visitors": "250" }));
    put(&fake, "other", &json!({ "visitors": "9" }));
    let around = usual(&fake);
    let plan = holder(HolderKind::ConfigMap, "plan");
    assert_eq!(says(&around, &plan, "visitors").await.as_deref(), Some("250"));
    assert_eq!(says(&around, &plan, "none").await, None);
    assert_eq!(says(&around, &plan, "blob").await, None, "binary data is no text");
    for _ in 0..100 {
        says(&around, &plan, "visitors").await;
    }
    let asked = fake.requests(MAPS);
    assert!(
        asked.len() <= 3 && asked.iter().all(|line| line.contains("fieldSelector=metadata.name%3Dplan")),
        "{asked:?}"
    );
    put(&fake, "plan", &json!({ "visitors": "300" }));
    until(&around, &plan, "visitors", Some("300")).await;
    put(&fake, "plan", &Value::Null);
    until(&around, &plan, "visitors", None).await;
    assert!(around.texts(&plan, SOON).await.unwrap().is_some(), "it is there, and empty");
    fake.delete(&path("configmaps", "plan"));
    let begun = Instant::now();
    while around.texts(&plan, SOON).await.unwrap().is_some() {
        assert!(begun.elapsed() < SOON);
        sleep(Duration::from_millis(10)).await;
    }
    put(&fake, "plan", &json!({ "visitors": "1" }));
    until(&around, &plan, "visitors", Some("1")).await;
    assert_eq!(fake.requests(&format!("{MAPS}*limit=")).len(), 1, "listed once");
}

#[tokio::test]
async fn secrets_are_decoded_and_never_shown() {
    let fake = Fake::default();
    // base64 of 250, of hunter2 and of two bytes that are no text.
    let data = json!({ "visitors": "MjUw", "canary": "aHVudGVyMg==", "bytes": "//4=" });
    fake.put(&path("secrets", "plan"), json!({ "data": data, "type": "Opaque" }));
    let around = usual(&fake);
    let plan = holder(HolderKind::Secret, "plan");
    assert_eq!(says(&around, &plan, "visitors").await.as_deref(), Some("250"));
    let texts = around.texts(&plan, SOON).await.unwrap().unwrap();
    assert!(!format!("{texts:?} {around:?}").contains("hunter2"), "{texts:?}");
    assert!(texts["bytes"].expose().parse::<f64>().is_err());
    let map = holder(HolderKind::ConfigMap, "plan");
    assert!(around.texts(&map, SOON).await.unwrap().is_none(), "a ConfigMap of that name is another object");
}

#[tokio::test]
async fn a_change_of_the_texts_wakes() {
    let fake = Fake::default();
    put(&fake, "plan", &json!({ "visitors": "250" }));
    let around = usual(&fake);
    let plan = holder(HolderKind::ConfigMap, "plan");
    let (wake, mut woken) = tokio::sync::mpsc::unbounded_channel();
    let watch = around.follow_texts(&plan, sending(wake));
    timeout(SOON, woken.recv()).await.expect("the first list").unwrap();
    // The same texts in a new version of the object are no news.
    put(&fake, "plan", &json!({ "visitors": "250" }));
    put(&fake, "plan", &json!({ "visitors": "251" }));
    timeout(SOON, woken.recv()).await.expect("a new text").unwrap();
    assert_eq!(says(&around, &plan, "visitors").await.as_deref(), Some("251"));
    fake.delete(&path("configmaps", "plan"));
    timeout(SOON, woken.recv()).await.expect("an object that is gone").unwrap();
    assert!(woken.try_recv().is_err());
    drop(watch);
    put(&fake, "plan", &json!({ "visitors": "1" }));
    until(&around, &plan, "visitors", Some("1")).await;
    assert!(woken.try_recv().is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_cannot_be_seen_is_an_error_and_not_an_absence() {
    let fake = Fake::default();
    put(&fake, "plan", &json!({ "visitors": "250" }));
    fake.fail(MAPS, Fault::Refuse(403), 100);
    let around = usual(&fake);
    let plan = holder(HolderKind::ConfigMap, "plan");
    let error = around.texts(&plan, SOON).await.unwrap_err();
    let text =
        "list of configmaps in namespace shop is forbidden; the role needs it (`tidegate rbac` prints it): scripted";
    assert_eq!((error.kind, error.message.as_str()), (ReadErrorKind::Auth, text));
    fake.mend();
    let begun = Instant::now();
    while around.texts(&plan, SOON).await.is_err() {
        assert!(begun.elapsed() < SOON, "it is tried again by itself");
        sleep(Duration::from_millis(10)).await;
    }
    let hung = Fake::default();
    hung.fail(MAPS, Fault::Hang, 100);
    let error = usual(&hung).texts(&plan, Duration::from_millis(50)).await.unwrap_err();
    let text = "the contents of ConfigMap shop/plan were not listed within the time of a read";
    assert_eq!((error.kind, error.message.as_str()), (ReadErrorKind::Timeout, text));
}

#[tokio::test]
async fn old_texts_are_not_told_when_their_watch_is_broken() {
    let fake = Fake::default();
    put(&fake, "plan", &json!({ "visitors": "250" }));
    let around = usual(&fake);
    let plan = holder(HolderKind::ConfigMap, "plan");
    until(&around, &plan, "visitors", Some("250")).await;
    fake.fail(&format!("{MAPS}*watch="), Fault::Refuse(500), 1_000);
    fake.stall();
    let begun = Instant::now();
    let error = loop {
        match around.texts(&plan, SOON).await {
            Ok(_) => assert!(begun.elapsed() < SOON, "texts of {:?} ago are told", begun.elapsed()),
            Err(error) => break error,
        }
        sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(error.kind, ReadErrorKind::Unavailable);
    let what = "nothing was heard of the contents of ConfigMap shop/plan for more than 2s: watch of";
    assert!(error.message.starts_with(what), "{error}");
    put(&fake, "plan", &json!({ "visitors": "300" }));
    fake.mend();
    let begun = Instant::now();
    loop {
        if let Ok(Some(texts)) = around.texts(&plan, SOON).await
            && texts["visitors"].expose() == "300"
        {
            return;
        }
        assert!(begun.elapsed() < SOON);
        sleep(Duration::from_millis(10)).await;
    }
}
