//! Stage 6: the stabilization windows, which keep a count that was recommended lately (hpa-algorithm §8.1 and §8.2).

use crate::hpa::stabilize;
use crate::memory::recommendations::{Edge, Entry, Recommendations};
use crate::policy::Policy;
use crate::time::{Span, Tick};

/// A newest recommendation older than this speaks for nobody: after a load, a pause or a total failure the present count is held first.
const STALE: Span = Span::seconds(60);

/// What stabilization looks at.
pub(super) struct Stabilization<'a> {
    /// The windows.
    pub(super) policy: &'a Policy,
    /// What was recommended before this pass.
    pub(super) recommendations: &'a Recommendations,
    /// The present count, if this pass records it first.
    pub(super) hold: Option<u32>,
    /// The present count.
    pub(super) current: u32,
    /// What the metrics want.
    pub(super) desired: u32,
    /// The moment of the pass.
    pub(super) now: Tick,
}

/// The result of the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stabilized {
    /// The count after them.
    pub(super) replicas: u32,
    /// The window that counts for this direction.
    pub(super) window: Span,
    /// If the windows changed the count: when the recommendation that holds it leaves its window.
    pub(super) until: Option<Tick>,
}

/// The present count, if it must be recorded before the metrics' recommendation.
pub(super) fn hold(recommendations: &Recommendations, current: u32, now: Tick) -> Option<u32> {
    recommendations.newest().is_none_or(|newest| newest.age(now) > STALE).then_some(current)
}

impl Stabilization<'_> {
    /// Applies the windows.
    pub(super) fn apply(&self) -> Stabilized {
        match &self.policy.behavior {
            None => self.legacy(self.policy.settings.downscale_window),
            Some(behavior) => self.both(behavior.up.window, behavior.down.window),
        }
    }

    /// Without `behavior`: the highest recommendation of one window, an age equal to it included. It only keeps what is there: the
    /// HPA could raise to an old recommendation, but our passes come faster, so it would chase what its rate limit held back.
    fn legacy(&self, window: Span) -> Stabilized {
        let highest = self.highest(window, Edge::Inclusive);
        let replicas = stabilize::legacy(self.desired, highest).min(self.desired.max(self.current));
        Stabilized { replicas, window, until: self.last_peak(replicas, window, Edge::Inclusive) }
    }

    /// With `behavior`: the present count, raised to the lowest recommendation of the up window, then lowered to the highest of the
    /// down window. An age equal to a window is outside.
    fn both(&self, up: Span, down: Span) -> Stabilized {
        let lowest = self.recommendations.lowest(up, Edge::Exclusive, self.now).map(|entry| entry.replicas);
        let highest = self.highest(down, Edge::Exclusive);
        let replicas = stabilize::between(self.current, self.desired, lowest, highest);
        if replicas < self.desired {
            let until = self.recommendations.newest_at_most(replicas).map(|entry| entry.expiry(up, Edge::Exclusive));
            return Stabilized { replicas, window: up, until };
        }
        Stabilized { replicas, window: down, until: self.last_peak(replicas, down, Edge::Exclusive) }
    }

    /// The highest count of the window; what this pass holds is part of it, unless the window sees no history at all.
    fn highest(&self, window: Span, edge: Edge) -> Option<u32> {
        let past = self.recommendations.highest(window, edge, self.now).map(|entry| entry.replicas);
        past.max(self.held().filter(|held| held.expiry(window, edge) > self.now).map(|held| held.replicas))
    }

    /// When the last of those that keep at least this count leaves the window.
    fn last_peak(&self, replicas: u32, window: Span, edge: Edge) -> Option<Tick> {
        let held = self.held().filter(|held| held.replicas >= replicas);
        held.or_else(|| self.recommendations.newest_at_least(replicas)).map(|entry| entry.expiry(window, edge))
    }

    fn held(&self) -> Option<Entry> {
        self.hold.map(|replicas| Entry { at: self.now, replicas })
    }
}
