//! Since when triggers have failed: what a fallback counts its failures from.
//!
//! Kept only for objects with a fallback. Time in which nobody looked (a restart, a pause) is not counted.

use crate::time::{Span, Tick};

/// The triggers that fail, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failing(Vec<First>);

/// One failing trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// Position of the trigger.
    pub trigger: u8,
    /// The first failure. Moved later by every stretch in which nobody looked.
    pub since: Tick,
    /// When a pass last saw it fail.
    pub seen: Tick,
    /// Whether the fallback acted then.
    pub acting: bool,
}

impl Failing {
    /// Adds a trigger; they come in their order.
    pub fn push(&mut self, first: First) {
        self.0.push(first);
    }

    /// What is known of one trigger.
    pub fn of(&self, trigger: u8) -> Option<&First> {
        self.0.iter().find(|first| first.trigger == trigger)
    }

    /// Whether nothing fails.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &First> {
        self.0.iter()
    }

    /// How many failures in a row a trigger counts at `now`: one, and one more for every polling interval since the first.
    ///
    /// KEDA shows it as `numberOfFailures`.
    pub fn failures(&self, trigger: u8, interval: Span, now: Tick) -> u32 {
        self.of(trigger).map_or(0, |first| {
            let further = first.since.age(now).0 / interval.0.max(1);
            u32::try_from(further).unwrap_or(u32::MAX).saturating_add(1)
        })
    }

    /// The triggers are others now: what was known of them says nothing any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether other triggers fail now, or a fallback began or ceased to act: then the memory is worth storing.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let facts = |failing: &Self| failing.0.iter().map(|first| (first.trigger, first.acting)).collect::<Vec<_>>();
        facts(self) != facts(other)
    }
}

impl First {
    /// The first failure, for a trigger that fails since `failed` and gave its last good reading at `good`, as the engine knows.
    ///
    /// A good reading after it means that another failure has begun. If the engine knows of a failure only since later than it was
    /// seen last, nobody looked in between.
    pub fn counted(&self, failed: Tick, good: Option<Tick>) -> Tick {
        if good.is_some_and(|good| good >= self.since) {
            return failed;
        }
        (self.since + self.seen.age(failed)).min(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseen_time_and_other_failures_are_told_apart() {
        let first = First { trigger: 0, since: Tick(10), seen: Tick(25), acting: false };
        assert_eq!(first.counted(Tick(10), Some(Tick(5))), Tick(10), "the same failure goes on");
        assert_eq!(first.counted(Tick(100), None), Tick(85), "15 of it were seen");
        assert_eq!(first.counted(Tick(100), Some(Tick(50))), Tick(100), "it was well in between");
        assert_eq!(first.counted(Tick(100), Some(Tick(10))), Tick(100));
    }

    #[test]
    fn a_failure_counts_once_and_once_more_for_every_interval() {
        let mut failing = Failing::default();
        failing.push(First { trigger: 3, since: Tick(0), seen: Tick(0), acting: false });
        let count = |at: i64| failing.failures(3, Span::seconds(30), Tick(at));
        assert_eq!([count(0), count(29_999), count(30_000), count(90_000)], [1, 1, 2, 4]);
        assert_eq!(failing.failures(0, Span::seconds(30), Tick(0)), 0);
        assert_eq!(failing.failures(3, Span::ZERO, Tick(i64::MAX)), u32::MAX);
    }
}
