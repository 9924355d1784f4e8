//! Where an operator's process can be cut off: before or after any request of its that changes something.
//!
//! Every request of the operator passes here, on its way to the API server and to the JobManager alike. Those that change something are
//! steps with a name. The armed one is held, and with it everything that the operator asks from then on, until the process has been killed: so
//! it dies at exactly that moment, and nothing more of it arrives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// On which side of a step the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The request was sent and never arrives.
    Before,
    /// It is done, and its answer never arrives.
    After,
}

/// One step: its name, and how many of this name were before it, plus 1.
pub(crate) type Step = (String, u32);

/// The place that all requests pass. Copies are the same place.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// How often the wire was cut, and how often it was mended; it is cut while the first is greater.
    cuts: watch::Sender<(u64, u64)>,
}

#[derive(Default)]
struct State {
    armed: Option<(Step, Side)>,
    counts: BTreeMap<String, u32>,
    steps: Vec<Step>,
}

/// The process that has asked is dead by now.
#[derive(Debug)]
pub(crate) struct Dead;

impl Wire {
    /// A wire that lets everything pass.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), cuts: watch::Sender::new((0, 0)) }))
    }

    /// Counts steps from here on, and cuts at this one if there is one.
    pub(crate) fn arm(&self, at: Option<(Step, Side)>) {
        *self.lock() = State { armed: at, ..State::default() };
    }

    /// The steps since [`Wire::arm`].
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.lock().steps.clone()
    }

    /// Whether it is cut.
    pub(crate) fn is_cut(&self) -> bool {
        let (cuts, mends) = *self.0.cuts.borrow();
        cuts > mends
    }

    /// Lets requests pass again; those that were held fail.
    pub(crate) fn mend(&self) {
        self.lock().armed = None;
        self.0.cuts.send_modify(|(cuts, mends)| *mends = *cuts);
    }

    /// A request arrives; with a name it is a step.
    pub(crate) async fn arrive(&self, step: Option<&str>) -> Result<Passing, Dead> {
        self.alive().await?;
        let step = step.map(|name| self.count(name));
        self.cut_at(step.as_ref(), Side::Before).await?;
        Ok(Passing { wire: self.clone(), step })
    }

    fn count(&self, name: &str) -> Step {
        let mut state = self.lock();
        let count = state.counts.entry(name.to_owned()).or_default();
        *count += 1;
        let step = (name.to_owned(), *count);
        state.steps.push(step.clone());
        step
    }

    async fn cut_at(&self, step: Option<&Step>, side: Side) -> Result<(), Dead> {
        let armed = |state: &State| state.armed.as_ref().is_some_and(|(at, on)| Some(at) == step && *on == side);
        if armed(&self.lock()) && !self.is_cut() {
            self.0.cuts.send_modify(|(cuts, _)| *cuts += 1);
        }
        self.alive().await
    }

    /// Goes on at once while the wire is whole. Whoever had to wait is dead.
    async fn alive(&self) -> Result<(), Dead> {
        if !self.is_cut() {
            return Ok(());
        }
        let mut cuts = self.0.cuts.subscribe();
        // The sender lives as long as this does.
        let _ = cuts.wait_for(|(cuts, mends)| cuts == mends).await;
        Err(Dead)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that has arrived.
pub(crate) struct Passing {
    wire: Wire,
    step: Option<Step>,
}

impl Passing {
    /// It is done, and its answer goes back.
    pub(crate) async fn leave(self) -> Result<(), Dead> {
        self.wire.cut_at(self.step.as_ref(), Side::After).await
    }
}
