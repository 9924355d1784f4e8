//! Joins the policies that an object names into the rules that hold for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tidegate_calculator::operation::spec::HookSpec;
use tidegate_calculator::policy::Consent;
use tidegate_calculator::rules::{Role, Rules, TriggerRules};
use tidegate_calculator::source::{Problem, TriggerSpec};
use tidegate_crds::annotations::POLICIES;
use tidegate_crds::scaling_policy::hooks::MAX_HOOKS;
use tidegate_engine::subject::{Fault, FaultKind, Hold, ObjectId, Severity, Trigger};

use super::super::findings::{Findings, guess, shown};
use super::super::surroundings::{Sight, Surroundings};
use super::super::triggers::is_resource_like;
use super::super::{fingerprint, location};
use super::names::{MOST, PolicyRef, entries};
use super::readable::{Policy, Said};
use super::{Fit, Written, hooks, prospects};
use crate::manifests::path;

/// How every sentence about a policy that takes no part ends.
const UNTIL: &str = "until then the object is raised but never lowered";

/// The most gates of one object: their position is one byte in a decision.
const MOST_GATES: usize = 255;

/// What an object says by itself, as far as it matters to its policies.
#[derive(Clone, Copy, Debug)]
pub(in crate::validation) struct Base<'a> {
    /// `maxReplicaCount`.
    pub(in crate::validation) max: u32,
    /// Whether it goes to zero or to its idle count by itself.
    pub(in crate::validation) rests: bool,
    /// Whether it has a `fallback`.
    pub(in crate::validation) fallback: bool,
    /// What matters to its hooks.
    pub(in crate::validation) fit: Fit<'a>,
}

/// What came of an object's policies.
#[derive(Clone, Debug, Default)]
pub(in crate::validation) struct Attached {
    /// The rules of all policies that take part.
    pub(in crate::validation) rules: Rules,
    /// Whether the object may be lowered.
    pub(in crate::validation) consent: Consent,
    /// The policies that take no part.
    pub(in crate::validation) faults: Vec<Fault>,
    /// Why the target is not touched, if a policy says so.
    pub(in crate::validation) hold: Option<Hold>,
    /// The hooks of all policies that take part; none without any.
    pub(in crate::validation) hooks: Option<Arc<HookSpec>>,
    /// Tells one content of the policies from another; none without any.
    pub(in crate::validation) print: Option<u64>,
}

/// Finds and joins the policies of an object. Findings are placed at its annotation.
pub(in crate::validation) fn attach(
    text: Option<&str>,
    id: &ObjectId,
    triggers: &[Trigger],
    base: Base<'_>,
    known: &dyn Surroundings,
    findings: &mut Findings,
) -> Attached {
    let mut attached = Attached::default();
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return attached };
    let mut joint = Joint::new(triggers, base.fit);
    let mut broken = Vec::new();
    for name in names(text, &mut attached, findings) {
        let place = if name.cluster { String::new() } else { format!("{}/", id.namespace) };
        let label = format!("{} {place}{}", name.kind(), name.name);
        let policy = match find(&name, &label, &id.namespace, known) {
            Ok(policy) => policy,
            Err((kind, why)) => {
                attached.fault(&name, kind, why, findings);
                attached.print(&name, &Value::Null.to_string());
                continue;
            }
        };
        let Said { written, findings: said, spec } = policy.said();
        attached.print(&name, spec);
        if written.observe && attached.hold.is_none() {
            attached.hold = Some(observing(&label));
        }
        let fault = own_fault(said)
            .or_else(|| not_here(written, known))
            .or_else(|| joint.misfit(written).map(|why| (FaultKind::Invalid, why)));
        match fault {
            Some((kind, why)) => {
                attached.fault(&name, kind, format!("{label}: {why}"), findings);
                broken.push(written.clone());
            }
            None => joint.take(&label, written.clone()),
        }
    }
    joint.keep_signals(&broken);
    joint.keep_from_ratios(&broken);
    attached.rules = joint.rules;
    if !joint.hooks.is_empty() {
        let hooks = joint.hooks.spec();
        prospects::of_hooks(&hooks, base.fit, &id.namespace, known, findings);
        attached.hooks = Some(Arc::new(hooks));
    }
    prospects::look(&attached.rules, triggers, base, attached.faults.is_empty(), findings);
    attached
}

/// The policy, or why it is not there as far as can be seen.
fn find(
    name: &PolicyRef,
    label: &str,
    namespace: &str,
    known: &dyn Surroundings,
) -> Result<Arc<Policy>, (FaultKind, String)> {
    match known.readable(namespace, name) {
        Sight::Here(policy) => Ok(policy),
        Sight::Absent => Err((FaultKind::Missing, format!("{label} is not {}", known.place()))),
        Sight::Unseen => {
            let why = known.why_unseen(namespace, name);
            let why = why.unwrap_or_else(|| "policies cannot be looked at here".to_owned());
            Err((FaultKind::Unseen, format!("{label} cannot be seen: {why}")))
        }
    }
}

/// The names in the annotation, each once. What is no name is a policy that nobody can find.
fn names(text: &str, attached: &mut Attached, findings: &mut Findings) -> Vec<PolicyRef> {
    let mut names: Vec<PolicyRef> = Vec::new();
    for entry in entries(text) {
        match entry {
            Ok(name) if names.contains(&name) => {
                findings.warn(place(), Some(name.to_string()), "stands twice and counts once");
            }
            Ok(name) => names.push(name),
            Err(entry) => {
                let value = shown(&entry.into());
                let allowed = format!("is not NAME or cluster/NAME of a policy; {UNTIL}");
                say(Severity::Error, value.clone(), allowed, findings);
                let message = format!("{value:?} in the annotation {POLICIES} is not NAME or cluster/NAME");
                attached.add(FaultKind::Missing, message);
            }
        }
    }
    if names.len() > MOST {
        let message = format!("the annotation {POLICIES} names {} policies; at most {MOST} count", names.len());
        say(
            Severity::Error,
            names.len().to_string(),
            format!("policies are too many: at most {MOST} count; {UNTIL}"),
            findings,
        );
        attached.add(FaultKind::Invalid, message);
        names.truncate(MOST);
    }
    names
}

/// What is wrong with a policy by itself: its first error, and how many more there are.
fn own_fault(said: &Findings) -> Option<(FaultKind, String)> {
    let mut errors = said.list.iter().filter(|finding| finding.severity == Severity::Error);
    let first = errors.next()?;
    let more = errors.count();
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let problem = Problem { path: location(&first.problem.path), ..first.problem.clone() };
    Some((FaultKind::Invalid, format!("{problem}{more}")))
}

/// Hooks where nobody performs any: nobody may believe in a snapshot that is not taken.
fn not_here(written: &Written, known: &dyn Surroundings) -> Option<(FaultKind, String)> {
    let unable = !written.hooks.is_empty() && !known.performs_hooks();
    unable.then(|| (FaultKind::HooksNotSupported, "spec.hooks: nothing performs them here".to_owned()))
}

/// The hold on an object of which this policy says `mode: Observe`.
pub fn observing(label: &str) -> Hold {
    let message =
        format!("{label} says mode: Observe, so the object is decided about and recorded, and nothing is touched");
    Hold { reason: "Observe", message }
}

fn place() -> String {
    path::child("metadata.annotations", POLICIES)
}

fn say(severity: Severity, value: String, allowed: String, findings: &mut Findings) {
    findings.say(severity, Problem { path: place(), value: Some(value), allowed });
}

impl Attached {
    /// A policy takes no part. It may come later, so its absence is only warned of.
    fn fault(&mut self, name: &PolicyRef, kind: FaultKind, why: String, findings: &mut Findings) {
        let (severity, verb) = match kind {
            FaultKind::Missing | FaultKind::Unseen => (Severity::Warning, "names nothing"),
            FaultKind::Invalid | FaultKind::HooksNotSupported => (Severity::Error, "cannot be obeyed"),
        };
        say(severity, name.to_string(), format!("{verb}: {why}; {UNTIL}"), findings);
        self.add(kind, why);
    }

    fn add(&mut self, kind: FaultKind, message: String) {
        self.consent = match (kind, self.consent) {
            (FaultKind::Missing | FaultKind::Unseen, _) | (_, Consent::PolicyMissing) => Consent::PolicyMissing,
            _ => Consent::PolicyInvalid,
        };
        self.faults.push(Fault { kind, message });
    }

    fn print(&mut self, name: &PolicyRef, spec: &str) {
        self.print = Some(fingerprint::of_policy(self.print, name, spec));
    }
}

/// The rules so far, and who said what.
struct Joint<'a> {
    triggers: &'a [Trigger],
    fit: Fit<'a>,
    rules: Rules,
    hooks: hooks::Hooks,
    /// By list and name: the policy that said it.
    said_by: BTreeMap<(&'static str, Arc<str>), String>,
}

impl<'a> Joint<'a> {
    fn new(triggers: &'a [Trigger], fit: Fit<'a>) -> Self {
        Self { triggers, fit, rules: Rules::default(), hooks: hooks::Hooks::default(), said_by: BTreeMap::new() }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.triggers.iter().position(|trigger| trigger.spec.name.as_deref() == Some(name))
    }

    /// Why a policy cannot join the object and the policies before it.
    fn misfit(&self, written: &Written) -> Option<String> {
        let triggers = written.triggers.iter().enumerate();
        let of_trigger = |(index, (name, rules)): (usize, &(Arc<str>, TriggerRules))| {
            let here = path::item("spec.triggers", index);
            self.repeated("triggers", name, &here)
                .or_else(|| self.stranger(name, &path::child(&here, "name")))
                .or_else(|| self.per_replica(name, rules, &here))
        };
        let of_gate = |(index, (trigger, gate)): (usize, &super::NamedGate)| {
            let here = path::item("spec.gates", index);
            self.repeated("gates", &gate.name, &here).or_else(|| self.stranger(trigger, &path::child(&here, "trigger")))
        };
        let of_schedule = |(index, schedule): (usize, &tidegate_calculator::rules::Schedule)| {
            self.repeated("schedules", &schedule.name, &path::item("spec.schedules", index))
        };
        triggers
            .into_iter()
            .find_map(of_trigger)
            .or_else(|| written.gates.iter().enumerate().find_map(of_gate))
            .or_else(|| written.schedules.iter().enumerate().find_map(of_schedule))
            .or_else(|| {
                let other = written.cooldown.as_ref().and(self.said_by.get(&("directionCooldown", "".into())))?;
                Some(format!("spec.directionCooldown: stands in {other} already"))
            })
            .or_else(|| self.only_signals(written))
            .or_else(|| self.many_gates(written))
            .or_else(|| self.unfit_hooks(written))
            .or_else(|| self.never_wakes(written))
    }

    /// An entry of the same name stands in another policy.
    fn repeated(&self, list: &'static str, name: &Arc<str>, here: &str) -> Option<String> {
        let other = self.said_by.get(&(list, Arc::clone(name)))?;
        Some(format!("{}: {name:?} stands in {other} already", path::child(here, "name")))
    }

    /// The object has no trigger of this name.
    fn stranger(&self, name: &str, place: &str) -> Option<String> {
        if self.position(name).is_some() {
            return None;
        }
        let names: Vec<&str> = self.triggers.iter().filter_map(|trigger| trigger.spec.name.as_deref()).collect();
        let has = if names.is_empty() {
            "none of its triggers has a name".to_owned()
        } else {
            format!("it has {}{}", names.join(", "), guess(name, names.iter().copied()))
        };
        Some(format!("{place}: {name:?} is no trigger of the object; {has}"))
    }

    /// What pods use is a number for each replica already.
    fn per_replica(&self, name: &str, rules: &TriggerRules, here: &str) -> Option<String> {
        let kind = &self.triggers.get(self.position(name)?)?.spec.kind;
        let index = rules.steps.iter().position(|step| step.per_replica).filter(|_| is_resource_like(kind))?;
        let place = path::child(&path::item(&path::child(here, "steps"), index), "per");
        Some(format!("{place}: \"Replica\" is not possible for a trigger of type {kind}, which has no total"))
    }

    /// The gates of all policies together have a number each.
    fn many_gates(&self, written: &Written) -> Option<String> {
        let count = self.rules.gates.len() + written.gates.len();
        let too_many = count > MOST_GATES && !written.gates.is_empty();
        too_many.then(|| {
            format!("spec.gates: the object would have {count} gates of all its policies together; at most {MOST_GATES} are allowed")
        })
    }

    /// Hooks that stand in another policy, that are too many, or that cannot be for this target.
    fn unfit_hooks(&self, written: &Written) -> Option<String> {
        let lists = [
            ("preScale", &self.hooks.before, &written.hooks.before),
            ("postScale", &self.hooks.after, &written.hooks.after),
        ];
        for (list, before, new) in lists {
            let again = new.iter().find_map(|placed| {
                let other = self.said_by.get(&(list, placed.item.name.as_str().into()))?;
                Some(format!("{}.name: {:?} stands in {other} already", placed.at, placed.item.name))
            });
            let count = before.len() + new.len();
            let too_many = (count > MAX_HOOKS && !new.is_empty()).then(|| {
                format!(
                    "spec.hooks.{list}: the object would have {count} of all its policies together; at most {MAX_HOOKS} are allowed"
                )
            });
            if let Some(why) = again.or(too_many) {
                return Some(why);
            }
        }
        let flink = written.hooks.flink()?;
        if let Some(other) = self.said_by.get(&("flink", "".into())) {
            return Some(format!("{}.flink: {other} has one already; an object can have one", flink.at));
        }
        hooks::misfit(flink, self.fit.target?)
    }

    /// A Flink job that was stopped at zero says nothing, so another trigger must wake the object.
    fn never_wakes(&self, written: &Written) -> Option<String> {
        let place = match written.hooks.flink() {
            Some(flink) => format!("{}.flink", flink.at),
            None => self.hooks.flink().map(|_| "spec.triggers".to_owned())?,
        };
        let wakes = |(index, trigger): (usize, &Trigger)| {
            self.role(written, index) != Some(Role::Signal) && hooks::wakes(trigger)
        };
        let stuck = self.fit.zero && !self.triggers.iter().enumerate().any(wakes);
        stuck.then(|| {
            format!(
                "{place}: the object rests at zero (minReplicaCount is 0 or absent), and no trigger could wake it once the Flink \
                 job is stopped; add one of role Scale whose type is not flink, cpu, memory or pods-metric, or set \
                 minReplicaCount to 1 or more"
            )
        })
    }

    /// The role of a trigger with what a policy says that has not joined yet.
    fn role(&self, written: &Written, index: usize) -> Option<Role> {
        let new = written.triggers.iter().find(|(name, _)| self.position(name) == Some(index));
        new.map(|(_, rules)| rules.role).or_else(|| self.rules.triggers.get(index).map(|rules| rules.role))
    }

    /// Somebody must propose replicas.
    fn only_signals(&self, written: &Written) -> Option<String> {
        let says = |index: usize| self.role(written, index);
        let signals = (0..self.triggers.len()).filter(|index| says(*index) == Some(Role::Signal)).count();
        let all = !self.triggers.is_empty() && signals == self.triggers.len() && !written.triggers.is_empty();
        all.then(|| {
            "spec.triggers: role Signal is given to every trigger of the object; at least one of role Scale is needed"
                .to_owned()
        })
    }

    fn take(&mut self, label: &str, written: Written) {
        let mut said = |list: &'static str, name: &Arc<str>| {
            self.said_by.insert((list, Arc::clone(name)), label.to_owned());
        };
        written.triggers.iter().for_each(|(name, _)| said("triggers", name));
        written.gates.iter().for_each(|(_, gate)| said("gates", &gate.name));
        written.schedules.iter().for_each(|schedule| said("schedules", &schedule.name));
        written.hooks.before.iter().for_each(|placed| said("preScale", &placed.item.name.as_str().into()));
        written.hooks.after.iter().for_each(|placed| said("postScale", &placed.item.name.as_str().into()));
        if written.hooks.flink().is_some() {
            said("flink", &"".into());
        }
        if let Some(cooldown) = written.cooldown {
            said("directionCooldown", &"".into());
            self.rules.direction_cooldown = cooldown;
        }
        for (name, mut rules) in written.triggers {
            if rules.spreads.is_none() && self.position(&name).is_some_and(|at| spreads(&self.triggers[at].spec)) {
                rules.spreads = Some(true);
            }
            if let Some(entry) = self.entry(&name) {
                *entry = rules;
            }
        }
        for (trigger, mut gate) in written.gates {
            if let Some(position) = self.position(&trigger).and_then(|position| u8::try_from(position).ok()) {
                gate.trigger = position;
                self.rules.gates.push(gate);
            }
        }
        self.rules.schedules.extend(written.schedules);
        self.hooks.before.extend(written.hooks.before);
        self.hooks.after.extend(written.hooks.after);
    }

    /// The rules of the trigger of this name; all triggers have some once one has.
    fn entry(&mut self, name: &str) -> Option<&mut TriggerRules> {
        let position = self.position(name)?;
        if self.rules.triggers.is_empty() {
            self.rules.triggers = vec![TriggerRules::default(); self.triggers.len()];
        }
        self.rules.triggers.get_mut(position)
    }

    /// A trigger whose steps are lost with their policy does not go by its ratio meanwhile.
    fn keep_from_ratios(&mut self, broken: &[Written]) {
        for name in broken.iter().flat_map(|written| &written.stepped) {
            let free = !self.said_by.contains_key(&("triggers", Arc::clone(name)));
            if let Some(entry) = self.entry(name).filter(|_| free) {
                entry.steps_lost = true;
            }
        }
    }

    /// A trigger that only signals is no demand, also if its policy takes no part.
    fn keep_signals(&mut self, broken: &[Written]) {
        for written in broken {
            let signals = Written {
                triggers: written.triggers.iter().filter(|(_, rules)| rules.role == Role::Signal).cloned().collect(),
                ..Written::default()
            };
            if signals.triggers.is_empty() || self.only_signals(&signals).is_some() {
                continue;
            }
            for (name, _) in &signals.triggers {
                let free = !self.said_by.contains_key(&("triggers", Arc::clone(name)));
                if let Some(entry) = self.entry(name).filter(|_| free) {
                    entry.role = Role::Signal;
                }
            }
        }
    }
}

/// Whether the value of a trigger spreads over the replicas by what it reads: how busy a Flink job is. Of other types the kind says it, or the
/// policy.
fn spreads(spec: &TriggerSpec) -> bool {
    spec.kind == "flink" && spec.metadata.get("metric").is_some_and(|metric| matches!(metric.trim(), "busy" | "idle"))
}
