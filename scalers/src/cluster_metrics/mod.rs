//! The triggers on what a cluster's metrics APIs serve: cpu and memory of the pods, and metrics of pods, objects and elsewhere.
//!
//! They read no server of their own: they ask the [`Surroundings`], which a cluster implements. `cpu` and `memory` are KEDA's
//! ([`resource`]); `pods-metric` ([`pods`]), `object-metric` ([`object`]) and `external-metric` ([`external`]) are what a
//! `HorizontalPodAutoscaler` calls Pods, Object and External metrics, with its terms as parameters ([`terms`]).

mod external;
mod object;
mod pods;
mod resource;
mod terms;

use std::collections::HashSet;
use std::future::Future;

use futures::future::try_join;
use tidegate_calculator::hpa::pods::Pod;
use tidegate_calculator::source::{
    Deadline, Measured, MetricSpec, Milli, PodSamples, ReadError, ReadErrorKind, Reading, Readings, TargetRef,
};
use tokio::time::timeout;

use crate::surroundings::Surroundings;

pub(crate) use external::EXTERNAL_METRIC;
pub(crate) use object::OBJECT_METRIC;
pub(crate) use pods::PODS_METRIC;
pub(crate) use resource::{CPU, MEMORY};

/// What an answer gives, or a time-out that names what was asked for.
async fn within<T>(
    deadline: Deadline,
    what: &str,
    answer: impl Future<Output = Result<T, ReadError>>,
) -> Result<T, ReadError> {
    let late = |_| Err(ReadError::query(ReadErrorKind::Timeout, format!("the cluster did not tell {what} in time")));
    timeout(deadline, answer).await.unwrap_or_else(late)
}

/// The target's pods and what is told of them, both asked for at once. Where there are pods, but nothing is told of any, that is an
/// error, as for the HPA (hpa-algorithm §4): no data is no zero. Without pods there is nothing to tell.
///
/// Whoever tells looks at the pods for himself and leaves out what he does not know, so there are two looks, and their order matters. Were
/// the look here the later one, a pod that came between would stand here while its value had been left out: it would count as a pod
/// without a value, which it is not. So the pods are asked for first. The answer comes from memory, before the question for the values is
/// even put; and what is told of a pod that came after it is left out. Such a pod is in neither half, as if all had been read a moment
/// earlier. One that goes in between was marked as deleted before, and does not count. (While pods are listed for the first time both looks
/// wait for the same list, in this order; between them there is no time in which a pod could come and run.)
async fn of_pods<T>(
    surroundings: &dyn Surroundings,
    target: &TargetRef,
    deadline: Deadline,
    what: &str,
    told: impl Future<Output = Result<Vec<T>, ReadError>>,
    pod_of: impl Fn(&T) -> &str,
) -> Result<(Vec<Pod>, Vec<T>), ReadError> {
    // The first one is asked first: this `try_join`, unlike tokio's, always begins with it.
    let (pods, mut told) = within(deadline, what, try_join(surroundings.pods(target, deadline), told)).await?;
    let known: HashSet<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    told.retain(|one| known.contains(pod_of(one)));
    if told.is_empty() && !pods.is_empty() {
        let message = format!("the metrics API tells {what} of none of them");
        return Err(ReadError::query(ReadErrorKind::Unavailable, message));
    }
    Ok((pods, told))
}

/// The readings of a trigger on the target's pods: it is never active.
fn per_pod(metric: &MetricSpec, samples: PodSamples) -> Readings {
    vec![(metric.clone(), Reading { value: Measured::PerPod(samples), active: false })]
}

/// The readings of a trigger on a total, given as its series: it is active above the threshold.
fn total(metric: &MetricSpec, series: Vec<Milli>, activation: Milli) -> Readings {
    let value = Measured::Total(series);
    let active = value.total() > activation;
    vec![(metric.clone(), Reading { value, active })]
}
