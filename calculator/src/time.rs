//! The two clocks of Tidegate: ticks that only go forward, and wall time for what people and files see.
//!
//! Nothing in this crate reads a clock. Every function that needs the time takes a [`Tick`] or a [`Now`].

use std::fmt;
use std::ops::{Add, Sub};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A moment on the monotonic clock: milliseconds since the process started.
///
/// A moment before the start (something restored from a checkpoint) is negative. Ticks never leave the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub i64);

/// A length of time in milliseconds; never negative where a policy carries one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span(pub i64);

/// The present moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic: due times and memory are kept in it.
    pub tick: Tick,
    /// Wall time: only for checkpoints, status, schedules and text.
    pub wall: Timestamp,
}

impl Tick {
    /// The first moment strictly after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How long ago `self` was at `now`; zero if it lies in the future.
    pub fn age(self, now: Tick) -> Span {
        Span((now.0.saturating_sub(self.0)).max(0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The span as a [`std::time::Duration`]; a negative span is zero.
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

impl Now {
    /// The wall time of `tick`, as this moment sees it.
    pub fn wall_of(&self, tick: Tick) -> Timestamp {
        let delta = SignedDuration::from_millis(tick.0.saturating_sub(self.tick.0));
        self.wall.checked_add(delta).unwrap_or(self.wall)
    }

    /// The tick of `wall`, the future clamped to now: a clock that was set back must not make a cooldown last for ever.
    pub fn tick_of(&self, wall: Timestamp) -> Tick {
        let delta = wall.duration_since(self.wall);
        let millis = i64::try_from(delta.as_millis()).unwrap_or(i64::MIN / 4);
        Tick(self.tick.0.saturating_add(millis.min(0)))
    }
}

impl Add<Span> for Tick {
    type Output = Tick;
    fn add(self, span: Span) -> Tick {
        Tick(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Tick {
    type Output = Tick;
    fn sub(self, span: Span) -> Tick {
        Tick(self.0.saturating_sub(span.0))
    }
}

impl Sub for Tick {
    type Output = Span;
    fn sub(self, other: Tick) -> Span {
        Span(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Span {
    /// Two units at most, the way people say it: `0.4 s`, `3 m 10 s`, `1 h 5 m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.max(0);
        let seconds = millis / 1000;
        match seconds {
            0..10 if millis % 1000 != 0 => write!(f, "{}.{} s", seconds, (millis % 1000) / 100),
            0..60 => write!(f, "{seconds} s"),
            60..3600 if seconds % 60 == 0 => write!(f, "{} m", seconds / 60),
            60..3600 => write!(f, "{} m {} s", seconds / 60, seconds % 60),
            _ if seconds % 3600 < 60 => write!(f, "{} h", seconds / 3600),
            _ => write!(f, "{} h {} m", seconds / 3600, seconds % 3600 / 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_like_speech() {
        let text: Vec<String> = [400, 15_000, 190_000, 300_000, 3_900_000, 7_259_000, 7_260_000]
            .iter()
            .map(|ms| Span(*ms).to_string())
            .collect();
        assert_eq!(text, ["0.4 s", "15 s", "3 m 10 s", "5 m", "1 h 5 m", "2 h", "2 h 1 m"]);
    }

    #[test]
    fn ticks_and_spans_add_up() {
        assert_eq!(Tick(5_000) - Tick(2_000), Span::seconds(3));
        assert_eq!(Span(1_500).duration(), std::time::Duration::from_millis(1_500));
        assert_eq!(Span(-1).duration(), std::time::Duration::ZERO);
    }

    #[test]
    fn wall_and_tick_convert_and_the_future_is_clamped() {
        let now = Now { tick: Tick(5_000), wall: Timestamp::from_second(1_000).unwrap() };
        assert_eq!(now.tick_of(Timestamp::from_second(990).unwrap()), Tick(-5_000));
        assert_eq!(now.tick_of(Timestamp::from_second(4_600).unwrap()), Tick(5_000));
        assert_eq!(now.wall_of(Tick(-5_000)), Timestamp::from_second(990).unwrap());
    }
}
