//! What triggers see of the cluster around them: the target's pods, and the numbers that the metrics APIs serve.
//!
//! A cluster implements [`Surroundings`]; where there is none, [`Nowhere`] says so. Triggers that read servers of their own never
//! look here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::hpa::pods::Pod;
use tidegate_calculator::hpa::samples::{PodUsage, PodValue};
use tidegate_calculator::hpa::selector::Selector;
use tidegate_calculator::source::{Deadline, Milli, ReadError, ReadErrorKind, Secret, TargetRef, Wake};

use crate::scaler::Watch;

/// A metric of the custom or external metrics API: its name, and a label selector in its text form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetricQuery {
    /// `metric.name` of an HPA's metric.
    pub name: String,
    /// `metric.selector` as text (`queue=jobs,tier in (a,b)`); empty if none.
    pub selector: String,
}

/// An object that a metric describes (`describedObject` of an HPA's Object metric). It lives in the trigger's namespace, but for a
/// Namespace itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Described {
    /// `apiVersion`; empty for the first group that has the kind.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `name`.
    pub name: String,
}

/// An address behind a Service that is ready, with the ports of its EndpointSlice: those of the pods, not of the Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceEndpoint {
    /// An IP address, or a name where the slice has names.
    pub address: String,
    /// The slice's port numbers.
    pub ports: Vec<u16>,
}

/// A pod that lives, as far as counting it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPlace {
    /// The name of its node; none as long as no node was found for it.
    pub node: Option<String>,
}

/// Where a pod of a target is reached, and what can be expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodAddress {
    /// Its name.
    pub name: String,
    /// None until its network is there.
    pub ip: Option<IpAddr>,
    /// What can be expected of it.
    pub standing: Standing,
}

/// What a pod is about to do, and so what its silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No process of it runs: it waits for a node or an image, has crashed, or has ended. It holds nothing.
    Still,
    /// It runs and was never Ready so far: nobody was sent to it yet.
    Starting,
    /// It is Ready, or has been: what it holds is known to itself alone.
    Serving,
    /// It is being terminated.
    Leaving,
}

/// A kind of objects that hold texts by keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HolderKind {
    /// Its `data`; its `binaryData` is not looked at.
    ConfigMap,
    /// Its `data`, decoded.
    Secret,
}

/// One object that holds texts by keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its kind.
    pub kind: HolderKind,
    /// Its name.
    pub name: String,
}

/// The texts of a [`Holder`] by their keys.
pub type Texts = Arc<BTreeMap<String, Secret>>;

impl fmt::Display for HolderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        })
    }
}

impl fmt::Display for Holder {
    /// `ConfigMap shop/limits`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// What cpu, memory and per-pod triggers see of the cluster.
///
/// Times in the answers are ticks counted from the moment of the answer: what was 20 s before it is -20 s. What cannot be seen is an
/// error, never an empty answer; a pod that a metrics API does not tell of is missing from the answer, and so is no zero.
/// One request to the API server serves everybody who asks about one namespace at the same moment.
#[async_trait]
pub trait Surroundings: fmt::Debug + Send + Sync {
    /// The pods that the target's selector matches, with what they request.
    async fn pods(&self, target: &TargetRef, deadline: Deadline) -> Result<Vec<Pod>, ReadError>;

    /// What those pods use of a resource such as `cpu` (metrics.k8s.io).
    async fn usages(&self, target: &TargetRef, resource: &str, deadline: Deadline) -> Result<Vec<PodUsage>, ReadError>;

    /// One value of a custom metric a pod (custom.metrics.k8s.io).
    async fn pod_values(
        &self,
        target: &TargetRef,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Vec<PodValue>, ReadError>;

    /// The value of a custom metric of one object (custom.metrics.k8s.io).
    async fn object_value(
        &self,
        namespace: &str,
        object: &Described,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Milli, ReadError>;

    /// All series of an external metric (external.metrics.k8s.io), unsummed. Never empty: no series is an error, as for the HPA.
    async fn external_values(
        &self,
        namespace: &str,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Vec<Milli>, ReadError>;

    /// The addresses behind a Service that are ready (discovery.k8s.io EndpointSlices with the label
    /// `kubernetes.io/service-name`; an endpoint that says nothing of being ready is). A Service without any has none: that is an answer.
    async fn endpoints(
        &self,
        _namespace: &str,
        _service: &str,
        _deadline: Deadline,
    ) -> Result<Vec<ServiceEndpoint>, ReadError> {
        absent("the endpoints of a Service")
    }

    /// The pods of a namespace that a selector matches and that have not ended: those in phase Succeeded or Failed are left out, those
    /// that are being terminated are not. From what a watch has shown: it costs no request.
    async fn pods_selected(
        &self,
        _namespace: &Arc<str>,
        _selector: &Selector,
        _deadline: Deadline,
    ) -> Result<Vec<PodPlace>, ReadError> {
        absent("the pods that a selector matches")
    }

    /// Wakes when [`Self::pods_selected`] may answer otherwise; none where nothing changes.
    fn follow_pods(&self, _namespace: &Arc<str>, _selector: &Selector, _wake: Wake) -> Option<Watch> {
        None
    }

    /// Where the pods are reached that the target's selector matches, from what a watch has shown. A target without pods has none: that
    /// is an answer.
    async fn addresses(&self, _target: &TargetRef, _deadline: Deadline) -> Result<Vec<PodAddress>, ReadError> {
        absent("the addresses of pods")
    }

    /// The texts of a ConfigMap or a Secret by their keys, from what a watch of this object has shown; none if there is no such object.
    async fn texts(&self, _holder: &Holder, _deadline: Deadline) -> Result<Option<Texts>, ReadError> {
        absent("the contents of a ConfigMap or a Secret")
    }

    /// Wakes when [`Self::texts`] may answer otherwise; none where nothing changes.
    fn follow_texts(&self, _holder: &Holder, _wake: Wake) -> Option<Watch> {
        None
    }
}

/// No cluster at all: every question is an error that says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

/// The answer of a cluster that cannot be asked for this.
fn absent<T>(what: &str) -> Result<T, ReadError> {
    let why = format!("this trigger asks a cluster for {what}, and there is no cluster here");
    Err(ReadError::query(ReadErrorKind::Config, why))
}

fn nowhere<T>() -> Result<T, ReadError> {
    let why = "this trigger asks the cluster's metrics APIs, and there is no cluster here";
    Err(ReadError::query(ReadErrorKind::Config, why))
}

#[async_trait]
impl Surroundings for Nowhere {
    async fn pods(&self, _: &TargetRef, _: Deadline) -> Result<Vec<Pod>, ReadError> {
        nowhere()
    }

    async fn usages(&self, _: &TargetRef, _: &str, _: Deadline) -> Result<Vec<PodUsage>, ReadError> {
        nowhere()
    }

    async fn pod_values(&self, _: &TargetRef, _: &MetricQuery, _: Deadline) -> Result<Vec<PodValue>, ReadError> {
        nowhere()
    }

    async fn object_value(&self, _: &str, _: &Described, _: &MetricQuery, _: Deadline) -> Result<Milli, ReadError> {
        nowhere()
    }

    async fn external_values(&self, _: &str, _: &MetricQuery, _: Deadline) -> Result<Vec<Milli>, ReadError> {
        nowhere()
    }
}
