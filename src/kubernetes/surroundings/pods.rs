//! The pods of the namespaces in which somebody asks for them: listed and watched from the first question on, given up when nobody has
//! asked for a while.
//!
//! A question is answered from what the watch has shown. Before the first list is complete it waits. A watch shows that it lives at least
//! every 65 s: it ends after 60 s at the latest and is asked anew. When nothing was heard of it for [`Times::stale`], the pods may be
//! others by now, and the answer is an error.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher::{Config, Error, Event, Result as Word};
use kube::{Api, Client};
use tidegate_calculator::hpa::selector::Selector;
use tidegate_calculator::source::{Deadline, ReadError, ReadErrorKind};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::refusal::{Question, Served};
use super::stock::{Named, Stock};
use super::view::{Kept, PodView};
use crate::kubernetes::calls::Failure;
use crate::kubernetes::patience::{self, Patience, Pulse, Words};

/// The core API.
const CORE: Served = Served { group: "", install: "" };

/// The times of what is seen of pods.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Pods are not told when their watch was heard of last before this time.
    pub(super) stale: Duration,
    /// A namespace is given up when nobody has asked about it for this time.
    pub(super) idle: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { stale: Duration::from_secs(90), idle: Duration::from_mins(5) }
    }
}

/// The pods of all namespaces that somebody asks about.
#[derive(Clone)]
pub(super) struct Pods {
    client: Client,
    patience: Patience,
    times: Times,
    rooms: Rooms,
}

/// The namespaces that are watched.
type Rooms = Arc<Mutex<HashMap<Arc<str>, Room>>>;

/// One namespace; its watch ends when it is dropped.
struct Room {
    seen: Arc<Seen>,
    watch: AbortHandle,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// What its watch has shown.
struct Seen {
    pods: Mutex<Stock>,
    standing: watch::Sender<Standing>,
    pulse: Pulse,
    asked: Mutex<Instant>,
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

/// Watches of pods live more briefly than others: a dead connection is noticed by their end, and pods go stale sooner than counts.
pub(super) fn usual_patience() -> Patience {
    Patience::with_times(patience::Times { stand: Duration::from_secs(45), ..patience::Times::default() })
}

impl Pods {
    /// Nothing is watched yet.
    pub(super) fn new(client: Client, patience: Patience, times: Times) -> Self {
        Self { client, patience, times, rooms: Rooms::default() }
    }

    /// The pods of a namespace that a selector matches.
    ///
    /// # Errors
    /// If they cannot be listed, are not listed within `deadline`, or their watch was not heard of for too long.
    pub(super) async fn matching(
        &self,
        namespace: &Arc<str>,
        selector: &Selector,
        deadline: Deadline,
    ) -> Result<Vec<Arc<Kept>>, ReadError> {
        let seen = self.enter(namespace);
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
                let what = format!("the pods of namespace {namespace} were not listed within the time of a read");
                return Err(ReadError::query(ReadErrorKind::Timeout, what));
            }
        };
        if seen.pulse.age().is_none_or(|age| age > self.times.stale) {
            return Err(self.stale(namespace, failure));
        }
        Ok(lock(&seen.pods).matching(selector))
    }

    fn stale(&self, namespace: &str, failure: Option<ReadError>) -> ReadError {
        let limit = self.times.stale;
        let (kind, why) = failure.map_or((ReadErrorKind::Unavailable, String::new()), |failure| {
            (failure.kind, format!(": {}", failure.message))
        });
        let what = format!("nothing was heard of the pods of namespace {namespace} for more than {limit:?}{why}");
        ReadError::query(kind, what)
    }

    /// The namespace, watched from now on if it was not.
    fn enter(&self, namespace: &Arc<str>) -> Arc<Seen> {
        let mut rooms = lock(&self.rooms);
        if let Some(room) = rooms.get(namespace).filter(|room| !room.watch.is_finished()) {
            *lock(&room.seen.asked) = Instant::now();
            return room.seen.clone();
        }
        let seen = Arc::new(Seen {
            pods: Mutex::default(),
            standing: watch::Sender::new(Standing::Listing),
            pulse: Pulse::default(),
            asked: Mutex::new(Instant::now()),
        });
        let api: Api<PodView> = Api::namespaced(self.client.clone(), namespace);
        let words = self.patience.watch_with_pulse(api, Config::default(), seen.pulse.clone());
        let follow = Follow {
            namespace: namespace.clone(),
            idle: self.times.idle,
            seen: seen.clone(),
            rooms: Arc::downgrade(&self.rooms),
        };
        let watch = tokio::spawn(follow.run(words)).abort_handle();
        rooms.insert(namespace.clone(), Room { seen: seen.clone(), watch });
        seen
    }

    /// How many namespaces are watched.
    #[cfg(test)]
    pub(super) fn watched(&self) -> usize {
        lock(&self.rooms).len()
    }
}

/// Follows the pods of one namespace.
struct Follow {
    namespace: Arc<str>,
    idle: Duration,
    seen: Arc<Seen>,
    rooms: Weak<Mutex<HashMap<Arc<str>, Room>>>,
}

impl Follow {
    async fn run(self, mut words: Words<PodView>) {
        // What a list that is under way has shown: it counts when it is complete, so nobody sees half of it.
        let mut fresh = Named::new();
        loop {
            let asked = lock(&self.seen.asked).elapsed();
            tokio::select! {
                word = words.next() => match word {
                    Some(word) => self.hear(word, &mut fresh),
                    None => return,
                },
                () = sleep(self.idle.saturating_sub(asked)) => if self.leave() { return },
            }
        }
    }

    /// Gives the namespace up, unless somebody has asked meanwhile.
    fn leave(&self) -> bool {
        let Some(rooms) = self.rooms.upgrade() else { return true };
        let mut rooms = lock(&rooms);
        let idle = lock(&self.seen.asked).elapsed() >= self.idle;
        if idle {
            rooms.remove(&self.namespace);
        }
        idle
    }

    fn hear(&self, word: Word<Event<PodView>>, fresh: &mut Named) {
        match word {
            Ok(Event::Init) => fresh.clear(),
            Ok(Event::InitApply(pod)) => {
                fresh.insert(pod.name().to_owned(), Arc::new(pod.keep()));
            }
            Ok(Event::InitDone) => {
                lock(&self.seen.pods).replace(std::mem::take(fresh));
                self.seen.pulse.beat();
                self.works();
            }
            Ok(Event::Apply(pod)) => {
                lock(&self.seen.pods).put(Arc::new(pod.keep()));
                self.works();
            }
            Ok(Event::Delete(pod)) => {
                lock(&self.seen.pods).remove(pod.name());
                self.works();
            }
            Err(error) => self.fails(error),
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
        let question = Question::new(CORE, verb, "pods", &self.namespace);
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
