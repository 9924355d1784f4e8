//! Counts the HTTP requests of triggers, by the trigger that asked and by what came of them.
//!
//! The counts belong to the process, as its metrics do. Those of a trigger are kept as long as it is open, and go on when it is opened
//! anew before it is closed, as after a change of a Secret. What several triggers ask of one server at one moment is sent once and counted
//! for each of them: a trigger's series tell what that trigger met.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use tidegate_calculator::source::TriggerSpec;

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asker {
    /// The namespace of the object that the trigger belongs to.
    pub namespace: Arc<str>,
    /// The object's name.
    pub object: Arc<str>,
    /// The trigger's type.
    pub kind: Arc<str>,
    /// The trigger's name; empty if it has none.
    pub trigger: Arc<str>,
    /// The name of its metric, which has its position.
    pub metric: Arc<str>,
}

/// How many requests of one trigger had one outcome.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// Whose requests.
    pub asker: Asker,
    /// The status of the answers; none for requests without an answer.
    pub status: Option<u16>,
    /// How many.
    pub count: u64,
}

/// The counts of one trigger. Its copies count together.
#[derive(Clone, Debug)]
pub(crate) struct Tally(Arc<Mutex<BTreeMap<Option<u16>, u64>>>);

type Counts = Mutex<BTreeMap<Option<u16>, u64>>;

static TALLIES: LazyLock<Mutex<HashMap<Asker, Weak<Counts>>>> = LazyLock::new(Mutex::default);

/// The requests of all triggers that are open, in the order of their askers.
pub fn counted() -> Vec<Counted> {
    let tallies: Vec<_> =
        lock(&TALLIES).iter().filter_map(|(asker, counts)| Some((asker.clone(), counts.upgrade()?))).collect();
    let mut all: Vec<Counted> = Vec::new();
    for (asker, counts) in tallies {
        all.extend(lock(&counts).iter().map(|(status, count)| Counted {
            asker: asker.clone(),
            status: *status,
            count: *count,
        }));
    }
    all.sort();
    all
}

impl Asker {
    /// The asker of a trigger's metric.
    pub(crate) fn of(spec: &TriggerSpec, metric: &str) -> Self {
        let (namespace, object) = spec.owner.split_once('/').unwrap_or(("", &spec.owner));
        Self {
            namespace: namespace.into(),
            object: object.into(),
            kind: spec.kind.as_str().into(),
            trigger: spec.name.as_deref().unwrap_or_default().into(),
            metric: metric.into(),
        }
    }
}

impl Tally {
    /// The counts of this asker: those that are there, else new ones.
    pub(crate) fn of(asker: Asker) -> Self {
        let mut tallies = lock(&TALLIES);
        if let Some(known) = tallies.get(&asker).and_then(Weak::upgrade) {
            return Self(known);
        }
        // Sweeping only when the map would grow anyway keeps opening cheap and the map as small as the living need.
        if tallies.len() == tallies.capacity() {
            tallies.retain(|_, counts| counts.strong_count() > 0);
        }
        let new = Arc::default();
        tallies.insert(asker, Arc::downgrade(&new));
        Self(new)
    }

    /// One request: the status of its answer, or none if none came.
    pub(crate) fn count(&self, status: Option<u16>) {
        let mut counts = lock(&self.0);
        let count = counts.entry(status).or_default();
        *count = count.saturating_add(1);
    }
}

/// Locks; a panic while the lock was held leaves counts that are good to go on with.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(owner: &str) -> Asker {
        let spec = TriggerSpec { owner: owner.into(), kind: "prometheus".to_owned(), ..TriggerSpec::default() };
        Asker::of(&spec, "s0-prometheus")
    }

    fn of(owner: &str) -> Vec<(Option<u16>, u64)> {
        let own = counted().into_iter().filter(|counted| counted.asker == asker(owner));
        own.map(|counted| (counted.status, counted.count)).collect()
    }

    #[test]
    fn counts_go_on_while_the_trigger_is_open() {
        let first = Tally::of(asker("requests-test/one"));
        first.count(Some(200));
        first.count(None);
        let again = Tally::of(asker("requests-test/one"));
        drop(first);
        again.count(Some(200));
        Tally::of(asker("requests-test/other")).count(Some(503));
        assert_eq!(of("requests-test/one"), [(None, 1), (Some(200), 2)]);
        drop(again);
        assert_eq!(
            (of("requests-test/one"), of("requests-test/other")),
            (vec![], vec![]),
            "with the trigger its series go"
        );
    }

    #[test]
    fn closed_triggers_leave_nothing_behind() {
        for index in 0..10_000 {
            Tally::of(asker(&format!("requests-test/{index}"))).count(Some(200));
        }
        assert!(lock(&TALLIES).len() < 100, "at most what the tests of this process have open at the moment");
    }
}
