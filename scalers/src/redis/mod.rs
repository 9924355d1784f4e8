//! The triggers on Redis: how many elements a list, set, sorted set or hash holds, how many entries of a stream wait,
//! and what a server says about itself.
//!
//! A trigger has a place to read from ([`source`]), which is one server, the master that Sentinels name ([`sentinel`]),
//! or a cluster ([`cluster`]), and a question ([`question`]). All triggers of one place and user share its connections,
//! one a server; what is due at one moment is read in one pipeline a server ([`node`]). With `activation: push` one more
//! connection a server listens for changes ([`push`]). The types differ only in what they can say ([`declaration`],
//! [`types`]).

mod clients;
mod cluster;
mod connection;
mod declaration;
mod errors;
mod figures;
mod lengths;
mod node;
mod push;
mod question;
mod race;
mod sentinel;
mod slots;
mod source;
mod streams;
mod types;

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, MetricSpec, Milli, Occasion, ReadError, Reading, Readings, Wake,
};

use crate::endpoint::{Endpoint, Endpoints, Feed, identify};
use crate::scaler::{Scaler, Watch};
use declaration::Settings;
use push::Changes;
use question::{Answer, Question};
use source::Source;

pub(crate) use types::{CLIENTS, CLUSTER, CLUSTER_STREAMS, SENTINEL, SENTINEL_STREAMS, STREAMS, TRIGGER_TYPE};

/// A key of one database.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    database: i64,
    name: Arc<str>,
}

/// One built trigger on a key.
struct RedisScaler {
    id: EndpointId,
    /// What the place is called in messages.
    name: String,
    endpoint: Endpoint<Source>,
    changes: Option<Arc<Feed<Changes>>>,
    question: Question,
    activation: i64,
    metric: MetricSpec,
}

fn open(settings: Option<Settings>, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let Settings { place, question, activation, push, metric } = settings.ok_or_else(incomplete)?;
    let (id, name) = (identify("redis", &place), place.name());
    let changes = push.then(|| Feed::open(endpoints, id, &name, || Changes::new(place.clone())));
    let endpoint = Endpoint::open(endpoints, id, &name, || Source::new(&place));
    Ok(Box::new(RedisScaler { id, name, endpoint, changes, question, activation, metric }))
}

#[async_trait]
impl Scaler for RedisScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.id)
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let Answer::Count(count) = self.endpoint.ask(self.question.clone(), deadline).await? else {
            return Err(errors::mistaken(&self.name));
        };
        let value = Measured::Total(vec![Milli::units(count)]);
        Ok(vec![(self.metric.clone(), Reading { value, active: count > self.activation })])
    }

    fn watch(&self, wake: Wake) -> Option<Watch> {
        self.changes.as_ref()?.watch(self.question.clone(), wake)
    }
}
