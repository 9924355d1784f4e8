//! Hears from servers that a collection changed, by a change stream on each.
//!
//! A stream that breaks goes on where it was, by its resume token, which outlives a session. A collection that the user
//! may not listen to takes no other with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use mongodb::bson::{Document, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ResumeToken;
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::access::Access;
use super::cluster::Live;
use super::errors::{self, Subject};
use super::question::Place;
use crate::endpoint::{Publisher, Session, lock};

/// How many streams a server keeps at a moment, each on a connection of its own. More take turns.
const POOL: u32 = 64;

/// For how long a server waits for news before it says that there are none, and for how long others wait for a turn.
const AWAIT: Duration = Duration::from_secs(5);

/// How many pieces of news wait to be passed on: a stream waits with the next then, and nothing is lost.
const NEWS: usize = 64;

/// The pause before a stream is opened again that the user was forbidden to open.
const FORBIDDEN: Duration = Duration::from_mins(1);

/// The pause before one is opened again that the server ended, which it does when the collection is dropped. It is doubled,
/// up to [`FORBIDDEN`], while streams end before they have lasted for [`STEADY`].
const ENDED: Duration = Duration::from_millis(200);
const STEADY: Duration = Duration::from_secs(10);

/// The most that opening a stream may take; the feed bounds the whole.
const OPEN: Duration = Duration::from_secs(4);

/// What is listened to.
pub(super) type Topic = Place;

/// Where streams were, by their collections.
type Tokens = Arc<Mutex<HashMap<Topic, ResumeToken>>>;

/// What changes in one cluster.
pub(super) struct Changes {
    access: Access,
    name: Arc<str>,
    tokens: Tokens,
}

/// The streams on one client of the driver. It is none of those that are asked, whose connections streams would hold.
pub(super) struct Listening {
    live: Arc<Live>,
    tokens: Tokens,
    ears: HashMap<Topic, AbortHandle>,
    tell: mpsc::Sender<News>,
    news: mpsc::Receiver<News>,
}

/// A change of a collection, or how its stream was lost.
type News = Result<Topic, ReadError>;

/// The one task that reads a stream.
struct Ear {
    live: Arc<Live>,
    topic: Topic,
    tokens: Tokens,
    tell: mpsc::Sender<News>,
}

impl Changes {
    pub(super) fn new(access: Access, name: Arc<str>) -> Self {
        Self { access, name, tokens: Tokens::default() }
    }
}

#[async_trait]
impl Publisher for Changes {
    type Topic = Topic;
    type Session = Listening;

    async fn connect(&self) -> Result<Listening, ReadError> {
        let live = Arc::new(Live::connect(&self.access, &self.name, POOL).await?);
        ping(&live).await?;
        let (tell, news) = mpsc::channel(NEWS);
        Ok(Listening { live, tokens: Arc::clone(&self.tokens), ears: HashMap::new(), tell, news })
    }
}

#[async_trait]
impl Session for Listening {
    type Topic = Topic;

    async fn arm(&mut self, topics: &[Topic]) -> Result<(), ReadError> {
        let mut opening = Vec::new();
        for topic in topics {
            if self.ears.contains_key(topic) {
                continue;
            }
            let (opened, is_open) = oneshot::channel();
            let ear = Ear {
                live: Arc::clone(&self.live),
                topic: topic.clone(),
                tokens: Arc::clone(&self.tokens),
                tell: self.tell.clone(),
            };
            self.ears.insert(topic.clone(), tokio::spawn(ear.listen(opened)).abort_handle());
            opening.push(is_open);
        }
        for is_open in opening {
            is_open.await.unwrap_or_else(|_| Err(errors::defect()))?;
        }
        Ok(())
    }

    async fn disarm(&mut self, topics: &[Topic]) -> Result<(), ReadError> {
        for topic in topics {
            if let Some(ear) = self.ears.remove(topic) {
                ear.abort();
            }
            lock(&self.tokens).remove(topic);
        }
        Ok(())
    }

    async fn heard(&mut self) -> Result<Vec<Topic>, ReadError> {
        match self.news.recv().await {
            Some(news) => news.map(|topic| vec![topic]),
            // It cannot be: the session itself can tell.
            None => Err(errors::defect()),
        }
    }

    async fn check(&mut self) -> Result<(), ReadError> {
        ping(&self.live).await
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.ears.values().for_each(AbortHandle::abort);
    }
}

impl Ear {
    /// Tells of every change until the stream is lost; `opened` learns how it began.
    async fn listen(self, opened: oneshot::Sender<Result<(), ReadError>>) {
        let (mut opened, mut told, mut ended) = (Some(opened), false, ENDED);
        loop {
            let pause = match self.open().await {
                Ok(stream) => {
                    // Whoever opens a stream wakes the topic; one that is opened again was missed.
                    let greeted = opened.take().map(|opened| opened.send(Ok(())).is_ok());
                    if greeted.is_none() && self.tell.send(Ok(self.topic.clone())).await.is_err() {
                        return;
                    }
                    let begun = Instant::now();
                    if let Err(error) = self.follow(stream).await {
                        drop(self.tell.send(Err(error)).await);
                        return;
                    }
                    ended = if begun.elapsed() < STEADY { (ended * 2).min(FORBIDDEN) } else { ENDED };
                    ended
                }
                Err(error) if forbids(&error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(endpoint = %self.live.name, %error, "Push is not available, polling goes on");
                    }
                    if let Some(opened) = opened.take() {
                        drop(opened.send(Ok(())));
                    }
                    FORBIDDEN
                }
                Err(error) => {
                    match opened.take() {
                        Some(opened) => drop(opened.send(Err(error))),
                        None => drop(self.tell.send(Err(error)).await),
                    }
                    return;
                }
            };
            sleep(pause).await;
        }
    }

    /// Opens the stream, where it was if it was before.
    async fn open(&self) -> Result<ChangeStream<Document>, ReadError> {
        let token = lock(&self.tokens).get(&self.topic).cloned();
        let goes_on = token.is_some();
        let outcome = match self.watch(token).await {
            Err(Some(error)) if goes_on && errors::lost_its_place(&error) => {
                lock(&self.tokens).remove(&self.topic);
                self.watch(None).await
            }
            outcome => outcome,
        };
        let told = |error: &mongodb::error::Error| self.live.told(error, &self.subject());
        outcome.map_err(|error| error.map_or_else(|| errors::late(&self.live.name, false), |error| told(&error)))
    }

    /// A failure without an error is one of time.
    async fn watch(&self, token: Option<ResumeToken>) -> Result<ChangeStream<Document>, Option<mongodb::error::Error>> {
        let collection = self.live.collection(&self.topic);
        // That there was a change is enough; the documents are not sent.
        let only = [doc! { "$project": { "operationType": 1, "ns": 1 } }];
        let mut watching = collection.watch().pipeline(only).max_await_time(AWAIT);
        if let Some(token) = token {
            watching = watching.start_after(token);
        }
        match timeout(OPEN, watching).await {
            Ok(outcome) => outcome.map(ChangeStream::with_type).map_err(Some),
            Err(_) => Err(None),
        }
    }

    /// Reads the stream. It ends in order when the collection is dropped or renamed.
    async fn follow(&self, mut stream: ChangeStream<Document>) -> Result<(), ReadError> {
        self.keep(&stream);
        while let Some(change) = stream.next().await {
            change.map_err(|error| self.live.told(&error, &self.subject()))?;
            self.keep(&stream);
            if self.tell.send(Ok(self.topic.clone())).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn keep(&self, stream: &ChangeStream<Document>) {
        if let Some(token) = stream.resume_token() {
            lock(&self.tokens).insert(self.topic.clone(), token);
        }
    }

    fn subject(&self) -> Subject {
        Subject::Changes(self.topic.name())
    }
}

/// Whether an error concerns one collection alone, such as a missing right; a server that has no streams at all is another.
fn forbids(error: &ReadError) -> bool {
    error.scope == tidegate_calculator::source::ErrorScope::Query
        && matches!(error.kind, ReadErrorKind::Auth | ReadErrorKind::Config)
}

async fn ping(live: &Live) -> Result<(), ReadError> {
    let pinging = async {
        let pong = live.client.database("admin").run_command(doc! { "ping": 1 }).await;
        pong.map(drop).map_err(|error| live.told(&error, &Subject::Status))
    };
    live.unless_down(pinging).await
}
