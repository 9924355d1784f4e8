//! The policies of the cluster, and which objects name them. Pure, no clock.
//!
//! Nothing is watched until an object names a policy, so a cluster that has none of these kinds is never asked for them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use tidegate_engine::subject::ObjectId;

use super::event::Order;
use crate::validation::{Policy, PolicyRef, Sight};

/// Names a policy: its namespace (none for a ClusterScalingPolicy) and its name.
pub(in crate::kubernetes) type PolicyKey = (Option<Arc<str>>, Arc<str>);

/// One stream of policies: whether it is of ClusterScalingPolicies, and its namespace (none for all).
type Stream = (bool, Option<Arc<str>>);

/// What is known of policies.
#[derive(Debug, Default)]
pub(super) struct Policies {
    texts: HashMap<PolicyKey, Arc<Policy>>,
    users: HashMap<PolicyKey, BTreeSet<ObjectId>>,
    /// The kinds that are watched, by whether they are cluster-wide.
    watched: HashSet<bool>,
    /// What is known of the streams; nothing of one whose first list is under way.
    streams: HashMap<Stream, Standing>,
}

/// How far a stream is.
#[derive(Debug)]
enum Standing {
    /// It has told everything once. What it has shown stays, also while it does not work.
    Listed,
    /// It has never told everything.
    Blind(Blind),
}

/// Why the policies of a stream cannot be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kubernetes) struct Blind {
    pub(in crate::kubernetes) cause: Cause,
    /// In words. They may be others at each failure, so they make no news.
    pub(in crate::kubernetes) why: String,
}

/// The kinds of failures that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubernetes) enum Cause {
    /// The definition is absent: so is every policy of this kind.
    NotServed,
    /// They must not be read: policies may be there all the same.
    Forbidden,
    /// They could not be read this time: policies may be there all the same.
    Unavailable,
}

impl Cause {
    /// What the code of an API server's answer means; none if there was no answer.
    pub(super) const fn of(code: Option<u16>) -> Self {
        match code {
            Some(404) => Self::NotServed,
            Some(403) => Self::Forbidden,
            _ => Self::Unavailable,
        }
    }
}

/// The policy that an object of this namespace means.
fn key(namespace: &Arc<str>, name: &PolicyRef) -> PolicyKey {
    ((!name.cluster).then(|| namespace.clone()), name.name.clone())
}

/// What a policy is called in messages.
fn label(namespace: &str, name: &PolicyRef) -> String {
    let place = if name.cluster { String::new() } else { format!("{namespace}/") };
    format!("{} {place}{}", name.kind(), name.name)
}

impl Policies {
    /// An object names these policies, in the place of those of its text before.
    pub(super) fn enter(&mut self, id: &ObjectId, before: &[PolicyRef], names: &[PolicyRef], orders: &mut Vec<Order>) {
        self.leave(id, before);
        for name in names {
            self.users.entry(key(&id.namespace, name)).or_default().insert(id.clone());
            if self.watched.insert(name.cluster) {
                orders.push(Order::WatchPolicies { cluster: name.cluster });
            }
        }
    }

    /// An object names none of these any more.
    pub(super) fn leave(&mut self, id: &ObjectId, names: &[PolicyRef]) {
        for name in names {
            let key = key(&id.namespace, name);
            if let Some(users) = self.users.get_mut(&key) {
                users.remove(id);
                if users.is_empty() {
                    self.users.remove(&key);
                }
            }
        }
    }

    /// Whether the first list of all these policies has ended, in one way or another.
    pub(super) fn are_settled(&self, namespace: &Arc<str>, names: &[PolicyRef]) -> bool {
        names.iter().all(|name| self.standing(namespace, name).is_some())
    }

    fn standing(&self, namespace: &Arc<str>, name: &PolicyRef) -> Option<&Standing> {
        let of = |place| self.streams.get(&(name.cluster, place));
        of(None).or_else(|| of(Some(namespace.clone()).filter(|_| !name.cluster)))
    }

    /// Why nobody can know what one of these policies says: it may ask for its objects to be left alone. None if all were seen, or are
    /// certainly not there.
    pub(super) fn hidden(&self, namespace: &Arc<str>, names: &[PolicyRef]) -> Option<String> {
        names.iter().find_map(|name| {
            if self.texts.contains_key(&key(namespace, name)) {
                return None;
            }
            let why = match self.standing(namespace, name) {
                None => "it is being looked for",
                Some(Standing::Blind(blind)) if blind.cause != Cause::NotServed => &blind.why,
                Some(_) => return None,
            };
            Some(format!("{} cannot be seen: {why}", label(namespace, name)))
        })
    }

    /// The first of these policies that says `mode: Observe`.
    pub(super) fn observing(&self, namespace: &Arc<str>, names: &[PolicyRef]) -> Option<String> {
        let observes = |name: &&PolicyRef| {
            let text = self.texts.get(&key(namespace, name));
            text.and_then(|text| text.text().pointer("/spec/mode")).and_then(Value::as_str) == Some("Observe")
        };
        names.iter().find(observes).map(|name| label(namespace, name))
    }

    /// A policy is there with this text, or it is gone: who must be judged anew.
    pub(super) fn set(&mut self, key: &PolicyKey, text: Option<Value>) -> Vec<ObjectId> {
        let same = self.texts.get(key).map(|text| text.text()) == text.as_ref();
        if same {
            return Vec::new();
        }
        match text {
            Some(text) => self.texts.insert(key.clone(), Arc::new(Policy::new(Arc::new(text)))),
            None => self.texts.remove(key),
        };
        self.users.get(key).into_iter().flatten().cloned().collect()
    }

    /// A stream has told all that there is: who must be judged anew.
    pub(super) fn listed(&mut self, cluster: bool, namespace: Option<Arc<str>>) -> Vec<ObjectId> {
        let stream = (cluster, namespace);
        match self.streams.insert(stream.clone(), Standing::Listed) {
            Some(Standing::Listed) => Vec::new(),
            Some(Standing::Blind(_)) | None => self.users_of(&stream),
        }
    }

    /// A stream does not work. What it has shown stays, and so does that its kind was not there; if that was nothing yet, nobody waits for
    /// it: who must be judged anew.
    pub(super) fn failed(&mut self, cluster: bool, namespace: Option<Arc<str>>, blind: Blind) -> Vec<ObjectId> {
        let stream = (cluster, namespace);
        match self.streams.get(&stream) {
            Some(Standing::Listed) => return Vec::new(),
            Some(Standing::Blind(old)) if old.cause == blind.cause || old.cause == Cause::NotServed => {
                return Vec::new();
            }
            Some(Standing::Blind(_)) | None => {}
        }
        self.streams.insert(stream.clone(), Standing::Blind(blind));
        self.users_of(&stream)
    }

    fn users_of(&self, (cluster, namespace): &Stream) -> Vec<ObjectId> {
        let here = |key: &PolicyKey| match &key.0 {
            None => *cluster,
            Some(place) => !cluster && namespace.as_ref().is_none_or(|namespace| namespace == place),
        };
        let users = self.users.iter().filter(|(key, _)| here(key)).flat_map(|(_, users)| users);
        users.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The policy that an object of this namespace means.
    pub(super) fn find(&self, namespace: &str, name: &PolicyRef) -> Sight<Arc<Policy>> {
        let namespace: Arc<str> = namespace.into();
        match (self.texts.get(&key(&namespace, name)), self.standing(&namespace, name)) {
            (Some(text), _) => Sight::Here(text.clone()),
            (None, Some(Standing::Listed)) => Sight::Absent,
            (None, Some(Standing::Blind(_)) | None) => Sight::Unseen,
        }
    }

    /// Why the policies that an object of this namespace may mean cannot be seen.
    pub(super) fn why(&self, namespace: &str, name: &PolicyRef) -> Option<String> {
        match self.standing(&namespace.into(), name) {
            Some(Standing::Blind(blind)) => Some(blind.why.clone()),
            Some(Standing::Listed) => None,
            None => Some("it is being looked for".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Reading a policy takes much longer than joining it, and thousands of objects may name the same.
    #[test]
    fn a_policy_is_read_once_for_all_objects_until_its_text_changes() {
        let mut policies = Policies::default();
        let night = PolicyRef { cluster: false, name: "night".into() };
        let text = |mode: &str| Some(json!({ "kind": "ScalingPolicy", "spec": { "mode": mode } }));
        let found = |policies: &Policies| match policies.find("shop", &night) {
            Sight::Here(policy) => policy,
            other => panic!("{other:?}"),
        };
        let key = key(&"shop".into(), &night);
        policies.set(&key, text("Auto"));
        let first = found(&policies);
        assert!(Arc::ptr_eq(&first, &found(&policies)));
        policies.set(&key, text("Auto"));
        assert!(Arc::ptr_eq(&first, &found(&policies)), "the same text, shown once more");
        policies.set(&key, text("Observe"));
        assert!(!Arc::ptr_eq(&first, &found(&policies)));
        assert_eq!(
            policies.observing(&"shop".into(), std::slice::from_ref(&night)).as_deref(),
            Some("ScalingPolicy shop/night")
        );
    }
}
