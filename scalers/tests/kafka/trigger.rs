//! The triggers that are read here, and the brokers that most tests share.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use tidegate_calculator::source::{Deadline, Occasion, Parameters, ReadError, Reading, Secret, TriggerSpec};
use tidegate_scalers::{Endpoints, Scaler, open};
use tokio::time::{Instant, sleep};

use crate::brokers::{self, Kafka, Plan};

/// What reads are given that should succeed.
pub(crate) const DEADLINE: Deadline = Duration::from_secs(15);

/// Whether brokers of this version can be started. Outside of CI a test that needs them is skipped without.
pub(crate) fn available(version: &str) -> bool {
    let Some(missing) = brokers::missing(version) else { return true };
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "needed in CI: {missing}");
    println!("skipped: needs {missing}");
    false
}

/// The newest broker, with all kinds of listeners. Each test uses topics and groups of its own and does it no harm. It ends with
/// this process.
pub(crate) fn shared() -> Option<&'static Kafka> {
    static SHARED: OnceLock<Option<Kafka>> = OnceLock::new();
    let start = || {
        let kafka = Kafka::start(&Plan::new(brokers::NEWEST).secured());
        kafka.admin().ready_for_groups();
        kafka
    };
    SHARED.get_or_init(|| available(brokers::NEWEST).then(start)).as_ref()
}

/// A trigger in the making.
#[derive(Clone, Default)]
pub(crate) struct Trigger {
    spec: TriggerSpec,
    parameters: Parameters,
}

impl Trigger {
    /// On these brokers, for this group, with a threshold that no lag here reaches.
    pub(crate) fn new(bootstrap: &str, group: &str) -> Self {
        let spec = TriggerSpec { kind: "kafka".to_owned(), owner: "tests/one".into(), ..TriggerSpec::default() };
        let base = [("bootstrapServers", bootstrap), ("consumerGroup", group), ("lagThreshold", "1000000")];
        Self { spec, parameters: Parameters::default() }.with(&base)
    }

    /// The same, with these metadata on top.
    pub(crate) fn with(mut self, metadata: &[(&str, &str)]) -> Self {
        self.spec.metadata.extend(metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
        self
    }

    /// The same, without what was given an empty text.
    pub(crate) fn without_empty(mut self) -> Self {
        self.spec.metadata.retain(|_, text| !text.is_empty());
        self
    }

    /// The same, as another trigger type.
    pub(crate) fn kind(mut self, kind: &str) -> Self {
        kind.clone_into(&mut self.spec.kind);
        self
    }

    /// The same, with what an authentication provides.
    pub(crate) fn auth(mut self, pairs: &[(&str, &str)]) -> Self {
        let secrets = pairs.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text)));
        self.parameters.auth.extend(secrets.collect::<BTreeMap<_, _>>());
        self
    }

    pub(crate) fn open(&self, endpoints: &Endpoints) -> Box<dyn Scaler> {
        open(&self.spec, &self.parameters, endpoints).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens it among endpoints of its own and reads once.
    pub(crate) async fn read(&self) -> Result<(i64, bool), ReadError> {
        lag(&*self.open(&Endpoints::new())).await
    }
}

/// The lag that a poll reads, and whether the trigger is active.
pub(crate) async fn lag(scaler: &dyn Scaler) -> Result<(i64, bool), ReadError> {
    lag_on(scaler, Occasion::Poll, DEADLINE).await
}

/// The lag that is read on this occasion.
pub(crate) async fn lag_on(
    scaler: &dyn Scaler,
    occasion: Occasion,
    deadline: Deadline,
) -> Result<(i64, bool), ReadError> {
    let readings = scaler.read(occasion, deadline).await?;
    let [(_, Reading { value, active })] = readings.as_slice() else { panic!("one metric: {readings:?}") };
    Ok((value.total().0 / 1000, *active))
}

/// Tries again until it is so.
pub(crate) async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + brokers::PATIENCE;
    while !so().await {
        assert!(Instant::now() < until, "not in time: {what}");
        sleep(Duration::from_millis(100)).await;
    }
}
