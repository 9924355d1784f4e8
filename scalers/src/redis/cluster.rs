//! Reads from all nodes of a cluster at once, each with what its own keys are asked.
//!
//! The map of the cluster is read when there is none, when a node says that a key has moved, and when a node fails. A
//! key that has moved is asked where it is said to be, within the same read. A node that cannot be asked costs the keys
//! that it holds and nobody else: it has a bound of its own, and is left alone for a growing pause.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use redis::{RedisResult, Value};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::time::{Instant, timeout_at};

use super::connection::{Access, Address, Connector, Server};
use super::node::{Asked, Node, Outcome};
use super::question::{Answer, Question};
use super::slots::{Slots, slot};
use super::{errors, race};
use crate::endpoint::Breaker;

/// How often one question may be sent on: a move takes one, a move seen half-way two.
const HOPS: usize = 3;

/// A cluster and how to speak to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Seeds {
    /// Some of its nodes, one of which must answer at the beginning.
    pub(super) addresses: Vec<Address>,
    pub(super) access: Access,
}

/// All nodes of one cluster.
pub(super) struct Cluster {
    seeds: Arc<Seeds>,
    slots: Option<Slots>,
    /// Whether the map is known to be out of date.
    stale: bool,
    nodes: HashMap<Address, Member>,
    /// Which node is asked for the map first; another one each time.
    turn: usize,
}

/// One node, and whether it works.
struct Member {
    node: Node,
    breaker: Breaker,
}

/// A question on its way to a node.
struct Errand<'a> {
    place: usize,
    asked: Asked<'a>,
}

/// What became of an errand.
struct Return {
    place: usize,
    address: Address,
    /// An error is one of the node, not of the question.
    outcome: Result<Outcome, ReadError>,
}

/// What is still to be asked, by node.
type Errands<'a> = BTreeMap<Address, Vec<Errand<'a>>>;

impl Seeds {
    /// What the cluster is called in messages.
    pub(super) fn name(&self) -> String {
        let names: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        format!("Redis cluster at {}", names.join(", "))
    }

    /// A node of the cluster.
    pub(super) fn server(&self, address: Address) -> Arc<Server> {
        Arc::new(Server::new(address, self.access.clone()))
    }

    /// The map, of the first of these nodes that has one.
    pub(super) async fn look_up(&self, nodes: Vec<Address>, until: Instant) -> Result<Slots, ReadError> {
        let attempts = nodes.into_iter().map(|address| self.ask(address)).collect();
        race::first(attempts, until, &self.name()).await
    }

    async fn ask(&self, address: Address) -> Result<Slots, ReadError> {
        let server = self.server(address.clone());
        let mut connection = Connector::new(Arc::clone(&server)).connect().await?;
        let said: RedisResult<Value> = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection.commands).await;
        let failed = |kind, what| ReadError::endpoint(kind, format!("{} {what}", server.name()));
        match said {
            Ok(said) => match Slots::parse(&said, &address) {
                None => Err(failed(ReadErrorKind::Protocol, "gave a map of the cluster that is none (CLUSTER SLOTS)")),
                Some(slots) if slots.is_empty() => Err(failed(
                    ReadErrorKind::Unavailable,
                    "is in a cluster without slots, or does not say whose they are",
                )),
                Some(slots) => Ok(slots),
            },
            Err(error) if error.detail().is_some_and(|text| text.contains("cluster support disabled")) => {
                Err(failed(ReadErrorKind::Config, "is not part of a cluster; use the type without -cluster"))
            }
            Err(error) => {
                let ReadError { kind, message, .. } = errors::statement(&server, "CLUSTER SLOTS", &error);
                Err(ReadError::endpoint(kind, message))
            }
        }
    }
}

impl Cluster {
    pub(super) fn new(seeds: Arc<Seeds>) -> Self {
        Self { seeds, slots: None, stale: false, nodes: HashMap::new(), turn: 0 }
    }

    /// Drops all connections; the map is read again as well.
    pub(super) fn hang_up(&mut self) {
        self.stale = true;
        self.nodes.values_mut().for_each(|member| member.node.hang_up());
    }

    /// Asks every question of the node that has its key, within `patience`.
    pub(super) async fn ask(
        &mut self,
        questions: &[Question],
        patience: Duration,
    ) -> Result<Vec<Result<Answer, ReadError>>, ReadError> {
        let begun = Instant::now();
        let all = begun + patience.mul_f64(0.9);
        if self.slots.is_none() || self.stale {
            self.look_up(begun + patience / 4).await?;
        }
        let mut answers: Vec<_> = questions.iter().map(|question| Err(self.homeless(question))).collect();
        let mut errands = self.plan(questions);
        for _ in 0..HOPS {
            // A hung node must leave time to find out who has its slots by now.
            let returns = self.round(errands, all.min(Instant::now() + patience * 2 / 5)).await;
            if returns.iter().any(|back| back.outcome.is_err()) {
                self.stale = true;
                // Whoever cannot tell leaves the map as it is.
                _ = self.look_up(all.min(Instant::now() + patience / 4)).await;
            }
            errands = Errands::new();
            for back in returns {
                let place = back.place;
                answers[place] = self.take(back, &questions[place], &mut errands);
            }
            if errands.is_empty() || Instant::now() >= all {
                break;
            }
        }
        Ok(answers)
    }

    /// Books what came back, and sends the question on if it must go elsewhere.
    fn take<'a>(
        &mut self,
        back: Return,
        question: &'a Question,
        errands: &mut Errands<'a>,
    ) -> Result<Answer, ReadError> {
        let Return { place, address, outcome } = back;
        match outcome {
            Ok(Outcome::Said(said)) => {
                // Such a node may have lost its part of the cluster to another one.
                self.stale |= said.as_ref().is_err_and(|error| error.kind == ReadErrorKind::Unavailable);
                said.map_err(of_one_question)
            }
            Ok(Outcome::Elsewhere(redirect)) => {
                self.stale |= !redirect.once;
                let errand = Errand { place, asked: Asked { question, asking: redirect.once } };
                errands.entry(redirect.address).or_default().push(errand);
                let what = format!("{}: a key of ours was moved on and on", self.seeds.name());
                Err(ReadError::query(ReadErrorKind::Unavailable, what))
            }
            Err(error) => {
                if let Some(owner) = self.owner(question).filter(|owner| **owner != address) {
                    let errand = Errand { place, asked: Asked { question, asking: false } };
                    errands.entry(owner.clone()).or_default().push(errand);
                }
                Err(of_one_question(error))
            }
        }
    }

    fn owner(&self, question: &Question) -> Option<&Address> {
        let slots = self.slots.as_ref()?;
        question.key().map_or_else(|| slots.nodes.first(), |key| slots.owner(slot(&key.name)))
    }

    fn plan<'a>(&self, questions: &'a [Question]) -> Errands<'a> {
        let mut errands = Errands::new();
        for (place, question) in questions.iter().enumerate() {
            if let Some(owner) = self.owner(question) {
                let errand = Errand { place, asked: Asked { question, asking: false } };
                errands.entry(owner.clone()).or_default().push(errand);
            }
        }
        errands
    }

    /// Asks all nodes at the same time.
    async fn round(&mut self, errands: Errands<'_>, until: Instant) -> Vec<Return> {
        for address in errands.keys().filter(|address| !self.nodes.contains_key(*address)).cloned().collect::<Vec<_>>()
        {
            let node = Node::new(self.seeds.server(address.clone()));
            self.nodes.insert(address, Member { node, breaker: Breaker::default() });
        }
        let mut errands = errands;
        let asking = self.nodes.iter_mut().filter_map(|(address, member)| {
            let errands = errands.remove(address)?;
            Some(async move {
                let asked: Vec<Asked<'_>> = errands.iter().map(|errand| errand.asked).collect();
                let places = errands.iter().map(|errand| errand.place);
                let outcomes = match member.ask(&asked, until).await {
                    Ok(outcomes) => outcomes.into_iter().map(Ok).collect::<Vec<_>>(),
                    Err(error) => asked.iter().map(|_| Err(error.clone())).collect(),
                };
                let back = |(place, outcome)| Return { place, address: address.clone(), outcome };
                places.zip(outcomes).map(back).collect::<Vec<_>>()
            })
        });
        join_all(asking).await.into_iter().flatten().collect()
    }

    /// Reads the map anew; an error only if there is none at all.
    async fn look_up(&mut self, until: Instant) -> Result<(), ReadError> {
        let knowing = self.knowing();
        match self.seeds.look_up(knowing, until).await {
            Ok(slots) => {
                self.nodes.retain(|address, _| slots.nodes.contains(address));
                (self.slots, self.stale) = (Some(slots), false);
                Ok(())
            }
            Err(_) if self.slots.is_some() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Who may know the map: nodes that work, another one first each time, then the seeds, then nodes that failed.
    fn knowing(&mut self) -> Vec<Address> {
        let known = self.slots.iter().flat_map(|slots| &slots.nodes);
        let fails =
            |address: &&Address| self.nodes.get(*address).is_some_and(|member| member.breaker.failure().is_some());
        let (failing, mut working): (Vec<_>, Vec<_>) = known.partition(fails);
        if !working.is_empty() {
            let turn = self.turn % working.len();
            working.rotate_left(turn);
        }
        self.turn = self.turn.wrapping_add(1);
        let mut all: Vec<Address> = Vec::new();
        for address in working.into_iter().chain(&self.seeds.addresses).chain(failing) {
            if !all.contains(address) {
                all.push(address.clone());
            }
        }
        all
    }

    /// A key whose slot nobody has.
    fn homeless(&self, question: &Question) -> ReadError {
        let subject = question.key().map_or(String::new(), |key| format!("key {:?} of ", key.name));
        let what = format!("{subject}{}: no node has its slot", self.seeds.name());
        ReadError::query(ReadErrorKind::Unavailable, what)
    }
}

impl Member {
    async fn ask(&mut self, asked: &[Asked<'_>], until: Instant) -> Result<Vec<Outcome>, ReadError> {
        if let Some(refusal) = self.breaker.refusal(Instant::now()) {
            return Err(refusal.clone());
        }
        let server = Arc::clone(self.node.server());
        let late =
            |_| Err(ReadError::endpoint(ReadErrorKind::Timeout, format!("{} did not answer in time", server.name())));
        match timeout_at(until, self.node.ask(asked)).await.unwrap_or_else(late) {
            Ok(outcomes) => {
                self.breaker.succeeded();
                Ok(outcomes)
            }
            Err(error) => {
                self.breaker.failed(Instant::now(), error.clone());
                self.node.hang_up();
                Err(error)
            }
        }
    }
}

/// One node's failure says nothing about the others.
fn of_one_question(error: ReadError) -> ReadError {
    let ReadError { kind, message, .. } = error;
    ReadError::query(kind, message)
}
