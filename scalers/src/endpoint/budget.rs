//! Limits how many queries a second one endpoint is asked, however many triggers read from it.

use std::time::Duration;

use tokio::time::Instant;

/// Queries a second, and how many may come at once after a rest.
///
/// Far above what polling needs (10,000 triggers every 15 s are 667 a second); it only stops a runaway.
const RATE: f64 = 20_000.0;

/// A bucket that fills steadily and is emptied by queries.
#[derive(Debug)]
pub(super) struct Budget {
    level: f64,
    at: Instant,
}

impl Budget {
    /// A full bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self { level: RATE, at: now }
    }

    /// Takes `queries` out and says how long to wait before they may be sent.
    pub(super) fn take(&mut self, queries: usize, now: Instant) -> Duration {
        let refill = now.saturating_duration_since(self.at).as_secs_f64() * RATE;
        let wanted = f64::from(u32::try_from(queries).unwrap_or(u32::MAX));
        self.level = (self.level + refill).min(RATE) - wanted;
        self.at = now;
        Duration::from_secs_f64((-self.level / RATE).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_budget_waits_and_a_rest_refills_it() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        assert_eq!(budget.take(20_000, now), Duration::ZERO);
        assert_eq!(budget.take(10_000, now), Duration::from_millis(500));
        assert_eq!(budget.take(0, now + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(budget.take(10_000, now + Duration::from_secs(9)), Duration::ZERO);
    }
}
