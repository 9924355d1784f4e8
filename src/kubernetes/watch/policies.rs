//! The policies of the cluster, and which objects name them. Pure, no clock.
//!
//! Nothing is watched until an object names a policy, so a cluster that has none of these kinds is never asked for them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use tidegate_engine::subject::ObjectId;

use super::event::Order;
use crate::validation::{self, PolicyRef};

/// Names a policy: its namespace (none for a ClusterScalingPolicy) and its name.
pub(in crate::kubernetes) type PolicyKey = (Option<Arc<str>>, Arc<str>);

/// One stream of policies: whether it is of ClusterScalingPolicies, and its namespace (none for all).
type Stream = (bool, Option<Arc<str>>);

/// What is known of policies.
#[derive(Debug, Default)]
pub(super) struct Policies {
    texts: HashMap<PolicyKey, Arc<Value>>,
    users: HashMap<PolicyKey, BTreeSet<ObjectId>>,
    /// The kinds that are watched, by whether they are cluster-wide.
    watched: HashSet<bool>,
    /// The streams that have told all, or that do not work.
    settled: HashSet<Stream>,
    /// Why a stream has never worked.
    unseen: HashMap<Stream, String>,
}

/// The policy that an object of this namespace means.
fn key(namespace: &Arc<str>, name: &PolicyRef) -> PolicyKey {
    ((!name.cluster).then(|| namespace.clone()), name.name.clone())
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

    /// Whether it can be told of all these policies whether they are there.
    pub(super) fn are_settled(&self, namespace: &Arc<str>, names: &[PolicyRef]) -> bool {
        let has = |cluster, place: Option<&Arc<str>>| self.settled.contains(&(cluster, place.cloned()));
        names.iter().all(|name| has(name.cluster, None) || (!name.cluster && has(false, Some(namespace))))
    }

    /// A policy is there with this text, or it is gone: who must be judged anew.
    pub(super) fn set(&mut self, key: &PolicyKey, text: Option<Value>) -> Vec<ObjectId> {
        let same = self.texts.get(key).map(|text| &**text) == text.as_ref();
        match text {
            Some(text) => self.texts.insert(key.clone(), Arc::new(text)),
            None => self.texts.remove(key),
        };
        if same {
            return Vec::new();
        }
        self.users.get(key).into_iter().flatten().cloned().collect()
    }

    /// A stream has told all that there is: who must be judged anew.
    pub(super) fn listed(&mut self, cluster: bool, namespace: Option<Arc<str>>) -> Vec<ObjectId> {
        let stream = (cluster, namespace);
        let mended = self.unseen.remove(&stream).is_some();
        if self.settled.insert(stream.clone()) || mended { self.users_of(&stream) } else { Vec::new() }
    }

    /// A stream does not work. What it has shown stays; if that was nothing yet, nobody waits for it: who must be judged anew.
    pub(super) fn failed(&mut self, cluster: bool, namespace: Option<Arc<str>>, why: String) -> Vec<ObjectId> {
        let stream = (cluster, namespace);
        let first = self.settled.insert(stream.clone());
        if !first && !self.unseen.contains_key(&stream) {
            return Vec::new();
        }
        let news = self.unseen.insert(stream.clone(), why.clone()) != Some(why);
        if news { self.users_of(&stream) } else { Vec::new() }
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
    pub(super) fn find(&self, namespace: &str, name: &PolicyRef) -> validation::Sight<Arc<Value>> {
        let namespace: Arc<str> = namespace.into();
        match self.texts.get(&key(&namespace, name)) {
            Some(text) => validation::Sight::Here(text.clone()),
            None if !self.are_settled(&namespace, std::slice::from_ref(name)) => validation::Sight::Unseen,
            None if self.why(&namespace, name).is_some() => validation::Sight::Unseen,
            None => validation::Sight::Absent,
        }
    }

    /// Why the policies that an object of this namespace may mean cannot be seen.
    pub(super) fn why(&self, namespace: &str, name: &PolicyRef) -> Option<String> {
        let shows = |(cluster, place): &Stream| {
            *cluster == name.cluster && place.as_deref().is_none_or(|place| *cluster || place == namespace)
        };
        self.unseen.iter().find(|(stream, _)| shows(stream)).map(|(_, why)| why.clone())
    }
}
