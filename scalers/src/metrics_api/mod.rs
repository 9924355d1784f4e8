//! The trigger `metrics-api`: one number in what any HTTP server answers, as JSON, YAML, XML or Prometheus' text.
//!
//! The server is asked through [`crate::http`]. Where the number stands is in [`crate::location`]; the
//! values of all pods behind a Service are joined in [`aggregate`].

mod aggregate;
mod declaration;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures::StreamExt;
use reqwest::StatusCode;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, Occasion, ReadError, ReadErrorKind, Reading, Readings, TriggerSpec,
    Wake,
};

use crate::endpoint::Endpoints;
use crate::http::{Reply, Request, ServerHandle, named, reported};
use crate::location::Flaw;
use crate::parameters::Values;
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use crate::surroundings::Surroundings;
use aggregate::Service;
use declaration::Settings;

/// One built `metrics-api` trigger.
struct MetricsApiScaler {
    server: ServerHandle,
    surroundings: Arc<dyn Surroundings>,
    settings: Settings,
}

/// The registry's entry.
pub(crate) const TRIGGER_TYPE: TriggerType = TriggerType {
    name: "metrics-api",
    summary: "A number in the answer of any HTTP server: JSON, YAML, XML or the text that Prometheus scrapes.",
    parameters: declaration::PARAMETERS,
    example: "\
- type: metrics-api
  metadata:
    url: http://orders.shop.svc.cluster.local:8080/stats
    valueLocation: queues.mail.waiting
    targetValue: \"20\"
",
    example_metadata: &[
        ("url", "http://orders.shop.svc.cluster.local:8080/stats"),
        ("valueLocation", "queues.mail.waiting"),
        ("targetValue", "20"),
    ],
    scaler: "metricsAPIScaler",
    notes: include_str!("notes.md"),
    check: declaration::check,
    open,
};

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let settings = declaration::settings(spec, values).ok_or_else(incomplete)?;
    let server =
        ServerHandle::open(endpoints, &settings.request.url, &settings.access).counting(spec, &settings.metric.name);
    Ok(Box::new(MetricsApiScaler { server, surroundings: Arc::clone(endpoints.surroundings()), settings }))
}

impl MetricsApiScaler {
    /// The number that one address answers with. Errors complete "SERVER: ...".
    async fn ask(&self, request: Request, patience: Deadline) -> Result<f64, ReadError> {
        let reply = self.server.get(request, patience).await?;
        self.number(&reply)
    }

    fn number(&self, reply: &Reply) -> Result<f64, ReadError> {
        let body = reply.expect(|status| status == StatusCode::OK)?;
        let kind = |flaw: Flaw| match flaw {
            Flaw::Absent | Flaw::NotANumber => ReadErrorKind::Config,
            Flaw::Unreadable(_) | Flaw::Refused(_) => ReadErrorKind::Protocol,
        };
        self.settings.location.find(body).map_err(|flaw| ReadError::query(kind(flaw), flaw.to_string()))
    }

    /// The joined number of all pods behind a Service, each asked within what is left of the deadline.
    async fn ask_all(&self, service: &Service, patience: Deadline) -> Result<f64, ReadError> {
        let begun = Instant::now();
        let endpoints = self.surroundings.endpoints(&service.namespace, &service.name, patience).await?;
        let urls = aggregate::urls(&self.settings.request.url, &endpoints);
        let asked = futures::stream::iter(urls).map(|url| {
            let request = Request { url, ..self.settings.request.clone() };
            self.ask(request, patience.saturating_sub(begun.elapsed()))
        });
        service.aggregation.join(asked.buffer_unordered(aggregate::AT_ONCE).collect().await)
    }
}

#[async_trait]
impl Scaler for MetricsApiScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.server.id())
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let Settings { name, request, service, timeout, activation, metric, .. } = &self.settings;
        let patience = timeout.map_or(deadline, |timeout| timeout.min(deadline));
        let (about, value) = match service {
            Some(service) => (service.shown(), self.ask_all(service, patience).await),
            None => (name.clone(), self.ask(request.clone(), patience).await),
        };
        let value = value.map_err(|error| named(&about, &error))?;
        let reading = Reading { value: Measured::Total(vec![reported(value)]), active: value > *activation };
        Ok(vec![(metric.clone(), reading)])
    }

    fn watch(&self, _: Wake) -> Option<Watch> {
        None
    }
}
