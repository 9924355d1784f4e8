//! What the embedded store holds: lists, who waits for an item of them, and who wants to hear of changes.
//!
//! It does no I/O. An item is handed to the client that has waited longest, and an item that was handed to a client
//! that has gone away meanwhile goes back to where it was taken from.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// The most bytes that all lists together may hold; a push beyond it is refused.
const CAPACITY: usize = 64 * 1024 * 1024;
/// What an item costs beside its own bytes.
const OVERHEAD: usize = 64;
/// The most keys that one client's tracking remembers; reading more tells it at once that the key may have changed.
const TRACKED: usize = 1024;

/// Names a connection.
pub(super) type ClientId = u64;

/// The end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The left end: where `LPUSH` adds.
    Head,
    /// The right end: where `RPUSH` adds and `BRPOP` takes.
    Tail,
}

/// An item that was taken from a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The list.
    pub(super) key: Vec<u8>,
    /// The item.
    pub(super) value: Vec<u8>,
}

/// What a client wants to hear of (`CLIENT TRACKING`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tracking {
    /// The next change of every key that it has read since it last heard of that key.
    Read(HashSet<Vec<u8>>),
    /// All changes of keys that begin with one of these (`BCAST`).
    Prefixes(Vec<Vec<u8>>),
}

/// The lists do not fit into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("OOM the store holds {CAPACITY} bytes and takes no more")]
pub(super) struct Full;

/// The store; clones share what it holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    lists: HashMap<Vec<u8>, VecDeque<Vec<u8>>>,
    bytes: usize,
    /// In the order in which they came.
    waiting: VecDeque<Waiter>,
    listeners: HashMap<ClientId, Listener>,
    last_id: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    keys: Vec<Vec<u8>>,
    hand: oneshot::Sender<Item>,
}

#[derive(Debug)]
struct Listener {
    tracking: Tracking,
    /// Whether its own changes are left out (`NOLOOP`).
    not_own: bool,
    /// Keys that it has not been told of yet.
    changed: BTreeSet<Vec<u8>>,
    wake: Arc<Notify>,
}

/// A client's place among those who wait. Dropping it gives the place up, and gives an item back that was handed over
/// but not taken.
#[derive(Debug)]
pub(super) struct Wait {
    store: Store,
    id: u64,
    item: oneshot::Receiver<Item>,
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no other client of this store has.
    pub(super) fn client_id(&self) -> ClientId {
        self.lock().fresh_id()
    }

    /// Adds items one after the other; the length before any of them is handed to those who wait.
    pub(super) fn push(&self, by: ClientId, key: &[u8], items: &[Vec<u8>], end: End) -> Result<usize, Full> {
        let mut inner = self.lock();
        let bytes: usize = items.iter().map(|item| item.len() + OVERHEAD).sum();
        if inner.bytes + bytes > CAPACITY {
            return Err(Full);
        }
        inner.bytes += bytes;
        let list = inner.lists.entry(key.to_vec()).or_default();
        for item in items {
            match end {
                End::Head => list.push_front(item.clone()),
                End::Tail => list.push_back(item.clone()),
            }
        }
        let length = list.len();
        inner.changed(key, Some(by));
        inner.serve(key);
        Ok(length)
    }

    /// The last item of the first of these lists that has one, or a place in the queue for the next.
    pub(super) fn pop_or_wait(&self, by: ClientId, keys: Vec<Vec<u8>>) -> Result<Item, Wait> {
        let mut inner = self.lock();
        if let Some(item) = keys.iter().find_map(|key| inner.pop(key)) {
            inner.changed(&item.key, Some(by));
            return Ok(item);
        }
        let (hand, item) = oneshot::channel();
        let id = inner.fresh_id();
        inner.waiting.push_back(Waiter { id, keys, hand });
        drop(inner);
        Err(Wait { store: self.clone(), id, item })
    }

    /// Puts an item back to where it was taken from.
    pub(super) fn put_back(&self, item: Item) {
        let mut inner = self.lock();
        inner.restore(item.key.clone(), item.value);
        inner.changed(&item.key, None);
        inner.serve(&item.key);
    }

    /// How many items a list has; an absent one has none.
    pub(super) fn length(&self, by: ClientId, key: &[u8]) -> usize {
        let mut inner = self.lock();
        inner.read(by, key);
        inner.lists.get(key).map_or(0, VecDeque::len)
    }

    /// Removes lists; how many there were.
    pub(super) fn remove(&self, by: ClientId, keys: &[Vec<u8>]) -> usize {
        let mut inner = self.lock();
        let mut removed = 0;
        for key in keys {
            if let Some(list) = inner.lists.remove(key) {
                inner.bytes -= list.iter().map(|item| item.len() + OVERHEAD).sum::<usize>();
                inner.changed(key, Some(by));
                removed += 1;
            }
        }
        removed
    }

    /// Tells a client of changes from now on: `wake` is notified, then [`Store::changes`] says which.
    pub(super) fn listen(&self, id: ClientId, tracking: Tracking, not_own: bool, wake: Arc<Notify>) {
        let listener = Listener { tracking, not_own, changed: BTreeSet::new(), wake };
        self.lock().listeners.insert(id, listener);
    }

    /// Tells a client nothing any more.
    pub(super) fn ignore(&self, id: ClientId) {
        self.lock().listeners.remove(&id);
    }

    /// The keys that have changed since the client asked last.
    pub(super) fn changes(&self, id: ClientId) -> Vec<Vec<u8>> {
        let mut inner = self.lock();
        let changed = inner.listeners.get_mut(&id).map(|listener| std::mem::take(&mut listener.changed));
        changed.unwrap_or_default().into_iter().collect()
    }
}

impl Inner {
    fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn pop(&mut self, key: &[u8]) -> Option<Item> {
        let list = self.lists.get_mut(key)?;
        let value = list.pop_back()?;
        if list.is_empty() {
            self.lists.remove(key);
        }
        self.bytes -= value.len() + OVERHEAD;
        Some(Item { key: key.to_vec(), value })
    }

    fn restore(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += value.len() + OVERHEAD;
        self.lists.entry(key).or_default().push_back(value);
    }

    /// Hands items to those who wait, the longest first, until either runs out.
    fn serve(&mut self, key: &[u8]) {
        while self.lists.contains_key(key) {
            let wants = |waiter: &Waiter| waiter.keys.iter().any(|wanted| wanted == key);
            let Some(place) = self.waiting.iter().position(wants) else { return };
            let (Some(waiter), Some(item)) = (self.waiting.remove(place), self.pop(key)) else { return };
            match waiter.hand.send(item) {
                Ok(()) => self.changed(key, None),
                // It has gone away this very moment: the item is for the next one.
                Err(item) => self.restore(item.key, item.value),
            }
        }
    }

    fn read(&mut self, by: ClientId, key: &[u8]) {
        let Some(listener) = self.listeners.get_mut(&by) else { return };
        let Tracking::Read(keys) = &mut listener.tracking else { return };
        if keys.len() < TRACKED || keys.contains(key) {
            keys.insert(key.to_vec());
        } else {
            listener.changed.insert(key.to_vec());
            listener.wake.notify_one();
        }
    }

    fn changed(&mut self, key: &[u8], by: Option<ClientId>) {
        for (id, listener) in &mut self.listeners {
            let concerned = match &mut listener.tracking {
                Tracking::Read(keys) => keys.remove(key),
                Tracking::Prefixes(prefixes) => prefixes.iter().any(|prefix| key.starts_with(prefix)),
            };
            if concerned && !(listener.not_own && by == Some(*id)) {
                listener.changed.insert(key.to_vec());
                listener.wake.notify_one();
            }
        }
    }
}

impl Wait {
    /// The item, once it is this client's turn. May be dropped and called again.
    pub(super) async fn item(&mut self) -> Option<Item> {
        (&mut self.item).await.ok()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // Items are handed over under the same lock, so none can come after this.
        self.store.lock().waiting.retain(|waiter| waiter.id != self.id);
        if let Ok(item) = self.item.try_recv() {
            self.store.put_back(item);
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
