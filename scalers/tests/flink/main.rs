//! The `flink` trigger against a real Flink, new and old.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod acting;
mod cluster;
mod demand;
mod failures;
mod older;
mod proxy;
mod trigger;
mod values;
