//! What a stream tells when its watch breaks off and goes on.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::kubernetes::watch::directory::Place;

type Metadata = PartialObjectMeta<View<(), ()>>;

fn metadata(version: &str) -> Metadata {
    let text = json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": { "name": "redis", "namespace": "shop", "resourceVersion": version },
    });
    serde_json::from_value(text).unwrap()
}

fn watch(what: What) -> Watch {
    Watch { resource: resource(&what), what, namespace: Some("shop".into()), labels: None }
}

fn secrets() -> What {
    What::Holders(Place { of: KeysOf::Secret, namespace: "shop".into() })
}

/// Everything that is told about these words of a watch, one word each.
async fn told<K: Resource + Told + Send + 'static>(
    what: What,
    words: Vec<watcher::Result<watcher::Event<K>>>,
) -> Vec<&'static str> {
    let (events, mut inbox) = mpsc::channel(64);
    watch(what).follow(Box::pin(futures::stream::iter(words)), events).await;
    let mut told = Vec::new();
    while let Ok(event) = inbox.try_recv() {
        told.push(match event {
            Event::Listed(..) => "listed",
            Event::Failed(..) => "failed",
            Event::Unseen(_, _, blind) => match blind.cause {
                Cause::NotServed => "not served",
                Cause::Forbidden => "forbidden",
                Cause::Unavailable => "unseen",
            },
            Event::Holder(_, _, Some(_)) => "there",
            Event::Holder(_, _, None) => "gone",
            Event::Leaving(_) => "leaving",
            Event::Authentication(..) => "authentication",
            _ => "else",
        });
    }
    told
}

#[tokio::test]
async fn a_watch_that_goes_on_after_a_failure_is_told_before_its_next_change() {
    let failure = || Err(watcher::Error::WatchStartFailed(kube::Error::Service("no connection".into())));
    let words = vec![
        Ok(watcher::Event::Init),
        Ok(watcher::Event::InitDone),
        failure(),
        Ok(watcher::Event::Apply(metadata("2"))),
        Ok(watcher::Event::Apply(metadata("3"))),
        failure(),
        Ok(watcher::Event::Delete(metadata("4"))),
    ];
    let began = tokio::time::Instant::now();
    let told = told(secrets(), words).await;
    assert_eq!(told, ["listed", "failed", "listed", "there", "there", "failed", "listed", "gone"]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_new_list_after_a_failure_is_told_once() {
    let words = vec![
        Ok(watcher::Event::Init),
        Err(watcher::Error::NoResourceVersion),
        Ok(watcher::Event::Init),
        Ok(watcher::Event::InitApply(metadata("2"))),
        Ok(watcher::Event::InitDone),
    ];
    assert_eq!(told(secrets(), words).await, ["failed", "there", "listed"]);
}

#[tokio::test]
async fn policies_that_cannot_be_seen_are_told_with_the_kind_of_the_failure() {
    let answered = |code: u16| {
        let status = kube::core::Status { code, ..kube::core::Status::default() };
        Err(watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status))))
    };
    let silent = Err(watcher::Error::InitialListFailed(kube::Error::Service("no connection".into())));
    let words: Vec<watcher::Result<watcher::Event<Loose>>> =
        vec![answered(404), answered(403), answered(429), answered(500), silent];
    let expected = ["not served", "forbidden", "unseen", "unseen", "unseen"];
    assert_eq!(told(What::Policies, words).await, expected);
}

#[tokio::test]
async fn an_authentication_that_waits_for_keda_is_told() {
    let with = |deleted: bool, finalizer: &str| {
        let mut text = json!({ "metadata": { "name": "redis", "namespace": "shop", "finalizers": [finalizer] } });
        if deleted {
            text["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        Ok(watcher::Event::Apply(serde_json::from_value::<Loose>(text).unwrap()))
    };
    let words = || vec![with(false, "finalizer.keda.sh"), with(true, "else/where"), with(true, "finalizer.keda.sh")];
    let expected = ["authentication", "authentication", "leaving", "authentication"];
    assert_eq!(told(What::Authentications, words()).await, expected);
    assert_eq!(told(What::ClusterAuthentications, words()).await, expected);
    assert_eq!(told(What::Objects, words()).await, ["else", "else", "else"]);
}
