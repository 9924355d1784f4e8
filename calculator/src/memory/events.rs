//! The scale events of one direction: how many replicas were added, or removed, and when.

use std::collections::VecDeque;

use crate::time::{Span, Tick};

/// The longest period a rate policy may have (`periodSeconds` is at most 1800): older events never matter.
pub const LONGEST_PERIOD: Span = Span::seconds(1800);

/// How many events are kept apart. Beyond it the two nearest neighbours count as one at the newer's time, which can only delay a change.
const MOST: usize = 64;

/// Scale events of one direction, oldest first. Each carries the sum of all up to it, so that a sum needs no walk over the list.
#[derive(Clone, Debug, Default)]
pub struct Events(VecDeque<(Event, u64)>);

/// One change of the replica count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When the write succeeded.
    pub at: Tick,
    /// By how many replicas; positive in both directions.
    pub amount: u32,
}

impl Events {
    /// Adds a change; zero is no change.
    pub fn push(&mut self, at: Tick, amount: u32) {
        if amount == 0 {
            return;
        }
        while self.0.front().is_some_and(|(event, _)| event.at.age(at) >= LONGEST_PERIOD) {
            self.0.pop_front();
        }
        // Oldest first, whatever the clock did: a later entry is never older than one before it.
        let (at, before) = self.0.back().map_or((at, 0), |(last, sum)| (last.at.max(at), *sum));
        self.0.push_back((Event { at, amount }, before + u64::from(amount)));
        if self.0.len() > MOST {
            self.merge_nearest();
        }
    }

    /// The replicas changed within `period` before `now`: an event as old as the period counts no more (hpa-algorithm §8.3).
    pub fn sum(&self, period: Span, now: Tick) -> u64 {
        let first = self.0.partition_point(|(event, _)| event.at.age(now) >= period);
        match (self.0.get(first), self.0.back()) {
            (Some((young, sum)), Some((_, all))) => all - sum + u64::from(young.amount),
            _ => 0,
        }
    }

    /// The first moment after `now` at which an event leaves a period of this length.
    pub fn first_expiry(&self, period: Span, now: Tick) -> Option<Tick> {
        let first = self.0.partition_point(|(event, _)| event.at + period <= now);
        self.0.get(first).map(|(event, _)| event.at + period)
    }

    /// Forgets everything: entering 0 starts anew.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The events, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().map(|(event, _)| event)
    }

    /// The newest event.
    pub fn last(&self) -> Option<&Event> {
        self.0.back().map(|(event, _)| event)
    }

    fn merge_nearest(&mut self) {
        let gap = |index: &usize| self.0[index + 1].0.at - self.0[*index].0.at;
        if let Some(nearest) = (0..self.0.len() - 1).min_by_key(gap)
            && let Some((older, _)) = self.0.remove(nearest)
        {
            let amount = &mut self.0[nearest].0.amount;
            *amount = amount.saturating_add(older.amount);
        }
    }
}

impl PartialEq for Events {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Events {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_as_old_as_the_period_is_out() {
        let mut events = Events::default();
        events.push(Tick(0), 2);
        events.push(Tick(10_000), 3);
        events.push(Tick(10_000), 0);
        assert_eq!(events.iter().count(), 2, "zero is no change");
        assert_eq!(events.sum(Span::seconds(15), Tick(14_999)), 5);
        assert_eq!(events.sum(Span::seconds(15), Tick(15_000)), 3);
        assert_eq!(events.first_expiry(Span::seconds(15), Tick(0)), Some(Tick(15_000)));
        assert_eq!(events.first_expiry(Span::seconds(15), Tick(15_000)), Some(Tick(25_000)));
        assert_eq!(events.first_expiry(Span::seconds(15), Tick(25_000)), None);
    }

    #[test]
    fn the_list_is_bounded_and_keeps_its_sum() {
        let mut events = Events::default();
        for step in 0..1_000 {
            events.push(Tick(step * 100), 1);
        }
        assert_eq!(events.iter().count(), MOST);
        assert_eq!(events.sum(LONGEST_PERIOD, Tick(100_000)), 1_000);
    }

    #[test]
    fn events_beyond_the_longest_period_are_dropped() {
        let mut events = Events::default();
        events.push(Tick(0), 1);
        events.push(Tick(LONGEST_PERIOD.0 - 1), 1);
        assert_eq!(events.iter().count(), 2);
        events.push(Tick(LONGEST_PERIOD.0), 1);
        assert_eq!(events.iter().count(), 2, "the first is as old as the longest period");
    }
}
