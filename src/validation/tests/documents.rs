//! Whole files: what their documents say of each other.

use std::path::Path;

use super::*;
use crate::manifests;

#[test]
fn authentications_name_what_is_not_there_yet() {
    let check = |spec: Value| -> Vec<String> {
        let object = json!({ "kind": "TriggerAuthentication", "metadata": { "name": "a" }, "spec": spec });
        trigger_authentication(&object, &Nothing).iter().map(ToString::to_string).collect()
    };
    let key = json!([{ "parameter": "password", "name": "s", "key": "k" }]);
    assert_eq!(
        check(json!({ "secretTargetRef": key, "configMapTargetRef": key, "podIdentity": { "provider": "none" } })),
        Vec::<String>::new()
    );
    let not_yet = "is not supported yet; supported: secretTargetRef, configMapTargetRef and env";
    let cases = [
        (json!({ "podIdentity": { "provider": "aws" } }), format!("error podIdentity.provider: \"aws\" {not_yet}")),
        (
            json!({ "boundServiceAccountToken": [{ "parameter": "p", "serviceAccountName": "s" }] }),
            format!("error boundServiceAccountToken: {not_yet}"),
        ),
        (json!({ "filePath": "x" }), "error filePath: is only allowed in a ClusterTriggerAuthentication".to_owned()),
        (
            json!({ "secretTargetRef": [{ "parameter": "p", "name": "s" }] }),
            "error secretTargetRef[0].key: is required".to_owned(),
        ),
        (
            json!({ "env": [{ "parameter": "p", "name": 5 }] }),
            "error env[0].name: \"5\" is an integer, not a text; put it in quotes".to_owned(),
        ),
        (
            json!({ "secretTargetRefs": key }),
            "warning secretTargetRefs: is not a known field and has no effect; did you mean secretTargetRef?"
                .to_owned(),
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(check(spec), [expected]);
    }
    let vault = json!({ "address": "a", "authentication": "token", "secrets": [{ "parameter": "p", "path": "p", "key": "k" }] });
    assert_eq!(check(json!({ "hashiCorpVault": vault })), [format!("error hashiCorpVault: {not_yet}")]);
    // Said once: what is missing inside of something that is not read at all is of no use.
    assert_eq!(check(json!({ "hashiCorpVault": {} })), [format!("error hashiCorpVault: {not_yet}")]);
    let unknown =
        "error podIdentity.provider: \"aws2\" is not one of azure-workload, gcp, aws, aws-eks, none; did you mean aws?";
    assert_eq!(check(json!({ "podIdentity": { "provider": "aws2" } })), [unknown]);
}

/// Checks YAML as the command line does: `LINE:COLUMN finding`, and how many subjects came of it.
fn files(text: &str) -> (Vec<String>, usize) {
    let documents = manifests::parse(Path::new("all.yaml"), text).unwrap();
    let reports =
        crate::validation::documents(&documents, &Files::new(&documents), &Settings::default(), Timestamp::UNIX_EPOCH);
    let line = |document: &manifests::Document, finding| {
        let at = place(document, finding).unwrap();
        format!("{}:{} {finding}", at.line, at.column)
    };
    let pairs = documents.iter().zip(&reports);
    let lines = pairs.flat_map(|(document, report)| report.findings.iter().map(move |finding| line(document, finding)));
    let subject =
        |report: &Report| report.scaled_object.as_ref().and_then(|validated| validated.subject.as_ref()).is_some();
    (lines.collect(), reports.iter().filter(|report| subject(report)).count())
}

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders}
spec:
  template:
    spec:
      containers:
      - name: worker
        env: [{name: REDIS, value: 'redis:6379'}]
        envFrom: [{secretRef: {name: redis}, prefix: X_}]
---
apiVersion: v1
kind: Secret
metadata: {name: redis}
stringData: {password: hunter2}
---
";

const SCALED_OBJECT: &str = "\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: orders}
spec:
  scaleTargetRef: {name: orders}
  triggers:
  - type: redis
    metadata: {addressFromEnv: REDIS, listName: jobs, passwordFromEnv: X_password}
    authenticationRef: {name: auth}
";

const AUTHENTICATION: &str = "\
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: auth}
spec:
  secretTargetRef:
  - {parameter: username, name: redis, key: password}
";

#[test]
fn a_complete_set_of_kedas_manifests_passes() {
    let (lines, subjects) = files(&format!("{DEPLOYMENT}{SCALED_OBJECT}{AUTHENTICATION}"));
    assert_eq!((lines, subjects), (Vec::new(), 1));
}

#[test]
fn what_is_not_in_the_files_is_a_warning() {
    let (lines, subjects) = files(SCALED_OBJECT);
    let expected = [
        "5:20 warning scaleTargetRef.name: \"orders\" names nothing: Deployment default/orders is not in these files",
        "9:25 warning triggers[0].authenticationRef.name: \"auth\" names nothing: no such TriggerAuthentication is in these files",
    ];
    assert_eq!((lines, subjects), (expected.map(str::to_owned).to_vec(), 1));

    let broken = AUTHENTICATION.replace("key: password", "key: pasword").replace("---\n", "");
    let (lines, _) = files(&format!("{DEPLOYMENT}{broken}"));
    assert_eq!(
        lines,
        [
            "22:40 warning secretTargetRef[0].key: \"pasword\" is not a key of Secret redis in these files; did you mean password?"
        ]
    );
    // A name that is nearly one of the trigger's parameters; what is nothing like any may be for another trigger.
    let misspelt = AUTHENTICATION.replace("parameter: username", "parameter: usrname");
    let (lines, _) = files(&format!("{DEPLOYMENT}{SCALED_OBJECT}{misspelt}"));
    assert_eq!(
        lines,
        [
            "25:5 warning triggers[0].authenticationRef.usrname: is not a parameter of redis and has no effect; did you mean username?"
        ]
    );
    for other in ["vhostName", "apiKey", "bearerToken", "team"] {
        let foreign = AUTHENTICATION.replace("parameter: username", &format!("parameter: {other}"));
        assert_eq!(files(&format!("{DEPLOYMENT}{SCALED_OBJECT}{foreign}")).0, Vec::<String>::new(), "{other}");
    }
    let (lines, _) = files(&AUTHENTICATION.replace("name: redis", "name: rediss"));
    assert_eq!(
        lines,
        ["7:27 warning secretTargetRef[0].name: \"rediss\" names nothing: no such Secret is in these files"]
    );

    let wrong = SCALED_OBJECT
        .replace("FromEnv: REDIS", "FromEnv: RADIS")
        .replace("{name: orders}\n  trig", "{name: orders, envSourceContainerName: x}\n  trig");
    let (lines, _) = files(&format!("{DEPLOYMENT}{wrong}{AUTHENTICATION}"));
    assert_eq!(
        lines,
        ["21:34 warning scaleTargetRef.envSourceContainerName: \"x\" is not a container of Deployment/orders"]
    );
    let (lines, subjects) =
        files(&format!("{DEPLOYMENT}{}{AUTHENTICATION}", SCALED_OBJECT.replace("FromEnv: REDIS", "FromEnv: RADIS")));
    assert_eq!(
        lines,
        ["24:16 error triggers[0].metadata.addressFromEnv: \"RADIS\" is not in the container's environment"]
    );
    assert_eq!(subjects, 1, "one trigger fails, the object goes on");
}

#[test]
fn a_second_object_on_a_target_and_a_second_of_a_name_are_refused() {
    let other = SCALED_OBJECT.replace("metadata: {name: orders}", "metadata: {name: other}");
    let (lines, subjects) =
        files(&format!("{DEPLOYMENT}{SCALED_OBJECT}---\n{other}---\n{SCALED_OBJECT}{AUTHENTICATION}"));
    let expected = [
        "31:20 error scaleTargetRef.name: \"orders\" is scaled by ScaledObject default/orders already, which comes first; one object a target",
        "39:12 error metadata.name: \"orders\" is the name of the ScaledObject in all.yaml:17 already",
    ];
    assert_eq!((lines, subjects), (expected.map(str::to_owned).to_vec(), 1));
}

const POLICIES: &str = "\
---
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: night}
spec:
  triggers:
  - name: jobs
    steps:
    - {above: 0.8, change: +1}
    - {below: \"0.3\", change: \"-1\", for: 1 hour}
---
apiVersion: tidegate.dev/v1alpha1
kind: ClusterScalingPolicy
metadata: {name: calm}
spec:
  directionCooldown: {scaleDownAfterScaleUp: 5m}
";

/// Policies are judged with their places, also without an object; an object finds them in the same files.
#[test]
fn policies_of_the_same_files_are_judged_and_found() {
    let at = "metadata.annotations[tidegate.dev/policies]";
    let until = "until then the object is raised but never lowered";
    let (lines, subjects) = files(POLICIES);
    let own = [
        "9:8 error triggers[0].steps[0].above: \"0.8\" is a number, not an integer or a text; put it in quotes",
        "9:20 error triggers[0].steps[0].change: \"1\" is an integer, not a text; put it in quotes",
        "10:36 error triggers[0].steps[1].for: \"1 hour\" is not a duration, such as 90s or 1h30m",
    ];
    assert_eq!((lines, subjects), (own.map(str::to_owned).to_vec(), 0));
    let named = SCALED_OBJECT.replace(
        "metadata: {name: orders}",
        "metadata: {name: orders, annotations: {tidegate.dev/policies: 'night, cluster/calm, day'}}",
    );
    let (lines, subjects) = files(&format!("{DEPLOYMENT}{named}{AUTHENTICATION}{POLICIES}"));
    let broken =
        "spec.triggers[0].steps[0].above: \"0.8\" is a number, not an integer or a text; put it in quotes (and 2 more)";
    let expected = [
        format!("19:40 error {at}: \"night\" cannot be obeyed: ScalingPolicy default/night: {broken}; {until}"),
        format!("19:40 warning {at}: \"day\" names nothing: ScalingPolicy default/day is not in these files; {until}"),
    ];
    assert_eq!((&lines[..2], lines.len(), subjects), (&expected[..], 5, 1));
}

#[test]
fn other_kinds_are_told_apart() {
    let cases = [
        ("apiVersion: keda.sh/v1alpha1\nkind: ScaledJob", "2:1 error kind: \"ScaledJob\" is not supported yet"),
        (
            "apiVersion: keda.sh/v1alpha1\nkind: Scaledobject",
            "2:1 error kind: \"Scaledobject\" is not a kind of keda.sh; did you mean ScaledObject?",
        ),
        ("apiVersion: keda.sh/v1\nkind: ScaledObject", "1:1 error apiVersion: \"keda.sh/v1\" is not keda.sh/v1alpha1"),
        (
            "apiVersion: keda.k8s.io/v1alpha1\nkind: ScaledObject",
            "1:1 error apiVersion: \"keda.k8s.io/v1alpha1\" is KEDA 1's; keda.sh/v1alpha1 is needed",
        ),
        ("kind: ScaledObject", "1:1 error apiVersion: is required: keda.sh/v1alpha1, as ScaledObject needs"),
        ("apiVersion: keda.sh/v1alpha1", "1:1 error kind: is required"),
        (
            "apiVersion: tidegate.dev/v1alpha1\nkind: ScalingPolicies",
            "2:1 error kind: \"ScalingPolicies\" is not a kind of tidegate.dev",
        ),
        (
            "apiVersion: tidegate.dev/v1alpha1\nkind: Scalingpolicy",
            "2:1 error kind: \"Scalingpolicy\" is not a kind of tidegate.dev; did you mean ScalingPolicy?",
        ),
        (
            "apiVersion: tidegate.dev/v1\nkind: ScalingPolicy",
            "1:1 error apiVersion: \"tidegate.dev/v1\" is not tidegate.dev/v1alpha1",
        ),
        (
            "kind: ClusterScalingPolicy",
            "1:1 error apiVersion: is required: tidegate.dev/v1alpha1, as ClusterScalingPolicy needs",
        ),
        ("kind: ScaledJob\napiVersion: keda.sh/v1alpha1", "1:1 error kind: \"ScaledJob\" is not supported yet"),
        ("replicas: 3", "1:1 warning kind: is missing: this is not a Kubernetes object and is not read"),
    ];
    for (text, expected) in cases {
        assert_eq!(files(text), (vec![expected.to_owned()], 0));
    }
    assert_eq!(files(DEPLOYMENT), (vec![], 0));
    let stray = format!("{SCALED_OBJECT}{AUTHENTICATION}data: {{}}\n");
    assert!(
        files(&stray).0.contains(&"17:1 warning data: is not a known field and has no effect".to_owned()),
        "{:?}",
        files(&stray)
    );
}
