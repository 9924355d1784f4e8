//! Who must not be scaled now, and why: filled by those who look for other writers, read by the index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_engine::subject::{Hold, ObjectId, TargetRef};
use tokio::sync::Notify;

/// The reason of a hold that a user asked for: decide and record only.
pub const OBSERVE: &str = "Observe";
/// The reason of a hold on an object whose policies cannot be seen: one of them may say that it is only observed.
pub const POLICY_UNSEEN: &str = "PolicyUnseen";

/// Whom a hold is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// Every object.
    All,
    /// Whatever scales this target.
    Target(TargetKey),
    /// One object.
    Object(ObjectId),
}

/// A target without the version of its API: two versions show the same object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The API group; empty for the core.
    pub group: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

/// The holds that are in force. Copies share them.
#[derive(Clone, Debug, Default)]
pub struct Holds(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By whom they are about, then by reason.
    holds: BTreeMap<Whom, BTreeMap<&'static str, Hold>>,
    changed: BTreeSet<Whom>,
}

impl TargetKey {
    /// The key of a target.
    pub fn of(target: &TargetRef) -> Self {
        let group = target.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        Self {
            namespace: target.namespace.clone(),
            group: group.into(),
            kind: target.kind.clone(),
            name: target.name.clone(),
        }
    }
}

impl Holds {
    /// Puts a hold in force; it takes the place of one with the same reason.
    pub fn set(&self, whom: Whom, hold: Hold) {
        let mut state = self.lock();
        let holds = state.holds.entry(whom.clone()).or_default();
        if holds.get(hold.reason) != Some(&hold) {
            holds.insert(hold.reason, hold);
            state.changed.insert(whom);
            self.0.news.notify_one();
        }
    }

    /// Lifts a hold.
    pub fn lift(&self, whom: &Whom, reason: &str) {
        let mut state = self.lock();
        let Some(holds) = state.holds.get_mut(whom) else { return };
        if holds.remove(reason).is_none() {
            return;
        }
        if holds.is_empty() {
            state.holds.remove(whom);
        }
        state.changed.insert(whom.clone());
        self.0.news.notify_one();
    }

    /// The hold that counts for an object: one for all, then that its user only wants it observed, then one of its target, then another
    /// one of its own; of several the first reason in the alphabet.
    pub fn of(&self, id: &ObjectId, target: &TargetRef) -> Option<Hold> {
        let state = self.lock();
        if state.holds.is_empty() {
            return None;
        }
        let first = |whom: &Whom| state.holds.get(whom).and_then(|holds| holds.values().next()).cloned();
        let own = Whom::Object(id.clone());
        first(&Whom::All)
            .or_else(|| state.holds.get(&own)?.get(OBSERVE).cloned())
            .or_else(|| first(&Whom::Target(TargetKey::of(target))))
            .or_else(|| first(&own))
    }

    /// Waits until holds have changed and says whose. Nothing is lost if the future is dropped.
    pub async fn changed(&self) -> BTreeSet<Whom> {
        loop {
            let changed = std::mem::take(&mut self.lock().changed);
            if !changed.is_empty() {
                return changed;
            }
            self.0.news.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(reason: &'static str) -> Hold {
        Hold { reason, message: "because".to_owned() }
    }

    #[tokio::test]
    async fn a_hold_for_all_counts_first_and_changes_are_told_once() {
        let holds = Holds::default();
        let id = ObjectId::new("shop", "orders");
        let target = TargetRef {
            namespace: "shop".into(),
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: "orders".into(),
        };
        let whose = Whom::Target(TargetKey::of(&TargetRef { api_version: "apps/v1beta1".into(), ..target.clone() }));
        holds.set(whose.clone(), hold("ForeignAutoscaler"));
        holds.set(whose.clone(), hold("ForeignAutoscaler"));
        holds.set(Whom::All, hold("LiveKeda"));
        assert_eq!(holds.changed().await, BTreeSet::from([Whom::All, whose.clone()]));
        assert_eq!(holds.of(&id, &target), Some(hold("LiveKeda")));
        holds.lift(&Whom::All, "Observe");
        holds.lift(&Whom::All, "LiveKeda");
        assert_eq!(holds.changed().await, BTreeSet::from([Whom::All]));
        assert_eq!(holds.of(&id, &target), Some(hold("ForeignAutoscaler")));
    }
}
