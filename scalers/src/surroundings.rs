//! What triggers see of the cluster around them: the target's pods, and the numbers that the metrics APIs serve.
//!
//! A cluster implements [`Surroundings`]; where there is none, [`Nowhere`] says so. Triggers that read servers of their own never
//! look here.

use std::fmt;

use async_trait::async_trait;
use tidegate_calculator::hpa::pods::Pod;
use tidegate_calculator::hpa::samples::{PodUsage, PodValue};
use tidegate_calculator::source::{Deadline, Milli, ReadError, ReadErrorKind, TargetRef};

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
        let why = "this trigger asks a cluster for the endpoints of a Service, and there is no cluster here";
        Err(ReadError::query(ReadErrorKind::Config, why))
    }
}

/// No cluster at all: every question is an error that says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

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
