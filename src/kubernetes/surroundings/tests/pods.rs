//! Pods: by the selector of the target, in pages, followed, and never old ones.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_calculator::hpa::pods::{Container, Phase, Pod, Readiness};
use tidegate_calculator::hpa::selector::Selector;
use tidegate_calculator::source::{ReadErrorKind, TargetRef};
use tidegate_scalers::{Standing, Surroundings as _};
use tokio::time::{Instant, sleep};

use super::*;
use crate::kubernetes::fake::Fault;
use crate::kubernetes::surroundings::ClusterSurroundings;

const LISTS: &str = "GET /api/v1/namespaces/shop/pods*limit=";
const WATCHES: &str = "GET /api/v1/namespaces/shop/pods*watch=";

async fn names(around: &ClusterSurroundings, target: &str) -> Vec<String> {
    let pods = around.pods(&deployment(target), SOON).await.unwrap();
    let mut names: Vec<String> = pods.into_iter().map(|pod| pod.name).collect();
    names.sort();
    names
}

/// Waits until the pods of `orders` are these.
async fn until(around: &ClusterSurroundings, expected: &[&str]) {
    let begun = Instant::now();
    loop {
        let names = names(around, "orders").await;
        if names == expected {
            return;
        }
        assert!(begun.elapsed() < SOON, "{names:?} instead of {expected:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn error(around: &ClusterSurroundings, target: &TargetRef, deadline: Duration) -> (ReadErrorKind, String) {
    let error = around.pods(target, deadline).await.unwrap_err();
    (error.kind, error.message)
}

#[tokio::test]
async fn pods_are_those_that_the_selector_of_the_scale_matches() {
    let fake = shop();
    let around = usual(&fake);
    assert_eq!(names(&around, "orders").await, ["orders-a", "orders-b"]);
    assert_eq!(names(&around, "bills").await, ["bills-a"]);
    assert_eq!(names(&around, "bills").await, ["bills-a"]);
    assert_eq!(fake.requests(LISTS).len(), 1, "one list serves the namespace");
    assert_eq!(fake.requests("GET /apis/apps/v1/namespaces/shop/deployments/bills/scale").len(), 1);
}

#[tokio::test]
async fn a_pod_is_what_a_horizontal_pod_autoscaler_looks_at() {
    let fake = shop();
    let conditions = json!([
        { "type": "PodScheduled", "status": "True", "lastTransitionTime": ago(90) },
        { "type": "Ready", "status": "False", "lastTransitionTime": ago(20) },
    ]);
    let requests = |cpu: &str| json!({ "requests": { "cpu": cpu, "memory": "1Ki" } });
    let pod = json!({
        "metadata": {
            "labels": { "app": "bills" }, "deletionTimestamp": ago(1), "managedFields": [{ "odd": true }],
        },
        "spec": {
            "containers": [{ "name": "main", "resources": requests("0.25") }, { "name": "bare" }],
            "initContainers": [
                { "name": "mesh", "restartPolicy": "Always", "resources": requests("1n") },
                { "name": "setup", "resources": { "limits": { "cpu": "1" } } },
            ],
            "resources": { "requests": { "cpu": "2" } },
        },
        "status": { "phase": "Pending", "startTime": ago(80), "conditions": conditions },
    });
    fake.put(&pod_path("bills-a"), pod);
    let pods = usual(&fake).pods(&deployment("bills"), SOON).await.unwrap();
    let [pod] = pods.as_slice() else { panic!("{pods:?}") };
    assert_eq!((pod.name.as_str(), pod.phase, pod.deleted), ("bills-a", Phase::Pending, true));
    assert!(pod.started.is_some_and(|at| is_ago(at, 80)), "{pod:?}");
    let Some(Readiness { status: Some(false), since }) = pod.ready else { panic!("{pod:?}") };
    assert!(is_ago(since, 20), "{pod:?}");
    let (cpu, memory) = ("cpu".to_owned(), "memory".to_owned());
    let container = |name: &str, requests: &[(&String, i64)], restartable: bool| Container {
        name: name.to_owned(),
        requests: requests.iter().map(|(resource, milli)| ((*resource).clone(), *milli)).collect(),
        restartable,
    };
    // 1Ki is 1024, so 1,024,000 thousandths; a billionth of a cpu is rounded up to a thousandth.
    let main = container("main", &[(&cpu, 250), (&memory, 1_024_000)], false);
    assert_eq!(pod.containers, [main, container("bare", &[], false)]);
    let mesh = container("mesh", &[(&cpu, 1), (&memory, 1_024_000)], true);
    assert_eq!(pod.init_containers, [mesh, container("setup", &[], false)]);
    assert_eq!(pod.requests.get(&cpu), Some(&2_000));
}

#[tokio::test]
async fn an_odd_pod_costs_itself_and_what_is_unknown_is_not_ready() {
    let fake = shop();
    let requests = json!({ "requests": { "cpu": "much", "memory": "1" } });
    fake.put(
        &pod_path("bills-a"),
        json!({
            "metadata": { "labels": { "app": "bills" } },
            "spec": { "containers": [{ "name": "main", "resources": requests }] },
            "status": { "phase": "Dancing", "conditions": [{ "type": "Ready", "status": "Unknown" }] },
        }),
    );
    fake.put(&pod_path("bare"), json!({ "metadata": { "labels": { "app": "bills" } } }));
    let mut pods = usual(&fake).pods(&deployment("bills"), SOON).await.unwrap();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    let [bare, odd] = pods.as_slice() else { panic!("{pods:?}") };
    let (phase, started, ready) = (bare.phase, bare.started, bare.ready);
    assert_eq!((phase, started, ready), (Phase::Unknown, None, None));
    assert_eq!((odd.phase, odd.ready.and_then(|ready| ready.status)), (Phase::Unknown, None));
    let requested: Vec<&String> = odd.containers[0].requests.keys().collect();
    assert_eq!(requested, ["memory"], "a request that is no quantity is no request");
    assert!(pods.iter().all(|pod: &Pod| !pod.is_ready()));
}

#[tokio::test]
async fn many_pods_are_listed_in_pages() {
    let fake = shop();
    for index in 0..1_100 {
        put_pod(&fake, &format!("orders-{index:04}"), "orders");
    }
    let around = usual(&fake);
    assert_eq!(names(&around, "orders").await.len(), 1_102);
    assert_eq!(fake.requests(LISTS).len(), 3, "1,103 pods are 500, 500 and 103");
}

#[tokio::test]
async fn what_changes_is_followed() {
    let fake = shop();
    let around = usual(&fake);
    until(&around, &["orders-a", "orders-b"]).await;
    put_pod(&fake, "orders-c", "orders");
    until(&around, &["orders-a", "orders-b", "orders-c"]).await;
    fake.delete(&pod_path("orders-a"));
    until(&around, &["orders-b", "orders-c"]).await;
    put_pod(&fake, "orders-b", "bills");
    until(&around, &["orders-c"]).await;
    fake.expire(&pod_path("orders-c"));
    until(&around, &[]).await;
    assert_eq!(fake.requests(LISTS).len(), 2, "the second one because the version was too old");
}

#[tokio::test]
async fn the_first_list_is_waited_for_until_the_deadline() {
    let fake = shop();
    fake.fail(LISTS, Fault::Late(Duration::from_millis(300)), 1);
    let around = usual(&fake);
    let (kind, what) = error(&around, &deployment("orders"), Duration::from_millis(50)).await;
    let text = "the pods of namespace shop were not listed within the time of a read";
    assert_eq!((kind, what.as_str()), (ReadErrorKind::Timeout, text));
    assert_eq!(names(&around, "orders").await, ["orders-a", "orders-b"], "the same list answers");
    assert_eq!(fake.requests(LISTS).len(), 1);
}

#[tokio::test]
async fn a_list_that_is_refused_is_an_error_that_names_the_right() {
    let fake = shop();
    fake.fail(LISTS, Fault::Refuse(403), 100);
    let around = usual(&fake);
    let (kind, what) = error(&around, &deployment("orders"), SOON).await;
    let text = "list of pods in namespace shop is forbidden; the role needs it (`tidegate rbac` prints it): scripted";
    assert_eq!((kind, what.as_str()), (ReadErrorKind::Auth, text));
    fake.mend();
    let begun = Instant::now();
    while around.pods(&deployment("orders"), SOON).await.is_err() {
        assert!(begun.elapsed() < SOON, "it is tried again by itself");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn pods_are_not_told_when_their_watch_is_broken_and_are_told_again_when_it_works() {
    let fake = shop();
    let around = usual(&fake);
    until(&around, &["orders-a", "orders-b"]).await;
    fake.fail(WATCHES, Fault::Refuse(500), 1_000);
    fake.stall();
    let begun = Instant::now();
    let (kind, what) = loop {
        match around.pods(&deployment("orders"), SOON).await {
            Ok(_) => assert!(begun.elapsed() < SOON, "pods of {:?} ago are told", begun.elapsed()),
            Err(error) => break (error.kind, error.message),
        }
        sleep(Duration::from_millis(10)).await;
    };
    // The last sign of life came some 250 ms before the fault began.
    assert!(begun.elapsed() > TIMES.stale / 2, "{:?}", begun.elapsed());
    assert_eq!(kind, ReadErrorKind::Unavailable, "{what}");
    assert!(what.starts_with("nothing was heard of the pods of namespace shop for more than 2s: watch of"), "{what}");
    fake.delete(&pod_path("orders-a"));
    fake.mend();
    let begun = Instant::now();
    loop {
        if let Ok(pods) = around.pods(&deployment("orders"), SOON).await {
            // A watch that has begun tells in a moment what has changed meanwhile.
            if pods.len() == 1 {
                break;
            }
        }
        assert!(begun.elapsed() < SOON);
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_namespace_in_which_nothing_happens_stays_known() {
    let fake = shop();
    let around = usual(&fake);
    let begun = Instant::now();
    while begun.elapsed() < 2 * TIMES.stale {
        assert_eq!(names(&around, "orders").await, ["orders-a", "orders-b"]);
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(fake.requests(LISTS).len(), 1);
}

#[tokio::test]
async fn a_namespace_is_given_up_when_nobody_asks_and_begun_again() {
    let fake = shop();
    let around = around(&fake, Times { idle: Duration::from_millis(300), ..TIMES }, LIFE);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(600) {
        assert_eq!(names(&around, "orders").await.len(), 2);
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((around.pods.watched(), fake.requests(LISTS).len()), (1, 1), "it lives as long as somebody asks");
    let begun = Instant::now();
    while around.pods.watched() > 0 {
        assert!(begun.elapsed() < SOON);
        sleep(Duration::from_millis(20)).await;
    }
    fake.taken();
    sleep(Duration::from_millis(300)).await;
    assert!(fake.requests("GET").is_empty(), "nothing is watched");
    fake.delete(&pod_path("orders-a"));
    assert_eq!(names(&around, "orders").await, ["orders-b"]);
    assert_eq!(fake.requests(LISTS).len(), 1);
}

#[tokio::test]
async fn a_target_without_a_selector_is_an_error_as_for_a_horizontal_pod_autoscaler() {
    let fake = shop();
    let with = |selector: Value| json!({ "spec": {}, "status": { "replicas": 1, "selector": selector } });
    let path = |name: &str| format!("/apis/apps/v1/namespaces/shop/deployments/{name}");
    fake.put(&path("bare"), with(Value::Null));
    fake.put(&path("odd"), with(json!("a=b,=c")));
    let around = usual(&fake);
    let (kind, what) = error(&around, &deployment("bare"), SOON).await;
    let text = "the scale of Deployment shop/bare: selector is required";
    assert_eq!((kind, what.as_str()), (ReadErrorKind::Config, text));
    let (kind, what) = error(&around, &deployment("odd"), SOON).await;
    assert!(kind == ReadErrorKind::Config && what.contains("\"a=b,=c\" is not a label selector"), "{what}");
    let (kind, what) = error(&around, &deployment("none"), SOON).await;
    assert_eq!((kind, what.as_str()), (ReadErrorKind::Unavailable, "Deployment shop/none does not exist"));
    fake.fail("GET /apis/apps/v1/namespaces/shop/deployments/orders/scale", Fault::Refuse(403), 1);
    let (kind, what) = error(&around, &deployment("orders"), SOON).await;
    assert!(
        kind == ReadErrorKind::Auth && what.starts_with("get of deployments.apps/scale in namespace shop"),
        "{what}"
    );
}

#[tokio::test]
async fn a_kind_of_somebody_elses_says_its_selector_in_its_scale() {
    let fake = shop();
    fake.serve("shop.test/v1", "Shelf", "shelves", true);
    let status = json!({ "replicas": 2, "selector": "app in (orders)" });
    fake.put("/apis/shop.test/v1/namespaces/shop/shelves/top", json!({ "spec": {}, "status": status }));
    let target = TargetRef { api_version: "shop.test/v1".into(), kind: "Shelf".into(), ..deployment("top") };
    assert_eq!(usual(&fake).pods(&target, SOON).await.unwrap().len(), 2);
}

/// The nodes of the pods that a selector matches, sorted; an empty name is none.
async fn nodes(around: &ClusterSurroundings, selector: &str) -> Vec<String> {
    let selector = Selector::parse(selector).unwrap();
    let pods = around.pods_selected(&"shop".into(), &selector, SOON).await.unwrap();
    let mut nodes: Vec<String> = pods.into_iter().map(|pod| pod.node.unwrap_or_default()).collect();
    nodes.sort();
    nodes
}

/// A pod of `orders` in this phase, on this node.
fn placed(phase: &str, node: Option<&str>) -> Value {
    let mut pod = pod("orders");
    pod["status"]["phase"] = json!(phase);
    pod["spec"]["nodeName"] = json!(node.unwrap_or_default());
    pod
}

#[tokio::test]
async fn pods_that_have_not_ended_are_found_by_any_selector() {
    let fake = shop();
    fake.put(&pod_path("orders-a"), placed("Running", Some("n1")));
    fake.put(&pod_path("orders-b"), placed("Pending", None));
    fake.put(&pod_path("orders-c"), placed("Succeeded", Some("n1")));
    fake.put(&pod_path("orders-d"), placed("Failed", Some("n1")));
    let mut leaving = placed("Running", Some("n2"));
    leaving["metadata"]["deletionTimestamp"] = json!(ago(1));
    fake.put(&pod_path("orders-e"), leaving);
    let around = usual(&fake);
    for selector in ["app=orders", "app in (orders,none)", "app,app!=bills", "app notin (bills),!old"] {
        assert_eq!(nodes(&around, selector).await, ["", "n1", "n2"], "{selector}");
    }
    assert_eq!(nodes(&around, "app=none").await, [""; 0]);
    assert_eq!(fake.requests(LISTS).len(), 1, "one list for all of them");
    fake.fail(LISTS, Fault::Refuse(403), 100);
    let error = usual(&fake).pods_selected(&"shop".into(), &Selector::parse("a").unwrap(), SOON).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Auth);
}

#[tokio::test]
async fn a_change_of_the_count_wakes_and_no_other_does() {
    let fake = shop();
    let around = usual(&fake);
    let (wake, woken) = tokio::sync::mpsc::unbounded_channel();
    let watch = around.follow_pods(&"shop".into(), &Selector::parse("app=orders").unwrap(), sending(wake));
    let mut woken = woken;
    let mut wakes = async |why: &str| {
        tokio::time::timeout(SOON, woken.recv()).await.expect(why).unwrap();
    };
    wakes("the first list").await;
    // Neither a pod of somebody else nor a change of readiness counts; what comes after them does.
    put_pod(&fake, "bills-b", "bills");
    let mut unready = pod("orders");
    unready["status"]["conditions"][0]["status"] = json!("False");
    fake.put(&pod_path("orders-a"), unready);
    fake.put(&pod_path("orders-a"), placed("Running", Some("n1")));
    wakes("another node").await;
    assert_eq!(nodes(&around, "app=orders").await, ["", "n1"], "it was seen before the wake");
    put_pod(&fake, "orders-c", "orders");
    wakes("one more").await;
    fake.put(&pod_path("orders-c"), placed("Failed", None));
    wakes("one that has ended").await;
    put_pod(&fake, "orders-b", "bills");
    wakes("one that is another's now").await;
    fake.delete(&pod_path("orders-a"));
    wakes("one that is gone").await;
    assert_eq!(nodes(&around, "app=orders").await, [""; 0]);
    assert!(woken.try_recv().is_err(), "and nothing else");
    drop(watch);
    put_pod(&fake, "orders-x", "orders");
    while nodes(&around, "app=orders").await.is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(woken.try_recv().is_err(), "nobody listens any more");
}

#[tokio::test]
async fn whoever_waits_for_changes_keeps_the_namespace() {
    let fake = shop();
    let around = around(&fake, Times { idle: Duration::from_millis(200), ..TIMES }, LIFE);
    let selector = Selector::parse("app=orders").unwrap();
    let watch = around.follow_pods(&"shop".into(), &selector, Arc::new(|| {}));
    sleep(Duration::from_millis(700)).await;
    assert_eq!(around.pods.watched(), 1);
    drop(watch);
    let begun = Instant::now();
    while around.pods.watched() > 0 {
        assert!(begun.elapsed() < SOON);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn pods_are_told_with_their_addresses_and_how_they_stand() {
    let fake = shop();
    let running = |started: i64, ready: (&str, i64), state: &str| {
        let ready = json!({ "type": "Ready", "status": ready.0, "lastTransitionTime": ago(ready.1) });
        let mut pod = pod("orders");
        pod["status"] = json!({
            "phase": "Running", "startTime": ago(started), "podIP": "10.0.0.9", "conditions": [ready],
            "containerStatuses": [{ "name": "main", "state": { state: {} } }],
        });
        pod
    };
    fake.put(&pod_path("orders-a"), running(90, ("True", 60), "running"));
    fake.put(&pod_path("orders-b"), running(90, ("False", 20), "running"));
    fake.put(&pod_path("orders-c"), running(90, ("False", 90), "running"));
    fake.put(&pod_path("orders-d"), running(90, ("False", 20), "waiting"));
    fake.put(&pod_path("orders-e"), placed("Pending", None));
    fake.put(&pod_path("orders-f"), placed("Failed", None));
    let mut leaving = running(90, ("True", 60), "running");
    leaving["metadata"]["deletionTimestamp"] = json!(ago(1));
    fake.put(&pod_path("orders-g"), leaving);
    let around = usual(&fake);
    let mut told = around.addresses(&deployment("orders"), SOON).await.unwrap();
    told.sort_by(|a, b| a.name.cmp(&b.name));
    let told: Vec<(&str, bool, Standing)> =
        told.iter().map(|pod| (pod.name.as_str(), pod.ip.is_some(), pod.standing)).collect();
    let expected = [
        ("orders-a", true, Standing::Serving),
        ("orders-b", true, Standing::Serving),
        ("orders-c", true, Standing::Starting),
        ("orders-d", true, Standing::Still),
        ("orders-e", false, Standing::Still),
        ("orders-g", true, Standing::Leaving),
    ];
    assert_eq!(told, expected, "and not the one that has ended");
}
