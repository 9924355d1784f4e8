//! Listens to the stream of a gateway: one WebSocket for all triggers with the same URL and credentials.
//!
//! The connection is kept by a [`Feed`], which makes it anew after a pause, asks it every 15 s whether it lives, and closes it 30 s after
//! its last user. The newest message is the reading while it is fresh, also while the connection is made anew; after that the reading is
//! an error. A message that changes what a trigger reads wakes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt as _, SinkExt as _};
use tidegate_calculator::source::{Deadline, EndpointId, ReadError, ReadErrorKind, Wake};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::connect::{Dial, Socket, failure, next};
use super::declaration::{Listened, Settings};
use crate::endpoint::{Breaker, Endpoints, Feed, Publisher, Session, identify, lock};
use crate::location::{Flaw, Location};
use crate::scaler::Watch;

/// How long the gateway may take to accept the stream, and to answer a ping: less than what the feed waits, so that it is known why.
const PATIENCE: Duration = Duration::from_secs(4);

/// A stream that ends sooner than this was none: the next one comes after a pause that grows.
const BRIEF: Duration = Duration::from_secs(10);

/// How many messages that have come already are taken at once: only the newest of them counts.
const AT_ONCE: usize = 64;

/// A use of a gateway's stream.
pub(super) struct Gateway {
    id: EndpointId,
    name: String,
    feed: Arc<Feed<Stream>>,
    location: Location,
    stale_after: Duration,
    /// Keeps the stream from the first reading on.
    used: OnceLock<Option<Watch>>,
}

/// What a gateway says, and how to listen to it.
pub(super) struct Stream {
    dial: Dial,
    heard: Arc<watch::Sender<Heard>>,
    /// Rests after streams that end as soon as they have begun.
    rest: Arc<Mutex<Breaker>>,
}

/// What is known of a stream.
#[derive(Clone, Debug, Default)]
struct Heard {
    newest: Option<Newest>,
    standing: Standing,
}

/// A message and when it came.
#[derive(Clone, Debug)]
struct Newest {
    at: Instant,
    body: Bytes,
}

#[derive(Clone, Debug, Default)]
enum Standing {
    /// It is being made for the first time, or was given up because nobody used it.
    #[default]
    Beginning,
    Open,
    /// It is made anew after a pause.
    Lost(ReadError),
}

/// What a trigger reads in a message.
type Outcome = Result<f64, Flaw>;

impl Gateway {
    /// Joins the stream of this gateway and access, or prepares it: nothing is connected before the first reading.
    pub(super) fn open(endpoints: &Endpoints, settings: &Settings, listened: &Listened) -> Self {
        let id = identify("websocket", &(listened.url.as_str(), &settings.access));
        let stream =
            || Stream { dial: Dial::new(&listened.url, &settings.access), heard: Arc::default(), rest: Arc::default() };
        Self {
            id,
            name: listened.name.clone(),
            feed: Feed::open(endpoints, id, &listened.name, stream),
            location: settings.location.clone(),
            stale_after: listened.stale_after,
            used: OnceLock::new(),
        }
    }

    /// What triggers on this stream have in common.
    pub(super) fn id(&self) -> EndpointId {
        self.id
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Wakes when a message changes what this trigger reads.
    pub(super) fn watch(&self, wake: Wake) -> Option<Watch> {
        self.feed.watch(self.location.clone(), wake)
    }

    /// The number in the newest message. Errors complete "GATEWAY: ...".
    pub(super) async fn newest(&self, deadline: Deadline) -> Result<f64, ReadError> {
        self.used.get_or_init(|| self.watch(Arc::new(|| {})));
        let until = Instant::now() + deadline;
        let mut heard = self.feed.publisher().heard.subscribe();
        loop {
            let now = heard.borrow_and_update().clone();
            if let Some(said) = self.said(&now) {
                return said;
            }
            if !matches!(timeout_at(until, heard.changed()).await, Ok(Ok(()))) {
                let what = match now.standing {
                    Standing::Open => "has sent no message yet",
                    _ => "did not accept the stream in time",
                };
                return Err(ReadError::endpoint(ReadErrorKind::Timeout, what));
            }
        }
    }

    /// What can be said now; none if it is worth waiting.
    fn said(&self, heard: &Heard) -> Option<Result<f64, ReadError>> {
        match (&heard.newest, &heard.standing) {
            (Some(newest), _) if newest.at.elapsed() <= self.stale_after => {
                let found = self.location.find(&newest.body);
                Some(found.map_err(|flaw| ReadError::query(ReadErrorKind::Protocol, flawed(flaw))))
            }
            (_, Standing::Lost(error)) => Some(Err(error.clone())),
            (Some(_), Standing::Open) => {
                let what = "has sent no message for longer than staleAfter";
                Some(Err(ReadError::query(ReadErrorKind::Unavailable, what)))
            }
            _ => None,
        }
    }
}

/// What is wrong with a message; nothing of it is repeated.
fn flawed(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Absent => "the newest message has nothing at valueLocation",
        Flaw::NotANumber => "what stands at valueLocation of the newest message is not a number",
        Flaw::Unreadable(_) | Flaw::Refused(_) => "the newest message is not JSON",
    }
}

impl Stream {
    fn lost(&self, error: &ReadError) {
        self.heard.send_modify(|heard| heard.standing = Standing::Lost(error.clone()));
    }
}

/// The feed rests for a minute after an error of kind Config, because most servers that cannot push never will. A gateway is all there
/// is, and may be deployed this moment.
fn worth_retrying(error: &ReadError) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Unavailable, error.message.clone())
}

#[async_trait]
impl Publisher for Stream {
    type Topic = Location;
    type Session = Ear;

    const LOST: &'static str = "The stream is lost; it is made anew";

    async fn connect(&self) -> Result<Ear, ReadError> {
        if let Some(error) = lock(&self.rest).refusal(Instant::now()) {
            return Err(worth_retrying(error));
        }
        let late = |_| Err(ReadError::endpoint(ReadErrorKind::Timeout, "did not accept the stream in time"));
        match timeout(PATIENCE, self.dial.connect()).await.unwrap_or_else(late) {
            Ok(socket) => {
                self.heard.send_modify(|heard| heard.standing = Standing::Open);
                Ok(Ear {
                    socket,
                    begun: Instant::now(),
                    topics: HashMap::new(),
                    changed: Vec::new(),
                    heard: Arc::clone(&self.heard),
                    rest: Arc::clone(&self.rest),
                })
            }
            Err(error) => {
                self.lost(&error);
                Err(worth_retrying(&error))
            }
        }
    }
}

/// What a message says; none if it only keeps the stream alive.
fn take(message: Message) -> Result<Option<Bytes>, ReadError> {
    match message {
        Message::Text(text) => Ok(Some(text.into())),
        Message::Binary(body) => Ok(Some(body)),
        Message::Close(frame) => {
            let code = frame.map(|frame| format!(" (code {})", u16::from(frame.code))).unwrap_or_default();
            Err(ReadError::endpoint(ReadErrorKind::Unavailable, format!("closed the stream{code}")))
        }
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
    }
}

/// A stream that is listened to.
pub(super) struct Ear {
    socket: Socket,
    begun: Instant,
    /// What triggers read in its messages, and what they read last.
    topics: HashMap<Location, Option<Outcome>>,
    /// What a message has changed that came while something else was waited for.
    changed: Vec<Location>,
    heard: Arc<watch::Sender<Heard>>,
    rest: Arc<Mutex<Breaker>>,
}

impl Ear {
    /// Takes what has come, one message at least, and notes whose number it changes. What came before the stream broke off counts.
    async fn listen(&mut self) -> Result<(), ReadError> {
        let first = next(&mut self.socket).await;
        let (mut newest, mut taken) = (None, first.and_then(take));
        for _ in 1..AT_ONCE {
            let Ok(body) = &mut taken else { break };
            newest = body.take().or(newest);
            let Some(more) = next(&mut self.socket).now_or_never() else { break };
            taken = more.and_then(take);
        }
        newest = taken.as_mut().ok().and_then(Option::take).or(newest);
        if let Some(body) = newest {
            self.tell(body);
        }
        taken.map(drop)
    }

    fn tell(&mut self, body: Bytes) {
        for (location, last) in &mut self.topics {
            let outcome = Some(location.find(&body));
            if *last != outcome {
                *last = outcome;
                self.changed.push(location.clone());
            }
        }
        self.heard.send_modify(|heard| heard.newest = Some(Newest { at: Instant::now(), body }));
    }

    /// The stream is lost by this.
    fn lose(&self, error: ReadError) -> ReadError {
        if self.begun.elapsed() < BRIEF {
            lock(&self.rest).failed(Instant::now(), error.clone());
        } else {
            lock(&self.rest).succeeded();
        }
        self.heard.send_modify(|heard| heard.standing = Standing::Lost(error.clone()));
        error
    }

    /// Whether it lives: anything that comes after a ping says so.
    async fn answers(&mut self) -> Result<(), ReadError> {
        self.socket.send(Message::Ping(Bytes::new())).await.map_err(|error| failure(&error))?;
        self.listen().await
    }
}

#[async_trait]
impl Session for Ear {
    type Topic = Location;

    async fn arm(&mut self, topics: &[Location]) -> Result<(), ReadError> {
        for topic in topics {
            self.topics.entry(topic.clone()).or_default();
        }
        Ok(())
    }

    async fn disarm(&mut self, topics: &[Location]) -> Result<(), ReadError> {
        self.topics.retain(|topic, _| !topics.contains(topic));
        Ok(())
    }

    async fn heard(&mut self) -> Result<Vec<Location>, ReadError> {
        while self.changed.is_empty() {
            self.listen().await.map_err(|error| self.lose(error))?;
        }
        Ok(std::mem::take(&mut self.changed))
    }

    async fn check(&mut self) -> Result<(), ReadError> {
        let late = |_| Err(ReadError::endpoint(ReadErrorKind::Timeout, "did not answer a ping in time"));
        timeout(PATIENCE, self.answers()).await.unwrap_or_else(late).map_err(|error| self.lose(error))
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        // Nobody used it any more: whoever comes waits for a new one.
        self.heard.send_if_modified(|heard| {
            let open = matches!(heard.standing, Standing::Open);
            if open {
                heard.standing = Standing::Beginning;
            }
            open
        });
    }
}
