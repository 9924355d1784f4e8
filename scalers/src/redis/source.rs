//! Where a trigger reads from: one server, the master that Sentinels name, or a cluster.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_calculator::source::ReadError;

use super::cluster::{Cluster, Seeds};
use super::connection::Server;
use super::node::{Asked, Node};
use super::question::{Answer, Question};
use super::sentinel::{Master, Watched};
use crate::endpoint::Backend;

/// A source and how to speak to it. Triggers with equal ones share their connections.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Place {
    /// One server.
    Server(Arc<Server>),
    /// The master of a name, wherever it is.
    Master(Arc<Watched>),
    /// All nodes of a cluster.
    Cluster(Arc<Seeds>),
}

/// The backend of one place.
pub(super) enum Source {
    Server(Node),
    Master(Master),
    Cluster(Cluster),
}

impl Place {
    /// What the place is called in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Server(server) => server.name(),
            Self::Master(watched) => watched.name(),
            Self::Cluster(seeds) => seeds.name(),
        }
    }
}

impl Source {
    pub(super) fn new(place: &Place) -> Self {
        match place {
            Place::Server(server) => Self::Server(Node::new(Arc::clone(server))),
            Place::Master(watched) => Self::Master(Master::new(Arc::clone(watched))),
            Place::Cluster(seeds) => Self::Cluster(Cluster::new(Arc::clone(seeds))),
        }
    }
}

#[async_trait]
impl Backend for Source {
    type Query = Question;
    type Answer = Answer;

    async fn ask(
        &mut self,
        questions: &[Question],
        patience: Duration,
    ) -> Result<Vec<Result<Answer, ReadError>>, ReadError> {
        match self {
            Self::Server(node) => {
                let asked: Vec<_> = questions.iter().map(|question| Asked { question, asking: false }).collect();
                let outcomes = node.ask(&asked).await?.into_iter().zip(questions);
                Ok(outcomes.map(|(outcome, question)| outcome.settle(node.server(), question)).collect())
            }
            Self::Master(master) => master.ask(questions, patience).await,
            Self::Cluster(cluster) => cluster.ask(questions, patience).await,
        }
    }

    fn hang_up(&mut self) {
        match self {
            Self::Server(node) => node.hang_up(),
            Self::Master(master) => master.hang_up(),
            Self::Cluster(cluster) => cluster.hang_up(),
        }
    }
}
