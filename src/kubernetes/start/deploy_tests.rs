//! What `deploy/` says is what the code does.

use std::path::PathBuf;

use jiff::Timestamp;
use tidegate_calculator::policy;
use tidegate_engine::subject::Severity;

use crate::kubernetes::rbac::{AGGREGATE_LABEL, Roles};
use crate::{manifests, validation};

fn deploy(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap()
}

#[test]
fn the_roles_of_the_overlays_are_the_printed_ones() {
    let roles = |namespaces: &[&str]| Roles {
        own_namespace: "tidegate-system".to_owned(),
        account: "tidegate".to_owned(),
        namespaces: namespaces.iter().map(|&name| name.to_owned()).collect(),
        cluster_objects: None,
    };
    // `tools/check-generated --update` writes them.
    assert_eq!(read("overlays/cluster/rbac.yaml"), roles(&[]).yaml());
    assert_eq!(read("overlays/namespaced/rbac.yaml"), roles(&["default"]).yaml());
    assert!(read("samples/custom-target-role.yaml").contains(&format!("{AGGREGATE_LABEL}: \"true\"")));
}

#[test]
fn all_manifests_are_yaml_and_the_samples_have_no_findings() {
    let loaded = manifests::load(&[deploy("base"), deploy("overlays"), deploy("samples")]);
    assert!(loaded.broken.is_empty(), "{:?}", loaded.broken);
    let known = validation::Files::new(&loaded.documents).for_cluster();
    let reports = validation::documents(&loaded.documents, &known, &policy::Settings::default(), Timestamp::UNIX_EPOCH);
    assert!(reports.iter().any(|report| report.scaled_object.is_some()));
    for report in &reports {
        let worst = report.findings.iter().map(|finding| finding.severity).max();
        assert!(worst.is_none_or(|worst| worst < Severity::Warning), "{report:?}");
    }
}

#[test]
fn the_pod_is_as_narrow_as_it_says() {
    let text = read("base/deployment.yaml");
    for line in
        ["runAsNonRoot: true", "runAsUser: 65532", "readOnlyRootFilesystem: true", "allowPrivilegeEscalation: false"]
    {
        assert!(text.contains(line), "{line}");
    }
    assert_eq!(text.matches("image:").count(), 1, "one container");
    assert!(read("Dockerfile").contains("USER 65532:65532"));
}
