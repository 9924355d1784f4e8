//! The trigger `prometheus`: one number that a Prometheus, or a server that speaks its API, answers to a query.
//!
//! The server is asked through [`crate::http`]; what an answer means is in [`answer`].

mod answer;
mod declaration;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, Occasion, ReadError, Reading, Readings, TriggerSpec, Wake,
};

use crate::endpoint::Endpoints;
use crate::http::{ServerHandle, named, reported};
use crate::parameters::Values;
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use declaration::Settings;

/// One built `prometheus` trigger.
struct PrometheusScaler {
    server: ServerHandle,
    settings: Settings,
}

/// The registry's entry.
pub(crate) const TRIGGER_TYPE: TriggerType = TriggerType {
    name: "prometheus",
    summary: "The value of a PromQL query, as Prometheus or another server with its API answers it.",
    parameters: declaration::PARAMETERS,
    example: "\
- type: prometheus
  metadata:
    serverAddress: http://prometheus.monitoring.svc.cluster.local:9090
    query: sum(rate(http_requests_total{app=\"shop\"}[2m]))
    threshold: \"100\"
",
    example_metadata: &[
        ("serverAddress", "http://prometheus.monitoring.svc.cluster.local:9090"),
        // The test of examples leaves quotation marks out of both.
        ("query", "sum(rate(http_requests_total{app=shop}[2m]))"),
        ("threshold", "100"),
    ],
    scaler: "prometheusScaler",
    notes: include_str!("notes.md"),
    check: declaration::check,
    open,
};

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let settings = declaration::settings(spec, values).ok_or_else(incomplete)?;
    let server =
        ServerHandle::open(endpoints, &settings.request.url, &settings.access).counting(spec, &settings.metric.name);
    Ok(Box::new(PrometheusScaler { server, settings }))
}

#[async_trait]
impl Scaler for PrometheusScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.server.id())
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let Settings { name, request, timeout, rules, activation, metric, .. } = &self.settings;
        let patience = timeout.map_or(deadline, |timeout| timeout.min(deadline));
        let answer = self.server.get(request.clone(), patience).await;
        let value = answer.and_then(|reply| answer::number(&reply, *rules)).map_err(|error| named(name, &error))?;
        let reading = Reading { value: Measured::Total(vec![reported(value)]), active: value > *activation };
        Ok(vec![(metric.clone(), reading)])
    }

    fn watch(&self, _: Wake) -> Option<Watch> {
        None
    }
}
