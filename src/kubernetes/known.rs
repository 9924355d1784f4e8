//! What the watches know of each ScaledObject and its ScaleRecord, for those who write them.
//!
//! The watches write it, the journal and the finalizer read it. Writers compare with it, so that nothing is written that is
//! there already.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use tidegate_crds::{ScaleRecordStatus, ScaledObjectStatus};
use tidegate_engine::subject::{ObjectId, TargetRef};

use super::packed::Packed;

/// KEDA's fields of a ScaledObject's status, as last seen. A field that is not as it should be is as if absent.
pub type StatusView = ScaledObjectStatus;

/// All objects that exist, also those that are refused.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<RwLock<HashMap<ObjectId, Arc<ObjectFacts>>>>);

/// What is known of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectFacts {
    /// `metadata.uid`: owner references and events name it.
    pub uid: String,
    /// `metadata.resourceVersion`, as last seen.
    pub resource_version: String,
    /// `metadata.generation`; it grows with every change of the spec.
    pub generation: i64,
    /// Whether the object is being deleted and waits for its finalizers.
    pub deleting: bool,
    /// `metadata.finalizers`, whoever set them.
    pub finalizers: Vec<String>,
    /// The annotations of the groups `autoscaling.keda.sh`, `scaledobject.keda.sh` and `tidegate.dev`.
    pub annotations: BTreeMap<String, String>,
    /// KEDA's status fields, as last seen.
    pub status: Packed<StatusView>,
    /// The ScaleRecord of the object's name, as last seen; none if there is none.
    pub record: Option<RecordFacts>,
    /// The names of the external metrics, by trigger, in the triggers' order (`s0-redis-orders`); an unknown trigger has none, and one
    /// on what pods use neither.
    pub metric_names: Vec<Vec<String>>,
    /// KEDA's `resourceMetricNames`: the resources of triggers on whole pods (`cpu`, `memory`), in the triggers' order.
    pub resource_metric_names: Vec<String>,
    /// KEDA's `triggersTypes`: the types without repetition, joined by commas.
    pub trigger_types: String,
    /// KEDA's `authenticationsTypes`: the names of the authentications without repetition, joined by commas.
    pub authentications: String,
    /// What it scales; without a name if its text does not say.
    pub target: TargetRef,
    /// The plural name of the target's kind, such as `deployments`; empty while it is not known.
    pub target_resource: String,
    /// `advanced.restoreToOriginalReplicaCount`.
    pub restore: bool,
    /// Whether hooks take part in its changes, or may: a policy that it names may be gone.
    pub hooks: bool,
    /// `minReplicaCount` as the user gave it.
    pub min: Option<i64>,
    /// `maxReplicaCount` as the user gave it.
    pub max: Option<i64>,
    /// `idleReplicaCount` as the user gave it.
    pub idle: Option<i64>,
}

/// A ScaleRecord as last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordFacts {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// The uid of the ScaledObject that owns it, which may be an earlier one of the same name; none if no ScaledObject does.
    pub owner: Option<String>,
    /// All that it holds, the checkpoint included.
    pub status: Packed<ScaleRecordStatus>,
}

impl ObjectFacts {
    /// The facts of an object of which nothing but its target is known yet.
    pub fn of(target: TargetRef) -> Self {
        Self {
            uid: String::new(),
            resource_version: String::new(),
            generation: 0,
            deleting: false,
            finalizers: Vec::new(),
            annotations: BTreeMap::new(),
            status: Packed::default(),
            record: None,
            metric_names: Vec::new(),
            resource_metric_names: Vec::new(),
            trigger_types: String::new(),
            authentications: String::new(),
            target,
            target_resource: String::new(),
            restore: false,
            hooks: false,
            min: None,
            max: None,
            idle: None,
        }
    }
}

impl Known {
    /// What is known of an object; none if it does not exist.
    pub fn get(&self, id: &ObjectId) -> Option<Arc<ObjectFacts>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Sets what is known of an object.
    pub fn insert(&self, id: ObjectId, facts: ObjectFacts) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(facts));
    }

    /// Changes what is known of an object; does nothing if it does not exist.
    pub fn update(&self, id: &ObjectId, change: impl FnOnce(&mut ObjectFacts)) {
        if let Some(facts) = self.0.write().unwrap_or_else(PoisonError::into_inner).get_mut(id) {
            change(Arc::make_mut(facts));
        }
    }

    /// Forgets an object that is gone.
    pub fn remove(&self, id: &ObjectId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// How many objects exist.
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
