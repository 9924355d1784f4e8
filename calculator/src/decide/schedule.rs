//! Schedules: bounds that hold for a part of the day, the week or the year, by the wall clock.
//!
//! A minimum raises at once, as any bound. A maximum that the clock has lowered never makes the count jump: it caps what the metrics want,
//! and windows, policies and gates do the rest. Only an edit of the text, or a count that somebody else set, jumps.

use std::borrow::Cow;

use jiff::Timestamp;

use super::draft::Draft;
use crate::decision::Step;
use crate::memory::rules::Bounds;
use crate::policy::Policy;
use crate::rules::{Schedule, fingerprint};
use crate::time::{Now, Tick};

/// The bounds of one moment.
pub(super) struct Timetable<'a> {
    /// The policy with the bounds that hold now.
    pub(super) policy: Cow<'a, Policy>,
    active: Vec<Active<'a>>,
    next: Option<Timestamp>,
    /// The fingerprint of the bounds of the text; none without schedules.
    text: Option<u32>,
}

/// A schedule in force, and when it ends.
struct Active<'a> {
    schedule: &'a Schedule,
    end: Option<Timestamp>,
}

/// How the count stands to its maximum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ceiling {
    /// What caps every proposal, if a schedule has anything to do with the maximum.
    pub(super) cap: Option<u32>,
    /// Whether the count is above the maximum because time has passed: then it does not jump.
    pub(super) by_clock: bool,
    /// Whether a schedule sets the minimum.
    pub(super) sets_min: bool,
    /// Whether a schedule sets the maximum.
    pub(super) sets_max: bool,
}

impl Policy {
    /// This policy with the bounds that its schedules set at `wall`. Without schedules it is the policy itself, at no cost.
    ///
    /// Of several schedules in force the highest minimum and the lowest maximum count, and the maximum wins where they cross.
    /// `idleReplicaCount` is left out while the minimum is not above it.
    pub fn at(&self, wall: Timestamp) -> Cow<'_, Policy> {
        if self.rules.schedules.is_empty() {
            return Cow::Borrowed(self);
        }
        replaced(self, &in_force(self, wall))
    }
}

impl<'a> Timetable<'a> {
    /// The bounds at `wall`.
    pub(super) fn new(policy: &'a Policy, wall: Timestamp) -> Self {
        if policy.rules.schedules.is_empty() {
            return Self { policy: Cow::Borrowed(policy), active: Vec::new(), next: None, text: None };
        }
        let active = in_force(policy, wall);
        let starts = policy.rules.schedules.iter().filter_map(|schedule| schedule.start.next_after(wall));
        let next = active.iter().filter_map(|active| active.end).chain(starts).min();
        Self { policy: replaced(policy, &active), active, next, text: Some(fingerprint::bounds(policy)) }
    }

    /// Says which schedules are in force, and wakes at the next moment at which one begins or ends.
    pub(super) fn tell(&self, now: Now, draft: &mut Draft) {
        draft.wake(self.next.map(|next| tick_at(next, now)));
        for Active { schedule, end } in &self.active {
            let until = end.map(|end| tick_at(end, now));
            let (name, min, max) = (schedule.name.clone(), schedule.min, schedule.max);
            draft.steps.push(Step::Schedule { name, min, max, until });
        }
    }

    /// How many steps [`Timetable::tell`] adds.
    pub(super) fn len(&self) -> usize {
        self.active.len()
    }

    /// How the count stands to the maximum, and what is to be remembered of it.
    pub(super) fn ceiling(&self, current: u32, known: Bounds) -> (Ceiling, Bounds) {
        let Some(text) = self.text else {
            let bounds = if self.policy.lacks_rules() { known } else { Bounds::default() };
            return (Ceiling::default(), bounds);
        };
        let max = self.policy.max;
        let above = current > max;
        let by_clock = above && !known.foreign && known.within.map_or(known.unknown, |within| within == text);
        let sets_max = self.active.iter().any(|active| active.schedule.max.is_some());
        let sets_min = self.active.iter().any(|active| active.schedule.min.is_some());
        let cap = (by_clock || sets_max).then_some(max);
        let bounds = if above { known } else { Bounds { within: Some(text), ..Bounds::default() } };
        (Ceiling { cap, by_clock, sets_min, sets_max }, bounds)
    }
}

/// The schedules whose last start is not after `wall` and whose end after that start is.
fn in_force(policy: &Policy, wall: Timestamp) -> Vec<Active<'_>> {
    let active = |schedule| {
        let Schedule { start, end, .. }: &Schedule = schedule;
        let end = end.next_after(start.last_at_or_before(wall)?);
        end.is_none_or(|end| end > wall).then_some(Active { schedule, end })
    };
    policy.rules.schedules.iter().filter_map(active).collect()
}

fn replaced<'a>(policy: &'a Policy, active: &[Active<'_>]) -> Cow<'a, Policy> {
    let mins = active.iter().filter_map(|active| active.schedule.min).max();
    let maxs = active.iter().filter_map(|active| active.schedule.max).min();
    if mins.is_none() && maxs.is_none() {
        return Cow::Borrowed(policy);
    }
    let max = maxs.unwrap_or(policy.max).max(1);
    let min = mins.unwrap_or(policy.min).min(max);
    Cow::Owned(Policy { min, max, idle: policy.idle.filter(|idle| *idle < min), ..policy.clone() })
}

/// The first tick at which the wall clock shows `wall`, if nobody sets it.
fn tick_at(wall: Timestamp, now: Now) -> Tick {
    let nanos = wall.duration_since(now.wall).as_nanos().max(0);
    let millis = i64::try_from((nanos + 999_999) / 1_000_000).unwrap_or(i64::MAX);
    Tick(now.tick.0.saturating_add(millis))
}
