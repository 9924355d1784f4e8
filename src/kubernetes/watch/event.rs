//! What the watches tell the index, and what the index wants done.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidegate_crds::TriggerAuthenticationSpec;
use tidegate_engine::protocol::{Seen, TargetError};
use tidegate_engine::subject::{Hold, ObjectId, TargetRef};
use tokio::sync::oneshot;

use super::directory::{AuthenticationKey, Place};
use super::kinds::{KindKey, Served};
use super::policies::{Blind, PolicyKey};
use super::views::Loose;
use crate::kubernetes::known::RecordFacts;
use crate::resolution::Answer;

/// What is watched. Each is one stream a namespace, or one for all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::kubernetes) enum What {
    /// ScaledObjects.
    Objects,
    /// ScaleRecords.
    Records,
    /// TriggerAuthentications.
    Authentications,
    /// ClusterTriggerAuthentications.
    ClusterAuthentications,
    /// ScalingPolicies.
    Policies,
    /// ClusterScalingPolicies.
    ClusterPolicies,
    /// The metadata of CustomResourceDefinitions.
    Definitions,
    /// Targets of one kind.
    Targets(KindKey),
    /// The metadata of Secrets or ConfigMaps.
    Holders(Place),
}

/// Something that the API server has told.
#[derive(Debug)]
pub(in crate::kubernetes) enum Event {
    /// A ScaledObject is there.
    Object(Box<Loose>),
    /// A ScaledObject is gone.
    ObjectGone(ObjectId),
    /// A ScaleRecord is there.
    Record(ObjectId, Box<RecordFacts>),
    /// A ScaleRecord is gone.
    RecordGone(ObjectId),
    /// An authentication is there, or is gone.
    Authentication(AuthenticationKey, Option<Box<Answer<TriggerAuthenticationSpec>>>),
    /// An authentication is being deleted and carries KEDA's finalizer.
    Leaving(AuthenticationKey),
    /// A policy is there with this text, or is gone.
    Policy(PolicyKey, Option<Box<Value>>),
    /// A target whose read failed is to be read again, if it is still wanted.
    Again(TargetRef),
    /// The Ready pods of a target are others than those that were told.
    Recounted(TargetRef),
    /// Where a kind is served, or why it cannot be scaled.
    Kind(KindKey, Result<Served, TargetError>),
    /// A workload is there: its scale, and the print of its environments.
    Workload(KindKey, ObjectId, Seen, u64),
    /// An object of another kind is there, with this version.
    Moved(KindKey, ObjectId, Arc<str>),
    /// A target is gone.
    TargetGone(KindKey, ObjectId),
    /// A target that is being read says itself that it must not be scaled now, or that it may be.
    Aside(TargetRef, Option<Hold>),
    /// The answer to [`Order::Read`], with the print of the environments if that was asked for.
    Read(TargetRef, Result<Seen, TargetError>, Option<u64>),
    /// Nobody looks for a kind any more: it is not there.
    GivenUp(KindKey),
    /// A kind that could not be scaled before can be now.
    Found(KindKey),
    /// Kinds of this group have come or changed.
    Defined(Arc<str>),
    /// Something uses the Secrets or ConfigMaps of a place.
    Wanted(Place),
    /// A Secret or a ConfigMap has this version, or is gone.
    Holder(Place, Arc<str>, Option<Arc<str>>),
    /// Whoever asked wants to know that everything before was taken in.
    Marked(Mark),
    /// A stream has told everything that there is.
    Listed(What, Option<Arc<str>>),
    /// A stream does not work now; it tries again by itself.
    Failed(What, Option<Arc<str>>, TargetError),
    /// A stream of policies (of ClusterScalingPolicies if the flag is set) does not work now; it tries again by itself.
    Unseen(bool, Option<Arc<str>>, Blind),
}

/// A place among the events.
#[derive(Debug)]
pub(in crate::kubernetes) struct Mark(pub(in crate::kubernetes) oneshot::Sender<()>);

impl Mark {
    /// Says that everything before it was taken in.
    pub(in crate::kubernetes) fn set(self) {
        // Whoever asked may have gone.
        let _ = self.0.send(());
    }
}

/// Something that the index wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kubernetes) enum Order {
    /// Find a kind and watch its objects.
    WatchKind(KindKey),
    /// Watch the metadata of Secrets or ConfigMaps.
    WatchHolders(Place),
    /// Watch policies: some object names one.
    WatchPolicies {
        /// ClusterScalingPolicies, and not those of namespaces.
        cluster: bool,
    },
    /// Watch what kinds there are: some object names one that is not there.
    WatchDefinitions,
    /// Read a target's scale, and its environments if the flag is set.
    Read(TargetRef, bool),
    /// Say [`Event::Again`] after this time.
    Remind(TargetRef, Duration),
    /// Nothing uses the Secrets or ConfigMaps of a place any more.
    DropHolders(Place),
}
