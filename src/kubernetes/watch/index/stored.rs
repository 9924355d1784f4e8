//! What is stored of an object: the engine hears of it with the object, and again when another process has stored more.

use std::sync::Arc;

use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_engine::protocol::Stored;
use tidegate_engine::subject::{Hold, ObjectId, Subject};

use super::{Index, Object, Told};
use crate::kubernetes::known::RecordFacts;
use crate::kubernetes::{record, shown};

impl Index {
    pub(super) fn record(&mut self, id: ObjectId, record: Box<RecordFacts>) {
        if !self.objects.contains_key(&id) {
            if record::is_kept(&record.status.open()) {
                self.out.kept.lost(&id);
            }
            self.orphans.insert(id, record);
            return;
        }
        let mut news = false;
        self.out.known.update(&id, |facts| {
            news = facts.record.as_ref() != Some(&*record);
            facts.record = Some(*record);
        });
        if news {
            self.recall(&id);
        }
    }

    pub(super) fn record_gone(&mut self, id: &ObjectId) {
        self.orphans.remove(id);
        self.out.known.update(id, |facts| facts.record = None);
    }

    pub(super) fn checkpoint(&self, id: &ObjectId, object: &Object) -> Checkpoint {
        let facts = self.out.known.get(id).filter(|facts| facts.uid == object.uid);
        facts.map(|facts| shown::checkpoint(&facts)).unwrap_or_default()
    }

    fn stored(&self, id: &ObjectId, object: &Object, subject: Option<&Subject>) -> Stored {
        let facts = self.out.known.get(id).filter(|facts| facts.uid == object.uid);
        facts.map(|facts| shown::stored(&facts, subject)).unwrap_or_default()
    }

    /// Of most new objects nothing is stored. A refused object has no subject: nothing is shown of it.
    pub(super) fn tell_stored(&self, id: &ObjectId, object: &Object, subject: Option<&Subject>) {
        let stored = self.stored(id, object, subject);
        if stored != Stored::default() {
            self.out.feed.stored(id, stored);
        }
    }

    /// What is stored of an object has changed: whoever does not act yet takes over with it.
    pub(super) fn recall(&self, id: &ObjectId) {
        let Some(object) = self.objects.get(id) else { return };
        if matches!(object.told, Told::Nothing | Told::Gone) {
            return;
        }
        let subject = match (&object.told, &object.subject) {
            (Told::Set(hold), Some(subject)) => Some(held(subject, hold.as_ref())),
            _ => None,
        };
        self.out.feed.stored(id, self.stored(id, object, subject.as_deref()));
    }
}

/// A subject with this hold; the same one, if it has it already.
pub(super) fn held(subject: &Arc<Subject>, hold: Option<&Hold>) -> Arc<Subject> {
    if subject.hold.as_ref() == hold {
        return subject.clone();
    }
    Arc::new(Subject { hold: hold.cloned(), ..(**subject).clone() })
}
