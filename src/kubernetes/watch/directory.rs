//! What the index and the resolver share: authentications, who uses which Secret, and the contents that were read.
//!
//! The index writes what the watches say, the resolver asks for it. Contents are kept until the metadata's version moves.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_crds::TriggerAuthenticationSpec;
use tidegate_engine::subject::{AuthenticationRef, TargetRef};
use tokio::sync::Notify;

use crate::resolution::{Answer, Contents};
use crate::validation::KeysOf;

/// One authentication: cluster-wide ones have no namespace.
pub(in crate::kubernetes) type AuthenticationKey = (Option<Arc<str>>, Arc<str>);

/// A Secret or a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::kubernetes) struct Holder {
    pub(in crate::kubernetes) place: Place,
    pub(in crate::kubernetes) name: Arc<str>,
}

/// All Secrets or all ConfigMaps of one namespace: what one watch covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::kubernetes) struct Place {
    pub(in crate::kubernetes) of: KeysOf,
    pub(in crate::kubernetes) namespace: Arc<str>,
}

/// The shared state. Copies share it.
#[derive(Clone, Debug, Default)]
pub(in crate::kubernetes) struct Directory(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// A place has been listed, or cannot be.
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    authentications: HashMap<AuthenticationKey, Answer<TriggerAuthenticationSpec>>,
    /// Why authentications of namespaces, and cluster-wide ones, cannot be seen, if they cannot.
    unseen: [Option<String>; 2],
    /// Targets whose environment some trigger needs.
    environments: HashSet<TargetRef>,
    places: HashMap<Place, Sight>,
    holders: HashMap<Holder, Held>,
}

/// How well a place is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubernetes) enum Sight {
    /// Its watch has been asked for.
    Pending,
    /// Its watch tells every change.
    Watched,
    /// Its watch does not work: nothing may be kept.
    Blind,
}

/// What is known of one Secret or ConfigMap that somebody uses.
#[derive(Debug, Default)]
struct Held {
    /// Whose triggers use it, by their target.
    users: BTreeSet<TargetRef>,
    /// What was read last, with the version that it had; none for one that did not exist.
    contents: Option<(Option<Arc<str>>, Answer<Contents>)>,
    /// Grows with every change that the watch tells: an older read must not be kept.
    moves: u64,
}

/// The name of an authentication that a trigger of `namespace` refers to.
pub(in crate::kubernetes) fn authentication_key(
    namespace: &Arc<str>,
    reference: &AuthenticationRef,
) -> AuthenticationKey {
    ((!reference.cluster).then(|| namespace.clone()), reference.name.clone())
}

impl Directory {
    /// Sets or removes an authentication; whether that is news.
    pub(in crate::kubernetes) fn set_authentication(
        &self,
        key: &AuthenticationKey,
        answer: Option<Answer<TriggerAuthenticationSpec>>,
    ) -> bool {
        let mut state = self.lock();
        match answer {
            Some(answer) if state.authentications.get(key) == Some(&answer) => false,
            Some(answer) => {
                state.authentications.insert(key.clone(), answer);
                true
            }
            None => state.authentications.remove(key).is_some(),
        }
    }

    /// Says that authentications (cluster-wide ones if `cluster`) cannot be seen, or that they can.
    pub(in crate::kubernetes) fn set_unseen(&self, cluster: bool, why: Option<String>) {
        self.lock().unseen[usize::from(cluster)] = why;
    }

    /// An authentication.
    pub(in crate::kubernetes) fn authentication(&self, key: &AuthenticationKey) -> Answer<TriggerAuthenticationSpec> {
        let state = self.lock();
        match (state.authentications.get(key), &state.unseen[usize::from(key.0.is_none())]) {
            (Some(answer), _) => answer.clone(),
            (None, Some(why)) => Answer::Unseen(why.clone()),
            (None, None) => Answer::Absent,
        }
    }

    /// Whether an authentication takes values from the environment of a target's pods.
    pub(in crate::kubernetes) fn reads_environment(&self, key: &AuthenticationKey) -> bool {
        matches!(self.lock().authentications.get(key), Some(Answer::Found(spec)) if !spec.env.is_empty())
    }

    /// Says whether some trigger needs the environment of this target's pods.
    pub(in crate::kubernetes) fn set_environment(&self, target: &TargetRef, needed: bool) {
        let mut state = self.lock();
        if needed {
            state.environments.insert(target.clone());
        } else {
            state.environments.remove(target);
        }
    }

    /// Whether some trigger needs the environment of this target's pods.
    pub(in crate::kubernetes) fn needs_environment(&self, target: &TargetRef) -> bool {
        self.lock().environments.contains(target)
    }

    /// Notes that triggers on `target` use a Secret or a ConfigMap. Whether its place must be watched from now on.
    pub(in crate::kubernetes) fn using(&self, holder: &Holder, target: &TargetRef) -> bool {
        let mut state = self.lock();
        let held = state.holders.entry(holder.clone()).or_default();
        if !held.users.contains(target) {
            held.users.insert(target.clone());
        }
        if state.places.contains_key(&holder.place) {
            return false;
        }
        state.places.insert(holder.place.clone(), Sight::Pending);
        true
    }

    /// How well a place is seen; none if nobody asked for it.
    pub(in crate::kubernetes) fn sight(&self, place: &Place) -> Option<Sight> {
        self.lock().places.get(place).copied()
    }

    /// Waits until the watch of a place has told all, or does not work.
    pub(in crate::kubernetes) async fn settled(&self, place: &Place) -> Sight {
        loop {
            let news = self.0.settled.notified();
            tokio::pin!(news);
            // From here on a notification is not missed.
            news.as_mut().enable();
            match self.lock().places.get(place) {
                Some(Sight::Pending) => {}
                Some(sight) => return *sight,
                None => return Sight::Blind,
            }
            news.await;
        }
    }

    /// Says how well a place is seen. The contents of one that is not watched are forgotten.
    pub(in crate::kubernetes) fn set_sight(&self, place: &Place, sight: Sight) {
        let mut state = self.lock();
        let Some(known) = state.places.get_mut(place) else {
            // Nobody asks for it any more; the watch has said this before it was ended.
            return;
        };
        *known = sight;
        if sight != Sight::Watched {
            state.holders.iter_mut().filter(|(holder, _)| holder.place == *place).for_each(|(_, held)| held.move_on());
        }
        self.0.settled.notify_waiters();
    }

    /// The contents that were read, if nothing has changed since; else the mark that the next read must name.
    pub(in crate::kubernetes) fn contents(&self, holder: &Holder) -> Result<Answer<Contents>, u64> {
        match self.lock().holders.get(holder) {
            Some(Held { contents: Some((_, answer)), .. }) => Ok(answer.clone()),
            Some(held) => Err(held.moves),
            None => Err(0),
        }
    }

    /// Keeps what was read, unless it has moved since the mark was given or nobody would tell that it moves.
    pub(in crate::kubernetes) fn keep(
        &self,
        holder: &Holder,
        mark: u64,
        version: Option<Arc<str>>,
        answer: Answer<Contents>,
    ) {
        let mut state = self.lock();
        let watched = state.places.get(&holder.place) == Some(&Sight::Watched);
        if let Some(held) = state.holders.get_mut(holder).filter(|held| watched && held.moves == mark) {
            held.contents = Some((version, answer));
        }
    }

    /// The watch says that a holder has this version now, or is gone. The targets whose triggers must look again.
    pub(in crate::kubernetes) fn moved(&self, holder: &Holder, version: Option<&str>) -> Vec<TargetRef> {
        let mut state = self.lock();
        if state.places.get(&holder.place) != Some(&Sight::Watched) {
            // Readers wait for the end of the first list.
            return Vec::new();
        }
        let Some(held) = state.holders.get_mut(holder) else { return Vec::new() };
        if held.contents.as_ref().is_some_and(|(kept, _)| kept.as_deref() == version) {
            return Vec::new();
        }
        held.move_on();
        held.users.iter().cloned().collect()
    }

    /// A place is seen again after it was not: whatever its holders' users have read may be old.
    pub(in crate::kubernetes) fn users(&self, place: &Place) -> BTreeSet<TargetRef> {
        let state = self.lock();
        let here = state.holders.iter().filter(|(holder, _)| holder.place == *place);
        here.flat_map(|(_, held)| held.users.iter().cloned()).collect()
    }

    /// No object scales this target any more. The places that nothing uses by that: they need not be watched any more.
    pub(in crate::kubernetes) fn forget(&self, target: &TargetRef) -> Vec<Place> {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.environments.remove(target);
        state.holders.retain(|_, held| {
            held.users.remove(target);
            !held.users.is_empty()
        });
        let used: HashSet<&Place> = state.holders.keys().map(|holder| &holder.place).collect();
        let unused: Vec<Place> = state.places.keys().filter(|place| !used.contains(place)).cloned().collect();
        for place in &unused {
            state.places.remove(place);
        }
        drop(guard);
        if !unused.is_empty() {
            self.0.settled.notify_waiters();
        }
        unused
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn move_on(&mut self) {
        self.contents = None;
        self.moves += 1;
    }
}

impl Holder {
    pub(in crate::kubernetes) fn new(of: KeysOf, namespace: &str, name: &str) -> Self {
        Self { place: Place { of, namespace: namespace.into() }, name: name.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> TargetRef {
        TargetRef {
            namespace: "shop".into(),
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: "a".into(),
        }
    }

    fn found(text: &str) -> Answer<Contents> {
        Answer::Found(Contents::new([("key".to_owned(), text.as_bytes().to_vec())]))
    }

    #[test]
    fn contents_are_kept_until_the_version_moves() {
        let directory = Directory::default();
        let holder = Holder::new(KeysOf::Secret, "shop", "redis");
        assert!(directory.using(&holder, &target()));
        assert!(!directory.using(&holder, &target()), "its place is watched already");
        directory.set_sight(&holder.place, Sight::Watched);
        let mark = directory.contents(&holder).unwrap_err();
        directory.keep(&holder, mark, Some("5".into()), found("old"));
        assert_eq!(directory.moved(&holder, Some("5")), [], "the list shows what was read");
        assert_eq!(directory.contents(&holder), Ok(found("old")));
        assert_eq!(directory.moved(&holder, Some("6")), [target()]);
        let late = directory.contents(&holder).unwrap_err();
        assert_eq!(directory.moved(&holder, None), [target()]);
        directory.keep(&holder, late, Some("6".into()), found("new"));
        assert!(directory.contents(&holder).is_err(), "it went while it was being read");
    }

    #[test]
    fn nothing_is_kept_that_nobody_watches_or_uses() {
        let directory = Directory::default();
        let holder = Holder::new(KeysOf::ConfigMap, "shop", "settings");
        directory.using(&holder, &target());
        directory.set_sight(&holder.place, Sight::Watched);
        directory.keep(&holder, 0, None, Answer::Absent);
        assert_eq!(directory.contents(&holder), Ok(Answer::Absent));
        directory.set_sight(&holder.place, Sight::Blind);
        let mark = directory.contents(&holder).unwrap_err();
        directory.keep(&holder, mark, None, Answer::Absent);
        assert!(directory.contents(&holder).is_err());
        directory.forget(&target());
        assert_eq!(directory.moved(&holder, Some("1")), []);
    }

    #[test]
    fn what_cannot_be_seen_is_not_absent() {
        let directory = Directory::default();
        let key = (Some("shop".into()), "redis".into());
        assert_eq!(directory.authentication(&key), Answer::Absent);
        directory.set_unseen(true, Some("elsewhere".to_owned()));
        assert_eq!(directory.authentication(&key), Answer::Absent);
        directory.set_unseen(false, Some("no".to_owned()));
        assert_eq!(directory.authentication(&key), Answer::Unseen("no".to_owned()));
        assert!(directory.set_authentication(&key, Some(Answer::Found(TriggerAuthenticationSpec::default()))));
        assert!(!directory.set_authentication(&key, Some(Answer::Found(TriggerAuthenticationSpec::default()))));
        assert!(directory.set_authentication(&key, None));
    }
}
