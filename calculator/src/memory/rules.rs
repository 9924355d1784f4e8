//! What rules remember: since when conditions hold, what gates are closed, what was read lately, and when we wrote last in a direction.
//!
//! Kept only for objects whose ScalingPolicies say something. Its stored form is a part of the checkpoint.

pub mod samples;
pub(crate) mod stored;
mod timer;

use std::sync::Arc;

use crate::policy::Policy;
use crate::rules::fingerprint;
use crate::source::Readings;
use crate::time::{Span, Tick};
use samples::Samples;
pub(crate) use timer::{Pace, Sight, Timer};

/// Everything that the rules of one object remember.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleMemory {
    /// Our last successful write upward. Going up to idle is none.
    pub last_up: Option<Tick>,
    /// Our last successful write downward. Going to zero or idle is none.
    pub last_down: Option<Tick>,
    /// The last change of the replicas that was seen, by anybody, or the load: no condition that begins to hold has held for longer.
    pub changed: Option<Tick>,
    /// What bounds the count obeyed last.
    pub(crate) bounds: Bounds,
    /// What was read of the triggers that rules look at.
    pub(crate) tracks: Vec<Track>,
    /// One timer a step rule, as far as its condition was ever seen to hold.
    pub(crate) timers: Vec<Timer>,
    /// One entry a gate.
    pub(crate) gates: Vec<Door>,
    /// Nothing closes a gate now: an operation of our own is what its trigger sees. Not stored.
    pub(crate) frozen: bool,
}

/// Whether a count above its maximum is there because somebody said so or because time has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The fingerprint of the bounds of the text under which the count was last within them.
    pub(crate) within: Option<u32>,
    /// The count was set to what it is by somebody who did not look at the bounds.
    pub(crate) foreign: bool,
    /// Nobody knows under which bounds it came to be what it is: it was above them at load. Then time may have passed. Not stored.
    pub(crate) unknown: bool,
}

/// What was read of one trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Track {
    /// The fingerprint of the trigger.
    pub(crate) id: u32,
    /// When the last reading came that a pass has looked at.
    pub(crate) read: Option<Tick>,
    /// Since when the trigger settles: that time does not count.
    pub(crate) still: Option<Tick>,
    /// The fingerprint of the metric that rules compare; none before the first reading. Not stored.
    pub(crate) metric: Option<u32>,
    /// The readings of its window.
    pub(crate) samples: Samples,
    /// Its last good reading; only with `onError: LastKnown`.
    pub(crate) known: Option<Known>,
}

/// A reading that may stand for a failed trigger for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// What was read.
    pub(crate) readings: Arc<Readings>,
    /// When it came.
    pub(crate) at: Tick,
}

/// One gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Door {
    /// The fingerprint of the gate.
    pub(crate) id: u32,
    /// Whether it is closed; none before anything has told.
    pub(crate) closed: Option<bool>,
    /// Since when what closes it holds.
    pub(crate) closing: Timer,
    /// Since when what opens it holds.
    pub(crate) opening: Timer,
    /// After a restart: until this moment it might have closed already, had nobody forgotten since when its condition holds.
    pub(crate) doubt: Option<Tick>,
}

impl RuleMemory {
    /// A memory that begins now: what the replicas did lately is known from the scale events.
    pub(crate) fn begin(last_up: Option<Tick>, last_down: Option<Tick>) -> Self {
        Self { last_up, last_down, ..Self::default() }
    }

    /// Our own write succeeded.
    pub(crate) fn scaled(&mut self, policy: &Policy, from: u32, to: u32, at: Tick) {
        let rests = Some(to) == policy.resting();
        if to > from && !rests {
            self.last_up = Some(at);
        } else if to < from && !rests {
            self.last_down = Some(at);
        }
        // Only a pause sets more than the maximum; on the way down to one that the clock has lowered every write is above it.
        self.bounds.foreign |= to > policy.max && to > from;
        self.restart(at);
    }

    /// Somebody else changed the count.
    pub(crate) fn changed_by_others(&mut self, at: Tick) {
        self.bounds.foreign = true;
        self.restart(at);
    }

    /// Every change of the replicas lets all conditions begin anew: what was measured before it was measured of other replicas.
    fn restart(&mut self, at: Tick) {
        self.changed = Some(at);
        for timer in &mut self.timers {
            timer.restart(at);
        }
    }

    /// The triggers are others now: what was read of them, and how long it has held, says nothing any more.
    pub(crate) fn forget_readings(&mut self) {
        self.tracks.clear();
        self.timers.clear();
        self.gates.clear();
    }

    /// What was read of the trigger with this fingerprint.
    pub(crate) fn track(&self, id: u32) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id == id)
    }

    /// The timer of the rule with this fingerprint; one that has not begun if there is none.
    pub(crate) fn timer(&self, id: u32) -> Timer {
        self.timers.iter().find(|timer| timer.id == id).copied().unwrap_or(Timer::new(id))
    }

    /// The gate with this fingerprint; one of which nothing is known if there is none.
    pub(crate) fn door(&self, id: u32) -> Door {
        self.gates.iter().find(|door| door.id == id).copied().unwrap_or(Door::new(id))
    }

    /// Whether this differs from `other` in what a checkpoint holds: then it is worth storing.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let states = |of: &Self| of.gates.iter().map(|door| (door.id, door.closed)).collect::<Vec<_>>();
        let timers = |of: &Self| of.all_timers().filter(|timer| timer.stored).map(|timer| timer.id).collect::<Vec<_>>();
        let bounds = |of: &Self| (of.bounds.within, of.bounds.foreign);
        bounds(self) != bounds(other) || states(self) != states(other) || timers(self) != timers(other)
    }

    /// The timers of rules and gates.
    fn all_timers(&self) -> impl Iterator<Item = &Timer> {
        self.timers.iter().chain(self.gates.iter().flat_map(|door| [&door.closing, &door.opening]))
    }
}

impl Track {
    /// Stands still while the trigger settles, and goes on where it was.
    pub(crate) fn pace(&mut self, pace: Pace) {
        if let Some(still) = pace.ended(&mut self.still) {
            self.read = self.read.map(|read| still.moved(read));
            self.samples.moved(still);
        }
    }
}

impl Door {
    /// A gate of which nothing is known.
    pub(crate) fn new(id: u32) -> Self {
        let (closing, opening) = Self::timer_ids(id);
        Self { id, closing: Timer::new(closing), opening: Timer::new(opening), ..Self::default() }
    }

    /// The fingerprints of its two timers.
    fn timer_ids(id: u32) -> (u32, u32) {
        (id.wrapping_add(1), id.wrapping_add(2))
    }
}

/// The longest gap in the data of a trigger over which its condition counts as having held.
pub(crate) fn longest_gap(policy: &Policy, trigger: usize, resting: bool) -> Span {
    Span(policy.read_every(trigger, resting).0.saturating_mul(3)).max(Span::seconds(60))
}

/// What a trigger is called in the memory.
pub(crate) fn trigger_id(policy: &Policy, trigger: usize) -> u32 {
    fingerprint::trigger(policy, trigger)
}
