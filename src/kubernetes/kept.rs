//! Which objects must not go away yet, because an operation of theirs has changed something or has stopped a job.
//!
//! The journal says so before it stores such an operation, the finalizer keeps the object that long, and the index goes on telling
//! the engine about it, although it is being deleted.

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_crds::annotations::{ABANDON, switch};
use tidegate_engine::subject::{Hold, ObjectId};

use super::known::ObjectFacts;
use super::{Attention, record};

/// The reason of the hold on an object that is being deleted and must not go yet.
pub const LEAVING: &str = "BeingDeleted";

/// How far an object is that no watch shows and that must not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Its record says so, or a watch has ended for it.
    Heard,
    /// It was looked at.
    Seen,
    /// People were told.
    Told,
}

/// What this process has stored about objects. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The uid of each object, and whether it must not go.
    stored: Arc<Mutex<HashMap<ObjectId, (String, bool)>>>,
    /// Objects that are looked at no more, or not yet, while their records say that they must not go.
    left: Arc<Mutex<BTreeMap<ObjectId, Left>>>,
    attention: Attention,
}

impl Kept {
    /// Nothing is stored yet. Whoever settles finalizers hears of changes through `attention`.
    pub fn new(attention: Attention) -> Self {
        Self { stored: Arc::default(), left: Arc::default(), attention }
    }

    /// Whether an object must not go away: as this process has stored it last, or else as its record says. The user of one that is
    /// being deleted may say otherwise.
    pub fn is(&self, id: &ObjectId, facts: &ObjectFacts) -> bool {
        if facts.deleting && switch(Some(&facts.annotations), ABANDON) {
            return false;
        }
        let stored = self.lock().get(id).filter(|(uid, _)| *uid == facts.uid).map(|(_, kept)| *kept);
        stored.unwrap_or_else(|| facts.record.as_ref().is_some_and(|record| record::is_kept(&record.status.open())))
    }

    /// Notes what is stored, or is about to be, of an object; says whether that is another word than before. The journal sets the finalizer
    /// of one that must not go, before it stores that: so whoever settles finalizers is called only when it may go again.
    pub fn set(&self, id: &ObjectId, facts: &ObjectFacts, kept: bool) -> bool {
        // Most objects are never kept: there is nothing to note about them.
        let news = self.is(id, facts) != kept;
        if news {
            self.lock().insert(id.clone(), (facts.uid.clone(), kept));
            if !kept {
                self.attention.raise(id);
            }
        }
        news
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, id: &ObjectId) {
        self.lock().remove(id);
        self.found(id);
    }

    /// Whoever settles finalizers looks at this object now and then, although no watch shows it: its record says that it must not go.
    pub(super) fn lost(&self, id: &ObjectId) {
        if let Entry::Vacant(vacant) = self.lock_left().entry(id.clone()) {
            vacant.insert(Left::Heard);
            self.attention.raise(id);
        }
    }

    /// A watch shows the object, or it needs not be looked at any more.
    pub(super) fn found(&self, id: &ObjectId) {
        self.lock_left().remove(id);
    }

    /// Whether no watch shows this object and it must not go.
    pub(super) fn is_lost(&self, id: &ObjectId) -> bool {
        self.lock_left().contains_key(id)
    }

    /// Notes a look at such an object that has shown that it must not go; says whether people are to be told now, which is once. Unless it is
    /// `certain` that it has left, that is at the second look: at the first its watch may only not have begun yet, or another installation
    /// may be about to run its job.
    pub(super) fn stays(&self, id: &ObjectId, certain: bool) -> bool {
        let mut left = self.lock_left();
        let Some(known) = left.get_mut(id) else { return false };
        let tell = *known == Left::Seen || certain && *known == Left::Heard;
        *known = if tell || *known == Left::Told { Left::Told } else { Left::Seen };
        tell
    }

    /// Whether there is any such object.
    pub(super) fn has_lost(&self) -> bool {
        !self.lock_left().is_empty()
    }

    /// It is time to look at all of them again.
    pub(super) fn seek(&self) {
        self.lock_left().keys().for_each(|id| self.attention.raise(id));
    }

    fn lock_left(&self) -> MutexGuard<'_, BTreeMap<ObjectId, Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, (String, bool)>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hold on an object that is being deleted: nothing new begins, and what was begun is brought to its end.
pub fn leaving() -> Hold {
    let message = format!(
        "it is being deleted, and goes once its operation has ended and every job that was stopped runs again; run such a job by hand \
         with `tidegate flink restore`, and annotate this object with {ABANDON}=true to let it go as it is"
    );
    Hold { reason: LEAVING, message }
}

#[cfg(test)]
mod tests {
    use tidegate_crds::ScaleRecordStatus;
    use tidegate_engine::subject::TargetRef;

    use super::*;
    use crate::kubernetes::known::RecordFacts;
    use crate::kubernetes::packed::Packed;

    fn facts(uid: &str) -> ObjectFacts {
        let target = TargetRef {
            namespace: "shop".into(),
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: "tm".into(),
        };
        ObjectFacts { uid: uid.to_owned(), ..ObjectFacts::of(target) }
    }

    #[test]
    fn what_was_stored_last_counts_before_what_a_watch_has_shown() {
        let (kept, id) = (Kept::default(), ObjectId::new("shop", "orders"));
        let mut shown = facts("a");
        assert!(!kept.is(&id, &shown));
        let operation = serde_json::from_value(serde_json::json!({ "keepsObject": true }));
        let status = Packed::new(&ScaleRecordStatus { operation: operation.ok(), ..ScaleRecordStatus::default() });
        shown.record = Some(RecordFacts { status, ..RecordFacts::default() });
        assert!(kept.is(&id, &shown), "another process has stored it");
        kept.set(&id, &shown, false);
        assert!(!kept.is(&id, &shown), "it is over, the watch lags behind");
        assert!(kept.is(&id, &ObjectFacts { uid: "b".to_owned(), ..shown.clone() }), "an object of its own");
        kept.set(&id, &shown, true);
        assert!(kept.is(&id, &shown));
        shown.annotations.insert(ABANDON.to_owned(), "true".to_owned());
        assert!(kept.is(&id, &shown), "it is not being deleted");
        shown.deleting = true;
        assert!(!kept.is(&id, &shown), "its user lets it go");
        kept.set(&ObjectId::new("shop", "other"), &facts("c"), false);
        assert_eq!(kept.lock().len(), 1, "nothing to note");
    }

    #[test]
    fn an_object_that_left_is_told_once() {
        let (kept, id) = (Kept::default(), ObjectId::new("shop", "orders"));
        let looks = |certain: bool| {
            kept.lost(&id);
            [0; 4].map(|_| kept.stays(&id, certain))
        };
        assert!(!kept.stays(&id, true), "nobody said that it is lost");
        assert_eq!(looks(false), [false, true, false, false], "by its record alone: at the second look");
        kept.found(&id);
        assert_eq!(looks(true), [true, false, false, false], "seen to leave");
        assert_eq!(looks(false), [false; 4], "it is lost already");
    }

    #[tokio::test]
    async fn a_finalizer_is_set_by_the_journal_alone_and_taken_by_whoever_settles_them() {
        let (attention, id) = (Attention::default(), ObjectId::new("shop", "orders"));
        let kept = Kept::new(attention.clone());
        assert!(kept.set(&id, &facts("a"), true));
        let none = tokio::time::timeout(std::time::Duration::from_millis(20), attention.next()).await;
        assert!(none.is_err(), "one GET and one PATCH an operation are enough");
        assert!(kept.set(&id, &facts("a"), false));
        assert_eq!(attention.next().await, id);
    }

    #[tokio::test]
    async fn what_no_watch_shows_is_looked_for_until_it_is_found() {
        let (attention, id) = (Attention::default(), ObjectId::new("shop", "orders"));
        let kept = Kept::new(attention.clone());
        kept.lost(&id);
        assert_eq!(attention.next().await, id);
        // It is told once; the next look comes with the next minute.
        kept.lost(&id);
        let none = tokio::time::timeout(std::time::Duration::from_millis(20), attention.next()).await;
        assert!(none.is_err() && kept.has_lost() && kept.is_lost(&id));
        kept.seek();
        assert_eq!(attention.next().await, id);
        kept.forget(&id);
        assert!(!kept.has_lost());
    }
}
