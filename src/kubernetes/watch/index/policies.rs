//! What policies mean to the objects that name them: a change of one acts at once on all of them, with their memory and their timers.

use serde_json::Value;
use tidegate_crds::annotations::POLICIES;
use tidegate_engine::subject::{ObjectId, Subject};

use super::super::event::Order;
use super::super::policies::PolicyKey;
use super::super::views::Loose;
use super::Index;
use crate::kubernetes::holds::{OBSERVE, Whom};
use crate::validation::{self, PolicyRef};

impl Index {
    /// Notes which policies an object names, in the place of those that its text before named.
    pub(super) fn name_policies(&mut self, id: &ObjectId, view: &Loose, orders: &mut Vec<Order>) -> Vec<PolicyRef> {
        let text = view.metadata.annotations.as_ref().and_then(|all| all.get(POLICIES));
        let names = text.map(|text| validation::named(text)).unwrap_or_default();
        let before = self.objects.get(id).map(|object| object.names.as_slice()).unwrap_or_default();
        self.policies.enter(id, before, &names, orders);
        names
    }

    /// A policy has changed, has come or has gone.
    pub(super) fn policy(&mut self, key: &PolicyKey, text: Option<Value>, orders: &mut Vec<Order>) {
        let users = self.policies.set(key, text);
        self.all_judge_again(&users, orders);
    }

    /// What these objects' texts mean has changed. As long as not all of their policies were told, they wait.
    pub(super) fn all_judge_again(&mut self, ids: &[ObjectId], orders: &mut Vec<Order>) {
        for id in ids {
            let Some(object) = self.objects.get(id) else { continue };
            let Some(view) = object.text.clone().filter(|_| self.policies.are_settled(&id.namespace, &object.names))
            else {
                continue;
            };
            let (uid, judged_by) = (object.uid.clone(), object.judged_by.clone());
            self.judge(id, uid, judged_by, &view, orders);
            self.tell(id, orders);
        }
    }

    /// A policy may say that the object is only observed. Of a text that cannot be obeyed nobody can know it: it stays.
    pub(super) fn observe(&self, id: &ObjectId, subject: Option<&Subject>) {
        match subject.map(|subject| &subject.hold) {
            Some(Some(hold)) => self.out.holds.set(Whom::Object(id.clone()), hold.clone()),
            Some(None) => self.observe_no_more(id),
            None => {}
        }
    }

    pub(super) fn observe_no_more(&self, id: &ObjectId) {
        self.out.holds.lift(&Whom::Object(id.clone()), OBSERVE);
    }
}
