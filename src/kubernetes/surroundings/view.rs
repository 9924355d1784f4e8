//! What is kept of a pod: what a HorizontalPodAutoscaler looks at, and nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use tidegate_calculator::hpa::pods::{Container, Phase, Pod, Readiness};
use tidegate_calculator::hpa::quantity::Quantity;
use tidegate_calculator::time::Tick;
use tidegate_scalers::{PodAddress, Standing};

/// The conditions of a pod are written when it is started, or in the second after: times have no fractions.
const AT_ONCE: i64 = 1;

/// A pod as the API server shows it, but for what nobody here looks at.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PodView {
    #[serde(default, deserialize_with = "trimmed")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    containers: Vec<ContainerView>,
    init_containers: Vec<ContainerView>,
    resources: Resources,
    node_name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerView {
    name: String,
    restart_policy: Option<String>,
    resources: Resources,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    start_time: Option<Timestamp>,
    conditions: Vec<Condition>,
    #[serde(rename = "podIP")]
    pod_ip: String,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    state: State,
}

/// Which one of its fields is there says how a container is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    running: Option<IgnoredAny>,
    waiting: Option<IgnoredAny>,
    terminated: Option<IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    r#type: String,
    status: String,
    last_transition_time: Option<Timestamp>,
}

/// The parts of `metadata` that are kept.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    deletion_timestamp: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
}

/// A pod with its times on the clock on the wall: they become ticks when somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// All but its times.
    pod: Pod,
    started: Option<Timestamp>,
    /// Since when it is ready or not.
    since: Timestamp,
    /// Where it runs; none as long as no node was found for it. Pods of one node share the text with nobody: it is short.
    node: Option<Box<str>>,
    /// None until its network is there.
    ip: Option<IpAddr>,
    /// Whether its containers are known, and none of them runs.
    is_still: bool,
}

/// `metadata` without what nobody here looks at.
pub(super) fn trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let kept = Metadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: kept.name,
        namespace: kept.namespace,
        resource_version: kept.resource_version,
        labels: kept.labels,
        deletion_timestamp: kept.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

impl Resource for PodView {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl PodView {
    /// Its name; empty if it is unnamed, which no API server stores.
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// What is kept of it.
    pub(super) fn keep(self) -> Kept {
        let Self { metadata, spec, status } = self;
        let ready = status.conditions.into_iter().find(|condition| condition.r#type == "Ready");
        let since = ready.as_ref().and_then(|ready| ready.last_transition_time).unwrap_or(Timestamp::UNIX_EPOCH);
        let readiness = |ready: Condition| Readiness { status: truth(&ready.status), since: Tick(0) };
        let containers = |list: Vec<ContainerView>| list.into_iter().map(ContainerView::keep).collect();
        let pod = Pod {
            name: metadata.name.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            phase: phase(&status.phase),
            deleted: metadata.deletion_timestamp.is_some(),
            started: None,
            ready: ready.map(readiness),
            containers: containers(spec.containers),
            init_containers: containers(spec.init_containers),
            requests: spec.resources.milli(),
        };
        let still = |status: &ContainerStatus| {
            status.state.running.is_none() && (status.state.waiting.is_some() || status.state.terminated.is_some())
        };
        Kept {
            pod,
            started: status.start_time,
            since,
            node: (!spec.node_name.is_empty()).then(|| spec.node_name.into_boxed_str()),
            ip: status.pod_ip.parse().ok(),
            is_still: !status.container_statuses.is_empty() && status.container_statuses.iter().all(still),
        }
    }
}

impl ContainerView {
    fn keep(self) -> Container {
        Container {
            name: self.name,
            requests: self.resources.milli(),
            restartable: self.restart_policy.as_deref() == Some("Always"),
        }
    }
}

impl Resources {
    /// In thousandths. What is no quantity is left out: then its request is missing, and whoever needs it says so.
    fn milli(self) -> BTreeMap<String, i64> {
        let milli = |(resource, text): (String, String)| {
            let quantity: Quantity = text.parse().ok()?;
            Some((resource, quantity.to_milli_saturating().0))
        };
        self.requests.into_iter().filter_map(milli).collect()
    }
}

impl Kept {
    /// Its labels.
    pub(super) fn labels(&self) -> &BTreeMap<String, String> {
        &self.pod.labels
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.pod.name
    }

    /// Whether it is Running and Ready, terminating or not.
    pub(super) fn is_ready(&self) -> bool {
        self.pod.is_ready()
    }

    /// Whether it is over: no process of it runs any more, and none will.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.pod.phase, Phase::Succeeded | Phase::Failed)
    }

    /// The name of its node, once it has one.
    pub(super) fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// Where it is reached, and what can be expected of it.
    pub(super) fn place(&self) -> PodAddress {
        PodAddress { name: self.pod.name.clone(), ip: self.ip, standing: self.standing() }
    }

    fn standing(&self) -> Standing {
        if self.pod.phase != Phase::Running && self.pod.phase != Phase::Unknown || self.is_still {
            Standing::Still
        } else if self.pod.deleted {
            Standing::Leaving
        } else if self.was_never_ready() {
            Standing::Starting
        } else {
            Standing::Serving
        }
    }

    /// A pod that becomes unready has been ready, so its condition has changed after it was started. What is not told is no proof.
    fn was_never_ready(&self) -> bool {
        let unready = self.pod.ready.is_some_and(|ready| ready.status == Some(false));
        let changed = |started: Timestamp| self.since.as_second().saturating_sub(started.as_second());
        unready && self.started.is_some_and(|started| changed(started) <= AT_ONCE)
    }

    /// The pod, with its times counted from `now`.
    pub(super) fn seen_at(&self, now: Timestamp) -> Pod {
        let mut pod = self.pod.clone();
        pod.started = self.started.map(|at| tick(at, now));
        if let Some(readiness) = &mut pod.ready {
            readiness.since = tick(self.since, now);
        }
        pod
    }
}

/// A moment counted from another one.
pub(super) fn tick(at: Timestamp, now: Timestamp) -> Tick {
    Tick(at.as_millisecond().saturating_sub(now.as_millisecond()))
}

fn phase(text: &str) -> Phase {
    match text {
        "Pending" => Phase::Pending,
        "Running" => Phase::Running,
        "Succeeded" => Phase::Succeeded,
        "Failed" => Phase::Failed,
        _ => Phase::Unknown,
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}
