use std::path::Path;

use super::*;
use crate::manifests::{self, Broken, Cause};

fn printout(text: &str) -> Printout {
    let documents = manifests::parse(Path::new("all.yaml"), text).unwrap();
    Printout::of(&Loaded { documents, broken: Vec::new() })
}

const GOOD: &str = "\
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: good}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: good}
  maxReplicas: 3
---
apiVersion: v1
kind: Service
metadata: {name: good}
";

#[test]
fn each_autoscaler_is_a_document_and_the_rest_is_named_below() {
    let printout = printout(&format!("{GOOD}---\n{}", GOOD.replace("name: good", "name: other")));
    assert_eq!(printout.errors, "");
    assert_eq!(printout.manifests.matches("---\n").count(), 2);
    assert_eq!(printout.manifests.matches("\nkind: ScaledObject\n").count(), 2);
    let end = "\
# Service default/good is no HorizontalPodAutoscaler and is left out.
# Service default/other is no HorizontalPodAutoscaler and is left out.
";
    assert!(printout.manifests.ends_with(end), "{}", printout.manifests);
    assert!(!printout.failed());
}

#[test]
fn what_cannot_be_converted_is_named_with_its_place_and_the_others_are_printed() {
    let bad = GOOD.replace("maxReplicas: 3", "maxReplicas: none");
    let printout = printout(&format!("{bad}---\n{GOOD}"));
    assert_eq!(printout.errors, "all.yaml:6:3 error spec.maxReplicas: \"none\" is not an integer >= 1\n");
    assert_eq!(printout.manifests.matches("\nkind: ScaledObject\n").count(), 1);
    assert!(printout.failed());
}

#[test]
fn nothing_to_convert_is_an_error() {
    let none = printout("{apiVersion: v1, kind: Service, metadata: {name: good}}");
    assert_eq!(none.errors, "error: there is no HorizontalPodAutoscaler to convert in what was given\n");
    let broken = Broken {
        file: "gone.yaml".into(),
        line: 0,
        column: 0,
        message: "cannot be read: no such file".to_owned(),
        cause: Cause::Unreadable,
    };
    let unreadable = Printout::of(&Loaded { documents: Vec::new(), broken: vec![broken] });
    assert_eq!(unreadable.errors, "gone.yaml error cannot be read: no such file\n");
}
