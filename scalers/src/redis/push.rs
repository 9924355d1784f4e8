//! Hears from the server that a key changed, by whatever the server offers without being configured for it.
//!
//! *Client tracking* comes first: the server remembers which keys this connection has read and sends one message at the
//! first change of each; then it forgets the key until it is read again. So every topic is read again on this
//! connection *before* its change is passed on: whoever reads after the wake sees everything up to that moment, and
//! everything later is a new message. A list that changes ten thousand times a second costs ten messages.
//!
//! *Keyspace notifications* are for servers without tracking, or users who may not use it: one message for every change,
//! if the server's administrator has enabled them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{AsyncConnectionConfig, Msg, Pipeline, PushInfo, PushKind, RedisResult, Value};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::sync::Notify;

use super::connection::{Connection, Connector, Server};
use super::{Key, errors};
use crate::endpoint::{Publisher, Session};

/// The most messages taken in one go: a flood must not keep the listener from its other work.
const GULP: usize = 1024;

/// What changes on one server.
pub(super) struct Changes {
    connector: Connector,
}

/// A connection that listens.
pub(super) enum Listening {
    /// By client tracking.
    Tracking(Tracking),
    /// By keyspace notifications.
    Keyspace(Keyspace),
}

/// A connection whose reads the server remembers.
pub(super) struct Tracking {
    server: Arc<Server>,
    connection: Connection,
    database: i64,
    inbox: Arc<Inbox>,
    /// The databases in which each name is listened to: the messages name the key but not its database.
    topics: HashMap<Arc<str>, BTreeSet<i64>>,
}

/// A connection that is subscribed to the channels of its keys.
pub(super) struct Keyspace {
    server: Arc<Server>,
    sink: PubSubSink,
    /// A queue of the library's that has no bound: it is emptied in gulps, which is far faster than servers fill it.
    stream: PubSubStream,
    topics: HashSet<Key>,
}

/// What the server pushed and nobody has looked at yet. Bounded by the number of keys that are tracked.
#[derive(Default)]
struct Inbox {
    arrived: Mutex<Arrived>,
    bell: Notify,
}

#[derive(Default)]
struct Arrived {
    names: HashSet<String>,
    /// The server dropped all keys at once, as after FLUSHALL.
    everything: bool,
    lost: bool,
}

impl Changes {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { connector: Connector::new(server) }
    }

    fn server(&self) -> &Arc<Server> {
        &self.connector.server
    }

    /// None if the server does not track for us.
    async fn tracking(&self) -> Result<Option<Tracking>, ReadError> {
        let inbox = Arc::new(Inbox::default());
        let pushed = Arc::clone(&inbox);
        let sender = move |info: PushInfo| -> Result<(), redis::aio::SendError> {
            pushed.put(info);
            Ok(())
        };
        let config = AsyncConnectionConfig::new().set_push_sender(sender);
        let mut connection = match self.connector.connect_resp3(config).await {
            Ok(connection) => connection,
            Err(error) if error.is_io_error() => return Err(errors::endpoint(self.server(), &error)),
            // Whatever else went wrong goes wrong again with the older protocol, which reports it better.
            Err(_) => return Ok(None),
        };
        let on: RedisResult<Value> =
            redis::cmd("CLIENT").arg("TRACKING").arg("ON").query_async(&mut connection.commands).await;
        let (server, topics) = (Arc::clone(self.server()), HashMap::new());
        Ok(on.is_ok().then_some(Tracking { server, connection, database: 0, inbox, topics }))
    }

    async fn keyspace(&self) -> Result<Keyspace, ReadError> {
        let mut connection = self.connector.connect().await?;
        let setting: RedisResult<Vec<String>> =
            redis::cmd("CONFIG").arg("GET").arg("notify-keyspace-events").query_async(&mut connection.commands).await;
        // A user who may not see the setting may still be sent the messages: listening costs nothing.
        if setting.is_ok_and(|pair| !pair.get(1).is_some_and(|flags| notifies(flags))) {
            let what = format!("{} offers neither client tracking nor keyspace notifications", self.server().name());
            return Err(ReadError::endpoint(ReadErrorKind::Config, what));
        }
        drop(connection);
        let failed = |error| errors::endpoint(self.server(), &error);
        let stream = self.connector.stream().await.map_err(failed)?;
        let pubsub = PubSub::new(&self.connector.login(), stream).await.map_err(failed)?;
        let (sink, stream) = pubsub.split();
        Ok(Keyspace { server: Arc::clone(self.server()), sink, stream, topics: HashSet::new() })
    }
}

#[async_trait]
impl Publisher for Changes {
    type Topic = Key;
    type Session = Listening;

    async fn connect(&self) -> Result<Listening, ReadError> {
        match self.tracking().await? {
            Some(tracking) => Ok(Listening::Tracking(tracking)),
            None => self.keyspace().await.map(Listening::Keyspace),
        }
    }
}

#[async_trait]
impl Session for Listening {
    type Topic = Key;

    async fn arm(&mut self, topics: &[Key]) -> Result<(), ReadError> {
        match self {
            Self::Tracking(tracking) => tracking.read(topics).await,
            Self::Keyspace(keyspace) => keyspace.subscribe(topics).await,
        }
    }

    async fn disarm(&mut self, topics: &[Key]) -> Result<(), ReadError> {
        match self {
            Self::Tracking(tracking) => {
                // The server forgets a key by itself at its next change.
                for topic in topics {
                    tracking.forget(topic);
                }
                Ok(())
            }
            Self::Keyspace(keyspace) => keyspace.unsubscribe(topics).await,
        }
    }

    async fn heard(&mut self) -> Result<Vec<Key>, ReadError> {
        match self {
            Self::Tracking(tracking) => tracking.heard().await,
            Self::Keyspace(keyspace) => keyspace.heard().await,
        }
    }

    async fn check(&mut self) -> Result<(), ReadError> {
        let (server, pong) = match self {
            Self::Tracking(Tracking { server, connection, .. }) => {
                let pong: RedisResult<Value> = redis::cmd("PING").query_async(&mut connection.commands).await;
                (server, pong)
            }
            Self::Keyspace(Keyspace { server, sink, .. }) => (server, sink.ping().await),
        };
        match pong {
            // A user who may not ping has a connection that works: it answered.
            Err(error) if error.code() != Some("NOPERM") => Err(errors::endpoint(server, &error)),
            _ => Ok(()),
        }
    }
}

impl Tracking {
    /// Reads the keys, upon which the server tracks them. What the read says does not matter: also one of the wrong type
    /// counts, and one that the user
    /// may not make is seen by the poll, which reports it.
    async fn read(&mut self, topics: &[Key]) -> Result<(), ReadError> {
        let mut keys: Vec<&Key> = topics.iter().collect();
        keys.sort_by_key(|key| (key.database != self.database, key.database));
        let mut pipeline = Pipeline::new();
        for key in keys {
            if key.database != self.database {
                self.database = key.database;
                pipeline.cmd("SELECT").arg(key.database);
            }
            pipeline.cmd("LLEN").arg(&*key.name);
            self.topics.entry(Arc::clone(&key.name)).or_default().insert(key.database);
        }
        let sent = pipeline.ignore_errors().query_async(&mut self.connection.commands).await;
        let replies: Vec<RedisResult<Value>> = sent.map_err(|error| errors::endpoint(&self.server, &error))?;
        // A server that refuses to work, because it is loading for example, has not tracked the keys either.
        let mut refused = replies.iter().filter_map(|reply| reply.as_ref().err());
        refused.find_map(|error| errors::refusal(&self.server, error)).map_or(Ok(()), Err)
    }

    async fn heard(&self) -> Result<Vec<Key>, ReadError> {
        loop {
            let arrived = self.inbox.take();
            if arrived.lost {
                let what = format!("{} closed the connection", self.server.name());
                return Err(ReadError::endpoint(ReadErrorKind::Unavailable, what));
            }
            let topics: Vec<Key> = if arrived.everything {
                self.topics.keys().flat_map(|name| self.keys(name)).collect()
            } else {
                arrived.names.iter().flat_map(|name| self.keys(name)).collect()
            };
            if !topics.is_empty() {
                return Ok(topics);
            }
            self.inbox.bell.notified().await;
        }
    }

    /// The keys of this name, in whatever database.
    fn keys(&self, name: &str) -> impl Iterator<Item = Key> {
        let known = self.topics.get_key_value(name);
        known.into_iter().flat_map(|(name, databases)| {
            databases.iter().map(|database| Key { database: *database, name: Arc::clone(name) })
        })
    }

    fn forget(&mut self, key: &Key) {
        if let Some(databases) = self.topics.get_mut(&key.name) {
            databases.remove(&key.database);
            if databases.is_empty() {
                self.topics.remove(&key.name);
            }
        }
    }
}

impl Keyspace {
    async fn subscribe(&mut self, topics: &[Key]) -> Result<(), ReadError> {
        let new: Vec<&Key> = topics.iter().filter(|topic| !self.topics.contains(*topic)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let channels: Vec<String> = new.iter().map(|topic| channel(topic)).collect();
        self.topics.extend(new.into_iter().cloned());
        if self.asked(&channels).await? {
            return Ok(());
        }
        // One forbidden channel makes the server refuse all of a command.
        for channel in &channels {
            if !self.asked(std::slice::from_ref(channel)).await? {
                tracing::warn!(endpoint = %self.server.name(), %channel, "The user may not listen, polling goes on");
            }
        }
        Ok(())
    }

    /// Subscribes to these channels; false if the user may not.
    async fn asked(&mut self, channels: &[String]) -> Result<bool, ReadError> {
        match self.sink.subscribe(channels).await {
            Err(error) if error.code() == Some("NOPERM") => Ok(false),
            outcome => outcome.map(|()| true).map_err(|error| errors::endpoint(&self.server, &error)),
        }
    }

    async fn unsubscribe(&mut self, topics: &[Key]) -> Result<(), ReadError> {
        let channels: Vec<String> = topics.iter().map(channel).collect();
        for topic in topics {
            self.topics.remove(topic);
        }
        let left = self.sink.unsubscribe(channels).await;
        left.map_err(|error| errors::endpoint(&self.server, &error))
    }

    async fn heard(&mut self) -> Result<Vec<Key>, ReadError> {
        let mut message = self.stream.next().await;
        let mut topics = HashSet::new();
        for _ in 0..GULP {
            let Some(arrived) = message else {
                let what = format!("{} closed the connection", self.server.name());
                return Err(ReadError::endpoint(ReadErrorKind::Unavailable, what));
            };
            topics.extend(topic(&arrived));
            let Some(next) = self.stream.next().now_or_never() else {
                break;
            };
            message = next;
        }
        Ok(topics.into_iter().collect())
    }
}

impl Inbox {
    /// Called by the connection for every message; never waits.
    fn put(&self, info: PushInfo) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        match info.kind {
            PushKind::Disconnection => arrived.lost = true,
            PushKind::Invalidate => match info.data.into_iter().next() {
                Some(Value::Array(names)) => {
                    let name = |value| {
                        if let Value::BulkString(name) = value { String::from_utf8(name).ok() } else { None }
                    };
                    arrived.names.extend(names.into_iter().filter_map(name));
                }
                _ => arrived.everything = true,
            },
            _ => return,
        }
        drop(arrived);
        self.bell.notify_one();
    }

    fn take(&self) -> Arrived {
        std::mem::take(&mut *self.arrived.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The channel on which the server speaks of a key.
fn channel(key: &Key) -> String {
    format!("__keyspace@{}__:{}", key.database, key.name)
}

fn topic(message: &Msg) -> Option<Key> {
    let (database, name) = message.get_channel_name().strip_prefix("__keyspace@")?.split_once("__:")?;
    Some(Key { database: database.parse().ok()?, name: name.into() })
}

/// Whether the flags of `notify-keyspace-events` make the server speak of every change that can alter a length.
fn notifies(flags: &str) -> bool {
    flags.contains('K') && (flags.contains('A') || ['g', 'l', 's', 'h', 'z'].iter().all(|class| flags.contains(*class)))
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
