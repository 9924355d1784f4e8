//! What policies mean to the objects that name them: a change of one acts at once on all of them, with their memory and their timers.

use serde_json::Value;
use tidegate_crds::annotations::POLICIES;
use tidegate_engine::subject::{Hold, ObjectId, Subject};

use super::super::event::Order;
use super::super::policies::PolicyKey;
use super::super::views::Loose;
use super::{Index, Told};
use crate::kubernetes::holds::{OBSERVE, POLICY_UNSEEN, Whom};
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

    /// What these objects' texts mean has changed. Those that were never told wait until all of their policies were.
    pub(super) fn all_judge_again(&mut self, ids: &[ObjectId], orders: &mut Vec<Order>) {
        for id in ids {
            let Some(object) = self.objects.get(id) else { continue };
            let waits = object.told == Told::Nothing && !self.policies.are_settled(&id.namespace, &object.names);
            let Some(view) = object.text.clone().filter(|_| !waits) else { continue };
            let (uid, judged_by) = (object.uid.clone(), object.judged_by.clone());
            self.judge(id, uid, judged_by, &view, orders);
            self.tell(id, orders);
        }
    }

    /// A policy may say that the object is only observed. As long as nobody can know whether one does, its target is not touched either.
    pub(super) fn hold_by_policies(&self, id: &ObjectId, names: &[PolicyRef], subject: Option<&Subject>) {
        let (whom, holds) = (Whom::Object(id.clone()), &self.out.holds);
        let observed = match subject {
            Some(subject) => subject.hold.clone(),
            // The text cannot be obeyed, but its policies can be read.
            None => self.policies.observing(&id.namespace, names).map(|label| validation::observing(&label)),
        };
        let hidden = self.policies.hidden(&id.namespace, names).map(|why| Hold {
            reason: POLICY_UNSEEN,
            message: format!(
                "{why}; it may say mode: Observe, so the object is decided about and recorded, and nothing is touched"
            ),
        });
        // What holds is set before what does not is lifted, so that there is no moment between the two.
        let wanted = [(OBSERVE, observed), (POLICY_UNSEEN, hidden)];
        for hold in wanted.iter().filter_map(|(_, hold)| hold.clone()) {
            holds.set(whom.clone(), hold);
        }
        for (reason, _) in wanted.iter().filter(|(_, hold)| hold.is_none()) {
            holds.lift(&whom, reason);
        }
    }

    /// The object is gone.
    pub(super) fn lift_holds(&self, id: &ObjectId) {
        for reason in [OBSERVE, POLICY_UNSEEN] {
            self.out.holds.lift(&Whom::Object(id.clone()), reason);
        }
    }
}
