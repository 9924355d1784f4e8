//! One client of the driver for all triggers on the same servers with the same credentials.
//!
//! The driver finds the servers, keeps a small pool of connections to each and watches over them. A client that fails as a
//! whole is made anew, so that another name service's answer or a renewed bundle of certificates counts. While it fails it
//! is left alone for a growing pause.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::Document;
use mongodb::{Client, Collection};
use tidegate_calculator::source::{ErrorScope, ReadError, ReadErrorKind};
use tokio::time::{Instant, timeout};

use super::access::Access;
use super::errors::{self, Subject};
use super::question::{Answer, Place, Question};
use super::sight::Sight;
use crate::endpoint::{Backend, Breaker, lock};

/// How many questions one server works on at a moment.
const POOL: u32 = 4;

/// The share of the time for an answer that the driver is given: what is left is for saying why there is none.
const SHARE: f64 = 0.95;

/// The servers of one access. Nothing is connected before the first question.
pub(super) struct Cluster {
    access: Access,
    name: Arc<str>,
    live: tokio::sync::Mutex<Option<Arc<Live>>>,
    breaker: Mutex<Breaker>,
    /// When it last answered anything.
    answered: Mutex<Option<Instant>>,
}

/// A client, and what its monitors see. Dropping it ends both.
pub(super) struct Live {
    pub(super) client: Client,
    pub(super) sight: Sight,
    pub(super) name: Arc<str>,
    has_credentials: bool,
}

/// The line of one question to the cluster.
pub(super) struct Asking(Arc<Cluster>);

impl Live {
    /// Makes a client of `pool` connections a server at most.
    pub(super) async fn connect(access: &Access, name: &Arc<str>, pool: u32) -> Result<Self, ReadError> {
        let (sight, watcher) = Sight::new(Arc::clone(name));
        let client = access.client(pool, name, watcher).await?;
        Ok(Self { client, sight, name: Arc::clone(name), has_credentials: access.has_credentials() })
    }

    pub(super) fn collection(&self, place: &Place) -> Collection<Document> {
        self.client.database(&place.database).collection(&place.collection)
    }

    /// The beginning of a message about a question.
    pub(super) fn about(&self, subject: &Subject) -> String {
        subject.about(&self.name)
    }

    /// What an error means, with what the monitors know of it.
    pub(super) fn told(&self, error: &mongodb::error::Error, subject: &Subject) -> ReadError {
        let told = errors::query(&self.name, subject, self.has_credentials, error);
        let unfound = matches!(&*error.kind, mongodb::error::ErrorKind::ServerSelection { .. });
        match self.sight.failing().filter(|_| unfound) {
            Some(cause) => cause,
            // Some other question may want a server of the kind that there is.
            None if unfound && self.sight.any_well() => ReadError { scope: ErrorScope::Query, ..told },
            None => told,
        }
    }

    /// Waits for an answer, or until all servers are down.
    pub(super) async fn unless_down<T>(
        &self,
        asking: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        let before = self.sight.tally();
        tokio::select! {
            biased;
            outcome = asking => outcome,
            failure = self.sight.clone().down(before) => Err(failure),
        }
    }
}

impl Cluster {
    pub(super) fn new(access: Access, name: Arc<str>) -> Self {
        let (live, breaker, answered) = (tokio::sync::Mutex::default(), Mutex::default(), Mutex::default());
        Self { access, name, live, breaker, answered }
    }

    /// Asks one question; an answer within `patience`, whatever the driver does.
    async fn ask(&self, question: &Question, patience: Duration) -> Result<Answer, ReadError> {
        let begun = Instant::now();
        if let Some(error) = lock(&self.breaker).refusal(begun) {
            return Err(error.clone());
        }
        let (patience, mut used) = (patience.mul_f64(SHARE), None);
        let outcome = match timeout(patience, self.attempt(question, patience, &mut used)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.late(used.as_deref(), begun)),
        };
        match &outcome {
            Err(error) if error.scope == ErrorScope::Endpoint => {
                lock(&self.breaker).failed(Instant::now(), error.clone());
                // After a refusal or a silence the driver makes a new connection of itself; only what was found is stale.
                self.retire(used.as_ref().filter(|_| error.kind == ReadErrorKind::Unavailable));
            }
            Err(_) => {}
            Ok(_) => {
                lock(&self.breaker).succeeded();
                *lock(&self.answered) = Some(Instant::now());
            }
        }
        outcome
    }

    async fn attempt(
        &self,
        question: &Question,
        patience: Duration,
        used: &mut Option<Arc<Live>>,
    ) -> Result<Answer, ReadError> {
        let live = self.live().await?;
        *used = Some(Arc::clone(&live));
        live.unless_down(question.ask(&live, patience)).await
    }

    async fn live(&self) -> Result<Arc<Live>, ReadError> {
        let mut slot = self.live.lock().await;
        if let Some(live) = &*slot {
            return Ok(Arc::clone(live));
        }
        let made = Arc::new(Live::connect(&self.access, &self.name, POOL).await?);
        Ok(Arc::clone(slot.insert(made)))
    }

    /// Gives up a client that failed, unless another question has done so already.
    fn retire(&self, failed: Option<&Arc<Live>>) {
        if let (Some(failed), Ok(mut slot)) = (failed, self.live.try_lock())
            && slot.as_ref().is_some_and(|live| Arc::ptr_eq(live, failed))
        {
            *slot = None;
        }
    }

    /// No answer in time: the monitors may know why.
    fn late(&self, used: Option<&Live>, begun: Instant) -> ReadError {
        let others_were_answered = lock(&self.answered).is_some_and(|answered| answered > begun);
        let why = used.and_then(|live| live.sight.failing());
        why.unwrap_or_else(|| errors::late(&self.name, others_were_answered))
    }
}

impl Asking {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self(cluster)
    }
}

#[async_trait]
impl Backend for Asking {
    type Query = Question;
    type Answer = Answer;

    async fn ask(
        &mut self,
        questions: &[Question],
        patience: Duration,
    ) -> Result<Vec<Result<Answer, ReadError>>, ReadError> {
        // A line has one question: whoever asks it at the same moment was joined already.
        let mut answers = Vec::with_capacity(questions.len());
        for question in questions {
            answers.push(self.0.ask(question, patience).await);
        }
        Ok(answers)
    }

    fn hang_up(&mut self) {
        // The cluster itself gives up what failed, once for all lines.
    }
}
