//! The trigger `redis`: how many elements a list, set, sorted set or hash of a stand-alone server holds.
//!
//! All triggers of one server and user share one connection ([`connection`]); their lengths are read in one pipeline
//! ([`lengths`]). With `activation: push` one more connection listens for changes ([`push`]).

mod connection;
mod declaration;
mod errors;
mod lengths;
mod push;

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, MetricSpec, Milli, Occasion, ReadError, Reading, Readings,
    TriggerSpec, Wake,
};

use crate::endpoint::{Endpoint, Endpoints, Feed, identify};
use crate::parameters::Values;
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use lengths::Lengths;
use push::Changes;

/// A key of one database.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    database: i64,
    name: Arc<str>,
}

/// One built `redis` trigger.
struct RedisScaler {
    id: EndpointId,
    endpoint: Endpoint<Lengths>,
    changes: Option<Arc<Feed<Changes>>>,
    key: Key,
    activation: i64,
    metric: MetricSpec,
}

/// The registry's entry.
pub(crate) const TRIGGER_TYPE: TriggerType = TriggerType {
    name: "redis",
    summary: "The length of a list, set, sorted set or hash on a stand-alone Redis server.",
    parameters: declaration::PARAMETERS,
    example: "\
- type: redis
  metadata:
    address: redis.shop.svc.cluster.local:6379
    listName: orders
    listLength: \"100\"
",
    example_metadata: &[
        ("address", "redis.shop.svc.cluster.local:6379"),
        ("listName", "orders"),
        ("listLength", "100"),
    ],
    scaler: "redisScaler",
    notes: include_str!("notes.md"),
    check: declaration::check,
    open,
};

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let settings = declaration::settings(spec, values).ok_or_else(incomplete)?;
    let (id, name) = (identify("redis", &settings.server), settings.server.name());
    let server = Arc::new(settings.server);
    let changes = settings.push.then(|| Feed::open(endpoints, id, &name, || Changes::new(Arc::clone(&server))));
    Ok(Box::new(RedisScaler {
        id,
        endpoint: Endpoint::open(endpoints, id, &name, || Lengths::new(server)),
        changes,
        key: Key { database: settings.database, name: settings.list.into() },
        activation: settings.activation,
        metric: settings.metric,
    }))
}

#[async_trait]
impl Scaler for RedisScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.id)
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let length = self.endpoint.ask(self.key.clone(), deadline).await?;
        let value = Measured::Total(vec![Milli::units(length)]);
        Ok(vec![(self.metric.clone(), Reading { value, active: length > self.activation })])
    }

    fn watch(&self, wake: Wake) -> Option<Watch> {
        self.changes.as_ref()?.watch(self.key.clone(), wake)
    }
}
