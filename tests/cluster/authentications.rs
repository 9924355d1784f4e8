//! Authentications as KEDA's users write them, under the real roles: cluster-wide ones whose Secrets stand elsewhere, ConfigMaps, and those
//! that a KEDA which is gone has left with a finalizer.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::objects::{Deployment, ScaledObject};
use super::operator::{Account, until_held};
use super::space::Space;
use super::{SOON, trial, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::tidegate::{printed, run};
use crate::harness::wait::eventually;

/// The password of the server.
const PASSWORD: &str = "open-sesame";
/// What KEDA sets on all of its objects.
const FINALIZER: &str = "finalizer.keda.sh";

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("authentications::secrets_and_config_maps_here_and_elsewhere", here_and_elsewhere),
        trial("authentications::finalizers_of_a_keda_that_is_gone", finalizers),
    ]
}

/// One object takes address and password from a ClusterTriggerAuthentication, whose Secret and ConfigMap stand in a namespace of their own;
/// another one from a TriggerAuthentication beside it. The roles are those that are printed for that.
fn here_and_elsewhere() {
    let redis = Redis::start(Some(PASSWORD));
    let (space, vault) = (Space::new("authorized"), Space::new("vault"));
    let account = Account::new(&space);
    open_vault(&space, &vault);
    for holder in [&space, &vault] {
        let address = redis.address();
        holder.apply(&manifest("v1", "Secret", "redis-login", "stringData", &json!({"password": PASSWORD})));
        holder.apply(&manifest("v1", "ConfigMap", "redis-place", "data", &json!({"address": address})));
    }
    let shared = format!("redis-{}", space.name());
    space.apply(&authentication("ClusterTriggerAuthentication", &shared, &[]));
    space.apply(&authentication("TriggerAuthentication", "redis", &[]));
    for (name, kind, authentication) in
        [("elsewhere", "ClusterTriggerAuthentication", shared.as_str()), ("here", "TriggerAuthentication", "redis")]
    {
        space.deploy(&Deployment { name, ..Deployment::default() });
        let object = ScaledObject { name, address: "", list: "authentications", ..ScaledObject::default() }.manifest();
        let reference = format!("      authenticationRef: {{name: {authentication}, kind: {kind}}}\n      metadata:\n");
        let object = object.replace("        address: \n", "").replace("      metadata:\n", &reference);
        space.apply(&object);
    }
    redis.push("authentications", 40);
    let operator = account.start_with(&["--cluster-object-namespace", vault.name()]);
    for name in ["here", "elsewhere"] {
        space.until_replicas(name, 8);
        space.until_condition(name, "Ready", "True");
    }
    assert!(!operator.log().contains(PASSWORD), "no password is printed");
    let _ = space.plane().kubectl(&["delete", "clustertriggerauthentication", &shared, "--wait=false"], "");
}

/// The role for the namespace of the cluster-wide objects, as it is printed. The others are there already.
fn open_vault(space: &Space, vault: &Space) {
    let (roles, errors, code) = printed(&run(&[
        "rbac",
        "--own-namespace",
        space.name(),
        "--namespaced",
        space.name(),
        "--cluster-object-namespace",
        vault.name(),
    ]));
    assert_eq!(code, Some(0), "{errors}");
    let of_vault: Vec<&str> =
        roles.split("---\n").filter(|text| text.contains(&format!("namespace: {}\n", vault.name()))).collect();
    assert_eq!(of_vault.len(), 2, "a role and its binding: {roles}");
    vault.create_missing(&of_vault.join("---\n"));
}

/// KEDA has set its finalizer on all of its objects and is gone: whoever deletes them waits for Tidegate, and not for ever.
fn finalizers() {
    let space = Space::new("finalizers");
    let shared = format!("left-{}", space.name());
    space.apply(&authentication("ClusterTriggerAuthentication", &shared, &[FINALIZER]));
    space.apply(&authentication("TriggerAuthentication", "left", &[FINALIZER]));
    space.deploy(&Deployment::default());
    let object = ScaledObject::default().manifest();
    space.apply(
        &object.replace("metadata:\n  name: app\n", &format!("metadata:\n  name: app\n  finalizers: [{FINALIZER}]\n")),
    );
    assert_eq!(space.get("scaledobjects", "app").unwrap()["metadata"]["finalizers"], json!([FINALIZER]));
    let mut operator = Account::new(&space).start();
    until_held(&space, None);
    let gone = |what: &str, name: &str| {
        space.kubectl(&["delete", what, name, "--wait=false"]);
        eventually(SOON, &format!("the end of {what} {name}"), || {
            let left = space.kubectl(&["get", what, name, "--ignore-not-found", "-o", "name"]);
            left.trim().is_empty().then_some(())
        });
    };
    gone("scaledobject", "app");
    gone("triggerauthentication", "left");
    gone("clustertriggerauthentication", &shared);
    assert!(operator.is_running(), "{}", operator.log());
}

fn manifest(version: &str, kind: &str, name: &str, field: &str, value: &Value) -> String {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, field: value}).to_string()
}

/// The password from a Secret, the address from a ConfigMap.
fn authentication(kind: &str, name: &str, finalizers: &[&str]) -> String {
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": kind, "metadata": {"name": name, "finalizers": finalizers},
        "spec": {
            "secretTargetRef": [{"parameter": "password", "name": "redis-login", "key": "password"}],
            "configMapTargetRef": [{"parameter": "address", "name": "redis-place", "key": "address"}],
        },
    })
    .to_string()
}
