//! What the pods request: what a utilization is a percentage of (hpa-algorithm §5).

use std::collections::BTreeMap;

use crate::hpa::pods::{Container, Pod};

/// Requests that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestsError {
    /// A container does not request the resource.
    #[error("missing request for {resource} in container {container} of Pod {pod}")]
    Missing {
        /// The resource.
        resource: String,
        /// The container.
        container: String,
        /// The pod.
        pod: String,
    },
    /// The pod sets requests of its own, but not of this resource.
    #[error("missing pod-level request for {resource} in Pod {pod}")]
    MissingOfPod {
        /// The resource.
        resource: String,
        /// The pod.
        pod: String,
    },
    /// The named container is not there.
    #[error("container {container} not found in Pod {pod}")]
    NoContainer {
        /// The container.
        container: String,
        /// The pod.
        pod: String,
    },
}

impl RequestsError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::MissingOfPod { .. } => "RequestMissing",
            Self::NoContainer { .. } => "ContainerNotFound",
        }
    }
}

/// What every pod requests of a resource, in thousandths. All listed pods are looked at, also failed, deleted and unready ones.
pub fn of_pods<'a>(
    pods: &[&'a Pod],
    resource: &str,
    container: Option<&str>,
    pod_level: bool,
) -> Result<BTreeMap<&'a str, i64>, RequestsError> {
    let request = |pod: &&'a Pod| {
        let request = match container {
            Some(name) => named(pod, resource, name)?,
            None if pod_level && !pod.requests.is_empty() => pod
                .requests
                .get(resource)
                .copied()
                .ok_or_else(|| RequestsError::MissingOfPod { resource: resource.to_owned(), pod: pod.name.clone() })?,
            None => all(pod, resource)?,
        };
        Ok((pod.name.as_str(), request))
    };
    pods.iter().map(request).collect()
}

/// The containers and the init containers that run beside them.
fn running(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.containers.iter().chain(pod.init_containers.iter().filter(|container| container.restartable))
}

fn all(pod: &Pod, resource: &str) -> Result<i64, RequestsError> {
    running(pod).try_fold(0_i64, |sum, container| Ok(sum.saturating_add(of(pod, container, resource)?)))
}

fn named(pod: &Pod, resource: &str, name: &str) -> Result<i64, RequestsError> {
    let found = running(pod).find(|container| container.name == name);
    let missing = || RequestsError::NoContainer { container: name.to_owned(), pod: pod.name.clone() };
    of(pod, found.ok_or_else(missing)?, resource)
}

fn of(pod: &Pod, container: &Container, resource: &str) -> Result<i64, RequestsError> {
    container.requests.get(resource).copied().ok_or_else(|| RequestsError::Missing {
        resource: resource.to_owned(),
        container: container.name.clone(),
        pod: pod.name.clone(),
    })
}
