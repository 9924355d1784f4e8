//! The clock of this machine: ticks since it was made, and wall time beside them.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_calculator::time::{Now, Tick};
use tidegate_engine::ports::Clock;
use tokio::time::Instant;

/// Counts ticks from the moment it was made. They go on while the process is stopped, and not back when somebody sets the time.
#[derive(Clone, Copy, Debug)]
pub struct MachineClock(Instant);

impl MachineClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for MachineClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for MachineClock {
    fn now(&self) -> Now {
        let millis = i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX);
        Now { tick: Tick(millis), wall: Timestamp::now() }
    }

    async fn until(&self, tick: Tick) {
        // The tick of a part of a millisecond begins with the whole one before it.
        let millis = u64::try_from(tick.0).unwrap_or(0);
        tokio::time::sleep_until(self.0 + Duration::from_millis(millis)).await;
    }
}
