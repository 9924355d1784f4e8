//! Keeps a failing endpoint from being asked again and again: after each failure a longer pause.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tidegate_calculator::source::ReadError;
use tokio::time::Instant;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_millis(250);

/// The longest pause. It is shorter than a usual polling interval, so a source that is back is seen at the next poll.
const LONGEST: Duration = Duration::from_secs(10);

/// Closed while the endpoint works; open for a pause after each failure in a row.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    open: Option<(Instant, ReadError)>,
}

impl Breaker {
    /// The error to answer without asking, while a pause lasts.
    pub(crate) fn refusal(&self, now: Instant) -> Option<&ReadError> {
        self.open.as_ref().filter(|(until, _)| now < *until).map(|(_, error)| error)
    }

    /// When the endpoint will be asked again, and the error it failed with, until it has worked again.
    pub(crate) fn failure(&self) -> Option<(Instant, ReadError)> {
        self.open.clone()
    }

    /// The endpoint answered.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The endpoint failed: every query to it would have.
    pub(crate) fn failed(&mut self, now: Instant, error: ReadError) {
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.failures.min(16)));
        self.failures = self.failures.saturating_add(1);
        self.open = Some((now + jittered(doubled.min(LONGEST)), error));
    }
}

#[cfg(feature = "http")]
impl Breaker {
    /// The endpoint asked to be left alone for so long.
    pub(crate) fn rest(&mut self, now: Instant, pause: Duration, error: ReadError) {
        self.open = Some((now + pause, error));
    }
}

/// Between half of a pause and all of it, so that many endpoints of one broken server do not come back at one moment.
pub(crate) fn jittered(pause: Duration) -> Duration {
    // A fresh `RandomState` has fresh keys: randomness enough to spread, and no dependency.
    let draw = RandomState::new().hash_one(pause) % 1024;
    let share = 0.5 + f64::from(u32::try_from(draw).unwrap_or(0)) / 2048.0;
    pause.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use tidegate_calculator::source::ReadErrorKind::Unavailable;

    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_one_success_ends_them() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert!(breaker.refusal(now).is_none());
            breaker.failed(now, ReadError::endpoint(Unavailable, "refused"));
            assert_eq!(breaker.refusal(now).map(|error| error.message.as_str()), Some("refused"));
            let (until, _) = breaker.failure().unwrap();
            pauses.push(until - now);
            now = until;
        }
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2);
        assert!(pauses[11] <= LONGEST && pauses[11] >= LONGEST / 2);
        breaker.succeeded();
        assert!(breaker.failure().is_none());
    }

    #[test]
    fn pauses_are_spread() {
        let draws: std::collections::BTreeSet<_> = (0..50).map(|_| jittered(LONGEST)).collect();
        assert!(draws.len() > 10);
    }
}
