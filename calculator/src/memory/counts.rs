//! How many replicas there were lately: what the legacy scale-up limit of one sync period starts from.

use std::collections::VecDeque;

use crate::time::{Span, Tick};

/// More changes than this within one sync period are joined; the lower count is kept, so the limit stays as strict.
const MOST: usize = 16;

/// The replica counts of the last sync period, oldest first: each was in force from its time until the next one's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(VecDeque<(Tick, u32)>);

impl Counts {
    /// Our own change: `from` was in force until `at`, `to` is from then on.
    pub fn changed(&mut self, at: Tick, from: u32, to: u32, period: Span) {
        if self.0.is_empty() {
            self.0.push_back((at - period, from));
        }
        self.0.push_back((at, to));
        while self.0.get(1).is_some_and(|(until, _)| until.age(at) >= period) {
            self.0.pop_front();
        }
        if self.0.len() > MOST
            && let Some((since, first)) = self.0.pop_front()
            && let Some(second) = self.0.front_mut()
        {
            *second = (since, second.1.min(first));
        }
    }

    /// Somebody else's change: what was before counts no more.
    pub fn reset(&mut self, at: Tick, replicas: u32) {
        self.0.clear();
        self.0.push_back((at, replicas));
    }

    /// The lowest count within `period` before `now`, and the moment at which it will be out of the period if it is not the present one.
    pub fn lowest(&self, current: u32, floor: u32, period: Span, now: Tick) -> (u32, Option<Tick>) {
        let mut lowest = (current.max(floor), None);
        for (index, (_, replicas)) in self.0.iter().enumerate() {
            let Some((until, _)) = self.0.get(index + 1) else {
                continue;
            };
            if until.age(now) < period && (*replicas).max(floor) <= lowest.0 && (*replicas).max(floor) < current {
                lowest = ((*replicas).max(floor), Some(*until + period));
            }
        }
        lowest
    }

    /// The entries for a checkpoint, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Tick, u32)> {
        self.0.iter()
    }

    /// Puts back what a checkpoint held, oldest first.
    pub(crate) fn restore(entries: impl Iterator<Item = (Tick, u32)>) -> Self {
        Self(entries.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Span = Span::seconds(15);

    #[test]
    fn the_lowest_count_leaves_one_period_after_it_ended() {
        let mut counts = Counts::default();
        assert_eq!(counts.lowest(3, 1, PERIOD, Tick(0)), (3, None));
        counts.changed(Tick(1_000), 1, 4, PERIOD);
        assert_eq!(counts.lowest(4, 1, PERIOD, Tick(15_999)), (1, Some(Tick(16_000))));
        assert_eq!(counts.lowest(4, 1, PERIOD, Tick(16_000)), (4, None));
        counts.changed(Tick(16_000), 4, 8, PERIOD);
        assert_eq!(counts.lowest(8, 1, PERIOD, Tick(17_000)), (4, Some(Tick(31_000))));
    }

    #[test]
    fn counts_below_the_floor_count_as_the_floor() {
        let mut counts = Counts::default();
        counts.changed(Tick(0), 0, 8, PERIOD);
        assert_eq!(counts.lowest(8, 1, PERIOD, Tick(1)), (1, Some(Tick(15_000))));
        assert_eq!(counts.lowest(8, 5, PERIOD, Tick(1)), (5, Some(Tick(15_000))));
    }

    #[test]
    fn a_foreign_change_starts_anew() {
        let mut counts = Counts::default();
        counts.changed(Tick(0), 1, 4, PERIOD);
        counts.reset(Tick(10), 20);
        assert_eq!(counts.lowest(20, 1, PERIOD, Tick(20)), (20, None));
    }

    #[test]
    fn many_changes_stay_bounded_and_keep_the_lowest() {
        let mut counts = Counts::default();
        for step in 0..100 {
            counts.changed(Tick(i64::from(step)), step + 1, step + 2, PERIOD);
        }
        assert_eq!(counts.iter().count(), MOST);
        assert_eq!(counts.lowest(101, 1, PERIOD, Tick(100)).0, 1);
    }

    #[test]
    fn the_last_of_equal_counts_says_when_the_lowest_rises() {
        let mut counts = Counts::default();
        for (at, from, to) in [(1_000, 3, 5), (2_000, 5, 3), (3_000, 3, 5)] {
            counts.changed(Tick(at), from, to, PERIOD);
        }
        assert_eq!(counts.lowest(5, 1, PERIOD, Tick(4_000)), (3, Some(Tick(18_000))));
        assert_eq!(counts.lowest(3, 1, PERIOD, Tick(4_000)), (3, None), "the present count does not rise by itself");
    }
}
