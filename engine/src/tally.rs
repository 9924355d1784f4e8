//! What operations did, to be counted: the engine says it ([`Measure`]), and whoever runs it counts ([`Tally`]).
//!
//! The counts are those of one process and of all its objects together: labels are closed sets, so their number does not grow with the
//! objects, and none is lost with an object.

use std::collections::BTreeMap;

use tidegate_calculator::operation::{Direction, Phase, Strategy};
use tidegate_calculator::time::Span;

/// Something that operations did, to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// An operation has left a phase.
    Phase {
        /// Which phase.
        phase: Phase,
        /// How long it was in it.
        lasted: Span,
    },
    /// Replicas were written under the protection of snapshots: how old the oldest one was.
    SnapshotAge(Span),
    /// An operation has ended.
    Ended {
        /// How: one of the phases that end an operation.
        outcome: Phase,
        /// Its strategy; none if it ended before one was chosen.
        strategy: Option<Strategy>,
        /// Its direction.
        direction: Direction,
    },
}

/// The most seconds that each bucket of phases holds: from a quick preflight to an operation that takes too long.
const PHASES: &[u32] = &[1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 3_600];

/// The same of ages: around the 30 s that a snapshot may be old by default.
const AGES: &[u32] = &[1, 2, 5, 10, 15, 20, 25, 30, 45, 60, 120, 300];

/// What was counted since the process began.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    ended: BTreeMap<Ending, u64>,
    phases: BTreeMap<&'static str, Histogram>,
    ages: Histogram,
}

/// The labels of an operation that has ended: outcome, strategy and direction.
pub type Ending = [&'static str; 3];

/// How often durations fell below bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bounds: &'static [u32],
    /// One count a bound, and one for what is above all of them.
    counts: Vec<u64>,
    /// All of them together.
    sum: Span,
}

impl Default for Tally {
    fn default() -> Self {
        Self { ended: BTreeMap::new(), phases: BTreeMap::new(), ages: Histogram::new(AGES) }
    }
}

impl Tally {
    /// Counts one.
    pub fn take(&mut self, measure: Measure) {
        match measure {
            Measure::Phase { phase, lasted } => {
                self.phases.entry(phase.as_str()).or_insert_with(|| Histogram::new(PHASES)).take(lasted);
            }
            Measure::SnapshotAge(age) => self.ages.take(age),
            Measure::Ended { outcome, strategy, direction } => {
                let strategy = strategy.map_or("Undecided", Strategy::as_str);
                let count = self.ended.entry([outcome.as_str(), strategy, direction.as_str()]).or_default();
                *count = count.saturating_add(1);
            }
        }
    }

    /// The operations that have ended, by their labels.
    pub fn ended(&self) -> impl Iterator<Item = (&Ending, u64)> {
        self.ended.iter().map(|(labels, count)| (labels, *count))
    }

    /// How long operations were in each phase that one was in.
    pub fn phases(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        self.phases.iter().map(|(phase, times)| (*phase, times))
    }

    /// How old snapshots were when replicas were written.
    pub const fn ages(&self) -> &Histogram {
        &self.ages
    }
}

impl Histogram {
    fn new(bounds: &'static [u32]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: Span::ZERO }
    }

    fn take(&mut self, span: Span) {
        let within = |bound: &u32| span <= Span::seconds(i64::from(*bound));
        let index = self.bounds.iter().position(within).unwrap_or(self.bounds.len());
        if let Some(count) = self.counts.get_mut(index) {
            *count = count.saturating_add(1);
        }
        self.sum = Span(self.sum.0.saturating_add(span.0.max(0)));
    }

    /// The buckets: the most seconds that each holds, none for the last one, and how many fell into it alone.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u32>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts.iter().copied())
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// All durations together.
    pub const fn sum(&self) -> Span {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_first_bucket_that_holds_them() {
        let mut tally = Tally::default();
        for seconds in [0, 1, 2, 31, 4_000] {
            tally.take(Measure::Phase { phase: Phase::Applying, lasted: Span::seconds(seconds) });
        }
        let (phase, times) = tally.phases().next().unwrap();
        let filled: Vec<_> = times.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(phase, "Applying");
        assert_eq!(filled, [(Some(1), 2), (Some(2), 1), (Some(60), 1), (None, 1)]);
        assert_eq!((times.count(), times.sum()), (5, Span::seconds(4_034)));
        assert_eq!(tally.ages().count(), 0);
    }

    #[test]
    fn operations_are_counted_by_how_they_ended() {
        let mut tally = Tally::default();
        let ended = |outcome, strategy| Measure::Ended { outcome, strategy, direction: Direction::ScaleDown };
        tally.take(ended(Phase::Done, Some(Strategy::Checkpoint)));
        tally.take(ended(Phase::Done, Some(Strategy::Checkpoint)));
        tally.take(ended(Phase::Aborted, None));
        let all: Vec<_> = tally.ended().collect();
        let expected = [(&["Aborted", "Undecided", "ScaleDown"], 1), (&["Done", "Checkpoint", "ScaleDown"], 2)];
        assert_eq!(all, expected);
    }
}
