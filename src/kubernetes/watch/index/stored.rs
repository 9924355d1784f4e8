//! What is stored of each object, for its first decision and for whoever takes over.

use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_engine::protocol::Stored;
use tidegate_engine::subject::{ObjectId, Subject};

use super::{Index, Object, Told};
use crate::kubernetes::known::RecordFacts;
use crate::kubernetes::shown;

impl Index {
    pub(super) fn record(&mut self, id: ObjectId, record: Box<RecordFacts>) {
        if self.objects.contains_key(&id) {
            self.out.known.update(&id, |facts| facts.record = Some(*record));
            self.recall(&id);
        } else {
            self.orphans.insert(id, record);
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

    pub(super) fn stored(&self, id: &ObjectId, subject: &Subject) -> Stored {
        let facts = self.out.known.get(id);
        facts.map(|facts| shown::stored(&facts, subject)).unwrap_or_default()
    }

    /// What is stored of an object has changed: whoever does not act yet takes over with it.
    pub(super) fn recall(&self, id: &ObjectId) {
        let Some(object) = self.objects.get(id) else { return };
        if let (Told::Set(hold), Some(subject)) = (&object.told, &object.subject) {
            let subject = Subject { hold: hold.clone(), ..(**subject).clone() };
            self.out.feed.stored(id, self.stored(id, &subject));
        }
    }
}
