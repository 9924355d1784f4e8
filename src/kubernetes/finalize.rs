//! What must be undone when a ScaledObject is deleted, and the finalizers that see to it.
//!
//! * `finalizer.keda.sh`, left behind by a KEDA that is gone, is removed on deletion; a KEDA that lives removes it itself.
//! * With `restoreToOriginalReplicaCount: true` an object carries our finalizer. On deletion its target gets the replicas back that it
//!   had before it was scaled.
//! * TriggerAuthentications and ClusterTriggerAuthentications lose `finalizer.keda.sh` likewise; they have none of ours.
//! * An object that is looked at no more, because of its labels, loses ours, unless its record says that a job is stopped ([`left`]).
//! * As long as nobody can know whether a policy says `mode: Observe`, the target of a deleted object is not touched: its deletion waits a
//!   minute for the policies, and goes on without restoring anything then.
//! * While an operation has changed something and has not ended, or a job is stopped by us, an object stays ([`Kept`]).
//! * An object of which nothing must be undone carries no finalizer of ours: it can be deleted while nobody runs.

mod authentications;
mod left;

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tidegate_crds::ScaledObject;
use tidegate_engine::protocol::Tenure;
use tidegate_engine::subject::{Hold, ObjectId};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use self::authentications::Authentications;
use super::Attention;
use super::calls::Failure;
use super::events::Announcer;
use super::flink_scale::{self, JOB_SUSPENDED};
use super::holds::{Holds, POLICY_UNSEEN};
use super::kept::Kept;
use super::known::{Known, ObjectFacts};
use super::settings::Mode;

/// The finalizer of an object whose replicas are restored on deletion.
pub const FINALIZER: &str = "tidegate.dev/finalizer";
/// The finalizer that KEDA sets on every object.
pub const KEDA_FINALIZER: &str = "finalizer.keda.sh";
/// Our field manager.
const MANAGER: &str = "tidegate";
/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How often an object is looked at that no watch shows and that must not go.
const SEEK: Duration = Duration::from_mins(1);
/// How long after its deletion an object waits for policies that cannot be seen.
const POLICIES: Duration = Duration::from_mins(1);

/// What has to be done about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    /// Whether the target gets its old replicas back.
    restore: bool,
    /// The finalizers that it shall have.
    finalizers: Vec<String>,
}

/// What a plan is made of.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they do not depend on each other")]
struct Circumstances<'a> {
    deleting: bool,
    finalizers: &'a [String],
    /// The object wants its replicas restored.
    restore: bool,
    /// An operation has begun something that must be brought to its end first.
    kept: bool,
    /// A KEDA lives that does all this itself.
    keda: bool,
    /// Targets may be touched: neither the mode nor another writer forbids it.
    acts: bool,
}

/// What to do; none if nothing.
fn plan(of: Circumstances<'_>) -> Option<Plan> {
    let has = |name: &str| of.finalizers.iter().any(|finalizer| finalizer == name);
    let without = |gone: &[&str]| -> Vec<String> {
        of.finalizers.iter().filter(|finalizer| !gone.contains(&finalizer.as_str())).cloned().collect()
    };
    let (finalizers, restore) = match (of.deleting, of.keda) {
        // Ours is removed in any case; what KEDA does it does before it removes its own.
        (true, true) if of.kept => return None,
        (true, false) if of.kept => (without(&[KEDA_FINALIZER]), false),
        (true, true) => (without(&[FINALIZER]), false),
        (true, false) => (without(&[FINALIZER, KEDA_FINALIZER]), of.restore && of.acts),
        (false, false) if (of.kept || of.restore && of.acts) && !has(FINALIZER) => {
            (of.finalizers.iter().cloned().chain([FINALIZER.to_owned()]).collect(), false)
        }
        (false, false) if !of.restore && !of.kept => (without(&[FINALIZER]), false),
        (false, _) => return None,
    };
    (finalizers != of.finalizers).then_some(Plan { restore, finalizers })
}

/// Whether an object that cannot be seen any more may exist all the same, and carry our finalizer.
pub(super) fn is_left_behind(facts: &ObjectFacts) -> bool {
    // Also one that was being deleted: perhaps it has only lost its labels, and it waits for us.
    facts.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
}

/// Sets, obeys and removes finalizers while this process acts.
pub struct Finalizer {
    client: Client,
    known: Known,
    holds: Holds,
    kept: Kept,
    mode: Mode,
    keda: watch::Receiver<Option<bool>>,
    attention: Attention,
    announcer: Option<Announcer>,
}

/// Why an object could not be settled this time.
#[derive(Debug, thiserror::Error)]
enum Unsettled {
    /// A call has failed.
    #[error("cannot {verb} {resource}: {why}")]
    Call { verb: &'static str, resource: &'static str, why: String },
    /// Its policies may come yet, and then its replicas may be restored.
    #[error("it is deleted, and waits for policies that cannot be seen: {0}")]
    Waits(String),
}

impl Finalizer {
    /// A finalizer of the objects that `attention` names. `keda` says whether a KEDA is alive.
    pub fn new(
        client: Client,
        (known, holds, kept, attention): (Known, Holds, Kept, Attention),
        mode: Mode,
        keda: watch::Receiver<Option<bool>>,
    ) -> Self {
        Self { client, known, holds, kept, mode, keda, attention, announcer: None }
    }

    /// Tells through `announcer` what people should see at an object.
    #[must_use]
    pub fn telling(self, announcer: Announcer) -> Self {
        Self { announcer: Some(announcer), ..self }
    }

    /// Settles objects from the beginning of the tenure until the process ends.
    pub async fn run(mut self, mut tenure: watch::Receiver<Tenure>) {
        if tenure.wait_for(|tenure| tenure.is_held()).await.is_err() {
            return;
        }
        // Those that wait for KEDA to go away, and those that failed.
        let mut parked = BTreeSet::new();
        let mut failed = BTreeSet::new();
        let authentications =
            Authentications::new(self.client.clone(), self.attention.clone(), self.keda.clone()).run();
        let mut authentications = pin!(authentications);
        let mut seek = interval(SEEK);
        seek.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut authentications => return,
                id = self.attention.next() => match self.settle(&id).await {
                    Ok(true) => _ = parked.remove(&id),
                    Ok(false) => _ = parked.insert(id),
                    Err(error) => {
                        match &error {
                            Unsettled::Call { .. } => tracing::warn!("{id}: {error}; it is tried again"),
                            // The hold has been told, and the wait is short.
                            Unsettled::Waits(_) => tracing::debug!("{id}: {error}"),
                        }
                        failed.insert(id);
                    }
                },
                () = sleep(RETRY), if !failed.is_empty() => {
                    for id in std::mem::take(&mut failed) {
                        self.attention.raise(&id);
                    }
                }
                _ = seek.tick(), if self.kept.has_lost() => self.kept.seek(),
                Ok(()) = self.keda.changed() => {
                    for id in std::mem::take(&mut parked) {
                        self.attention.raise(&id);
                    }
                }
            }
        }
    }

    /// Whether nothing is left to do for this object unless it changes; false if it depends on whether a KEDA lives.
    async fn settle(&self, id: &ObjectId) -> Result<bool, Unsettled> {
        let Some(facts) = self.known.get(id) else {
            self.leave(id).await?;
            return Ok(true);
        };
        self.kept.found(id);
        let keda = self.keda.borrow().unwrap_or(false);
        let matters = facts.restore || self.kept.is(id, &facts) || !facts.finalizers.is_empty();
        // Most objects end here, without a call.
        if self.plan(id, &facts, facts.deleting, &facts.finalizers, facts.restore).is_some() {
            self.perform(id, &facts).await?;
        }
        Ok(!(keda && matters))
    }

    fn plan(
        &self,
        id: &ObjectId,
        facts: &ObjectFacts,
        deleting: bool,
        finalizers: &[String],
        restore: bool,
    ) -> Option<Plan> {
        plan(Circumstances {
            deleting,
            finalizers,
            restore,
            kept: self.kept.is(id, facts),
            keda: self.keda.borrow().unwrap_or(false),
            acts: self.mode == Mode::Auto && self.holds.of(id, &facts.target).is_none(),
        })
    }

    /// Reads the object past the watch, and does what there is to do about it.
    async fn perform(&self, id: &ObjectId, facts: &ObjectFacts) -> Result<(), Unsettled> {
        // Read loosely: an object with a text that nobody could obey must not stay for ever.
        let resource = ApiResource::erase::<ScaledObject>(&());
        let objects: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &id.namespace, &resource);
        // Somebody may write between our read and our write; more than a few times in a row is not that.
        for _ in 0..3 {
            let Some(object) = call("get", "scaledobjects.keda.sh", objects.get_opt(&id.name)).await? else {
                return Ok(());
            };
            let deleting = object.metadata.deletion_timestamp.is_some();
            let wanted =
                object.data.pointer("/spec/advanced/restoreToOriginalReplicaCount") == Some(&Value::Bool(true));
            // Looked at first: if the hold is lifted between the two, the replicas are restored.
            let unseen = self.unseen(id, facts);
            let Some(plan) = self.plan(id, facts, deleting, object.finalizers(), wanted) else { return Ok(()) };
            if let Some(hold) = unseen.filter(|_| deleting && wanted && !plan.restore) {
                if was_deleted_within(POLICIES, &object) {
                    return Err(Unsettled::Waits(hold.message));
                }
                tracing::warn!("{id}: it is deleted, and its replicas are not restored: {}", hold.message);
            }
            if let Some(hold) =
                self.suspended(id, facts).filter(|_| deleting && wanted && !plan.restore && !facts.hooks)
            {
                tracing::warn!("{id}: it is deleted, and its replicas are not restored: {}", hold.message);
            }
            if plan.restore && facts.hooks {
                tracing::warn!(
                    "{id}: deleted; its replicas are not restored, because nothing would prepare the change: it has hooks, or policies that are not there and may have had some"
                );
            } else if plan.restore {
                self.restore(id, facts, &object).await;
            }
            let finalizers = (!plan.finalizers.is_empty()).then_some(&plan.finalizers);
            let body =
                json!({ "metadata": { "resourceVersion": object.resource_version(), "finalizers": finalizers } });
            if self.patch(&objects, id, &body).await? {
                tracing::info!("{id}: finalizers are now [{}]", plan.finalizers.join(", "));
                // An operation that has begun meanwhile may have taken the one that is gone now for its own.
                if self.plan(id, facts, deleting, &plan.finalizers, wanted).is_none() {
                    return Ok(());
                }
            }
        }
        Err(unsettled("patch", "scaledobjects.keda.sh", &"it keeps changing"))
    }

    /// Why its target is not touched, if that is only because its policies cannot be seen.
    fn unseen(&self, id: &ObjectId, facts: &ObjectFacts) -> Option<Hold> {
        if self.mode != Mode::Auto || self.keda.borrow().unwrap_or(false) {
            return None;
        }
        self.holds.of(id, &facts.target).filter(|hold| hold.reason == POLICY_UNSEEN)
    }

    /// Why its target is not touched, if somebody else has suspended its job.
    fn suspended(&self, id: &ObjectId, facts: &ObjectFacts) -> Option<Hold> {
        self.holds.of(id, &facts.target).filter(|hold| hold.reason == JOB_SUSPENDED)
    }

    /// Whether it was written; false if the object has changed since it was read.
    async fn patch(&self, objects: &Api<DynamicObject>, id: &ObjectId, body: &Value) -> Result<bool, Unsettled> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(body);
        match timeout(CALL, objects.patch_metadata(&id.name, &params, &patch)).await {
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(false),
            // It is gone: nothing is left to do.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(true),
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) => Err(unsettled("patch", "scaledobjects.keda.sh", &Failure::from(error))),
            Err(_) => Err(unsettled("patch", "scaledobjects.keda.sh", &format!("no answer within {CALL:?}"))),
        }
    }

    /// Gives the target its old replicas back. As with KEDA, what goes wrong is only told: it must not keep the object.
    async fn restore(&self, id: &ObjectId, facts: &ObjectFacts, object: &DynamicObject) {
        let Some(original) = object.data.pointer("/status/originalReplicaCount").and_then(Value::as_u64) else {
            tracing::info!("{id}: its original replicas are not known, so they stay as they are");
            return;
        };
        let target = &facts.target;
        if facts.target_resource.is_empty() {
            tracing::warn!("{id}: {target} was never seen, so its replicas stay as they are");
            return;
        }
        let (group, version) = target.api_version.rsplit_once('/').unwrap_or(("", &target.api_version));
        let kind = GroupVersionKind::gvk(group, version, &target.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, &facts.target_resource);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &target.namespace, &resource);
        let replicas = i32::try_from(original).unwrap_or(i32::MAX);
        match timeout(CALL, flink_scale::restore(&api, target, replicas)).await {
            Ok(Ok(Err(suspended))) => {
                tracing::warn!("{id}: its original replicas ({original}) are not restored: {suspended}");
            }
            Ok(Ok(Ok(_))) => tracing::info!("{id}: deleted; {target} has its original replicas again ({original})"),
            Ok(Err(error)) => tracing::warn!("{id}: cannot restore {original} replicas of {target}: {error}"),
            Err(_) => tracing::warn!("{id}: cannot restore {original} replicas of {target}: no answer within {CALL:?}"),
        }
    }
}

async fn call<T>(
    verb: &'static str,
    resource: &'static str,
    answer: impl Future<Output = kube::Result<T>>,
) -> Result<T, Unsettled> {
    match timeout(CALL, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(unsettled(verb, resource, &Failure::from(error))),
        Err(_) => Err(unsettled(verb, resource, &format!("no answer within {CALL:?}"))),
    }
}

fn unsettled(verb: &'static str, resource: &'static str, why: &dyn ToString) -> Unsettled {
    Unsettled::Call { verb, resource, why: why.to_string() }
}

/// Whether an object was deleted less than this time ago.
fn was_deleted_within(time: Duration, object: &DynamicObject) -> bool {
    let Some(deleted) = &object.metadata.deletion_timestamp else { return false };
    let age = Timestamp::now().duration_since(deleted.0);
    age < SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod calls_tests;
#[cfg(test)]
mod left_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|&name| name.to_owned()).collect()
    }

    const CALM: Circumstances<'static> =
        Circumstances { deleting: false, finalizers: &[], restore: false, kept: false, keda: false, acts: true };

    #[test]
    fn an_object_without_anything_to_undo_gets_no_finalizer() {
        assert_eq!(plan(CALM), None);
        let of_keda = names(&[KEDA_FINALIZER]);
        assert_eq!(plan(Circumstances { finalizers: &of_keda, ..CALM }), None, "it stays until the object is deleted");
        assert_eq!(plan(Circumstances { deleting: true, ..CALM }), None);
    }

    #[test]
    fn a_finalizer_is_there_while_replicas_are_to_be_restored() {
        let wanted = Circumstances { restore: true, ..CALM };
        let (ours, both) = (names(&[FINALIZER]), names(&["a/b", FINALIZER]));
        assert_eq!(plan(wanted), Some(Plan { restore: false, finalizers: ours.clone() }));
        assert_eq!(plan(Circumstances { finalizers: &ours, ..wanted }), None);
        let not_any_more = Circumstances { finalizers: &both, ..CALM };
        assert_eq!(plan(not_any_more), Some(Plan { restore: false, finalizers: names(&["a/b"]) }));
        assert_eq!(plan(Circumstances { acts: false, ..wanted }), None, "who touches nothing undoes nothing");
    }

    #[test]
    fn on_deletion_replicas_are_restored_and_the_finalizers_go() {
        let all = names(&[KEDA_FINALIZER, "a/b", FINALIZER]);
        let deleted = Circumstances { deleting: true, finalizers: &all, restore: true, ..CALM };
        assert_eq!(plan(deleted), Some(Plan { restore: true, finalizers: names(&["a/b"]) }));
        assert_eq!(
            plan(Circumstances { acts: false, ..deleted }),
            Some(Plan { restore: false, finalizers: names(&["a/b"]) }),
            "another writer is not fought, but the object must not stay for ever"
        );
        let of_keda = names(&[KEDA_FINALIZER]);
        let left_by_keda = Circumstances { finalizers: &of_keda, restore: false, ..deleted };
        assert_eq!(plan(left_by_keda), Some(Plan { restore: false, finalizers: vec![] }));
    }

    #[test]
    fn an_object_whose_job_is_stopped_stays() {
        let kept = Circumstances { kept: true, acts: false, ..CALM };
        let (ours, both) = (names(&[FINALIZER]), names(&[KEDA_FINALIZER, FINALIZER]));
        assert_eq!(plan(kept), Some(Plan { restore: false, finalizers: ours.clone() }), "also while it is held");
        assert_eq!(plan(Circumstances { finalizers: &ours, ..kept }), None);
        let deleted = Circumstances { deleting: true, finalizers: &both, restore: true, acts: true, ..kept };
        assert_eq!(plan(deleted), Some(Plan { restore: false, finalizers: ours.clone() }), "nothing is restored yet");
        assert_eq!(plan(Circumstances { keda: true, ..deleted }), None);
        let over = Circumstances { kept: false, finalizers: &ours, ..deleted };
        assert_eq!(plan(over), Some(Plan { restore: true, finalizers: vec![] }));
    }

    #[test]
    fn a_live_keda_keeps_its_finalizer() {
        let all = names(&[KEDA_FINALIZER, FINALIZER]);
        let deleted = Circumstances { deleting: true, finalizers: &all, restore: true, keda: true, ..CALM };
        assert_eq!(plan(deleted), Some(Plan { restore: false, finalizers: names(&[KEDA_FINALIZER]) }));
        let of_keda = names(&[KEDA_FINALIZER]);
        assert_eq!(plan(Circumstances { finalizers: &of_keda, ..deleted }), None);
        assert_eq!(plan(Circumstances { restore: true, keda: true, ..CALM }), None);
    }
}
