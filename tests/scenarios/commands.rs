//! The commands that need no server: validate, explain, triggers, crds.

use std::path::Path;

use libtest_mimic::Trial;

use serde_json::{Value, json};

use crate::harness::manifests::Manifests;
use crate::harness::tidegate::{command, printed, run};
use crate::harness::trial;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("commands::crds_prints_what_is_in_git", crds),
        trial("commands::triggers_prints_the_pages_in_git", trigger_pages),
        trial("commands::triggers_explains_a_type", triggers),
        trial("commands::validate_prints_text_or_json_and_says_it_in_its_exit_code", validate),
        trial("commands::explain_needs_no_server", explain),
        trial("commands::convert_prints_scaled_objects_and_names_what_it_cannot_convert", convert),
        trial("commands::the_examples_are_valid", examples),
    ]
}

/// A file of this repository.
fn stored(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a command that must succeed prints.
fn prints(arguments: &[&str]) -> String {
    let (output, errors, code) = printed(&run(arguments));
    assert_eq!((code, errors.as_str()), (Some(0), ""), "tidegate {arguments:?} printed\n{output}");
    output
}

fn crds() {
    let all = prints(&["crds"]);
    assert_eq!(
        all.matches("\nkind: CustomResourceDefinition\n").count(),
        7,
        "KEDA's four, ScaleRecord and both kinds of policy"
    );
    for name in ["keda.sh_scaledobjects", "tidegate.dev_scalerecords", "tidegate.dev_clusterscalingpolicies"] {
        assert_eq!(prints(&["crds", name]), stored(&format!("crds/yaml/{name}.yaml")));
    }
}

fn trigger_pages() {
    assert_eq!(prints(&["triggers", "redis", "--page"]), stored("docs/triggers/redis.md"));
}

fn triggers() {
    assert!(prints(&["triggers"]).lines().any(|line| line.starts_with("redis ")));
    let about = prints(&["triggers", "redis"]);
    assert!(about.contains("listLength") && about.contains("default 5"), "{about}");
    let schema: Value = serde_json::from_str(&prints(&["triggers", "redis", "--schema"])).unwrap();
    assert_eq!(schema["properties"]["listLength"]["default"], "5");
    assert_eq!(schema["required"], json!(["listName"]));

    let (_, errors, code) = printed(&run(&["triggers", "carrier-pigeon"]));
    assert_ne!(code, Some(0));
    assert!(errors.contains("carrier-pigeon") && errors.contains("redis"), "{errors}");
}

/// An object that is well but for the letter O in a number, and the text that is well.
const TYPO: &str = "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: orders
  namespace: shop
spec:
  scaleTargetRef:
    name: orders
  maxReplicaCount: 10
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp:
          policies: [{type: Pods, value: 4, periodSeconds: 15}]
  triggers:
    - type: redis
      name: jobs
      metadata:
        address: redis:6379
        listName: orders
        listLength: \"1O0\"
";

fn validate() {
    let manifests = Manifests::new();
    manifests.write("orders.yaml", TYPO);
    let file = manifests.folder().join("orders.yaml");
    let file = file.to_str().unwrap();
    let (text, _, code) = printed(&run(&["validate", "-f", file]));
    assert_eq!(code, Some(1), "{text}");
    let finding = format!("{file}:21:9 error triggers[0].metadata.listLength: \"1O0\" is not an integer >= 0");
    assert!(text.lines().any(|line| line == finding), "{finding} is not in\n{text}");

    let (text, _, code) = printed(&run(&["validate", "-f", file, "-o", "json"]));
    assert_eq!(code, Some(1), "{text}");
    let findings: Vec<Value> = serde_json::from_str(&text).unwrap();
    let error = findings.iter().find(|finding| finding["severity"] == "error").unwrap();
    assert_eq!(
        error,
        &json!({
            "file": file, "line": 21, "column": 9, "object": "ScaledObject shop/orders",
            "path": "triggers[0].metadata.listLength", "value": "1O0", "allowed": "is not an integer >= 0", "severity": "error",
        })
    );

    manifests.write("orders.yaml", &TYPO.replace("1O0", "100"));
    let (text, errors, code) = printed(&run(&["validate", "-f", file]));
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    assert!(text.ends_with("0 errors, 1 warning\n"), "the Deployment is in none of these files:\n{text}");

    let (_, errors, code) = printed(&run(&["validate", "-f", "/nowhere/orders.yaml"]));
    assert_eq!(code, Some(2), "a path that cannot be read is no finding: {errors}");
    let (_, errors, code) = printed(&run(&["validate"]));
    assert_eq!(code, Some(2), "{errors}");
}

/// 790 items at 100 a replica are 8 replicas; 4 pods a quarter of a minute let through 7 for now.
fn explain() {
    let manifests = Manifests::new();
    manifests.write("orders.yaml", &TYPO.replace("1O0", "100"));
    let file = manifests.folder().join("orders.yaml");
    let file = file.to_str().unwrap();
    let what_if = ["explain", "-f", file, "--at", "2026-11-25T12:04:31Z", "--replicas", "3"];
    let (text, errors, code) = printed(&command(&what_if).args(["--set", "jobs=790"]).output().unwrap());
    assert_eq!(code, Some(0), "{errors}");
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0].join(" "), "shop/orders Deployment/orders 3 -> 7 12:04:31, next check in 15 s");
    assert_eq!(words[1].join(" "), "redis jobs backlog 790 / 100 a replica -> 8 read 0 s ago");
    assert_eq!(words[2].join(" "), "bounds 1..10 -> 8");
    assert_eq!(words[3].join(" "), "rate policy 4 pods / 15 s -> 7 LIMITED HERE; 8 from 12:04:46");
    assert_eq!(words.len(), 4, "{text}");

    // A trigger that fails is no zero: nothing is lowered.
    let (text, errors, code) = printed(&command(&what_if).args(["--set", "jobs=error"]).output().unwrap());
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.starts_with("shop/orders  Deployment/orders  stays 3"), "{text}");

    let (_, errors, code) = printed(&command(&what_if).args(["--set", "jbos=790"]).output().unwrap());
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("jbos") && errors.contains("jobs"), "{errors}");

    // Nobody listens on port 1: the address is named, and what could be started.
    let (_, errors, code) = printed(&run(&["explain", "shop/orders", "--server", "127.0.0.1:1"]));
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("127.0.0.1:1") && errors.contains("tidegate local"), "{errors}");
}

/// Two autoscalers and what they scale; the second asks for a resource that no trigger reads.
const AUTOSCALERS: &str = "apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata:
  name: web
  namespace: shop
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 5
  targetCPUUtilizationPercentage: 70
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: disk
  namespace: shop
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: disk}
  maxReplicas: 5
  metrics:
  - type: Resource
    resource: {name: ephemeral-storage, target: {type: AverageValue, averageValue: 1Gi}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
";

fn convert() {
    let manifests = Manifests::new();
    manifests.write("hpa.yaml", AUTOSCALERS);
    let file = manifests.folder().join("hpa.yaml");
    let (text, errors, code) = printed(&run(&["convert", file.to_str().unwrap()]));
    assert_eq!(code, Some(2), "{errors}");
    let error = format!("{}:21:16 error spec.metrics[0].resource.name: \"ephemeral-storage\" is not", file.display());
    assert!(errors.starts_with(&error) && errors.lines().count() == 1, "{error}...\n{errors}");
    assert!(text.contains("\n  name: web\n  namespace: shop\n") && text.contains("      value: \"70\"\n"), "{text}");
    assert!(text.ends_with("\n# Deployment shop/web is no HorizontalPodAutoscaler and is left out.\n"), "{text}");

    // Through a pipe, without the one that cannot be converted. What comes out is read back, and is well but for a type that a
    // build may not have, and for the Deployment, which is not in these files.
    let second = AUTOSCALERS.find("---\n").unwrap();
    manifests.write("hpa.yaml", &AUTOSCALERS[..second]);
    let input = std::fs::File::open(&file).unwrap();
    let (text, errors, code) = printed(&command(&["convert", "-"]).stdin(input).output().unwrap());
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    manifests.write("object.yaml", &text);
    let object = manifests.folder().join("object.yaml");
    let (text, _, _) = printed(&run(&["validate", "-f", object.to_str().unwrap(), "-o", "json"]));
    let findings: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut paths = findings.iter().map(|finding| finding["path"].as_str().unwrap());
    assert!(paths.all(|path| ["scaleTargetRef.name", "triggers[0].type"].contains(&path)), "{text}");

    let (text, errors, code) = printed(&run(&["convert", "/nowhere/hpa.yaml"]));
    assert_eq!((code, text.as_str()), (Some(2), ""), "{errors}");
    assert!(errors.starts_with("/nowhere/hpa.yaml error cannot be read: "), "{errors}");
}

fn examples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/orders");
    let (text, errors, code) = printed(&run(&["validate", "-f", folder.to_str().unwrap()]));
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    assert!(text.ends_with("0 errors, 0 warnings\n"), "{text}");
}
