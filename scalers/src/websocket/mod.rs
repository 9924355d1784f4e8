//! The trigger `websocket`: how many connections are open, as the pods that hold them say, or a gateway in a stream.
//!
//! With `source: pods` every pod of the target is asked over HTTP ([`pods`]); with `source: stream` a WebSocket to a gateway is kept open
//! ([`stream`]), and its newest message is the reading. KEDA has no such trigger.

mod connect;
mod declaration;
mod pods;
mod stream;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, Occasion, ReadError, Reading, Readings, TriggerSpec, Wake,
};

use crate::endpoint::Endpoints;
use crate::http::{named, reported};
use crate::parameters::Values;
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use declaration::{Settings, Source};
use pods::Pods;
use stream::Gateway;

/// The registry's entry.
pub(crate) const TRIGGER_TYPE: TriggerType = TriggerType {
    name: "websocket",
    summary: "How many connections are open: each pod is asked, or a gateway tells it in a stream.",
    parameters: declaration::PARAMETERS,
    example: "\
- type: websocket
  metadata:
    source: pods
    port: \"9090\"
    valueLocation: websocket_connections_open
    targetValue: \"500\"
",
    example_metadata: &[
        ("source", "pods"),
        ("port", "9090"),
        ("valueLocation", "websocket_connections_open"),
        ("targetValue", "500"),
    ],
    scaler: "websocketScaler",
    notes: include_str!("notes.md"),
    check: declaration::check,
    open,
};

/// One built trigger.
struct WebsocketScaler {
    settings: Settings,
    ask: Ask,
}

/// Who is asked.
enum Ask {
    Pods(Pods),
    Gateway(Gateway),
}

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let settings = declaration::settings(spec, values).ok_or_else(incomplete)?;
    let ask = match &settings.source {
        Source::Pods(asked) => Ask::Pods(Pods::open(endpoints, spec, &settings, asked)),
        Source::Stream(listened) => Ask::Gateway(Gateway::open(endpoints, &settings, listened)),
    };
    Ok(Box::new(WebsocketScaler { settings, ask }))
}

#[async_trait]
impl Scaler for WebsocketScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(match &self.ask {
            Ask::Pods(pods) => pods.id(),
            Ask::Gateway(gateway) => gateway.id(),
        })
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let value = match &self.ask {
            Ask::Pods(pods) => pods.sum(deadline).await?,
            Ask::Gateway(gateway) => gateway.newest(deadline).await.map_err(|error| named(gateway.name(), &error))?,
        };
        let Settings { activation, metric, .. } = &self.settings;
        let reading = Reading { value: Measured::Total(vec![reported(value)]), active: value > *activation };
        Ok(vec![(metric.clone(), reading)])
    }

    fn watch(&self, wake: Wake) -> Option<Watch> {
        match &self.ask {
            Ask::Pods(_) => None,
            Ask::Gateway(gateway) => gateway.watch(wake),
        }
    }
}
