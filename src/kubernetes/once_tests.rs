use std::time::Duration;

use serde_json::json;

use super::super::fake::{Fake, Fault};
use super::*;

const SECRET: &str = "/api/v1/namespaces/shop/secrets/redis";
const OBJECTS: &str = "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/orders";

fn glance(fake: &Fake) -> Glance {
    Glance::new(fake.client())
}

fn orders() -> TargetRef {
    let (api_version, kind) = ("apps/v1".into(), "Deployment".into());
    TargetRef { namespace: "shop".into(), api_version, kind, name: "orders".into() }
}

#[tokio::test]
async fn an_object_is_there_absent_or_unseen() {
    let fake = Fake::default();
    fake.put(SECRET, json!({ "apiVersion": "v1", "kind": "Secret", "data": { "password": "YQ==" } }));
    let glance = glance(&fake);
    let found = glance.object(&Kind::Secret, "shop", "redis").await.unwrap().unwrap();
    assert_eq!((&found["kind"], &found["data"]["password"]), (&json!("Secret"), &json!("YQ==")));
    assert_eq!(glance.object(&Kind::Secret, "shop", "other").await, Ok(None));
    fake.fail(&format!("GET {SECRET}"), Fault::Refuse(403), 1);
    let unseen = glance.object(&Kind::Secret, "shop", "redis").await.unwrap_err();
    assert_eq!((unseen.why.as_str(), unseen.silent), ("scripted", false));
    assert!(fake.taken().iter().all(|(line, _)| line.starts_with("GET ")), "nothing is written");
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_silent() {
    let fake = Fake::default();
    fake.fail("GET", Fault::Hang, 1);
    let unseen = glance(&fake).object(&Kind::Secret, "shop", "redis").await.unwrap_err();
    assert_eq!((unseen.why.as_str(), unseen.silent), ("no answer came within 5s", true));
}

#[tokio::test]
async fn each_kind_has_its_place() {
    let fake = Fake::default();
    let glance = glance(&fake);
    let target = Kind::of(&orders());
    let kinds = [
        (Kind::TriggerAuthentication, "/apis/keda.sh/v1alpha1/namespaces/shop/triggerauthentications/a"),
        (Kind::ClusterTriggerAuthentication, "/apis/keda.sh/v1alpha1/clustertriggerauthentications/a"),
        (Kind::ScalingPolicy, "/apis/tidegate.dev/v1alpha1/namespaces/shop/scalingpolicies/a"),
        (Kind::ClusterScalingPolicy, "/apis/tidegate.dev/v1alpha1/clusterscalingpolicies/a"),
        (Kind::ScaledObject, "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/a"),
        (Kind::ScaleRecord, "/apis/tidegate.dev/v1alpha1/namespaces/shop/scalerecords/a"),
        (Kind::Secret, "/api/v1/namespaces/shop/secrets/a"),
        (Kind::ConfigMap, "/api/v1/namespaces/shop/configmaps/a"),
        (target, "/apis/apps/v1/namespaces/shop/deployments/a"),
    ];
    for (kind, path) in kinds {
        assert_eq!(glance.object(&kind, "shop", "a").await, Ok(None));
        let asked: Vec<String> = fake.taken().into_iter().map(|(line, _)| line).collect();
        assert_eq!(asked, [format!("GET {path}")]);
    }
}

#[tokio::test]
async fn all_objects_of_a_namespace_say_what_they_are() {
    let fake = Fake::default();
    for name in ["a", "b"] {
        fake.put(&format!("{OBJECTS}/{name}"), json!({ "spec": { "scaleTargetRef": { "name": name } } }));
    }
    let found = glance(&fake).scaled_objects("shop").await.unwrap();
    let said: Vec<_> = found.iter().map(|object| (&object["kind"], &object["metadata"]["name"])).collect();
    let kind = json!("ScaledObject");
    assert_eq!(said, [(&kind, &json!("a")), (&kind, &json!("b"))]);
}

#[tokio::test]
async fn a_target_shows_its_replicas_and_its_ready_pods() {
    let fake = Fake::default();
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "spec": { "replicas": 3 }, "status": { "replicas": 2, "readyReplicas": 1 },
    });
    fake.put(DEPLOYMENT, deployment);
    let glance = glance(&fake);
    let seen = glance.target(&orders()).await;
    assert_eq!(seen, Ok(TargetState { replicas: 3, existing: 2, ready: Some(1) }));
    fake.delete(DEPLOYMENT);
    let gone = tokio::time::timeout(Duration::from_secs(20), glance.target(&orders())).await.unwrap();
    assert_eq!(gone, Err(TargetError::NotFound("Deployment shop/orders".to_owned())));
}
