//! The whole on an API server in memory.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_engine::ports::{Objects, Resolver, Target};
use tidegate_engine::protocol::{ApplyError, Change, TargetError, Version};
use tidegate_engine::subject::{AuthenticationRef, Hold, References, TargetRef};

use super::super::{Following, follow};
use crate::kubernetes::fake::{Fake, Fault};
use crate::kubernetes::holds::Whom;
use crate::kubernetes::settings::Settings;

pub(super) const OBJECT: &str = "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/orders";
const AUTHENTICATION: &str = "/apis/keda.sh/v1alpha1/namespaces/shop/triggerauthentications/redis";
pub(super) const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/orders";
pub(super) const SECRET: &str = "/api/v1/namespaces/shop/secrets/redis";
const SHELF: &str = "/apis/shop.test/v1/namespaces/shop/shelves/orders";

pub(super) fn target() -> TargetRef {
    TargetRef {
        namespace: "shop".into(),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "orders".into(),
    }
}

pub(super) fn references() -> References {
    let authentication = Some(AuthenticationRef { cluster: false, name: "redis".into() });
    References { target: target(), container: None, authentication }
}

pub(super) fn object(kind: Option<(&str, &str)>) -> Value {
    let (api_version, kind) = kind.unwrap_or(("apps/v1", "Deployment"));
    json!({
        "metadata": { "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": {
            "scaleTargetRef": { "name": "orders", "apiVersion": api_version, "kind": kind },
            "triggers": [{
                "type": "redis",
                "metadata": { "addressFromEnv": "REDIS", "listName": "orders", "listLength": "5" },
                "authenticationRef": { "name": "redis" },
            }],
        },
    })
}

/// A shop with an object, its Deployment, and the password of its source.
pub(super) fn shop() -> Fake {
    let fake = Fake::default();
    fake.put(OBJECT, object(None));
    let key = json!({ "parameter": "password", "name": "redis", "key": "password" });
    fake.put(AUTHENTICATION, json!({ "spec": { "secretTargetRef": [key] } }));
    fake.put(SECRET, json!({ "data": { "password": "b2xk" } }));
    let container = json!({ "name": "c", "env": [{ "name": "REDIS", "value": "redis:6379" }] });
    let spec = json!({ "replicas": 1, "template": { "spec": { "containers": [container] } } });
    fake.put(DEPLOYMENT, json!({ "spec": spec, "status": { "replicas": 1, "readyReplicas": 1 } }));
    fake
}

fn start(fake: &Fake) -> Following {
    follow(&fake.client(), &Settings::default())
}

/// The next change, as one line.
pub(super) async fn told(following: &mut Following) -> String {
    let next = tokio::time::timeout(Duration::from_secs(20), following.objects.next());
    match next.await.expect("a change within 20 s") {
        // What is stored is looked at elsewhere.
        Some(Change::Stored(..)) => Box::pin(told(following)).await,
        Some(Change::Set(subject, _)) => {
            format!(
                "set {}{}",
                subject.id,
                subject.hold.as_ref().map(|hold| format!(" {}", hold.reason)).unwrap_or_default()
            )
        }
        Some(Change::Gone(id)) => format!("gone {id}"),
        Some(Change::ParametersChanged(id)) => format!("parameters {id}"),
        Some(Change::Target(target, Ok(seen))) => format!("{} has {}", target.name, seen.state.replicas),
        Some(Change::Target(_, Err(error))) => error.to_string(),
        Some(other) => format!("{other:?}"),
        None => "the end".to_owned(),
    }
}

async fn synced(fake: &Fake) -> Following {
    let mut following = start(fake);
    assert_eq!(told(&mut following).await, "set shop/orders");
    assert_eq!(told(&mut following).await, "orders has 1");
    assert_eq!(told(&mut following).await, "Synced");
    following
}

#[tokio::test]
async fn objects_come_change_and_go() {
    let fake = shop();
    let mut following = synced(&fake).await;
    assert!(fake.requests("GET /apis/keda.sh").iter().all(|line| line.contains("watch") || line.contains("limit=500")));
    // Our own status is no news; the change after it is.
    let mut value = fake.at(OBJECT);
    value["status"] = json!({ "hpaName": "x" });
    fake.put(OBJECT, value.clone());
    value["metadata"]["generation"] = json!(2);
    value["spec"]["maxReplicaCount"] = json!(7);
    fake.put(OBJECT, value);
    assert_eq!(told(&mut following).await, "set shop/orders");
    assert_eq!(told(&mut following).await, "orders has 1");
    following.holds.set(Whom::All, Hold { reason: "LiveKeda", message: String::new() });
    assert_eq!(told(&mut following).await, "set shop/orders LiveKeda");
    assert_eq!(told(&mut following).await, "orders has 1");
    fake.delete(OBJECT);
    assert_eq!(told(&mut following).await, "gone shop/orders");
    assert!(following.known.is_empty());
}

#[tokio::test]
async fn what_went_while_a_watch_was_too_old_is_found_gone() {
    let fake = shop();
    let mut following = synced(&fake).await;
    fake.expire(DEPLOYMENT);
    assert_eq!(told(&mut following).await, "Deployment shop/orders does not exist");
    fake.expire(OBJECT);
    assert_eq!(told(&mut following).await, "gone shop/orders");
}

#[tokio::test]
async fn a_secret_is_read_once_until_it_moves() {
    let fake = shop();
    let mut following = synced(&fake).await;
    let resolver = following.resolver.clone();
    for _ in 0..3 {
        let parameters = resolver.resolve(&references()).await.unwrap();
        assert_eq!(parameters.auth["password"].expose(), "old");
        assert_eq!(parameters.env["REDIS"].expose(), "redis:6379");
    }
    assert_eq!(fake.requests(&format!("GET {SECRET}")).len(), 1);
    fake.put("/api/v1/namespaces/shop/secrets/other", json!({}));
    fake.put(SECRET, json!({ "data": { "password": "bmV3" } }));
    assert_eq!(told(&mut following).await, "parameters shop/orders");
    assert_eq!(resolver.resolve(&references()).await.unwrap().auth["password"].expose(), "new");
    fake.delete(SECRET);
    assert_eq!(told(&mut following).await, "parameters shop/orders");
    let error = resolver.resolve(&references()).await.unwrap_err();
    assert_eq!(error.message, "Secret shop/redis does not exist");
    let mut value = fake.at(DEPLOYMENT);
    value["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = json!("other:6379");
    fake.put(DEPLOYMENT, value);
    assert_eq!(told(&mut following).await, "parameters shop/orders");
    assert_eq!(fake.requests("GET /api/v1/namespaces/shop/secrets/other").len(), 0, "nobody refers to it");
}

#[tokio::test]
async fn without_the_right_to_watch_secrets_they_are_read_each_time() {
    let fake = shop();
    fake.fail("GET /api/v1/namespaces/shop/secrets?", Fault::Refuse(403), usize::MAX);
    let following = synced(&fake).await;
    for count in 1..3 {
        assert_eq!(following.resolver.resolve(&references()).await.unwrap().auth["password"].expose(), "old");
        assert_eq!(fake.requests(&format!("GET {SECRET}")).len(), count);
    }
    fake.fail(&format!("GET {SECRET}"), Fault::Refuse(403), 1);
    let error = following.resolver.resolve(&references()).await.unwrap_err();
    assert_eq!(error.message, "Secret shop/redis cannot be seen: scripted");
}

#[tokio::test]
async fn a_write_names_the_version_that_was_seen() {
    let fake = shop();
    let following = synced(&fake).await;
    let seen = following.target.refresh(&target()).await.unwrap();
    assert_eq!((seen.state.replicas, seen.state.ready), (1, Some(1)));
    let version = following.target.apply(&target(), 4, &seen.version).await.unwrap();
    assert_eq!(fake.at(DEPLOYMENT)["spec"]["replicas"], 4);
    assert_eq!(fake.at(DEPLOYMENT)["metadata"]["resourceVersion"], *version.0);
    assert_eq!(following.target.apply(&target(), 5, &seen.version).await, Err(ApplyError::Conflict));
    assert_eq!(fake.requests("PUT")[0], format!("PUT {DEPLOYMENT}/scale?&fieldManager=tidegate"));
    fake.delete(DEPLOYMENT);
    let gone = following.target.refresh(&target()).await;
    assert_eq!(gone, Err(TargetError::NotFound("Deployment shop/orders".to_owned())));
    assert!(matches!(following.target.apply(&target(), 5, &version).await, Err(ApplyError::Refused(_))));
}

#[tokio::test]
async fn each_failure_of_a_write_says_whether_it_may_have_been_done() {
    let fake = shop();
    let following = synced(&fake).await;
    let seen = following.target.refresh(&target()).await.unwrap();
    let orders = target();
    let apply = || following.target.apply(&orders, 2, &seen.version);
    fake.fail("PUT", Fault::Refuse(403), 1);
    let text = "update of deployments.apps/scale in namespace shop is forbidden; the role needs it: scripted";
    assert_eq!(apply().await, Err(ApplyError::Refused(text.to_owned())));
    fake.fail("PUT", Fault::Refuse(500), 1);
    assert!(matches!(apply().await, Err(ApplyError::Unknown(_))));
    fake.fail("PUT", Fault::Refuse(429), 1);
    assert!(matches!(apply().await, Err(ApplyError::Refused(_))));
    fake.fail("PUT", Fault::Hang, 1);
    let text = "it is not known whether Deployment shop/orders was scaled: no answer came within 5s";
    assert_eq!(apply().await, Err(ApplyError::Unknown(text.to_owned())));
    fake.fail("PUT", Fault::Ask(429, 1), 1);
    let before = fake.requests("PUT").len();
    assert!(apply().await.is_ok(), "after a moment");
    assert_eq!(fake.requests("PUT").len(), before + 2);
}

#[tokio::test]
async fn any_kind_with_a_scale_can_be_scaled() {
    let fake = shop();
    fake.serve("shop.test/v1", "Shelf", "shelves", true);
    fake.put(SHELF, json!({ "spec": { "replicas": 1 }, "status": { "replicas": 1 } }));
    fake.put(OBJECT, object(Some(("shop.test/v1", "Shelf"))));
    let mut following = start(&fake);
    assert_eq!(told(&mut following).await, "set shop/orders");
    // Its scale is read once its watch has shown it.
    let mut rest = [told(&mut following).await, told(&mut following).await];
    rest.sort();
    assert_eq!(rest[1], "orders has 1");
    let shelf = TargetRef { api_version: "shop.test/v1".into(), kind: "Shelf".into(), ..target() };
    let seen = following.target.refresh(&shelf).await.unwrap();
    following.target.apply(&shelf, 3, &seen.version).await.unwrap();
    loop {
        match told(&mut following).await.as_str() {
            "orders has 3" => break,
            // The first read of its environment.
            "parameters shop/orders" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(
        following.known.get(&tidegate_engine::subject::ObjectId::new("shop", "orders")).unwrap().target_resource,
        "shelves"
    );
}

#[tokio::test]
async fn a_kind_without_a_scale_is_named_and_found_when_it_comes() {
    let fake = shop();
    fake.serve("shop.test/v1", "Crate", "crates", false);
    fake.put(OBJECT, object(Some(("shop.test/v1", "Crate"))));
    let mut following = start(&fake);
    assert_eq!(told(&mut following).await, "set shop/orders");
    assert_eq!(told(&mut following).await, "kind Crate of the API shop.test/v1 has no scale subresource");
    assert_eq!(told(&mut following).await, "Synced");
    let box_kind = TargetRef { api_version: "box.test/v1".into(), kind: "Box".into(), ..target() };
    let missing = TargetError::NotFound("the API box.test/v1 of kind Box".to_owned());
    assert_eq!(following.target.refresh(&box_kind).await, Err(missing));
    let refused = following.target.apply(&box_kind, 1, &Version::default()).await;
    assert_eq!(refused, Err(ApplyError::Refused("the API box.test/v1 of kind Box does not exist".to_owned())));
}

#[tokio::test]
async fn a_kind_that_is_defined_later_is_found_at_once() {
    let fake = shop();
    fake.put(OBJECT, object(Some(("shop.test/v1", "Shelf"))));
    let mut following = start(&fake);
    assert_eq!(told(&mut following).await, "set shop/orders");
    assert_eq!(told(&mut following).await, "the API shop.test/v1 of kind Shelf does not exist");
    let definitions = "GET /apis/apiextensions.k8s.io/v1/customresourcedefinitions*watch=";
    while fake.requests(definitions).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Until then it is looked for a few times, not for ever.
    tokio::time::sleep(Duration::from_secs(16)).await;
    let asked = fake.requests("GET /apis/shop.test/v1").len();
    assert!(asked <= 4, "{asked}");
    fake.put("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/boxes.other.test", json!({}));
    fake.put("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/shelves.shop.test", json!({}));
    // It is served a moment after it is defined.
    tokio::time::sleep(Duration::from_millis(300)).await;
    fake.serve("shop.test/v1", "Shelf", "shelves", true);
    fake.put(SHELF, json!({ "spec": { "replicas": 1 }, "status": { "replicas": 1 } }));
    let served = tokio::time::Instant::now();
    while told(&mut following).await != "orders has 1" {}
    assert!(served.elapsed() < Duration::from_secs(8), "{:?}", served.elapsed());
}
