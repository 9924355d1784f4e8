//! The manifests that scenarios apply.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::node::{RUN, STARTUP};

/// A Deployment by which scenarios scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deployment<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// `spec.replicas`.
    pub(crate) replicas: u32,
    /// What a pod does, as a shell script; a pod without one is only said to run.
    pub(crate) script: Option<&'a str>,
    /// Milliseconds until a pod is ready.
    pub(crate) startup: u32,
    /// `terminationGracePeriodSeconds`.
    pub(crate) grace: u32,
}

impl Default for Deployment<'_> {
    fn default() -> Self {
        Self { name: "app", replicas: 0, script: None, startup: 0, grace: 2 }
    }
}

/// A `ScaledObject` with one redis trigger of five items a replica, as KEDA's users write it. Its target is the Deployment of its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScaledObject<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// The Redis server, `host:port`.
    pub(crate) address: &'a str,
    /// The list.
    pub(crate) list: &'a str,
    /// `pollingInterval`, seconds.
    pub(crate) polling: u32,
    /// `cooldownPeriod`, seconds.
    pub(crate) cooldown: u32,
    /// Further lines of the spec, indented by two.
    pub(crate) spec: &'a str,
}

impl Default for ScaledObject<'_> {
    fn default() -> Self {
        Self { name: "app", address: "127.0.0.1:6379", list: "jobs", polling: 1, cooldown: 10, spec: "" }
    }
}

impl Deployment<'_> {
    /// As JSON, which is YAML too.
    pub(super) fn manifest(&self) -> Value {
        let mut annotations = BTreeMap::from([(STARTUP, self.startup.to_string())]);
        let mut container = json!({"name": "worker", "image": "example.com/worker:1"});
        if let Some(script) = self.script {
            annotations.insert(RUN, "true".to_owned());
            container["command"] = json!(["sh", "-c", script]);
        }
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": self.name},
            "spec": {
                "replicas": self.replicas, "selector": {"matchLabels": {"app": self.name}},
                "template": {
                    "metadata": {"labels": {"app": self.name}, "annotations": annotations},
                    "spec": {"terminationGracePeriodSeconds": self.grace, "containers": [container]},
                },
            },
        })
    }
}

impl ScaledObject<'_> {
    /// As YAML.
    pub(super) fn manifest(&self) -> String {
        let Self { name, address, list, polling, cooldown, spec } = self;
        format!(
            "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {name}
spec:
  scaleTargetRef:
    name: {name}
  pollingInterval: {polling}
  cooldownPeriod: {cooldown}
  maxReplicaCount: 10
{spec}
  triggers:
    - type: redis
      metadata:
        address: {address}
        listName: {list}
        listLength: \"5\"
"
        )
    }
}
