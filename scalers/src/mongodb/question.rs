//! What can be asked, and how it is asked of a client of the driver.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{ReadPreference, SelectionCriteria, ServerAddress};
use mongodb::{Client, ServerType};
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::access::shown;
use super::cluster::Live;
use super::errors::{self, Subject};
use super::number::{self, Flaw};

/// A collection of a database.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Place {
    pub(super) database: Arc<str>,
    pub(super) collection: Arc<str>,
}

/// Which servers of a cluster are asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Members {
    /// The primary; a server that is none of a replica set stands for it.
    Primary,
    /// The nearest one.
    Any,
    /// All that have data.
    All,
}

/// Which operations are counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Operations {
    /// Those that wait for a lock.
    Waiting,
    /// Those that have run for more than so many seconds.
    Slow(i64),
}

/// One question. Equal ones are asked once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Question {
    /// How many documents a filter finds, which is given in Extended JSON.
    Count(Place, Arc<str>),
    /// The field of the first document that a pipeline gives.
    Pipeline(Place, Aggregation),
    /// The locks of `serverStatus`.
    Status(Members),
    /// How many operations there are in `$currentOp`.
    Operations(Members, Operations),
}

/// See [`Question::Pipeline`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Aggregation {
    /// The list of stages in Extended JSON.
    pub(super) stages: Arc<str>,
    /// Where the number stands: names with dots between them.
    pub(super) field: Arc<str>,
    /// Whether no document at all is the number 0.
    pub(super) empty_is_zero: bool,
}

/// What is said to a question.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// The number, or one of each server.
    Numbers(Arc<[f64]>),
    /// What each server says of its locks.
    Locks(Arc<[Locks]>),
}

/// `globalLock` in an answer to `serverStatus`.
#[derive(Clone, Debug)]
pub(super) struct Locks {
    /// Which server, if several were asked.
    server: Option<String>,
    said: Document,
}

/// A number in `globalLock`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Figure(pub(super) &'static str);

impl Place {
    /// The collection's full name: `shop.jobs`.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.database, self.collection)
    }
}

impl Figure {
    /// The number in what one server said; none is an error and not 0.
    pub(super) fn of(self, server: &Locks, name: &str) -> Result<f64, ReadError> {
        let path = self.0;
        number::at(&server.said, &format!("globalLock.{path}")).map_err(|flaw| {
            let member = server.server.as_ref().map_or(String::new(), |server| format!("member {server}: "));
            let hint = if server.said.contains_key("globalLock") { "" } else { "; a mongos has no such queues" };
            let what = format!("{name}: {member}globalLock.{path} of serverStatus {}{hint}", flaw.told());
            ReadError::query(ReadErrorKind::Config, what)
        })
    }
}

impl Question {
    /// What messages are about.
    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Count(place, _) | Self::Pipeline(place, _) => Subject::Collection(place.name()),
            Self::Status(_) => Subject::Status,
            Self::Operations(..) => Subject::Operations,
        }
    }

    /// Asks; the server is told to give up after `patience`.
    pub(super) async fn ask(&self, live: &Live, patience: Duration) -> Result<Answer, ReadError> {
        match self {
            Self::Count(place, filter) => {
                let filter = document(filter).ok_or_else(errors::defect)?;
                let collection = live.collection(place);
                let counting = collection.count_documents(filter).max_time(patience).await;
                let count = counting.map_err(|error| live.told(&error, &self.subject()))?;
                #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 a difference of one is none")]
                Ok(Answer::of(count as f64))
            }
            Self::Pipeline(place, aggregation) => {
                let first = self.first(live, place, aggregation, patience).await?;
                aggregation.value(first.as_ref(), &live.about(&self.subject())).map(Answer::of)
            }
            Self::Status(members) => {
                let command = || status(patience);
                let said = self.each(live, *members, command).await?;
                Ok(Answer::Locks(said.into_iter().map(|(server, said)| Locks { server, said }).collect()))
            }
            Self::Operations(members, operations) => {
                let command = || operations.command(patience);
                let said = self.each(live, *members, command).await?;
                let counts: Result<Arc<[f64]>, ReadError> =
                    said.iter().map(|(_, said)| counted(said, &live.about(&self.subject()))).collect();
                counts.map(Answer::Numbers)
            }
        }
    }

    async fn first(
        &self,
        live: &Live,
        place: &Place,
        aggregation: &Aggregation,
        patience: Duration,
    ) -> Result<Option<Document>, ReadError> {
        let told = |error: &mongodb::error::Error| live.told(error, &self.subject());
        let mut stages = pipeline(&aggregation.stages).ok_or_else(errors::defect)?;
        // The others would only be sent to be thrown away.
        stages.push(doc! { "$limit": 1 });
        let collection = live.collection(place);
        let asking = collection.aggregate(stages).max_time(patience).await;
        let mut cursor = asking.map_err(|error| told(&error))?;
        if !cursor.advance().await.map_err(|error| told(&error))? {
            return Ok(None);
        }
        cursor.deserialize_current().map(Some).map_err(|error| told(&error))
    }

    /// Runs a command on the members, and says which said what if they are several.
    async fn each(
        &self,
        live: &Live,
        members: Members,
        command: impl Fn() -> Document,
    ) -> Result<Vec<(Option<String>, Document)>, ReadError> {
        let criteria = match members {
            Members::Primary => SelectionCriteria::ReadPreference(ReadPreference::Primary),
            Members::Any => SelectionCriteria::ReadPreference(ReadPreference::Nearest { options: None }),
            Members::All => return self.all(live, &command).await,
        };
        let said = run(&live.client, command(), criteria).await;
        Ok(vec![(None, said.map_err(|error| live.told(&error, &self.subject()))?)])
    }

    /// A member that is missing would make a smaller sum, so its error is that of the whole.
    async fn all(
        &self,
        live: &Live,
        command: &impl Fn() -> Document,
    ) -> Result<Vec<(Option<String>, Document)>, ReadError> {
        let mut asked = Vec::new();
        for server in live.sight.clone().settled().await {
            match server.role {
                ServerType::Unknown => {
                    let why = server.failure.map_or("is not known".to_owned(), |failure| failure.message);
                    let what = format!("{}: member {} cannot be read: {why}", live.name, shown(&server.address));
                    return Err(ReadError::query(ReadErrorKind::Unavailable, what));
                }
                // No client's operation waits in an arbiter, or in a member that only begins or recovers.
                ServerType::RsArbiter | ServerType::RsOther | ServerType::RsGhost => {}
                _ => asked.push(server.address),
            }
        }
        if asked.is_empty() {
            let what = format!("{}: no member has data", live.name);
            return Err(ReadError::query(ReadErrorKind::Unavailable, what));
        }
        try_join_all(asked.into_iter().map(async |address| {
            // The driver says of itself that a secondary may answer.
            let said = run(&live.client, command(), only(&address)).await;
            let said = said.map_err(|error| live.told(&error, &self.subject()))?;
            Ok((Some(shown(&address)), said))
        }))
        .await
    }
}

impl Answer {
    fn of(number: f64) -> Self {
        Self::Numbers(Arc::from([number]))
    }
}

impl Aggregation {
    /// The number in the first document.
    fn value(&self, first: Option<&Document>, about: &str) -> Result<f64, ReadError> {
        let Some(first) = first else {
            return if self.empty_is_zero {
                Ok(0.0)
            } else {
                let what = format!("{about}: the pipeline gives no document; \"emptyIsZero: true\" takes that for 0");
                Err(ReadError::query(ReadErrorKind::Config, what))
            };
        };
        number::at(first, &self.field).map_err(|flaw: Flaw| {
            let what = format!("{about}: the field {:?} of the first document {}", self.field, flaw.told());
            ReadError::query(ReadErrorKind::Config, what)
        })
    }
}

impl Operations {
    fn command(self, patience: Duration) -> Document {
        let wanted = match self {
            Self::Waiting => doc! { "active": true, "waitingForLock": true },
            // The servers' own threads have no kind, and a driver that waits for news of the topology is no work.
            Self::Slow(seconds) => doc! {
                "active": true,
                "secs_running": { "$gt": seconds },
                "op": { "$nin": ["none", "", "hello"] },
                "command.hello": { "$exists": false },
                "command.isMaster": { "$exists": false },
                "command.ismaster": { "$exists": false },
            },
        };
        doc! {
            "aggregate": 1,
            "pipeline": [{ "$currentOp": { "allUsers": true } }, { "$match": wanted }, { "$count": "count" }],
            "cursor": {},
            "maxTimeMS": millis(patience),
        }
    }
}

/// One command on the servers' own database. It only reads, so after a cut connection it may be sent once more, which the
/// driver does of itself for queries alone.
async fn run(client: &Client, command: Document, to: SelectionCriteria) -> mongodb::error::Result<Document> {
    let admin = client.database("admin");
    match admin.run_command(command.clone()).selection_criteria(to.clone()).await {
        Err(error) if errors::was_cut(&error) => admin.run_command(command).selection_criteria(to).await,
        outcome => outcome,
    }
}

fn only(address: &ServerAddress) -> SelectionCriteria {
    let address = address.clone();
    SelectionCriteria::Predicate(Arc::new(move |server| *server.address() == address))
}

/// `serverStatus` without its largest parts.
fn status(patience: Duration) -> Document {
    let mut command = doc! { "serverStatus": 1, "maxTimeMS": millis(patience) };
    for part in ["metrics", "wiredTiger", "locks", "repl", "tcmalloc", "transactions", "sharding", "security"] {
        command.insert(part, 0);
    }
    command
}

fn millis(patience: Duration) -> i64 {
    i64::try_from(patience.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// The count in the answer to an aggregation; where nothing is counted, `$count` gives no document.
fn counted(said: &Document, about: &str) -> Result<f64, ReadError> {
    let protocol = || ReadError::query(ReadErrorKind::Protocol, format!("{about}: the answer is not one of MongoDB"));
    let cursor = said.get_document("cursor").map_err(|_| protocol())?;
    match cursor.get_array("firstBatch").map_err(|_| protocol())?.first() {
        None => Ok(0.0),
        Some(Bson::Document(first)) => number::at(first, "count").map_err(|_| protocol()),
        Some(_) => Err(protocol()),
    }
}

/// The document of a text in Extended JSON, canonical or relaxed.
pub(super) fn document(text: &str) -> Option<Document> {
    serde_json::from_str(text).ok()
}

/// The stages of a text in Extended JSON.
pub(super) fn pipeline(text: &str) -> Option<Vec<Document>> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
#[path = "question_tests.rs"]
mod tests;
