//! What the watches have seen of targets, by kind. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidegate_engine::protocol::{Seen, TargetError};
use tidegate_engine::subject::{ObjectId, TargetRef};

use super::event::Order;
use super::kinds::{KindKey, Served};

/// All targets of all kinds that some object names.
#[derive(Debug, Default)]
pub(super) struct Targets {
    kinds: HashMap<KindKey, Kind>,
    /// Whether the kinds that exist are watched: from the first one on that is not there.
    definitions: bool,
}

/// One kind.
#[derive(Debug, Default)]
struct Kind {
    /// Where it is served, once that is known.
    served: Option<Served>,
    /// Why it cannot be scaled or watched now.
    error: Option<TargetError>,
    /// Whether somebody looks for it, because its group has changed.
    sought: bool,
    /// The streams that have told all.
    listed: HashSet<Option<Arc<str>>>,
    workloads: HashMap<ObjectId, Workload>,
    others: HashMap<ObjectId, Other>,
}

#[derive(Debug)]
struct Workload {
    seen: Seen,
    print: u64,
}

/// An object whose scale must be read.
#[derive(Debug, Default)]
struct Other {
    version: Arc<str>,
    seen: Option<Result<Seen, TargetError>>,
    print: Option<u64>,
    reading: bool,
    again: bool,
}

/// What a change of a target means for the objects that scale it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Its state is another one.
    pub(super) state: bool,
    /// Its environments are other ones.
    pub(super) environment: bool,
}

/// A target's name within its kind.
fn name(target: &TargetRef) -> ObjectId {
    ObjectId { namespace: target.namespace.clone(), name: target.name.clone() }
}

/// The target of this kind and name.
pub(super) fn target(kind: &KindKey, id: &ObjectId) -> TargetRef {
    TargetRef {
        namespace: id.namespace.clone(),
        api_version: kind.api_version.clone(),
        kind: kind.kind.clone(),
        name: id.name.clone(),
    }
}

/// What is said of a target that does not exist.
pub(in crate::kubernetes) fn not_found(target: &TargetRef) -> TargetError {
    TargetError::NotFound(format!("{} {}/{}", target.kind, target.namespace, target.name))
}

impl Kind {
    /// Others have streams that try by themselves.
    fn is_absent(&self) -> bool {
        matches!(self.error, Some(TargetError::NotFound(_) | TargetError::NotScalable(_)))
    }
}

impl Targets {
    /// Some object names this kind: it is watched from now on.
    pub(super) fn want(&mut self, kind: &KindKey, orders: &mut Vec<Order>) {
        if !self.kinds.contains_key(kind) {
            self.kinds.insert(kind.clone(), Kind::default());
            orders.push(Order::WatchKind(kind.clone()));
        }
    }

    /// A kind that failed can be found now: try it again.
    pub(super) fn retry(&mut self, kind: &KindKey, orders: &mut Vec<Order>) {
        if self.kinds.get(kind).is_some_and(Kind::is_absent) {
            self.kinds.insert(kind.clone(), Kind::default());
            orders.push(Order::WatchKind(kind.clone()));
        }
    }

    /// Kinds of a group have come or changed: those that are wanted and were not there are looked for. Their error stays until then.
    pub(super) fn defined(&mut self, group: &str, orders: &mut Vec<Order>) {
        let of_it = |kind: &KindKey| kind.api_version.split_once('/').is_some_and(|(own, _)| own == group);
        for (kind, known) in self.kinds.iter_mut().filter(|(kind, known)| of_it(kind) && known.is_absent()) {
            if !std::mem::replace(&mut known.sought, true) {
                orders.push(Order::WatchKind(kind.clone()));
            }
        }
    }

    /// Some kind is not there: its coming must be noticed.
    pub(super) fn watch_definitions(&mut self, orders: &mut Vec<Order>) {
        if !self.definitions && self.kinds.values().any(Kind::is_absent) {
            self.definitions = true;
            orders.push(Order::WatchDefinitions);
        }
    }

    /// Nobody looks for a kind any more.
    pub(super) fn given_up(&mut self, kind: &KindKey) {
        if let Some(known) = self.kinds.get_mut(kind) {
            known.sought = false;
        }
    }

    /// Where a kind is served, or why it cannot be scaled.
    pub(super) fn resolved(&mut self, kind: &KindKey, result: Result<Served, TargetError>) {
        let Some(known) = self.kinds.get_mut(kind) else { return };
        match result {
            Ok(served) => (known.served, known.error) = (Some(served), None),
            Err(error) => known.error = Some(error),
        }
    }

    /// A stream of a kind has told all. Whether the kind is seen completely now and was not before.
    pub(super) fn listed(&mut self, kind: &KindKey, namespace: Option<Arc<str>>, streams: usize) -> bool {
        let Some(known) = self.kinds.get_mut(kind).filter(|known| known.served.is_some()) else { return false };
        let blind = known.error.take().is_some();
        known.listed.insert(namespace) && known.listed.len() >= streams || blind
    }

    /// A stream of a kind does not work. Whether that is news: what was listed once stays as it was seen.
    pub(super) fn failed(&mut self, kind: &KindKey, error: &TargetError, streams: usize) -> bool {
        let Some(known) = self.kinds.get_mut(kind) else { return false };
        let gone = matches!(error, TargetError::NotFound(_));
        if known.listed.len() >= streams && !gone {
            return false;
        }
        let news = known.error.as_ref() != Some(error);
        if gone {
            *known = Kind::default();
        }
        known.error = Some(error.clone());
        news
    }

    /// The plural name of a kind; empty if it is not known.
    pub(super) fn plural(&self, kind: &KindKey) -> String {
        let served = self.kinds.get(kind).and_then(|known| known.served.as_ref());
        served.map(|served| served.resource.plural.clone()).unwrap_or_default()
    }

    /// A workload is there.
    pub(super) fn workload(&mut self, kind: &KindKey, id: &ObjectId, seen: Seen, print: u64) -> Moved {
        let Some(known) = self.kinds.get_mut(kind) else { return Moved::default() };
        let old = known.workloads.get(id);
        let moved = Moved {
            state: old.is_none_or(|old| old.seen != seen),
            environment: old.is_none_or(|old| old.print != print),
        };
        known.workloads.insert(id.clone(), Workload { seen, print });
        moved
    }

    /// An object of another kind is there. Whether its scale must be read.
    pub(super) fn other(&mut self, kind: &KindKey, id: &ObjectId, version: Arc<str>) -> bool {
        let Some(known) = self.kinds.get_mut(kind) else { return false };
        let other = known.others.entry(id.clone()).or_default();
        let moved = other.version != version;
        other.version = version;
        // Our own read or write may have shown this version already.
        moved && !matches!(&other.seen, Some(Ok(seen)) if seen.version.0 == other.version)
    }

    /// Orders a read of a target whose scale no watch shows, unless one is under way.
    pub(super) fn read(&mut self, target: &TargetRef, environment: bool, orders: &mut Vec<Order>) {
        let others = self.kinds.get_mut(&KindKey::of(target)).map(|kind| &mut kind.others);
        let Some(other) = others.and_then(|others| others.get_mut(&name(target))) else { return };
        other.again = other.reading;
        if !other.reading {
            other.reading = true;
            orders.push(Order::Read(target.clone(), environment));
        }
    }

    /// The answer to a read. A read that was wanted meanwhile is ordered.
    pub(super) fn was_read(
        &mut self,
        target: &TargetRef,
        result: Result<Seen, TargetError>,
        print: Option<u64>,
        orders: &mut Vec<Order>,
    ) -> Moved {
        let others = self.kinds.get_mut(&KindKey::of(target)).map(|kind| &mut kind.others);
        let Some(other) = others.and_then(|others| others.get_mut(&name(target))) else { return Moved::default() };
        other.reading = false;
        if std::mem::take(&mut other.again) {
            other.reading = true;
            orders.push(Order::Read(target.clone(), print.is_some()));
        }
        let environment = print.is_some() && other.print != print;
        other.print = print.or(other.print);
        // A read that failed says nothing about what was seen before.
        let keep = matches!((&other.seen, &result), (Some(Ok(_)), Err(TargetError::Unavailable(_))));
        let state = !keep && other.seen.as_ref() != Some(&result);
        if state {
            other.seen = Some(result);
        }
        Moved { state, environment }
    }

    /// A target is gone.
    pub(super) fn gone(&mut self, kind: &KindKey, id: &ObjectId) {
        if let Some(known) = self.kinds.get_mut(kind) {
            known.workloads.remove(id);
            known.others.remove(id);
        }
    }

    /// How a target is now; none as long as nobody can know.
    pub(super) fn sight(&self, target: &TargetRef, streams: usize) -> Option<Result<Seen, TargetError>> {
        let known = self.kinds.get(&KindKey::of(target))?;
        if let Some(error) = &known.error {
            return Some(Err(error.clone()));
        }
        let served = known.served.as_ref()?;
        let found = if served.workload {
            known.workloads.get(&name(target)).map(|workload| Some(Ok(workload.seen.clone())))
        } else {
            known.others.get(&name(target)).map(|other| other.seen.clone())
        };
        match found {
            Some(seen) => seen,
            None if known.listed.len() >= streams => Some(Err(not_found(target))),
            None => None,
        }
    }

    /// Whether a target's scale must be read, and no read is under way.
    pub(super) fn is_stale(&self, target: &TargetRef) -> bool {
        let others = self.kinds.get(&KindKey::of(target)).map(|known| &known.others);
        let Some(other) = others.and_then(|others| others.get(&name(target))) else { return false };
        let stale = match &other.seen {
            None | Some(Err(TargetError::Unavailable(_))) => true,
            Some(Ok(seen)) => seen.version.0 != other.version,
            Some(Err(_)) => false,
        };
        stale && !other.reading
    }
}
