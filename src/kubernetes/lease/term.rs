//! Until when this process may write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Without an election the term never ends.
const FOREVER: u64 = u64::MAX;

/// Until when this process may write, as the clock of this process counts; all clones are one.
///
/// The clock goes on while the process is stopped: a process that is continued after the end of its term finds it over.
#[derive(Clone, Debug)]
pub struct Term {
    /// What the end is counted from.
    base: Instant,
    /// Milliseconds after `base`.
    end: Arc<AtomicU64>,
}

impl Term {
    /// A term that has not begun: nothing may be written.
    pub fn none() -> Self {
        Self { base: Instant::now(), end: Arc::new(AtomicU64::new(0)) }
    }

    /// A term without an end, for an operator that has no rival.
    pub fn unlimited() -> Self {
        Self { base: Instant::now(), end: Arc::new(AtomicU64::new(FOREVER)) }
    }

    /// How much is left; zero when it is over or has not begun.
    pub fn left(&self) -> Duration {
        match self.end.load(Ordering::Acquire) {
            FOREVER => Duration::MAX,
            end => Duration::from_millis(end).saturating_sub(self.base.elapsed()),
        }
    }

    /// Sets its end, rounded down to a millisecond.
    pub(super) fn set_end(&self, end: Instant) {
        let millis = end.saturating_duration_since(self.base).as_millis();
        self.end.store(u64::try_from(millis).unwrap_or(FOREVER - 1), Ordering::Release);
    }

    /// Ends it now.
    pub(super) fn finish(&self) {
        self.end.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_term_runs_out_by_itself() {
        let term = Term::none();
        assert_eq!(term.left(), Duration::ZERO);
        term.set_end(Instant::now() + Duration::from_millis(50));
        assert!(!term.left().is_zero());
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(term.left(), Duration::ZERO);
        term.set_end(Instant::now() + Duration::from_mins(1));
        assert!(term.left() > Duration::from_secs(50) && term.left() <= Duration::from_mins(1));
        term.finish();
        assert_eq!(term.left(), Duration::ZERO);
        assert_eq!(Term::unlimited().left(), Duration::MAX);
    }
}
