//! The part of a checkpoint that rules need: `r` with `s` until when all triggers had been read, `u` and `d` our last writes upward and downward, `b` the
//! fingerprint of the bounds under which the count was last within them, `f` whether it was set by somebody who did not look at them, `t`
//! the timers that are stored as `[since, fingerprint]`, `g` the gates as `[fingerprint, 1 if closed]`.
//!
//! What is not stored begins anew, which is always the careful side: a rule that lowers waits longer, a gate of which nothing is known
//! forbids lowering, and one that was open forbids it while its condition holds, for as long as it might have closed in the meantime.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Bounds, Door, RuleMemory, Timer, Track, trigger_id};
use crate::memory::checkpoint::{CheckpointError, Pair, tick};
use crate::policy::Policy;
use crate::rules::{Block, fingerprint};
use crate::time::{Now, Span, Tick};

/// How many timers are stored; others begin anew after a restart.
const TIMERS: usize = 24;
/// How many gates are stored; of the others nothing is known after a restart.
const GATES: usize = 32;

/// The stored form; the module says what the fields are.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StoredRules {
    s: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    u: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    f: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    t: Vec<Pair>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    g: Vec<(u32, u8)>,
}

impl StoredRules {
    /// The stored form of `rules` at `now`.
    pub(crate) fn of(rules: &RuleMemory, now: Now) -> Self {
        let wall = |tick: Tick| now.wall_of(tick).as_millisecond();
        let timers = rules.all_timers().filter(|timer| timer.stored);
        let states = rules.gates.iter().filter_map(|door| door.closed.map(|closed| (door.id, u8::from(closed))));
        Self {
            s: wall(rules.tracks.iter().filter_map(|track| track.read).min().unwrap_or(now.tick)),
            u: rules.last_up.map(wall),
            d: rules.last_down.map(wall),
            b: rules.bounds.within,
            f: rules.bounds.foreign,
            t: timers.filter_map(|timer| Some(Pair(wall(timer.since?), timer.id))).take(TIMERS).collect(),
            g: states.take(GATES).collect(),
        }
    }

    /// What rules remember of it at `now`. From the last readings before the store, or from
    /// `alive` if that is later, to the first ones after now there is a gap in the data of every trigger.
    pub(crate) fn memory(
        &self,
        policy: &Policy,
        now: Now,
        alive: Option<Timestamp>,
    ) -> Result<RuleMemory, CheckpointError> {
        let optional = |millis: Option<i64>| millis.map(|millis| tick(millis, now)).transpose();
        let stored = tick(self.s, now)?;
        let seen = alive.map_or(stored, |alive| stored.max(now.tick_of(alive)));
        let track = |trigger| Track { id: trigger_id(policy, trigger), read: Some(seen), ..Track::default() };
        let mut rules = RuleMemory {
            last_up: optional(self.u)?,
            last_down: optional(self.d)?,
            bounds: Bounds { within: self.b, foreign: self.f, ..Bounds::default() },
            tracks: (0..policy.triggers.len()).map(track).collect(),
            ..RuleMemory::default()
        };
        for Pair(since, id) in &self.t {
            rules.timers.push(Timer { since: Some(tick(*since, now)?), stored: true, ..Timer::new(*id) });
        }
        for gate in &policy.rules.gates {
            let id = fingerprint::gate(trigger_id(policy, gate.trigger.into()), gate);
            let closed = self.g.iter().find(|(known, _)| *known == id).map(|(_, closed)| *closed != 0);
            let mut door = Door { closed, ..Door::new(id) };
            (door.closing, door.opening) = (rules.timer(door.closing.id), rules.timer(door.opening.id));
            let late = closed == Some(false) && gate.block != Block::ScaleUp && gate.held_for > Span::ZERO;
            door.doubt = late.then(|| now.tick + gate.held_for);
            rules.gates.push(door);
        }
        if policy.lacks_rules() {
            // Those of a policy that takes no part now. One that was open may have closed when it comes again: of it nothing is known.
            for (id, _) in self.g.iter().filter(|(_, closed)| *closed != 0) {
                if rules.gates.iter().all(|door| door.id != *id) {
                    rules.gates.push(Door { closed: Some(true), ..Door::new(*id) });
                }
            }
        }
        Ok(rules)
    }
}
