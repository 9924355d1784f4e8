use std::path::Path;

use clap::Parser;
use tidegate_calculator::source::Problem;
use tidegate_engine::subject::{Finding, Severity};

use super::objects::{place, trigger_of};
use super::*;
use crate::manifests::parse;

/// The command line alone.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

/// A password in a Secret that lacks it, a trigger without its list, and one in order; the address is where nobody listens.
const ORDERS: &str = "\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: orders, namespace: shop}
spec:
  scaleTargetRef: {name: orders}
  maxReplicaCount: 10
  triggers:
    - type: redis
      name: locked
      metadata: {address: \"127.0.0.1:1\", listName: a}
      authenticationRef: {name: redis}
    - type: redis
      metadata: {address: \"127.0.0.1:1\"}
    - type: redis
      metadata: {address: \"127.0.0.1:1\", listName: jobs}
    - type: cpu
      metricType: Utilization
      metadata: {value: \"50\"}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: redis, namespace: shop}
spec: {secretTargetRef: [{parameter: password, name: redis, key: password}]}
";

async fn probed(text: &str, more: &[&str]) -> Result<(String, bool), ProbeError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.yaml");
    std::fs::write(&file, text).unwrap();
    let words = ["probe", "-f", file.to_str().unwrap()].into_iter().chain(more.iter().copied());
    let line = Line::try_parse_from(words).unwrap();
    let (lines, well) = probe(line.arguments).await?;
    Ok((lines::text(&lines), well))
}

#[tokio::test]
async fn a_trigger_that_is_not_in_order_costs_its_own_line() {
    let (text, well) = probed(ORDERS, &[]).await.unwrap();
    let expected = "\
CONFIG       redis  locked  Secret shop/redis does not exist in these files; --cluster looks in a cluster as well
CONFIG       redis  1       triggers[1].metadata.listName: is required; it is read from metadata
UNAVAILABLE  redis  jobs    Redis at 127.0.0.1:1: Connection refused (os error 111)
CONFIG       cpu    3       this trigger asks the cluster's metrics APIs, and there is no cluster here
";
    assert_eq!((text.as_str(), well), (expected, true));
}

#[tokio::test]
async fn one_trigger_is_chosen_by_its_name_what_it_counts_or_its_position() {
    for name in ["jobs", "2"] {
        let (text, _) = probed(ORDERS, &["--trigger", name]).await.unwrap();
        assert!(text.starts_with("UNAVAILABLE  redis  jobs") && text.lines().count() == 1, "{text}");
    }
    let error = probed(ORDERS, &["--trigger", "jbos"]).await.unwrap_err();
    assert_eq!(error.to_string(), "--trigger jbos: no trigger is called that; there are: locked, 1, jobs, 3");
    assert_eq!(error.reason(), "TriggerNotFound");
}

#[tokio::test]
async fn objects_are_chosen_by_name() {
    let (text, _) = probed(ORDERS, &["shop/orders", "--trigger", "jobs"]).await.unwrap();
    assert_eq!(text.lines().count(), 1);
    let error = probed(ORDERS, &["orders"]).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no ScaledObject default/orders; known: shop/orders");
    assert!(probed(ORDERS, &["-n", "shop", "orders"]).await.is_ok());
    let error = probed("a: 1\n", &[]).await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.reason()),
        ("there is no ScaledObject in these files", "ObjectNotFound")
    );
}

#[tokio::test]
async fn an_object_that_cannot_be_obeyed_is_read_all_the_same() {
    let broken = ORDERS.replace("maxReplicaCount: 10", "minReplicaCount: 11\n  maxReplicaCount: 10");
    let (text, well) = probed(&broken, &["--trigger", "jobs"]).await.unwrap();
    assert!(text.starts_with("UNAVAILABLE  redis  jobs") && !well, "{text}");
}

#[test]
fn findings_belong_to_their_trigger() {
    let finding = |path: &str| Finding {
        problem: Problem { path: path.to_owned(), value: None, allowed: String::new() },
        severity: Severity::Error,
    };
    let of = |path: &str| trigger_of(&finding(path));
    assert_eq!([of("triggers[12].metadata.a"), of("triggers[0]"), of("triggers[0][1]")], [Some(12), Some(0), Some(0)]);
    assert_eq!([of("triggers"), of("maxReplicaCount"), of("triggers[x].a"), of("triggers[0]a")], [None; 4]);
}

#[test]
fn a_timeout_is_a_time_within_reason() {
    let of = |text: &str| text.parse::<Timeout>().ok().map(|timeout| timeout.0);
    assert_eq!((of("500ms"), of("10s")), (Some(Duration::from_millis(500)), Some(Duration::from_secs(10))));
    assert_eq!([of("0s"), of("11m"), of("-1s"), of("soon")], [None; 4]);
}

#[test]
fn a_finding_of_the_cluster_names_the_object() {
    let document = &parse(Path::new(world::CLUSTER), ORDERS).unwrap()[0];
    let problem = Problem { path: "maxReplicaCount".to_owned(), value: None, allowed: String::new() };
    let finding = Finding { problem, severity: Severity::Error };
    assert_eq!(place(document, &finding), "ScaledObject shop/orders");
    let document = &parse(Path::new("a.yaml"), ORDERS).unwrap()[0];
    assert_eq!(place(document, &finding), "a.yaml:6:3");
}
