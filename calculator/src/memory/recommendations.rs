//! What the metrics recommended lately: the highest and the lowest count within a stabilization window.
//!
//! Lowering asks for the highest recommendation of its window, raising for the lowest. A recommendation that a newer one
//! dominates can never be the answer again, so two short monotonic queues answer exactly what the HPA's full list would.

use std::collections::VecDeque;

use crate::time::{Span, Tick};

/// The longest stabilization window (`stabilizationWindowSeconds` is at most 3600): older entries never matter.
pub const LONGEST_WINDOW: Span = Span::seconds(3600);

/// How many entries a queue keeps; beyond it two neighbours become one in the way that can only keep more replicas.
const MOST: usize = 64;

/// Which recommendations a window still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// An age equal to the window counts: the legacy window.
    Inclusive,
    /// An age equal to the window does not count: windows of `behavior`.
    Exclusive,
}

/// The raw recommendations of the past hour, as far as they can still matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recommendations {
    /// Falling values, oldest first: each is higher than all newer ones.
    peaks: VecDeque<Entry>,
    /// Rising values, oldest first: each is lower than all newer ones.
    lows: VecDeque<Entry>,
    /// When the newest recommendation was recorded.
    newest: Option<Tick>,
}

/// One recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was made.
    pub at: Tick,
    /// The count, before any limit.
    pub replicas: u32,
}

impl Recommendations {
    /// Records a raw recommendation of the metrics.
    pub fn record(&mut self, at: Tick, replicas: u32) {
        self.hold(at, replicas);
        while self.lows.back().is_some_and(|entry| entry.replicas >= replicas) {
            self.lows.pop_back();
        }
        prune(&mut self.lows, at);
        self.lows.push_back(Entry { at, replicas });
        if self.lows.len() > MOST {
            // Without its lowest entry the window may allow a raise earlier, never later.
            self.lows.pop_front();
        }
        self.newest = Some(at);
    }

    /// Records a count that lowering must respect and raising may ignore: the present count after a gap in the data.
    pub fn hold(&mut self, at: Tick, replicas: u32) {
        while self.peaks.back().is_some_and(|entry| entry.replicas <= replicas) {
            self.peaks.pop_back();
        }
        prune(&mut self.peaks, at);
        self.peaks.push_back(Entry { at, replicas });
        if self.peaks.len() > MOST {
            // The second newest takes the value of the one before it: higher for longer.
            let index = self.peaks.len() - 2;
            if let Some(older) = self.peaks.remove(index - 1) {
                self.peaks[index - 1].replicas = older.replicas;
            }
        }
    }

    /// The highest recommendation within `window` before `now`.
    pub fn highest(&self, window: Span, edge: Edge, now: Tick) -> Option<Entry> {
        self.peaks.iter().find(|entry| counts(entry.at.age(now), window, edge)).copied()
    }

    /// The lowest recommendation within `window` before `now`.
    pub fn lowest(&self, window: Span, edge: Edge, now: Tick) -> Option<Entry> {
        self.lows.iter().find(|entry| counts(entry.at.age(now), window, edge)).copied()
    }

    /// The newest recommendation of at least this many replicas: the last of those that keep lowering from going below it.
    pub fn newest_at_least(&self, replicas: u32) -> Option<Entry> {
        self.peaks.iter().rev().find(|entry| entry.replicas >= replicas).copied()
    }

    /// The newest recommendation of at most this many replicas: the last of those that keep raising from going above it.
    pub fn newest_at_most(&self, replicas: u32) -> Option<Entry> {
        self.lows.iter().rev().find(|entry| entry.replicas <= replicas).copied()
    }

    /// When the newest recommendation was recorded, if any was.
    pub fn newest(&self) -> Option<Tick> {
        self.newest
    }

    /// The peaks and the lows, each oldest first, for a checkpoint.
    pub(crate) fn entries(&self) -> (impl Iterator<Item = &Entry>, impl Iterator<Item = &Entry>) {
        (self.peaks.iter(), self.lows.iter())
    }

    /// Puts back what a checkpoint held; entries must come oldest first.
    pub(crate) fn restore(peaks: impl Iterator<Item = Entry>, lows: impl Iterator<Item = Entry>) -> Self {
        let mut restored = Self::default();
        for entry in peaks {
            restored.hold(entry.at, entry.replicas);
        }
        for entry in lows {
            while restored.lows.back().is_some_and(|newer| newer.replicas >= entry.replicas) {
                restored.lows.pop_back();
            }
            restored.lows.push_back(entry);
        }
        restored
    }

    /// Forgets everything: entering 0 starts anew.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Entry {
    /// The first moment at which this entry no longer counts for `window`.
    pub fn expiry(&self, window: Span, edge: Edge) -> Tick {
        match edge {
            Edge::Inclusive => (self.at + window).next(),
            Edge::Exclusive => self.at + window,
        }
    }
}

fn counts(age: Span, window: Span, edge: Edge) -> bool {
    match edge {
        Edge::Inclusive => age <= window,
        Edge::Exclusive => age < window,
    }
}

fn prune(entries: &mut VecDeque<Entry>, now: Tick) {
    while entries.front().is_some_and(|entry| entry.at.age(now) > LONGEST_WINDOW) {
        entries.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Span = Span::seconds(300);

    #[test]
    fn the_legacy_window_counts_its_own_age_and_the_other_does_not() {
        let mut seen = Recommendations::default();
        seen.record(Tick(0), 8);
        let at = |tick: i64, edge: Edge| seen.highest(WINDOW, edge, Tick(tick)).map(|entry| entry.replicas);
        assert_eq!((at(300_000, Edge::Inclusive), at(300_000, Edge::Exclusive)), (Some(8), None));
        assert_eq!((at(300_001, Edge::Inclusive), at(299_999, Edge::Exclusive)), (None, Some(8)));
        let entry = Entry { at: Tick(0), replicas: 8 };
        assert_eq!(entry.expiry(WINDOW, Edge::Inclusive), Tick(300_001));
        assert_eq!(entry.expiry(WINDOW, Edge::Exclusive), Tick(300_000));
    }

    #[test]
    fn a_held_count_does_not_delay_raising() {
        let mut seen = Recommendations::default();
        seen.hold(Tick(0), 3);
        assert_eq!(seen.lowest(WINDOW, Edge::Exclusive, Tick(1)), None);
        assert_eq!(seen.highest(WINDOW, Edge::Exclusive, Tick(1)).map(|entry| entry.replicas), Some(3));
        assert_eq!(seen.newest(), None);
    }

    #[test]
    fn bounded_queues_err_toward_more_replicas() {
        let mut seen = Recommendations::default();
        for step in 0..200_u32 {
            seen.record(Tick(i64::from(step)), 1_000 - step);
        }
        assert_eq!(seen.peaks.len(), MOST);
        assert_eq!(seen.highest(WINDOW, Edge::Exclusive, Tick(200)).map(|entry| entry.replicas), Some(1_000));
        let exact = 1_000 - 150;
        let answer = seen.highest(Span(50), Edge::Exclusive, Tick(199)).map(|entry| entry.replicas);
        assert!(answer >= Some(exact), "{answer:?} is lower than the exact {exact}");
    }

    #[test]
    fn equal_recommendations_take_one_place() {
        let mut seen = Recommendations::default();
        for step in 0..100 {
            seen.record(Tick(step), 8);
        }
        assert_eq!((seen.peaks.len(), seen.lows.len()), (1, 1));
        let (peaks, lows) = seen.entries();
        let twice: Vec<Entry> = lows.chain(&[Entry { at: Tick(200), replicas: 8 }]).copied().collect();
        let restored = Recommendations::restore(peaks.copied(), twice.into_iter());
        assert_eq!(restored.lows.len(), 1);
    }

    #[test]
    fn as_many_as_there_is_room_for_are_kept_as_they_are() {
        let (mut falling, mut rising) = (Recommendations::default(), Recommendations::default());
        for step in 0..MOST {
            let (at, count) = (Tick(i64::try_from(step).unwrap()), u32::try_from(step).unwrap());
            falling.record(at, 1_000 - count);
            rising.record(at, count);
        }
        assert_eq!((falling.peaks.len(), rising.lows.len()), (MOST, MOST));
        for (age, entry) in (0_u32..).zip(falling.peaks.iter().rev()) {
            assert_eq!(entry.replicas, 1_000 + 1 + age - u32::try_from(MOST).unwrap());
        }
    }

    #[test]
    fn the_longest_window_still_counts_its_own_age() {
        let mut seen = Recommendations::default();
        seen.record(Tick(0), 9);
        seen.record(Tick(LONGEST_WINDOW.0), 3);
        let highest = seen.highest(LONGEST_WINDOW, Edge::Inclusive, Tick(LONGEST_WINDOW.0));
        assert_eq!(highest.map(|entry| entry.replicas), Some(9));
        seen.record(Tick(LONGEST_WINDOW.0 + 1), 3);
        assert_eq!(seen.peaks.len(), 1);
    }

    #[test]
    fn the_newest_on_either_side_of_a_count() {
        let mut seen = Recommendations::default();
        for (at, replicas) in [(0, 9), (1, 5), (2, 7), (3, 4), (4, 6)] {
            seen.record(Tick(at), replicas);
        }
        // Highest ones: 9 at 0, 7 at 2, 6 at 4; lowest ones: 4 at 3, 6 at 4.
        let at = |entry: Option<Entry>| entry.map(|entry| entry.at.0);
        assert_eq!([6, 7, 8, 9, 10].map(|n| at(seen.newest_at_least(n))), [Some(4), Some(2), Some(0), Some(0), None]);
        assert_eq!([3, 4, 5, 6].map(|n| at(seen.newest_at_most(n))), [None, Some(3), Some(3), Some(4)]);
    }

    proptest! {
        #[test]
        fn the_queues_answer_what_the_whole_list_would(
            steps in prop::collection::vec((1_i64..20_000, 0_u32..40), 1..40), window in 1_i64..200_000, inclusive: bool,
        ) {
            let edge = if inclusive { Edge::Inclusive } else { Edge::Exclusive };
            let (mut seen, mut list, mut now) = (Recommendations::default(), Vec::new(), Tick(0));
            for (gap, replicas) in steps {
                now = now + Span(gap);
                seen.record(now, replicas);
                list.push((now, replicas));
                let young = || list.iter().filter(|(at, _)| counts(at.age(now), Span(window), edge)).map(|(_, n)| *n);
                prop_assert_eq!(seen.highest(Span(window), edge, now).map(|e| e.replicas), young().max());
                prop_assert_eq!(seen.lowest(Span(window), edge, now).map(|e| e.replicas), young().min());
            }
        }
    }
}
