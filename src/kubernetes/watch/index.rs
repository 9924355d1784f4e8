//! The index: takes what the watches tell, knows who scales what, and says what that changes. No I/O, no clock.
//!
//! The engine hears of an object once everything that its first decision rests on is known: its record, its
//! authentications, and its target. Nothing is told twice, so our own writes come back without an effect.

mod claims;
mod lists;
mod outlets;
mod policies;
mod stored;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_calculator::policy;
use tidegate_engine::protocol::{Change, TargetError};
use tidegate_engine::subject::{Finding, Hold, ObjectId, Subject, TargetRef};

pub(in crate::kubernetes) use self::outlets::Outlets;
use self::stored::held;
use super::directory::{AuthenticationKey, Holder};
use super::event::{Event, Order, What};
use super::failing::Failing;
use super::judge::{self, Judged};
use super::kinds::KindKey;
use super::policies::Policies;
use super::targets::{Moved, Targets, target};
use super::views::{self, Loose};
use crate::kubernetes::finalize::is_left_behind;
use crate::kubernetes::holds::{TargetKey, Whom};
use crate::kubernetes::kept;
use crate::kubernetes::known::RecordFacts;
use crate::validation::PolicyRef;

/// Everything that is known of the cluster.
#[derive(Debug)]
pub(in crate::kubernetes) struct Index {
    out: Outlets,
    settings: policy::Settings,
    /// How many streams there are of each namespaced kind.
    streams: usize,
    /// Whether the base streams have told all.
    loaded: bool,
    synced: bool,
    settled: HashSet<(What, Option<Arc<str>>)>,
    objects: HashMap<ObjectId, Box<Object>>,
    /// Objects whose target nobody can know yet.
    waiting: HashSet<ObjectId>,
    /// Records whose object is not there, or not yet.
    orphans: HashMap<ObjectId, Box<RecordFacts>>,
    /// Who wants to scale each target, the oldest first. It is one nearly always, and a tree would take the room of eleven.
    claims: HashMap<TargetKey, Vec<(Timestamp, ObjectId)>>,
    /// Whose triggers use each authentication.
    users: HashMap<AuthenticationKey, BTreeSet<ObjectId>>,
    policies: Policies,
    targets: Targets,
    /// Targets whose reads fail: they are read again by themselves.
    failing: Failing,
}

/// One ScaledObject.
#[derive(Debug)]
struct Object {
    uid: String,
    created: Timestamp,
    /// What it was judged by: nothing is judged twice.
    judged_by: (i64, BTreeMap<String, String>),
    deleting: bool,
    target: TargetRef,
    /// Shared with the engine.
    subject: Option<Arc<Subject>>,
    findings: Vec<Finding>,
    /// Whether some trigger takes values from the environment of the target's pods, apart from its authentications.
    environment: bool,
    authentications: BTreeSet<AuthenticationKey>,
    /// The policies that it names.
    names: Vec<PolicyRef>,
    /// Its text, if it names policies: a change of one of them changes what the text means.
    text: Option<Arc<Loose>>,
    told: Told,
}

/// What the engine was told last.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Nothing,
    /// The object's present subject, with this hold.
    Set(Option<Hold>),
    Refused(Vec<Finding>),
    /// An older text.
    Older,
    Gone,
}

impl Index {
    /// An index that knows nothing yet. `streams` is how many streams there are of each namespaced kind: one, or one a
    /// namespace.
    pub(in crate::kubernetes) fn new(out: Outlets, settings: policy::Settings, streams: usize) -> Self {
        Self {
            out,
            settings,
            streams,
            loaded: false,
            synced: false,
            settled: HashSet::new(),
            objects: HashMap::new(),
            waiting: HashSet::new(),
            orphans: HashMap::new(),
            claims: HashMap::new(),
            users: HashMap::new(),
            policies: Policies::default(),
            targets: Targets::default(),
            failing: Failing::default(),
        }
    }

    /// Takes one event and appends what must be done.
    pub(in crate::kubernetes) fn apply(&mut self, event: Event, orders: &mut Vec<Order>) {
        self.take(event, orders);
        if self.loaded && !self.synced && self.waiting.is_empty() {
            self.synced = true;
            self.out.feed.synced();
        }
    }

    fn take(&mut self, event: Event, orders: &mut Vec<Order>) {
        match event {
            Event::Object(object) => self.object(&object, orders),
            Event::ObjectGone(id) => self.object_gone(&id, orders),
            Event::Record(id, record) => self.record(id, record),
            Event::RecordGone(id) => self.record_gone(&id),
            Event::Leaving(key) => self.out.attention.raise_authentication(key),
            Event::Again(target) => self.read_again(&target, orders),
            Event::Recounted(target) if self.is_wanted(&target) => self.targets.read(&target, false, orders),
            Event::Recounted(_) => {}
            Event::Authentication(key, answer) => {
                if answer.is_none() {
                    self.out.attention.forget_authentication(&key);
                }
                if self.out.directory.set_authentication(&key, answer.map(|answer| *answer)) {
                    self.authentication(&key);
                }
            }
            Event::Policy(key, text) => self.policy(&key, text.map(|text| *text), orders),
            Event::Kind(..)
            | Event::Workload(..)
            | Event::Moved(..)
            | Event::TargetGone(..)
            | Event::Aside(..)
            | Event::Read(..) => self.take_target(event, orders),
            Event::Found(kind) => self.targets.retry(&kind, orders),
            Event::GivenUp(kind) => self.targets.given_up(&kind),
            Event::Defined(group) => self.targets.defined(&group, orders),
            Event::Wanted(place) => orders.push(Order::WatchHolders(place)),
            Event::Holder(place, name, version) => {
                let users = self.out.directory.moved(&Holder { place, name }, version.as_deref());
                self.all_look_again(&users);
            }
            Event::Marked(mark) => mark.set(),
            Event::Listed(what, namespace) => self.listed(what, namespace, orders),
            Event::Failed(what, namespace, error) => self.failed(what, namespace, &error, orders),
            Event::Unseen(cluster, namespace, blind) => {
                let users = self.policies.failed(cluster, namespace, blind);
                self.all_judge_again(&users, orders);
            }
        }
    }

    fn take_target(&mut self, event: Event, orders: &mut Vec<Order>) {
        match event {
            Event::Kind(kind, result) => {
                let failed = result.is_err();
                self.targets.resolved(&kind, result);
                self.name_resource(&kind);
                if failed {
                    self.targets.watch_definitions(orders);
                    self.settle_kind(&kind, orders);
                }
            }
            Event::Workload(kind, id, seen, print) => {
                let moved = self.targets.workload(&kind, &id, seen, print);
                self.target_moved(&target(&kind, &id), moved);
            }
            Event::Moved(kind, id, version) => {
                let target = target(&kind, &id);
                if self.targets.other(&kind, &id, version) && self.is_wanted(&target) {
                    self.targets.read(&target, self.out.directory.needs_environment(&target), orders);
                }
            }
            Event::TargetGone(kind, id) => {
                self.targets.gone(&kind, &id);
                let target = target(&kind, &id);
                self.set_aside(&target, None);
                self.target_moved(&target, Moved { state: true, environment: false });
                for id in self.claimants(&TargetKey::of(&target)) {
                    // One that is being deleted waited for it alone.
                    self.tell(&id, orders);
                }
            }
            Event::Aside(target, hold) => self.set_aside(&target, hold),
            Event::Read(target, result, print) => {
                self.failing.read(&target, &result, orders);
                let moved = self.targets.was_read(&target, result, print, orders);
                self.target_moved(&target, moved);
                for id in self.claimants(&TargetKey::of(&target)) {
                    self.tell(&id, orders);
                }
            }
            _ => {}
        }
    }

    /// Holds have changed.
    pub(in crate::kubernetes) fn held(&mut self, whose: &BTreeSet<Whom>, orders: &mut Vec<Order>) {
        let mut ids = BTreeSet::new();
        for whom in whose {
            match whom {
                Whom::All => ids.extend(self.objects.keys().cloned()),
                Whom::Target(key) => ids.extend(self.claimants(key)),
                Whom::Object(id) => ids.extend([id.clone()]),
            }
        }
        for id in &ids {
            self.tell(id, orders);
            if self.objects.contains_key(id) {
                // Whether its target may be touched decides about its finalizer.
                self.out.attention.raise(id);
            }
        }
    }

    fn object(&mut self, view: &Loose, orders: &mut Vec<Order>) {
        let Some(id) = views::id(&view.metadata) else { return };
        let uid = view.metadata.uid.clone().unwrap_or_default();
        if self.objects.get(&id).is_some_and(|old| old.uid != uid) {
            // It went and came again between two events.
            self.object_gone(&id, orders);
        }
        let judged_by = (view.metadata.generation.unwrap_or_default(), judge::annotations(view));
        let deleting = view.metadata.deletion_timestamp.is_some();
        match self.objects.get_mut(&id) {
            Some(old) if old.judged_by == judged_by => old.deleting |= deleting,
            _ => self.judge(&id, uid, judged_by, view, orders),
        }
        self.note(&id, view);
        self.tell(&id, orders);
    }

    /// Judges a text that is new.
    fn judge(
        &mut self,
        id: &ObjectId,
        uid: String,
        judged_by: (i64, BTreeMap<String, String>),
        view: &Loose,
        orders: &mut Vec<Order>,
    ) {
        let created = views::created(&view.metadata);
        let names = self.name_policies(id, view, orders);
        let Judged { target, subject, findings, warnings, environment, authentications, facts } =
            judge::judge(id, view, &self.settings, &self.policies);
        if self.policies.are_settled(&id.namespace, &names) {
            for warning in &warnings {
                tracing::warn!("ScaledObject {id}: {}", warning.problem);
            }
        }
        self.hold_by_policies(id, &names, subject.as_deref());
        let old = self.objects.remove(id);
        let record = match &old {
            Some(_) => self.out.known.get(id).and_then(|facts| facts.record.clone()),
            None => self.orphans.remove(id).map(|record| *record),
        };
        let told = match &old {
            Some(old) if old.subject == subject && old.target == target => old.told.clone(),
            Some(old) if matches!(old.told, Told::Nothing | Told::Gone) => old.told.clone(),
            Some(_) => Told::Older,
            None => Told::Nothing,
        };
        // Whoever stores now compares with it: it must be whole.
        let facts = judge::with_seen(judge::with_record(facts, record), self.out.known.get(id).as_deref(), view);
        self.out.known.insert(id.clone(), facts);
        self.out.attention.raise(id);
        // The text of an object that is judged anew may be from before its deletion.
        let deleting = view.metadata.deletion_timestamp.is_some() || old.as_ref().is_some_and(|old| old.deleting);
        let text = (!names.is_empty()).then(|| Arc::new(view.clone()));
        let object = Object {
            uid,
            created,
            judged_by,
            deleting,
            target,
            subject,
            findings,
            environment,
            authentications,
            names,
            text,
            told,
        };
        self.enter(id, object, old.as_deref(), orders);
    }

    fn object_gone(&mut self, id: &ObjectId, orders: &mut Vec<Order>) {
        let Some(old) = self.objects.remove(id) else { return };
        if !matches!(old.told, Told::Nothing | Told::Gone) {
            self.out.feed.gone(id);
        }
        self.waiting.remove(id);
        self.policies.leave(id, &old.names);
        self.drop_users(id, &old);
        self.drop_claim(id, &old, orders);
        let facts = self.out.known.get(id);
        if let Some(record) = facts.as_ref().and_then(|facts| facts.record.clone()) {
            // It goes after its object, and says so itself.
            self.orphans.insert(id.clone(), Box::new(record));
        }
        self.out.known.remove(id);
        self.out.kept.forget(id);
        // Only now: whoever settles its finalizers must never see it without its hold.
        self.lift_holds(id);
        if facts.is_some_and(|facts| is_left_behind(&facts)) {
            self.out.attention.raise(id);
        } else {
            self.out.attention.forget(id);
        }
    }

    /// Brings what changes without a new text up to date.
    fn note(&self, id: &ObjectId, view: &Loose) {
        let (mut raise, mut recall) = (false, false);
        self.out.known.update(id, |facts| {
            let finalizers = view.metadata.finalizers.clone().unwrap_or_default();
            let deleting = view.metadata.deletion_timestamp.is_some();
            raise = facts.finalizers != finalizers || facts.deleting != deleting || facts.resource_version.is_empty();
            facts.finalizers = finalizers;
            facts.deleting = deleting;
            facts.resource_version = view.metadata.resource_version.clone().unwrap_or_default();
            let status = judge::status(view);
            recall = facts.status != status;
            facts.status = status;
        });
        if raise {
            self.out.attention.raise(id);
        }
        if recall {
            self.recall(id);
        }
    }

    /// An authentication has changed: those who use it look again.
    fn authentication(&mut self, key: &AuthenticationKey) {
        let ids = self.users.get(key).cloned().unwrap_or_default();
        for id in &ids {
            if let Some(target) = self.objects.get(id).map(|object| object.target.clone()) {
                self.set_environment(&target);
            }
            self.parameters_changed(id);
        }
    }

    /// Tells the engine about an object, if there is something new to say.
    fn tell(&mut self, id: &ObjectId, orders: &mut Vec<Order>) {
        let Some(object) = self.objects.get(id).filter(|_| self.loaded) else { return };
        if self.must_wait(id, object) {
            let target = object.target.clone();
            self.waiting.insert(id.clone());
            self.read_if_stale(&target, orders);
            return;
        }
        self.waiting.remove(id);
        let word = self.word(id, object);
        if word == object.told {
            return;
        }
        match &word {
            Told::Gone => self.out.feed.gone(id),
            Told::Refused(findings) => {
                let checkpoint = self.checkpoint(id, object);
                let change = Change::Refused(id.clone(), object.target.clone(), findings.clone(), checkpoint);
                self.tell_stored(id, object, None);
                self.out.feed.text(id, change);
            }
            Told::Set(hold) => {
                let Some(subject) = object.subject.as_ref().map(|subject| held(subject, hold.as_ref())) else { return };
                self.tell_stored(id, object, Some(&subject));
                self.out.feed.text(id, Change::Set(subject, self.checkpoint(id, object)));
            }
            Told::Nothing | Told::Older => return,
        }
        let target = (word != Told::Gone).then(|| object.target.clone());
        if let Some(object) = self.objects.get_mut(id) {
            object.told = word;
        }
        if let Some(target) = target {
            self.tell_target(&target, orders);
        }
    }

    /// A target is read again after a failure, unless that has become needless.
    fn read_again(&mut self, target: &TargetRef, orders: &mut Vec<Order>) {
        self.failing.reminded(target);
        if self.is_wanted(target) {
            self.read_if_stale(target, orders);
        } else {
            self.failing.forget(target);
        }
    }

    fn read_if_stale(&mut self, target: &TargetRef, orders: &mut Vec<Order>) {
        if self.targets.is_stale(target) {
            self.targets.read(target, self.out.directory.needs_environment(target), orders);
        }
    }

    /// What there is to say about an object now.
    fn word(&self, id: &ObjectId, object: &Object) -> Told {
        let must_stay = object.deleting && self.must_stay(id, object);
        if object.deleting && !must_stay {
            // Whoever was never told needs not hear that it is gone.
            return if object.told == Told::Nothing { Told::Nothing } else { Told::Gone };
        }
        let conflict = self.conflict(id, object);
        if object.subject.is_none() || conflict.is_some() {
            return Told::Refused(object.findings.iter().cloned().chain(conflict).collect());
        }
        Told::Set(if must_stay { Some(kept::leaving()) } else { self.out.holds.of(id, &object.target) })
    }

    /// Whether an object that is being deleted has something to bring to its end. Without its target it has not.
    fn must_stay(&self, id: &ObjectId, object: &Object) -> bool {
        let Some(facts) = self.out.known.get(id) else { return false };
        let gone = matches!(self.targets.sight(&object.target, self.streams), Some(Err(TargetError::NotFound(_))));
        if gone {
            self.out.kept.set(id, &facts, false);
        }
        !gone && self.out.kept.is(id, &facts)
    }

    /// Tells the engine how a target is, if anybody can know.
    fn tell_target(&mut self, target: &TargetRef, orders: &mut Vec<Order>) {
        if target.name.is_empty() || !self.loaded {
            return;
        }
        if let Some(sight) = self.targets.sight(target, self.streams) {
            self.out.feed.target(target, sight);
        }
        self.read_if_stale(target, orders);
    }

    /// A target has changed.
    fn target_moved(&mut self, target: &TargetRef, moved: Moved) {
        if !self.is_wanted(target) {
            return;
        }
        if moved.environment && self.out.directory.needs_environment(target) {
            self.look_again(target);
        }
        let news = moved.state && self.loaded;
        if let Some(sight) = self.targets.sight(target, self.streams).filter(|_| news) {
            self.out.feed.target(target, sight);
        }
    }

    fn is_wanted(&self, target: &TargetRef) -> bool {
        self.claims.contains_key(&TargetKey::of(target))
    }

    fn all_look_again<'a>(&self, targets: impl IntoIterator<Item = &'a TargetRef>) {
        for target in targets {
            self.look_again(target);
        }
    }

    /// What triggers on this target refer to has changed.
    fn look_again(&self, target: &TargetRef) {
        for id in self.claimants(&TargetKey::of(target)) {
            self.parameters_changed(&id);
        }
    }

    fn parameters_changed(&self, id: &ObjectId) {
        // One that was not told yet is resolved when it is.
        if self.objects.get(id).is_some_and(|object| matches!(object.told, Told::Set(_))) {
            self.out.feed.parameters(id);
        }
    }

    /// The writers want to know the plural name of a target's kind.
    fn name_resource(&self, kind: &KindKey) {
        let plural = self.targets.plural(kind);
        if plural.is_empty() {
            return;
        }
        for (id, _) in self.objects.iter().filter(|(_, object)| KindKey::of(&object.target) == *kind) {
            if self.out.known.get(id).is_some_and(|facts| facts.target_resource != plural) {
                self.out.known.update(id, |facts| facts.target_resource.clone_from(&plural));
            }
        }
    }
}
