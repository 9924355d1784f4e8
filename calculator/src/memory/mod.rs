//! What must outlive a decision: recommendations, scale events, the last activity, and what rules remember.

pub mod checkpoint;
pub mod counts;
pub mod events;
pub mod failing;
pub mod recommendations;
pub mod rules;

use crate::decision::Effects;
use crate::policy::Policy;
use crate::time::Tick;
use counts::Counts;
use events::Events;
use failing::Failing;
use recommendations::Recommendations;
use rules::RuleMemory;

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
    /// What rules remember; only with rules, or while those of a policy are missing.
    pub rules: Option<Box<RuleMemory>>,
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
        if let Some(rules) = &effects.rules {
            self.rules = (**rules != RuleMemory::default()).then(|| rules.clone());
        }
    }

    /// Whether taking up these effects changes the activity, what a fallback counts on, the state of a gate or a timer that is stored: then,
    /// and after a write, the memory is worth storing.
    pub fn flips(&self, effects: &Effects) -> bool {
        effects.active.is_some_and(|active| active != self.active)
            || effects.failing.as_ref().is_some_and(|failing| failing.differs(&self.failing))
            || effects.rules.as_ref().is_some_and(|rules| match &self.rules {
                Some(known) => rules.differs(known),
                None => rules.differs(&RuleMemory::default()),
            })
    }

    /// The triggers are others now: what was known of them says nothing any more.
    pub fn triggers_changed(&mut self) {
        self.failing.clear();
        if let Some(rules) = &mut self.rules {
            rules.forget_readings();
        }
    }

    /// What rules remember; where nothing is known yet, the scale events tell when we wrote last.
    pub(crate) fn rules(&self) -> RuleMemory {
        let last = |events: &Events| events.last().map(|event| event.at);
        self.rules.as_deref().cloned().unwrap_or_else(|| RuleMemory::begin(last(&self.ups), last(&self.downs)))
    }

    /// Whether gates may close from now on. While an operation of our own takes snapshots and restarts jobs, what their triggers see is our
    /// own doing: no condition that closes a gate holds meanwhile, gates that are closed open as ever, and all others stay what they are.
    pub fn freeze_gates(&mut self, frozen: bool) {
        if frozen && self.rules.is_none() {
            self.rules = Some(Box::new(self.rules()));
        }
        if let Some(rules) = &mut self.rules {
            rules.frozen = frozen;
        }
    }

    /// Our own write succeeded, or turns out to have succeeded: `from` became `to` at `at`.
    ///
    /// Entering zero or idle clears recommendations and events; leaving it books what lies above `max(1, min)` and counts as activity.
    /// Raising to idle is neither.
    pub fn scaled(&mut self, policy: &Policy, from: u32, to: u32, at: Tick) {
        if policy.remembers_rules() {
            let mut rules = self.rules.take().unwrap_or_else(|| Box::new(self.rules()));
            rules.scaled(policy, from, to, at);
            self.rules = Some(rules);
        }
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
        if let Some(rules) = &mut self.rules {
            rules.changed_by_others(at);
        }
    }
}
