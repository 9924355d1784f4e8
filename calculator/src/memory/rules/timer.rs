//! Since when one condition has held, and whether that is worth storing.

use crate::time::{Span, Tick};

/// Shorter ones are never stored: a restart restarts them.
const STORED_FROM: Span = Span::seconds(60);

/// The timer of one condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timer {
    /// The fingerprint of its rule.
    pub(crate) id: u32,
    /// Since when the condition has held without a break.
    pub(crate) since: Option<Tick>,
    /// Whether a checkpoint holds it.
    pub(crate) stored: bool,
    /// A stored one has been reset: the next is stored later, so that a condition that comes and goes costs few writes.
    pub(crate) hesitant: bool,
    /// Since when its trigger settles: that time does not count. Not stored.
    pub(crate) still: Option<Tick>,
}

/// How the time of a trigger's rules goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It has stood still since this moment.
    Still(Tick),
    /// It goes on; if it stood still, since this moment.
    Runs(Tick),
    /// Its trigger has not been read, so it goes on or stands still as before.
    Unread,
}

impl Pace {
    /// Keeps in `still` since when the time stands still, and tells the stretch that has just ended and does not count.
    pub(crate) fn ended(self, still: &mut Option<Tick>) -> Option<Still> {
        match self {
            Self::Still(from) => {
                still.get_or_insert(from);
                None
            }
            Self::Runs(to) => still.take().map(|from| Still { from, to }),
            Self::Unread => None,
        }
    }
}

/// A stretch of time that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Still {
    from: Tick,
    to: Tick,
}

impl Still {
    /// Where a moment lies once the stretch is taken out: as long before its end as it lay before its start.
    pub(crate) fn moved(self, moment: Tick) -> Tick {
        if moment <= self.from { moment + self.from.age(self.to) } else { moment.max(self.to) }
    }
}

/// What a reading says about a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Whether it holds.
    pub(crate) holds: bool,
    /// When the reading came.
    pub(crate) at: Tick,
    /// Whether the data had a gap before it that is too long to count.
    pub(crate) broken: bool,
}

impl Timer {
    /// One that has not begun.
    pub(crate) const fn new(id: u32) -> Self {
        Self { id, since: None, stored: false, hesitant: false, still: None }
    }

    /// Stands still while its trigger settles, and goes on where it was. A checkpoint does not hold it meanwhile: read back later it would
    /// have gone on.
    pub(crate) fn pace(&mut self, pace: Pace) {
        if let Some(still) = pace.ended(&mut self.still) {
            self.since = self.since.map(|since| still.moved(since));
        } else if self.still.is_some() {
            self.hesitant |= self.stored;
            self.stored = false;
        }
    }

    /// Takes what a reading says; no condition has held since before `from`.
    pub(crate) fn see(&mut self, sight: Sight, from: Option<Tick>) {
        if !sight.holds || sight.broken {
            self.reset();
        }
        if sight.holds && self.since.is_none() {
            self.since = Some(from.map_or(sight.at, |from| from.max(sight.at)));
        }
    }

    /// The condition has ended.
    pub(crate) fn reset(&mut self) {
        self.since = None;
        self.hesitant |= self.stored;
        self.stored = false;
    }

    /// The replicas have changed: whoever did it, that is stored, and this timer is not part of it.
    pub(crate) fn restart(&mut self, at: Tick) {
        self.since = self.since.map(|since| since.max(at));
        self.stored = false;
    }

    /// For how long the condition had held at `until`.
    pub(crate) fn held(&self, until: Tick) -> Option<Span> {
        self.since.map(|since| since.age(until))
    }

    /// Whether it has run for long enough to be stored, if its rule waits for `needed`: a quarter of that, but a minute; after a reset of
    /// a stored one half of it.
    pub(crate) fn mark(&mut self, needed: Span, until: Tick) {
        let part = if self.hesitant { needed.0 / 2 } else { needed.0 / 4 };
        let ran = self.held(until).is_some_and(|held| held >= Span(part).max(STORED_FROM));
        self.stored |= ran && needed >= STORED_FROM;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seen(holds: bool, seconds: i64) -> Sight {
        Sight { holds, at: Tick(seconds * 1_000), broken: false }
    }

    #[test]
    fn it_begins_with_the_first_reading_and_ends_with_the_condition() {
        let mut timer = Timer::new(1);
        timer.see(seen(true, 10), None);
        timer.see(seen(true, 25), None);
        assert_eq!(timer.held(Tick(30_000)), Some(Span::seconds(20)));
        timer.see(Sight { broken: true, ..seen(true, 100) }, None);
        assert_eq!(timer.since, Some(Tick(100_000)), "a gap that is too long begins anew");
        timer.see(seen(false, 110), None);
        assert_eq!(timer.held(Tick(120_000)), None);
        timer.see(seen(true, 120), Some(Tick(121_000)));
        assert_eq!(timer.since, Some(Tick(121_000)), "the replicas changed after the reading");
    }

    #[test]
    fn the_time_in_which_it_stands_still_is_taken_out() {
        let second = |second: i64| Tick(second * 1_000);
        let of = |since: i64| Timer { since: Some(second(since)), stored: true, ..Timer::new(1) };
        let mut timer = of(10);
        timer.pace(Pace::Still(second(100)));
        timer.pace(Pace::Still(second(130)));
        timer.pace(Pace::Unread);
        assert_eq!((timer.since, timer.stored, timer.hesitant), (Some(second(10)), false, true));
        timer.pace(Pace::Runs(second(160)));
        assert_eq!((timer.since, timer.held(second(160))), (Some(second(70)), Some(Span::seconds(90))), "100 - 10");
        timer.pace(Pace::Runs(second(190)));
        assert_eq!(timer.held(second(190)), Some(Span::seconds(120)), "it goes on");
        // The replicas changed meanwhile: what was restarted then has held since its end.
        let mut timer = of(10);
        timer.pace(Pace::Still(second(100)));
        timer.restart(second(120));
        timer.pace(Pace::Runs(second(160)));
        assert_eq!(timer.since, Some(second(160)));
    }

    #[test]
    fn it_is_stored_after_a_quarter_and_after_a_reset_of_a_stored_one_after_half() {
        let hour = Span::seconds(3_600);
        let mut timer = Timer::new(1);
        timer.see(seen(true, 0), None);
        timer.mark(hour, Tick(899_999));
        assert!(!timer.stored);
        timer.mark(hour, Tick(900_000));
        assert!(timer.stored, "3600 / 4 = 900 s");
        timer.see(seen(false, 950), None);
        assert!(!timer.stored && timer.hesitant);
        timer.see(seen(true, 1_000), None);
        timer.mark(hour, Tick(2_799_999));
        assert!(!timer.stored);
        timer.mark(hour, Tick(2_800_000));
        assert!(timer.stored, "1000 + 3600 / 2 = 2800 s");
    }

    #[test]
    fn short_ones_are_never_stored_and_those_of_a_minute_when_they_are_over() {
        let mut timer = Timer::new(1);
        timer.see(seen(true, 0), None);
        timer.mark(Span(59_999), Tick(1_000_000));
        assert!(!timer.stored);
        timer.mark(Span::seconds(60), Tick(59_999));
        assert!(!timer.stored, "a quarter is 15 s, but a minute is the least");
        timer.mark(Span::seconds(60), Tick(60_000));
        assert!(timer.stored);
    }
}
