//! Objects that no watch shows any more, because their labels are not those that are watched.
//!
//! They must not wait for us when they are deleted, so they lose our finalizer. An object with a job that we have stopped keeps it: the path of
//! the savepoint stands in its ScaleRecord, which goes with it. It is looked at now and then, because nobody else would let it go.

use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject};
use serde_json::json;
use tidegate_crds::annotations::{ABANDON, switch};
use tidegate_crds::{ScaleRecord, ScaledObject};
use tidegate_engine::subject::ObjectId;

use super::{FINALIZER, Finalizer, SEEK, Unsettled, call, unsettled, was_deleted_within};
use crate::kubernetes::record;

/// The reason under which people are told.
const REASON: &str = "StoppedJobLeft";

/// What a record says of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// It must not go.
    Stays,
    /// It may.
    Goes,
    /// There is no record of it.
    Nothing,
}

impl Finalizer {
    /// Takes our finalizer from an object that is looked at no more, unless it must not go.
    pub(super) async fn leave(&self, id: &ObjectId) -> Result<(), Unsettled> {
        let resource = ApiResource::erase::<ScaledObject>(&());
        let objects: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &id.namespace, &resource);
        // Somebody may write between our reads and our write; more than a few times in a row is not that.
        for _ in 0..3 {
            let object = call("get", "scaledobjects.keda.sh", objects.get_opt(&id.name)).await?;
            let Some(object) = object.filter(|object| object.finalizers().iter().any(|other| other == FINALIZER))
            else {
                self.kept.found(id);
                return Ok(());
            };
            if !self.goes(id, &object).await? || self.known.get(id).is_some() {
                return Ok(());
            }
            let rest: Vec<&String> = object.finalizers().iter().filter(|other| *other != FINALIZER).collect();
            let rest = (!rest.is_empty()).then_some(&rest);
            let body = json!({ "metadata": { "resourceVersion": object.resource_version(), "finalizers": rest } });
            if self.patch(&objects, id, &body).await? {
                tracing::info!("{id}: it is looked at no more, so the finalizer {FINALIZER} is removed");
                self.kept.found(id);
                return Ok(());
            }
        }
        Err(unsettled("patch", "scaledobjects.keda.sh", &"it keeps changing"))
    }

    /// Whether our finalizer is to be taken from this object. One that must stay is told and looked at again.
    async fn goes(&self, id: &ObjectId, object: &DynamicObject) -> Result<bool, Unsettled> {
        let deleting = object.metadata.deletion_timestamp.is_some();
        if deleting && switch(object.metadata.annotations.as_ref(), ABANDON) {
            return Ok(true);
        }
        let lost = self.kept.is_lost(id);
        match self.word(id, object).await? {
            Word::Stays => {
                if self.known.get(id).is_none() {
                    self.kept.lost(id);
                    // Where nothing was heard of it before, this process has seen it leave.
                    if self.kept.stays(id, !lost) {
                        self.tell_lost(id, object);
                    }
                }
                Ok(false)
            }
            // Whoever has ended its operation since may be at work, and looks after its finalizer, too; it has a while to show that.
            Word::Goes => Ok(!lost || deleting && !was_deleted_within(SEEK, object)),
            Word::Nothing => Ok(true),
        }
    }

    /// What the record of an object says, past the watches. One that an earlier object of the name has left says nothing.
    async fn word(&self, id: &ObjectId, object: &DynamicObject) -> Result<Word, Unsettled> {
        let resource = ApiResource::erase::<ScaleRecord>(&());
        let records: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &id.namespace, &resource);
        let found = call("get", "scalerecords.tidegate.dev", records.get_opt(&id.name)).await?;
        let own = |record: &DynamicObject| {
            let owners = record.owner_references();
            owners.is_empty() || owners.iter().any(|owner| Some(&owner.uid) == object.metadata.uid.as_ref())
        };
        Ok(match found.filter(own) {
            Some(record) if record::keeps_object(&record.data) => Word::Stays,
            Some(_) => Word::Goes,
            None => Word::Nothing,
        })
    }

    fn tell_lost(&self, id: &ObjectId, object: &DynamicObject) {
        let note = format!(
            "its labels are not those that are watched any more, while a job is stopped or a change is under way: it is scaled no more, and the \
             finalizer {FINALIZER} stays, so that the path of the savepoint is not lost with it; give it its labels back, or run the job by \
             hand with `tidegate flink restore`. Once it is deleted, {ABANDON}=true lets it go as it is"
        );
        tracing::warn!("{id} {REASON}: {note}");
        if let (Some(announcer), Some(uid)) = (&self.announcer, &object.metadata.uid) {
            announcer.announce_left(id, uid, REASON, note);
        }
    }
}
