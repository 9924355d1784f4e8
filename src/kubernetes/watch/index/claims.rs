//! Who scales which target, and who uses which authentication.

use tidegate_calculator::source::MetricType;
use tidegate_engine::subject::{Finding, Hold, ObjectId, TargetRef};

use super::super::event::Order;
use super::super::kinds::KindKey;
use super::{Index, Object};
use crate::kubernetes::flink_scale::JOB_SUSPENDED;
use crate::kubernetes::holds::{TargetKey, Whom};
use crate::validation::{Claim, conflicts};

impl Index {
    /// Enters what an object claims and uses in the place of what its text before did. Others may win or lose by it.
    pub(super) fn enter(&mut self, id: &ObjectId, object: Object, old: Option<&Object>, orders: &mut Vec<Order>) {
        let target = object.target.clone();
        let moved = old.is_none_or(|old| old.target != target || old.created != object.created);
        if let Some(old) = old {
            self.drop_users(id, old);
            if moved {
                self.drop_claim(id, old, orders);
            }
        }
        for key in &object.authentications {
            self.users.entry(key.clone()).or_default().insert(id.clone());
        }
        let created = object.created;
        self.objects.insert(id.clone(), Box::new(object));
        if target.name.is_empty() {
            return;
        }
        let kind = KindKey::of(&target);
        self.targets.want(&kind, orders);
        let plural = self.targets.plural(&kind);
        self.out.known.update(id, |facts| facts.target_resource = plural);
        let key = TargetKey::of(&target);
        let (claims, claim) = (self.claims.entry(key.clone()).or_default(), (created, id.clone()));
        if let Err(place) = claims.binary_search(&claim) {
            claims.reserve_exact(1);
            claims.insert(place, claim);
        }
        self.set_environment(&target);
        self.set_counted(&target, orders);
        if moved {
            self.tell_others(id, &key, orders);
        }
    }

    pub(super) fn drop_users(&mut self, id: &ObjectId, object: &Object) {
        for key in &object.authentications {
            if let Some(users) = self.users.get_mut(key) {
                users.remove(id);
                if users.is_empty() {
                    self.users.remove(key);
                }
            }
        }
    }

    /// Takes back an object's claim to its target: the next one wins it.
    pub(super) fn drop_claim(&mut self, id: &ObjectId, object: &Object, orders: &mut Vec<Order>) {
        let key = TargetKey::of(&object.target);
        if let Some(claims) = self.claims.get_mut(&key) {
            claims.retain(|(_, claimant)| claimant != id);
            if claims.is_empty() {
                self.claims.remove(&key);
            }
        }
        self.set_counted(&object.target, orders);
        if self.claims.contains_key(&key) {
            self.set_environment(&object.target);
            self.tell_others(id, &key, orders);
        } else {
            let unused = self.out.directory.forget(&object.target);
            orders.extend(unused.into_iter().map(Order::DropHolders));
        }
    }

    /// Why another object scales this one's target instead, if one does.
    pub(super) fn conflict(&self, id: &ObjectId, object: &Object) -> Option<Finding> {
        let claims = self.claims.get(&TargetKey::of(&object.target))?;
        let (winner_created, winner) = claims.first()?;
        if winner == id {
            return None;
        }
        let winner_target = &self.objects.get(winner)?.target;
        let claims = [
            Claim { id: winner, target: winner_target, created: *winner_created },
            Claim { id, target: &object.target, created: object.created },
        ];
        conflicts(&claims).pop().map(|(_, finding)| finding)
    }

    /// What a target says of itself: that it must not be scaled now, or that it may be. Whoever comes to scale it later is held, too.
    pub(super) fn set_aside(&self, target: &TargetRef, hold: Option<Hold>) {
        let whom = Whom::Target(TargetKey::of(target));
        match hold {
            Some(hold) => self.out.holds.set(whom, hold),
            None => self.out.holds.lift(&whom, JOB_SUSPENDED),
        }
    }

    pub(super) fn claimants(&self, key: &TargetKey) -> Vec<ObjectId> {
        self.claims.get(key).into_iter().flatten().map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn tell_others(&mut self, id: &ObjectId, key: &TargetKey, orders: &mut Vec<Order>) {
        for other in self.claimants(key).iter().filter(|other| *other != id) {
            self.tell(other, orders);
        }
    }

    /// Notes whether a trigger on this target multiplies its Ready pods while the target does not show them.
    fn set_counted(&mut self, target: &TargetRef, orders: &mut Vec<Order>) {
        let multiplies = |object: &Object| {
            let triggers = object.subject.iter().flat_map(|subject| &subject.triggers);
            triggers.into_iter().any(|trigger| trigger.spec.metric_type == MetricType::Value)
        };
        let ids = self.claimants(&TargetKey::of(target));
        let wanted = !KindKey::of(target).shows_ready()
            && ids
                .iter()
                .filter_map(|id| self.objects.get(id))
                .any(|object| object.target == *target && multiplies(object));
        if self.out.counts.set(target, wanted) {
            self.targets.read(target, false, orders);
        }
    }

    /// Notes whether a trigger on this target, or an authentication of one, takes values from its environment.
    pub(super) fn set_environment(&self, target: &TargetRef) {
        let needs = |object: &Object| {
            object.environment || object.authentications.iter().any(|key| self.out.directory.reads_environment(key))
        };
        let ids = self.claimants(&TargetKey::of(target));
        let needed =
            ids.iter().filter_map(|id| self.objects.get(id)).any(|object| object.target == *target && needs(object));
        self.out.directory.set_environment(target, needed);
    }
}
