//! Shares one connection among all triggers that read from the same server with the same credentials.
//!
//! [`Endpoints`] is a map of weak references, locked only while a trigger is opened. What it refers to is an
//! [`Endpoint`], which asks questions in batches, or a [`Feed`], which listens for changes. Both are generic: a source
//! implements [`Backend`], and [`Publisher`] if it can push.

mod actor;
mod breaker;
mod budget;
mod feed;
#[cfg(any(feature = "external", feature = "http"))]
mod lingering;
mod pacer;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tidegate_calculator::source::EndpointId;

use crate::surroundings::{Nowhere, Surroundings};

pub(crate) use actor::{Backend, Endpoint};
#[cfg(any(feature = "external", feature = "http", feature = "mongodb", feature = "redis"))]
pub(crate) use breaker::Breaker;
#[cfg(feature = "external")]
pub(crate) use breaker::jittered;
pub(crate) use feed::{Feed, Publisher, Session};
#[cfg(any(feature = "external", feature = "http"))]
pub(crate) use lingering::Lingering;
#[cfg(feature = "external")]
pub(crate) use pacer::Pacer;

/// How long a connection outlives its last user: an object that is replaced by an edited one finds it still open.
pub(crate) const LINGER: Duration = Duration::from_secs(30);

/// What is shared, as long as somebody uses it, by id and type.
type Living = HashMap<(EndpointId, TypeId), Weak<dyn Any + Send + Sync>>;

/// All open endpoints of the process. A clone is another handle on the same ones.
#[derive(Clone)]
pub struct Endpoints {
    shared: Arc<Mutex<Living>>,
    #[cfg_attr(
        not(any(feature = "cluster-metrics", feature = "kubernetes", feature = "websocket")),
        allow(dead_code, reason = "no other trigger looks at it")
    )]
    surroundings: Arc<dyn Surroundings>,
}

impl Endpoints {
    /// No endpoint yet. Neither this nor opening a trigger needs a runtime; reading and watching do.
    pub fn new() -> Self {
        Self::within(Arc::new(Nowhere))
    }

    /// No endpoint yet, but a cluster around.
    pub fn within(surroundings: Arc<dyn Surroundings>) -> Self {
        Self { shared: Arc::default(), surroundings }
    }

    /// What triggers see of the cluster.
    #[cfg_attr(
        not(any(feature = "cluster-metrics", feature = "kubernetes", feature = "websocket")),
        allow(dead_code, reason = "no other trigger looks at it")
    )]
    pub(crate) fn surroundings(&self) -> &Arc<dyn Surroundings> {
        &self.surroundings
    }

    /// The living thing of this type and id, or else a new one.
    pub(crate) fn join<T: Send + Sync + 'static>(&self, id: EndpointId, make: impl FnOnce() -> T) -> Arc<T> {
        let mut shared = lock(&self.shared);
        let key = (id, TypeId::of::<T>());
        if let Some(found) = shared.get(&key).and_then(Weak::upgrade).and_then(|any| any.downcast().ok()) {
            return found;
        }
        // Sweeping only when the map would grow anyway keeps opening cheap and the map as small as the living need.
        if shared.len() == shared.capacity() {
            shared.retain(|_, weak| weak.strong_count() > 0);
        }
        let new = Arc::new(make());
        let weak: Weak<T> = Arc::downgrade(&new);
        shared.insert(key, weak);
        new
    }

    /// How many endpoints and feeds are alive.
    #[cfg(test)]
    pub(crate) fn alive(&self) -> usize {
        lock(&self.shared).values().filter(|weak| weak.strong_count() > 0).count()
    }
}

impl Default for Endpoints {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoints")
    }
}

/// The id of an endpoint: a hash of everything that makes one differ from another, credentials included.
///
/// The key of the hash is drawn anew in every process, so that an id tells nothing about the credentials.
pub(crate) fn identify(kind: &str, parts: &impl Hash) -> EndpointId {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    EndpointId(KEY.get_or_init(RandomState::new).hash_one((kind, parts)))
}

/// Locks; a panic while the lock was held leaves data that every user here can go on with.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ids_share_until_the_last_user_is_gone() {
        let endpoints = Endpoints::new();
        let (a, b) = (identify("redis", &("a:1", "secret")), identify("redis", &("a:1", "other")));
        assert_ne!(a, b);
        let first: Arc<String> = endpoints.clone().join(a, || "first".to_owned());
        assert_eq!(*endpoints.join(a, || "second".to_owned()), "first");
        assert_eq!(*endpoints.join(b, || "third".to_owned()), "third");
        assert_eq!(*endpoints.join(a, || 4_u8), 4, "another type is another thing");
        assert_eq!(endpoints.alive(), 1);
        drop(first);
        assert_eq!(*endpoints.join(a, || "fifth".to_owned()), "fifth");
    }

    #[test]
    fn the_map_does_not_keep_what_is_gone() {
        let endpoints = Endpoints::new();
        for id in 0..10_000 {
            drop(endpoints.join(EndpointId(id), || id));
        }
        assert!(lock(&endpoints.shared).len() < 100);
    }
}
