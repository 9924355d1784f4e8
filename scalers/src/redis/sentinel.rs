//! Reads from the master that the Sentinels name, and follows them when they name another.
//!
//! A Sentinel is asked when there is no connection, when the master fails, and now and then beside a read, so that a
//! master which lost its office without noticing is not read for long. While no Sentinel answers, the master that is
//! known is read on.

use std::sync::Arc;
use std::time::Duration;

use redis::{RedisResult, Value};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::time::{Instant, timeout_at};

use super::connection::{Access, Address, Connector, Server};
use super::node::{Asked, Node};
use super::question::{Answer, Question};
use super::{errors, race};

/// How often the Sentinels are asked while all is well.
const CHECK: Duration = Duration::from_secs(10);

/// A master's name, and the Sentinels that know it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Watched {
    pub(super) sentinels: Vec<Address>,
    pub(super) master: String,
    /// How to speak to the Sentinels.
    pub(super) sentinel: Access,
    /// How to speak to the master.
    pub(super) access: Access,
}

/// The master, wherever it is.
pub(super) struct Master {
    watched: Arc<Watched>,
    node: Option<Node>,
    checked: Instant,
}

impl Watched {
    /// What the master is called in messages.
    pub(super) fn name(&self) -> String {
        format!("Redis master {:?} of the {}", self.master, self.names())
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.sentinels.iter().map(ToString::to_string).collect();
        format!("Sentinels at {}", names.join(", "))
    }

    /// Where the Sentinels say that the master is.
    pub(super) async fn find(&self, until: Instant) -> Result<Arc<Server>, ReadError> {
        let attempts = self.sentinels.iter().map(|sentinel| self.ask(sentinel.clone())).collect();
        let address = race::first(attempts, until, &self.names()).await?;
        Ok(Arc::new(Server::new(address, self.access.clone())))
    }

    async fn ask(&self, sentinel: Address) -> Result<Address, ReadError> {
        let server = Arc::new(Server::new(sentinel, self.sentinel.clone()));
        let mut connection = Connector::new(Arc::clone(&server)).connect().await.map_err(of_a_sentinel)?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        let said: RedisResult<Value> = command.query_async(&mut connection.commands).await;
        match said {
            Ok(Value::Nil) => {
                let what = format!("{} knows no master {:?}", called(&server), self.master);
                Err(ReadError::endpoint(ReadErrorKind::Config, what))
            }
            Ok(said) => address(&said).ok_or_else(|| of_a_sentinel(errors::not_an_answer(&server, "SENTINEL"))),
            Err(error) => Err(of_a_sentinel(errors::statement(&server, "SENTINEL", &error))),
        }
    }
}

impl Master {
    pub(super) fn new(watched: Arc<Watched>) -> Self {
        Self { watched, node: None, checked: Instant::now() }
    }

    pub(super) fn hang_up(&mut self) {
        self.node = None;
    }

    /// Asks the master everything, within `patience`.
    pub(super) async fn ask(
        &mut self,
        questions: &[Question],
        patience: Duration,
    ) -> Result<Vec<Result<Answer, ReadError>>, ReadError> {
        let begun = Instant::now();
        // What is left after a hung master must do for the Sentinels, and for the master they name then.
        let (look, read, all) = (begun + patience / 4, begun + patience / 2, begun + patience.mul_f64(0.9));
        if self.node.is_none() {
            self.follow(self.watched.find(look).await?);
        }
        let due = begun.saturating_duration_since(self.checked) >= CHECK;
        let watched = Arc::clone(&self.watched);
        let check = async { if due { watched.find(look).await.ok() } else { None } };
        let (outcome, named) = tokio::join!(self.read(questions, read), check);
        match (outcome, named) {
            (outcome, Some(named)) if self.is_at(&named) => {
                self.checked = begun;
                outcome
            }
            (_, Some(named)) => {
                self.follow(named);
                self.read(questions, all).await
            }
            (Ok(answers), None) => Ok(answers),
            // A master that fails may have been replaced already.
            (Err(error), None) => match self.watched.find(Instant::now() + patience / 4).await {
                Ok(named) if !self.is_at(&named) => {
                    self.follow(named);
                    self.read(questions, all).await
                }
                _ => Err(error),
            },
        }
    }

    fn is_at(&self, server: &Server) -> bool {
        self.node.as_ref().is_some_and(|node| **node.server() == *server)
    }

    fn follow(&mut self, server: Arc<Server>) {
        if !self.is_at(&server) {
            tracing::debug!(master = %self.watched.master, server = %server.address(), "The Sentinels name a master");
            self.node = Some(Node::master(server));
        }
        self.checked = Instant::now();
    }

    async fn read(
        &mut self,
        questions: &[Question],
        until: Instant,
    ) -> Result<Vec<Result<Answer, ReadError>>, ReadError> {
        let Some(node) = &mut self.node else { return Ok(Vec::new()) };
        let asked: Vec<Asked<'_>> = questions.iter().map(|question| Asked { question, asking: false }).collect();
        let server = Arc::clone(node.server());
        let late = || ReadError::endpoint(ReadErrorKind::Timeout, format!("{} did not answer in time", server.name()));
        let outcomes = timeout_at(until, node.ask(&asked)).await.unwrap_or_else(|_| Err(late()))?;
        let settled = outcomes.into_iter().zip(questions).map(|(outcome, question)| outcome.settle(&server, question));
        Ok(settled.collect())
    }
}

fn called(server: &Server) -> String {
    format!("Sentinel at {}", server.address())
}

/// A Sentinel is a Redis server that knows nothing else: only its name in messages is another.
fn of_a_sentinel(error: ReadError) -> ReadError {
    let ReadError { kind, message, .. } = error;
    ReadError::endpoint(kind, message.replacen("Redis at", "Sentinel at", 1))
}

fn address(said: &Value) -> Option<Address> {
    let Value::Array(pair) = said else { return None };
    let [Value::BulkString(host), Value::BulkString(port)] = pair.as_slice() else { return None };
    let (host, port) = (std::str::from_utf8(host).ok()?, std::str::from_utf8(port).ok()?);
    Some(Address::new(host, port.parse().ok()?))
}
