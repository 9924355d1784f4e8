//! What a pass has found so far: the steps, and the next moment at which time alone changes something.

use crate::decision::Step;
use crate::time::Tick;

/// Collects the steps of one pass.
pub(super) struct Draft {
    /// The steps, in order.
    pub(super) steps: Vec<Step>,
    /// The earliest moment at which a stage changes its mind.
    pub(super) next: Option<Tick>,
    now: Tick,
}

impl Draft {
    /// An empty draft with room for `steps`.
    pub(super) fn new(steps: usize, now: Tick) -> Self {
        Self { steps: Vec::with_capacity(steps), next: None, now }
    }

    /// Notes that a stage changes its mind at this moment; the past and the present say nothing.
    pub(super) fn wake(&mut self, at: Option<Tick>) {
        if let Some(at) = at.filter(|at| *at > self.now) {
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
    }
}
