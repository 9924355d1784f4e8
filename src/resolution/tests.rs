use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Value, json};
use tidegate_calculator::source::{Parameters, ReadError, ReadErrorKind, Secret};
use tidegate_crds::TriggerAuthenticationSpec;
use tidegate_engine::subject::{AuthenticationRef, References, TargetRef};

use super::{Answer, Contents, Fields, Lookup, environment, expand, resolve};

/// A few objects, by `Kind namespace/name`.
#[derive(Default)]
struct Things(BTreeMap<String, Value>);

impl Things {
    fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    fn contents(&self, name: &str) -> Answer<Contents> {
        match self.0.get(name) {
            None => Answer::Absent,
            Some(Value::String(why)) => Answer::Unseen(why.clone()),
            Some(value) => {
                let pairs = value.as_object().expect("an object").iter();
                Answer::Found(Contents::new(pairs.map(|(key, value)| match value.as_str() {
                    Some(text) => (key.clone(), text.as_bytes().to_vec()),
                    None => (key.clone(), vec![0xff, 0xfe]),
                })))
            }
        }
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Answer<T> {
        self.0.get(name).map_or(Answer::Absent, |value| match serde_json::from_value(value.clone()) {
            Ok(found) => Answer::Found(found),
            Err(error) => Answer::Malformed(error.to_string()),
        })
    }
}

impl Lookup for Things {
    fn trigger_authentication(&self, namespace: &str, name: &str) -> Answer<TriggerAuthenticationSpec> {
        self.read(&format!("TriggerAuthentication {namespace}/{name}"))
    }
    fn cluster_trigger_authentication(&self, name: &str) -> Answer<TriggerAuthenticationSpec> {
        self.read(&format!("ClusterTriggerAuthentication {name}"))
    }
    fn secret(&self, namespace: &str, name: &str) -> Answer<Contents> {
        self.contents(&format!("Secret {namespace}/{name}"))
    }
    fn config_map(&self, namespace: &str, name: &str) -> Answer<Contents> {
        self.contents(&format!("ConfigMap {namespace}/{name}"))
    }
    fn pod_template(&self, target: &TargetRef) -> Answer<PodTemplateSpec> {
        self.read(&format!("{} {}/{}", target.kind, target.namespace, target.name))
    }
}

fn template(containers: &Value) -> Value {
    json!({"spec": {"containers": containers}})
}

fn references(authentication: Option<(bool, &str)>) -> References {
    let target = TargetRef {
        namespace: "shop".into(),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "orders".into(),
    };
    let authentication = authentication.map(|(cluster, name)| AuthenticationRef { cluster, name: name.into() });
    References { target, container: None, authentication }
}

fn plain() -> Things {
    Things::default().with("Deployment shop/orders", template(&json!([{"name": "main"}])))
}

fn auth(things: Things, spec: Value) -> Result<Parameters, ReadError> {
    let things = things.with("TriggerAuthentication shop/redis", spec);
    resolve(&references(Some((false, "redis"))), &things, "keda")
}

fn shown(values: &BTreeMap<String, Secret>) -> String {
    values.iter().map(|(key, value)| format!("{key}={}", value.expose())).collect::<Vec<_>>().join(" ")
}

#[test]
fn env_from_comes_first_and_env_overwrites_it() {
    let things = Things::default()
        .with("ConfigMap shop/settings", json!({"HOST": "a", "PORT": "1", "bad=name": "x"}))
        .with("Secret shop/login", json!({"PASSWORD": "p", "empty": ""}));
    let template = template(&json!([
        {"name": "sidecar", "env": [{"name": "HOST", "value": "sidecar"}]},
        {"name": "main",
         "envFrom": [
            {"prefix": "R_", "configMapRef": {"name": "settings"}},
            {"secretRef": {"name": "login"}},
            {"configMapRef": {"name": "nowhere", "optional": true}}],
         "env": [
            {"name": "R_PORT", "value": "2"},
            {"name": "ADDRESS", "value": "$(R_HOST):$(R_PORT)"},
            {"name": "LATER", "value": "$(TAIL)"},
            {"name": "TAIL", "valueFrom": {"secretKeyRef": {"name": "login", "key": "PASSWORD"}}},
            {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "x", "optional": true}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {"name": "BARE"}]},
    ]));
    let template: PodTemplateSpec = serde_json::from_value(template).unwrap();
    let fields = Fields::from([("metadata.name", "orders-0".to_owned())]);
    let env = environment(&template, Some("main"), "shop", &things, &fields).unwrap();
    let expected = "ADDRESS=a:2 BARE= LATER=$(TAIL) PASSWORD=p POD=orders-0 R_HOST=a R_PORT=2 TAIL=p empty=";
    assert_eq!(shown(&env), expected);
    let first = environment(&template, None, "shop", &things, &fields).unwrap();
    assert_eq!(shown(&first), "HOST=sidecar");
}

#[test]
fn expansion_follows_the_kubelet() {
    let env = BTreeMap::from([("A".to_owned(), Secret::new("1")), ("B".to_owned(), Secret::new("$(A)"))]);
    let table = [
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(B)", "$(A)"),
        ("$(NONE)", "$(NONE)"),
        ("$(A", "$(A"),
        ("$A $", "$A $"),
        ("100$$", "100$"),
        ("", ""),
        ("ü$(A)", "ü1"),
    ];
    for (text, expected) in table {
        assert_eq!(expand(text, &env), expected, "{text}");
    }
}

#[test]
fn what_is_absent_is_named_exactly() {
    let key =
        |secret: &str, key: &str| json!({"secretTargetRef": [{"parameter": "password", "name": secret, "key": key}]});
    let things = || {
        plain()
            .with("Secret shop/redis", json!({"user": "u", "bytes": 1}))
            .with("Secret shop/hidden", json!("forbidden"))
    };
    let table = [
        (key("redis", "password"), "Secret shop/redis has no key password"),
        (key("none", "password"), "Secret shop/none does not exist"),
        (key("redis", "bytes"), "Secret shop/redis: the value of key bytes is not UTF-8 text"),
        (key("hidden", "password"), "Secret shop/hidden cannot be seen: forbidden"),
        (
            json!({"configMapTargetRef": [{"parameter": "p", "name": "m", "key": "k"}]}),
            "ConfigMap shop/m does not exist",
        ),
        (
            json!({"env": [{"parameter": "p", "name": "PASSWORD"}]}),
            "TriggerAuthentication shop/redis: the target's container has no environment variable PASSWORD",
        ),
        (
            json!({"env": [{"parameter": "p", "name": "PASSWORD", "containerName": "other"}]}),
            "there is no container other; the target has: main",
        ),
        (
            json!({"podIdentity": {"provider": "aws"}}),
            "TriggerAuthentication shop/redis: podIdentity.provider: \"aws\" is not supported yet; supported: none",
        ),
        (
            json!({"filePath": "x"}),
            "TriggerAuthentication shop/redis: filePath is not supported yet; supported: secretTargetRef, configMapTargetRef, env",
        ),
    ];
    for (spec, expected) in table {
        let error = auth(things(), spec).expect_err(expected);
        assert_eq!(error.message, expected);
        let kind = if expected.contains("cannot be seen") { ReadErrorKind::Unavailable } else { ReadErrorKind::Config };
        assert_eq!(error.kind, kind, "{expected}");
    }
}

#[test]
fn an_absent_authentication_or_target_is_an_error() {
    let absent = |reference, expected: &str| {
        assert_eq!(resolve(&references(reference), &plain(), "keda").unwrap_err().message, expected);
    };
    absent(Some((false, "redis")), "TriggerAuthentication shop/redis does not exist");
    absent(Some((true, "redis")), "ClusterTriggerAuthentication redis does not exist");
    let error = resolve(&references(None), &Things::default(), "keda").unwrap_err();
    assert_eq!(error.message, "Deployment shop/orders does not exist");
}

#[test]
fn a_missing_reference_fails_the_whole_environment() {
    let things = |entry: Value| {
        let containers = json!([{"name": "main", "env": [entry]}]);
        Things::default().with("Deployment shop/orders", template(&containers)).with("ConfigMap shop/m", json!({}))
    };
    let reference = |name: &str| json!({"name": "A", "valueFrom": {"configMapKeyRef": {"name": name, "key": "k"}}});
    let message = |name: &str| resolve(&references(None), &things(reference(name)), "keda").unwrap_err().message;
    assert_eq!(message("m"), "ConfigMap shop/m has no key k");
    assert_eq!(message("n"), "ConfigMap shop/n does not exist");
}

#[test]
fn secrets_overwrite_config_maps_which_overwrite_env() {
    let things = Things::default()
        .with("Deployment shop/orders", template(&json!([{"name": "main", "env": [{"name": "E", "value": "env"}]}])))
        .with("ConfigMap shop/m", json!({"k": "map"}))
        .with("Secret shop/s", json!({"k": "secret"}));
    let from = |parameter: &str, name: &str| json!({"parameter": parameter, "name": name, "key": "k"});
    let env = |parameter: &str| json!({"parameter": parameter, "name": "E"});
    let spec = json!({
        "podIdentity": {"provider": "none"},
        "env": [env("a"), env("b"), env("c")],
        "configMapTargetRef": [from("b", "m"), from("c", "m")],
        "secretTargetRef": [from("c", "s")],
    });
    assert_eq!(shown(&auth(things, spec).unwrap().auth), "a=env b=map c=secret");
}

#[test]
fn a_cluster_wide_authentication_reads_the_cluster_namespace() {
    let things =
        plain().with("Secret keda/s", json!({"k": "theirs"})).with("Secret shop/s", json!({"k": "ours"})).with(
            "ClusterTriggerAuthentication redis",
            json!({"secretTargetRef": [{"parameter": "password", "name": "s", "key": "k"}]}),
        );
    let values = resolve(&references(Some((true, "redis"))), &things, "keda").unwrap();
    assert_eq!(shown(&values.auth), "password=theirs");
}

#[test]
fn contents_never_print_their_values() {
    let contents = Contents::new([("password".to_owned(), b"hunter2".to_vec())]);
    assert_eq!(format!("{contents:?}"), "{\"password\"}");
}
