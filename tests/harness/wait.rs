//! Waiting for something to become true, and for something to stay true.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(50);

/// Waits until `look` gives a value. Limits are generous, because a busy machine is no failure; the text says what was waited for.
pub(crate) fn eventually<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(PACE);
    }
}

/// Watches for `span` that `check` finds nothing wrong.
pub(crate) fn throughout(span: Duration, mut check: impl FnMut() -> Result<(), String>) {
    let started = Instant::now();
    while started.elapsed() < span {
        if let Err(wrong) = check() {
            panic!("after {:?} of {span:?}: {wrong}", started.elapsed());
        }
        std::thread::sleep(PACE);
    }
}
