//! Whose suspension it is, what is written over it, and that nothing is written over somebody else's.

use serde_json::{Value, json};

use super::*;
use crate::kubernetes::fake::{Fake, Fault};

const PATH: &str = "/apis/flink.apache.org/v1beta1/namespaces/shop/flinkdeployments/enrich";

fn target() -> TargetRef {
    let api_version = "flink.apache.org/v1beta1".into();
    TargetRef { namespace: "shop".into(), api_version, kind: "FlinkDeployment".into(), name: "enrich".into() }
}

/// A FlinkDeployment of generation 7 with this state, this annotation, and the managers that hold these fields.
fn whole(state: &str, annotation: Option<&str>, managers: &[(&str, Value)]) -> Value {
    let fields =
        |(manager, fields): &(&str, Value)| json!({ "manager": manager, "operation": "Update", "fieldsV1": fields });
    json!({
        "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment",
        "metadata": {
            "name": "enrich", "namespace": "shop", "generation": 7, "resourceVersion": "1",
            "annotations": annotation.map(|value| json!({ SUSPENDED_ANNOTATION: value })),
            "managedFields": managers.iter().map(fields).collect::<Vec<_>>(),
        },
        "spec": { "job": { "state": state, "jarURI": "local:///enrich.jar" }, "taskManager": { "replicas": 4 } },
    })
}

fn object(whole: &Value) -> DynamicObject {
    serde_json::from_value(whole.clone()).unwrap()
}

/// Who holds the state of the job.
fn state() -> Value {
    json!({ "f:spec": { "f:job": { ".": {}, "f:state": {} } } })
}

/// Who holds the annotation.
fn written() -> Value {
    json!({ "f:metadata": { "f:annotations": { ".": {}, format!("f:{SUSPENDED_ANNOTATION}"): {} } } })
}

fn whose(annotation: Option<&str>, managers: &[(&str, Value)]) -> Job {
    job(&object(&whole("suspended", annotation, managers)))
}

#[test]
fn a_suspension_is_ours_if_we_gave_the_state_its_value() {
    let ours = [("kubectl", json!({ "f:spec": { "f:image": {}, "f:job": { "f:jarURI": {} } } })), (MANAGER, state())];
    assert_eq!(whose(Some("7"), &ours), Job::Ours);
    assert_eq!(whose(Some("5"), &ours), Job::Ours, "somebody has changed the image twice since");
    assert_eq!(whose(None, &ours), Job::Theirs, "whoever removes the annotation takes the job over");
    let applied = [("argocd-controller", state()), (MANAGER, state())];
    assert_eq!(whose(Some("7"), &applied), Job::Ours, "a tool has applied what it has found");
    // Somebody else has resumed the job, and a person has suspended it.
    assert_eq!(whose(Some("5"), &[("kubectl-patch", state())]), Job::Theirs);
    assert_eq!(whose(Some("7"), &[("kubectl-patch", state()), (MANAGER, written())]), Job::Theirs);
    // A definition that keeps the block as one piece.
    assert_eq!(whose(Some("5"), &[(MANAGER, json!({ "f:spec": { "f:job": {} } }))]), Job::Ours);
    assert_eq!(whose(Some("5"), &[("kubectl", json!({ "f:spec": { "f:job": {} } }))]), Job::Theirs);
    // One that holds the block holds no field that another one has set.
    assert_eq!(whose(Some("7"), &[("kubectl", json!({ "f:spec": { "f:job": { ".": {} } } }))]), Job::Ours);
    assert_eq!(whose(Some("7"), &[("kubectl", json!({}))]), Job::Ours);
}

#[test]
fn without_the_books_of_the_api_server_only_an_unchanged_spec_is_ours() {
    let lost = [("ancient-changes", state())];
    for managers in [[].as_slice(), lost.as_slice()] {
        assert_eq!(whose(Some("7"), managers), Job::Ours, "{managers:?}");
        assert_eq!(whose(Some("6"), managers), Job::Theirs, "{managers:?}");
        assert_eq!(whose(Some("8"), managers), Job::Theirs, "one from another cluster: {managers:?}");
    }
    assert_eq!(whose(Some("7"), &[("ancient-changes", state()), ("kubectl", state())]), Job::Theirs);
}

#[test]
fn the_value_of_earlier_versions_is_understood() {
    let (ours, by_hand) = ((MANAGER, written()), ("kubectl-annotate", written()));
    assert_eq!(whose(Some("true"), &[(MANAGER, state()), ours.clone()]), Job::Ours);
    assert_eq!(whose(Some("true"), &[]), Job::Ours);
    assert_eq!(whose(Some("true"), &[("kubectl", state()), by_hand]), Job::Ours, "its user hands the job over");
    assert_eq!(whose(Some("true"), &[("kubectl", state()), ours]), Job::Theirs, "it was left over");
    for value in ["", "false", "7 ", "yes"] {
        assert_eq!(whose(Some(value), &[(MANAGER, state())]), Job::Theirs, "{value:?}");
    }
}

#[test]
fn only_a_suspended_job_can_be_somebodys() {
    let of = |pointer: &str, value: Value| {
        let mut whole = whole("running", Some("7"), &[(MANAGER, state())]);
        *whole.pointer_mut(pointer).unwrap() = value;
        job(&object(&whole))
    };
    assert_eq!(of("/spec/job/state", "running".into()), Job::Running);
    assert_eq!(of("/spec/job/state", Value::Null), Job::Running);
    assert_eq!(of("/spec/job", Value::Null), Job::None);
}

#[test]
fn each_write_says_which_suspension_it_makes_and_clears_what_is_left_over() {
    let way = |state: &str, annotation: Option<&str>, managers: &[(&str, Value)], replicas| {
        way(&object(&whole(state, annotation, managers)), replicas)
    };
    let suspended = || json!({ "job": { "state": "suspended" } });
    assert_eq!(way("running", None, &[], 0), Way::Change(suspended(), Some("8".to_owned())));
    assert_eq!(way("running", Some("3"), &[], 0), Way::Change(suspended(), Some("8".to_owned())));
    assert_eq!(way("running", None, &[], 3), Way::Scale);
    assert_eq!(way("running", Some("3"), &[], 3), Way::Change(json!({ "taskManager": { "replicas": 3 } }), None));
    let ours = [(MANAGER, state())];
    let resumed = json!({ "job": { "state": "running" }, "taskManager": { "replicas": 3 } });
    assert_eq!(way("suspended", Some("3"), &ours, 3), Way::Change(resumed, None));
    assert_eq!(way("suspended", Some("3"), &ours, 0), Way::Change(json!({}), Some("3".to_owned())), "it rests already");
    for (annotation, replicas) in [(None, 0), (None, 3), (Some("3"), 0), (Some("3"), 3)] {
        assert_eq!(way("suspended", annotation, &[("kubectl", state())], replicas), Way::Refused);
    }
    let mut session = whole("running", None, &[]);
    session["spec"]["job"] = Value::Null;
    assert_eq!(super::way(&object(&session), 0), Way::Scale);
}

/// The FlinkDeployment behind an API server, and its scale.
fn served(whole: Value) -> (Fake, Api<DynamicObject>) {
    let fake = Fake::default();
    fake.put(PATH, whole);
    let kind = kube::api::GroupVersionKind::gvk(GROUP, "v1beta1", "FlinkDeployment");
    let resource = kube::api::ApiResource::from_gvk_with_plural(&kind, "flinkdeployments");
    let api = Api::namespaced_with(fake.client(), "shop", &resource);
    (fake, api)
}

#[tokio::test]
async fn nothing_is_written_over_a_suspension_by_somebody_else() {
    let (fake, api) = served(whole("suspended", Some("3"), &[("kubectl", state())]));
    let before = fake.at(PATH);
    let shown = read(&api, &target()).await.unwrap();
    let replicas = shown.scale.spec.and_then(|spec| spec.replicas);
    assert_eq!((replicas, shown.suspended.is_some()), (Some(4), true), "the replicas of its spec");
    for replicas in [0, 2, 9] {
        let refused = write(&api, &target(), replicas, "1").await.unwrap().unwrap_err();
        let hold = refused.hold();
        assert_eq!((hold.reason, hold.message.clone()), ("JobSuspended", refused.to_string()));
        for word in [
            "spec.job.state of FlinkDeployment shop/enrich",
            "\"suspended\"",
            "\"running\"",
            "tidegate.dev/suspended: \"true\"",
        ] {
            assert!(hold.message.contains(word), "{word}: {}", hold.message);
        }
        assert!(restore(&api, &target(), replicas).await.unwrap().is_err());
    }
    assert!(fake.requests("PATCH").is_empty() && fake.requests("PUT").is_empty());
    assert_eq!(fake.at(PATH), before);
}

#[tokio::test]
async fn zero_and_back_say_which_suspension_it_was() {
    let (fake, api) = served(whole("running", None, &[]));
    let version = |fake: &Fake| fake.at(PATH)["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let stale = write(&api, &target(), 0, "0").await;
    assert!(matches!(&stale, Err(kube::Error::Api(status)) if status.code == 409), "{stale:?}");
    write(&api, &target(), 0, &version(&fake)).await.unwrap().unwrap();
    let resting = fake.at(PATH);
    assert_eq!(resting["metadata"]["annotations"][SUSPENDED_ANNOTATION], "8");
    assert_eq!(
        (&resting["spec"]["job"]["state"], &resting["spec"]["taskManager"]["replicas"]),
        (&json!("suspended"), &json!(4))
    );
    let shown = read(&api, &target()).await.unwrap();
    assert_eq!((shown.scale.spec.and_then(|spec| spec.replicas), shown.suspended), (Some(0), None));
    write(&api, &target(), 3, &version(&fake)).await.unwrap().unwrap();
    let back = fake.at(PATH);
    assert_eq!(
        (&back["spec"]["job"]["state"], &back["spec"]["taskManager"]["replicas"]),
        (&json!("running"), &json!(3))
    );
    assert_eq!(back["metadata"]["annotations"], json!({}));
}

#[tokio::test]
async fn a_restoration_resumes_what_was_suspended_in_order_to_scale() {
    let (fake, api) = served(whole("suspended", Some("7"), &[(MANAGER, state())]));
    fake.fail("PATCH", Fault::Refuse(409), 2);
    restore(&api, &target(), 2).await.unwrap().unwrap();
    let back = fake.at(PATH);
    assert_eq!(
        (&back["spec"]["job"]["state"], &back["spec"]["taskManager"]["replicas"]),
        (&json!("running"), &json!(2))
    );
    assert_eq!((back["metadata"]["annotations"].clone(), fake.requests("PATCH").len()), (json!({}), 3));
    // Somebody who writes again and again is not outdone.
    let (fake, api) = served(whole("suspended", Some("7"), &[(MANAGER, state())]));
    fake.fail("PATCH", Fault::Refuse(409), 9);
    let conflict = restore(&api, &target(), 2).await;
    assert!(matches!(&conflict, Err(kube::Error::Api(status)) if status.code == 409), "{conflict:?}");
    assert_eq!(fake.requests("PATCH").len(), 4);
}
