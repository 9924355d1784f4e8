//! The triggers on what a cluster itself knows: how many pods there are of something, and a number in a ConfigMap or a Secret.
//!
//! They ask the [`Surroundings`](crate::surroundings::Surroundings), which answer from watches: a poll costs the API server nothing, and
//! a change wakes the trigger at once. [`workload`] is KEDA's `kubernetes-workload`, [`resource`] its `kubernetes-resource` (keda-semantics
//! §5.12, §5.13).

mod resource;
mod value;
mod workload;

use std::future::Future;

use tidegate_calculator::source::{Deadline, Measured, MetricSpec, ReadError, ReadErrorKind, Reading, Readings};
use tokio::time::timeout;

use crate::metric::reported;

pub(crate) use resource::RESOURCE;
pub(crate) use workload::WORKLOAD;

/// What the cluster says, or a time-out that names what was asked for.
async fn within<T>(
    deadline: Deadline,
    what: &str,
    answer: impl Future<Output = Result<T, ReadError>>,
) -> Result<T, ReadError> {
    let late = |_| Err(ReadError::query(ReadErrorKind::Timeout, format!("the cluster did not tell {what} in time")));
    timeout(deadline, answer).await.unwrap_or_else(late)
}

/// The readings of a trigger: it is active above the threshold.
fn readings(metric: &MetricSpec, value: f64, activation: f64) -> Readings {
    let reading = Reading { value: Measured::Total(vec![reported(value)]), active: value > activation };
    vec![(metric.clone(), reading)]
}
