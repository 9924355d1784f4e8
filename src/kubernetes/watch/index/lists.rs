//! What the index does when a stream has told everything that there is, or does not work.

use std::sync::Arc;

use tidegate_engine::protocol::TargetError;
use tidegate_engine::subject::{ObjectId, TargetRef};

use super::super::directory::Sight;
use super::super::event::{Order, What};
use super::super::kinds::KindKey;
use super::{Index, Object, Told};

impl Index {
    pub(super) fn listed(&mut self, what: What, namespace: Option<Arc<str>>, orders: &mut Vec<Order>) {
        match &what {
            What::Targets(kind) => {
                if self.targets.listed(kind, namespace, self.streams) {
                    self.settle_kind(kind, orders);
                }
            }
            What::Holders(place) => {
                let before = self.out.directory.sight(place);
                self.out.directory.set_sight(place, Sight::Watched);
                if before == Some(Sight::Blind) {
                    let users = self.out.directory.users(place);
                    self.all_look_again(&users);
                }
            }
            What::Definitions => {}
            What::Policies | What::ClusterPolicies => {
                let users = self.policies.listed(what == What::ClusterPolicies, namespace);
                self.all_judge_again(&users, orders);
            }
            _ => {
                if let What::Authentications | What::ClusterAuthentications = what {
                    self.out.directory.set_unseen(what == What::ClusterAuthentications, None);
                }
                self.settled.insert((what, namespace));
                self.load(orders);
            }
        }
    }

    pub(super) fn failed(
        &mut self,
        what: What,
        namespace: Option<Arc<str>>,
        error: &TargetError,
        orders: &mut Vec<Order>,
    ) {
        match &what {
            What::Targets(kind) if self.targets.failed(kind, error, self.streams) => {
                self.targets.watch_definitions(orders);
                self.settle_kind(kind, orders);
            }
            What::Holders(place) => self.out.directory.set_sight(place, Sight::Blind),
            // Objects whose triggers need none of them must not wait for them.
            What::Authentications | What::ClusterAuthentications if !self.loaded => {
                let cluster = what == What::ClusterAuthentications;
                self.out.directory.set_unseen(cluster, Some(error.to_string()));
                self.settled.insert((what, namespace));
                self.load(orders);
            }
            _ => {}
        }
    }

    /// Begins to tell once all of the base streams have told.
    fn load(&mut self, orders: &mut Vec<Order>) {
        // ClusterTriggerAuthentications are one stream, whatever the namespaces.
        if self.loaded || self.settled.len() < 3 * self.streams + 1 {
            return;
        }
        self.loaded = true;
        let mut ids: Vec<ObjectId> = self.objects.keys().cloned().collect();
        ids.sort();
        for id in &ids {
            self.tell(id, orders);
        }
    }

    /// Whether nothing can be said about an object yet. Policies are waited for only before its first word: an older text would go on
    /// acting meanwhile, without a pause or a bound that the new one sets. That it is being deleted can always be said.
    pub(super) fn must_wait(&self, id: &ObjectId, object: &Object) -> bool {
        let new = object.told == Told::Nothing;
        !object.deleting
            && (!self.is_ready(&object.target) || (new && !self.policies.are_settled(&id.namespace, &object.names)))
    }

    /// Whether an object with this target can be told: a target is told right after it, so it must have been looked for.
    fn is_ready(&self, target: &TargetRef) -> bool {
        target.name.is_empty() || self.targets.sight(target, self.streams).is_some()
    }

    /// Tells everything that waited for a kind.
    pub(super) fn settle_kind(&mut self, kind: &KindKey, orders: &mut Vec<Order>) {
        let here = |object: &Object| KindKey::of(&object.target) == *kind;
        let mut ids: Vec<(ObjectId, TargetRef)> = self
            .objects
            .iter()
            .filter(|(_, object)| here(object))
            .map(|(id, object)| (id.clone(), object.target.clone()))
            .collect();
        ids.sort();
        for (id, target) in &ids {
            self.tell(id, orders);
            self.tell_target(target, orders);
        }
    }
}
