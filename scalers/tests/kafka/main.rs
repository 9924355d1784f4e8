//! The `kafka` and `apache-kafka` triggers against real brokers, new and old, alone and as a cluster in trouble.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../tests/harness/kafka/mod.rs"]
mod brokers;
mod faults;
mod groups;
mod push;
mod rows;
mod security;
mod table;
mod tokens;
mod trigger;
mod values;
