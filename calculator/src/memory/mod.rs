//! What must outlive a decision: recommendations, scale events and the last activity.

pub mod checkpoint;
pub mod counts;
pub mod events;
pub mod failing;
pub mod recommendations;

use crate::decision::Effects;
use crate::policy::Policy;
use crate::time::Tick;
use counts::Counts;
use events::Events;
use failing::Failing;
use recommendations::Recommendations;

/// The memory of one object. Kept in ticks; [`checkpoint::Checkpoint`] is its stored form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// What the metrics recommended lately.
    pub recommendations: Recommendations,
    /// Replicas added lately.
    pub ups: Events,
    /// Replicas removed lately.
    pub downs: Events,
    /// The replica counts of the last sync period.
    pub counts: Counts,
    /// When the object was last active, if it ever was (KEDA's `lastActiveTime`).
    pub last_active: Option<Tick>,
    /// Whether it is active as far as we know.
    pub active: bool,
    /// Our last successful write.
    pub last_write: Option<Tick>,
    /// Since when triggers have failed; only with a fallback.
    pub failing: Failing,
    /// The count that we wrote or saw last; what a difference is measured from at load.
    pub replicas: Option<u32>,
}

impl Memory {
    /// Takes up what a pass found, at the moment of the pass.
    pub fn take(&mut self, effects: &Effects, now: Tick) {
        if let Some(replicas) = effects.hold {
            self.recommendations.hold(now, replicas);
        }
        if let Some(replicas) = effects.record {
            self.recommendations.record(now, replicas);
        }
        if let Some(at) = effects.active_at {
            self.last_active = Some(self.last_active.map_or(at, |last| last.max(at)));
        }
        if let Some(active) = effects.active {
            self.active = active;
        }
        if let Some(failing) = &effects.failing {
            self.failing.clone_from(failing);
        }
    }

    /// Whether taking up these effects changes the activity, or what a fallback counts on: then, and after a write, the memory is worth
    /// storing.
    pub fn flips(&self, effects: &Effects) -> bool {
        effects.active.is_some_and(|active| active != self.active)
            || effects.failing.as_ref().is_some_and(|failing| failing.differs(&self.failing))
    }

    /// Our own write succeeded, or turns out to have succeeded: `from` became `to` at `at`.
    ///
    /// Entering zero or idle clears recommendations and events; leaving it books what lies above `max(1, min)` and counts as activity.
    /// Raising to idle is neither.
    pub fn scaled(&mut self, policy: &Policy, from: u32, to: u32, at: Tick) {
        let rests = Some(to) == policy.resting();
        if to < from && rests {
            self.recommendations.clear();
            self.ups.clear();
            self.downs.clear();
        } else if to < from {
            self.downs.push(at, from - to);
        } else if to > from && !rests {
            let leaving = policy.at_rest(from);
            self.ups.push(at, to - if leaving { policy.floor().clamp(from, to) } else { from });
            if leaving {
                self.last_active = Some(self.last_active.map_or(at, |last| last.max(at)));
            }
        }
        self.counts.changed(at, from, to, policy.settings.sync_period);
        self.last_write = Some(at);
        self.replicas = Some(to);
    }

    /// Somebody else changed the count.
    pub fn changed_by_others(&mut self, replicas: u32, at: Tick) {
        self.counts.reset(at, replicas);
        self.replicas = Some(replicas);
    }
}
