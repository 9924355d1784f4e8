//! Conversions as a user sees them: `golden/NAME.yaml` becomes `golden/NAME.converted.yaml`; `TIDEGATE_UPDATE=1` writes the second.
#![allow(clippy::unwrap_used, reason = "helpers of tests are no tests to clippy")]

mod refusals;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;
use tidegate_calculator::policy::Settings;
use tidegate_engine::subject::Severity;

use super::*;
use crate::manifests;
use crate::validation::{self, Nothing};

/// The documents of a text.
fn documents(text: &str) -> Vec<Document> {
    manifests::parse(Path::new("hpa.yaml"), text).unwrap()
}

/// The only document of a text, converted.
fn converted(text: &str) -> Converted {
    match convert(&documents(text)[0]) {
        Outcome::Converted(converted) => *converted,
        other => panic!("{other:?}"),
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conversion/golden").join(name)
}

/// Converts a stored autoscaler, compares the text with the stored one, and validates what comes out.
fn check(name: &str) {
    let text = std::fs::read_to_string(golden(&format!("{name}.yaml"))).unwrap();
    let converted = converted(&text);
    let (yaml, file) = (converted.yaml().unwrap(), golden(&format!("{name}.converted.yaml")));
    if std::env::var("TIDEGATE_UPDATE").as_deref() == Ok("1") {
        std::fs::write(&file, &yaml).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), yaml, "{name}");

    // What is read back, by the rules of `kubectl`, is what was meant: no text has become a number or a truth value.
    let read = documents(&yaml);
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].value, serde_json::to_value(&converted.manifest).unwrap(), "{name}");
    well(&read, name);
}

/// Validation has nothing to say, but for trigger types that this build does not have.
fn well(read: &[Document], name: &str) {
    let reports = validation::documents(read, &Nothing, &Settings::default(), Timestamp::UNIX_EPOCH);
    let missing = |path: &str| {
        let kind = path.strip_suffix(".type").and_then(|trigger| read[0].position(trigger).and(Some(trigger)));
        let pointer = kind.unwrap_or(path).replace('[', "/").replace(']', "");
        let kind = read[0].value.pointer(&format!("/spec/{pointer}/type")).and_then(Value::as_str);
        kind.is_some_and(|kind| tidegate_scalers::trigger_type(kind).is_none())
    };
    let findings = reports[0].findings.iter().filter(|finding| finding.severity != Severity::Info);
    let said: Vec<String> =
        findings.filter(|finding| !missing(&finding.problem.path)).map(ToString::to_string).collect();
    assert!(said.is_empty(), "{name}: {said:#?}");
}

#[test]
fn every_kind_of_metric_of_v2_is_said() {
    check("v2");
}

#[test]
fn a_minimum_of_0_looks_every_15_s_and_cools_down_for_the_window() {
    check("v2-zero");
}

#[test]
fn what_is_absent_gets_the_autoscalers_defaults() {
    check("v2-default");
}

#[test]
fn older_versions_are_read() {
    check("v2beta2");
    check("v2beta1");
    check("v1");
    check("v1-annotations");
}

#[test]
fn other_kinds_and_kedas_own_are_passed_over() {
    let note = |text: &str| match convert(&documents(text)[0]) {
        Outcome::PassedOver(note) => note,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        note("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}}"),
        "Deployment shop/web is no HorizontalPodAutoscaler and is left out."
    );
    assert_eq!(note("{a: 1}"), "A document without a kind default/ is no HorizontalPodAutoscaler and is left out.");
    let owner = "ownerReferences: [{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, name: web}]";
    let kedas = format!(
        "{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {{name: keda-hpa-web, {owner}}}}}"
    );
    assert_eq!(
        note(&kedas),
        "HorizontalPodAutoscaler default/keda-hpa-web is made by KEDA of ScaledObject web: apply that one."
    );
}

#[test]
fn long_sentences_take_several_lines() {
    let text = comment(&"words ".repeat(30));
    assert_eq!(text.split_whitespace().filter(|word| *word == "words").count(), 30);
    assert!(
        text.lines().count() == 2 && text.lines().all(|line| line.starts_with("# ") && line.len() <= 110),
        "{text}"
    );
    assert_eq!(comment(&"x".repeat(200)), format!("# {}\n", "x".repeat(200)));
}

#[test]
fn no_text_of_a_user_ends_a_comment() {
    assert_eq!(comment("a\nkind: Secret\r\u{85}\u{2028}b"), "# a kind: Secret b\n");
}
