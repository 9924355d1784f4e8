//! Keeps what the engine wants remembered in the API server: the ScaleRecord first, then KEDA's fields of the ScaledObject.
//!
//! Nothing is written that is there already. What is there is what the watches saw ([`Known`]), or what was written last
//! while the watches have not shown it yet. After a write whose outcome is unknown, the object is read anew first. There
//! are no retries here: the engine stores again, with growing pauses.

mod api;
mod sight;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kube::Client;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_engine::ports::Journal;
use tidegate_engine::protocol::{Entry, Event, JournalError};
use tidegate_engine::subject::ObjectId;

use self::api::{Api, Failure, Written};
use self::sight::{Before, Sent, Sight};
use super::events::Announcer;
use super::finalize::FINALIZER;
use super::holds::Holds;
use super::kept::Kept;
use super::known::{Known, ObjectFacts};
use super::{record, status};

/// How long one call may take.
const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// How often what was written is compared with what the watches show, while there is something to compare.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// The reason of the hold under which a ScaledObject's status is KEDA's alone.
const LIVE_KEDA: &str = "LiveKeda";

/// The journal on a cluster.
#[derive(Clone)]
pub struct ClusterJournal(Arc<Inner>);

struct Inner {
    api: Api,
    known: Known,
    holds: Holds,
    kept: Kept,
    announcer: Announcer,
    unseen: Mutex<Unseen>,
}

/// What the watches have not shown yet.
#[derive(Debug, Default)]
struct Unseen {
    sent: HashMap<ObjectId, Sent>,
    /// One store of an object at a time, in their order: one that was given up may still be on its way, and must not land after the next.
    turns: HashMap<ObjectId, Arc<tokio::sync::Mutex<()>>>,
    /// Checkpoints that could not be read, until that is stored.
    lost: HashMap<ObjectId, String>,
    /// Whether a task is there that tidies up.
    tidied: bool,
}

impl ClusterJournal {
    /// A journal that writes through `client` (whose own retries should be off) and compares with `known`.
    ///
    /// While `holds` says that a live KEDA has the objects, the ScaledObjects' status is not written. `kept` learns which objects must not
    /// go away.
    pub fn new(client: Client, shared: (Known, Holds, Kept), announcer: Announcer) -> Self {
        Self::with_deadline(client, shared, announcer, CALL_DEADLINE)
    }

    fn with_deadline(
        client: Client,
        (known, holds, kept): (Known, Holds, Kept),
        announcer: Announcer,
        deadline: Duration,
    ) -> Self {
        let api = Api::new(client, deadline);
        Self(Arc::new(Inner { api, known, holds, kept, announcer, unseen: Mutex::default() }))
    }
}

#[async_trait]
impl Journal for ClusterJournal {
    async fn store(&self, id: &ObjectId, entry: &Entry) -> Result<(), JournalError> {
        let inner = &*self.0;
        let turn = inner.lock().turns.entry(id.clone()).or_default().clone();
        let _turn = turn.lock().await;
        let stays = |facts: &Arc<ObjectFacts>| !facts.deleting || inner.kept.is(id, facts);
        let Some(facts) = inner.known.get(id).filter(stays) else {
            return gone(entry);
        };
        self.tidy_later();
        let stored = async {
            inner.keep(id, &facts, entry).await?;
            inner.store_record(id, &facts, entry).await?;
            if entry.checkpoint.is_some() && !entry.holds_object {
                inner.kept.set(id, &facts, false);
            }
            inner.store_status(id, &facts, entry).await
        };
        match stored.await {
            // The object is gone, and its record goes with it.
            Err(Failure::Absent(_) | Failure::NoNamespace) => gone(entry),
            Ok(()) => Ok(()),
            Err(Failure::Refused(why) | Failure::Unknown(why)) => Err(JournalError::Unavailable(why)),
        }
    }

    fn announce(&self, id: &ObjectId, event: &Event) {
        if let Event::CheckpointLost(why) = event {
            self.0.lock().lost.insert(id.clone(), why.clone());
        }
        self.0.announcer.announce(id, event);
    }
}

impl ClusterJournal {
    /// Sees to it that what was written is forgotten once the watches show it: one task, and only while there is something.
    fn tidy_later(&self) {
        if std::mem::replace(&mut self.0.lock().tidied, true) {
            return;
        }
        let inner: Weak<Inner> = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TIDY_EVERY).await;
                let Some(inner) = inner.upgrade() else { return };
                if inner.tidy() {
                    return;
                }
            }
        });
    }
}

/// What a store comes to whose object is gone, or goes. An operation must not act on what is not stored.
fn gone(entry: &Entry) -> Result<(), JournalError> {
    if entry.operation.is_some() {
        return Err(JournalError::Unavailable("the object is gone, or is being deleted".to_owned()));
    }
    Ok(())
}

impl Inner {
    /// An object that must not go away has our finalizer before that is stored: it could go in between.
    async fn keep(&self, id: &ObjectId, facts: &ObjectFacts, entry: &Entry) -> Result<(), Failure> {
        if !entry.holds_object {
            return Ok(());
        }
        let news = self.kept.set(id, facts, true);
        // The one of an operation before may be about to go: what a watch has shown counts only while the object is kept already.
        if !news && facts.finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        self.api.add_finalizer(id, &facts.uid).await
    }

    async fn store_record(&self, id: &ObjectId, facts: &ObjectFacts, entry: &Entry) -> Result<(), Failure> {
        let before = self.sent(id, facts, |sent| sent.record.before(sight::of_record(facts)));
        let before = match before {
            Before::Unknown => self.api.record(id, &facts.uid).await?,
            Before::Known(before) => before,
        };
        let lost = self.lock().lost.get(id).cloned();
        let previous = before.clone().unwrap_or_default();
        let next = record::next(&facts.target, entry, &previous, lost.as_deref(), Timestamp::now());
        if before.as_ref() == Some(&next) {
            return Ok(());
        }
        if before.is_none() {
            self.api.apply_record(id, &facts.uid).await?;
        }
        let doubt = Doubt::of(self, id, facts, |sent| &mut sent.record);
        let mut applied = self.api.apply_record_status(id, &next).await;
        if matches!(applied, Err(Failure::Absent(_))) {
            // It was there and is not any more, but its object is.
            self.api.apply_record(id, &facts.uid).await?;
            applied = self.api.apply_record_status(id, &next).await.map_err(Failure::in_doubt);
        }
        let (_, owners) = doubt.settle(applied, next)?;
        self.lock().lost.remove(id);
        // Without its owner the record would stay when the object goes, or go with an older one of the same name.
        if owners.contains(&facts.uid) { Ok(()) } else { self.api.apply_record(id, &facts.uid).await }
    }

    async fn store_status(&self, id: &ObjectId, facts: &ObjectFacts, entry: &Entry) -> Result<(), Failure> {
        if self.holds.of(id, &facts.target).is_some_and(|hold| hold.reason == LIVE_KEDA) {
            return Ok(());
        }
        let shown = (facts.resource_version.as_str(), &facts.status);
        let previous = match self.sent(id, facts, |sent| sent.status.before(Some(shown))) {
            Before::Unknown => Some(self.api.status(id).await?),
            Before::Known(previous) => previous,
        };
        let previous = previous.unwrap_or_default();
        let Some(change) = status::change(facts, entry, &previous) else {
            return Ok(());
        };
        let doubt = Doubt::of(self, id, facts, |sent| &mut sent.status);
        let patched = self.api.patch_status(id, &change.patch).await;
        let news = status::has_become_ready(&previous.conditions, &change.status.conditions);
        doubt.settle(patched, change.status)?;
        if news {
            self.announcer.announce_ready(id);
        }
        Ok(())
    }

    /// Looks at what was written of this object; an object of the same name that came later starts anew.
    fn sent<T>(&self, id: &ObjectId, facts: &ObjectFacts, look: impl FnOnce(&mut Sent) -> T) -> T {
        let mut unseen = self.lock();
        let fresh = || Sent { uid: facts.uid.clone(), ..Sent::default() };
        let sent = unseen.sent.entry(id.clone()).or_insert_with(fresh);
        if sent.uid != facts.uid {
            *sent = fresh();
        }
        look(sent)
    }

    /// Forgets what the watches show by now; says whether nothing is left to wait for.
    fn tidy(&self) -> bool {
        let mut unseen = self.lock();
        unseen.sent.retain(|id, sent| {
            self.known.get(id).is_some_and(|facts| {
                sent.record.compare(sight::of_record(&facts));
                sent.status.compare(Some((&facts.resource_version, &facts.status)));
                sent.uid == facts.uid && !sent.is_seen()
            })
        });
        unseen.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        unseen.lost.retain(|id, _| self.known.get(id).is_some());
        // What is in doubt waits for the next store, not for the watches.
        let waits = unseen.sent.values().any(Sent::waits);
        unseen.tidied = waits;
        if !waits {
            unseen.sent.shrink_to_fit();
        }
        !waits
    }

    fn lock(&self) -> MutexGuard<'_, Unseen> {
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write under way: unless it is settled, also because its future was dropped, nobody knows what is there now.
struct Doubt<'a, T> {
    inner: &'a Inner,
    id: &'a ObjectId,
    facts: &'a ObjectFacts,
    place: fn(&mut Sent) -> &mut Sight<T>,
    before: Sight<T>,
}

impl<'a, T: Clone + Default + Serialize + DeserializeOwned> Doubt<'a, T> {
    fn of(inner: &'a Inner, id: &'a ObjectId, facts: &'a ObjectFacts, place: fn(&mut Sent) -> &mut Sight<T>) -> Self {
        let before = inner.sent(id, facts, |sent| std::mem::replace(place(sent), Sight::Unknown));
        Self { inner, id, facts, place, before }
    }

    /// The write has succeeded, was refused, or stays in doubt.
    fn settle(self, result: Result<Written, Failure>, held: T) -> Result<Written, Failure> {
        let sight = match &result {
            Ok((version, _)) => Sight::written(version.clone(), held),
            Err(Failure::Unknown(_)) => return result,
            Err(Failure::Refused(_) | Failure::Absent(_) | Failure::NoNamespace) => self.before,
        };
        self.inner.sent(self.id, self.facts, |sent| *(self.place)(sent) = sight);
        result
    }
}

#[cfg(test)]
mod tests;
