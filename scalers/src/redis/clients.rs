//! The trigger `redis-clients`: a number that servers state about themselves, such as how many clients they have.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::future::join_all;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, MetricSpec, Milli, Occasion, ReadError, ReadErrorKind, Reading,
    Readings, TriggerSpec, Wake,
};

use super::declaration::clients::{self, Settings};
use super::errors;
use super::figures::{self, Field, Lookups};
use super::question::{Answer, Question};
use super::source::{Place, Source};
use crate::endpoint::{Endpoint, Endpoints, identify};
use crate::parameters::Values;
use crate::scaler::{Scaler, Watch};

/// One built trigger.
struct ClientsScaler {
    id: EndpointId,
    servers: Vec<Asked>,
    field: Field,
    memory: Arc<Memory>,
    activation: Milli,
    metric: MetricSpec,
}

/// One of the servers whose numbers are added up.
struct Asked {
    name: String,
    endpoint: Endpoint<Source>,
}

/// What the servers had counted at the last two polls. It belongs to a trigger of an object, not to a built trigger, so
/// that a changed object or a new password begins no new interval.
#[derive(Default)]
struct Memory(Mutex<Polls>);

#[derive(Default)]
struct Polls {
    /// What the last poll was judged by: every read until the next one is judged alike.
    before: Option<Vec<Lookups>>,
    last: Option<Vec<Lookups>>,
}

pub(super) fn open(spec: &TriggerSpec, values: &Values, all: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let Settings { servers, field, activation, metric } = clients::settings(spec, values).ok_or_else(incomplete)?;
    let addresses: Vec<_> = servers.iter().map(|server| server.address()).collect();
    let places: Vec<Place> = servers.into_iter().map(Place::Server).collect();
    let ids: Vec<EndpointId> = places.iter().map(|place| identify("redis", place)).collect();
    let memory = all.join(identify("redis look-ups", &(&spec.owner, spec.index, addresses)), Memory::default);
    let asked = |(place, id): (&Place, &EndpointId)| {
        let name = place.name();
        Asked { endpoint: Endpoint::open(all, *id, &name, || Source::new(place)), name }
    };
    let servers = places.iter().zip(&ids).map(asked).collect();
    // Of several servers the first stands for the trigger: which reads are due together is all that follows from it.
    let id = ids.first().copied().ok_or_else(incomplete)?;
    Ok(Box::new(ClientsScaler { id, servers, field, memory, activation, metric }))
}

#[async_trait]
impl Scaler for ClientsScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.id)
    }

    async fn read(&self, occasion: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let asking = self.servers.iter().map(|server| server.endpoint.ask(Question::Info, deadline));
        // A server that is missing would make a smaller sum, so its error is the trigger's.
        let answers: Vec<Answer> = join_all(asking).await.into_iter().collect::<Result<_, _>>()?;
        let said = self.servers.iter().zip(&answers).map(|(server, answer)| match answer {
            Answer::Info(text) => Ok((text.as_ref(), server.name.as_str())),
            Answer::Count(_) => Err(errors::mistaken(&server.name)),
        });
        let said: Vec<(&str, &str)> = said.collect::<Result<_, _>>()?;
        let series = match &self.field {
            Field::Stated(name) => {
                said.iter().map(|(info, server)| figures::value(info, name, server)).collect::<Result<_, _>>()?
            }
            Field::HitRatio => vec![self.hit_ratio(occasion, &said)?],
        };
        let value = Measured::Total(series);
        let active = value.total() > self.activation;
        Ok(vec![(self.metric.clone(), Reading { value, active })])
    }

    fn watch(&self, _: Wake) -> Option<Watch> {
        // No server tells when such a number changes.
        None
    }
}

impl ClientsScaler {
    fn hit_ratio(&self, occasion: Occasion, said: &[(&str, &str)]) -> Result<Milli, ReadError> {
        let counted = said.iter().map(|(info, server)| figures::lookups(info, server));
        let now: Vec<Lookups> = counted.collect::<Result<_, _>>()?;
        let mut polls = self.memory.0.lock().unwrap_or_else(PoisonError::into_inner);
        if occasion == Occasion::Poll {
            polls.before = polls.last.replace(now.clone());
        }
        let names = || self.servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>().join(", ");
        figures::hit_ratio(polls.before.as_deref(), &now).map_err(|why| {
            ReadError::query(ReadErrorKind::Unavailable, format!("keyspace_hit_ratio of {} {why}", names()))
        })
    }
}
