//! The trigger `websocket` against real WebSocket servers and against pods that answer over HTTP, all in this process.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../scripted/cluster.rs"]
mod cluster;
mod credentials;
mod failures;
mod gateway;
mod pods;
mod push;
mod sharing;
mod stream;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_calculator::source::{Deadline, Measured, Occasion, Parameters, ReadError, Reading, Secret, TriggerSpec};
use tidegate_scalers::{Endpoints, Scaler, open};
use tokio::time::{Instant, sleep};

/// What reads are given that should succeed.
const DEADLINE: Deadline = Duration::from_secs(20);

/// How long anything may take that happens by itself: the machine may be busy.
const SOON: Duration = Duration::from_mins(1);

/// A trigger in the making.
#[derive(Clone, Default)]
struct Trigger {
    spec: TriggerSpec,
    parameters: Parameters,
}

impl Trigger {
    fn of(metadata: &[(&str, &str)]) -> Self {
        let (owner, target) = ("shop/orders".into(), Arc::new(cluster::target()));
        let spec = TriggerSpec { kind: "websocket".to_owned(), owner, target, ..TriggerSpec::default() };
        Self { spec, parameters: Parameters::default() }.with(metadata)
    }

    /// The same, with these metadata on top.
    fn with(mut self, metadata: &[(&str, &str)]) -> Self {
        self.spec.metadata.extend(metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
        self
    }

    /// The same, with what an authentication provides.
    fn auth(mut self, pairs: &[(&str, &str)]) -> Self {
        let secrets = pairs.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text)));
        self.parameters.auth = secrets.collect::<BTreeMap<_, _>>();
        self
    }

    fn open(&self, endpoints: &Endpoints) -> Box<dyn Scaler> {
        open(&self.spec, &self.parameters, endpoints).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens it among endpoints of its own and reads once.
    async fn read(&self) -> Result<(i64, bool), ReadError> {
        value(&*self.open(&Endpoints::new())).await
    }
}

/// The value that a trigger reads, in thousandths, and whether it is active.
async fn value(scaler: &dyn Scaler) -> Result<(i64, bool), ReadError> {
    value_within(scaler, DEADLINE).await
}

async fn value_within(scaler: &dyn Scaler, deadline: Deadline) -> Result<(i64, bool), ReadError> {
    let readings = scaler.read(Occasion::Poll, deadline).await?;
    let [(_, Reading { value: Measured::Total(series), active })] = readings.as_slice() else { panic!("{readings:?}") };
    let [value] = series.as_slice() else { panic!("{series:?}") };
    Ok((value.0, *active))
}

/// Reads until the outcome is as wanted, and gives it.
async fn until(
    scaler: &dyn Scaler,
    is_wanted: impl Fn(&Result<(i64, bool), ReadError>) -> bool,
) -> Result<(i64, bool), ReadError> {
    let begun = Instant::now();
    loop {
        let outcome = value(scaler).await;
        if is_wanted(&outcome) {
            return outcome;
        }
        assert!(begun.elapsed() < SOON, "{outcome:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until something is so.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}
