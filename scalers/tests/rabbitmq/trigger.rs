//! The triggers that the tests read, and the server that most of them share.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use tidegate_calculator::source::{
    Deadline, ErrorScope, Measured, Occasion, Parameters, ReadError, ReadErrorKind, Reading, Secret, TriggerSpec,
};
use tidegate_scalers::{Endpoints, Scaler, open};
use tokio::time::{Instant, sleep};

use crate::server::{Plan, Rabbit, missing};

/// Long enough for a busy machine; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// What reads are given that should succeed.
pub(crate) const DEADLINE: Deadline = Duration::from_secs(20);

/// The server that every test may use which changes nothing but virtual hosts of its own. It ends with the process.
pub(crate) fn shared() -> Option<&'static Rabbit> {
    static SHARED: OnceLock<Option<Rabbit>> = OnceLock::new();
    SHARED.get_or_init(|| own(&Plan::default())).as_ref()
}

/// A server of one test's own, or a word why the test is skipped.
pub(crate) fn own(plan: &Plan) -> Option<Rabbit> {
    if let Some(what) = missing() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "required in CI: {what}");
        println!("skipped: there is no {what}");
        return None;
    }
    Some(Rabbit::start(plan))
}

/// A trigger in the making.
#[derive(Clone, Default)]
pub(crate) struct Trigger {
    spec: TriggerSpec,
    parameters: Parameters,
}

impl Trigger {
    /// A trigger on a queue, with KEDA's target of 20 messages.
    pub(crate) fn new(host: &str, queue: &str) -> Self {
        let spec = TriggerSpec { kind: "rabbitmq".to_owned(), owner: "shop/orders".into(), ..TriggerSpec::default() };
        Self { spec, parameters: Parameters::default() }.with(&[("host", host), ("queueName", queue)])
    }

    /// The same, with these metadata on top.
    pub(crate) fn with(mut self, metadata: &[(&str, &str)]) -> Self {
        self.spec.metadata.extend(metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
        self
    }

    /// The same in another mode, with a target of 1.
    pub(crate) fn mode(self, mode: &str) -> Self {
        self.with(&[("mode", mode), ("value", "1")])
    }

    /// The same, with what an authentication provides.
    pub(crate) fn auth(mut self, pairs: &[(&str, &str)]) -> Self {
        let secrets = pairs.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text)));
        self.parameters.auth = secrets.collect::<BTreeMap<_, _>>();
        self
    }

    pub(crate) fn open(&self, endpoints: &Endpoints) -> Box<dyn Scaler> {
        open(&self.spec, &self.parameters, endpoints).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens it among endpoints of its own and reads once.
    pub(crate) async fn read(&self) -> Outcome {
        value(&*self.open(&Endpoints::new())).await
    }

    /// Reads until this is the answer. The management API's numbers are some seconds old.
    pub(crate) async fn eventually(&self, expected: (i64, bool)) {
        let scaler = self.open(&Endpoints::new());
        let mut last = None;
        let until = Instant::now() + PATIENCE;
        while last != Some(Ok((expected.0 * 1000, expected.1))) {
            assert!(Instant::now() < until, "not in time: {expected:?}; last was {last:?}");
            last = Some(value(&*scaler).await);
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What a read gives: the value in thousandths, and whether the trigger is active.
pub(crate) type Outcome = Result<(i64, bool), ReadError>;

pub(crate) async fn value(scaler: &dyn Scaler) -> Outcome {
    value_within(scaler, DEADLINE).await
}

pub(crate) async fn value_within(scaler: &dyn Scaler, deadline: Deadline) -> Outcome {
    let readings = scaler.read(Occasion::Poll, deadline).await?;
    let [(_, Reading { value: Measured::Total(series), active })] = readings.as_slice() else { panic!("{readings:?}") };
    let [value] = series.as_slice() else { panic!("{series:?}") };
    Ok((value.0, *active))
}

/// A failure's class.
pub(crate) fn class(outcome: &Outcome) -> (ReadErrorKind, ErrorScope) {
    let error = outcome.as_ref().expect_err("a failure");
    (error.kind, error.scope)
}

/// Tries again until it is so.
pub(crate) async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so().await {
        assert!(Instant::now() < until, "not in time: {what}");
        sleep(Duration::from_millis(100)).await;
    }
}
