//! What a validator may know of an object's surroundings: files, a namespace, or nothing at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tidegate_engine::subject::{AuthenticationRef, TargetRef};

use super::policies::{Policy, PolicyRef};

/// The answer to a question about the surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight<T> {
    /// It is there, and this is it.
    Here(T),
    /// It is not in the place that was looked at.
    Absent,
    /// That place cannot be looked at.
    Unseen,
}

/// An object with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeysOf {
    /// A Secret.
    Secret,
    /// A `ConfigMap`.
    ConfigMap,
}

impl KeysOf {
    /// The kind's name.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// What is known of the place that an object lives in. An answer must be cheap: it comes from memory. What is not answered cannot be
/// seen, and so is no finding.
pub trait Surroundings {
    /// Where was looked, as the end of "is not ...": `in these files`.
    fn place(&self) -> &'static str;

    /// Whether whoever obeys the object here honours `restoreToOriginalReplicaCount` when it is deleted.
    fn restores(&self) -> bool {
        false
    }

    /// Whether the Ready pods of targets of every kind are counted here: a cluster shows them, one machine does not.
    fn counts_pods(&self) -> bool {
        true
    }

    /// Whether hooks of policies are performed here: they change pods, jobs and other systems, which only a cluster has.
    fn performs_hooks(&self) -> bool {
        true
    }

    /// Whether the target is there.
    fn target(&self, _target: &TargetRef) -> Sight<()> {
        Sight::Unseen
    }

    /// The names of the environment variables of the target's container (the first if none is named).
    /// [`Sight::Absent`] means that the target has no such container.
    fn environment(&self, _target: &TargetRef, _container: Option<&str>) -> Sight<BTreeSet<String>> {
        Sight::Unseen
    }

    /// The `spec` of a `TriggerAuthentication` of this namespace, or of a `ClusterTriggerAuthentication`.
    fn authentication(&self, _namespace: &str, _reference: &AuthenticationRef) -> Sight<Value> {
        Sight::Unseen
    }

    /// A `ScalingPolicy` of this namespace, or a `ClusterScalingPolicy`, whole: with its kind, its metadata and its spec.
    fn policy(&self, _namespace: &str, _name: &PolicyRef) -> Sight<Arc<Value>> {
        Sight::Unseen
    }

    /// The same, in a form that is read only once. Whoever is asked about one policy by many objects keeps it.
    fn readable(&self, namespace: &str, name: &PolicyRef) -> Sight<Arc<Policy>> {
        match self.policy(namespace, name) {
            Sight::Here(text) => Sight::Here(Arc::new(Policy::new(text))),
            Sight::Absent => Sight::Absent,
            Sight::Unseen => Sight::Unseen,
        }
    }

    /// Why [`Surroundings::policy`] cannot see policies of this kind; none if there is nothing to say about it.
    fn why_unseen(&self, _namespace: &str, _name: &PolicyRef) -> Option<String> {
        None
    }

    /// The keys of a Secret or a `ConfigMap`. Without a namespace it is the one where cluster-wide objects keep theirs.
    fn keys(&self, _of: KeysOf, _namespace: Option<&str>, _name: &str) -> Sight<BTreeSet<String>> {
        Sight::Unseen
    }
}

/// The surroundings of somebody who sees only the object itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Surroundings for Nothing {
    fn place(&self) -> &'static str {
        "visible"
    }
}
