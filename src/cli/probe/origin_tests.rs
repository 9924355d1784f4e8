use std::path::Path;

use super::super::world::World;
use super::*;
use crate::manifests::parse;
use crate::validation::{self, Nothing};

/// One object with a redis trigger that has these lines in its metadata and this authentication, and all that can be referred to.
fn texts(metadata: &str, authentication: &str) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: orders, namespace: shop}}
spec:
  scaleTargetRef: {{name: orders}}
  triggers:
    - type: redis
      metadata: {{address: \"localhost:1\", listName: jobs{metadata}}}
      {authentication}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: orders, namespace: shop}}
spec:
  template:
    spec:
      containers:
        - name: app
          envFrom: [{{prefix: IN_, secretRef: {{name: redis}}}}, {{configMapRef: {{name: settings}}}}]
          env:
            - {{name: PLAIN, value: x}}
            - {{name: REDIS_PASSWORD, valueFrom: {{secretKeyRef: {{name: redis, key: password}}}}}}
        - {{name: proxy, env: [{{name: PLAIN, value: z}}]}}
---
apiVersion: v1
kind: Secret
metadata: {{name: redis, namespace: shop}}
stringData: {{password: hunter2, empty: \" \"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: redis, namespace: vault}}
stringData: {{password: hunter2}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings, namespace: shop}}
data: {{WORD: hunter2}}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {{name: all, namespace: shop}}
spec:
  env: [{{parameter: password, name: PLAIN}}]
  configMapTargetRef: [{{parameter: password, name: settings, key: WORD}}]
  secretTargetRef: [{{parameter: password, name: redis, key: password}}]
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {{name: env, namespace: shop}}
spec: {{env: [{{parameter: password, name: PLAIN, containerName: proxy}}]}}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {{name: empty, namespace: shop}}
spec: {{secretTargetRef: [{{parameter: password, name: redis, key: empty}}]}}
---
apiVersion: keda.sh/v1alpha1
kind: ClusterTriggerAuthentication
metadata: {{name: wide}}
spec: {{secretTargetRef: [{{parameter: password, name: redis, key: password}}]}}
"
    )
}

/// Where the password comes from, as far as the text alone tells and as it is once everything was found.
fn from(metadata: &str, authentication: &str) -> [Option<String>; 2] {
    let documents = parse(Path::new("a.yaml"), &texts(metadata, authentication)).unwrap();
    let triggers = validation::triggers_of(&documents[0].value, &Nothing);
    let world = World::new(documents, None, "vault".to_owned());
    let found = world.resolve(&triggers[0]).unwrap();
    [None, Some(&found)].map(|found| {
        let origins = origins(&triggers[0], found, &world.desk(&triggers[0]), world.cluster_namespace());
        assert!(!format!("{origins:?}").contains("hunter2"));
        assert!(origins.iter().all(|origin| origin.parameter == "password"), "{origins:?}");
        origins.into_iter().next().map(|origin| origin.from)
    })
}

fn both(place: &str) -> [Option<String>; 2] {
    [Some(place.to_owned()), Some(place.to_owned())]
}

#[test]
fn the_place_of_a_password_is_told() {
    let secret = "Secret shop/redis key password";
    let cases = [
        (", password: x", "", "metadata.password".to_owned()),
        (", passwordFromEnv: PLAIN", "", "env PLAIN of container app".to_owned()),
        (", passwordFromEnv: REDIS_PASSWORD", "", format!("env REDIS_PASSWORD of container app ({secret})")),
        (", passwordFromEnv: IN_password", "", format!("env IN_password of container app ({secret})")),
        (", passwordFromEnv: WORD", "", "env WORD of container app (ConfigMap shop/settings key WORD)".to_owned()),
        ("", "authenticationRef: {name: all}", secret.to_owned()),
        ("", "authenticationRef: {name: env}", "env PLAIN of container proxy".to_owned()),
        (
            "",
            "authenticationRef: {name: wide, kind: ClusterTriggerAuthentication}",
            "Secret vault/redis key password".to_owned(),
        ),
    ];
    for (metadata, authentication, place) in cases {
        assert_eq!(from(metadata, authentication), both(&place), "{metadata}{authentication}");
    }
    assert_eq!(from("", ""), [None, None]);
}

#[test]
fn a_place_that_has_nothing_is_passed_over() {
    let [text, found] = from(", passwordFromEnv: NOBODY", "authenticationRef: {name: all}");
    assert_eq!(text.as_deref(), Some("env NOBODY of container app"));
    assert_eq!(found.as_deref(), Some("Secret shop/redis key password"));
    let [_, found] = from("", "authenticationRef: {name: empty}");
    assert_eq!(found, None, "a blank text is no password");
}
