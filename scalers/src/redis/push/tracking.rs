//! Client tracking: the server remembers which keys this connection has read and sends one message at the first change
//! of each; then it forgets the key until it is read again.
//!
//! So every topic is read again on this connection *before* its change is passed on: whoever reads after the wake sees
//! everything up to that moment, and everything later is a new message. A list that changes ten thousand times a second
//! costs ten messages.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use redis::{AsyncConnectionConfig, Pipeline, PushInfo, PushKind, RedisResult, Value};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::sync::Notify;

use super::super::connection::{Connection, Connector, Server};
use super::super::errors;
use super::super::lengths::LENGTHS;
use super::Topic;

/// A connection whose reads the server remembers.
pub(in crate::redis) struct Tracking {
    server: Arc<Server>,
    connection: Connection,
    database: i64,
    inbox: Arc<Inbox>,
    /// The topics by the names of their keys: the messages name the key but not its database.
    topics: HashMap<Arc<str>, HashSet<Topic>>,
    /// Whether the server is a node of a cluster, which its keys may leave.
    node: bool,
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

impl Tracking {
    /// None if the server does not track for us.
    pub(super) async fn connect(server: &Arc<Server>, node: bool) -> Result<Option<Self>, ReadError> {
        let inbox = Arc::new(Inbox::default());
        let pushed = Arc::clone(&inbox);
        let sender = move |info: PushInfo| -> Result<(), redis::aio::SendError> {
            pushed.put(info);
            Ok(())
        };
        let config = AsyncConnectionConfig::new().set_push_sender(sender);
        let mut connection = match Connector::new(Arc::clone(server)).connect_resp3(config).await {
            Ok(connection) => connection,
            Err(error) if error.is_io_error() => return Err(errors::endpoint(server, &error)),
            // Whatever else went wrong goes wrong again with the older protocol, which reports it better.
            Err(_) => return Ok(None),
        };
        let on: RedisResult<Value> =
            redis::cmd("CLIENT").arg("TRACKING").arg("ON").query_async(&mut connection.commands).await;
        let (server, topics) = (Arc::clone(server), HashMap::new());
        Ok(on.is_ok().then_some(Self { server, connection, database: 0, inbox, topics, node }))
    }

    /// Reads the keys, upon which the server tracks them. What the read says does not matter: also one of the wrong type
    /// counts, and one that the user may not make is seen by the poll, which reports it.
    pub(super) async fn read(&mut self, topics: &[Topic]) -> Result<(), ReadError> {
        let mut keyed: Vec<_> = topics.iter().filter_map(|topic| Some((topic.key()?, topic))).collect();
        keyed.sort_by_key(|(key, _)| (key.database != self.database, key.database));
        let mut pipeline = Pipeline::new();
        for (key, topic) in keyed {
            if key.database != self.database {
                self.database = key.database;
                pipeline.cmd("SELECT").arg(key.database);
            }
            for command in topic.first(LENGTHS[0]) {
                pipeline.add_command(command.build(topic));
            }
            self.topics.entry(Arc::clone(&key.name)).or_default().insert(topic.clone());
        }
        let sent = pipeline.ignore_errors().query_async(&mut self.connection.commands).await;
        let replies: Vec<RedisResult<Value>> = sent.map_err(|error| errors::endpoint(&self.server, &error))?;
        let refused: Vec<_> = replies.iter().filter_map(|reply| reply.as_ref().err()).collect();
        if self.node && refused.iter().any(|error| matches!(error.code(), Some("MOVED" | "ASK"))) {
            let what = format!("{} has given a key to another node", self.server.name());
            return Err(ReadError::endpoint(ReadErrorKind::Unavailable, what));
        }
        // A server that refuses to work, because it is loading for example, has not tracked the keys either.
        refused.into_iter().find_map(|error| errors::refusal(&self.server, error)).map_or(Ok(()), Err)
    }

    pub(super) async fn heard(&self) -> Result<Vec<Topic>, ReadError> {
        loop {
            let arrived = self.inbox.take();
            if arrived.lost {
                let what = format!("{} closed the connection", self.server.name());
                return Err(ReadError::endpoint(ReadErrorKind::Unavailable, what));
            }
            let topics: Vec<Topic> = if arrived.everything {
                self.topics.values().flatten().cloned().collect()
            } else {
                arrived.names.iter().filter_map(|name| self.topics.get(name.as_str())).flatten().cloned().collect()
            };
            if !topics.is_empty() {
                return Ok(topics);
            }
            self.inbox.bell.notified().await;
        }
    }

    pub(super) fn forget(&mut self, topics: &[Topic]) {
        // The server forgets a key by itself at its next change.
        for topic in topics {
            let Some(key) = topic.key() else { continue };
            if let Some(known) = self.topics.get_mut(&key.name) {
                known.remove(topic);
                if known.is_empty() {
                    self.topics.remove(&key.name);
                }
            }
        }
    }

    pub(super) async fn check(&mut self) -> (&Server, RedisResult<()>) {
        let pong: RedisResult<Value> = redis::cmd("PING").query_async(&mut self.connection.commands).await;
        (&self.server, pong.map(drop))
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

#[cfg(test)]
#[path = "tracking_tests.rs"]
mod tests;
