//! What is kept of every ScaledObject: when it was first seen, and the engine's last entry about it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_engine::protocol::Entry;
use tidegate_engine::subject::ObjectId;

use super::LocalError;
use super::directory::StateDirectory;

/// The records of all objects.
#[derive(Debug)]
pub(super) struct ObjectRecords {
    state: Arc<StateDirectory>,
    /// Held while a record is written, so that an older one never lands on a newer one.
    records: Mutex<BTreeMap<ObjectId, Record>>,
}

/// The stored form. Only the first time and the checkpoint are read back; the rest is for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    first_seen: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<Stored>,
}

/// Absent fields are not known yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Stored {
    phase: String,
    replicas: Option<u32>,
    desired: Option<u32>,
    bounds: Option<(u32, u32)>,
    limited_by: Option<String>,
    last_change: Option<Changed>,
    active: Option<bool>,
    last_active: Option<Timestamp>,
    health: Option<String>,
    checkpoint: Checkpoint,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Changed {
    at: Timestamp,
    from: u32,
    to: u32,
    why: String,
}

impl ObjectRecords {
    pub(super) fn new(state: Arc<StateDirectory>) -> Self {
        Self { state, records: Mutex::default() }
    }

    /// When an object was first seen: now, if it never was. From then on it is durable.
    pub(super) fn first_seen(&self, id: &ObjectId) -> Timestamp {
        let mut records = self.lock();
        if let Some(record) = records.get(id) {
            return record.first_seen;
        }
        let path = self.state.object(&id.namespace, &id.name);
        let stored = StateDirectory::read::<Record>(&path).unwrap_or_else(|error: LocalError| {
            tracing::warn!("{error}; {id} starts anew");
            None
        });
        let is_new = stored.is_none();
        let record = stored.unwrap_or_else(|| Record { first_seen: Timestamp::now(), entry: None });
        if is_new && let Err(error) = self.state.write(&path, &record) {
            tracing::warn!("{} cannot be written: {error}", path.display());
        }
        let first_seen = record.first_seen;
        records.insert(id.clone(), record);
        first_seen
    }

    /// The last stored checkpoint; empty if there is none.
    pub(super) fn checkpoint(&self, id: &ObjectId) -> Checkpoint {
        let records = self.lock();
        let entry = records.get(id).and_then(|record| record.entry.as_ref());
        entry.map(|entry| entry.checkpoint.clone()).unwrap_or_default()
    }

    /// Stores an entry; it is durable when this returns.
    pub(super) fn store(&self, id: &ObjectId, entry: &Entry) -> io::Result<()> {
        let mut records = self.lock();
        // An object that was deleted meanwhile has no record, and gets none.
        let Some(record) = records.get_mut(id) else { return Ok(()) };
        record.entry = Some(Stored::new(entry, record.entry.as_ref()));
        self.state.write(&self.state.object(&id.namespace, &id.name), record)
    }

    /// Forgets an object that is gone.
    pub(super) fn forget(&self, id: &ObjectId) {
        let mut records = self.lock();
        records.remove(id);
        let path = self.state.object(&id.namespace, &id.name);
        if let Err(error) = StateDirectory::remove(&path) {
            tracing::warn!("{} cannot be removed: {error}", path.display());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectId, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    /// The stored form of an entry. An entry without a memory leaves the stored one as it is.
    fn new(entry: &Entry, before: Option<&Stored>) -> Self {
        let kept = || before.map(|before| before.checkpoint.clone()).unwrap_or_default();
        let changed = entry.last_change.as_ref();
        Self {
            phase: entry.phase.reason().to_owned(),
            replicas: entry.replicas,
            desired: entry.desired,
            bounds: entry.bounds,
            limited_by: entry.limited_by.map(|limit| limit.reason().to_owned()),
            last_change: changed.map(|last| Changed {
                at: last.at,
                from: last.from,
                to: last.to,
                why: last.why.clone(),
            }),
            active: entry.active,
            last_active: entry.last_active,
            health: entry.health.map(|health| health.reason().to_owned()),
            checkpoint: entry.checkpoint.clone().unwrap_or_else(kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_calculator::decision::{Health, Limit};
    use tidegate_engine::protocol::Observed;
    use tidegate_engine::snapshot::Phase;

    fn entry(text: &str) -> Entry {
        Entry {
            phase: Phase::Running,
            replicas: Some(3),
            desired: Some(3),
            bounds: Some((0, 10)),
            limited_by: Some(Limit::Metrics),
            last_change: None,
            apply_error: None,
            active: Some(true),
            last_active: None,
            health: Some(Health::Good),
            triggers: vec![true],
            metrics: Vec::new(),
            failing: None,
            failures: Vec::new(),
            fallbacks: Vec::new(),
            faults: Vec::new(),
            observed: Observed::default(),
            operation: None,
            aftermath: None,
            summary: None,
            last_operation: None,
            operation_conditions: Vec::new(),
            unreadable: None,
            holds_object: false,
            checkpoint: Some(Checkpoint(text.to_owned())),
        }
    }

    #[test]
    fn what_is_stored_outlives_the_process_and_goes_with_the_object() {
        let folder = tempfile::tempdir().unwrap();
        let id = ObjectId::new("shop", "orders");
        let open = || Arc::new(StateDirectory::open(folder.path()).unwrap());
        let records = ObjectRecords::new(open());
        let first_seen = records.first_seen(&id);
        records.store(&id, &entry("{\"v\":1}")).unwrap();
        drop(records);

        let records = ObjectRecords::new(open());
        assert_eq!(records.first_seen(&id), first_seen, "cooldowns count from it");
        assert_eq!(records.checkpoint(&id).0, "{\"v\":1}");
        records.store(&id, &Entry { checkpoint: None, ..entry("") }).unwrap();
        assert_eq!(records.checkpoint(&id).0, "{\"v\":1}", "an entry without a memory keeps the stored one");
        records.forget(&id);
        assert_eq!(records.checkpoint(&id), Checkpoint::default());
        assert!(records.first_seen(&id) >= first_seen);
    }

    #[test]
    fn a_damaged_record_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let state = Arc::new(StateDirectory::open(folder.path()).unwrap());
        std::fs::write(state.object("shop", "orders"), "{").unwrap();
        let records = ObjectRecords::new(state);
        let id = ObjectId::new("shop", "orders");
        records.first_seen(&id);
        assert_eq!(records.checkpoint(&id), Checkpoint::default());
    }
}
