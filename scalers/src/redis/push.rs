//! Hears from servers that a key changed, by whatever they offer without being configured for it: client tracking
//! ([`tracking`]), else keyspace notifications ([`keyspace`]).
//!
//! A place of several servers is listened to at each that matters: at the master that the Sentinels name, or at every
//! node that has a key of ours. When another server takes over, the session ends; the next one begins at the new server,
//! and wakes every trigger once.

mod keyspace;
mod tracking;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{select_all, try_join_all};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::time::Instant;

use super::cluster::Seeds;
use super::connection::{Address, Server};
use super::errors;
use super::question::Question;
use super::sentinel::Watched;
use super::slots::{Slots, slot};
use super::source::Place;
use crate::endpoint::{Publisher, Session};
use keyspace::Keyspace;
use tracking::Tracking;

/// The most that finding out where to listen may take; the feed bounds the whole.
const LOOK_UP: Duration = Duration::from_secs(3);

/// What is listened to: changes of the key of a question. Questions of their own let a user who may read a key in one
/// way only listen to it as well.
pub(super) type Topic = Question;

/// What changes in one place.
pub(super) struct Changes {
    place: Place,
}

/// A session in one place.
pub(super) enum Listening {
    /// At one server.
    Server(Ear),
    /// At the master that the Sentinels named.
    Master(Arc<Watched>, Arc<Server>, Ear),
    /// At nodes of a cluster.
    Cluster(Nodes),
}

/// A connection that listens to one server.
pub(super) enum Ear {
    /// By client tracking.
    Tracking(Tracking),
    /// By keyspace notifications.
    Keyspace(Keyspace),
}

/// The nodes that have keys of ours.
pub(super) struct Nodes {
    seeds: Arc<Seeds>,
    slots: Slots,
    ears: BTreeMap<Address, Ear>,
}

impl Changes {
    pub(super) fn new(place: Place) -> Self {
        Self { place }
    }
}

#[async_trait]
impl Publisher for Changes {
    type Topic = Topic;
    type Session = Listening;

    async fn connect(&self) -> Result<Listening, ReadError> {
        let until = Instant::now() + LOOK_UP;
        match &self.place {
            Place::Server(server) => Ear::connect(server, false).await.map(Listening::Server),
            Place::Master(watched) => {
                let master = watched.find(until).await?;
                let ear = Ear::connect(&master, false).await?;
                Ok(Listening::Master(Arc::clone(watched), master, ear))
            }
            Place::Cluster(seeds) => {
                let slots = seeds.look_up(seeds.addresses.clone(), until).await?;
                Ok(Listening::Cluster(Nodes { seeds: Arc::clone(seeds), slots, ears: BTreeMap::new() }))
            }
        }
    }
}

#[async_trait]
impl Session for Listening {
    type Topic = Topic;

    async fn arm(&mut self, topics: &[Topic]) -> Result<(), ReadError> {
        match self {
            Self::Server(ear) | Self::Master(_, _, ear) => ear.arm(topics).await,
            Self::Cluster(nodes) => nodes.arm(topics).await,
        }
    }

    async fn disarm(&mut self, topics: &[Topic]) -> Result<(), ReadError> {
        match self {
            Self::Server(ear) | Self::Master(_, _, ear) => ear.disarm(topics).await,
            Self::Cluster(nodes) => nodes.disarm(topics).await,
        }
    }

    async fn heard(&mut self) -> Result<Vec<Topic>, ReadError> {
        match self {
            Self::Server(ear) | Self::Master(_, _, ear) => ear.heard().await,
            Self::Cluster(nodes) => nodes.heard().await,
        }
    }

    async fn check(&mut self) -> Result<(), ReadError> {
        match self {
            Self::Server(ear) => ear.check().await,
            Self::Master(watched, master, ear) => {
                ear.check().await?;
                // While no Sentinel answers, the master that is known is listened to.
                match watched.find(Instant::now() + LOOK_UP).await {
                    Ok(named) if named != *master => Err(replaced(&watched.name())),
                    _ => Ok(()),
                }
            }
            Self::Cluster(nodes) => nodes.check().await,
        }
    }
}

impl Ear {
    /// `node` says that the server is one of a cluster.
    async fn connect(server: &Arc<Server>, node: bool) -> Result<Self, ReadError> {
        match Tracking::connect(server, node).await? {
            Some(tracking) => Ok(Self::Tracking(tracking)),
            None => Keyspace::connect(server).await.map(Self::Keyspace),
        }
    }

    async fn arm(&mut self, topics: &[Topic]) -> Result<(), ReadError> {
        match self {
            Self::Tracking(tracking) => tracking.read(topics).await,
            Self::Keyspace(keyspace) => keyspace.subscribe(topics).await,
        }
    }

    async fn disarm(&mut self, topics: &[Topic]) -> Result<(), ReadError> {
        match self {
            Self::Tracking(tracking) => {
                tracking.forget(topics);
                Ok(())
            }
            Self::Keyspace(keyspace) => keyspace.unsubscribe(topics).await,
        }
    }

    async fn heard(&mut self) -> Result<Vec<Topic>, ReadError> {
        match self {
            Self::Tracking(tracking) => tracking.heard().await,
            Self::Keyspace(keyspace) => keyspace.heard().await,
        }
    }

    async fn check(&mut self) -> Result<(), ReadError> {
        let (server, pong) = match self {
            Self::Tracking(tracking) => tracking.check().await,
            Self::Keyspace(keyspace) => keyspace.check().await,
        };
        match pong {
            // A user who may not ping has a connection that works: it answered.
            Err(error) if error.code() != Some("NOPERM") => Err(errors::endpoint(server, &error)),
            _ => Ok(()),
        }
    }
}

impl Nodes {
    async fn arm(&mut self, topics: &[Topic]) -> Result<(), ReadError> {
        let shares = self.shares(topics)?;
        for address in shares.keys() {
            if !self.ears.contains_key(address) {
                let ear = Ear::connect(&self.seeds.server(address.clone()), true).await?;
                self.ears.insert(address.clone(), ear);
            }
        }
        let ears = self.ears.iter_mut().filter_map(|(address, ear)| Some((ear, shares.get(address)?)));
        try_join_all(ears.map(|(ear, share)| ear.arm(share))).await.map(drop)
    }

    async fn disarm(&mut self, topics: &[Topic]) -> Result<(), ReadError> {
        let shares = self.shares(topics)?;
        let ears = self.ears.iter_mut().filter_map(|(address, ear)| Some((ear, shares.get(address)?)));
        try_join_all(ears.map(|(ear, share)| ear.disarm(share))).await.map(drop)
    }

    async fn heard(&mut self) -> Result<Vec<Topic>, ReadError> {
        if self.ears.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.ears.values_mut().map(|ear| Box::pin(ear.heard()))).await.0
    }

    async fn check(&mut self) -> Result<(), ReadError> {
        try_join_all(self.ears.values_mut().map(Ear::check)).await?;
        let known = self.slots.nodes.iter().chain(&self.seeds.addresses).cloned().collect();
        match self.seeds.look_up(known, Instant::now() + LOOK_UP).await {
            Ok(slots) if slots != self.slots => Err(replaced(&self.seeds.name())),
            _ => Ok(()),
        }
    }

    /// The topics of each node.
    fn shares(&self, topics: &[Topic]) -> Result<BTreeMap<Address, Vec<Topic>>, ReadError> {
        let mut shares: BTreeMap<Address, Vec<Topic>> = BTreeMap::new();
        for topic in topics {
            let Some(key) = topic.key() else { continue };
            let Some(owner) = self.slots.owner(slot(&key.name)) else {
                let what = format!("{}: no node has the slot of key {:?}", self.seeds.name(), key.name);
                return Err(ReadError::endpoint(ReadErrorKind::Unavailable, what));
            };
            shares.entry(owner.clone()).or_default().push(topic.clone());
        }
        Ok(shares)
    }
}

/// Who was listened to is not who has the keys now.
fn replaced(name: &str) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Unavailable, format!("{name} has moved keys to another server"))
}
