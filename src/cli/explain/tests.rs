//! Explanations of files, and of a server over a real socket.

use std::path::Path;

use clap::Parser;

use super::*;
use crate::server::fixtures::snapshot;
use crate::server::tests::start;

const ORDERS: &str = "
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: orders, namespace: shop}
spec:
  scaleTargetRef: {name: orders}
  minReplicaCount: 1
  maxReplicaCount: 10
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp:
          policies: [{type: Pods, value: 4, periodSeconds: 15}]
  triggers:
  - type: redis
    metadata: {address: 'redis:6379', listName: jobs, listLength: '100'}
";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
    Line::try_parse_from(std::iter::once(&"explain").chain(words)).map(|line| line.arguments)
}

fn explained(yaml: &str, words: &[&str]) -> Result<Value, ExplainError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("so.yaml");
    std::fs::write(&file, yaml).unwrap();
    explain(parse(&[&["-f", path(&file)], words].concat()).unwrap())
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

/// 100 of 100 is one replica; the policy stands in the same file, or nowhere.
#[test]
fn policies_of_the_same_file_hold() {
    let named = ORDERS.replace("namespace: shop}", "namespace: shop, annotations: {tidegate.dev/policies: calm}}");
    let words = ["--set", "jobs=100", "--replicas", "3"];
    let missing = explained(&named, &words).unwrap();
    let line = " a policy takes no part: ScalingPolicy shop/calm is not in these files";
    assert!(text(&missing).contains(line), "{}", text(&missing));
    let policy = |spec: &str| {
        format!(
            "---\napiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicy\n\
             metadata: {{name: calm, namespace: shop}}\nspec: {spec}\n"
        )
    };
    let observing = explained(&format!("{named}{}", policy("{mode: Observe}")), &words).unwrap();
    assert_eq!(observing["phase"], "Held");
    assert!(!text(&observing).contains("takes no part"), "{}", text(&observing));
    let invalid = explained(&format!("{named}{}", policy("{victims: {onlyIdle: true}}")), &words).unwrap();
    assert!(text(&invalid).contains("spec.victims: is not supported yet"), "{}", text(&invalid));
}

#[test]
fn a_file_is_explained_without_a_server() {
    let words = ["--set", "jobs=790", "--replicas", "3", "--at", "2026-11-25T12:04:31Z"];
    let object = explained(ORDERS, &words).unwrap();
    let text = text(&object);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("shop/orders  Deployment/orders  3 -> 7   12:04:31, next check in 15 s"), "{text}");
    assert!(text.contains("790 / 100") && text.contains("1..10") && text.contains("LIMITED HERE"), "{text}");
    assert_eq!((&object["replicas"], &object["desiredReplicas"]), (&Value::from(3), &Value::from(7)));
}

/// 80 % on every one of 3 pods against 50 %: 1.6 * 3 = 4.8 replicas.
#[cfg(feature = "cluster-metrics")]
#[test]
fn what_each_pod_shows_is_set_as_one_number() {
    let cpu = ORDERS.replace("type: redis", "type: cpu\n    metricType: Utilization");
    let cpu = cpu.replace("{address: 'redis:6379', listName: jobs, listLength: '100'}", "{value: '50'}");
    let object = explained(&cpu, &["--set", "cpu=80", "--replicas", "3"]).unwrap();
    let text = text(&object);
    assert_eq!(object["desiredReplicas"], 5, "{text}");
    assert!(text.contains("\ncpu  ") || text.contains(" cpu  "), "{text}");
    assert!(text.contains("utilization 80 / 50") && !text.contains("cpu cpu"), "{text}");
    // What pods use makes no object active: that says nothing here, where it raises.
    assert!(!text.contains("inactive"), "{text}");
    // Only Ready pods show it: 2 of 4 at 80 %, the others count as idle. (2 * 80 + 2 * 0) / 4 = 40 %, so nothing is raised.
    let object = explained(&cpu, &["--set", "cpu=80", "--replicas", "4", "--ready", "2"]).unwrap();
    assert_eq!(object["desiredReplicas"], 4);
}

#[test]
fn a_failed_or_unset_trigger_lowers_nothing() {
    for words in [&["--replicas", "3"][..], &["--replicas", "3", "--set", "jobs=error:timeout"]] {
        let object = explained(ORDERS, words).unwrap();
        assert_eq!(
            (&object["desiredReplicas"], &object["limitedBy"]),
            (&Value::from(3), &Value::from("FailedTrigger"))
        );
    }
    let object = explained(ORDERS, &["--replicas", "3"]).unwrap();
    assert_eq!(object["triggers"][0]["error"]["message"], "no value was given; add --set jobs=NUMBER");
}

#[test]
fn unknown_triggers_and_objects_name_what_is_allowed() {
    let error = explained(ORDERS, &["--replicas", "3", "--set", "job=1"]).unwrap_err();
    assert_eq!(error.to_string(), "--set job: no trigger is called that; allowed: jobs or s0-redis-jobs or 0");
    assert_eq!(error.exit_code(), 1);
    let error = explained(ORDERS, &["shop/order", "--replicas", "3"]).unwrap_err();
    assert_eq!(error.to_string(), "there is no ScaledObject shop/order; known: shop/orders");
    assert_eq!(error.exit_code(), 1);
    let error = explained("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", &["--replicas", "3"]).unwrap_err();
    assert_eq!(error.to_string(), "there is no ScaledObject in these files");
    let two = format!("{ORDERS}---\n{}", ORDERS.replace("orders", "mails"));
    let error = explained(&two, &["--replicas", "3"]).unwrap_err();
    assert_eq!(error.to_string(), "there are several ScaledObjects; name one of them: shop/orders, shop/mails");
    assert_eq!(error.exit_code(), 2);
    assert_eq!(explained(&two, &["shop/mails", "--replicas", "3"]).unwrap()["name"], "mails");
    let error = explained(ORDERS, &["--replicas", "3", "--ready", "4"]).unwrap_err();
    assert_eq!(error.to_string(), "--ready 4: is more than the 3 pods that exist; raise --existing");
    assert_eq!(error.exit_code(), 2);
    let error = explained("{", &["--replicas", "3"]).unwrap_err();
    assert!(error.reason().starts_with("File"));
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn a_refused_object_is_explained_by_its_findings() {
    let object = explained(&ORDERS.replace("maxReplicaCount: 10", "maxReplicaCount: 0"), &["--replicas", "3"]).unwrap();
    assert_eq!(object["phase"], "Refused");
    assert!(text(&object).contains("cannot be obeyed, so its target keeps its 3 replicas"), "{}", text(&object));
}

#[test]
fn wrong_command_lines_say_what_is_right() {
    let error = |words: &[&str]| parse(words).unwrap_err().to_string();
    assert!(error(&["shop/orders/x"]).contains("is not NAMESPACE/NAME"));
    assert!(error(&["-f", "x.yaml", "--replicas", "3", "--set", "jobs"]).contains("is not TRIGGER=VALUE"));
    assert!(error(&["-f", "x.yaml", "--replicas", "3", "--set", "jobs=-1"]).contains("is neither a number >= 0"));
    assert!(error(&["-f", "x.yaml"]).contains("--replicas <COUNT>"));
    assert!(error(&["shop/orders", "--replicas", "3"]).contains("--filename"));
    assert!(error(&[]).contains("NAMESPACE/NAME"));
    assert_eq!(parse(&["orders"]).unwrap().object, Some(ObjectId::new("default", "orders")));
}

#[test]
fn a_server_is_asked_and_its_errors_are_passed_on() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (address, stop) = runtime.block_on(start(Some(vec![snapshot("orders", 3)])));
    let server = address.to_string();
    let object = explain(parse(&["shop/orders", "--server", &server]).unwrap()).unwrap();
    assert!(text(&object).starts_with("shop/orders  Deployment/orders  stays 3   12:04:31, next check in 15 s\n"));
    let error = explain(parse(&["shop/order", "--server", &format!("http://{server}/")]).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), format!("http://{server}: there is no object shop/order; known: shop/orders"));
    drop(stop);
    drop(runtime);
    let error = explain(parse(&["shop/orders", "--server", &server]).unwrap()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("no server answers at http://{server} (")), "{text}");
    assert!(text.contains("start one with `tidegate local -f DIR`"), "{text}");
    assert_eq!(error.exit_code(), 1);
    let error = explain(parse(&["shop/orders", "--server", "https://x"]).unwrap()).unwrap_err();
    assert_eq!((error.reason(), error.exit_code()), ("ServerAddressMalformed", 2));
}
