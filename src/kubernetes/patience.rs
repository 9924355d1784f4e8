//! Watches that always come back: lists in pages, an end to every wait, and growing pauses after failures.
//!
//! The words are those of kube's watcher, the steps are not: that one waits for ever for a list that is not answered, asks anew without a
//! pause when a watch ends as soon as it has begun, and goes on asking with a version that was refused as too old.
//!
//! * A failed list begins anew. A watch that ends goes on from its last version, so nothing is missed and little is read.
//! * Pauses grow from a second to half a minute and are drawn by chance, so that many watches that end together do not come back together.
//!   A pause that the API server asks for (`Retry-After`) is kept.
//! * A watch ends after two minutes at the latest and is asked anew: one whose connection is dead is noticed by that.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use kube::api::{Api, ListParams, WatchParams};
use kube::core::{ObjectList, WatchEvent};
use kube::runtime::watcher::{Config, Error, Event, Result};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::calls::{Failure, within};
use super::courtesy;

/// How many lists are read at the same time: enough for every kind that is there at a start, and not all of them when many namespaces
/// must be listed anew.
const LISTS: usize = 8;

/// How many objects one page of a list holds.
pub(super) const PAGE: u32 = 500;

/// A watch as a stream of events. It never ends, and waits by itself after an error.
pub(super) type Words<K> = Pin<Box<dyn Stream<Item = Result<Event<K>>> + Send>>;

/// How watches behave; copies share the room for lists.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    times: Times,
    lists: Arc<Semaphore>,
}

/// The times of a watch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The pause after the first failure.
    pub(super) first: Duration,
    /// The longest pause.
    pub(super) longest: Duration,
    /// How long one page of a list may take.
    pub(super) page: Duration,
    /// How long the beginning of a watch may take.
    pub(super) open: Duration,
    /// How long a watch goes on at least; by chance up to a third longer, so that they do not all end together.
    pub(super) stand: Duration,
    /// How much longer we wait for its end than the API server was told.
    pub(super) late: Duration,
}

/// When a watch last showed that it is alive: it was begun, or something came, if only a bookmark. Copies share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// It is alive now.
    pub(super) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// How long ago it was alive last; none if it never was.
    pub(super) fn age(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
            page: Duration::from_secs(30),
            open: Duration::from_secs(10),
            stand: Duration::from_secs(90),
            late: Duration::from_secs(5),
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::with_times(Times::default())
    }
}

impl Patience {
    /// Other times than usual.
    pub(super) fn with_times(times: Times) -> Self {
        Self { times, lists: Arc::new(Semaphore::new(LISTS)) }
    }

    /// Lists and watches what `config` selects.
    pub(super) fn watch<K>(&self, api: Api<K>, config: Config) -> Words<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        self.watch_with_pulse(api, config, Pulse::default())
    }

    /// The same, for whoever must know whether the watch still lives while nothing changes.
    pub(super) fn watch_with_pulse<K>(&self, api: Api<K>, config: Config, pulse: Pulse) -> Words<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let follower = Follower {
            pulse,
            api,
            config,
            patience: self.clone(),
            state: State::Unlisted,
            pause: self.times.first,
            until: None,
        };
        Box::pin(futures::stream::unfold(follower, |mut follower| async move {
            let word = follower.word().await;
            Some((word, follower))
        }))
    }
}

/// One watch.
struct Follower<K> {
    api: Api<K>,
    config: Config,
    patience: Patience,
    state: State<K>,
    pulse: Pulse,
    /// How long the next failure is waited for.
    pause: Duration,
    /// Nothing is asked before this moment.
    until: Option<Instant>,
}

enum State<K> {
    /// Nothing is known: everything is listed.
    Unlisted,
    /// A page is told, then the rest follows. There is room for this list until it has ended.
    Listing {
        page: VecDeque<K>,
        rest: Rest,
        room: Option<OwnedSemaphorePermit>,
    },
    /// Everything up to this version was told.
    Listed(String),
    Watching(Watching<K>),
}

/// What follows a page.
enum Rest {
    /// The page with this token; the first one has none.
    Page(Option<String>),
    /// Nothing: the list shows this version.
    Nothing(String),
}

/// A watch that stands.
struct Watching<K> {
    version: String,
    stream: BoxStream<'static, kube::Result<WatchEvent<K>>>,
    begun: Instant,
    /// It should have ended by then.
    end: Instant,
}

/// What a step says, if anything, and where it leads.
type Step<K> = (Option<Result<Event<K>>>, State<K>);

impl<K> Follower<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    async fn word(&mut self) -> Result<Event<K>> {
        loop {
            if let Some(until) = self.until.take() {
                sleep_until(until).await;
            }
            let (word, state) = match std::mem::replace(&mut self.state, State::Unlisted) {
                State::Unlisted => {
                    let room = self.patience.lists.clone().acquire_owned().await.ok();
                    (Some(Ok(Event::Init)), State::Listing { page: VecDeque::new(), rest: Rest::Page(None), room })
                }
                State::Listing { page, rest, room } => self.list(page, rest, room).await,
                State::Listed(version) => self.open(version).await,
                State::Watching(watching) => self.hear(watching).await,
            };
            self.state = state;
            if let Some(word) = word {
                return word;
            }
        }
    }

    async fn list(&mut self, mut page: VecDeque<K>, rest: Rest, room: Option<OwnedSemaphorePermit>) -> Step<K> {
        if let Some(object) = page.pop_front() {
            return (Some(Ok(Event::InitApply(object))), State::Listing { page, rest, room });
        }
        let continue_token = match rest {
            Rest::Nothing(version) => return (Some(Ok(Event::InitDone)), State::Listed(version)),
            Rest::Page(token) => token,
        };
        let params = ListParams {
            label_selector: self.config.label_selector.clone(),
            field_selector: self.config.field_selector.clone(),
            limit: Some(PAGE),
            continue_token,
            ..ListParams::default()
        };
        match within(self.patience.times.page, self.api.list(&params)).await {
            Ok(list) => {
                if let Some(rest) = rest_of(&list) {
                    return (None, State::Listing { page: list.items.into(), rest, room });
                }
                self.wait(None);
                (Some(Err(Error::NoResourceVersion)), State::Unlisted)
            }
            Err(failure) => {
                self.wait(failure.retry_after());
                // A token that is too old says nothing about the list: it begins anew.
                let told = (failure.code() != Some(410)).then(|| Err(Error::InitialListFailed(error(failure))));
                (told, State::Unlisted)
            }
        }
    }

    async fn open(&mut self, version: String) -> Step<K> {
        let times = self.patience.times;
        let stand = times.stand + times.stand.mul_f64(chance() / 3.0);
        let params = WatchParams {
            label_selector: self.config.label_selector.clone(),
            field_selector: self.config.field_selector.clone(),
            timeout: Some(u32::try_from(stand.as_secs()).unwrap_or(u32::MAX).max(1)),
            bookmarks: true,
            send_initial_events: false,
        };
        match within(times.open, self.api.watch(&params, &version)).await {
            Ok(stream) => {
                self.pulse.beat();
                let begun = Instant::now();
                let watching = Watching { version, stream: stream.boxed(), begun, end: begun + stand + times.late };
                (None, State::Watching(watching))
            }
            Err(failure) => {
                self.wait(failure.retry_after());
                let state = match failure.code() {
                    // The version is too old, or the whole resource is gone: what comes later begins anew.
                    Some(404 | 410) => State::Unlisted,
                    _ => State::Listed(version),
                };
                let told = (failure.code() != Some(410)).then(|| Err(Error::WatchStartFailed(error(failure))));
                (told, state)
            }
        }
    }

    async fn hear(&mut self, mut watching: Watching<K>) -> Step<K> {
        let event = match timeout_at(watching.end, watching.stream.next()).await {
            Ok(Some(Ok(event))) => event,
            Ok(Some(Err(error @ kube::Error::SerdeError(_)))) => {
                // One object that cannot be read costs itself, not the others.
                self.wait(None);
                return (Some(Err(Error::WatchFailed(error))), State::Watching(watching));
            }
            Ok(Some(Err(error))) => {
                self.ended(&watching, (self.pause * 2).min(self.patience.times.longest));
                return (Some(Err(Error::WatchFailed(error))), State::Listed(watching.version));
            }
            // It has ended as it should, or its connection is dead.
            Ok(None) | Err(_) => {
                self.ended(&watching, (self.pause * 2).min(self.patience.times.longest));
                return (None, State::Listed(watching.version));
            }
        };
        if !matches!(event, WatchEvent::Error(_)) {
            self.pulse.beat();
        }
        let (word, version) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let version = object.resource_version();
                (Some(Ok(Event::Apply(object))), version)
            }
            WatchEvent::Deleted(object) => {
                let version = object.resource_version();
                (Some(Ok(Event::Delete(object))), version)
            }
            WatchEvent::Bookmark(mark) => (None, Some(mark.metadata.resource_version)),
            WatchEvent::Error(status) if status.code == 410 => {
                // Everything must be listed: that is not done again and again.
                self.ended(&watching, self.patience.times.longest);
                return (None, State::Unlisted);
            }
            WatchEvent::Error(status) => {
                self.wait(courtesy::asked(&status));
                return (Some(Err(Error::WatchError(status.boxed()))), State::Listed(watching.version));
            }
        };
        watching.version = version.filter(|version| !version.is_empty()).unwrap_or(watching.version);
        (word, State::Watching(watching))
    }

    /// A watch has ended. One that has stood for `long` was no failure.
    fn ended(&mut self, watching: &Watching<K>, long: Duration) {
        if watching.begun.elapsed() >= long {
            self.pause = self.patience.times.first;
        } else {
            self.wait(None);
        }
    }

    /// After a failure nothing is asked for a while, each time for longer.
    fn wait(&mut self, asked: Option<Duration>) {
        let drawn = self.pause.mul_f64(0.5 + chance());
        self.pause = (self.pause * 2).min(self.patience.times.longest);
        self.until = Some(Instant::now() + drawn.max(asked.unwrap_or_default()));
    }
}

fn rest_of<K: Clone>(list: &ObjectList<K>) -> Option<Rest> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match given(&list.metadata.continue_) {
        Some(token) => Some(Rest::Page(Some(token))),
        None => given(&list.metadata.resource_version).map(Rest::Nothing),
    }
}

fn error(failure: Failure) -> kube::Error {
    match failure {
        Failure::Answer(error) => error,
        Failure::Timeout(_) => kube::Error::Service(failure.to_string().into()),
    }
}

/// A number from 0 to 1, drawn by chance.
fn chance() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random % 1000).unwrap_or(0)) / 1000.0
}
