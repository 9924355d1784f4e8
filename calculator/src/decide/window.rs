//! What the rules of a trigger look at: its value now, or what its window takes of the readings of a while.
//!
//! A reading counts until the next one, but no longer than the longest gap that rules overlook. What was read before a longer gap says
//! nothing: conditions begin to hold anew, and windows begin to fill anew. So they do when the first metric of a trigger is another one than
//! before.

use std::sync::Arc;

use super::fallback::{Heard, Hearing};
use super::onerror;
use super::pods;
use super::proposals::Unusable;
use super::settling::pace;
use crate::memory::rules::samples::Compared;
use crate::memory::rules::{Door, Known, RuleMemory, Track, longest_gap, trigger_id};
use crate::policy::Policy;
use crate::rules::{Gate, fingerprint};
use crate::source::{Measured, MetricSpec, Milli, Reading};
use crate::time::Tick;

/// How many gates of policies that take no part are remembered.
const MOST_KEPT: usize = 255;

/// What rules see of one trigger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// What they compare.
    pub(super) compared: Compared,
    /// Whether it is a total, which can be divided over the replicas.
    pub(super) total: bool,
    /// Whether the readings reach back to the start of the window; always without one.
    pub(super) covered: bool,
    /// When the reading came.
    pub(super) at: Tick,
    /// Whether the gap before it was too long.
    pub(super) broken: bool,
    /// Until when it counts if no other comes.
    pub(super) counts_until: Tick,
}

/// Everything that rules look at in one pass, and what they remember after it.
pub(super) struct Watch {
    /// The memory after this pass.
    pub(super) rules: RuleMemory,
    seen: Vec<Option<Result<Seen, Unusable>>>,
    /// Where the timers of each trigger's rules begin.
    timers: Vec<usize>,
}

impl Seen {
    /// Until when a condition that holds now has held, at `now`.
    pub(super) fn until(&self, now: Tick) -> Tick {
        now.min(self.counts_until)
    }

    /// `at` if it comes while this reading counts: otherwise another reading will have to tell.
    pub(super) fn foresees(&self, at: Tick) -> Option<Tick> {
        (at <= self.counts_until).then_some(at)
    }
}

impl Watch {
    /// Looks at every trigger that has steps, feeds a gate, or must be remembered.
    pub(super) fn new(hearing: &Hearing<'_>) -> Self {
        let policy = hearing.policy;
        let mut rules = hearing.memory.rules();
        let (mut seen, mut timers, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        let (mut tracks, pace) = (Vec::new(), |trigger| pace(hearing.observed.evidence(trigger), hearing.now));
        for trigger in 0..policy.triggers.len() {
            let id = trigger_id(policy, trigger);
            timers.push(ids.len());
            let steps = policy.rules.of(trigger).steps.iter();
            ids.extend(steps.map(|rule| (fingerprint::step(id, rule), pace(trigger))));
            let gated = policy.rules.gates.iter().any(|gate| usize::from(gate.trigger) == trigger);
            let has_rules = gated || !policy.rules.of(trigger).steps.is_empty();
            if !has_rules && !onerror::keeps(policy, trigger) {
                seen.push(None);
                continue;
            }
            let mut track = rules.track(id).cloned().unwrap_or_else(|| Track { id, ..Track::default() });
            track.pace(pace(trigger));
            seen.push(look(hearing, trigger, has_rules, &mut track));
            tracks.push(track);
        }
        rules.tracks = tracks;
        let timer = |(id, pace)| {
            let mut timer = rules.timer(id);
            timer.pace(pace);
            timer
        };
        rules.timers = ids.into_iter().map(timer).collect();
        let door = |gate: &Gate| {
            let mut door = rules.door(gate_id(policy, gate));
            door.closing.pace(pace(gate.trigger.into()));
            door.opening.pace(pace(gate.trigger.into()));
            door
        };
        let mut doors: Vec<Door> = policy.rules.gates.iter().map(door).collect();
        doors.extend(shut_elsewhere(policy, &rules, &doors));
        rules.gates = doors;
        Self { rules, seen, timers }
    }

    /// What rules see of a trigger; none if it has no value, or if no rule looks at it.
    pub(super) fn seen(&self, trigger: usize) -> Option<Seen> {
        match self.seen.get(trigger) {
            Some(Some(Ok(seen))) => Some(*seen),
            _ => None,
        }
    }

    /// Why rules cannot use the value of a trigger, if it has one.
    pub(super) fn unusable(&self, trigger: usize) -> Option<&Unusable> {
        match self.seen.get(trigger) {
            Some(Some(Err(unusable))) => Some(unusable),
            _ => None,
        }
    }

    /// Where the timers of this trigger's rules begin.
    pub(super) fn timers(&self, trigger: usize) -> usize {
        self.timers.get(trigger).copied().unwrap_or(usize::MAX)
    }
}

/// The closed gates of a policy that takes no part now: they are closed when it comes again. How long their conditions hold is not seen
/// meanwhile.
fn shut_elsewhere(policy: &Policy, rules: &RuleMemory, doors: &[Door]) -> Vec<Door> {
    let known = |door: &&Door| doors.iter().any(|other| other.id == door.id);
    let shut = rules.gates.iter().filter(|door| door.closed == Some(true) && !known(door));
    let kept = shut.map(|door| Door { closed: door.closed, ..Door::new(door.id) });
    if policy.lacks_rules() { kept.take(MOST_KEPT).collect() } else { Vec::new() }
}

fn gate_id(policy: &Policy, gate: &Gate) -> u32 {
    fingerprint::gate(trigger_id(policy, gate.trigger.into()), gate)
}

/// Takes up the reading of one trigger; none if it has no value now.
fn look(hearing: &Hearing<'_>, trigger: usize, has_rules: bool, track: &mut Track) -> Option<Result<Seen, Unusable>> {
    let policy = hearing.policy;
    if !has_rules {
        // No rule asks since when it is read: a checkpoint must not take its silence for that of the others.
        track.read = None;
    }
    let Heard::Value { readings, at, .. } = hearing.of(trigger) else { return None };
    if onerror::keeps(policy, trigger) && track.known.as_ref().is_none_or(|known| known.at != at) {
        track.known = Some(Known { readings: Arc::new(readings.to_vec()), at });
    }
    // Of a trigger with several metrics the first is compared.
    let (spec, reading) = readings.first().filter(|_| has_rules)?;
    let (compared, total) = match compared(hearing, spec, reading, at) {
        Ok(compared) => compared,
        Err(unusable) => return Some(Err(unusable)),
    };
    let gap = longest_gap(policy, trigger, policy.resting() == Some(hearing.observed.target.replicas));
    // Of a trigger that was never looked at nobody knows what happened before, and another metric says nothing about the one before.
    let metric = fingerprint::metric(spec);
    let other = track.metric.replace(metric).is_some_and(|before| before != metric);
    let broken = other || track.read.is_none_or(|last| last.age(at) > gap);
    let taken = policy.rules.of(trigger).window.and_then(|window| {
        if broken {
            track.samples.clear();
        }
        track.samples.push(at, compared, window);
        track.samples.taken(window)
    });
    track.read = Some(at);
    let (compared, covered) = taken.unwrap_or((compared, true));
    Some(Ok(Seen { compared, total, covered, at, broken, counts_until: at + gap }))
}

/// The value of a reading, and whether it is a total.
fn compared(
    hearing: &Hearing<'_>,
    spec: &MetricSpec,
    reading: &Reading,
    at: Tick,
) -> Result<(Compared, bool), Unusable> {
    match &reading.value {
        Measured::Total(_) => {
            let value: Milli = reading.value.total();
            Ok((Compared { value, filled: value }, true))
        }
        Measured::PerPod(samples) => {
            let (policy, target, age) = (hearing.policy, hearing.observed.target, hearing.now - at);
            let (value, filled) = pods::compared(policy, target, (spec, samples), age)?;
            Ok((Compared { value, filled }, false))
        }
    }
}
