//! `hooks` of a policy: from its text to what an operation begins with, or everything that is wrong with it.
//!
//! The definition compares types, words and bounds before; here are the rules between fields, and the defaults. What depends on an object
//! is in [`fit`].

mod fit;
mod flink;
mod http;
mod job;
mod jobs;
mod pattern;
mod references;

use serde_json::Value;
use tidegate_calculator::operation::phase::Direction;
use tidegate_calculator::operation::spec::{HookSpec, Item, OnFailure, OnFailureTable, Work};
use tidegate_calculator::time::Span;

use super::super::findings::Findings;
use super::fields::{LONGEST, duration, is_given, list, text};
use crate::manifests::path;

pub(in crate::validation) use fit::Fit;
pub(super) use fit::{misfit, stays_up, wakes};
pub use flink::is_state_path;
pub use pattern::name_pattern;
pub use references::{HookReferences, hook_authentication, hook_references};

/// Where hooks stand.
pub(super) const PLACE: &str = "hooks";
/// What a hook can be.
const KINDS: [&str; 3] = ["flink", "http", "job"];
/// What only matters before a change.
const BEFORE: [&str; 2] = ["onFailure", "cooldown"];
/// The shortest time-out: everything takes a moment.
const SHORTEST: Span = Span::seconds(1);

/// The hooks of one policy, or of several together.
#[derive(Clone, Debug, Default)]
pub(super) struct Hooks {
    /// `preScale`.
    pub(super) before: Vec<Placed>,
    /// `postScale`.
    pub(super) after: Vec<Placed>,
}

/// A hook and where it stands, as `spec.hooks.preScale[0]`.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) at: String,
    pub(super) item: Item,
}

impl Hooks {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// The hook for Flink.
    pub(super) fn flink(&self) -> Option<&Placed> {
        self.before.iter().find(|placed| placed.item.flink().is_some())
    }

    /// What an operation begins with: http and job run before Flink, in the order of the text.
    pub(super) fn spec(&self) -> HookSpec {
        let items = |list: &[Placed]| list.iter().map(|placed| placed.item.clone()).collect::<Vec<_>>();
        let mut pre_scale = items(&self.before);
        pre_scale.sort_by_key(|item| item.flink().is_some());
        HookSpec { pre_scale, post_scale: items(&self.after) }
    }
}

/// Reads the block. What it says is only of use when no error was found.
pub(super) fn read(spec: &Value, findings: &mut Findings) -> Hooks {
    let Some(block) = spec.get(PLACE).filter(|block| block.is_object()) else { return Hooks::default() };
    let hooks = Hooks { before: hooks(block, true, findings), after: hooks(block, false, findings) };
    if hooks.is_empty() && !findings.refused {
        findings.warn(PLACE, None, "has no effect without preScale or postScale");
    }
    if !findings.refused {
        // What an operation could not begin with must not come through, whatever is forgotten above.
        for error in hooks.spec().check() {
            findings.refuse(PLACE, None, format!("cannot be obeyed: {error}"));
        }
    }
    hooks
}

/// One of the two lists: hooks before a change, or after it.
fn hooks(block: &Value, before: bool, findings: &mut Findings) -> Vec<Placed> {
    let (mut all, mut for_flink) = (Vec::new(), 0);
    let name = if before { "preScale" } else { "postScale" };
    let place = path::child(PLACE, name);
    for (index, entry) in list(block, name).iter().enumerate().filter(|(_, entry)| entry.is_object()) {
        let here = path::item(&place, index);
        let item = hook(entry, before, &here, findings);
        if entry.get("flink").is_some_and(Value::is_object) {
            for_flink += 1;
            if !before {
                findings.refuse(path::child(&here, "flink"), None, "is only for preScale; it verifies by itself");
            } else if for_flink > 1 {
                findings.refuse(path::child(&here, "flink"), None, "is the second of preScale; one is possible");
            }
        }
        all.extend(item.map(|item| Placed { at: format!("spec.{here}"), item }));
    }
    all
}

fn hook(entry: &Value, before: bool, here: &str, findings: &mut Findings) -> Option<Item> {
    exactly_one(entry, &KINDS, here, findings);
    let defaults = Item::default();
    let timeout = duration(entry, "timeout", here, (SHORTEST, LONGEST), findings);
    let cooldown = duration(entry, "cooldown", here, (Span::ZERO, LONGEST), findings);
    let on_failure = on_failure(entry, here, findings);
    let directions = directions(entry);
    if !before {
        for name in BEFORE.iter().filter(|name| is_given(entry, name)) {
            let allowed = "has no effect in postScale, where a failure is told and changes nothing";
            findings.warn(path::child(here, name), None, allowed);
        }
    }
    let block = |name: &str| entry.get(name).filter(|block| block.is_object());
    let below = |name: &str| path::child(here, name);
    let work = if let Some(block) = block("flink") {
        unprotected(&directions, here, findings);
        Work::Flink(Box::new(flink::read(block, &below("flink"), findings)))
    } else if let Some(block) = block("http") {
        Work::Http(http::read(block, &below("http"), findings)?)
    } else {
        Work::Job(job::read(block("job")?, &below("job"), findings)?)
    };
    Some(Item {
        name: text(entry, "name")?.to_owned(),
        directions,
        timeout: timeout.unwrap_or(defaults.timeout),
        attempts: count(entry, "attempts").unwrap_or(defaults.attempts),
        cooldown: cooldown.unwrap_or(defaults.cooldown),
        on_failure,
        work,
    })
}

/// The directions that are given; a word that is none was named before.
fn directions(entry: &Value) -> Vec<Direction> {
    let words = list(entry, "directions").iter().filter_map(Value::as_str);
    words.filter_map(|word| Direction::ALL.into_iter().find(|direction| direction.as_str() == word)).collect()
}

/// A hook for Flink that leaves a lowering out lets TaskManagers go without a snapshot.
fn unprotected(directions: &[Direction], here: &str, findings: &mut Findings) {
    let lowers = Direction::ALL.into_iter().filter(|direction| direction.lowers());
    let left: Vec<_> = lowers.filter(|direction| !directions.contains(direction)).map(Direction::as_str).collect();
    if !directions.is_empty() && !left.is_empty() {
        let allowed = format!("leaves out {}: TaskManagers go without a snapshot there", left.join(" and "));
        findings.warn(path::child(here, "directions"), None, allowed);
    }
}

fn on_failure(entry: &Value, here: &str, findings: &mut Findings) -> OnFailureTable {
    let (block, place) = (entry.get("onFailure").unwrap_or(&Value::Null), path::child(here, "onFailure"));
    let stops = entry.pointer("/flink/strategy").and_then(Value::as_str) == Some("StopRestore");
    let mut said = |direction: Direction| {
        let wanted = match text(block, direction.field())? {
            "Proceed" => OnFailure::Proceed,
            "Abort" => OnFailure::Abort,
            _ => return None,
        };
        let why = match direction {
            Direction::ToZero | Direction::FromZero => {
                "is not possible here: without the work the jobs would be lost; Abort is"
            }
            _ if stops => "is not possible with strategy StopRestore: jobs are stopped by then; Abort is",
            _ => return Some(wanted),
        };
        if wanted == OnFailure::Proceed {
            findings.refuse(path::child(&place, direction.field()), Some("Proceed".to_owned()), why);
        }
        Some(wanted)
    };
    OnFailureTable {
        scale_up: said(Direction::ScaleUp),
        scale_down: said(Direction::ScaleDown),
        to_zero: said(Direction::ToZero),
        from_zero: said(Direction::FromZero),
    }
}

fn exactly_one(entry: &Value, names: &[&str], here: &str, findings: &mut Findings) {
    if names.iter().filter(|name| entry.get(**name).is_some_and(|value| !value.is_null())).count() != 1 {
        let (last, first) = names.split_last().map_or(("", String::new()), |(last, first)| (*last, first.join(", ")));
        findings.refuse(here, None, format!("must have exactly one of {first} and {last}"));
    }
}

/// A count that the definition has compared with its bounds.
fn count(entry: &Value, name: &str) -> Option<u32> {
    entry.get(name).and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok())
}

/// A truth value; false if it is absent.
fn truth(entry: &Value, name: &str) -> bool {
    entry.get(name).and_then(Value::as_bool).unwrap_or_default()
}

/// The texts of a map, in its order.
fn pairs(entry: &Value, name: &str) -> Vec<(String, String)> {
    let fields = entry.get(name).and_then(Value::as_object).into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
