//! Follows what somebody asks about, place by place: each place is listed and watched from the first question on, and given up when
//! nobody has asked for a while and nobody waits for changes.
//!
//! What is a place, and what is kept of it, says a [`Stored`]: the pods of a namespace, or one object by its name. A question is answered
//! from what the watch has shown. Before the first list is complete it waits. A watch shows that it lives at least every 65 s: it ends
//! after 60 s at the latest and is asked anew. When nothing was heard of it for [`Times::stale`], things may be other than they were, and
//! the answer is an error.

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher::{Config, Error, Event, Result as Word};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tidegate_calculator::source::{Deadline, ReadError, ReadErrorKind, Wake};
use tidegate_scalers::Watch;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::refusal::{Question, Served};
use crate::kubernetes::calls::Failure;
use crate::kubernetes::patience::{self, Patience, Pulse, Words};

/// The core API.
const CORE: Served = Served { group: "", install: "" };

/// The times of what is seen of places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// What a place holds is not told when its watch was heard of last before this time.
    pub(super) stale: Duration,
    /// A place is given up when nobody has asked about it for this time.
    pub(super) idle: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { stale: Duration::from_secs(90), idle: Duration::from_mins(5) }
    }
}

/// These watches live more briefly than others: a dead connection is noticed by their end, and what they show goes stale sooner than
/// counts.
pub(super) fn usual_patience() -> Patience {
    Patience::with_times(patience::Times { stand: Duration::from_secs(45), ..patience::Times::default() })
}

/// What is kept of one place.
pub(super) trait Stored: Default + Send + 'static {
    /// Which place; shown as `the pods of namespace shop`.
    type Key: Clone + Debug + Display + Eq + Hash + Send + Sync + 'static;
    /// An object of it as the API server shows it.
    type View: Resource + Clone + Debug + DeserializeOwned + Send + 'static;
    /// What a list that is under way has shown.
    type Fresh: Default + Send + 'static;
    /// Which changes somebody wants to hear of.
    type Filter: Send + 'static;
    /// What has changed.
    type Change;
    /// The resource in the words of permissions: `pods`.
    const RESOURCE: &'static str;

    /// Where and what is watched.
    fn api(client: Client, key: &Self::Key) -> (Api<Self::View>, Config);
    /// The namespace of a place.
    fn namespace(key: &Self::Key) -> &str;
    /// One more object of a list.
    fn add(fresh: &mut Self::Fresh, view: Self::View);
    /// A list is complete: this is all there is now.
    fn replace(&mut self, fresh: Self::Fresh);
    /// An object has come or has changed.
    fn put(&mut self, view: Self::View) -> Self::Change;
    /// An object is gone.
    fn remove(&mut self, view: &Self::View) -> Self::Change;
    /// Whether a change is one of those that somebody wants to hear of.
    fn concerns(change: &Self::Change, filter: &Self::Filter) -> bool;
}

/// All places of a kind that somebody asks about. Copies share them.
pub(super) struct Rooms<S: Stored> {
    client: Client,
    patience: Patience,
    times: Times,
    watched: Arc<Map<S>>,
}

/// The places that are watched.
type Map<S> = Mutex<HashMap<<S as Stored>::Key, Room<S>>>;

/// One place; its watch ends when it is dropped.
struct Room<S: Stored> {
    seen: Arc<Seen<S>>,
    watch: AbortHandle,
}

impl<S: Stored> Drop for Room<S> {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// What its watch has shown.
struct Seen<S: Stored> {
    stored: Mutex<S>,
    standing: watch::Sender<Standing>,
    pulse: Pulse,
    asked: Mutex<Instant>,
    waiting: Mutex<Waiting<S::Filter>>,
}

/// Who wants to hear of changes.
struct Waiting<F> {
    next: u64,
    wakes: HashMap<u64, (F, Wake)>,
}

/// How far it is.
#[derive(Clone, Debug)]
enum Standing {
    /// The first list is under way.
    Listing,
    /// It has failed; it is tried again.
    Blind(ReadError),
    /// Everything was seen; the last failure since then, if it was the last word.
    Listed(Option<ReadError>),
}

impl<S: Stored> Clone for Rooms<S> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            patience: self.patience.clone(),
            times: self.times,
            watched: Arc::clone(&self.watched),
        }
    }
}

impl<S: Stored> Rooms<S> {
    /// Nothing is watched yet.
    pub(super) fn new(client: Client, patience: Patience, times: Times) -> Self {
        Self { client, patience, times, watched: Arc::default() }
    }

    /// Looks at what is in a place.
    ///
    /// # Errors
    /// If it cannot be listed, is not listed within `deadline`, or its watch was not heard of for too long.
    pub(super) async fn look<T>(
        &self,
        key: &S::Key,
        deadline: Deadline,
        look: impl FnOnce(&mut S) -> T + Send,
    ) -> Result<T, ReadError> {
        let seen = self.enter(key);
        let mut standing = seen.standing.subscribe();
        let listed = standing.wait_for(|standing| !matches!(standing, Standing::Listing));
        let failure = match timeout(deadline, listed).await {
            Ok(Ok(standing)) => match &*standing {
                Standing::Blind(error) => return Err(error.clone()),
                Standing::Listed(failure) => failure.clone(),
                Standing::Listing => None,
            },
            // Whoever watches has ended; the next question begins anew.
            Ok(Err(_)) => None,
            Err(_) => {
                let what = format!("{key} were not listed within the time of a read");
                return Err(ReadError::query(ReadErrorKind::Timeout, what));
            }
        };
        if seen.pulse.age().is_none_or(|age| age > self.times.stale) {
            return Err(self.stale(key, failure));
        }
        Ok(look(&mut lock(&seen.stored)))
    }

    /// Wakes at every change that the filter lets through, and after every list. None without a runtime.
    pub(super) fn follow(&self, key: &S::Key, filter: S::Filter, wake: Wake) -> Option<Watch> {
        Handle::try_current().ok()?;
        let seen = self.enter(key);
        let id = {
            let mut waiting = lock(&seen.waiting);
            let id = waiting.next;
            waiting.next += 1;
            waiting.wakes.insert(id, (filter, wake));
            id
        };
        Some(Watch::new(move || {
            lock(&seen.waiting).wakes.remove(&id);
            *lock(&seen.asked) = Instant::now();
        }))
    }

    fn stale(&self, key: &S::Key, failure: Option<ReadError>) -> ReadError {
        let limit = self.times.stale;
        let (kind, why) = failure.map_or((ReadErrorKind::Unavailable, String::new()), |failure| {
            (failure.kind, format!(": {}", failure.message))
        });
        ReadError::query(kind, format!("nothing was heard of {key} for more than {limit:?}{why}"))
    }

    /// The place, watched from now on if it was not.
    fn enter(&self, key: &S::Key) -> Arc<Seen<S>> {
        let mut rooms = lock(&self.watched);
        let ended = match rooms.get(key) {
            Some(room) if !room.watch.is_finished() => {
                *lock(&room.seen.asked) = Instant::now();
                return room.seen.clone();
            }
            ended => ended.map(|room| std::mem::take(&mut *lock(&room.seen.waiting))),
        };
        let seen = Arc::new(Seen {
            stored: Mutex::default(),
            standing: watch::Sender::new(Standing::Listing),
            pulse: Pulse::default(),
            asked: Mutex::new(Instant::now()),
            waiting: Mutex::new(ended.unwrap_or_default()),
        });
        let (api, config) = S::api(self.client.clone(), key);
        let words = self.patience.watch_with_pulse(api, config, seen.pulse.clone());
        let follow = Follow {
            key: key.clone(),
            idle: self.times.idle,
            seen: seen.clone(),
            rooms: Arc::downgrade(&self.watched),
        };
        let watch = tokio::spawn(follow.run(words)).abort_handle();
        rooms.insert(key.clone(), Room { seen: seen.clone(), watch });
        seen
    }

    /// How many places are watched.
    #[cfg(test)]
    pub(super) fn watched(&self) -> usize {
        lock(&self.watched).len()
    }
}

impl<F> Default for Waiting<F> {
    fn default() -> Self {
        Self { next: 0, wakes: HashMap::new() }
    }
}

/// Follows one place.
struct Follow<S: Stored> {
    key: S::Key,
    idle: Duration,
    seen: Arc<Seen<S>>,
    rooms: Weak<Map<S>>,
}

impl<S: Stored> Follow<S> {
    async fn run(self, mut words: Words<S::View>) {
        // What a list that is under way has shown: it counts when it is complete, so nobody sees half of it.
        let mut fresh = S::Fresh::default();
        loop {
            let asked = lock(&self.seen.asked).elapsed();
            // Somebody who waits for changes asks all the time.
            let left =
                if lock(&self.seen.waiting).wakes.is_empty() { self.idle.saturating_sub(asked) } else { self.idle };
            tokio::select! {
                word = words.next() => match word {
                    Some(word) => self.hear(word, &mut fresh),
                    None => return,
                },
                () = sleep(left) => if self.leave() { return },
            }
        }
    }

    /// Gives the place up, unless somebody has asked meanwhile or waits.
    fn leave(&self) -> bool {
        let Some(rooms) = self.rooms.upgrade() else { return true };
        let mut rooms = lock(&rooms);
        let idle = lock(&self.seen.asked).elapsed() >= self.idle && lock(&self.seen.waiting).wakes.is_empty();
        if idle {
            rooms.remove(&self.key);
        }
        idle
    }

    fn hear(&self, word: Word<Event<S::View>>, fresh: &mut S::Fresh) {
        match word {
            Ok(Event::Init) => *fresh = S::Fresh::default(),
            Ok(Event::InitApply(view)) => S::add(fresh, view),
            Ok(Event::InitDone) => {
                lock(&self.seen.stored).replace(std::mem::take(fresh));
                self.seen.pulse.beat();
                self.works();
                self.wake(|_| true);
            }
            Ok(Event::Apply(view)) => {
                let change = lock(&self.seen.stored).put(view);
                self.works();
                self.wake(|filter| S::concerns(&change, filter));
            }
            Ok(Event::Delete(view)) => {
                let change = lock(&self.seen.stored).remove(&view);
                self.works();
                self.wake(|filter| S::concerns(&change, filter));
            }
            Err(error) => self.fails(error),
        }
    }

    fn wake(&self, is_concerned: impl Fn(&S::Filter) -> bool) {
        let wakes: Vec<Wake> = {
            let waiting = lock(&self.seen.waiting);
            waiting.wakes.values().filter(|(filter, _)| is_concerned(filter)).map(|(_, wake)| wake.clone()).collect()
        };
        for wake in wakes {
            wake();
        }
    }

    fn works(&self) {
        self.seen.standing.send_if_modified(|standing| {
            let news = !matches!(standing, Standing::Listed(None));
            *standing = Standing::Listed(None);
            news
        });
    }

    fn fails(&self, error: Error) {
        let verb = if matches!(error, Error::InitialListFailed(_)) { "list" } else { "watch" };
        let question = Question::new(CORE, verb, S::RESOURCE, S::namespace(&self.key));
        let error = match error {
            Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
                question.refusal(&Failure::Answer(error)).error
            }
            Error::WatchError(status) => question.refusal(&Failure::Answer(kube::Error::Api(status))).error,
            Error::NoResourceVersion => question.malformed("it has no resourceVersion"),
        };
        tracing::debug!("{error}");
        self.seen.standing.send_modify(|standing| {
            *standing = match standing {
                Standing::Listed(_) => Standing::Listed(Some(error)),
                Standing::Listing | Standing::Blind(_) => Standing::Blind(error),
            };
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
