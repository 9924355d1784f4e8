//! The triggers `kubernetes-workload` and `kubernetes-resource`, over a cluster that is played.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../scripted/cluster.rs"]
mod cluster;
mod resource;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use tidegate_calculator::source::{Occasion, Parameters, ReadError, TriggerSpec};
use tidegate_scalers::{Endpoints, Known, Scaler, check, open};

use cluster::{Cluster, target};

const DEADLINE: Duration = Duration::from_secs(5);

fn spec(kind: &str, metadata: &[(&str, &str)]) -> TriggerSpec {
    let metadata = metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    TriggerSpec { kind: kind.to_owned(), index: 1, metadata, target: Arc::new(target()), ..TriggerSpec::default() }
}

fn opened(spec: &TriggerSpec, cluster: &Cluster) -> Box<dyn Scaler> {
    open(spec, &Parameters::default(), &Endpoints::within(Arc::new(cluster.clone()))).unwrap()
}

/// The value in thousandths, and whether the trigger is active.
async fn read(spec: &TriggerSpec, cluster: &Cluster) -> Result<(i64, bool), ReadError> {
    let readings = opened(spec, cluster).read(Occasion::Poll, DEADLINE).await?;
    let [(_, reading)] = readings.as_slice() else { panic!("{readings:?}") };
    Ok((reading.value.total().0, reading.active))
}

fn errors(spec: &TriggerSpec) -> Vec<String> {
    check(spec, Known::Nothing, Known::Nothing).errors.iter().map(ToString::to_string).collect()
}
