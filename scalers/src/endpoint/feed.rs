//! Listens to one server on behalf of many triggers and wakes those whose topic changed.
//!
//! A wake is only a hint to read. One session carries all topics of an endpoint; when it is lost, a new one is made
//! after a pause, and then every topic is woken once because changes may have been missed.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tidegate_calculator::source::{EndpointId, ReadError, ReadErrorKind, Wake};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::breaker::{Breaker, jittered};
use super::pacer::Pacer;
use super::{Endpoints, LINGER, lock};
use crate::scaler::Watch;

/// The longest that connecting and single exchanges of a session may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a silent session is asked whether it still lives: a dead one looks exactly like one without news.
const CHECK: Duration = Duration::from_secs(15);

/// The pause before a server that cannot push is tried again: somebody may have changed its configuration.
const RETRY_UNSUPPORTED: Duration = Duration::from_mins(1);

/// What a kind of source must implement to push.
#[async_trait]
pub(crate) trait Publisher: Send + Sync + 'static {
    /// What can change: a key, a queue.
    type Topic: Clone + Eq + Hash + Send + Sync + 'static;
    /// A connection that listens.
    type Session: Session<Topic = Self::Topic>;

    /// What it means that there is no session.
    const LOST: &'static str = "Push is not available, polling goes on";

    /// Connects. An error of kind `Config` says that this server cannot push.
    async fn connect(&self) -> Result<Self::Session, ReadError>;
}

/// One listening connection. An error from any call means that it is lost.
#[async_trait]
pub(crate) trait Session: Send {
    /// See [`Publisher::Topic`].
    type Topic;

    /// Makes sure that every change of these topics after the return is heard.
    ///
    /// It is called for new topics, and for topics that were heard before they are passed on.
    async fn arm(&mut self, topics: &[Self::Topic]) -> Result<(), ReadError>;

    /// Stops listening to these topics.
    async fn disarm(&mut self, topics: &[Self::Topic]) -> Result<(), ReadError>;

    /// Waits for changes. Dropping the future loses none.
    async fn heard(&mut self) -> Result<Vec<Self::Topic>, ReadError>;

    /// Finds out whether the connection still lives.
    async fn check(&mut self) -> Result<(), ReadError>;
}

/// The listeners of one endpoint.
pub(crate) struct Feed<P: Publisher> {
    name: String,
    publisher: P,
    listeners: Mutex<Listeners<P::Topic>>,
    /// Rings when topics were added or removed.
    changed: Notify,
}

struct Listeners<T> {
    running: bool,
    next: u64,
    wakes: HashMap<T, Vec<(u64, Wake)>>,
}

impl<P: Publisher> Feed<P> {
    /// Joins the feed of this id, or makes one.
    pub(crate) fn open(endpoints: &Endpoints, id: EndpointId, name: &str, publisher: impl FnOnce() -> P) -> Arc<Self> {
        let listeners = Listeners { running: false, next: 0, wakes: HashMap::new() };
        endpoints.join(id, || Self {
            name: name.to_owned(),
            publisher: publisher(),
            listeners: Mutex::new(listeners),
            changed: Notify::new(),
        })
    }

    /// The source that this feed listens to.
    #[cfg(feature = "websocket")]
    pub(crate) fn publisher(&self) -> &P {
        &self.publisher
    }

    /// Wakes whenever the topic may have changed, and once as soon as it is listened to. None without a runtime.
    pub(crate) fn watch(self: &Arc<Self>, topic: P::Topic, wake: Wake) -> Option<Watch> {
        let runtime = Handle::try_current().ok()?;
        let mut listeners = lock(&self.listeners);
        let id = listeners.next;
        listeners.next += 1;
        // A further listener of a known topic has missed what came before it, like the first one.
        if let Some(others) = listeners.wakes.get_mut(&topic) {
            others.push((id, Arc::clone(&wake)));
            runtime.spawn(async move { wake() });
        } else {
            listeners.wakes.insert(topic.clone(), vec![(id, wake)]);
        }
        if !listeners.running {
            listeners.running = true;
            runtime.spawn(Arc::clone(self).run());
        }
        drop(listeners);
        self.changed.notify_one();
        let feed = Arc::clone(self);
        Some(Watch::new(move || feed.leave(&topic, id)))
    }

    fn leave(&self, topic: &P::Topic, id: u64) {
        let mut listeners = lock(&self.listeners);
        if let Some(wakes) = listeners.wakes.get_mut(topic) {
            wakes.retain(|(other, _)| *other != id);
            if wakes.is_empty() {
                listeners.wakes.remove(topic);
                self.changed.notify_one();
            }
        }
    }

    fn wake(&self, topic: &P::Topic) {
        let wakes: Vec<Wake> = match lock(&self.listeners).wakes.get(topic) {
            Some(wakes) => wakes.iter().map(|(_, wake)| Arc::clone(wake)).collect(),
            None => return,
        };
        for wake in wakes {
            wake();
        }
    }

    /// Whether nobody listens; if `stop`, the task ends then, and the next listener starts a new one.
    fn unused(&self, stop: bool) -> bool {
        let mut listeners = lock(&self.listeners);
        let unused = listeners.wakes.is_empty();
        if unused && stop {
            listeners.running = false;
        }
        unused
    }

    async fn run(self: Arc<Self>) {
        let mut breaker = Breaker::default();
        loop {
            // A defect in one source costs a session and not the push of its endpoint for good.
            let outcome = AssertUnwindSafe(self.listen(&mut breaker)).catch_unwind().await;
            let Err(error) = outcome.unwrap_or_else(|_| Err(self.defect())) else { return };
            let now = Instant::now();
            if breaker.failure().is_none_or(|(_, last)| last != error) {
                tracing::warn!(endpoint = %self.name, %error, "{}", P::LOST);
            }
            let unsupported = error.kind == ReadErrorKind::Config;
            breaker.failed(now, error);
            let pause = if unsupported {
                now + jittered(RETRY_UNSUPPORTED)
            } else {
                breaker.failure().map_or(now, |(until, _)| until)
            };
            sleep_until(pause).await;
            if self.unused(true) {
                return;
            }
        }
    }

    /// One session: an error when it is lost, none when nobody has listened for a while.
    async fn listen(&self, breaker: &mut Breaker) -> Result<(), ReadError> {
        let mut session = self.patiently(self.publisher.connect()).await?;
        let (mut armed, mut pacer) = (HashSet::new(), Pacer::new());
        let (mut check, mut closing, mut changed) = (Instant::now() + CHECK, None, true);
        loop {
            if std::mem::take(&mut changed) {
                self.adjust(&mut session, &mut armed, &mut pacer).await?;
                breaker.succeeded();
            }
            closing = if armed.is_empty() { closing.or_else(|| Some(Instant::now() + LINGER)) } else { None };
            let due = pacer.next_due().unwrap_or(check).min(check).min(closing.unwrap_or(check));
            tokio::select! {
                heard = session.heard() => heard?.into_iter().for_each(|topic| pacer.heard(topic, Instant::now())),
                () = self.changed.notified() => changed = true,
                () = sleep_until(due) => {}
            }
            let now = Instant::now();
            let topics = pacer.take(now);
            if !topics.is_empty() {
                self.patiently(session.arm(&topics)).await?;
                for topic in &topics {
                    self.wake(topic);
                }
            }
            if now >= check {
                self.patiently(session.check()).await?;
                check = Instant::now() + CHECK;
            }
            if closing.is_some_and(|at| now >= at) && self.unused(true) {
                return Ok(());
            }
        }
    }

    /// Brings what the session listens to in line with what the listeners want.
    async fn adjust(
        &self,
        session: &mut P::Session,
        armed: &mut HashSet<P::Topic>,
        pacer: &mut Pacer<P::Topic>,
    ) -> Result<(), ReadError> {
        let (new, gone): (Vec<_>, Vec<_>) = {
            let wakes = &lock(&self.listeners).wakes;
            let new = wakes.keys().filter(|topic| !armed.contains(*topic)).cloned().collect();
            (new, armed.iter().filter(|topic| !wakes.contains_key(*topic)).cloned().collect())
        };
        if !new.is_empty() {
            self.patiently(session.arm(&new)).await?;
            for topic in new {
                // Whatever happened before the session listened was missed.
                self.wake(&topic);
                pacer.passed(topic.clone(), Instant::now());
                armed.insert(topic);
            }
        }
        if !gone.is_empty() {
            self.patiently(session.disarm(&gone)).await?;
            for topic in gone {
                pacer.forget(&topic);
                armed.remove(&topic);
            }
        }
        Ok(())
    }

    fn defect(&self) -> ReadError {
        let what = format!("listening to {} failed by a defect of ours", self.name);
        ReadError::endpoint(ReadErrorKind::Protocol, what)
    }

    async fn patiently<T>(&self, exchange: impl Future<Output = Result<T, ReadError>>) -> Result<T, ReadError> {
        let late = || ReadError::endpoint(ReadErrorKind::Timeout, format!("{} did not answer in time", self.name));
        timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err(late()))
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
