//! The trigger `rabbitmq`: how many messages wait in a queue, or how fast they come and go.
//!
//! Over AMQP ([`amqp`]) a broker tells how many messages of a queue are ready. The management API over HTTP ([`management`]) tells more:
//! messages that consumers hold, rates, and many queues at once. Which of the two is meant is in the URL ([`place`]); what the
//! numbers mean in each mode is in [`figures`].

mod amqp;
mod answer;
mod declaration;
mod failures;
mod figures;
mod listings;
mod management;
mod pages;
mod place;

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, MetricSpec, Occasion, ReadError, Reading, Readings, TriggerSpec, Wake,
};

use crate::endpoint::{Endpoint, Endpoints, identify};
use crate::parameters::Values;
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use amqp::Amqp;
use declaration::{Settings, Source};
use figures::{Counts, Mode};
use management::Queues;

/// One built `rabbitmq` trigger.
struct RabbitScaler {
    origin: Origin,
    mode: Mode,
    activation: f64,
    metric: MetricSpec,
}

/// Where its numbers come from.
enum Origin {
    Amqp { id: EndpointId, endpoint: Endpoint<Amqp>, queue: Arc<str> },
    Http(Box<Queues>),
}

/// The registry's entry.
pub(crate) const TRIGGER_TYPE: TriggerType = TriggerType {
    name: "rabbitmq",
    summary: "The messages of a RabbitMQ queue, or of all queues that an expression finds, or how fast they come and go.",
    parameters: declaration::PARAMETERS,
    example: "\
- type: rabbitmq
  metadata:
    host: http://rabbitmq.shop.svc.cluster.local:15672
    queueName: orders
    mode: QueueLength
    value: \"20\"
  authenticationRef:
    name: rabbitmq-login  # username and password
",
    example_metadata: &[
        ("host", "http://rabbitmq.shop.svc.cluster.local:15672"),
        ("queueName", "orders"),
        ("mode", "QueueLength"),
        ("value", "20"),
    ],
    scaler: "rabbitMQScaler",
    notes: include_str!("notes.md"),
    check: declaration::check,
    open,
};

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let Settings { source, mode, activation, metric } = declaration::settings(spec, values).ok_or_else(incomplete)?;
    let origin = match source {
        Source::Http(management) => Origin::Http(Box::new(Queues::open(endpoints, *management, spec, &metric.name))),
        Source::Amqp { broker, queue } => {
            let id = identify("rabbitmq", &broker);
            let name = broker.name.clone();
            Origin::Amqp {
                id,
                endpoint: Endpoint::open(endpoints, id, &name, || Amqp::new(*broker)),
                queue: queue.into(),
            }
        }
    };
    Ok(Box::new(RabbitScaler { origin, mode, activation, metric }))
}

#[async_trait]
impl Scaler for RabbitScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(match &self.origin {
            Origin::Amqp { id, .. } => *id,
            Origin::Http(queues) => queues.id(),
        })
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let counts = match &self.origin {
            Origin::Amqp { endpoint, queue, .. } => {
                Counts { messages: endpoint.ask(Arc::clone(queue), deadline).await?, ..Counts::default() }
            }
            Origin::Http(queues) => queues.read(self.mode.needs_rates(), deadline).await?,
        };
        let (value, active) = self.mode.judge(&counts, self.activation);
        Ok(vec![(self.metric.clone(), Reading { value: Measured::Total(vec![value]), active })])
    }

    fn watch(&self, _: Wake) -> Option<Watch> {
        // RabbitMQ tells nobody that a message has come, but those who take it.
        None
    }
}
