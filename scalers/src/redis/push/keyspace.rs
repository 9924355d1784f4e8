//! Keyspace notifications, for servers without client tracking or users who may not use it: one message for every
//! change, if the server's administrator has enabled them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{Msg, RedisResult};
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::super::connection::{Connector, Server};
use super::super::question::Question;
use super::super::{Key, errors};
use super::Topic;

/// The most messages taken in one go: a flood must not keep the listener from its other work.
const GULP: usize = 1024;

/// A connection that is subscribed to the channels of its keys.
pub(in crate::redis) struct Keyspace {
    server: Arc<Server>,
    sink: PubSubSink,
    /// A queue of the library's that has no bound: it is emptied in gulps, which is far faster than servers fill it.
    stream: PubSubStream,
    topics: HashMap<Key, HashSet<Topic>>,
    spoken: Spoken,
}

/// Of which changes the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spoken {
    /// Of every one that can alter a length.
    lengths: bool,
    /// Of every one that can alter a stream.
    streams: bool,
}

impl Keyspace {
    pub(super) async fn connect(server: &Arc<Server>) -> Result<Self, ReadError> {
        let connector = Connector::new(Arc::clone(server));
        let mut connection = connector.connect().await?;
        let setting: RedisResult<Vec<String>> =
            redis::cmd("CONFIG").arg("GET").arg("notify-keyspace-events").query_async(&mut connection.commands).await;
        // A user who may not see the setting may still be sent the messages: listening costs nothing.
        let everything = Spoken { lengths: true, streams: true };
        let spoken = setting.map_or(everything, |pair| pair.get(1).map_or(Spoken::of(""), |flags| Spoken::of(flags)));
        if !spoken.lengths && !spoken.streams {
            let what = format!("{} offers neither client tracking nor keyspace notifications", server.name());
            return Err(ReadError::endpoint(ReadErrorKind::Config, what));
        }
        drop(connection);
        let failed = |error| errors::endpoint(server, &error);
        let stream = connector.stream().await.map_err(failed)?;
        let pubsub = PubSub::new(&connector.login(), stream).await.map_err(failed)?;
        let (sink, stream) = pubsub.split();
        Ok(Self { server: Arc::clone(server), sink, stream, topics: HashMap::new(), spoken })
    }

    pub(super) async fn subscribe(&mut self, topics: &[Topic]) -> Result<(), ReadError> {
        let mut channels = Vec::new();
        for topic in topics {
            let Some(key) = topic.key() else { continue };
            let known = self.topics.entry(key.clone()).or_default();
            if known.is_empty() {
                channels.push(channel(key));
            }
            if known.insert(topic.clone()) && !self.spoken.covers(topic) {
                tracing::warn!(endpoint = %self.server.name(), key = %key.name,
                    "The server's notify-keyspace-events leaves changes of such keys out, polling goes on");
            }
        }
        if channels.is_empty() || self.asked(&channels).await? {
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

    pub(super) async fn unsubscribe(&mut self, topics: &[Topic]) -> Result<(), ReadError> {
        let mut channels = Vec::new();
        for topic in topics {
            let Some(key) = topic.key() else { continue };
            let Some(known) = self.topics.get_mut(key) else { continue };
            known.remove(topic);
            if known.is_empty() {
                self.topics.remove(key);
                channels.push(channel(key));
            }
        }
        // Without a channel the command would end all subscriptions.
        if channels.is_empty() {
            return Ok(());
        }
        let left = self.sink.unsubscribe(channels).await;
        left.map_err(|error| errors::endpoint(&self.server, &error))
    }

    pub(super) async fn heard(&mut self) -> Result<Vec<Topic>, ReadError> {
        let mut message = self.stream.next().await;
        let mut topics: HashSet<Topic> = HashSet::new();
        for _ in 0..GULP {
            let Some(arrived) = message else {
                let what = format!("{} closed the connection", self.server.name());
                return Err(ReadError::endpoint(ReadErrorKind::Unavailable, what));
            };
            topics.extend(key(&arrived).and_then(|key| self.topics.get(&key)).into_iter().flatten().cloned());
            let Some(next) = self.stream.next().now_or_never() else {
                break;
            };
            message = next;
        }
        Ok(topics.into_iter().collect())
    }

    pub(super) async fn check(&mut self) -> (&Server, RedisResult<()>) {
        let pong = self.sink.ping::<redis::Value>().await;
        (&self.server, pong.map(drop))
    }
}

/// The channel on which the server speaks of a key.
fn channel(key: &Key) -> String {
    format!("__keyspace@{}__:{}", key.database, key.name)
}

fn key(message: &Msg) -> Option<Key> {
    let (database, name) = message.get_channel_name().strip_prefix("__keyspace@")?.split_once("__:")?;
    Some(Key { database: database.parse().ok()?, name: name.into() })
}

impl Spoken {
    /// What these flags of `notify-keyspace-events` make the server speak of.
    fn of(flags: &str) -> Self {
        let has = |classes: &[char]| {
            flags.contains('K') && (flags.contains('A') || classes.iter().all(|class| flags.contains(*class)))
        };
        Self { lengths: has(&['g', 'l', 's', 'h', 'z']), streams: has(&['g', 't']) }
    }

    fn covers(self, topic: &Topic) -> bool {
        if matches!(topic, Question::Length(_)) { self.lengths } else { self.streams }
    }
}

#[cfg(test)]
#[path = "keyspace_tests.rs"]
mod tests;
