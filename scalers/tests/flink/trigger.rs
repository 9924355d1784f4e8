//! Triggers in the making, and what they read.

use std::time::{Duration, Instant};

use tidegate_calculator::source::{
    Deadline, Measured, Occasion, Parameters, ReadError, ReadErrorKind, Reading, Secret, TriggerSpec,
};
use tidegate_scalers::{Endpoints, Scaler, open};
use tokio::time::sleep;

use crate::cluster::PATIENCE;

/// What reads are given that should succeed.
pub(crate) const DEADLINE: Deadline = Duration::from_secs(20);

/// A trigger in the making.
#[derive(Clone, Default)]
pub(crate) struct Trigger {
    spec: TriggerSpec,
    parameters: Parameters,
}

/// A value in thousandths with its activity, or why there is none.
pub(crate) type Told = Result<(i64, bool), (ReadErrorKind, String)>;

impl Trigger {
    /// A trigger on this metric of the job `enrich`, or of the cluster.
    pub(crate) fn new(url: &str, metric: &str) -> Self {
        let spec = TriggerSpec { kind: "flink".to_owned(), owner: "shop/enrich".into(), ..TriggerSpec::default() };
        let base = [("restUrl", url), ("job", "enrich"), ("metric", metric), ("targetValue", "1")];
        Self { spec, parameters: Parameters::default() }.with(&base)
    }

    /// The same, with these metadata on top.
    pub(crate) fn with(mut self, metadata: &[(&str, &str)]) -> Self {
        self.spec.metadata.extend(metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
        self
    }

    /// The same, without some metadata.
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.spec.metadata.retain(|name, _| !names.contains(&name.as_str()));
        self
    }

    /// The same, with what an authentication provides.
    pub(crate) fn auth(mut self, pairs: &[(&str, &str)]) -> Self {
        self.parameters.auth.extend(pairs.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text))));
        self
    }

    pub(crate) fn open(&self, endpoints: &Endpoints) -> Box<dyn Scaler> {
        open(&self.spec, &self.parameters, endpoints).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens it among endpoints of its own and reads once.
    pub(crate) async fn read(&self) -> Told {
        value(&*self.open(&Endpoints::new())).await
    }
}

/// What a trigger reads.
pub(crate) async fn value(scaler: &dyn Scaler) -> Told {
    told(scaler.read(Occasion::Poll, DEADLINE).await)
}

/// The one value of some readings.
pub(crate) fn told(readings: Result<tidegate_calculator::source::Readings, ReadError>) -> Told {
    let readings = readings.map_err(|error| (error.kind, error.message))?;
    let [(_, Reading { value: Measured::Total(series), active })] = readings.as_slice() else { panic!("{readings:?}") };
    let [value] = series.as_slice() else { panic!("{series:?}") };
    Ok((value.0, *active))
}

/// Reads every half second until `wanted` has held for three reads in a row; the result is all that was read before.
pub(crate) async fn until(what: &str, scaler: &dyn Scaler, wanted: impl Fn(&Told) -> bool) -> Vec<Told> {
    let (begun, mut before, mut held) = (Instant::now(), Vec::new(), 0);
    loop {
        let told = value(scaler).await;
        held = if wanted(&told) { held + 1 } else { 0 };
        if held == 3 {
            return before;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}; the last was {told:?}");
        before.push(told);
        sleep(Duration::from_millis(500)).await;
    }
}

/// Whether a value is within a share of what is expected, in thousandths.
pub(crate) fn near(told: &Told, expected: i64, share: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "the values of these tests are small")]
    told.as_ref().is_ok_and(|(value, _)| ((value - expected) as f64).abs() <= share * expected as f64)
}

/// The class of an error.
pub(crate) fn kind(told: &Told) -> Option<ReadErrorKind> {
    told.as_ref().err().map(|(kind, _)| *kind)
}
