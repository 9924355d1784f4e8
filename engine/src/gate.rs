//! Bounds on what runs at once: so many calls an endpoint, so many in all, first come first served.
//!
//! Waiting is a record here, not a held permit, so a hung server keeps its own lane waiting and nobody else's.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Admits calls lane by lane.
#[derive(Debug)]
pub(crate) struct Gate<K, W> {
    each: usize,
    all: usize,
    running: usize,
    lanes: HashMap<K, Lane<W>>,
    /// Calls whose lane has room, but for which there is no room in all; each counts in its lane already.
    blocked: VecDeque<(K, W)>,
}

#[derive(Debug)]
struct Lane<W> {
    held: usize,
    waiting: VecDeque<W>,
}

impl<K: Copy + Eq + Hash, W> Gate<K, W> {
    /// At most `each` calls a lane and `all` together.
    pub(crate) fn new(each: usize, all: usize) -> Self {
        Self { each, all, running: 0, lanes: HashMap::new(), blocked: VecDeque::new() }
    }

    /// Asks to run a call: gives it back if it may run now, else keeps it until [`Gate::leave`] lets it go.
    pub(crate) fn enter(&mut self, lane: K, call: W) -> Option<W> {
        let entry = self.lanes.entry(lane).or_insert_with(|| Lane { held: 0, waiting: VecDeque::new() });
        if entry.held >= self.each {
            entry.waiting.push_back(call);
            return None;
        }
        entry.held += 1;
        if self.running >= self.all {
            self.blocked.push_back((lane, call));
            return None;
        }
        self.running += 1;
        Some(call)
    }

    /// A call of this lane has ended: gives the next call that may run in its place, with its lane.
    pub(crate) fn leave(&mut self, lane: K) -> Option<(K, W)> {
        self.running = self.running.saturating_sub(1);
        if let Some(entry) = self.lanes.get_mut(&lane) {
            match entry.waiting.pop_front() {
                Some(next) => self.blocked.push_back((lane, next)),
                None => entry.held = entry.held.saturating_sub(1),
            }
            if entry.held == 0 && entry.waiting.is_empty() {
                self.lanes.remove(&lane);
            }
        }
        let next = if self.running < self.all { self.blocked.pop_front() } else { None };
        self.running += usize::from(next.is_some());
        next
    }

    /// How many calls run now.
    #[cfg(test)]
    pub(crate) fn running(&self) -> usize {
        self.running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_lane_waits_in_order_and_starves_no_other() {
        let mut gate = Gate::new(2, 100);
        assert_eq!((gate.enter('a', 1), gate.enter('a', 2)), (Some(1), Some(2)));
        assert_eq!((gate.enter('a', 3), gate.enter('a', 4)), (None, None));
        assert_eq!(gate.enter('b', 5), Some(5));
        assert_eq!(gate.leave('a'), Some(('a', 3)));
        assert_eq!(gate.leave('a'), Some(('a', 4)));
        assert_eq!((gate.leave('a'), gate.leave('a'), gate.leave('b')), (None, None, None));
        assert!(gate.running() == 0 && gate.lanes.is_empty());
    }

    #[test]
    fn the_bound_over_all_lanes_holds() {
        let mut gate = Gate::new(2, 3);
        assert!(gate.enter('a', 1).is_some() && gate.enter('a', 2).is_some() && gate.enter('b', 3).is_some());
        assert_eq!((gate.enter('c', 4), gate.enter('b', 5), gate.enter('b', 6)), (None, None, None));
        assert_eq!(gate.leave('a'), Some(('c', 4)));
        assert_eq!(gate.leave('a'), Some(('b', 5)));
        assert_eq!(gate.running(), 3);
        assert_eq!(gate.leave('b'), Some(('b', 6)));
        for lane in ['b', 'b', 'c'] {
            assert_eq!(gate.leave(lane), None);
        }
        assert!(gate.running() == 0 && gate.lanes.is_empty());
    }
}
