//! The triggers `external` and `external-push`: a server of the user's own says over gRPC how much work waits.
//!
//! What such a server must offer stands in `scalers/proto/externalscaler.proto` ([`wire`] is made of it); what its messages
//! mean is pure ([`metrics`]). All triggers of one server share its connections ([`server`], [`mod@line`]). With
//! `external-push` the server may also ask for a reading at any moment ([`push`]).

mod address;
mod declaration;
mod failures;
mod line;
mod metrics;
mod push;
mod server;
#[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub, rust_2018_idioms, reason = "generated")]
mod wire;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, MetricType, Milli, Occasion, ReadError, ReadErrorKind, Reading,
    Readings, TriggerSpec, Wake,
};
use tokio::time::Instant;

use crate::endpoint::{Endpoints, lock};
use crate::parameters::Values;
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use metrics::Metric;
use server::ServerHandle;
use wire::{GetMetricSpecResponse, GetMetricsRequest, ScaledObjectRef};

/// For how long the metrics that a server named count before it is asked again.
const KEPT: Duration = Duration::from_mins(1);

/// The registry's entry of the type that is polled.
pub(crate) const EXTERNAL: TriggerType = TriggerType {
    name: "external",
    summary: "What a server of your own says over gRPC, by KEDA's contract for external scalers.",
    parameters: declaration::PARAMETERS,
    example: "\
- type: external
  metadata:
    scalerAddress: orders-scaler.shop.svc.cluster.local:9090
    queue: orders
",
    example_metadata: &[("scalerAddress", "orders-scaler.shop.svc.cluster.local:9090"), ("queue", "orders")],
    scaler: "externalScaler",
    notes: concat!(include_str!("notes/external.md"), include_str!("notes/common.md")),
    check: declaration::check,
    open: |spec, values, endpoints| open(spec, values, endpoints, false),
};

/// The registry's entry of the type that also listens.
pub(crate) const EXTERNAL_PUSH: TriggerType = TriggerType {
    name: "external-push",
    summary: "What a server of your own says over gRPC, which may ask for a reading at any moment.",
    example: "\
- type: external-push
  metadata:
    scalerAddress: orders-scaler.shop.svc.cluster.local:9090
    queue: orders
",
    scaler: "externalPushScaler",
    notes: concat!(include_str!("notes/push.md"), include_str!("notes/common.md")),
    open: |spec, values, endpoints| open(spec, values, endpoints, true),
    ..EXTERNAL
};

/// One built trigger.
struct ExternalScaler {
    trigger: Arc<Trigger>,
    pushes: bool,
}

/// What a reading and the streams of one trigger share.
struct Trigger {
    server: ServerHandle,
    reference: ScaledObjectRef,
    index: u8,
    metric_type: MetricType,
    known: Mutex<Option<Known>>,
}

/// The metrics that the server named last.
#[derive(Clone)]
struct Known {
    metrics: Arc<[Metric]>,
    until: Until,
}

/// For how long they count.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    /// Until a moment, and as long as there is no other connection than this.
    Moment(Instant, u64),
    /// Until the stream ends that told them.
    Stream,
}

fn open(
    spec: &TriggerSpec,
    values: &Values,
    endpoints: &Endpoints,
    pushes: bool,
) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let settings = declaration::settings(spec, values).ok_or_else(incomplete)?;
    let declaration::Settings { place, reference, index, metric_type } = settings;
    let server = ServerHandle::open(endpoints, &place);
    let trigger = Trigger { server, reference, index, metric_type, known: Mutex::new(None) };
    Ok(Box::new(ExternalScaler { trigger: Arc::new(trigger), pushes }))
}

#[async_trait]
impl Scaler for ExternalScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.trigger.server.id())
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        self.trigger.read(Instant::now() + deadline).await
    }

    fn watch(&self, wake: Wake) -> Option<Watch> {
        if self.pushes { push::watch(&self.trigger, wake) } else { None }
    }
}

impl Trigger {
    async fn read(&self, until: Instant) -> Result<Readings, ReadError> {
        if let Some(known) = self.still_known() {
            match self.values(&known.metrics, until).await {
                Ok(values) => {
                    let active = self.is_active(until).await?;
                    // Another server may have taken over in between; what it measures need not be the same.
                    if self.still_known().is_some() {
                        return Ok(readings(&known.metrics, values, active));
                    }
                }
                Err(error) if is_about_metrics(&error) => self.forget(),
                Err(error) => return Err(error),
            }
        }
        let metrics = self.ask_metrics(until).await?;
        let values = self.values(&metrics, until).await.inspect_err(|error| {
            if is_about_metrics(error) {
                self.forget();
            }
        })?;
        let active = self.is_active(until).await?;
        Ok(readings(&metrics, values, active))
    }

    /// The metrics that need not be asked for again.
    fn still_known(&self) -> Option<Known> {
        let known = lock(&self.known).clone()?;
        let counts = match known.until {
            Until::Moment(moment, connection) => Instant::now() < moment && connection == self.server.connections(),
            Until::Stream => true,
        };
        counts.then_some(known)
    }

    fn forget(&self) {
        *lock(&self.known) = None;
    }

    async fn ask_metrics(&self, until: Instant) -> Result<Arc<[Metric]>, ReadError> {
        let call = |mut client: line::Client, request| async move { client.get_metric_spec(request).await };
        let said = self.server.ask("GetMetricSpec", &self.reference, until, call).await?;
        let connection = self.server.connections();
        self.learn(&said, Until::Moment(Instant::now() + KEPT, connection))
    }

    /// Takes over what the server says of its metrics, and says whether it is new.
    fn learn(&self, said: &GetMetricSpecResponse, until: Until) -> Result<Arc<[Metric]>, ReadError> {
        let metrics = metrics::metrics(said, self.index, self.metric_type);
        let metrics: Arc<[Metric]> = metrics.map_err(|error| self.server.named(&error))?.into();
        *lock(&self.known) = Some(Known { metrics: Arc::clone(&metrics), until });
        Ok(metrics)
    }

    /// What each metric shows, all of them asked side by side.
    async fn values(&self, metrics: &[Metric], until: Instant) -> Result<Vec<Vec<Milli>>, ReadError> {
        try_join_all(metrics.iter().map(|metric| self.value(&metric.name, until))).await
    }

    async fn value(&self, name: &str, until: Instant) -> Result<Vec<Milli>, ReadError> {
        let message =
            GetMetricsRequest { scaled_object_ref: Some(self.reference.clone()), metric_name: name.to_owned() };
        let call = |mut client: line::Client, request| async move { client.get_metrics(request).await };
        let said = self.server.ask("GetMetrics", &message, until, call).await?;
        metrics::values(&said, name).map_err(|error| self.server.named(&error))
    }

    async fn is_active(&self, until: Instant) -> Result<bool, ReadError> {
        let call = |mut client: line::Client, request| async move { client.is_active(request).await };
        Ok(self.server.ask("IsActive", &self.reference, until, call).await?.result)
    }
}

/// Whether an error may come of a metric that the server no longer has.
fn is_about_metrics(error: &ReadError) -> bool {
    matches!(error.kind, ReadErrorKind::Config | ReadErrorKind::Protocol)
}

fn readings(metrics: &[Metric], values: Vec<Vec<Milli>>, active: bool) -> Readings {
    let reading = |series| Reading { value: Measured::Total(series), active };
    metrics.iter().zip(values).map(|(metric, series)| (metric.spec.clone(), reading(series))).collect()
}
