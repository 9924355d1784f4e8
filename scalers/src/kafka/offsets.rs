//! Reads the offsets of many groups of one cluster in one round.
//!
//! What to ask whom is decided in [`super::round`], from what is remembered of the cluster in [`super::metadata`]; the
//! connections are kept in [`super::brokers`]. A round ends before its askers give up, with what has been answered until
//! then: a broker that hangs costs only the queries that need it.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kafka_protocol::protocol::Request;
use tidegate_calculator::source::ReadError;
use tokio::time::{Instant, sleep_until};

use super::brokers::{Brokers, Dial};
use super::connection::{Cluster, Connection, Connector};
use super::metadata::{Address, ClusterMap};
use super::requests::Link;
use super::round::Round;
use crate::endpoint::Backend;

/// How long a round may take, as a part of its askers' patience: once that is over it is dropped with all its answers.
const ROUND: (u32, u32) = (3, 4);

/// How long one broker may take for what it is asked in one wave, connecting included, as a part of the same: the others
/// are to have their time too.
const VISIT: (u32, u32) = (1, 3);

/// How many waves a round may have. Tries run out long before; this is for a cluster that contradicts itself for ever.
const WAVES: usize = 24;

/// What one trigger asks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Query {
    /// The consumer group.
    pub(super) group: Arc<str>,
    /// Which topics.
    pub(super) scope: Scope,
    /// Whether only committed transactions count (`isolationLevel: read_committed`).
    pub(super) committed_only: bool,
    /// Whether the log start is wanted for partitions without a commit too.
    pub(super) log_start: bool,
    /// `partitionLimitation`: the partitions that are asked for; none for all. Nothing of the others can fail the query.
    pub(super) partitions: Limits,
}

/// Some of the partitions of every topic; none for all.
pub(super) type Limits = Option<Arc<[RangeInclusive<i32>]>>;

/// Which topics a query is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Scope {
    /// These.
    Topics(Vec<Arc<str>>),
    /// Those that the group has commits of.
    GroupTopics,
}

/// What the cluster says: topics in the order of [`Scope::Topics`], or by name; partitions ascending, without those that
/// the query does not ask for.
pub(super) type Answer = Arc<Vec<TopicOffsets>>;

/// The offsets of one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TopicOffsets {
    pub(super) name: Arc<str>,
    pub(super) partitions: Vec<PartitionOffsets>,
}

/// The offsets of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PartitionOffsets {
    pub(super) partition: i32,
    /// The group's commit, if it has one. One beyond the end of the log is none: the log was truncated, or the topic made
    /// anew, and no record ever comes after it. The end was then read again, after the commit.
    pub(super) committed: Option<i64>,
    /// The first offset that still exists. Read only where it can matter: with a commit below the log end, or without a
    /// commit and with [`Query::log_start`].
    pub(super) log_start: Option<i64>,
    /// The offset of the next record; with [`Query::committed_only`] the last stable offset, which a commit may be beyond.
    pub(super) latest: i64,
}

/// The backend of one cluster.
pub(super) struct Offsets<D: Dial = Connector> {
    map: ClusterMap,
    brokers: Brokers<D>,
}

impl Offsets {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        let name = cluster.name();
        let bootstrap = cluster.bootstrap.iter().map(Address::of).collect();
        Self::dialing(&name, bootstrap, Connector::new(cluster))
    }
}

impl<D: Dial> Offsets<D> {
    fn dialing(name: &str, bootstrap: Vec<Address>, dial: D) -> Self {
        Self { map: ClusterMap::new(name, bootstrap), brokers: Brokers::new(dial) }
    }
}

#[async_trait]
impl<D: Dial> Backend for Offsets<D> {
    type Query = Query;
    type Answer = Answer;

    async fn ask(
        &mut self,
        queries: &[Query],
        patience: Duration,
    ) -> Result<Vec<Result<Answer, ReadError>>, ReadError> {
        let begun = Instant::now();
        let (end, visit) = (begun + part(ROUND, patience), part(VISIT, patience));
        let mut round = Round::new(&mut self.map, queries, begun.into_std());
        for _ in 0..WAVES {
            let errands = round.plan();
            let asked = Instant::now() + round.pause();
            if errands.is_empty() || asked >= end {
                break;
            }
            sleep_until(asked).await;
            let wave = self.brokers.visit(errands, end.min(asked + visit)).await;
            round.absorb(wave);
        }
        let answers = round.finish();
        if self.map.has_brokers() {
            let map = &self.map;
            self.brokers.keep(|address| map.is_broker(address));
        }
        answers
    }

    /// What is known of the cluster stays: where its brokers were is a good guess of where they are.
    fn hang_up(&mut self) {
        self.brokers.hang_up();
    }
}

fn part((of, all): (u32, u32), patience: Duration) -> Duration {
    patience * of / all
}

impl Dial for Connector {
    type Link = Connection;

    async fn dial(&self, host: &str, port: u16) -> Result<Connection, ReadError> {
        self.connect(host, port).await
    }
}

impl Link for Connection {
    fn version<R: Request>(&self, range: RangeInclusive<i16>) -> Option<i16> {
        Self::version::<R>(self, range)
    }

    async fn call<R>(&self, request: R, version: i16) -> Result<R::Response, ReadError>
    where
        R: Request<Response: Send + 'static> + Send + Sync + 'static,
    {
        Self::call(self, request, version).await
    }

    fn alive(&self) -> bool {
        Self::alive(self)
    }
}

#[cfg(test)]
#[path = "offsets_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "offsets_real_tests.rs"]
mod real_tests;
