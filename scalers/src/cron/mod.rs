//! The trigger `cron`: a number of replicas while a window of the calendar is open, and nothing outside of it.
//!
//! It reads no server. [`window`] says, for a given moment, whether the window is open and when that may change; the clock is read
//! here only ([`present`]). A watch wakes at each boundary, so that a window opens at its second and not at the next poll.

mod declaration;
mod window;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, MetricSpec, Milli, Occasion, ReadError, Reading, Readings,
    TriggerSpec, Wake,
};
use tokio::runtime::Handle;

use crate::endpoint::Endpoints;
use crate::parameters::Values;
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use window::Window;

/// The longest sleep before the clock is looked at again, because it may have been set meanwhile.
const NAP: Duration = Duration::from_mins(1);

/// One built `cron` trigger.
struct CronScaler {
    window: Window,
    /// What is asked for while the window is open; never negative.
    replicas: i64,
    metric: MetricSpec,
}

/// The registry's entry.
pub(crate) const TRIGGER_TYPE: TriggerType = TriggerType {
    name: "cron",
    summary: "A number of replicas between a start and an end by the calendar.",
    parameters: declaration::PARAMETERS,
    example: "\
- type: cron
  metadata:
    timezone: Asia/Shanghai
    start: 0 8 * * MON-FRI
    end: 0 20 * * MON-FRI
    desiredReplicas: \"10\"
",
    example_metadata: &[
        ("timezone", "Asia/Shanghai"),
        ("start", "0 8 * * MON-FRI"),
        ("end", "0 20 * * MON-FRI"),
        ("desiredReplicas", "10"),
    ],
    scaler: "cronScaler",
    notes: include_str!("notes.md"),
    check: declaration::check,
    open,
};

fn open(spec: &TriggerSpec, values: &Values, _: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let settings = declaration::settings(spec, values).ok_or_else(incomplete)?;
    Ok(Box::new(settings))
}

#[async_trait]
impl Scaler for CronScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        None
    }

    async fn read(&self, _: Occasion, _: Deadline) -> Result<Readings, ReadError> {
        Ok(self.at(present()))
    }

    fn watch(&self, wake: Wake) -> Option<Watch> {
        let (runtime, window) = (Handle::try_current().ok()?, self.window.clone());
        let task = runtime.spawn(ring(window, wake, present)).abort_handle();
        Some(Watch::new(move || task.abort()))
    }
}

impl CronScaler {
    /// What the trigger says at this moment.
    fn at(&self, wall: Timestamp) -> Readings {
        let active = self.window.is_open(wall);
        let value = Measured::Total(vec![Milli::units(if active { self.replicas } else { 0 })]);
        vec![(self.metric.clone(), Reading { value, active })]
    }
}

/// Wakes at every boundary of the window, for as long as there are any.
async fn ring(window: Window, wake: Wake, clock: impl Fn() -> Timestamp + Send) {
    let mut seen = clock();
    while let Some(boundary) = window.next_boundary(seen) {
        tokio::time::sleep(until(boundary, seen).min(NAP)).await;
        seen = clock();
        if seen >= boundary {
            wake();
        }
    }
}

/// How long it is until `boundary`, at least a millisecond: the two clocks may differ a little.
fn until(boundary: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(boundary.duration_since(now)).unwrap_or_default().max(Duration::from_millis(1))
}

/// The present moment: the one place where the clock is read.
fn present() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
