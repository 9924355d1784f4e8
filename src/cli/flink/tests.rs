use clap::Parser;
use serde_json::json;
use tidegate_calculator::time::{Now, Tick};

use super::site::Remembered;
use super::*;

/// The command line alone.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

const ENRICH: &str = "\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: enrich
  namespace: shop
  annotations: {tidegate.dev/policies: flink-safe}
spec:
  scaleTargetRef: {name: enrich}
  minReplicaCount: 1
  triggers:
    - type: cron
      metadata: {timezone: UTC, start: \"0 8 * * *\", end: \"0 18 * * *\", desiredReplicas: \"2\"}
---
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: flink-safe, namespace: shop}
spec: {hooks: {preScale: [{name: state, flink: {restUrl: \"http://127.0.0.1:1\"}}]}}
";

/// What a command says: its text, or its error with the reason and the exit code.
async fn run(text: &str, words: &[&str]) -> Result<String, (String, &'static str, u8)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("enrich.yaml");
    std::fs::write(&file, text).unwrap();
    let words = words.iter().map(|word| if *word == "FILE" { file.to_str().unwrap() } else { word });
    let line = Line::try_parse_from(std::iter::once("flink").chain(words)).unwrap();
    let done = match line.arguments.command {
        Command::Status(arguments) => status::status(arguments).await,
        Command::Snapshot(arguments) => snapshot::snapshot(arguments).await,
        Command::Restore(arguments) => restore::restore(arguments).await,
    };
    let done = done.map(|(text, code)| {
        assert_eq!(code, 0, "{text}");
        text
    });
    done.map_err(|error| (error.shown(), error.reason(), error.code()))
}

async fn refused(text: &str, words: &[&str]) -> (String, &'static str, u8) {
    run(text, words).await.unwrap_err()
}

#[tokio::test]
async fn something_must_be_named() {
    let (text, reason, code) = refused(ENRICH, &["status"]).await;
    assert!(text.starts_with("there is nothing to look at: name files with -f"), "{text}");
    assert_eq!((reason, code), ("NothingNamed", BAD_INPUT));
    let (text, ..) = refused(ENRICH, &["status", "--rest-url", "http://127.0.0.1:1", "enrich"]).await;
    assert_eq!(
        text,
        "[NAMESPACE/]NAME \"enrich\": is in no file and no cluster; -f names files, --cluster looks in a cluster"
    );
    let (text, reason, _) = refused(ENRICH, &["status", "-f", "FILE", "shop/enrihc"]).await;
    assert_eq!((text.as_str(), reason), ("there is no ScaledObject shop/enrihc; known: shop/enrich", "ObjectNotFound"));
}

#[tokio::test]
async fn an_address_is_looked_at_before_it_is_asked_and_never_repeated() {
    for address in ["ftp://x:canary@y", "http://x/?token=canary", "canary"] {
        let (text, reason, code) = refused(ENRICH, &["status", "--rest-url", address]).await;
        assert_eq!(text, "--rest-url: is not a URL with http:// or https:// and without a query");
        assert_eq!((reason, code), ("OptionInvalid", BAD_INPUT));
    }
}

#[tokio::test]
async fn a_jobmanager_that_does_not_answer_is_named_without_its_login() {
    for words in [&["-f", "FILE"][..], &["--rest-url", "http://me:canary@127.0.0.1:1"]] {
        let (text, reason, code) = refused(ENRICH, &[&["status"], words].concat()).await;
        assert!(text.contains("Flink at http://127.0.0.1:1") && !text.contains("canary"), "{text}");
        assert_eq!((reason, code), ("FlinkUnanswered", UNDONE));
    }
}

#[tokio::test]
async fn an_object_without_a_hook_says_why() {
    let other = ENRICH.replace("tidegate.dev/policies: flink-safe", "a: b");
    let (text, reason, _) = refused(&other, &["status", "-f", "FILE"]).await;
    assert!(
        text.starts_with("ScaledObject shop/enrich has no hook for Flink; the annotation tidegate.dev/policies"),
        "{text}"
    );
    assert_eq!(reason, "NoFlinkHook");
    let missing = ENRICH.replace("{name: flink-safe", "{name: other");
    let (text, ..) = refused(&missing, &["status", "-f", "FILE"]).await;
    assert!(text.contains("ScalingPolicy shop/flink-safe is not in these files"), "{text}");
    let broken = ENRICH.replace("restUrl: \"http://127.0.0.1:1\"", "restUrl: \"ftp://x\"");
    let (text, ..) = refused(&broken, &["status", "-f", "FILE"]).await;
    assert!(text.contains("spec.hooks.preScale[0].flink.restUrl"), "{text}");
}

#[tokio::test]
async fn an_object_that_is_not_in_order_is_not_obeyed() {
    let broken = ENRICH.replace("minReplicaCount: 1", "minReplicaCount: 1\n  maxReplicaCount: zzz");
    for words in [&["snapshot", "-f", "FILE"][..], &["restore", "-f", "FILE", "--job", "enrich", "--empty"]] {
        let (text, reason, code) = refused(&broken, words).await;
        assert!(text.contains("maxReplicaCount"), "{text}");
        assert_eq!((reason, code), ("ObjectInvalid", BAD_INPUT));
    }
}

#[tokio::test]
async fn a_policy_that_takes_no_part_is_said_beside_what_is_seen() {
    let missing = ENRICH.replace("policies: flink-safe", "policies: \"flink-safe,missing\"");
    let (text, reason, code) = refused(&missing, &["status", "-f", "FILE"]).await;
    assert!(text.contains("ScalingPolicy shop/missing is not in these files"), "{text}");
    assert_eq!((reason, code), ("ObjectInvalid", BAD_INPUT));
}

#[tokio::test]
async fn one_of_several_objects_is_chosen_by_its_hook_or_by_name() {
    let second = ENRICH.split("---").next().unwrap().replace("name: enrich\n  namespace", "name: other\n  namespace");
    let second = second.replace("scaleTargetRef: {name: enrich}", "scaleTargetRef: {name: other}");
    let (text, reason, _) = refused(&format!("{ENRICH}---\n{second}"), &["status", "-f", "FILE"]).await;
    assert_eq!(
        (text.as_str(), reason),
        ("several ScaledObjects are there; name one of them: shop/enrich, shop/other", "ObjectAmbiguous")
    );
    let (_, reason, _) =
        refused(&format!("{ENRICH}---\n{second}"), &["status", "-f", "FILE", "-n", "shop", "other"]).await;
    assert_eq!(reason, "FlinkUnanswered");
    let bare = second.replace("tidegate.dev/policies: flink-safe", "a: b");
    let (_, reason, _) = refused(&format!("{ENRICH}---\n{bare}"), &["status", "-f", "FILE"]).await;
    assert_eq!(reason, "FlinkUnanswered", "the other one has no hook");
}

#[tokio::test]
async fn options_that_do_not_fit_are_named() {
    let (text, _, code) =
        refused(ENRICH, &["snapshot", "-f", "FILE", "--savepoint", "--directory", "savepoints"]).await;
    let allowed = "is not an address such as s3://bucket/savepoints, or an absolute path";
    assert_eq!((text, code), (format!("--directory \"savepoints\": {allowed}"), BAD_INPUT));
    let restore = |more: &'static [&'static str]| [&["restore", "-f", "FILE", "--job", "enrich"], more].concat();
    let (text, ..) = refused(ENRICH, &restore(&["--from", "chk-7"])).await;
    assert!(text.starts_with("--from \"chk-7\": is not an address such as "), "{text}");
    let (text, ..) = refused(ENRICH, &restore(&["--from", "s3://b/sp"])).await;
    assert!(text.ends_with("so nothing says how it is run; no entry has one"), "{text}");
    let run = "flink: {restUrl: \"http://127.0.0.1:1\", jobs: {list: [{name: enrich, run: {jar: {name: a.jar}}}]}";
    let with = ENRICH.replace("flink: {restUrl: \"http://127.0.0.1:1\"", run);
    let (text, _, code) = refused(&with, &restore(&[])).await;
    assert!(
        text.starts_with("--from: is needed without --cluster") && text.ends_with("--empty starts without any state"),
        "{text}"
    );
    assert_eq!(code, BAD_INPUT);
    let (text, _, code) =
        refused(ENRICH, &["restore", "--rest-url", "http://127.0.0.1:1", "--job", "a", "--empty"]).await;
    assert!(text.starts_with("--rest-url: alone says not how a job is run"), "{text}");
    assert_eq!(code, BAD_INPUT);
}

#[test]
fn the_command_line_refuses_what_makes_no_sense() {
    let refused = |words: &[&str]| Line::try_parse_from(std::iter::once(&"flink").chain(words)).is_err();
    let id = "0123456789ABCDEF".repeat(2);
    assert!(!refused(&["snapshot", "--id", &id]));
    assert_eq!(id.parse::<CommandId>().unwrap().0.0, id.to_ascii_lowercase());
    for id in ["1", "../../../../../../../../jobs/1234"] {
        assert!(refused(&["snapshot", "--id", id]), "{id}");
    }
    assert!(refused(&["snapshot", "--directory", "s3://a/b"]), "of a checkpoint nobody chooses the place");
    assert!(refused(&["snapshot", "--format", "native"]) && refused(&["snapshot", "--savepoint", "--format", "x"]));
    assert!(refused(&["restore"]) && refused(&["restore", "--job", "a", "--parallelism", "0"]));
    assert!(refused(&["restore", "--job", "a", "--empty", "--from", "s3://b/sp"]));
    assert!(refused(&["status", "--replicas", "0"]) && refused(&[]));
}

#[test]
fn what_cannot_be_read_of_a_record_is_not_taken_for_nothing() {
    let read = |operation: serde_json::Value| {
        let now = Now { tick: Tick(0), wall: jiff::Timestamp::UNIX_EPOCH };
        let left = tidegate_engine::Left::default();
        let mut all = Remembered { now, operation: None, left, annotation: None, recorded: true, unseen: Vec::new() };
        all.read(&json!({ "operation": operation }));
        all
    };
    let good = read(json!({ "aftermath": r#"{"v":1,"parked":[{"name":"enrich","path":"s3://b/sp"}]}"# }));
    assert_eq!((good.unseen.as_slice(), good.left.parked()[0].path.as_deref()), (&[][..], Some("s3://b/sp")));
    let newer = read(json!({ "aftermath": r#"{"v":2}"#, "state": "{}" }));
    assert_eq!(newer.unseen.len(), 2, "{:?}", newer.unseen);
    assert_eq!(newer.unseen[1], "what operations have left behind has version 2; versions up to 1 are known");
}

#[test]
fn ids_are_never_the_same_twice() {
    assert_ne!(id_or_new(None), id_or_new(None));
    assert_eq!(id_or_new(None).0.len(), 32);
}
