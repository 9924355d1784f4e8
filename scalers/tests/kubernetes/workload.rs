//! How many pods a selector matches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_calculator::source::{MetricType, Milli, TriggerSpec};
use tidegate_scalers::{Known, PodPlace, check};

use crate::cluster::Cluster;
use crate::{errors, opened, read, spec};

fn workload(more: &[(&str, &str)]) -> TriggerSpec {
    let mut spec = spec("kubernetes-workload", &[("podSelector", "app=orders"), ("value", "2")]);
    spec.metadata.extend(more.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
    spec
}

/// A cluster with pods on these nodes; an empty name is none.
fn on(nodes: &[&str]) -> Cluster {
    let place = |node: &&str| PodPlace { node: (!node.is_empty()).then(|| (*node).to_owned()) };
    Cluster { selected: Ok(nodes.iter().map(place).collect()), ..Cluster::idle() }
}

#[tokio::test]
async fn pods_are_counted_or_their_nodes() {
    // Two on node a, one on b, one that waits for a node.
    let cluster = on(&["a", "b", "a", ""]);
    assert_eq!(read(&workload(&[]), &cluster).await, Ok((4_000, true)));
    assert_eq!(read(&workload(&[("groupByNode", "true")]), &cluster).await, Ok((2_000, true)));
    assert_eq!(read(&workload(&[("groupByNode", "true")]), &on(&[""])).await, Ok((0, false)));
    assert_eq!(read(&workload(&[]), &on(&[])).await, Ok((0, false)));
}

#[tokio::test]
async fn activation_is_strictly_greater() {
    let cluster = on(&["a", "b", "c"]);
    assert_eq!(read(&workload(&[("activationValue", "3")]), &cluster).await, Ok((3_000, false)));
    assert_eq!(read(&workload(&[("activationValue", "2.9")]), &cluster).await, Ok((3_000, true)));
}

#[tokio::test]
async fn the_pods_of_the_objects_own_namespace_are_asked_for_once_a_read() {
    let cluster = on(&[]);
    read(&workload(&[]), &cluster).await.unwrap();
    let asked = cluster.asked();
    assert!(
        matches!(asked.as_slice(), [one] if one.starts_with("pods of shop by ") && one.contains("orders")),
        "{asked:?}"
    );
}

#[test]
fn the_metric_is_called_as_in_keda() {
    let metric = |spec: &TriggerSpec| check(spec, Known::Nothing, Known::Nothing).metrics.remove(0);
    let plain = metric(&workload(&[("value", "0.5")]));
    assert_eq!((plain.name.as_str(), plain.target), ("s1-workload-shop", Milli(500)));
    let value = metric(&TriggerSpec { metric_type: MetricType::Value, ..workload(&[]) });
    assert_eq!(value.metric_type, MetricType::Value);
}

#[test]
fn a_selector_may_ask_for_sets_and_a_wrong_one_is_named() {
    for good in ["app in (a,b)", "app notin (a),!old", "app!=a", "app"] {
        assert_eq!(errors(&workload(&[("podSelector", good)])), Vec::<String>::new(), "{good}");
    }
    let error = errors(&workload(&[("podSelector", "app in a")])).remove(0);
    assert!(error.starts_with("metadata.podSelector: \"app in a\" is not a label selector: "), "{error}");
    let error = errors(&workload(&[("value", "0")]));
    assert_eq!(error, ["metadata.value: \"0\" is not a number >= 0.001"]);
    let error = errors(&workload(&[("value", "")]));
    assert_eq!(error, ["metadata.value: is required; it is read from metadata"]);
}

#[tokio::test]
async fn a_change_wakes_until_nobody_listens() {
    let cluster = on(&[]);
    let scaler = opened(&workload(&[]), &cluster);
    let count = Arc::new(AtomicUsize::new(0));
    let woken = Arc::clone(&count);
    let watch = scaler
        .watch(Arc::new(move || {
            woken.fetch_add(1, Ordering::SeqCst);
        }))
        .unwrap();
    assert_eq!(cluster.followed(), ["pods of shop"]);
    cluster.followers.lock().unwrap()["pods of shop"]();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    drop(watch);
    assert!(cluster.followed().is_empty());
}
