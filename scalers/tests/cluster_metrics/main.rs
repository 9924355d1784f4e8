//! The triggers on the cluster's metrics APIs, over a cluster that is played.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../scripted/cluster.rs"]
mod cluster;
mod pods;
mod totals;

use std::sync::Arc;
use std::time::Duration;

use tidegate_calculator::source::{MetricSpec, MetricType, Occasion, Parameters, ReadError, Reading, TriggerSpec};
use tidegate_scalers::{Endpoints, Known, Scaler, check, open};

use cluster::{Cluster, target};

const DEADLINE: Duration = Duration::from_secs(5);

fn spec(kind: &str, metric_type: MetricType, metadata: &[(&str, &str)]) -> TriggerSpec {
    let metadata = metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    let (kind, target) = (kind.to_owned(), Arc::new(target()));
    TriggerSpec { kind, index: 2, metadata, metric_type, target, ..TriggerSpec::default() }
}

fn opened(spec: &TriggerSpec, cluster: &Cluster) -> Box<dyn Scaler> {
    open(spec, &Parameters::default(), &Endpoints::within(Arc::new(cluster.clone()))).unwrap()
}

/// The one metric of a trigger and its reading.
async fn read(spec: &TriggerSpec, cluster: &Cluster) -> Result<(MetricSpec, Reading), ReadError> {
    let mut readings = opened(spec, cluster).read(Occasion::Poll, DEADLINE).await?;
    assert_eq!(readings.len(), 1);
    Ok(readings.remove(0))
}

fn errors(spec: &TriggerSpec) -> Vec<String> {
    check(spec, Known::Nothing, Known::Nothing).errors.iter().map(ToString::to_string).collect()
}
