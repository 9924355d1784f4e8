//! The pods of the namespaces in which somebody asks for them, found by selectors among what a watch of each namespace shows.

use std::fmt;
use std::sync::Arc;

use kube::runtime::watcher::Config;
use kube::{Api, Client};
use tidegate_calculator::hpa::selector::Selector;
use tidegate_calculator::source::{Deadline, ReadError, Wake};
use tidegate_scalers::Watch;

use super::rooms::{Rooms, Stored, Times};
use super::stock::{Named, Stock};
use super::view::{Kept, PodView};
use crate::kubernetes::patience::Patience;

/// The pods of all namespaces that somebody asks about. Copies share them.
#[derive(Clone)]
pub(super) struct Pods(Rooms<Stock>);

/// A namespace whose pods are watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Room(Arc<str>);

/// A pod as it was before a change and as it is after it.
pub(super) struct Changed {
    before: Option<Arc<Kept>>,
    after: Option<Arc<Kept>>,
}

impl Pods {
    /// Nothing is watched yet.
    pub(super) fn new(client: Client, patience: Patience, times: Times) -> Self {
        Self(Rooms::new(client, patience, times))
    }

    /// The pods of a namespace that a selector matches.
    ///
    /// # Errors
    /// If they cannot be listed, are not listed within `deadline`, or their watch was not heard of for too long.
    pub(super) async fn matching(
        &self,
        namespace: &Arc<str>,
        selector: &Selector,
        deadline: Deadline,
    ) -> Result<Vec<Arc<Kept>>, ReadError> {
        self.0.look(&Room(namespace.clone()), deadline, |stock| stock.matching(selector)).await
    }

    /// Wakes when the pods that a selector matches, and that have not ended, or their nodes, may be others.
    pub(super) fn follow(&self, namespace: &Arc<str>, selector: Selector, wake: Wake) -> Option<Watch> {
        self.0.follow(&Room(namespace.clone()), selector, wake)
    }

    /// How many namespaces are watched.
    #[cfg(test)]
    pub(super) fn watched(&self) -> usize {
        self.0.watched()
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pods of namespace {}", self.0)
    }
}

impl Stored for Stock {
    type Key = Room;
    type View = PodView;
    type Fresh = Named;
    type Filter = Selector;
    type Change = Changed;
    const RESOURCE: &'static str = "pods";

    fn api(client: Client, Room(namespace): &Room) -> (Api<PodView>, Config) {
        (Api::namespaced(client, namespace), Config::default())
    }

    fn namespace(Room(namespace): &Room) -> &str {
        namespace
    }

    fn add(fresh: &mut Named, pod: PodView) {
        fresh.insert(pod.name().to_owned(), Arc::new(pod.keep()));
    }

    fn replace(&mut self, fresh: Named) {
        self.set(fresh);
    }

    fn put(&mut self, pod: PodView) -> Changed {
        let after = Arc::new(pod.keep());
        Changed { before: self.insert(after.clone()), after: Some(after) }
    }

    fn remove(&mut self, pod: &PodView) -> Changed {
        Changed { before: self.take(pod.name()), after: None }
    }

    fn concerns(change: &Changed, selector: &Selector) -> bool {
        let counts = |pod: &Option<Arc<Kept>>| {
            let pod = pod.as_ref().filter(|pod| !pod.has_ended() && selector.matches(pod.labels()));
            pod.map(|pod| pod.node().map(str::to_owned))
        };
        counts(&change.before) != counts(&change.after)
    }
}
